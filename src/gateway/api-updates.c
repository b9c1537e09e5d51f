/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "alloc-util.h"
#include "api.h"
#include "parse-util.h"
#include "pki-cert.h"
#include "string-util.h"
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
        Selector *selector;
        uint64_t matched, online, up_to_date;
        json_t *list;
} UpdatesJob;

static void updates_free(ApiJob *a) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);

        update_request_done(&j->request);
        selector_free(j->selector);
        json_decref(j->list);
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

static int compare_versions(const void *a, const void *b) {
        return version_compare(*(char *const *) a, *(char *const *) b);
}

static int check_version(UpdatesJob *j, Store *s) {
        _cleanup_strv_free_ char **versions = NULL;
        _cleanup_free_ char *list = NULL;
        int r;

        r = s->ops->releases_each(s, collect_version, &versions);
        if (r < 0)
                return r;
        if (strv_contains(versions, j->request.version))
                return 0;
        if (!versions)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_UNKNOWN_VERSION, "/version",
                                "Version %s is not in the registry, which is empty. Import a release first.",
                                j->request.version);
        qsort(versions, strv_length(versions), sizeof(char *), compare_versions);
        list = strv_join(versions, ", ");
        if (!list)
                return -ENOMEM;
        return api_job_refuse(
                        &j->api, HTTP_PROBLEM_UNKNOWN_VERSION, "/version",
                        "Version %s is not in the registry. Known: %.512s. Import the release first.",
                        j->request.version, list);
}

static int count_agent(AgentRecord *a, void *userdata) {
        UpdatesJob *j = userdata;

        if (j->request.kind == DESIRED_KIND_AGENT && !streq(a->id, j->request.target))
                return 0;
        if (j->selector && !selector_matches(j->selector, agent_record_lookup, a))
                return 0;
        j->matched++;
        if (a->state == AGENT_STATE_ONLINE)
                j->online++;
        if (streq_ptr(a->version, j->request.version))
                j->up_to_date++;
        return 0;
}

static int check_target(UpdatesJob *j, Store *s) {
        const UpdateRequest *q = &j->request;
        int r = 0;

        if (q->kind == DESIRED_KIND_SELECTOR)
                r = selector_parse(q->target, &j->selector, NULL);
        if (r >= 0)
                r = s->ops->agents_each(s, count_agent, j);
        if (r < 0)
                return r;
        if (q->kind == DESIRED_KIND_AGENT && j->matched == 0)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_NOT_FOUND, "/agent", "There is no agent \"%s\".",
                                q->target);
        if (q->has_expected_count && q->expected_count != j->matched)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, "/expected_count",
                                "%" PRIu64 " agents match now, not %" PRIu64
                                "; look again before you go on.",
                                j->matched, q->expected_count);
        if (q->kind == DESIRED_KIND_SELECTOR && j->matched == 0 && !q->allow_empty)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, "/selector",
                                "No agent matches \"%.256s\" now. If it is for agents that come later, say "
                                "\"allow_empty\": true (--allow-empty).",
                                q->target);
        return 0;
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

static int put_desired(UpdatesJob *j, Store *s, DesiredRecord *d, bool *ret_changed) {
        const UpdateRequest *q = &j->request;
        _cleanup_free_ char *before = NULL;
        usec_t t = now(CLOCK_REALTIME);
        int r;

        r = s->ops->desired_find(s, q->kind, q->target, d);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret_changed = r == -ENOENT || q->retry || !streq(d->version, q->version);
        if (!*ret_changed)
                return 0;
        if (r == -ENOENT) {
                d->kind = q->kind;
                d->created = t;
                r = free_and_strdup(&d->target, q->target);
                if (r < 0)
                        return r;
        }
        d->generation++;
        d->retry = q->retry;
        d->updated = t;
        before = TAKE_PTR(d->version);
        r = free_and_strdup(&d->version, q->version);
        if (r >= 0)
                r = free_and_strdup(&d->actor, j->actor);
        if (r >= 0)
                r = s->ops->desired_put(s, d);
        if (r >= 0)
                r = audit_desired(j, s, d, before);
        if (r >= 0)
                r = store_job_emit(
                                &j->api.job, s, "desired", q->kind == DESIRED_KIND_AGENT ? q->target : NULL,
                                view_event_text(view_desired(d)), /* progress= */ false, t);
        return r;
}

static int create_run(ApiJob *a, Store *s) {
        UpdatesJob *j = container_of(a, UpdatesJob, api);
        _cleanup_(desired_record_done) DesiredRecord d = {};
        json_t *v;
        bool changed;
        int r;

        r = check_version(j, s);
        if (r >= 0)
                r = check_target(j, s);
        if (r >= 0)
                r = put_desired(j, s, &d, &changed);
        if (r < 0)
                return r;
        a->unchanged = !changed;
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

        if (j->request.target && j->request.kind == DESIRED_KIND_AGENT)
                stream_registry_reconcile_soon(a->gateway->streams, j->request.target);
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
        if (r >= 0) {
                r = api_caller_name(c, &j->actor);
        }
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
        json_t *o;
        int r;

        r = s->ops->desired_get(s, j->desired, &d);
        if (r == -ENOENT)
                return api_job_refuse(
                                a, HTTP_PROBLEM_NOT_FOUND, NULL,
                                "Nothing desired has the number %" PRIu64 ".", j->desired);
        if (r >= 0)
                r = s->ops->desired_delete(s, j->desired);
        if (r >= 0)
                r = audit_desired_gone(j, s, &d);
        if (r < 0)
                return r;
        o = json_object();
        if (o && (json_set_u64(o, "id", j->desired) < 0 || json_set_bool(o, "deleted", true) < 0)) {
                json_decref(o);
                o = NULL;
        }
        a->status = 204;
        return store_job_emit(
                        &a->job, s, "desired", NULL, view_event_text(o), /* progress= */ false,
                        now(CLOCK_REALTIME));
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
        const char *agent = http_exchange_parameter(x, "agent"),
                   *active = http_exchange_parameter(x, "active");
        int r;

        r = api_parameter_u64(x, "limit", 1, 1000, 100, &j->limit);
        if (r >= 0)
                r = api_parameter_u64(x, "desired", 1, INT64_MAX, 0, &j->desired);
        if (r < 0)
                return r;
        if (active && !streq(active, "true") && !streq(active, "false")) {
                http_reply_problem(x, HTTP_PROBLEM_BAD_REQUEST, NULL, "active= must be true or false.");
                return -EINVAL;
        }
        j->active = active && streq(active, "true");
        if (agent && !pki_agent_id_is_valid(agent)) {
                http_reply_problem(x, HTTP_PROBLEM_BAD_REQUEST, NULL, "agent= is no agent id.");
                return -EINVAL;
        }
        j->id = agent ? strdup(agent) : NULL;
        return agent && !j->id ? -ENOMEM : 0;
}

void api_updates_list(HttpExchange *x, void *userdata) {
        static const char *const known[] = { "agent", "desired", "active", "limit", NULL };
        UpdatesJob *j;

        if (http_exchange_check_parameters(x, known) < 0)
                return;
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
        if (r < 0)
                return r;
        a->answer = view_instruction(&i);
        return a->answer ? 0 : -ENOMEM;
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
