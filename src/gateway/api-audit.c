/* SPDX-License-Identifier: Apache-2.0 */

/* The audit log for readers: pages of it in either direction, as JSON or a line for each entry. The text of
 * an entry is given as it was hashed, so that nobody has to believe this gateway (audit.h). */

#include <stdio.h>

#include "alloc-util.h"
#include "api.h"
#include "crypto.h"
#include "hex.h"
#include "parse-util.h"
#include "string-util.h"

#define LIMIT_DEFAULT 100U
#define LIMIT_MAX 1000U
#define EXAMINE_MAX 20000U /* rows that one request may have looked at */
#define PAGE_BYTES_MAX MIB(4)
#define CURSOR_TAG_HEX 8U
#define PATTERN_MAX 4200U /* "selector:" and the longest of them */
#define NDJSON "application/x-ndjson"

typedef struct AuditJob {
        ApiJob api;
        char *actor, *action, *target;
        AuditFilter filter;           /* points to them */
        char tag[CURSOR_TAG_HEX + 1]; /* of the filter: what a cursor belongs to */
        uint64_t limit;
        bool lines;

        /* while it runs */
        json_t *list;
        FILE *stream;
        char *text;
        size_t text_size;
        uint64_t taken, examined, last;
        size_t bytes;
        bool more;
} AuditJob;

static void audit_free(ApiJob *a) {
        AuditJob *j = container_of(a, AuditJob, api);

        if (j->stream)
                (void) fclose(j->stream);
        free(j->text);
        json_decref(j->list);
        free(j->actor);
        free(j->action);
        free(j->target);
        api_job_done(a);
        free(j);
}

/* ---- one entry ---- */

/* What was damaged is shown as far as it can be: the reader has to see it. */
static json_t *view_damaged(const AuditRecord *a) {
        _cleanup_free_ char *text = string_escape(strempty(a->text)),
                            *hash = string_escape(strempty(a->hash));
        _cleanup_json_ json_t *o = json_object();

        if (!text || !hash || !o || json_set_u64(o, "seq", a->seq) < 0 ||
            json_set_string(o, "text", text) < 0 || json_set_string(o, "hash", hash) < 0 ||
            json_set_bool(o, "damaged", true) < 0)
                return NULL;
        return TAKE_PTR(o);
}

static json_t *view_entry(const AuditRecord *a) {
        _cleanup_json_ json_t *o = NULL;
        bool consistent;
        json_t *entry;

        entry = audit_parse(a, &consistent);
        if (!entry)
                return view_damaged(a);
        o = json_object();
        if (json_set_take(o, "entry", entry) < 0 || json_set_u64(o, "seq", a->seq) < 0 ||
            json_set_string(o, "text", a->text) < 0 || json_set_string(o, "hash", a->hash) < 0 ||
            (!consistent && json_set_bool(o, "mismatch", true) < 0))
                return NULL;
        return TAKE_PTR(o);
}

/* The text stands in the line as it is, so that it can be cut out and hashed. */
static int print_entry(AuditJob *j, const AuditRecord *a) {
        _cleanup_json_ json_t *entry = NULL, *damaged = NULL;
        _cleanup_free_ char *text = NULL;
        bool consistent;

        entry = audit_parse(a, &consistent);
        if (entry) {
                fprintf(j->stream, "{\"entry\":%s,\"hash\":\"%s\"%s}\n", a->text, a->hash,
                        consistent ? "" : ",\"mismatch\":true");
                return 0;
        }
        damaged = view_damaged(a);
        text = damaged ? json_format_sorted(damaged) : NULL;
        if (!text)
                return -ENOMEM;
        fprintf(j->stream, "%s\n", text);
        return 0;
}

static int take_entry(AuditRecord *a, void *userdata) {
        AuditJob *j = userdata;
        json_t *v;

        j->examined++;
        if (audit_filter_matches(&j->filter, a)) {
                if (j->taken >= j->limit || j->bytes > PAGE_BYTES_MAX) {
                        j->more = true;
                        return 1;
                }
                j->taken++;
                j->bytes += strlen(strempty(a->text));
                if (j->lines) {
                        int r = print_entry(j, a);

                        if (r < 0)
                                return r;
                } else {
                        v = view_entry(a);
                        if (!v || json_array_append_new(j->list, v) < 0)
                                return -ENOMEM;
                }
        }
        j->last = a->seq;
        return 0;
}

/* ---- a page ---- */

static int finish_lines(AuditJob *j) {
        bool failed = ferror(j->stream);

        if (fclose(TAKE_PTR(j->stream)) != 0 || failed)
                return -ENOMEM;
        j->api.text = TAKE_PTR(j->text);
        j->api.text_type = NDJSON;
        return 0;
}

static int finish_list(AuditJob *j, Store *s) {
        _cleanup_free_ char *hash = NULL, *text = NULL, *cursor = NULL;
        _cleanup_json_ json_t *head = json_object();
        json_t *answer = j->api.answer;
        uint64_t seq;
        int r;

        r = s->ops->audit_last(s, &seq, &hash);
        if (r >= 0)
                r = json_set_take(answer, "entries", TAKE_PTR(j->list));
        if (r >= 0 && seq > 0) {
                r = json_set_u64(head, "seq", seq);
                if (r >= 0)
                        r = json_set_string(head, "hash", hash);
                if (r >= 0)
                        r = json_set_take(answer, "head", TAKE_PTR(head));
        }
        if (r < 0 || !j->more)
                return r;
        text = strjoinf("%s.%" PRIu64, j->tag, j->last);
        cursor = text ? base64url_encode_new(text, strlen(text)) : NULL;
        return cursor ? json_set_string(answer, "next_cursor", cursor) : -ENOMEM;
}

