/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "alloc-util.h"
#include "api.h"
#include "desired-change.h"
#include "parse-util.h"
#include "pki-cert.h"
#include "rollout-set.h"
#include "string-util.h"
#include "update-view.h"
#include "version.h"
#include "view.h"

typedef struct UpdatesJob {
        ApiJob api;
        UpdateRequest request;
        char *actor;
        char *id;                            /* of an instruction, or of an agent to filter by */
        uint64_t desired, limit;
        bool active;

        /* while it runs */
        DesiredKind kind; /* and of what */
        char *target;
        uint64_t matched, online, up_to_date;
} UpdatesJob;

static void updates_free(ApiJob *a) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);

        update_request_done(&j->request);
        free(j->target);
        free(j->actor);
        free(j->id);
        api_job_done(a);
        free(j);
}

static UpdatesJob *updates_new(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        UpdatesJob *j = new0(UpdatesJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = updates_free;
        return j;
}

/* ---- what is desired ---- */

static int collect_version(ReleaseRecord *rel, void *userdata) {
        return strv_extend(userdata, rel->version);
}

static int check_version(UpdatesJob *j, Store *s) {
        _cleanup_strv_free_ char **versions = NULL;
        RequestError error = {};
        int r;

        r = s->ops->releases_each(s, collect_version, &versions);
        if (r < 0 || strv_contains(versions, j->request.version))
                return r;
        return api_job_refuse_error(&j->api, request_refuse_version(&error, j->request.version, versions), &error);
}

/* What is desired names an agent, a selector or all: a group is its selector as it is now. */
static int settle_target(UpdatesJob *j) {
        const Target *t = &j->request.target;

        j->kind = t->kind == TARGET_IDS ? DESIRED_KIND_AGENT :
                  t->kind == TARGET_ALL ? DESIRED_KIND_ALL :
                                          DESIRED_KIND_SELECTOR;
        if (j->kind == DESIRED_KIND_SELECTOR)
                return selector_format(t->selector, &j->target);
        j->target = strdup(j->kind == DESIRED_KIND_AGENT ? t->ids.items[0] : "");
        return j->target ? 0 : -ENOMEM;
}

static int count_target(UpdatesJob *j, Store *s) {
        _cleanup_(text_list_done) TextList version = {};
        AgentQuery q;
        int r;

        target_query(&j->request.target, &q);
        q.states = 1U << AGENT_STATE_ONLINE;
        r = s->ops->agents_count(s, &q, &j->online);
        if (r < 0)
                return r;
        r = text_list_add(&version, j->request.version);
        if (r < 0)
                return r;
        q.states = 0;
        q.versions = &version;
        return s->ops->agents_count(s, &q, &j->up_to_date);
}

static int check_target(UpdatesJob *j, Store *s) {
        UpdateRequest *q = &j->request;
        RequestError error = {};
        TargetSize size;
        int r;

        r = target_resolve(&q->target, s, &error);
        if (r >= 0)
                r = target_check(&q->target, s, &q->expected, &size, &error);
        if (r < 0)
                return api_job_refuse_error(&j->api, r, &error);
        r = settle_target(j);
        if (r < 0)
                return r;
        j->matched = size.count;
        if (j->kind == DESIRED_KIND_SELECTOR && j->matched == 0 && !q->allow_empty)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, q->target.pointer,
                                "No agent matches \"%.256s\" now. If it is for agents that come later, say "
                                "\"allow_empty\": true (--allow-empty).",
                                j->target);
        return count_target(j, s);
}

static int audit_desired(UpdatesJob *j, Store *s, const DesiredRecord *d, const char *before) {
        const char *kind = desired_kind_to_string(d->kind);
        _cleanup_json_ json_t *detail = json_object();
        int r;

        r = detail ? json_set_u64(detail, "desired", d->id) : -ENOMEM;
        if (r >= 0)
                r = json_set_u64(detail, "generation", d->generation);
        if (r >= 0)
                r = json_set_string(detail, "version", d->version);
        if (r >= 0)
                r = json_set_string(detail, "before", before);
        if (r >= 0)
                r = json_set_bool(detail, "retry", d->retry);
        if (r < 0)
                return r;
        if (d->kind == DESIRED_KIND_ALL)
                return api_audit(&j->api, s, "desired.set", kind, j->matched, TAKE_PTR(detail));
        return api_audit_on(&j->api, s, "desired.set", kind, d->target, j->matched, TAKE_PTR(detail));
}

