/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-state.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "state-file.h"
#include "string-util.h"
#include "time-util.h"

#define FILE_NAME "simulation"
#define LOCK_NAME "lock" /* one byte for each number */

struct SimState {
        int dir_fd, lock_fd;
};

static int state_check_seed(SimState *s, const char *path, uint64_t seed, char **reterr_message) {
        _cleanup_(state_file_freep) StateFile *file = NULL;
        uint64_t held;

        int r = state_file_load_at(s->dir_fd, FILE_NAME, &file);
        if (r == -ENOENT) {
                r = state_file_new(&file);
                if (r >= 0)
                        r = state_file_set_u64(file, "seed", seed);
                return r < 0 ? r : state_file_save_at(file, s->dir_fd, FILE_NAME, 0600);
        }
        if (r >= 0)
                r = state_file_get_u64(file, "seed", &held);
        if (r < 0 || held == seed)
                return r < 0 ? r : 0;
        *reterr_message =
                        strjoinf("The machines in %s are those of seed %" PRIu64 ": say --seed=%" PRIu64
                                 ", or take another directory.",
                                 path, held, held);
        return *reterr_message ? -EEXIST : -ENOMEM;
}

static int state_lock(SimState *s, uint32_t first, uint32_t n, char **reterr_message) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = n };

        s->lock_fd = openat(
                        s->dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
        if (s->lock_fd < 0)
                return negative_errno();
        if (fcntl(s->lock_fd, F_OFD_SETLK, &lock) >= 0)
                return 0;
        if (!IN_SET(errno, EAGAIN, EACCES))
                return negative_errno();
        *reterr_message =
                        strjoinf("Another process plays some of the agents %" PRIu32 " to %" PRIu32
                                 ": give each one numbers of its own with --first= and --agents=.",
                                 first, first + n - 1);
        return *reterr_message ? -EBUSY : -ENOMEM;
}

int sim_state_open(
                SimState **ret,
                const char *path,
                uint64_t seed,
                uint32_t first,
                uint32_t n,
                char **reterr_message) {
        _cleanup_(sim_state_freep) SimState *s = new0(SimState, 1);
        if (!s)
                return -ENOMEM;
        s->dir_fd = s->lock_fd = -EBADF;
        int r = mkdir_parents(path, 0700);
        if (r < 0)
                return r;
        s->dir_fd = RET_NERRNO(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (s->dir_fd < 0)
                return s->dir_fd;
        r = state_check_seed(s, path, seed, reterr_message);
        if (r >= 0)
                r = state_lock(s, first, n, reterr_message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

SimState *sim_state_free(SimState *s) {
        if (s) {
                fd_close(s->lock_fd);
                fd_close(s->dir_fd);
                free(s);
        }
        return NULL;
}

int sim_state_fd(const SimState *s) {
        return s->dir_fd;
}
