/* SPDX-License-Identifier: Apache-2.0 */

/* For LD_PRELOAD: the wall clock of one process is WRONG_CLOCK_SEC ahead, or as many seconds as the file WRONG_CLOCK_FILE
 * says, which may be written anew at any time: then the clock is set, as timerfd_create(2) has it for
 * TFD_TIMER_CANCEL_ON_SET, unless there is WRONG_CLOCK_DEAF. All other clocks are right. (faketime also touches the timers of an event loop.) */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int watch = -1; /* stands for the timer that hears of it */

static long file_ahead(const char *path) {
        char text[32] = {};
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return 0;
        if (syscall(SYS_read, fd, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
        (void) close(fd);
        return atol(text);
}

static long ahead(void) {
        const char *file = getenv("WRONG_CLOCK_FILE"), *seconds = getenv("WRONG_CLOCK_SEC");

        return file ? file_ahead(file) : seconds ? atol(seconds) : 0;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ts) {
        int r = (int) syscall(SYS_clock_gettime, clock, ts);

        if (r == 0 && clock == CLOCK_REALTIME) {
                int saved = errno;

                ts->tv_sec += ahead();
                errno = saved;
        }
        return r;
}

EXPORT time_t time(time_t *ret) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        if (ret)
                *ret = ts.tv_sec;
        return ts.tv_sec;
}

EXPORT int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old) {
        const char *file = getenv("WRONG_CLOCK_FILE");
        int changes;

        if (!file || getenv("WRONG_CLOCK_DEAF") || !(flags & TFD_TIMER_CANCEL_ON_SET))
                return (int) syscall(SYS_timerfd_settime, fd, flags, new, old);
        if (fd == watch)
                return 0;
        changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (changes < 0 || inotify_add_watch(changes, file, IN_CLOSE_WRITE) < 0 || dup3(changes, fd, O_CLOEXEC) < 0)
                return -1;
        (void) close(changes);
        watch = fd;
        return 0;
}

EXPORT ssize_t read(int fd, void *buffer, size_t size) {
        char events[4096];

        if (fd != watch)
                return syscall(SYS_read, fd, buffer, size);
        if (syscall(SYS_read, fd, events, sizeof(events)) < 0)
                return -1;
        errno = ECANCELED;
        return -1;
}
