/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-spec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "alloc-util.h"
#include "pki-cert.h"
#include "string-util.h"

#define SOAK_MAX ROLLOUT_PERIOD_MAX

static const char *const day_names[7] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

void rollout_spec_done(RolloutSpec *s) {
        strv_free(s->canary.ids);
        for (size_t i = 0; i < s->n_windows; i++)
                rollout_window_done(&s->windows[i]);
        free(s->windows);
        *s = (RolloutSpec){};
}

void rollout_spec_defaults(RolloutSpec *ret, bool back) {
        *ret = (RolloutSpec){
                .canary = { .amount = { .is_share = true, .value = 1000 },
                            .at_most = 10,
                            .success = ROLLOUT_SHARE_ALL,
                            .soak = 60 * USEC_PER_SEC },
                .batch = { .amount = { .value = 50 }, .period = 10 * USEC_PER_MINUTE, .success = 9000 },
                .max_failures = { .is_share = true, .value = 500 },
                .attempts = 3,
                .retry_pause = 60 * USEC_PER_SEC,
                .offline_wait = 7 * USEC_PER_DAY,
        };
        if (!back)
                return;
        ret->canary.amount = (RolloutAmount){};
        ret->canary.at_most = 0;
        ret->batch.amount = (RolloutAmount){ .is_share = true, .value = ROLLOUT_SHARE_ALL };
        ret->batch.period = 0;
        ret->batch.success = 0;
}

/* ---- amounts ---- */

uint64_t rollout_amount_of(const RolloutAmount *a, uint64_t whole) {
        if (!a->is_share)
                return a->value;
        return (whole * a->value + ROLLOUT_SHARE_ALL - 1) / ROLLOUT_SHARE_ALL;
}

uint64_t rollout_canaries(const RolloutSpec *s, uint64_t cohort) {
        uint64_t n = s->canary.ids ? strv_length(s->canary.ids) :
                                     rollout_amount_of(&s->canary.amount, cohort);

        if (s->canary.at_most > 0) /* nobody asked: and a single agent is nobody's canary */
                n = cohort == 1 ? 0 : MIN(n, (uint64_t) s->canary.at_most);
        return MIN(n, cohort);
}

uint64_t rollout_batch_size(const RolloutSpec *s, uint32_t batch, uint64_t cohort) {
        if (batch >= 1 && batch <= s->batch.n_ramp)
                return s->batch.ramp[batch - 1];
        return MAX(rollout_amount_of(&s->batch.amount, cohort), UINT64_C(1));
}

/* ---- reading ---- */

typedef struct Reader {
        char path[96]; /* of the object that is being read; "" is the strategy itself */
        char **pointer, **detail;
} Reader;

static int refuse(Reader *r, const char *member, const char *format, ...) _printf_(3, 4);
static int refuse(Reader *r, const char *member, const char *format, ...) {
        _cleanup_free_ char *pointer = member ? json_pointer_append(r->path, member) : strdup(r->path);
        char *detail = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&detail, format, ap);
        va_end(ap);
        if (n < 0 || !pointer) {
                if (n >= 0)
                        free(detail);
                return -ENOMEM;
        }
        *r->pointer = TAKE_PTR(pointer);
        *r->detail = detail;
        return -EINVAL;
}

static int check_members(Reader *r, json_t *object, const char *const *known) {
        _cleanup_free_ char *list = NULL, *shown = NULL;
        const char *key;
        json_t *value;

        if (!json_is_object(object))
                return refuse(r, NULL, "This must be an object.");
        json_object_foreach(object, key, value) {
                if (strv_contains((char *const *) known, key))
                        continue;
                list = strv_join((char *const *) known, ", ");
                shown = string_escape(key);
                if (!list || !shown)
                        return -ENOMEM;
                return refuse(r, key, "There is no member \"%.64s\" here; known are: %s.", shown, list);
        }
        return 0;
}

