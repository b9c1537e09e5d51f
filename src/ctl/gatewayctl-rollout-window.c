/* SPDX-License-Identifier: Apache-2.0 */

/* Maintenance windows as people write them: "Mon..Fri 22:00 6h Europe/Berlin". */

#include <ctype.h>
#include <strings.h>

#include "gatewayctl-rollout.h"
#include "parse-util.h"
#include "string-util.h"

#define DAYS 7U

/* As the week goes for people, and as the API names them. */
static const char *const day_names[DAYS] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };
static const char *const day_rests[DAYS] = { "day", "sday", "nesday", "rsday", "day", "urday", "day" };

/* "Mon" or "Monday"; -EINVAL. */
static int parse_day(const char *s, size_t n) {
        for (unsigned d = 0; d < DAYS; d++)
                if (n >= 3 && strncasecmp(s, day_names[d], 3) == 0 &&
                    (n == 3 ||
                     (n == 3 + strlen(day_rests[d]) && strncasecmp(s + 3, day_rests[d], n - 3) == 0)))
                        return (int) d;
        return -EINVAL;
}

/* "Mon", "Mon..Fri" and "Fri..Mon", which goes round. */
static int parse_range(const char *s, bool days[DAYS]) {
        const char *dots = strstr(s, "..");
        int first = parse_day(s, dots ? (size_t) (dots - s) : strlen(s)),
            last = dots ? parse_day(dots + 2, strlen(dots + 2)) : first;

        if (first < 0 || last < 0)
                return -EINVAL;
        for (unsigned d = (unsigned) first;; d = (d + 1) % DAYS) {
                days[d] = true;
                if (d == (unsigned) last)
                        return 0;
        }
}

static int parse_days(const char *text, json_t *list) {
        _cleanup_strv_free_ char **ranges = NULL;
        bool days[DAYS] = {};
        int r;

        r = strv_split(text, ",", &ranges);
        STRV_FOREACH(range, ranges)
        if (r >= 0)
                r = parse_range(*range, days);
        for (unsigned d = 0; r >= 0 && d < DAYS; d++)
                if (days[d] && json_array_append_new(list, json_string(day_names[d])) < 0)
                        r = -ENOMEM;
        return r < 0 ? r : json_array_size(list) > 0 ? 0 : -EINVAL;
}

/* "22:00", or "9:30" */
static int parse_start(const char *s, json_t *o) {
        char text[8];
        size_t n = strlen(s);

        if (n < 4 || n > 5 || s[n - 3] != ':' || !isdigit((unsigned char) s[0]) ||
            (n == 5 && !isdigit((unsigned char) s[1])) || !isdigit((unsigned char) s[n - 2]) ||
            !isdigit((unsigned char) s[n - 1]))
                return -EINVAL;
        (void) snprintf(text, sizeof(text), "%s%s", n == 4 ? "0" : "", s);
        return json_set_string(o, "start", text);
}

/* The words between the time and the zone. */
static int parse_length(char *const *words, size_t n, json_t *o) {
        _cleanup_free_ char *text = NULL;
        usec_t length;

        for (size_t i = 0; i < n; i++) {
                char *longer = strjoinf("%s%s%s", strempty(text), text ? " " : "", words[i]);

                free(text);
                text = longer;
                if (!text)
                        return -ENOMEM;
        }
        if (parse_sec(text, &length) < 0 || length == USEC_INFINITY || length % USEC_PER_SEC != 0)
                return -EINVAL;
        return json_set_u64(o, "duration_sec", length / USEC_PER_SEC);
}

int rollout_window_parse(const char *text, json_t **ret) {
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_json_ json_t *o = json_object();
        json_t *days = json_array();
        size_t n;
        int r = json_set_take(o, "days", days);

        if (r >= 0)
                r = strv_split(text, " ", &words);
        n = strv_length(words);
        if (r >= 0 && n < 4)
                r = -EINVAL;
        if (r >= 0)
                r = parse_days(words[0], days);
        if (r >= 0)
                r = parse_start(words[1], o);
        if (r >= 0)
                r = parse_length(words + 2, n - 3, o);
        if (r >= 0)
                r = json_set_string(o, "time_zone", words[n - 1]);
        if (r < 0)
                return r;
        *ret = json_incref(o);
        return 0;
}

static char *days_text(json_t *list) {
        _cleanup_strv_free_ char **ranges = NULL;
        bool days[DAYS] = {};
        json_t *v;
        size_t i;

        json_array_foreach(list, i, v) {
                int d = parse_day(strempty(json_string_value(v)), strlen(strempty(json_string_value(v))));

                if (d >= 0)
                        days[d] = true;
        }
        for (unsigned d = 0, end; d < DAYS; d = end + 1) {
                for (end = d; days[d] && end + 1 < DAYS && days[end + 1];)
                        end++;
                if (days[d] &&
                    strv_consume(&ranges,
                                 end > d ? strjoinf("%c%s..%c%s", toupper(day_names[d][0]), day_names[d] + 1,
                                                    toupper(day_names[end][0]), day_names[end] + 1) :
                                           strjoinf("%c%s", toupper(day_names[d][0]), day_names[d] + 1)) < 0)
                        return NULL;
        }
        return ranges ? strv_join(ranges, ",") : strdup("");
}

char *rollout_window_text(json_t *window) {
        _cleanup_free_ char *days = days_text(json_object_get(window, "days"));
        char length[TIMESPAN_MAX];
        uint64_t seconds = 0;

        (void) json_get_u64(window, "duration_sec", &seconds);
        if (!days)
                return NULL;
        return strjoinf("%s %s for %s (%s)", days, json_text(window, "start"),
                        timespan_format(seconds * USEC_PER_SEC, length), json_text(window, "time_zone"));
}
