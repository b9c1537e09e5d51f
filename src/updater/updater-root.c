/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-root.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "time-util.h"

#define LOCK_NAME "lock"
#define LOCK_POLL (20 * USEC_PER_MSEC)

static int open_directory(const char *path, mode_t create_mode) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 || errno != ENOENT || create_mode == 0)
                return RET_NERRNO(fd);

        int r = mkdir_parents(path, 0755);
        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        if (fchmod(fd, create_mode) < 0)
                log_debug_errno(negative_errno(), "Failed to set the mode of %s, ignoring: %m", path);
        return fd;
}

int updater_root_open(UpdaterRoot **ret, const char *prefix) {
        _cleanup_(updater_root_freep) UpdaterRoot *r = new0(UpdaterRoot, 1);
        _cleanup_free_ char *runtime = NULL;
        if (!r)
                return -ENOMEM;

        *r = (UpdaterRoot) {
                .bin_fd = -EBADF, .package_fd = -EBADF, .state_fd = -EBADF, .config_fd = -EBADF, .runtime_fd = -EBADF,
        };
        r->bin_path = strjoinf("%s" FLEET_BIN_DIR, prefix);
        r->package_path = strjoinf("%s" FLEET_PACKAGE_DIR, prefix);
        r->state_path = strjoinf("%s" FLEET_UPDATER_STATE_DIR, prefix);
        r->config_path = strjoinf("%s" FLEET_CONFIG_DIR, prefix);
        r->conf_path = strjoinf("%s" FLEET_UPDATER_CONF, prefix);
        runtime = strjoinf("%s" FLEET_UPDATER_RUNTIME_DIR, prefix);
        if (!r->bin_path || !r->package_path || !r->state_path || !r->config_path || !r->conf_path || !runtime)
                return -ENOMEM;

        r->bin_fd = open_directory(r->bin_path, 0755);
        if (r->bin_fd < 0)
                return log_error_errno(r->bin_fd, "Cannot open %s: %m", r->bin_path);

        r->state_fd = open_directory(r->state_path, 0700);
        if (r->state_fd < 0)
                log_warning_errno(r->state_fd, "Cannot open %s, going on without: %m", r->state_path);
        r->runtime_fd = open_directory(runtime, 0700);
        if (r->runtime_fd < 0)
                log_debug_errno(r->runtime_fd, "Cannot open %s, going on without: %m", runtime);
        r->package_fd = open_directory(r->package_path, 0);
        r->config_fd = open_directory(r->config_path, 0);

        *ret = TAKE_PTR(r);
        return 0;
}

UpdaterRoot *updater_root_free(UpdaterRoot *r) {
        if (!r)
                return NULL;
        (void) fd_close(r->bin_fd);
        (void) fd_close(r->package_fd);
        (void) fd_close(r->state_fd);
        (void) fd_close(r->config_fd);
        (void) fd_close(r->runtime_fd);
        free(r->bin_path);
        free(r->package_path);
        free(r->state_path);
        free(r->config_path);
        free(r->conf_path);
        free(r);
        return NULL;
}

int updater_root_lock(UpdaterRoot *r, uint64_t patience, int *ret_fd) {
        if (r->state_fd < 0)
                return -EBADF;

        /* the directory is root's alone, so nobody else can take the lock and hold the machine up */
        _cleanup_close_ int fd = openat(
                        r->state_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
        if (fd < 0)
                return negative_errno();

        /* The kernel cannot wait for a lock with a time limit, so this asks again and again. Only programs that have
         * nothing else to do wait here. */
        for (usec_t end = usec_add(now(CLOCK_BOOTTIME), patience);;) {
                if (flock(fd, LOCK_EX | LOCK_NB) >= 0) {
                        *ret_fd = TAKE_FD(fd);
                        return 0;
                }
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return negative_errno();
                if (now(CLOCK_BOOTTIME) >= end)
                        return -EBUSY;
                (void) clock_nanosleep(
                                CLOCK_MONOTONIC, 0, &(struct timespec) { .tv_nsec = LOCK_POLL * NSEC_PER_USEC }, NULL);
        }
}
