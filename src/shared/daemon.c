/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "errno-util.h"
#include "string-util.h"

void daemon_notify_ready(const char *status) {
        (void) sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void daemon_notify_status(const char *format, ...) {
        char text[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        for (char *p = text; *p; p++) /* a line break would start another assignment */
                if (*p == '\n')
                        *p = ' ';
        (void) sd_notifyf(0, "STATUS=%s", text);
}

void daemon_notify_stopping(const char *status) {
        (void) sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

int daemon_protect_memory(void) {
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return negative_errno();
        return RET_NERRNO(setrlimit(RLIMIT_CORE, &(struct rlimit) {}));
}

static void names_freep(char ***names) {
        (void) strv_free(*names);
}

int daemon_listen_fd(const char *name) {
        _cleanup_(names_freep) char **names = NULL;

        int n = sd_listen_fds_with_names(false, &names);
        if (n < 0)
                return n;
        for (int i = 0; i < n; i++)
                if (streq(names[i], name))
                        return SD_LISTEN_FDS_START + i;
        return -ENOENT;
}
