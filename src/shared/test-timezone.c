/* SPDX-License-Identifier: Apache-2.0 */

/* Our reading of the zone files against libc's, over many zones and the years 1900 to 2200. */

#include <time.h>

#include "tests.h"
#include "time-util.h"
#include "timezone.h"

static const char *const zones[] = {
        "UTC",
        "Europe/Berlin",
        "Europe/London",
        "Europe/Dublin",
        "Africa/Casablanca",
        "America/New_York",
        "America/Sao_Paulo",
        "America/St_Johns",
        "America/Santiago",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Asia/Tehran",
        "Asia/Gaza",
        "Asia/Jerusalem",
        "Australia/Sydney",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Chatham",
        "Pacific/Auckland",
        "America/Nuuk",
        "Antarctica/Troll",
        "Etc/GMT+5",
};

static uint64_t state = 1;

static int64_t draw(int64_t low, int64_t high) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return low + (int64_t) ((state >> 20) % (uint64_t) (high - low));
}

static int32_t libc_offset(int64_t t) {
        time_t seconds = (time_t) t;
        struct tm tm;

        assert_se(localtime_r(&seconds, &tm));
        return (int32_t) tm.tm_gmtoff;
}

static void test_against_libc(void) {
        for (size_t i = 0; i < ELEMENTSOF(zones); i++) {
                _cleanup_(timezone_freep) TimeZone *z = NULL;

                assert_ok(timezone_load(zones[i], &z));
                assert_se(setenv("TZ", zones[i], 1) == 0);
                tzset();
                for (unsigned n = 0; n < 20000; n++) {
                        int64_t t = draw(INT64_C(-2208988800), INT64_C(7258118400));

                        if (timezone_offset(z, t) != libc_offset(t)) {
                                printf("%s at %" PRId64 ": %d, not %d\n", zones[i], t, timezone_offset(z, t),
                                       libc_offset(t));
                                abort();
                        }
                }
        }
}

/* The first moment of the days around at which the clock shows the time or something later, by looking at
 * each minute. */
static int64_t from_local_slowly(const TimeZone *z, int64_t local) {
        int64_t t = local - 27 * 3600;

        t -= t % 60;
        while (t + timezone_offset(z, t) < local)
                t += 60;
        return t;
}

static void test_from_local(void) {
        for (size_t i = 0; i < ELEMENTSOF(zones); i++) {
                _cleanup_(timezone_freep) TimeZone *z = NULL;

                assert_ok(timezone_load(zones[i], &z));
                for (unsigned n = 0; n < 300; n++) {
                        int64_t local =
                                        draw(INT64_C(946684800),
                                             INT64_C(4102444800)); /* offsets of whole minutes since */

                        local -= local % 60;
                        assert_se(timezone_from_local(z, local) == from_local_slowly(z, local));
                }
        }
}

static int64_t at(int64_t year, unsigned month, unsigned day, int64_t hour, int64_t minute) {
        return civil_to_days(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

/* In Berlin the clock skips 02:00 to 03:00 on 2026-03-29 and repeats it on 2026-10-25. */
static void test_daylight_saving(void) {
        _cleanup_(timezone_freep) TimeZone *z = NULL;

        assert_ok(timezone_load("Europe/Berlin", &z));
        assert_se(timezone_from_local(z, at(2026, 3, 29, 1, 59)) == at(2026, 3, 29, 0, 59));
        assert_se(timezone_from_local(z, at(2026, 3, 29, 2, 0)) == at(2026, 3, 29, 1, 0));
        assert_se(timezone_from_local(z, at(2026, 3, 29, 2, 30)) == at(2026, 3, 29, 1, 0));
        assert_se(timezone_from_local(z, at(2026, 3, 29, 3, 0)) == at(2026, 3, 29, 1, 0));
        assert_se(timezone_from_local(z, at(2026, 3, 29, 3, 30)) == at(2026, 3, 29, 1, 30));
        assert_se(timezone_from_local(z, at(2026, 10, 25, 2, 30)) == at(2026, 10, 25, 0, 30));
        assert_se(timezone_from_local(z, at(2026, 10, 25, 3, 0)) == at(2026, 10, 25, 2, 0));
        /* far beyond the last transition in the file */
        assert_se(timezone_from_local(z, at(2199, 7, 1, 12, 0)) == at(2199, 7, 1, 10, 0));
        assert_se(timezone_from_local(z, at(2199, 12, 1, 12, 0)) == at(2199, 12, 1, 11, 0));
}

static void test_calendar(void) {
        assert_se(civil_to_days(1970, 1, 1) == 0 && weekday_of_days(0) == 4);
        assert_se(civil_to_days(2026, 11, 25) == 20782 && weekday_of_days(20782) == 3);
        assert_se(civil_to_days(1969, 12, 31) == -1 && weekday_of_days(-1) == 3);
        assert_se(civil_to_days(2000, 3, 1) - civil_to_days(2000, 2, 28) == 2);
        assert_se(civil_to_days(1900, 3, 1) - civil_to_days(1900, 2, 28) == 1);
}

static void test_bad(void) {
        static const char *const names[] = {
                "", "/etc/passwd", "../../etc/passwd", "Europe//Berlin", "Europe/", "a b", "."
        };
        _cleanup_(timezone_freep) TimeZone *z = NULL;
        char data[200] = "TZif2";

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_error(timezone_load(names[i], &z), EINVAL);
        assert_error(timezone_load("Europe/Atlantis", &z), ENOENT);
        assert_error(timezone_load("Europe", &z), ENOENT);
        assert_error(timezone_load("UTC/x", &z), ENOENT);
        assert_error(timezone_load("tzdata+zi", &z), ENOENT);
        for (size_t n = 0; n <= sizeof(data); n++)
                assert_error(timezone_parse(data, n, &z), EBADMSG);
        assert_se(!z);
}

int main(void) {
        test_calendar();
        test_daylight_saving();
        test_from_local();
        test_bad();
        test_against_libc();
        return 0;
}
