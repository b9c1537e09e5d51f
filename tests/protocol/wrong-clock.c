/* SPDX-License-Identifier: Apache-2.0 */

/* For LD_PRELOAD: the wall clock of one process is WRONG_CLOCK_SEC ahead, all other clocks are right. (faketime also
 * touches the timers of an event loop.) */

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ts) {
        int r = (int) syscall(SYS_clock_gettime, clock, ts);
        const char *ahead = getenv("WRONG_CLOCK_SEC");

        if (r == 0 && clock == CLOCK_REALTIME && ahead)
                ts->tv_sec += atol(ahead);
        return r;
}

__attribute__((visibility("default"))) time_t time(time_t *ret) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        if (ret)
                *ret = ts.tv_sec;
        return ts.tv_sec;
}
