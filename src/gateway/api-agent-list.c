/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "alloc-util.h"
#include "api-agent-filter.h"
#include "api-agents.h"
#include "crypto.h"
#include "hex.h"
#include "parse-util.h"
#include "string-util.h"
#include "view.h"

#define LIMIT_DEFAULT 200U
#define LIMIT_MAX 1000U
#define CURSOR_TAG_HEX 16U
#define CURSOR_MAX 1024U
#define OFFSET_MAX 10000000U

typedef struct ListJob {
        ApiJob api;
        AgentFilter filter;
        AgentSort sort;
        bool descending, narrow;
        uint64_t limit, offset;
        char *cursor; /* decoded; NULL: none */
        FleetRules rules;

        /* while it runs */
        Store *store;
        Fleet fleet;
        json_t *list; /* borrowed from the answer */
        uint64_t taken;
        char tag[CURSOR_TAG_HEX + 1]; /* of filter and order: what a cursor belongs to */
        AgentPosition after, last;
        bool more;
} ListJob;

static void list_free(ApiJob *a) {
        ListJob *j = container_of(a, ListJob, api);

        agent_filter_done(&j->filter);
        agent_position_done(&j->after);
        agent_position_done(&j->last);
        fleet_done(&j->fleet);
        free(j->cursor);
        api_job_done(a);
        free(j);
}

/* ---- cursors: "tag/id/key" in base64url, the key being what the list is sorted by ---- */

static int make_tag(ListJob *j, const AgentQuery *q) {
        _cleanup_free_ char *text = NULL;
        uint8_t hash[SHA256_SIZE];
        int r;

        r = agent_query_format(q, &text);
        if (r < 0)
                return r;
        sha256_bytes(text, strlen(text), hash);
        hex_encode(hash, CURSOR_TAG_HEX / 2, j->tag);
        return 0;
}

static int set_next_cursor(ListJob *j) {
        _cleanup_free_ char *text = NULL, *cursor = NULL;
        char number[24];

        if (!j->more)
                return 0;
        (void) snprintf(number, sizeof(number), "%" PRIu64, j->last.number);
        text = strjoinf("%s/%s/%s", j->tag, j->last.id,
                        agent_sort_is_number(j->sort) ? number : j->last.text);
        cursor = text ? base64url_encode_new(text, strlen(text)) : NULL;
        return cursor ? json_set_string(j->api.answer, "next_cursor", cursor) : -ENOMEM;
}

static int refuse_cursor(ListJob *j) {
        return api_job_refuse(
                        &j->api, HTTP_PROBLEM_BAD_REQUEST, "?cursor",
                        "The cursor belongs to another list: the filter or the order is not that of the page it came "
                        "from. Begin without one.");
}

static int read_cursor(ListJob *j) {
        const char *id, *key;

        if (!j->cursor)
                return 0;
        if (strncmp(j->cursor, j->tag, CURSOR_TAG_HEX) != 0 || j->cursor[CURSOR_TAG_HEX] != '/')
                return refuse_cursor(j);
        id = j->cursor + CURSOR_TAG_HEX + 1;
        key = strchr(id, '/');
        if (!key)
                return refuse_cursor(j);
        j->after.id = strndup(id, (size_t) (key - id));
        j->after.text = strdup(key + 1);
        if (!j->after.id || !j->after.text)
                return -ENOMEM;
        if (agent_sort_is_number(j->sort) &&
            (parse_u64(key + 1, &j->after.number) < 0 || j->after.number > INT64_MAX))
                return refuse_cursor(j);
        return 0;
}

static int take_cursor(ListJob *j, HttpExchange *x) {
        const char *text = http_exchange_parameter(x, "cursor");
        void *data = NULL;
        size_t size;
        int r;

        if (!text)
                return 0;
        r = base64url_decode(text, CURSOR_MAX, &data, &size);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && !memchr(data, '\0', size) && utf8_is_valid(data, size))
                j->cursor = strndup(data, size);
        free(data);
        if (j->cursor)
                return 0;
        api_refuse_parameter(
                        x, "cursor", "cursor= must be the \"next_cursor\" of an earlier page, unchanged.");
        return -EINVAL;
}

/* ---- the list ---- */

static int take_agent(AgentRecord *a, void *userdata) {
        ListJob *j = userdata;
        json_t *o = NULL;
        int r;

        if (j->taken >= j->limit) { /* one more was asked for */
                j->more = true;
                return 1;
        }
        if (++j->taken == j->limit) {
                r = agent_position_of(a, j->sort, &j->last);
                if (r < 0)
                        return r;
        }
        if (j->narrow)
                o = view_agent_narrow(a);
        else {
                r = agent_full_view(&j->fleet, j->store, &j->rules, a, &o);
                if (r < 0)
                        return r;
        }
        return o && json_array_append_new(j->list, o) >= 0 ? 0 : -ENOMEM;
}

static int list_run(ApiJob *a, Store *s) {
        ListJob *j = container_of(a, ListJob, api);
        uint64_t total;
        AgentQuery q;
        int r;

        j->store = s;
        j->list = json_array();
        a->answer = json_object();
        if (!a->answer || json_set_take(a->answer, "agents", j->list) < 0)
                return -ENOMEM;
        r = agent_filter_resolve_or_refuse(&j->filter, a, s);
        if (r < 0)
                return r;
        agent_filter_query(&j->filter, &q);
        q.sort = j->sort;
        q.descending = j->descending;
        q.limit = j->limit + 1;
        q.offset = j->offset;
        r = make_tag(j, &q);
        if (r >= 0)
                r = read_cursor(j);
        if (r < 0)
                return r;
        q.after = j->cursor ? &j->after : NULL;
        if (!j->narrow)
                r = fleet_load(s, &j->fleet);
        if (r >= 0)
                r = s->ops->agents_page(s, &q, take_agent, j, &total);
        if (r >= 0)
                r = json_set_u64(a->answer, "total", total);
        return r < 0 ? r : set_next_cursor(j);
}

static int take_parameters(ListJob *j, HttpExchange *x) {
        static const char *const forms[] = { "full", "narrow", NULL };
        size_t form;
        int r;

        r = agent_filter_parse(x, &j->filter);
        if (r >= 0)
                r = api_parameter_sort(x, &j->sort, &j->descending);
        if (r >= 0)
                r = api_parameter_u64(x, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &j->limit);
        if (r >= 0)
                r = api_parameter_choice(x, "fields", forms, &form);
        if (r >= 0)
                r = api_parameter_u64(x, "offset", 0, OFFSET_MAX, 0, &j->offset);
        if (r >= 0)
                r = take_cursor(j, x);
        if (r < 0)
                return r;
        if (j->cursor && http_exchange_parameter(x, "offset")) {
                api_refuse_parameter(x, "offset", "A page begins at a cursor or at an offset, not at both.");
                return -EINVAL;
        }
        j->narrow = form == 1;
        return 0;
}

void api_agents_list(HttpExchange *x, void *userdata) {
        ListJob *j;

        if (http_prefers(http_exchange_header(x, "Accept"), "text/csv", "application/json")) {
                api_agents_export(x, userdata);
                return;
        }
        j = new0(ListJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.run = list_run;
        j->api.free = list_free;
        gateway_rules(userdata, &j->rules);
        if (take_parameters(j, x) < 0) {
                if (!http_exchange_is_answered(x))
                        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                list_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
