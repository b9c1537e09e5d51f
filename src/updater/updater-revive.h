/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* With no transaction open: an agent that has hit its start limit is started again, at once and then with growing
 * pauses that PID 1 keeps (a transient timer). When that does not help, another version that may run here takes its
 * place: the packaged one, else the previous one. How often that was tried is kept for this boot alone. */

#include "updater.h"

/* Holding the lock. current: the version that runs, both links lead to it. */
int updater_revive(Updater *u, const char *current);

/* What can be done without the lock, while a new version is being staged: start it again. */
int updater_revive_only_start(Updater *u);

/* Has another command of the same run of the unit (its invocation) done the work? And: it has, now. */
bool rollback_was_done(Updater *u);
void rollback_mark_done(Updater *u);

/* For tests: pause after the given number of attempts. */
usec_t revive_pause(unsigned attempts);