static int put_desired(UpdatesJob *j, Store *s, DesiredRecord *d) {
        DesiredChange change = { .kind = j->kind, .target = j->target, .version = j->request.version,
                                 .actor = j->actor, .retry = j->request.retry };
        _cleanup_free_ char *before = NULL;
        int r;

        r = desired_change(&j->api.job, s, &change, now(CLOCK_REALTIME), d, &before);
        j->api.unchanged = r == 0;
        return r > 0 ? audit_desired(j, s, d, before) : r;
}

/* A rollout to named agents would bring back what is desired for one of them only when it is through. */
static int check_rollout(UpdatesJob *j, Store *s) {
        _cleanup_(rollout_membership_done) RolloutMembership m = {};
        _cleanup_(rollout_set_done) RolloutSet set = {};
        int r;

        if (j->kind != DESIRED_KIND_AGENT)
                return 0;
        r = s->ops->rollout_membership(s, j->target, &m);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = s->ops->rollout_get(s, m.rollout, &set.record);
        if (r >= 0)
                r = rollout_set_read_spec(&set);
        if (r < 0 || (set.target.kind != TARGET_IDS && !set.unreadable))
                return r;
        return api_job_refuse(
                        &j->api, HTTP_PROBLEM_CONFLICT, j->request.target.pointer,
                        "Rollout %" PRIu64 " brings %s to this agent and names it. Wait for it, or abort it.",
                        m.rollout, m.version);
}

static int create_run(ApiJob *a, Store *s) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);
        _cleanup_(desired_record_done) DesiredRecord d = {};
        json_t *v;
        int r;

        r = check_version(j, s);
        if (r >= 0)
                r = check_target(j, s);
        if (r >= 0)
                r = check_rollout(j, s);
        if (r >= 0)
                r = put_desired(j, s, &d);
        if (r < 0)
                return r;
        a->status = 202;
        a->answer = json_object();
        v = view_desired(&d);
        if (!a->answer || !v) {
                json_decref(v);
                return -ENOMEM;
        }
        r = json_set_take(a->answer, "desired", v);
        if (r >= 0)
                r = json_set_u64(a->answer, "matched", j->matched);
        if (r >= 0)
                r = json_set_u64(a->answer, "online", j->online);
        if (r >= 0)
                r = json_set_u64(a->answer, "up_to_date", j->up_to_date);
        return r;
}

static void reconcile_after(ApiJob *a) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);

        if (j->target && j->kind == DESIRED_KIND_AGENT)
                stream_registry_reconcile_soon(a->gateway->streams, j->target);
        else
                stream_registry_reconcile_all(a->gateway->streams);
}

void api_updates_create(HttpExchange *x, void *userdata) {
        const ApiCaller *c = http_exchange_caller(x);
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        UpdatesJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = updates_new(x, create_run);
        if (!j)
                return;
        j->api.after = reconcile_after;
        r = update_request_parse(body, &j->request, &error);
        if (r >= 0)
                r = api_caller_name(c, &j->actor);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                updates_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

static int take_desired(DesiredRecord *d, void *userdata) {
        json_t *v = view_desired(d);

        return v && json_array_append_new(userdata, v) >= 0 ? 0 : -ENOMEM;
}

/* {"<key>": [ … ]}; the list stays the answer's. */
static int begin_list(ApiJob *a, const char *key, json_t **ret) {
        *ret = json_array();
        a->answer = json_object();
        if (*ret && a->answer)
                return json_set_take(a->answer, key, *ret);
        json_decref(*ret);
        return -ENOMEM;
}

static int desired_list_run(ApiJob *a, Store *s) {
        json_t *list;
        int r;

        r = begin_list(a, "desired", &list);
        return r < 0 ? r : s->ops->desired_each(s, take_desired, list);
}

void api_desired_list(HttpExchange *x, void *userdata) {
        UpdatesJob *j = updates_new(x, desired_list_run);

        if (j)
                api_submit(&j->api, userdata, x);
}

static int audit_desired_gone(UpdatesJob *j, Store *s, const DesiredRecord *d) {
        json_t *detail = view_desired(d);
        char number[32];

        if (!detail)
                return -ENOMEM;
        (void) snprintf(number, sizeof(number), "%" PRIu64, d->id);
        return api_audit_on(&j->api, s, "desired.delete", "desired", number, 1, detail);
}

static int desired_delete_run(ApiJob *a, Store *s) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);
        _cleanup_(desired_record_done) DesiredRecord d = {};
        int r;

        r = s->ops->desired_get(s, j->desired, &d);
        if (r == -ENOENT)
                return api_job_refuse(
                                a, HTTP_PROBLEM_NOT_FOUND, NULL,
                                "Nothing desired has the number %" PRIu64 ".", j->desired);
        if (r >= 0)
                r = desired_drop(&a->job, s, &d, now(CLOCK_REALTIME));
        a->status = 204;
        return r < 0 ? r : audit_desired_gone(j, s, &d);
}

