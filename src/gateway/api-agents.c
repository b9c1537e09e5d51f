/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "alloc-util.h"
#include "api.h"
#include "crypto.h"
#include "hex.h"
#include "pki-cert.h"
#include "string-util.h"
#include "view.h"

#define LIMIT_DEFAULT 200U
#define LIMIT_MAX 1000U
#define CURSOR_TAG_HEX 8U
#define SHOW_UPDATES 20U

typedef struct AgentsJob {
        ApiJob api;
        Selector *selector;                  /* NULL: all */
        char tag[CURSOR_TAG_HEX + 1];        /* of the selector: what a cursor belongs to */
        char *after, *id;
        uint64_t limit;
        AgentRequest request;
        FleetRules rules;

        /* while it runs */
        Store *store;
        Fleet fleet;
        json_t *list;
        uint64_t total, taken;
        char *last;
        bool more;
} AgentsJob;

static void agents_free(ApiJob *a) {
        AgentsJob *j = container_of(a, AgentsJob, api);

        selector_free(j->selector);
        agent_request_done(&j->request);
        fleet_done(&j->fleet);
        json_decref(j->list);
        free(j->after);
        free(j->id);
        free(j->last);
        api_job_done(a);
        free(j);
}

static AgentsJob *agents_new(HttpExchange *x, Gateway *g, int (*run)(ApiJob *a, Store *s)) {
        AgentsJob *j = new0(AgentsJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = agents_free;
        gateway_rules(g, &j->rules);
        return j;
}

/* ---- one agent as answers show it ---- */

static int add_desired(json_t *o, const DesiredRecord *d) {
        json_t *desired = json_object();
        int r;

        if (!desired)
                return -ENOMEM;
        r = json_set_take(o, "desired", desired);
        if (r >= 0)
                r = json_set_u64(desired, "id", d->id);
        if (r >= 0)
                r = json_set_string(desired, "version", d->version);
        if (r >= 0)
                r = json_set_string(desired, "by", desired_kind_to_string(d->kind));
        return r;
}

static int add_update(json_t *o, Store *s, const char *agent) {
        _cleanup_(instruction_record_done) InstructionRecord i = {};
        json_t *v;
        int r;

        r = s->ops->instruction_latest(s, agent, &i);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        v = view_instruction(&i);
        return v ? json_set_take(o, "update", v) : -ENOMEM;
}

static int full_view(AgentsJob *j, AgentRecord *a, json_t **ret) {
        _cleanup_(fleet_view_done) FleetView v = {};
        _cleanup_json_ json_t *o = NULL;
        int r;

        r = fleet_decide(
                        &j->fleet, j->store, a, a->state == AGENT_STATE_ONLINE, &j->rules,
                        now(CLOCK_REALTIME), &v);
        if (r < 0)
                return r;
        o = view_agent(a);
        if (!o)
                return -ENOMEM;
        if (v.choice.row)
                r = add_desired(o, &v.choice.row->record);
        if (r >= 0)
                r = json_set_string(o, "reason", desired_reason_to_string(v.decision.reason));
        if (r >= 0)
                r = json_set_string(o, "reason_text", desired_reason_explain(v.decision.reason));
        if (r >= 0 && v.decision.reason == DESIRED_REASON_WAITING)
                r = view_set_time(o, "next_attempt", v.decision.not_before);
        if (r >= 0)
                r = add_update(o, j->store, a->id);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

/* ---- list ---- */

static int list_take(AgentRecord *a, void *userdata) {
        AgentsJob *j = userdata;
        json_t *o;
        int r;

        if (j->selector && !selector_matches(j->selector, agent_record_lookup, a))
                return 0;
        j->total++;
        if (j->after && strcmp(a->id, j->after) <= 0)
                return 0;
        if (j->taken >= j->limit) {
                j->more = true;
                return 0;
        }
        r = full_view(j, a, &o);
        if (r < 0)
                return r;
        if (json_array_append_new(j->list, o) < 0)
                return -ENOMEM;
        j->taken++;
        r = free_and_strdup(&j->last, a->id);
        return r < 0 ? r : 0;
}

static int list_cursor(AgentsJob *j, json_t *answer) {
        _cleanup_free_ char *text = NULL, *cursor = NULL;

        if (!j->more)
                return 0;
        text = strjoinf("%s.%s", j->tag, j->last);
        cursor = text ? base64url_encode_new(text, strlen(text)) : NULL;
        return cursor ? json_set_string(answer, "next_cursor", cursor) : -ENOMEM;
}

static int list_run(ApiJob *a, Store *s) {
        AgentsJob *j = container_of(a, AgentsJob, api);
        int r;

        j->store = s;
        j->list = json_array();
        a->answer = json_object();
        if (!j->list || !a->answer)
                return -ENOMEM;
        r = fleet_load(s, &j->fleet);
        if (r >= 0)
                r = s->ops->agents_each(s, list_take, j);
        if (r >= 0)
                r = json_set_take(a->answer, "agents", TAKE_PTR(j->list));
        if (r >= 0)
                r = json_set_u64(a->answer, "total", j->total);
        return r < 0 ? r : list_cursor(j, a->answer);
}

static int parse_cursor(AgentsJob *j, HttpExchange *x) {
        const char *text = http_exchange_parameter(x, "cursor");
        _cleanup_free_ char *decoded = NULL;
        void *data = NULL;
        size_t size;

        if (!text)
                return 0;
        if (base64url_decode(text, 256, &data, &size) >= 0) {
                decoded = memdup_suffix0(data, size);
                free(data);
        }
        if (!decoded || strlen(decoded) != size || strncmp(decoded, j->tag, CURSOR_TAG_HEX) != 0 ||
            decoded[CURSOR_TAG_HEX] != '.') {
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                "The cursor does not belong to this list; begin without one.");
                return -EINVAL;
        }
        j->after = strdup(decoded + CURSOR_TAG_HEX + 1);
        return j->after ? 0 : -ENOMEM;
}

static int make_tag(AgentsJob *j) {
        _cleanup_free_ char *text = NULL;
        uint8_t hash[SHA256_SIZE];
        int r = 0;

        if (j->selector)
                r = selector_format(j->selector, &text);
        if (r < 0)
                return r;
        sha256_bytes(strempty(text), strlen(strempty(text)), hash);
        hex_encode(hash, CURSOR_TAG_HEX / 2, j->tag);
        return 0;
}

void api_agents_list(HttpExchange *x, void *userdata) {
        static const char *const known[] = { "selector", "limit", "cursor", NULL };
        AgentsJob *j;
        int r;

        if (http_exchange_check_parameters(x, known) < 0)
                return;
        j = agents_new(x, userdata, list_run);
        if (!j)
                return;
        r = api_parameter_u64(x, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &j->limit);
        if (r >= 0)
                r = api_parameter_selector(x, &j->selector);
        if (r >= 0)
                r = make_tag(j);
        if (r >= 0)
                r = parse_cursor(j, x);
        if (r < 0) {
                if (!http_exchange_is_answered(x))
                        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                agents_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- one ---- */

static int show_take_update(InstructionRecord *i, void *userdata) {
        json_t *v = view_instruction(i);

        return v && json_array_append_new(userdata, v) >= 0 ? 0 : -ENOMEM;
}

static int get_agent(AgentsJob *j, Store *s, AgentRecord *ret) {
        int r = s->ops->agent_get(s, j->id, ret);

        if (r == -ENOENT)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no agent \"%s\".", j->id);
        return r;
}

static int show_agent(AgentsJob *j, Store *s, AgentRecord *a) {
        json_t *updates;
        int r;

        j->store = s;
        r = fleet_load(s, &j->fleet);
        if (r >= 0)
                r = full_view(j, a, &j->api.answer);
        if (r < 0)
                return r;
        updates = json_array();
        if (!updates)
                return -ENOMEM;
        r = json_set_take(j->api.answer, "updates", updates);
        if (r < 0)
                return r;
        return s->ops->instructions_each(
                        s, &(InstructionFilter){ .agent = j->id, .limit = SHOW_UPDATES }, show_take_update,
                        updates);
}

static int show_run(ApiJob *a, Store *s) {
        AgentsJob *j = container_of(a, AgentsJob, api);
        _cleanup_(agent_record_done) AgentRecord agent = {};
        int r;

        r = get_agent(j, s, &agent);
        return r < 0 ? r : show_agent(j, s, &agent);
}

static AgentsJob *agents_new_for_one(HttpExchange *x, Gateway *g, int (*run)(ApiJob *a, Store *s)) {
        const char *id = http_exchange_argument(x, 0);
        AgentsJob *j;

        if (!pki_agent_id_is_valid(id)) {
                http_reply_problem(x, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no agent of that id.");
                return NULL;
        }
        j = agents_new(x, g, run);
        if (!j)
                return NULL;
        j->id = strdup(id);
        if (!j->id) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                agents_free(&j->api);
                return NULL;
        }
        return j;
}

void api_agents_show(HttpExchange *x, void *userdata) {
        AgentsJob *j = agents_new_for_one(x, userdata, show_run);

        if (j)
                api_submit(&j->api, userdata, x);
}

/* ---- labels ---- */

static int emit_change(StoreJob *job, Store *s, const AgentRecord *a, const char *change) {
        json_t *o = view_agent(a);

        if (o && json_set_string(o, "change", change) < 0) {
                json_decref(o);
                o = NULL;
        }
        return store_job_emit(
                        job, s, "agent", a->id, view_event_text(o), /* progress= */ false,
                        now(CLOCK_REALTIME));
}

/* What each label was, and what it shall be; one that is absent is "". */
static json_t *label_changes(const AgentRequest *q, const Labels *before) {
        json_t *o = json_object();

        for (size_t i = 0; o && i < q->n; i++) {
                json_t *pair = json_object();

                if (!pair || json_set_string(pair, "from", strempty(labels_get(before, q->changes[i].key))) < 0 ||
                    json_set_string(pair, "to", q->changes[i].value) < 0) {
                        json_decref(pair);
                        json_decref(o);
                        return NULL;
                }
                if (json_set_take(o, q->changes[i].key, pair) < 0) {
                        json_decref(o);
                        return NULL;
                }
        }
        return o;
}

static int patch_run(ApiJob *a, Store *s) {
        AgentsJob *j = container_of(a, AgentsJob, api);
        _cleanup_(agent_record_done) AgentRecord agent = {};
        _cleanup_json_ json_t *changes = NULL;
        int r;

        r = get_agent(j, s, &agent);
        if (r >= 0) {
                changes = label_changes(&j->request, &agent.labels);
                r = changes ? 0 : -ENOMEM;
        }
        for (size_t i = 0; r >= 0 && i < j->request.n; i++)
                r = labels_set(&agent.labels, j->request.changes[i].key, j->request.changes[i].value);
        if (r == -E2BIG)
                return api_job_refuse(
                                a, HTTP_PROBLEM_CONFLICT, "/labels", "An agent may have %u labels.",
                                LABELS_MAX);
        if (r >= 0)
                r = s->ops->agent_put_labels(s, j->id, &agent.labels);
        if (r >= 0)
                r = api_audit_on(a, s, "agent.labels", "agent", j->id, 1, TAKE_PTR(changes));
        if (r >= 0)
                r = emit_change(&a->job, s, &agent, "labels");
        return r < 0 ? r : show_agent(j, s, &agent);
}

/* Another label may mean another desired version. */
static void patch_after(ApiJob *a) {
        stream_registry_reconcile_soon(a->gateway->streams, container_of(a, AgentsJob, api)->id);
}

void api_agents_patch(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        AgentsJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = agents_new_for_one(x, userdata, patch_run);
        if (!j)
                return;
        j->api.after = patch_after;
        r = agent_request_parse(body, &j->request, &error);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                agents_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- removal ---- */

static int delete_run(ApiJob *a, Store *s) {
        AgentsJob *j = container_of(a, AgentsJob, api);
        _cleanup_(agent_record_done) AgentRecord agent = {};
        json_t *o;
        int r;

        r = get_agent(j, s, &agent);
        if (r >= 0)
                r = s->ops->agent_delete(s, j->id);
        if (r < 0)
                return r;
        o = view_agent(&agent);
        r = o ? api_audit_on(a, s, "agent.remove", "agent", j->id, 1, o) : -ENOMEM;
        if (r < 0)
                return r;
        o = json_object();
        if (o && (json_set_string(o, "id", j->id) < 0 || json_set_string(o, "change", "removed") < 0)) {
                json_decref(o);
                o = NULL;
        }
        a->status = 204;
        return store_job_emit(
                        &a->job, s, "agent", j->id, view_event_text(o), /* progress= */ false,
                        now(CLOCK_REALTIME));
}

static void delete_after(ApiJob *a) {
        AgentsJob *j = container_of(a, AgentsJob, api);

        stream_registry_evict(a->gateway->streams, j->id, "this agent was removed from the gateway");
}

void api_agents_delete(HttpExchange *x, void *userdata) {
        AgentsJob *j = agents_new_for_one(x, userdata, delete_run);

        if (!j)
                return;
        j->api.after = delete_after;
        api_submit(&j->api, userdata, x);
}
