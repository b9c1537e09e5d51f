/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-window.h"

#define SECONDS_PER_DAY INT64_C(86400)

void rollout_window_done(RolloutWindow *w) {
        free(w->zone_name);
        timezone_free(w->zone);
        *w = (RolloutWindow){};
}

static int64_t floor_day(int64_t seconds) {
        return seconds / SECONDS_PER_DAY - (seconds % SECONDS_PER_DAY < 0);
}

/* The occurrence that begins on this day, or false when the window does not exist on it. */
static bool window_on_day(const RolloutWindow *w, int64_t day, usec_t *ret_begin, usec_t *ret_end) {
        int64_t begin;

        if (!(w->days & 1U << weekday_of_days(day)))
                return false;
        begin = timezone_from_local(w->zone, day * SECONDS_PER_DAY + (int64_t) w->start * 60);
        *ret_begin = begin > 0 ? (usec_t) begin * USEC_PER_SEC : 0;
        *ret_end = usec_add(*ret_begin, w->length);
        return true;
}

bool rollout_windows_open(const RolloutWindow *windows, size_t n, usec_t now, usec_t *ret_until) {
        usec_t open_until = 0, opens = USEC_INFINITY, begin, end;

        for (size_t i = 0; i < n; i++) {
                const RolloutWindow *w = windows + i;
                int64_t seconds = (int64_t) (now / USEC_PER_SEC);
                int64_t today = floor_day(seconds + timezone_offset(w->zone, seconds));

                /* the longest one that can still be open began a week ago; the next begins within a week */
                for (int64_t day = today - 8; day <= today + 8; day++) {
                        if (!window_on_day(w, day, &begin, &end))
                                continue;
                        if (begin <= now && now < end)
                                open_until = MAX(open_until, end);
                        else if (begin > now)
                                opens = MIN(opens, begin);
                }
        }
        *ret_until = n == 0 ? USEC_INFINITY : open_until > 0 ? open_until : opens;
        return n == 0 || open_until > 0;
}