/* Those below leave *ret alone when the member is absent; 1 when it is there. */
static int
read_number(Reader *r, json_t *object, const char *key, uint64_t low, uint64_t high, uint64_t *ret) {
        uint64_t v;
        int k = json_get_u64(object, key, &v);

        if (k == -ENOENT)
                return 0;
        if (k < 0 || v < low || v > high)
                return refuse(r, key, "\"%s\" must be an integer from %" PRIu64 " to %" PRIu64 ".", key, low,
                              high);
        *ret = v;
        return 1;
}

static int read_u32(Reader *r, json_t *object, const char *key, uint32_t low, uint32_t high, uint32_t *ret) {
        uint64_t v = 0;
        int k = read_number(r, object, key, low, high, &v);

        if (k > 0)
                *ret = (uint32_t) v;
        return k;
}

static int read_span(Reader *r, json_t *object, const char *key, usec_t low, usec_t high, usec_t *ret) {
        uint64_t v = 0;
        int k = read_number(r, object, key, low / USEC_PER_SEC, high / USEC_PER_SEC, &v);

        if (k > 0)
                *ret = v * USEC_PER_SEC;
        return k;
}

static int read_flag(Reader *r, json_t *object, const char *key, bool *ret) {
        int k = json_get_bool(object, key, ret);

        if (k == -ENOENT)
                return 0;
        return k < 0 ? refuse(r, key, "\"%s\" must be true or false.", key) : 1;
}

/* Hundredths of a percent at the finest. */
static int read_share(Reader *r, json_t *object, const char *key, uint32_t low, uint32_t *ret) {
        json_t *v = json_object_get(object, key);
        double hundredths, rest;
        uint32_t whole;

        if (!v)
                return 0;
        hundredths = json_is_number(v) ? json_number_value(v) * 100 : -1;
        whole = hundredths >= 0 && hundredths <= ROLLOUT_SHARE_ALL ? (uint32_t) (hundredths + 0.5) :
                                                                     UINT32_MAX;
        rest = hundredths - whole;
        if (whole < low || whole > ROLLOUT_SHARE_ALL || rest > 1e-6 || rest < -1e-6)
                return refuse(r, key, "\"%s\" must be a number from %g to 100, with two decimals at most.",
                              key, low / 100.0);
        *ret = whole;
        return 1;
}

/* One of "count" (or whatever it is called here) and "percent". */
static int read_amount(Reader *r, json_t *object, const char *count_key, uint32_t low, RolloutAmount *ret) {
        uint32_t count = 0, share = 0;
        int k, l;

        k = read_u32(r, object, count_key, low, ROLLOUT_BATCH_MAX, &count);
        if (k < 0)
                return k;
        l = read_share(r, object, "percent", low, &share);
        if (l < 0)
                return l;
        if (k > 0 && l > 0)
                return refuse(r, "percent", "Say either \"%s\" or \"percent\".", count_key);
        if (k > 0)
                *ret = (RolloutAmount){ .value = count };
        else if (l > 0)
                *ret = (RolloutAmount){ .is_share = true, .value = share };
        return k > 0 || l > 0;
}

static int read_canary_ids(Reader *r, json_t *list, char ***ret) {
        _cleanup_strv_free_ char **ids = NULL;
        json_t *v;
        size_t i;
        int k;

        if (!json_is_array(list) || json_array_size(list) < 1 ||
            json_array_size(list) > ROLLOUT_CANARY_IDS_MAX)
                return refuse(r, "ids", "\"ids\" must be a list of 1 to %u agent ids.",
                              ROLLOUT_CANARY_IDS_MAX);
        json_array_foreach(list, i, v) {
                const char *id = json_string_value(v);

                if (!id || !pki_agent_id_is_valid(id))
                        return refuse(r, "ids", "Item %zu of \"ids\" is no agent id.", i);
                if (strv_contains(ids, id))
                        return refuse(r, "ids", "Agent %s is named twice.", id);
                k = strv_extend(&ids, id);
                if (k < 0)
                        return k;
        }
        *ret = TAKE_PTR(ids);
        return 1;
}

