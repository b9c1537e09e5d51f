/* SPDX-License-Identifier: Apache-2.0 */

/* When windows are open, above all around the nights in which clocks are changed. */

#include "rollout-fixture.h"

static usec_t at(int64_t year, unsigned month, unsigned day, int64_t hour, int64_t minute) {
        return (usec_t) (civil_to_days(year, month, day) * 86400 + hour * 3600 + minute * 60) * SEC;
}

static RolloutWindow window(uint8_t days, unsigned hour, unsigned minute, usec_t length, const char *zone) {
        RolloutWindow w = { .days = days, .start = hour * 60 + minute, .length = length };

        assert_ok(timezone_load(zone, &w.zone));
        return w;
}

static void expect(const RolloutWindow *w, size_t n, usec_t now, bool open, usec_t until) {
        usec_t t;

        assert_se(rollout_windows_open(w, n, now, &t) == open);
        if (t == until)
                return;
        fprintf(stderr, "until %" PRIu64 ", not %" PRIu64 "\n", t / SEC, until / SEC);
        abort();
}

int main(void) {
        const uint8_t sunday = 1U << 0, wednesday = 1U << 3, always = 127;
        RolloutWindow w, two[2];

        expect(NULL, 0, MORNING, true, USEC_INFINITY);

        /* Wednesdays 22:00 to 02:00 in Berlin, which is 21:00 to 01:00 UTC in winter */
        w = window(wednesday, 22, 0, 4 * USEC_PER_HOUR, "Europe/Berlin");
        expect(&w, 1, at(2026, 11, 25, 20, 59), false, at(2026, 11, 25, 21, 0));
        expect(&w, 1, at(2026, 11, 25, 21, 0), true, at(2026, 11, 26, 1, 0));
        expect(&w, 1, at(2026, 11, 26, 0, 59), true, at(2026, 11, 26, 1, 0));
        expect(&w, 1, at(2026, 11, 26, 1, 0), false, at(2026, 12, 2, 21, 0));
        expect(&w, 1, at(2026, 7, 1, 20, 0), true, at(2026, 7, 2, 0, 0));
        rollout_window_done(&w);

        /* 2026-03-29 has no 02:30 in Berlin: the window begins at 03:00 summer time (01:00 UTC), and is as
         * long as ever */
        w = window(sunday, 2, 30, 2 * USEC_PER_HOUR, "Europe/Berlin");
        expect(&w, 1, at(2026, 3, 29, 0, 59), false, at(2026, 3, 29, 1, 0));
        expect(&w, 1, at(2026, 3, 29, 1, 0), true, at(2026, 3, 29, 3, 0));
        expect(&w, 1, at(2026, 3, 29, 3, 0), false, at(2026, 4, 5, 0, 30));
        /* 2026-10-25 has it twice: it begins at the first (00:30 UTC), once */
        expect(&w, 1, at(2026, 10, 25, 0, 29), false, at(2026, 10, 25, 0, 30));
        expect(&w, 1, at(2026, 10, 25, 0, 30), true, at(2026, 10, 25, 2, 30));
        expect(&w, 1, at(2026, 10, 25, 2, 30), false, at(2026, 11, 1, 1, 30));
        rollout_window_done(&w);

        /* New York changes at 02:00 of its own time: on 2026-03-08 at 07:00 UTC, and back on 2026-11-01 at
         * 06:00 UTC, two hours and a week apart from Berlin */
        w = window(sunday, 2, 30, 2 * USEC_PER_HOUR, "America/New_York");
        expect(&w, 1, at(2026, 3, 1, 7, 29), false, at(2026, 3, 1, 7, 30));
        expect(&w, 1, at(2026, 3, 1, 9, 30), false, at(2026, 3, 8, 7, 0));
        expect(&w, 1, at(2026, 3, 8, 7, 0), true, at(2026, 3, 8, 9, 0));
        expect(&w, 1, at(2026, 3, 8, 9, 0), false, at(2026, 3, 15, 6, 30));
        rollout_window_done(&w);
        w = window(sunday, 1, 30, USEC_PER_HOUR, "America/New_York");
        expect(&w, 1, at(2026, 10, 25, 5, 30), true, at(2026, 10, 25, 6, 30));
        expect(&w, 1, at(2026, 11, 1, 5, 29), false, at(2026, 11, 1, 5, 30));
        expect(&w, 1, at(2026, 11, 1, 5, 30), true, at(2026, 11, 1, 6, 30));
        expect(&w, 1, at(2026, 11, 1, 6, 30), false, at(2026, 11, 8, 6, 30)); /* 01:30 again, and not again open */
        rollout_window_done(&w);

        /* across the night in which the clock is changed it is open for four hours all the same */
        w = window(1U << 6, 23, 0, 4 * USEC_PER_HOUR, "Europe/Berlin");
        expect(&w, 1, at(2026, 3, 28, 22, 0), true, at(2026, 3, 29, 2, 0));
        expect(&w, 1, at(2026, 10, 24, 21, 0), true, at(2026, 10, 25, 1, 0));
        rollout_window_done(&w);

        /* the date that counts is the one of the zone: Monday in Auckland begins on Sunday in Greenwich */
        w = window(1U << 1, 0, 30, USEC_PER_HOUR, "Pacific/Auckland");
        expect(&w, 1, at(2026, 11, 29, 11, 30), true, at(2026, 11, 29, 12, 30));
        expect(&w, 1, at(2026, 11, 30, 11, 30), false, at(2026, 12, 6, 11, 30));
        rollout_window_done(&w);

        /* as long as a week, it is always open; two that overlap are open until the later end */
        w = window(wednesday, 0, 0, ROLLOUT_WINDOW_LENGTH_MAX, "UTC");
        expect(&w, 1, at(2026, 11, 24, 23, 59), true, at(2026, 11, 25, 0, 0));
        expect(&w, 1, at(2026, 11, 25, 0, 0), true, at(2026, 12, 2, 0, 0));
        rollout_window_done(&w);
        two[0] = window(always, 10, 0, USEC_PER_HOUR, "UTC");
        two[1] = window(wednesday, 10, 30, USEC_PER_HOUR, "UTC");
        expect(two, 2, at(2026, 11, 25, 10, 0), true, at(2026, 11, 25, 11, 0));
        expect(two, 2, at(2026, 11, 25, 10, 45), true, at(2026, 11, 25, 11, 30));
        expect(two, 2, at(2026, 11, 25, 11, 30), false, at(2026, 11, 26, 10, 0));
        rollout_window_done(&two[0]);
        rollout_window_done(&two[1]);
        return 0;
}
