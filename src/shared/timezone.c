/* SPDX-License-Identifier: Apache-2.0 */
#include "timezone.h"

#include <fcntl.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "string-util.h"

#define ZONEINFO_DIR "/usr/share/zoneinfo"
#define HEADER_SIZE 44U
#define TRANSITIONS_MAX 4096U
#define TYPES_MAX 256U
#define OFFSET_MAX 93599 /* RFC 9636 §3.2: less than 26 hours */
#define SECONDS_PER_DAY INT64_C(86400)

/* When in a year the clock changes, as the footer says it (RFC 9636 §3.3, POSIX TZ). */
typedef struct Rule {
        enum { RULE_JULIAN, RULE_DAY, RULE_WEEKDAY } kind;
        unsigned month, week, day;
        int32_t time; /* local, seconds after midnight; may be negative or beyond the day */
} Rule;

typedef struct Footer {
        bool present, has_dst;
        int32_t standard, dst; /* offsets */
        Rule begin, end;       /* of DST */
} Footer;

struct TimeZone {
        size_t n_transitions;
        int64_t *transitions;
        uint8_t *types; /* from each transition on */
        size_t n_types;
        int32_t offsets[TYPES_MAX];
        Footer footer;
};

/* ---- calendar ---- */

/* Years begin in March here, so that the odd day comes last. */
int64_t civil_to_days(int64_t year, unsigned month, unsigned day) {
        int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
        int64_t of_era = y - era * 400, of_year = (153 * (month + (month > 2 ? -3U : 9U)) + 2) / 5 + day - 1;

        return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

unsigned weekday_of_days(int64_t days) {
        int64_t w = (days + 4) % 7; /* 1970-01-01 was a Thursday */

        return (unsigned) (w < 0 ? w + 7 : w);
}

static bool year_is_leap(int64_t y) {
        return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int64_t year_of_days(int64_t days) {
        int64_t y = 1970 + days / 366 - (days < 0);

        while (civil_to_days(y + 1, 1, 1) <= days)
                y++;
        return y;
}

/* ---- the footer ---- */

static int take_number(const char **p, unsigned max, unsigned *ret) {
        unsigned n = 0, digits = 0;

        for (; **p >= '0' && **p <= '9'; (*p)++, digits++) {
                n = n * 10 + (unsigned) (**p - '0');
                if (n > max)
                        return -EBADMSG;
        }
        *ret = n;
        return digits > 0 ? 0 : -EBADMSG;
}

/* [+-]hh[:mm[:ss]] */
static int take_time(const char **p, unsigned hours_max, int32_t *ret) {
        unsigned h, m = 0, s = 0;
        bool negative = **p == '-';
        int r;

        if (**p == '-' || **p == '+')
                (*p)++;
        r = take_number(p, hours_max, &h);
        if (r >= 0 && **p == ':') {
                (*p)++;
                r = take_number(p, 59, &m);
        }
        if (r >= 0 && **p == ':') {
                (*p)++;
                r = take_number(p, 59, &s);
        }
        if (r < 0)
                return r;
        *ret = (int32_t) (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
        return 0;
}

static int skip_abbreviation(const char **p) {
        const char *begin = *p;

        if (**p == '<') {
                while (**p && **p != '>')
                        (*p)++;
                if (**p != '>')
                        return -EBADMSG;
                (*p)++;
                return 0;
        }
        while ((**p >= 'A' && **p <= 'Z') || (**p >= 'a' && **p <= 'z'))
                (*p)++;
        return *p - begin >= 3 ? 0 : -EBADMSG;
}

static int take_rule(const char **p, Rule *ret) {
        int r;

        *ret = (Rule){ .time = 7200 };
        if (**p == 'M') {
                ret->kind = RULE_WEEKDAY;
                (*p)++;
                r = take_number(p, 12, &ret->month);
                if (r >= 0 && *(*p)++ != '.')
                        return -EBADMSG;
                if (r >= 0)
                        r = take_number(p, 5, &ret->week);
                if (r >= 0 && *(*p)++ != '.')
                        return -EBADMSG;
                if (r >= 0)
                        r = take_number(p, 6, &ret->day);
                if (r >= 0 && (ret->month < 1 || ret->week < 1))
                        return -EBADMSG;
        } else {
                ret->kind = **p == 'J' ? RULE_JULIAN : RULE_DAY;
                if (**p == 'J')
                        (*p)++;
                r = take_number(p, 365, &ret->day);
                if (r >= 0 && ret->kind == RULE_JULIAN && ret->day < 1)
                        return -EBADMSG;
        }
        if (r >= 0 && **p == '/') {
                (*p)++;
                r = take_time(p, 167, &ret->time);
        }
        return r;
}

static int footer_parse(const char *p, Footer *ret) {
        int r;

        *ret = (Footer){};
        if (!*p)
                return 0;
        ret->present = true;
        r = skip_abbreviation(&p);
        if (r >= 0)
                r = take_time(&p, 24, &ret->standard);
        if (r < 0)
                return r;
        ret->standard = -ret->standard; /* POSIX counts west */
        if (!*p)
                return 0;
        ret->has_dst = true;
        ret->dst = ret->standard + 3600;
        r = skip_abbreviation(&p);
        if (r >= 0 && *p != ',') {
                r = take_time(&p, 24, &ret->dst);
                ret->dst = -ret->dst;
        }
        if (r >= 0 && *p++ != ',')
                return -EBADMSG;
        if (r >= 0)
                r = take_rule(&p, &ret->begin);
        if (r >= 0 && *p++ != ',')
                return -EBADMSG;
        if (r >= 0)
                r = take_rule(&p, &ret->end);
        return r < 0 ? r : *p ? -EBADMSG : 0;
}

/* Local seconds at which the rule strikes in that year. */
static int64_t rule_in_year(const Rule *rule, int64_t year) {
        int64_t days = civil_to_days(year, 1, 1);

        switch (rule->kind) {
        case RULE_JULIAN: /* February 29 is never counted */
                days += rule->day - 1 + (year_is_leap(year) && rule->day >= 60);
                break;
        case RULE_DAY:
                days += rule->day;
                break;
        case RULE_WEEKDAY: {
                int64_t first = civil_to_days(year, rule->month, 1),
                        next = rule->month == 12 ? civil_to_days(year + 1, 1, 1) :
                                                   civil_to_days(year, rule->month + 1, 1);

                days = first + (7 + rule->day - weekday_of_days(first)) % 7 + (rule->week - 1) * 7;
                while (days >= next) /* the fifth means the last */
                        days -= 7;
                break;
        }
        }
        return days * SECONDS_PER_DAY + rule->time;
}

static int32_t footer_offset(const Footer *f, int64_t t) {
        int64_t local = t + f->standard, year, begin, end;
        int64_t days = local / SECONDS_PER_DAY - (local % SECONDS_PER_DAY < 0);

        if (!f->has_dst)
                return f->standard;
        year = year_of_days(days);
        begin = rule_in_year(&f->begin, year) - f->standard;
        end = rule_in_year(&f->end, year) - f->dst;
        if (begin < end)
                return t >= begin && t < end ? f->dst : f->standard;
        return t >= end && t < begin ? f->standard : f->dst; /* the south */
}

/* ---- the file ---- */

static uint32_t get32(const uint8_t *p) {
        return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static int64_t get64(const uint8_t *p) {
        return (int64_t) ((uint64_t) get32(p) << 32 | get32(p + 4));
}

typedef struct Header {
        uint8_t version;
        uint32_t isut, isstd, leap, time, type, chars;
} Header;

static int header_read(const uint8_t *p, size_t left, Header *h) {
        if (left < HEADER_SIZE || memcmp(p, "TZif", 4) != 0)
                return -EBADMSG;
        *h = (Header){ .version = p[4],
                       .isut = get32(p + 20),
                       .isstd = get32(p + 24),
                       .leap = get32(p + 28),
                       .time = get32(p + 32),
                       .type = get32(p + 36),
                       .chars = get32(p + 40) };
        return h->isut > TYPES_MAX || h->isstd > TYPES_MAX || h->leap > TRANSITIONS_MAX ||
                                               h->time > TRANSITIONS_MAX || h->type > TYPES_MAX ||
                                               h->type < 1 || h->chars > TIMEZONE_FILE_MAX ?
                               -EBADMSG :
                               0;
}

static size_t block_size(const Header *h, size_t time_size) {
        return h->time * time_size + h->time + h->type * 6 + h->chars + h->leap * (time_size + 4) +
               h->isstd + h->isut;
}

static int block_read(TimeZone *z, const uint8_t *p, const Header *h) {
        const uint8_t *types = p + h->time * 8, *info = types + h->time;

        z->n_transitions = h->time;
        z->n_types = h->type;
        z->transitions = new0(int64_t, h->time);
        z->types = memdup(types, h->time);
        if (!z->transitions || !z->types)
                return -ENOMEM;
        for (size_t i = 0; i < h->time; i++) {
                z->transitions[i] = get64(p + 8 * i);
                if (types[i] >= h->type || (i > 0 && z->transitions[i] <= z->transitions[i - 1]))
                        return -EBADMSG;
        }
        for (size_t i = 0; i < h->type; i++) {
                z->offsets[i] = (int32_t) get32(info + 6 * i);
                if (z->offsets[i] > OFFSET_MAX || z->offsets[i] < -OFFSET_MAX)
                        return -EBADMSG;
        }
        return 0;
}

int timezone_parse(const void *data, size_t size, TimeZone **ret) {
        _cleanup_(timezone_freep) TimeZone *z = NULL;
        _cleanup_free_ char *footer = NULL;
        const uint8_t *p = data, *end = p + size;
        Header h;
        int r;

        if (size > TIMEZONE_FILE_MAX)
                return -EBADMSG;
        r = header_read(p, size, &h); /* the block of version 1 is there for old readers alone */
        if (r < 0)
                return r;
        if (h.version < '2' || (size_t) (end - p) < HEADER_SIZE + block_size(&h, 4))
                return -EBADMSG;
        p += HEADER_SIZE + block_size(&h, 4);
        r = header_read(p, (size_t) (end - p), &h);
        if (r < 0)
                return r;
        p += HEADER_SIZE;
        if ((size_t) (end - p) < block_size(&h, 8))
                return -EBADMSG;

        z = new0(TimeZone, 1);
        if (!z)
                return -ENOMEM;
        r = block_read(z, p, &h);
        if (r < 0)
                return r;
        p += block_size(&h, 8);
        if (end - p < 2 || *p != '\n' || end[-1] != '\n')
                return -EBADMSG;
        footer = memdup_suffix0(p + 1, (size_t) (end - p) - 2);
        if (!footer)
                return -ENOMEM;
        r = footer_parse(footer, &z->footer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(z);
        return 0;
}

TimeZone *timezone_free(TimeZone *z) {
        if (!z)
                return NULL;
        free(z->transitions);
        free(z->types);
        free(z);
        return NULL;
}

/* It becomes part of a path: plain components alone. */
static bool name_is_valid(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || n > TIMEZONE_NAME_MAX || s[0] == '/' || s[n - 1] == '/' || strstr(s, "//"))
                return false;
        return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

int timezone_load(const char *name, TimeZone **ret) {
        char path[sizeof(ZONEINFO_DIR) + 1 + TIMEZONE_NAME_MAX];
        _cleanup_free_ void *data = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t size;
        int r;

        if (!name_is_valid(name))
                return -EINVAL;
        (void) stpcpy(stpcpy(path, ZONEINFO_DIR "/"), name);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return errno == ENOTDIR ? -ENOENT : negative_errno();
        if (fd_verify_regular(fd) < 0)
                return -ENOENT; /* a folder of zones */
        r = fd_read_all(fd, TIMEZONE_FILE_MAX, &data, &size);
        return r < 0 ? r : timezone_parse(data, size, ret);
}

/* ---- questions ---- */

int32_t timezone_offset(const TimeZone *z, int64_t t) {
        size_t low = 0, high = z->n_transitions;

        if (z->n_transitions == 0 || t < z->transitions[0])
                return z->n_transitions == 0 && z->footer.present ? footer_offset(&z->footer, t) :
                                                                    z->offsets[0];
        if (t >= z->transitions[z->n_transitions - 1] && z->footer.present)
                return footer_offset(&z->footer, t);
        while (high - low > 1) { /* transitions[low] <= t < transitions[high] */
                size_t middle = low + (high - low) / 2;

                if (z->transitions[middle] <= t)
                        low = middle;
                else
                        high = middle;
        }
        return z->offsets[z->types[low]];
}

int64_t timezone_from_local(const TimeZone *z, int64_t local) {
        int32_t before = timezone_offset(z, local - SECONDS_PER_DAY),
                after = timezone_offset(z, local + SECONDS_PER_DAY);
        int64_t low, high, early = local - MAX(before, after), late = local - MIN(before, after);

        if (early + timezone_offset(z, early) == local)
                return early;
        if (late + timezone_offset(z, late) == local)
                return late;
        /* skipped: the clock jumps over it somewhere in between */
        low = early - 1;
        high = late + 1;
        while (high - low > 1) {
                int64_t middle = low + (high - low) / 2;

                if (middle + timezone_offset(z, middle) >= local)
                        high = middle;
                else
                        low = middle;
        }
        return high;
}
