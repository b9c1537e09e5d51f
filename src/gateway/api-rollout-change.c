/* SPDX-License-Identifier: Apache-2.0 */

/* Rollouts made and steered. A request that is only tried ("dry_run") goes the same way up to where
 * something would be written. */

#include "alloc-util.h"
#include "api.h"
#include "desired-change.h"
#include "parse-util.h"
#include "rollout-park.h"
#include "string-util.h"
#include "version.h"
#include "view-rollout.h"

#define DESCRIPTION_MAX 256U
#define CANARIES_SHOWN 100U

typedef struct ChangeJob {
        ApiJob api;
        RolloutSet set; /* as asked for; then as it is */
        TargetExpectation expected;
        TargetSize size;
        bool dry_run;
        RolloutVerb verb;
        uint64_t id;
        char *if_match, *why; /* what the person said about it; NULL: nothing */
        FleetRules rules;

        Fleet fleet;
        RolloutOrders orders;
} ChangeJob;

static void change_free(ApiJob *a) {
        ChangeJob *j = container_of(a, ChangeJob, api);

        rollout_set_done(&j->set);
        fleet_done(&j->fleet);
        rollout_orders_done(&j->orders);
        free(j->if_match);
        free(j->why);
        api_job_done(a);
        free(j);
}

static ChangeJob *change_new(HttpExchange *x, Gateway *g, int (*run)(ApiJob *a, Store *s)) {
        ChangeJob *j = new0(ChangeJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = change_free;
        gateway_rules(g, &j->rules);
        return j;
}

static void change_after(ApiJob *a) {
        ChangeJob *j = container_of(a, ChangeJob, api);

        rollout_engine_send(a->gateway->rollouts, &j->orders);
        rollout_engine_kick(a->gateway->rollouts, j->set.record.id);
}

static RolloutContext change_context(ChangeJob *j, Store *s) {
        return (RolloutContext){ .job = &j->api.job,
                                 .store = s,
                                 .fleet = &j->fleet,
                                 .rules = &j->rules,
                                 .now = now(CLOCK_REALTIME),
                                 .orders = &j->orders };
}

/* ---- what is answered ---- */

static json_t *view_canaries(const RolloutSet *set) {
        json_t *list = json_array();

        for (size_t i = 0; list && i < set->n && set->members[i].canary && i < CANARIES_SHOWN; i++) {
                json_t *o = json_object();
                int r = o && json_array_append_new(list, o) >= 0 ? 0 : -ENOMEM;

                if (r >= 0)
                        r = json_set_string(o, "agent", set->records[i].agent);
                if (r >= 0)
                        r = json_set_string(o, "hostname", set->records[i].hostname);
                if (r >= 0)
                        r = json_set_string(o, "os", set->records[i].os);
                if (r >= 0)
                        r = json_set_string(o, "kernel", set->records[i].kernel);
                if (r >= 0)
                        r = json_set_string(o, "arch", set->records[i].arch);
                if (r < 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

static int set_view(json_t *o, const char *key, json_t *v) {
        return v ? json_set_take(o, key, v) : -ENOMEM;
}

/* Who takes part, who does not and why, when what would happen. */
static int
answer_plan(ChangeJob *j, Store *s, const RolloutInput *in, const RolloutProgress *begin, json_t *o) {
        RolloutPreview preview = {};
        bool assumed;
        usec_t takes;
        int r;

        r = json_set_u64(o, "matched", j->set.n);
        if (r >= 0)
                r = json_set_string(o, "digest", j->size.digest[0] ? j->size.digest : NULL);
        if (r >= 0)
                r = set_view(o, "excluded", view_rollout_excluded(&j->set));
        if (r >= 0)
                r = set_view(o, "canaries", view_canaries(&j->set));
        if (r >= 0)
                r = rollout_work_duration(s, &takes);
        assumed = r > 0;
        if (r >= 0)
                r = rollout_preview(begin, in, takes, &preview);
        preview.approximate = preview.approximate || assumed;
        if (r >= 0)
                r = set_view(o, "preview", view_rollout_preview(&preview));
        rollout_preview_done(&preview);
        return r < 0 ? r : json_set_u64(o, "update_takes_sec", MAX(takes / USEC_PER_SEC, (usec_t) 1));
}

static int answer_dry_run(ChangeJob *j, Store *s, const RolloutInput *in) {
        json_t *o = json_object();
        int r;

        j->api.unchanged = true;
        j->api.answer = o;
        r = o ? json_set_bool(o, "dry_run", true) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(o, "kind", rollout_kind_to_string(j->set.record.kind));
        if (r >= 0)
                r = json_set_string(o, "version", j->set.record.version);
        if (r >= 0)
                r = json_set_u64(o, "cohort", j->set.record.counts.cohort);
        if (r >= 0)
                r = set_view(o, "target", target_view(&j->set.target));
        if (r >= 0)
                r = set_view(o, "strategy", rollout_spec_format(&j->set.spec));
        return r < 0 ? r : answer_plan(j, s, in, &j->set.record.progress, o);
}

/* ---- making ---- */

static int audit_created(ChangeJob *j, Store *s) {
        const RolloutRecord *r = &j->set.record;
        _cleanup_free_ char *whom = target_describe(&j->set.target), *id = strjoinf("%" PRIu64, r->id);
        json_t *detail = json_object(), *strategy = rollout_spec_format(&j->set.spec);
        int k = detail && strategy && whom && id ? 0 : -ENOMEM;

        if (k >= 0)
                k = json_set_take(detail, "strategy", strategy);
        else
                json_decref(strategy);
        if (k >= 0)
                k = json_set_string(detail, "version", r->version);
        if (k >= 0)
                k = json_set_string(detail, "target", whom);
        if (k >= 0)
                k = json_set_string(detail, "digest", j->size.digest[0] ? j->size.digest : NULL);
        if (k >= 0 && r->parent > 0)
                k = json_set_u64(detail, "parent", r->parent);
        if (k < 0) {
                json_decref(detail);
                return k;
        }
        return api_audit_on(
                        &j->api, s,
                        r->kind == ROLLOUT_KIND_ROLLBACK ? "rollout.roll-back" : "rollout.create", "rollout",
                        id, r->counts.cohort, detail);
}

static int make(ChangeJob *j, Store *s, RolloutContext *c) {
        _cleanup_json_ json_t *plan = json_object();
        RequestError error = {};
        RolloutInput in;
        int r;

        r = rollout_draft_plan(c, &j->set, &error);
        if (r < 0)
                return api_job_refuse_error(&j->api, r, &error);
        in = rollout_set_input(&j->set, &j->fleet, c->now);
        if (j->dry_run)
                return answer_dry_run(j, s, &in);
        r = plan ? answer_plan(j, s, &in, &j->set.record.progress, plan) : -ENOMEM;
        if (r >= 0)
                r = rollout_work_create(c, &j->set);
        if (r >= 0)
                r = audit_created(j, s);
        if (r < 0)
                return r;
        j->api.status = 201;
        api_etag_format(j->api.etag, j->set.record.created, j->set.record.revision);
        j->api.answer = view_rollout_whole(&j->set.record);
        return j->api.answer && json_object_update(j->api.answer, plan) >= 0 ? 0 : -ENOMEM;
}

static int create_run(ApiJob *a, Store *s) {
        ChangeJob *j = container_of(a, ChangeJob, api);
        RolloutContext c = change_context(j, s);
        RequestError error = {};
        int r;

        r = request_error_below(&error, "/target", target_resolve(&j->set.target, s, &error));
        if (r >= 0)
                r = target_check(&j->set.target, s, &j->expected, &j->size, &error);
        if (r < 0)
                return api_job_refuse_error(a, r, &error);
        r = fleet_load(s, &j->fleet);
        return r < 0 ? r : make(j, s, &c);
}

static int parse_strategy(json_t *body, bool back, RolloutSpec *ret, RequestError *e) {
        _cleanup_free_ char *pointer = NULL, *detail = NULL;
        json_t *strategy = json_object_get(body, "strategy");
        int r;

        r = rollout_spec_parse(strategy, back, ret, &pointer, &detail);
        if (r != -EINVAL)
                return r;
        r = request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, pointer, "%s", detail);
        r = request_error_below(e, "/strategy", r);
        return r;
}

static int parse_common(json_t *body, bool back, ChangeJob *j, RequestError *e) {
        const char *description = NULL;
        int r;

        r = request_get_text(body, "/description", DESCRIPTION_MAX, &description, e);
        if (r >= 0)
                r = request_get_flag(body, "/dry_run", &j->dry_run, e);
        if (r >= 0)
                r = target_expectation_parse(body, &j->expected, e);
        if (r >= 0)
                r = parse_strategy(body, back, &j->set.spec, e);
        return r < 0 ? r : free_and_strdup(&j->set.record.description, description);
}

static int parse_create(json_t *body, ChangeJob *j, RequestError *e) {
        static const char *const known[] = { "version",  "target",  "description",
                                             "strategy", "dry_run", TARGET_EXPECTATION_MEMBERS,
                                             NULL };
        static const char *const target_members[] = { TARGET_MEMBERS, NULL };
        json_t *target = json_object_get(body, "target");
        const char *version = NULL;
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = request_get_text(body, "/version", VERSION_TEXT_MAX, &version, e);
        if (r >= 0 && (!version || !version_is_valid(version)))
                r = request_refuse_member(e, "/version", "a version such as 1.2.0");
        if (r >= 0 && !json_is_object(target))
                r = request_refuse_member(
                                e, "/target",
                                "an object that names who: \"ids\", \"selector\", \"group\" or \"all\"");
        if (r < 0)
                return r;
        r = request_check_members(target, target_members, e);
        if (r >= 0)
                r = target_parse(target, &j->set.target, e);
        if (r < 0)
                return request_error_below(e, "/target", r);
        r = parse_common(body, /* back= */ false, j, e);
        return r < 0 ? r : free_and_strdup(&j->set.record.version, version);
}

void api_rollouts_create(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        ChangeJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = change_new(x, userdata, create_run);
        if (!j)
                return;
        j->api.after = change_after;
        r = parse_create(body, j, &error);
        if (r >= 0)
                r = api_caller_name(http_exchange_caller(x), &j->set.record.actor);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                change_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- of one rollout ---- */

static int refuse_unknown(ChangeJob *j) {
        return api_job_refuse(
                        &j->api, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no rollout %" PRIu64 ".", j->id);
}

static int refuse_trouble(ChangeJob *j, const char *unreadable, int error) {
        return api_job_refuse(
                        &j->api, HTTP_PROBLEM_CONFLICT, NULL,
                        "The gateway cannot work on rollout %" PRIu64 ": %s Remove the cause; abort works in any case.",
                        j->id, rollout_trouble(unreadable, error));
}

static ChangeJob *change_new_for_one(HttpExchange *x, Gateway *g, int (*run)(ApiJob *a, Store *s)) {
        const char *if_match = http_exchange_header(x, "If-Match");
        ChangeJob *j;
        uint64_t id;

        if (parse_u64(http_exchange_argument(x, 0), &id) < 0 || id == 0 || id > INT64_MAX) {
                http_reply_problem(x, HTTP_PROBLEM_NOT_FOUND, NULL, "A rollout has a number.");
                return NULL;
        }
        j = change_new(x, g, run);
        if (!j)
                return NULL;
        j->id = id;
        j->api.after = change_after;
        if (free_and_strdup(&j->if_match, if_match) >= 0)
                return j;
        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        change_free(&j->api);
        return NULL;
}

/* What it was about to make the rule, or has made, is what it takes back. */
static int withdraw_desired(ChangeJob *j, Store *s, RolloutContext *c, const RolloutSet *parent) {
        _cleanup_(desired_record_done) DesiredRecord d = {};
        _cleanup_free_ char *selector = NULL;
        DesiredKind kind = parent->target.kind == TARGET_ALL ? DESIRED_KIND_ALL : DESIRED_KIND_SELECTOR;
        int r;

        if (parent->target.kind == TARGET_IDS || !parent->spec.set_desired)
                return 0;
        if (kind == DESIRED_KIND_SELECTOR)
                r = selector_format(parent->target.selector, &selector);
        else
                r = 0;
        if (r >= 0)
                r = s->ops->desired_find(s, kind, strempty(selector), &d);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (!streq(d.version, parent->record.version))
                return 0;
        if (!j->dry_run) {
                r = desired_forget(c->job, s, kind, strempty(selector), c->now);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < j->fleet.n_rows; i++) /* nor does it count in the plan */
                if (j->fleet.rows[i].record.id == d.id) {
                        desired_record_done(&j->fleet.rows[i].record);
                        selector_free(j->fleet.rows[i].selector);
                        j->fleet.rows[i] = j->fleet.rows[--j->fleet.n_rows];
                        break;
                }
        return 0;
}

static int roll_back_run(ApiJob *a, Store *s) {
        ChangeJob *j = container_of(a, ChangeJob, api);
        _cleanup_(rollout_set_done) RolloutSet parent = {};
        RolloutContext c = change_context(j, s);
        RequestError error = {};
        int r;

        r = fleet_load(s, &j->fleet);
        if (r >= 0)
                r = s->ops->rollout_get(s, j->id, &parent.record);
        if (r == -ENOENT)
                return refuse_unknown(j);
        if (r >= 0 && j->if_match)
                r = api_job_check_if_match(a, j->if_match, parent.record.created, parent.record.revision);
        a->etag[0] = '\0'; /* the answer is about another rollout, if it is about one */
        if (r >= 0)
                r = rollout_set_read_spec(&parent);
        if (r < 0)
                return r;
        if (parent.record.kind == ROLLOUT_KIND_ROLLBACK)
                return api_job_refuse(
                                a, HTTP_PROBLEM_CONFLICT, NULL,
                                "Rollout %" PRIu64
                                " goes back itself; to go forward again, create a rollout.",
                                j->id);
        if (!rollout_state_is_terminal(parent.record.progress.state))
                return api_job_refuse(
                                a, HTTP_PROBLEM_CONFLICT, NULL,
                                "Rollout %" PRIu64 " is %s; abort it first, and wait until it has ended.",
                                j->id, rollout_state_to_string(parent.record.progress.state));
        if (parent.unreadable)
                return refuse_trouble(j, parent.unreadable, 0);
        r = target_resolve(&parent.target, s, &error);
        request_error_done(&error);
        if (r >= 0)
                r = withdraw_desired(j, s, &c, &parent);
        if (r < 0 && r != -EINVAL) /* a group that is gone has nothing desired */
                return r;
        j->set.record.kind = ROLLOUT_KIND_ROLLBACK;
        j->set.record.parent = j->id;
        if (j->set.spec.max_in_flight == 0) /* as many as were well borne on the way there */
                j->set.spec.max_in_flight = parent.spec.max_in_flight;
        r = free_and_strdup(&j->set.record.version, parent.record.version);
        if (r < 0)
                return r;
        j->set.target = TAKE_GENERIC(parent.target, Target, (Target){});
        return make(j, s, &c);
}

void api_rollouts_roll_back(HttpExchange *x, void *userdata) {
        static const char *const known[] = { "description", "strategy", "dry_run", NULL };
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        ChangeJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = change_new_for_one(x, userdata, roll_back_run);
        if (!j)
                return;
        r = request_check_members(body, known, &error);
        if (r >= 0)
                r = parse_common(body, /* back= */ true, j, &error);
        if (r >= 0)
                r = api_caller_name(http_exchange_caller(x), &j->set.record.actor);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                change_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- verbs ---- */

static int refuse_verb(ChangeJob *j) {
        const RolloutRecord *r = &j->set.record;

        if (j->verb == ROLLOUT_VERB_APPROVE)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, NULL,
                                "Rollout %" PRIu64 " waits for no approval: it is %s (%s).", j->id,
                                rollout_state_to_string(r->progress.state),
                                rollout_reason_to_string(r->progress.reason));
        if (j->verb == ROLLOUT_VERB_RETRY_FAILED &&
            !IN_SET(r->progress.state, ROLLOUT_STATE_ABORTING, ROLLOUT_STATE_ABORTED))
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, NULL,
                                "No agent of rollout %" PRIu64 " failed that could be tried again.", j->id);
        return api_job_refuse(
                        &j->api, HTTP_PROBLEM_CONFLICT, NULL,
                        "Rollout %" PRIu64 " is %s: that does not allow %s.", j->id,
                        rollout_state_to_string(r->progress.state), rollout_verb_to_string(j->verb));
}

static int audit_verb(ChangeJob *j, Store *s, uint64_t concerned) {
        _cleanup_free_ char *action = strjoinf("rollout.%s", rollout_verb_to_string(j->verb)),
                            *id = strjoinf("%" PRIu64, j->id);
        json_t *detail = json_object();
        int r = action && id && detail ? json_set_string(detail, "why", j->why) : -ENOMEM;

        if (r < 0) {
                json_decref(detail);
                return r;
        }
        return api_audit_on(&j->api, s, action, "rollout", id, concerned, detail);
}

/* Whoever lets a batch go, or waives what has stopped a rollout by itself, must have seen that one, and not the one
 * before: there, what was read must be named. */
static bool verb_needs_match(const ChangeJob *j) {
        const RolloutProgress *p = &j->set.record.progress;

        return j->verb == ROLLOUT_VERB_APPROVE ||
               (j->verb == ROLLOUT_VERB_RESUME && p->state == ROLLOUT_STATE_PAUSED &&
                p->reason != ROLLOUT_REASON_OPERATOR);
}

static int verb_run(ApiJob *a, Store *s) {
        ChangeJob *j = container_of(a, ChangeJob, api);
        RolloutContext c = change_context(j, s);
        RolloutRecord *r = &j->set.record;
        uint64_t concerned = 0;
        int k, load;

        k = fleet_load(s, &j->fleet);
        if (k < 0)
                return k;
        load = rollout_set_load(s, j->id, &j->fleet, &j->set);
        if (load == -ENOENT)
                return refuse_unknown(j);
        if (r->id > 0 && (j->if_match || verb_needs_match(j)))
                k = api_job_check_if_match(a, j->if_match, r->created, r->revision);
        if (k < 0)
                return k;
        if (r->id > 0 && j->verb == ROLLOUT_VERB_ABORT)
                k = rollout_abort_anyway(&c, &j->set, load, &concerned);
        else if (load < 0 || j->set.unreadable)
                k = load < 0 ? load : -EUCLEAN;
        else
                k = rollout_work_verb(&c, &j->set, j->verb, &concerned);
        if (k == -EBUSY)
                return refuse_verb(j);
        if (rollout_error_is_its_own(k))
                return refuse_trouble(j, j->set.unreadable, k);
        if (k >= 0)
                k = audit_verb(j, s, concerned);
        if (k < 0)
                return k;
        api_etag_format(a->etag, r->created, r->revision);
        a->answer = view_rollout_whole(r);
        return a->answer ? 0 : -ENOMEM;
}

/* Which verb it is, the last part of the path says: the table has a row for each. */
void api_rollouts_verb(HttpExchange *x, void *userdata) {
        static const char *const known[] = { "why", NULL };
        RolloutVerb verb = rollout_verb_from_string(http_exchange_argument(x, 1));
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        const char *why = NULL;
        ChangeJob *j;
        int r;

        assert(verb >= 0);
        if (http_exchange_json(x, &body) < 0)
                return;
        j = change_new_for_one(x, userdata, verb_run);
        if (!j)
                return;
        j->verb = verb;
        r = request_check_members(body, known, &error);
        if (r >= 0)
                r = request_get_text(body, "/why", DESCRIPTION_MAX, &why, &error);
        if (r >= 0)
                r = free_and_strdup(&j->why, why);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                change_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