static int read_canary(Reader *outer, json_t *object, RolloutSpec *s) {
        static const char *const known[] = { "count",    "percent",  "ids", "success_percent",
                                             "soak_sec", "approval", NULL };
        Reader r = { .path = "/canary", .pointer = outer->pointer, .detail = outer->detail };
        json_t *ids;
        int k, amount;

        k = check_members(&r, object, known);
        if (k < 0)
                return k;
        amount = read_amount(&r, object, "count", 0, &s->canary.amount);
        if (amount < 0)
                return amount;
        if (amount > 0)
                s->canary.at_most = 0;
        ids = json_object_get(object, "ids");
        if (ids && amount > 0)
                return refuse(&r, "ids", "Say either how many canaries are drawn, or which ones: not both.");
        if (ids) {
                k = read_canary_ids(&r, ids, &s->canary.ids);
                s->canary.amount = (RolloutAmount){};
                s->canary.at_most = 0;
        }
        if (k >= 0)
                k = read_share(&r, object, "success_percent", 0, &s->canary.success);
        if (k >= 0)
                k = read_span(&r, object, "soak_sec", 0, SOAK_MAX, &s->canary.soak);
        if (k >= 0)
                k = read_flag(&r, object, "approval", &s->canary.approval);
        return k;
}

static int read_ramp(Reader *r, json_t *list, RolloutSpec *s) {
        json_t *v;
        size_t i;

        if (!json_is_array(list) || json_array_size(list) > ROLLOUT_RAMP_MAX)
                return refuse(r, "ramp", "\"ramp\" must be a list of at most %u sizes.", ROLLOUT_RAMP_MAX);
        json_array_foreach(list, i, v) {
                if (!json_is_integer(v) || json_integer_value(v) < 1 ||
                    json_integer_value(v) > ROLLOUT_BATCH_MAX)
                        return refuse(r, "ramp", "Item %zu of \"ramp\" is no size from 1 to %u.", i,
                                      ROLLOUT_BATCH_MAX);
                s->batch.ramp[i] = (uint32_t) json_integer_value(v);
        }
        s->batch.n_ramp = json_array_size(list);
        return 0;
}

static int read_batch(Reader *outer, json_t *object, RolloutSpec *s) {
        static const char *const known[] = { "size",     "percent",  "ramp", "every_sec", "success_percent",
                                             "soak_sec", "approval", NULL };
        Reader r = { .path = "/batch", .pointer = outer->pointer, .detail = outer->detail };
        json_t *ramp;
        int k;

        k = check_members(&r, object, known);
        if (k >= 0)
                k = read_amount(&r, object, "size", 1, &s->batch.amount);
        ramp = json_object_get(object, "ramp");
        if (k >= 0 && ramp)
                k = read_ramp(&r, ramp, s);
        if (k >= 0)
                k = read_span(&r, object, "every_sec", 0, ROLLOUT_PERIOD_MAX, &s->batch.period);
        if (k >= 0)
                k = read_share(&r, object, "success_percent", 0, &s->batch.success);
        if (k >= 0)
                k = read_span(&r, object, "soak_sec", 0, SOAK_MAX, &s->batch.soak);
        if (k >= 0)
                k = read_flag(&r, object, "approval", &s->batch.approval);
        return k;
}

static int read_failures(Reader *outer, json_t *object, RolloutSpec *s) {
        static const char *const known[] = { "count", "percent", NULL };
        Reader r = { .path = "/max_failures", .pointer = outer->pointer, .detail = outer->detail };
        int k;

        k = check_members(&r, object, known);
        if (k >= 0)
                k = read_amount(&r, object, "count", 0, &s->max_failures);
        if (k == 0)
                k = refuse(&r, NULL, "Say how many: \"count\" or \"percent\".");
        return k;
}

