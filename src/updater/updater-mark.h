/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Short notes from one of the updater's processes to the next, for this boot alone: in the runtime directory, which
 * has room while the disks are full. Without that directory every note is absent. */

#include "updater-root.h"

/* Written before the agent's unit is reset, and removed once PID 1 has taken on to start it. */
#define MARK_BRING_UP "bring-up"
/* The transaction after which the agent was restarted with the version that it went back to. */
#define MARK_BROUGHT_BACK "brought-back"
/* The invocation of the rollback unit in which the work was done. */
#define MARK_ROLLBACK_DONE "rollback-done"

void mark_set(UpdaterRoot *root, const char *name, const char *value);     /* failures are logged */
void mark_clear(UpdaterRoot *root, const char *name);
bool mark_is(UpdaterRoot *root, const char *name, const char *value);      /* value NULL: whatever it says */
