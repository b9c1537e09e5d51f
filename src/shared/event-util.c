/* SPDX-License-Identifier: Apache-2.0 */

#include "event-util.h"

#include <errno.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"

int event_setup_daemon(sd_event **ret) {
        return event_setup_daemon_with(ret, NULL, NULL);
}

int event_setup_daemon_with(sd_event **ret, sd_event_signal_handler_t on_terminate, void *userdata) {
        _cleanup_(sd_event_unrefp) sd_event *e = NULL;
        sigset_t mask;
        int r;

        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return negative_errno();
        if (sigemptyset(&mask) < 0 || sigaddset(&mask, SIGTERM) < 0 || sigaddset(&mask, SIGINT) < 0 ||
            sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return negative_errno();

        r = sd_event_default(&e);
        if (r < 0)
                return r;
        r = sd_event_add_signal(e, NULL, SIGTERM, on_terminate, userdata);
        if (r < 0)
                return r;
        r = sd_event_add_signal(e, NULL, SIGINT, on_terminate, userdata);
        if (r < 0)
                return r;
        r = sd_event_set_watchdog(e, true);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(e);
        return 0;
}

int event_timer_arm(
                sd_event *e, sd_event_source **source, usec_t usec, sd_event_time_handler_t callback, void *userdata,
                const char *description) {

        usec_t accuracy = usec < 10 * USEC_PER_SEC ? 10 * USEC_PER_MSEC : 100 * USEC_PER_MSEC;
        int r;

        if (usec == USEC_INFINITY)
                return event_timer_disarm(*source);

        if (*source) {
                r = sd_event_source_set_time_relative(*source, usec);
                if (r < 0)
                        return r;
                r = sd_event_source_set_time_accuracy(*source, accuracy);
                if (r < 0)
                        return r;
                return sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
        }

        r = sd_event_add_time_relative(e, source, CLOCK_BOOTTIME, usec, accuracy, callback, userdata);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(*source, description);
        return 0;
}

int event_timer_disarm(sd_event_source *source) {
        return source ? sd_event_source_set_enabled(source, SD_EVENT_OFF) : 0;
}

int event_defer_once(
                sd_event *e, sd_event_source **source, sd_event_handler_t callback, void *userdata,
                const char *description) {

        if (*source)
                return sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);

        int r = sd_event_add_defer(e, source, callback, userdata);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(*source, description);
        return 0;
}

/* A timer that never runs out: the kernel cancels it when the clock is set. */
static int clock_change_arm(int fd) {
        const struct itimerspec never = { .it_value.tv_sec = sizeof(time_t) == 8 ? (time_t) INT64_MAX : (time_t) INT32_MAX };

        if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
                return -errno;
        return 0;
}

int event_clock_change_take(int fd) {
        uint64_t expirations;

        if (read(fd, &expirations, sizeof(expirations)) >= 0)
                return 0;
        if (errno == EAGAIN || errno == EINTR)
                return 0;
        if (errno != ECANCELED)
                return -errno;
        return clock_change_arm(fd) < 0 ? -errno : 1;
}

int event_add_clock_change(sd_event *e, sd_event_source **ret, sd_event_io_handler_t callback, void *userdata,
                           const char *description) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *source = NULL;
        _cleanup_close_ int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        int r;

        if (fd < 0)
                return -errno;
        r = clock_change_arm(fd);
        if (r >= 0)
                r = sd_event_add_io(e, &source, fd, EPOLLIN, callback, userdata);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(source, true);
        if (r < 0)
                return r;
        TAKE_FD(fd);
        (void) sd_event_source_set_description(source, description);
        *ret = TAKE_PTR(source);
        return 0;
}