static int read_days(Reader *r, json_t *list, RolloutWindow *w) {
        json_t *v;
        size_t i;

        if (!json_is_array(list) || json_array_size(list) == 0)
                return refuse(r, "days", "\"days\" must be a list of days, such as [\"mon\", \"tue\"].");
        json_array_foreach(list, i, v) {
                unsigned day = 0;

                while (day < 7 && !streq_ptr(json_string_value(v), day_names[day]))
                        day++;
                if (day == 7)
                        return refuse(r, "days",
                                      "Item %zu of \"days\" is none of mon, tue, wed, thu, fri, sat, sun.",
                                      i);
                w->days |= (uint8_t) (1U << day);
        }
        return 0;
}

static int read_start(Reader *r, json_t *object, RolloutWindow *w) {
        const char *s = NULL;
        unsigned h, m;

        (void) json_get_string(object, "start", &s);
        if (!s || strlen(s) != 5 || s[2] != ':' || strspn(s, "0123456789:") != 5)
                return refuse(r, "start", "\"start\" must be a time of day such as \"22:00\".");
        h = (unsigned) (s[0] - '0') * 10 + (unsigned) (s[1] - '0');
        m = (unsigned) (s[3] - '0') * 10 + (unsigned) (s[4] - '0');
        if (h > 23 || m > 59)
                return refuse(r, "start", "\"start\" must be a time of day from \"00:00\" to \"23:59\".");
        w->start = h * 60 + m;
        return 0;
}

static int read_zone(Reader *r, json_t *object, RolloutWindow *w) {
        const char *name = NULL;
        int k;

        (void) json_get_string(object, "time_zone", &name);
        if (!name)
                return refuse(r, "time_zone",
                              "\"time_zone\" must be the name of a time zone such as \"Europe/Berlin\".");
        k = timezone_load(name, &w->zone);
        if (k == -EINVAL || k == -ENOENT)
                return refuse(r, "time_zone",
                              "This gateway knows no time zone \"%.64s\". Names are as in \"Europe/Berlin\"; is the package "
                              "tzdata installed?",
                              string_is_safe(name, TIMEZONE_NAME_MAX) ? name : "…");
        if (k < 0)
                return k;
        w->zone_name = strdup(name);
        return w->zone_name ? 0 : -ENOMEM;
}

static int read_window(Reader *r, json_t *object, RolloutWindow *w) {
        static const char *const known[] = { "days", "start", "duration_sec", "time_zone", NULL };
        int k;

        k = check_members(r, object, known);
        if (k >= 0)
                k = read_days(r, json_object_get(object, "days"), w);
        if (k >= 0)
                k = read_start(r, object, w);
        if (k >= 0)
                k = read_span(r, object, "duration_sec", ROLLOUT_WINDOW_LENGTH_MIN,
                              ROLLOUT_WINDOW_LENGTH_MAX, &w->length);
        if (k == 0)
                k = refuse(r, "duration_sec", "A window needs a length: \"duration_sec\".");
        return k < 0 ? k : read_zone(r, object, w);
}

