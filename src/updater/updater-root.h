/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where everything of the updater lies, opened once as directories. Production always uses the machine's own root (an
 * empty prefix); another prefix exists for tests alone and cannot be given from outside of the program.
 *
 * bin_fd is always there: without it nothing can be done. The others may be negative (state or configuration that
 * cannot be reached must not keep an agent from being brought back): functions that use them fail with -EBADF. */

#include "macro.h"

typedef struct UpdaterRoot {
        char *bin_path, *package_path, *state_path;        /* absolute, for PID 1 and for messages */
        char *config_path, *conf_path;                     /* the directory, and updater.conf */
        int bin_fd, package_fd, state_fd, config_fd, runtime_fd;
} UpdaterRoot;

/* Makes bin/, the state and the runtime directory where they are missing. */
int updater_root_open(UpdaterRoot **ret, const char *prefix);
UpdaterRoot *updater_root_free(UpdaterRoot *r);
DEFINE_POINTER_CLEANUP(UpdaterRoot, updater_root_free);

/* The one lock: whoever changes links, versions or the record holds it. Waits for at most patience (microseconds);
 * -EBUSY when somebody else has it, -EBADF without a state directory. Closing *ret_fd lets go. */
int updater_root_lock(UpdaterRoot *r, uint64_t patience, int *ret_fd);
