/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sd-event helpers (cleanup functions such as sd_event_unrefp come with its headers): the usual start of a daemon, timers that are re-armed, deferred work that runs once. */

#include <systemd/sd-event.h>

#include "macro.h"
#include "time-util.h"


/* Blocks and handles SIGTERM and SIGINT (both end the loop with 0), SIGPIPE ignored, watchdog on. */
int event_setup_daemon(sd_event **ret);
/* The same with a handler of one's own for both signals, for who has something to say before it goes. */
int event_setup_daemon_with(sd_event **ret, sd_event_signal_handler_t on_terminate, void *userdata);

/* (Re)arms *source as a one-shot timer on CLOCK_BOOTTIME, usec from now, creating it when NULL. The accuracy is
 * 10 ms below 10 s and 100 ms above. USEC_INFINITY switches it off. */
int event_timer_arm(sd_event *e, sd_event_source **source, usec_t usec, sd_event_time_handler_t callback,
                    void *userdata, const char *description);
int event_timer_disarm(sd_event_source *source);          /* NULL is fine */

/* Runs callback once from the loop; asking again before it ran changes nothing. */
int event_defer_once(sd_event *e, sd_event_source **source, sd_event_handler_t callback, void *userdata,
                     const char *description);

/* Hears of it when the wall clock is set, by however little; the callback is one of sd_event_add_io() and begins with
 * event_clock_change_take(): 1, and 0 if it was woken in vain. The source owns the descriptor. */
int event_add_clock_change(sd_event *e, sd_event_source **ret, sd_event_io_handler_t callback, void *userdata,
                           const char *description);
int event_clock_change_take(int fd);