static int read_windows(Reader *outer, json_t *list, RolloutSpec *s) {
        json_t *v;
        size_t i;
        int k;

        if (!json_is_array(list) || json_array_size(list) > ROLLOUT_WINDOWS_MAX)
                return refuse(outer, "windows", "\"windows\" must be a list of at most %u windows.",
                              ROLLOUT_WINDOWS_MAX);
        s->windows = new0(RolloutWindow, json_array_size(list));
        if (!s->windows)
                return -ENOMEM;
        json_array_foreach(list, i, v) {
                Reader r = { .pointer = outer->pointer, .detail = outer->detail };

                (void) snprintf(r.path, sizeof(r.path), "/windows/%zu", i);
                s->n_windows = i + 1;
                k = read_window(&r, v, &s->windows[i]);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int read_offline(Reader *r, json_t *object, RolloutSpec *s) {
        const char *text = NULL;

        if (!json_object_get(object, "offline"))
                return 0;
        (void) json_get_string(object, "offline", &text);
        if (streq_ptr(text, "skip"))
                s->offline = ROLLOUT_OFFLINE_SKIP;
        else if (!streq_ptr(text, "wait"))
                return refuse(r, "offline", "\"offline\" must be \"wait\" or \"skip\".");
        return 0;
}

static int read_strategy(Reader *r, json_t *object, RolloutSpec *s) {
        static const char *const known[] = {
                "canary",
                "batch",
                "max_in_flight",
                "max_failures",
                "attempts",
                "retry_pause_sec",
                "offline",
                "offline_wait_sec",
                "include_new_agents",
                "set_desired",
                "emergency",
                "windows",
                NULL,
        };
        json_t *v;
        int k;

        k = check_members(r, object, known);
        if (k >= 0 && (v = json_object_get(object, "canary")))
                k = read_canary(r, v, s);
        if (k >= 0 && (v = json_object_get(object, "batch")))
                k = read_batch(r, v, s);
        if (k >= 0)
                k = read_u32(r, object, "max_in_flight", 1, ROLLOUT_BATCH_MAX, &s->max_in_flight);
        if (k >= 0 && (v = json_object_get(object, "max_failures")))
                k = read_failures(r, v, s);
        if (k >= 0)
                k = read_u32(r, object, "attempts", 1, ROLLOUT_ATTEMPTS_MAX, &s->attempts);
        if (k >= 0)
                k = read_span(r, object, "retry_pause_sec", 0, USEC_PER_DAY, &s->retry_pause);
        if (k >= 0)
                k = read_offline(r, object, s);
        if (k >= 0)
                k = read_span(r, object, "offline_wait_sec", 0, ROLLOUT_OFFLINE_WAIT_MAX, &s->offline_wait);
        if (k >= 0)
                k = read_flag(r, object, "include_new_agents", &s->include_new_agents);
        if (k >= 0)
                k = read_flag(r, object, "set_desired", &s->set_desired);
        if (k >= 0)
                k = read_flag(r, object, "emergency", &s->emergency);
        if (k >= 0 && (v = json_object_get(object, "windows")))
                k = read_windows(r, v, s);
        return k < 0 ? k : 0;
}

int rollout_spec_parse(
                json_t *object, bool back, RolloutSpec *ret, char **reterr_pointer, char **reterr_detail) {

        Reader r = { .pointer = reterr_pointer, .detail = reterr_detail };
        RolloutSpec s;
        int k;

        rollout_spec_defaults(&s, back);
        k = object ? read_strategy(&r, object, &s) : 0;
        if (k < 0) {
                rollout_spec_done(&s);
                return k;
        }
        *ret = s;
        return 0;
}

/* ---- writing ---- */

static json_t *share_json(uint32_t hundredths) {
        return hundredths % 100 == 0 ? json_integer(hundredths / 100) : json_real(hundredths / 100.0);
}

static int set_share(json_t *o, const char *key, uint32_t hundredths) {
        json_t *v = share_json(hundredths);

        return v ? json_set_take(o, key, v) : -ENOMEM;
}

static int set_amount(json_t *o, const char *count_key, const RolloutAmount *a) {
        return a->is_share ? set_share(o, "percent", a->value) : json_set_u64(o, count_key, a->value);
}

static int set_strings(json_t *o, const char *key, char *const *v) {
        json_t *list = json_array();
        int r = list ? json_set_take(o, key, list) : -ENOMEM;

        STRV_FOREACH(s, v) {
                if (r >= 0)
                        r = json_array_append_new(list, json_string(*s)) < 0 ? -ENOMEM : 0;
        }
        return r;
}

static int format_canary(json_t *o, const RolloutSpec *s) {
        int r;

        r = s->canary.ids ? set_strings(o, "ids", s->canary.ids) : set_amount(o, "count", &s->canary.amount);
        if (r >= 0)
                r = set_share(o, "success_percent", s->canary.success);
        if (r >= 0)
                r = json_set_u64(o, "soak_sec", s->canary.soak / USEC_PER_SEC);
        return r < 0 ? r : json_set_bool(o, "approval", s->canary.approval);
}

static int format_batch(json_t *o, const RolloutSpec *s) {
        json_t *ramp;
        int r;

        r = set_amount(o, "size", &s->batch.amount);
        if (r >= 0 && s->batch.n_ramp > 0) {
                ramp = json_array();
                r = ramp ? json_set_take(o, "ramp", ramp) : -ENOMEM;
                for (size_t i = 0; r >= 0 && i < s->batch.n_ramp; i++)
                        r = json_array_append_new(ramp, json_integer(s->batch.ramp[i])) < 0 ? -ENOMEM : 0;
        }
        if (r >= 0)
                r = json_set_u64(o, "every_sec", s->batch.period / USEC_PER_SEC);
        if (r >= 0)
                r = set_share(o, "success_percent", s->batch.success);
        if (r >= 0)
                r = json_set_u64(o, "soak_sec", s->batch.soak / USEC_PER_SEC);
        return r < 0 ? r : json_set_bool(o, "approval", s->batch.approval);
}

static json_t *format_window(const RolloutWindow *w) {
        _cleanup_strv_free_ char **days = NULL;
        _cleanup_json_ json_t *o = json_object();
        char start[16];
        int r = o ? 0 : -ENOMEM;

        for (unsigned day = 0; r >= 0 && day < 7; day++)
                if (w->days & 1U << day)
                        r = strv_extend(&days, day_names[day]);
        if (r >= 0)
                r = set_strings(o, "days", days);
        (void) snprintf(start, sizeof(start), "%02u:%02u", w->start / 60 % 24, w->start % 60);
        if (r >= 0)
                r = json_set_string(o, "start", start);
        if (r >= 0)
                r = json_set_u64(o, "duration_sec", w->length / USEC_PER_SEC);
        if (r >= 0)
                r = json_set_string(o, "time_zone", w->zone_name);
        return r < 0 ? NULL : TAKE_PTR(o);
}

static int format_windows(json_t *o, const RolloutSpec *s) {
        json_t *list = json_array();
        int r = list ? json_set_take(o, "windows", list) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < s->n_windows; i++)
                r = json_array_append_new(list, format_window(&s->windows[i])) < 0 ? -ENOMEM : 0;
        return r;
}

static int
set_part(json_t *o, const char *key, const RolloutSpec *s, int (*format)(json_t *o, const RolloutSpec *s)) {
        json_t *part = json_object();
        int r = part ? json_set_take(o, key, part) : -ENOMEM;

        return r < 0 ? r : format(part, s);
}

static int format_failures(json_t *o, const RolloutSpec *s) {
        return set_amount(o, "count", &s->max_failures);
}

json_t *rollout_spec_format(const RolloutSpec *s) {
        _cleanup_json_ json_t *o = json_object();
        int r = o ? 0 : -ENOMEM;

        if (r >= 0)
                r = set_part(o, "canary", s, format_canary);
        if (r >= 0)
                r = set_part(o, "batch", s, format_batch);
        if (r >= 0 && s->max_in_flight > 0)
                r = json_set_u64(o, "max_in_flight", s->max_in_flight);
        if (r >= 0)
                r = set_part(o, "max_failures", s, format_failures);
        if (r >= 0)
                r = json_set_u64(o, "attempts", s->attempts);
        if (r >= 0)
                r = json_set_u64(o, "retry_pause_sec", s->retry_pause / USEC_PER_SEC);
        if (r >= 0)
                r = json_set_string(o, "offline", s->offline == ROLLOUT_OFFLINE_SKIP ? "skip" : "wait");
        if (r >= 0)
                r = json_set_u64(o, "offline_wait_sec", s->offline_wait / USEC_PER_SEC);
        if (r >= 0)
                r = json_set_bool(o, "include_new_agents", s->include_new_agents);
        if (r >= 0)
                r = json_set_bool(o, "set_desired", s->set_desired);
        if (r >= 0)
                r = json_set_bool(o, "emergency", s->emergency);
        if (r >= 0)
                r = format_windows(o, s);
        return r < 0 ? NULL : TAKE_PTR(o);
}
