/* SPDX-License-Identifier: Apache-2.0 */

#include "time-util.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

usec_t now(clockid_t clock) {
        struct timespec ts;

        if (clock_gettime(clock, &ts) < 0)
                abort(); /* only with a clock that does not exist */
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / NSEC_PER_USEC;
}

const char *rfc3339_format(usec_t realtime, char buf[static RFC3339_MAX]) {
        time_t t = (time_t) (realtime / USEC_PER_SEC);
        struct tm tm;

        if (!gmtime_r(&t, &tm) || strftime(buf, RFC3339_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                strcpy(buf, "n/a");
        return buf;
}

int rfc3339_parse(const char *s, usec_t *ret) {
        static const char pattern[] = "dddd-dd-ddTdd:dd:ddZ";

        if (strlen(s) != strlen(pattern))
                return -EINVAL;
        for (size_t i = 0; pattern[i]; i++)
                if (pattern[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != pattern[i])
                        return -EINVAL;

#define DIGITS2(i) ((s[i] - '0') * 10 + s[(i) + 1] - '0')
        struct tm tm = {
                .tm_year = DIGITS2(0) * 100 + DIGITS2(2) - 1900,
                .tm_mon = DIGITS2(5) - 1,
                .tm_mday = DIGITS2(8),
                .tm_hour = DIGITS2(11),
                .tm_min = DIGITS2(14),
                .tm_sec = DIGITS2(17),
        };
#undef DIGITS2
        if (tm.tm_sec > 59)
                return -EINVAL;

        struct tm copy = tm;
        time_t t = timegm(&copy);
        if (t < 0)
                return -ERANGE;
        /* timegm() makes 1 March of 30 February: only what comes back unchanged is a date */
        if (copy.tm_mon != tm.tm_mon || copy.tm_mday != tm.tm_mday || copy.tm_hour != tm.tm_hour ||
            copy.tm_min != tm.tm_min)
                return -EINVAL;
        *ret = (usec_t) t * USEC_PER_SEC;
        return 0;
}

const char *timespan_format(usec_t t, char buf[static TIMESPAN_MAX]) {
        static const struct {
                const char *name;
                usec_t usec;
        } units[] = {
                { "d", USEC_PER_DAY }, { "h", USEC_PER_HOUR }, { "min", USEC_PER_MINUTE },
                { "s", USEC_PER_SEC }, { "ms", USEC_PER_MSEC }, { "us", 1 },
        };

        if (t == USEC_INFINITY)
                return strcpy(buf, "infinity");
        if (t == 0)
                return strcpy(buf, "0s");

        size_t n = 0;
        unsigned parts = 0;
        for (size_t i = 0; i < ELEMENTSOF(units) && parts < 2; i++) {
                usec_t v = t / units[i].usec;
                if (v == 0) {
                        if (parts > 0)
                                break; /* two neighbouring units at most */
                        continue;
                }
                t %= units[i].usec;
                n += (size_t) snprintf(buf + n, TIMESPAN_MAX - n, "%s%" PRIu64 "%s", parts > 0 ? " " : "", v, units[i].name);
                parts++;
        }
        return buf;
}

usec_t backoff_full_jitter(usec_t base, usec_t max, unsigned attempt, uint64_t random) {
        usec_t limit = base;
        for (unsigned i = 0; i < attempt && limit < max; i++)
                limit = limit > max / 2 ? max : limit * 2;
        limit = MIN(limit, max);
        return limit == USEC_INFINITY ? random : random % (limit + 1);
}

uint64_t random_u64(void) {
        uint64_t v;
        ssize_t n;

        do
                n = getrandom(&v, sizeof(v), 0);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t) sizeof(v))
                abort();
        return v;
}
