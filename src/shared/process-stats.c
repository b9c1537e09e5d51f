/* SPDX-License-Identifier: Apache-2.0 */
#include "process-stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "errno-util.h"
#include "fd-util.h"

#define STAT_FILE_MAX 4096U

static int read_proc(const char *path, char **ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *data;
        size_t size;
        int r;

        if (fd < 0)
                return negative_errno();
        r = fd_read_all(fd, STAT_FILE_MAX, &data, &size);
        if (r < 0)
                return r;
        *ret = data;
        return 0;
}

static int read_memory(ProcessStats *s) {
        _cleanup_free_ char *text = NULL;
        long page = sysconf(_SC_PAGESIZE);
        int r;

        r = read_proc("/proc/self/statm", &text);
        if (r < 0)
                return r;
        if (page <= 0 || sscanf(text, "%" SCNu64 " %" SCNu64, &s->virtual, &s->resident) != 2)
                return -EBADMSG;
        s->virtual *= (uint64_t) page;
        s->resident *= (uint64_t) page;
        return 0;
}

/* The kernel counts from boot, and hides when that was from who may not see /proc/stat. */
static int read_start(ProcessStats *s) {
        _cleanup_free_ char *text = NULL;
        long ticks = sysconf(_SC_CLK_TCK);
        uint64_t start;
        const char *p;
        int r;

        r = read_proc("/proc/self/stat", &text);
        if (r < 0)
                return r;
        p = strrchr(text, ')'); /* the name before may hold anything */
        if (!p || ticks <= 0 ||
            sscanf(p + 1,
                   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
                   &start) != 1)
                return -EBADMSG;
        s->started =
                        usec_sub(now(CLOCK_REALTIME),
                                 usec_sub(now(CLOCK_BOOTTIME), start * USEC_PER_SEC / (uint64_t) ticks));
        return 0;
}

static void dir_closep(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

int process_count_fds(uint64_t *ret) {
        _cleanup_(dir_closep) DIR *d = opendir("/proc/self/fd");
        uint64_t n = 0;
        struct stat st;

        if (!d)
                return negative_errno();
        if (fstat(dirfd(d), &st) < 0)
                return negative_errno();
        if (st.st_size > 0) { /* since Linux 6.2 */
                *ret = (uint64_t) st.st_size - 1;
                return 0;
        }
        while (readdir(d))
                n++;
        *ret = n - MIN(n, 3U); /* ".", ".." and the directory itself */
        return 0;
}

int process_stats_read(ProcessStats *ret) {
        ProcessStats s = {};
        struct rusage usage;
        struct rlimit limit;
        int r;

        if (getrusage(RUSAGE_SELF, &usage) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return negative_errno();
        s.cpu = (usec_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * USEC_PER_SEC +
                (usec_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
        s.max_fds = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
        r = read_memory(&s);
        if (r >= 0)
                r = read_start(&s);
        if (r < 0)
                return r;
        *ret = s;
        return 0;
}
