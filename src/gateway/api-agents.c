/* SPDX-License-Identifier: Apache-2.0 */
#include "api-agents.h"

#include "alloc-util.h"
#include "log.h"
#include "pki-cert.h"
#include "string-util.h"
#include "update-view.h"
#include "view.h"

#define SHOW_UPDATES 20U

typedef struct AgentsJob {
        ApiJob api;
        char *id, *if_match;
        AgentRequest request;
        FleetRules rules;
        Fleet fleet;
} AgentsJob;

static void agents_free(ApiJob *a) {
        AgentsJob *j = container_of(a, AgentsJob, api);

        agent_request_done(&j->request);
        fleet_done(&j->fleet);
        free(j->id);
        free(j->if_match);
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

static int add_rollout(json_t *o, const RolloutMembership *m) {
        json_t *desired = json_object();
        int r;

        if (!desired)
                return -ENOMEM;
        r = json_set_take(o, "desired", desired);
        if (r >= 0)
                r = json_set_u64(desired, "id", m->rollout);
        if (r >= 0)
                r = json_set_string(desired, "version", m->version);
        return r < 0 ? r : json_set_string(desired, "by", "rollout");
}

/* In lists without its steps. */
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

int agent_full_view(Fleet *f, Store *s, const FleetRules *rules, AgentRecord *a, json_t **ret) {
        _cleanup_(fleet_view_done) FleetView v = {};
        _cleanup_json_ json_t *o = NULL;
        int r;

        r = fleet_decide(f, s, a, a->state == AGENT_STATE_ONLINE, rules, now(CLOCK_REALTIME), &v);
        if (r < 0)
                return r;
        o = view_agent(a);
        if (!o)
                return -ENOMEM;
        if (v.in_rollout)
                r = add_rollout(o, &v.membership);
        else if (v.choice.row)
                r = add_desired(o, &v.choice.row->record);
        if (r >= 0)
                r = json_set_string(o, "reason", desired_reason_to_string(v.decision.reason));
        if (r >= 0)
                r = json_set_string(o, "reason_text", desired_reason_explain(v.decision.reason));
        if (r >= 0 && v.decision.reason == DESIRED_REASON_WAITING)
                r = view_set_time(o, "next_attempt", v.decision.not_before);
        if (r >= 0 && a->update_version)
                r = add_update(o, s, a->id);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

/* ---- one ---- */

typedef struct Updates {
        Store *store;
        json_t *list;
} Updates;

static int show_take_update(InstructionRecord *i, void *userdata) {
        Updates *u = userdata;
        json_t *v;
        int r;

        r = update_view(u->store, i, &v);
        if (r < 0)
                return r;
        return json_array_append_new(u->list, v) >= 0 ? 0 : -ENOMEM;
}

static int get_agent(AgentsJob *j, Store *s, AgentRecord *ret) {
        int r = s->ops->agent_get(s, j->id, ret);

        if (r == -ENOENT)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no agent \"%s\".", j->id);
        return r;
}

static int show_agent(AgentsJob *j, Store *s, AgentRecord *a) {
        Updates updates = { .store = s };
        int r;

        api_etag_format(j->api.etag, a->enrolled, a->revision);
        r = fleet_load(s, &j->fleet);
        if (r >= 0)
                r = agent_full_view(&j->fleet, s, &j->rules, a, &j->api.answer);
        if (r < 0)
                return r;
        updates.list = json_array();
        if (!updates.list)
                return -ENOMEM;
        r = json_set_take(j->api.answer, "updates", updates.list);
        if (r < 0)
                return r;
        return s->ops->instructions_each(
                        s, &(InstructionFilter){ .agent = j->id, .limit = SHOW_UPDATES }, show_take_update,
                        &updates);
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

int agent_emit(StoreJob *job, Store *s, const AgentRecord *a, const char *change) {
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
        if (r >= 0)
                r = api_job_check_if_match(a, j->if_match, agent.enrolled, agent.revision);
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
        agent.revision++;
        if (r >= 0)
                r = api_audit_on(a, s, "agent.labels", "agent", j->id, 1, TAKE_PTR(changes));
        if (r >= 0)
                r = agent_emit(&a->job, s, &agent, "labels");
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
        if (api_check_if_match(x, &j->if_match) < 0) {
                agents_free(&j->api);
                return;
        }
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
        if (r >= 0 && j->if_match)
                r = api_job_check_if_match(a, j->if_match, agent.enrolled, agent.revision);
        a->etag[0] = '\0';
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
        /* who says which revision is meant is taken at the word */
        if (http_exchange_header(x, "If-Match") && api_check_if_match(x, &j->if_match) < 0) {
                agents_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
