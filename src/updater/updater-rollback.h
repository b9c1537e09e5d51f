/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The second and third line of defence: what PID 1 starts when the applying unit has ended (settle), when it or the
 * agent has failed or the backstop timer ran out (rollback), and at boot (recover). Each works without the system bus,
 * and without a state directory. */

#include "updater.h"

int updater_settle(Updater *u);
int updater_rollback(Updater *u);
int updater_recover(Updater *u);
