/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Maintenance windows: on which days, from what time of the wall clock on, for how long, in which zone.
 * Pure, given the zones.
 *
 * Daylight saving: a window begins when the clock on the wall shows its time. Where the clock skips that
 * time, it begins at the end of the gap; where the clock shows it twice, at the first of the two, once. Its
 * length is real time: a window of four hours is open for four hours on every day of the year. */

#include "time-util.h"
#include "timezone.h"

#define ROLLOUT_WINDOWS_MAX 16U
#define ROLLOUT_WINDOW_LENGTH_MIN (5 * USEC_PER_MINUTE)
#define ROLLOUT_WINDOW_LENGTH_MAX (7 * USEC_PER_DAY)

typedef struct RolloutWindow {
        uint8_t days;   /* bits, 0: Sunday to 6: Saturday; at least one */
        unsigned start; /* minutes after midnight, below 1440 */
        usec_t length;
        char *zone_name;
        TimeZone *zone;
} RolloutWindow;

void rollout_window_done(RolloutWindow *w);

/* Is any of them open at this moment (CLOCK_REALTIME)? *ret_until: when that may change; look again then.
 * Without windows the answer is always yes, until USEC_INFINITY. */
bool rollout_windows_open(const RolloutWindow *windows, size_t n, usec_t now, usec_t *ret_until);
