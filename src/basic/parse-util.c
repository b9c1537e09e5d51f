/* SPDX-License-Identifier: Apache-2.0 */

#include "parse-util.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "string-util.h"

int parse_u64(const char *s, uint64_t *ret) {
        uint64_t v = 0;

        if (isempty(s))
                return -EINVAL;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return -EINVAL;
                if (__builtin_mul_overflow(v, (uint64_t) 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t) (*s - '0'), &v))
                        return -ERANGE;
        }
        *ret = v;
        return 0;
}

static int parse_limited(const char *s, uint64_t max, uint64_t *ret) {
        uint64_t v;
        int r = parse_u64(s, &v);
        if (r < 0)
                return r;
        if (v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_u32(const char *s, uint32_t *ret) {
        uint64_t v;
        int r = parse_limited(s, UINT32_MAX, &v);
        if (r >= 0)
                *ret = (uint32_t) v;
        return r;
}

int parse_u16(const char *s, uint16_t *ret) {
        uint64_t v;
        int r = parse_limited(s, UINT16_MAX, &v);
        if (r >= 0)
                *ret = (uint16_t) v;
        return r;
}

int parse_boolean(const char *s) {
        static const char *const yes[] = { "1", "yes", "true", "on", "y", "t" };
        static const char *const no[] = { "0", "no", "false", "off", "n", "f" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (strcasecmp(s, yes[i]) == 0)
                        return 1;
                if (strcasecmp(s, no[i]) == 0)
                        return 0;
        }
        return -EINVAL;
}

typedef struct Unit {
        const char *name;
        uint64_t factor;
} Unit;

/* A sum of "number unit" items. Numbers may have a fraction; scale is what a bare number counts in. */
static int parse_with_units(const char *s, const Unit units[], size_t n_units, uint64_t scale, uint64_t *ret) {
        uint64_t total = 0;
        bool any = false;

        for (;;) {
                s += strspn(s, " \t");
                if (!*s)
                        break;
                if (!isdigit((unsigned char) *s))
                        return -EINVAL;

                uint64_t whole = 0, fraction = 0, divisor = 1;
                for (; isdigit((unsigned char) *s); s++)
                        if (__builtin_mul_overflow(whole, (uint64_t) 10, &whole) ||
                            __builtin_add_overflow(whole, (uint64_t) (*s - '0'), &whole))
                                return -ERANGE;
                if (*s == '.') {
                        if (!isdigit((unsigned char) *++s))
                                return -EINVAL;
                        for (; isdigit((unsigned char) *s); s++)
                                if (divisor < 1000000) {
                                        fraction = fraction * 10 + (uint64_t) (*s - '0');
                                        divisor *= 10;
                                }
                }

                s += strspn(s, " \t");
                size_t length = 0;
                while (isalpha((unsigned char) s[length]))
                        length++;
                uint64_t factor = 0;
                if (length == 0)
                        factor = scale;
                for (size_t i = 0; i < n_units && factor == 0; i++)
                        if (strlen(units[i].name) == length && strncmp(s, units[i].name, length) == 0)
                                factor = units[i].factor;
                if (factor == 0)
                        return -EINVAL;
                s += length;

                uint64_t part, part_fraction;
                if (__builtin_mul_overflow(whole, factor, &part) ||
                    __builtin_mul_overflow(fraction, factor, &part_fraction) ||
                    __builtin_add_overflow(part, part_fraction / divisor, &part) ||
                    __builtin_add_overflow(total, part, &total))
                        return -ERANGE;
                any = true;
        }

        if (!any)
                return -EINVAL;
        *ret = total;
        return 0;
}

int parse_sec(const char *s, usec_t *ret) {
        static const Unit units[] = {
                { "us", 1 }, { "usec", 1 },
                { "ms", USEC_PER_MSEC }, { "msec", USEC_PER_MSEC },
                { "s", USEC_PER_SEC }, { "sec", USEC_PER_SEC }, { "second", USEC_PER_SEC },
                { "seconds", USEC_PER_SEC },
                { "m", USEC_PER_MINUTE }, { "min", USEC_PER_MINUTE }, { "minute", USEC_PER_MINUTE },
                { "minutes", USEC_PER_MINUTE },
                { "h", USEC_PER_HOUR }, { "hr", USEC_PER_HOUR }, { "hour", USEC_PER_HOUR },
                { "hours", USEC_PER_HOUR },
                { "d", USEC_PER_DAY }, { "day", USEC_PER_DAY }, { "days", USEC_PER_DAY },
                { "w", 7 * USEC_PER_DAY }, { "week", 7 * USEC_PER_DAY }, { "weeks", 7 * USEC_PER_DAY },
        };

        if (streq(s, "infinity")) {
                *ret = USEC_INFINITY;
                return 0;
        }
        return parse_with_units(s, units, ELEMENTSOF(units), USEC_PER_SEC, ret);
}

int parse_size(const char *s, uint64_t *ret) {
        static const Unit units[] = {
                { "B", 1 }, { "K", KIB(1) }, { "M", MIB(1) }, { "G", GIB(1) }, { "T", GIB(1024) },
        };

        return parse_with_units(s, units, ELEMENTSOF(units), 1, ret);
}

int parse_host_port(const char *s, uint16_t default_port, char **ret_host, uint16_t *ret_port) {
        const char *host = s, *port = NULL;
        size_t host_size;
        int r;

        if (*s == '[') {
                const char *end = strchr(s, ']');
                if (!end)
                        return -EINVAL;
                host = s + 1;
                host_size = (size_t) (end - host);
                if (end[1] == ':')
                        port = end + 2;
                else if (end[1])
                        return -EINVAL;
                if (strspn(host, "0123456789abcdefABCDEF:.%") < host_size)
                        return -EINVAL;
        } else {
                const char *colon = strchr(s, ':');
                host_size = colon ? (size_t) (colon - s) : strlen(s);
                port = colon ? colon + 1 : NULL;
                if (strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") < host_size)
                        return -EINVAL;
        }
        if (host_size == 0 || host_size > 253)
                return -EINVAL;

        uint16_t number = default_port;
        if (port) {
                r = parse_u16(port, &number);
                if (r < 0)
                        return r;
        }
        if (number == 0)
                return port ? -ERANGE : -EINVAL;

        char *copy = strndup(host, host_size);
        if (!copy)
                return -ENOMEM;
        *ret_host = copy;
        *ret_port = number;
        return 0;
}