static int list_run(ApiJob *a, Store *s) {
        AuditJob *j = container_of(a, AuditJob, api);
        int r;

        if (j->lines)
                j->stream = open_memstream(&j->text, &j->text_size);
        else {
                j->list = json_array();
                a->answer = json_object();
        }
        if (j->lines ? !j->stream : !j->list || !a->answer)
                return -ENOMEM;
        r = s->ops->audit_each(s, &j->filter, take_entry, j);
        if (r < 0)
                return r;
        j->more = j->more || j->examined >= j->filter.limit;
        return j->lines ? finish_lines(j) : finish_list(j, s);
}

/* ---- what was asked for ---- */

static int take_pattern(HttpExchange *x, const char *key, char **ret) {
        const char *text = http_exchange_parameter(x, key);

        if (!text)
                return 0;
        if (isempty(text) || strlen(text) > PATTERN_MAX) {
                api_refuse_parameter(x, key, "%s= must be a name, or the beginning of one and \"*\".", key);
                return -EINVAL;
        }
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int take_time(HttpExchange *x, const char *key, usec_t *ret) {
        const char *text = http_exchange_parameter(x, key);

        if (!text || rfc3339_parse(text, ret) >= 0)
                return 0;
        api_refuse_parameter(x, key, "%s= must be a time such as 2026-11-24T12:34:56Z.", key);
        return -EINVAL;
}

static int take_order(HttpExchange *x, bool *ret_ascending) {
        static const char *const orders[] = { "desc", "asc", NULL };
        size_t order;
        int r;

        r = api_parameter_choice(x, "order", orders, &order);
        *ret_ascending = order == 1;
        return r;
}

static int make_tag(AuditJob *j) {
        const AuditFilter *f = &j->filter;
        _cleanup_free_ char *text = NULL;
        uint8_t hash[SHA256_SIZE];

        text = strjoinf("%d\n%s\n%s\n%s\n%" PRIu64 "\n%" PRIu64 "\n%" PRIu64, f->ascending,
                        strempty(f->actor), strempty(f->action), strempty(f->target), f->since, f->until,
                        f->after);
        if (!text)
                return -ENOMEM;
        sha256_bytes(text, strlen(text), hash);
        hex_encode(hash, CURSOR_TAG_HEX / 2, j->tag);
        return 0;
}

static int take_cursor(AuditJob *j, HttpExchange *x) {
        const char *text = http_exchange_parameter(x, "cursor");
        _cleanup_free_ char *decoded = NULL;
        _cleanup_free_ void *data = NULL;
        uint64_t seq;
        size_t size;

        if (!text)
                return 0;
        if (base64url_decode(text, 64, &data, &size) >= 0)
                decoded = memdup_suffix0(data, size);
        if (!decoded || strlen(decoded) != size || strncmp(decoded, j->tag, CURSOR_TAG_HEX) != 0 ||
            decoded[CURSOR_TAG_HEX] != '.' || parse_u64(decoded + CURSOR_TAG_HEX + 1, &seq) < 0) {
                api_refuse_parameter(
                                x, "cursor", "The cursor does not belong to this list; begin without one.");
                return -EINVAL;
        }
        *(j->filter.ascending ? &j->filter.after : &j->filter.before) = MIN(seq, (uint64_t) INT64_MAX);
        return 0;
}

static bool wants_lines(HttpExchange *x) {
        return http_prefers(http_exchange_header(x, "Accept"), NDJSON, "application/json");
}

static int take_parameters(AuditJob *j, HttpExchange *x) {
        AuditFilter *f = &j->filter;
        int r;

        *f = (AuditFilter){ .until = USEC_INFINITY, .before = INT64_MAX, .limit = EXAMINE_MAX };
        r = take_pattern(x, "actor", &j->actor);
        if (r >= 0)
                r = take_pattern(x, "action", &j->action);
        if (r >= 0)
                r = take_pattern(x, "target", &j->target);
        f->actor = j->actor;
        f->action = j->action;
        f->target = j->target;
        if (r >= 0)
                r = take_time(x, "since", &f->since);
        if (r >= 0)
                r = take_time(x, "until", &f->until);
        if (r >= 0)
                r = take_order(x, &f->ascending);
        if (r >= 0)
                r = api_parameter_u64(x, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &j->limit);
        if (r >= 0)
                r = api_parameter_u64(x, "after", 0, INT64_MAX, 0, &f->after);
        if (r >= 0)
                r = make_tag(j);
        return r < 0 ? r : take_cursor(j, x);
}

void api_audit_list(HttpExchange *x, void *userdata) {
        AuditJob *j;

        j = new0(AuditJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.run = list_run;
        j->api.free = audit_free;
        j->lines = wants_lines(x);
        if (take_parameters(j, x) < 0) {
                if (!http_exchange_is_answered(x))
                        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                audit_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