void api_desired_delete(HttpExchange *x, void *userdata) {
        uint64_t id;
        UpdatesJob *j;

        if (parse_u64(http_exchange_argument(x, 0), &id) < 0 || id == 0 || id > INT64_MAX) {
                http_reply_problem(x, HTTP_PROBLEM_NOT_FOUND, NULL, "What is desired has a number.");
                return;
        }
        j = updates_new(x, desired_delete_run);
        if (!j)
                return;
        j->desired = id;
        j->api.after = reconcile_after;
        api_submit(&j->api, userdata, x);
}

/* ---- instructions ---- */

static int take_instruction(InstructionRecord *i, void *userdata) {
        json_t *v = view_instruction(i);

        return v && json_array_append_new(userdata, v) >= 0 ? 0 : -ENOMEM;
}

static int list_run(ApiJob *a, Store *s) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);
        InstructionFilter f = {
                .agent = j->id, .desired = j->desired, .active = j->active, .limit = j->limit
        };
        json_t *list;
        int r;

        r = begin_list(a, "updates", &list);
        return r < 0 ? r : s->ops->instructions_each(s, &f, take_instruction, list);
}

static int list_parameters(UpdatesJob *j, HttpExchange *x) {
        const char *agent = http_exchange_parameter(x, "agent");
        int r;

        r = api_parameter_u64(x, "limit", 1, 1000, 100, &j->limit);
        if (r >= 0)
                r = api_parameter_u64(x, "desired", 1, INT64_MAX, 0, &j->desired);
        if (r >= 0)
                r = api_parameter_flag(x, "active", &j->active);
        if (r < 0)
                return r;
        if (agent && !pki_agent_id_is_valid(agent)) {
                api_refuse_parameter(x, "agent", "agent= is no agent id.");
                return -EINVAL;
        }
        j->id = agent ? strdup(agent) : NULL;
        return agent && !j->id ? -ENOMEM : 0;
}

void api_updates_list(HttpExchange *x, void *userdata) {
        UpdatesJob *j;

        j = updates_new(x, list_run);
        if (!j)
                return;
        if (list_parameters(j, x) < 0) {
                if (!http_exchange_is_answered(x))
                        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                updates_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

static int show_run(ApiJob *a, Store *s) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);
        _cleanup_(instruction_record_done) InstructionRecord i = {};
        int r;

        r = s->ops->instruction_get(s, j->id, &i);
        if (r == -ENOENT)
                return api_job_refuse(a, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no such update.");
        return r < 0 ? r : update_view(s, &i, &a->answer);
}

void api_updates_show(HttpExchange *x, void *userdata) {
        UpdatesJob *j = updates_new(x, show_run);

        if (!j)
                return;
        j->id = strdup(http_exchange_argument(x, 0));
        if (!j->id) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                updates_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

static int durations_run(ApiJob *a, Store *s) {
        return update_durations_view(s, &a->answer);
}

void api_updates_durations(HttpExchange *x, void *userdata) {
        UpdatesJob *j = updates_new(x, durations_run);

        if (j)
                api_submit(&j->api, userdata, x);
}
