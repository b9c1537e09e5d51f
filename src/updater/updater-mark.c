/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-mark.h"

#include <errno.h>
#include <unistd.h>

#include "errno-util.h"
#include "log.h"
#include "state-file.h"
#include "string-util.h"

void mark_set(UpdaterRoot *root, const char *name, const char *value) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        int r = root->runtime_fd < 0 ? -EBADF : state_file_new(&s);
        if (r >= 0)
                r = state_file_set(s, "value", value);
        if (r >= 0)
                r = state_file_save_at(s, root->runtime_fd, name, 0600);
        if (r < 0)
                log_warning_errno(r, "Failed to write the note '%s', going on: %m", name);
}

void mark_clear(UpdaterRoot *root, const char *name) {
        if (root->runtime_fd >= 0 && unlinkat(root->runtime_fd, name, 0) < 0 && errno != ENOENT)
                log_warning_errno(negative_errno(), "Failed to remove the note '%s', going on: %m", name);
}

bool mark_is(UpdaterRoot *root, const char *name, const char *value) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        if (root->runtime_fd < 0 || state_file_load_at(root->runtime_fd, name, &s) < 0)
                return false;
        return !value || streq_ptr(state_file_get(s, "value"), value);
}
