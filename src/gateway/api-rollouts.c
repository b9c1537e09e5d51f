/* SPDX-License-Identifier: Apache-2.0 */

/* Rollouts as they are: all of them, one with its batches and the causes of failures, its members by page.
 */

#include <stdio.h>

#include "alloc-util.h"
#include "api.h"
#include "hex.h"
#include "parse-util.h"
#include "rollout-park.h"
#include "string-util.h"
#include "version.h"
#include "view-rollout.h"

#define LIMIT_DEFAULT 50U
#define LIMIT_MAX 1000U
#define BATCHES_SHOWN 1000U
#define CURSOR_MAX 128U
#define OFFSET_MAX 10000000U

typedef struct RolloutsJob {
        ApiJob api;
        uint64_t id, limit;
        RolloutFilter filter;
        RolloutMemberFilter members;
        char *version, *reason;

        json_t *list; /* borrowed */
        uint64_t taken, last;
        bool more;
        Fleet fleet;
        RolloutSet set;
} RolloutsJob;

static void rollouts_free(ApiJob *a) {
        RolloutsJob *j = container_of(a, RolloutsJob, api);

        fleet_done(&j->fleet);
        rollout_set_done(&j->set);
        free(j->version);
        free(j->reason);
        api_job_done(a);
        free(j);
}

static RolloutsJob *rollouts_new(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        RolloutsJob *j = new0(RolloutsJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = rollouts_free;
        j->filter.state = _ROLLOUT_STATE_INVALID;
        j->members.state = _MEMBER_STATE_INVALID;
        return j;
}

static RolloutsJob *rollouts_new_for_one(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        RolloutsJob *j;
        uint64_t id;

        if (parse_u64(http_exchange_argument(x, 0), &id) < 0 || id == 0 || id > INT64_MAX) {
                http_reply_problem(x, HTTP_PROBLEM_NOT_FOUND, NULL, "A rollout has a number.");
                return NULL;
        }
        j = rollouts_new(x, run);
        if (j)
                j->id = id;
        return j;
}

static void rollouts_give_up(RolloutsJob *j, HttpExchange *x) {
        if (!http_exchange_is_answered(x))
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        rollouts_free(&j->api);
}

/* ---- pages ---- */

/* A number, and what the list was filtered by: it fits no other list. */
static int cursor_set(RolloutsJob *j, const char *filter, uint64_t number) {
        _cleanup_free_ char *text = strjoinf("%" PRIu64 " %s", number, filter), *cursor = NULL;

        cursor = text ? base64url_encode_new(text, strlen(text)) : NULL;
        return cursor ? json_set_string(j->api.answer, "next_cursor", cursor) : -ENOMEM;
}

static int cursor_take(HttpExchange *x, const char *filter, uint64_t *ret) {
        const char *text = http_exchange_parameter(x, "cursor");
        _cleanup_free_ char *decoded = NULL;
        void *data = NULL;
        size_t size;
        char *space;

        if (!text)
                return 0;
        if (base64url_decode(text, CURSOR_MAX, &data, &size) >= 0)
                decoded = memdup_suffix0(data, size);
        free(data);
        space = decoded ? strchr(decoded, ' ') : NULL;
        if (space)
                *space++ = '\0';
        if (space && streq(space, filter) && parse_u64(decoded, ret) >= 0)
                return 0;
        api_refuse_parameter(x, "cursor", "The cursor does not belong to this list; begin without one.");
        return -EINVAL;
}

/* ---- all ---- */

static void filter_text(const RolloutsJob *j, char buf[static CURSOR_MAX]) {
        (void) snprintf(buf, CURSOR_MAX, "rollouts %d %s %.63s", j->filter.active,
                        strempty(rollout_state_to_string(j->filter.state)), strempty(j->version));
}

static int take_rollout(RolloutRecord *r, void *userdata) {
        RolloutsJob *j = userdata;
        json_t *v;

        if (j->taken++ >= j->limit) { /* one more was asked for */
                j->more = true;
                return 1;
        }
        v = view_rollout_listed(r);
        j->last = r->id;
        return v && json_array_append_new(j->list, v) >= 0 ? 0 : -ENOMEM;
}

static int list_run(ApiJob *a, Store *s) {
        RolloutsJob *j = container_of(a, RolloutsJob, api);
        char filter[CURSOR_MAX];
        uint64_t total;
        int r;

        j->list = json_array();
        a->answer = json_object();
        if (!a->answer || json_set_take(a->answer, "rollouts", j->list) < 0)
                return -ENOMEM;
        j->filter.version = j->version;
        j->filter.limit = j->limit + 1;
        r = s->ops->rollouts_each(s, &j->filter, take_rollout, j);
        if (r >= 0)
                r = s->ops->rollouts_count(s, &j->filter, &total);
        if (r >= 0)
                r = json_set_u64(a->answer, "total", total);
        if (r < 0 || !j->more)
                return r;
        filter_text(j, filter);
        return cursor_set(j, filter, j->last);
}

static int list_parameters(RolloutsJob *j, HttpExchange *x) {
        const char *state = http_exchange_parameter(x, "state"),
                   *version = http_exchange_parameter(x, "version");
        char filter[CURSOR_MAX];
        int r;

        r = api_parameter_u64(x, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &j->limit);
        if (r >= 0)
                r = api_parameter_flag(x, "active", &j->filter.active);
        if (r < 0)
                return r;
        if (state) {
                j->filter.state = rollout_state_from_string(state);
                if (j->filter.state < 0) {
                        api_refuse_parameter(
                                        x, "state",
                                        "state= must be running, paused, aborting, completed or aborted.");
                        return -EINVAL;
                }
        }
        if (version && !version_is_valid(version)) {
                api_refuse_parameter(x, "version", "version= must be a version such as 1.2.0.");
                return -EINVAL;
        }
        r = free_and_strdup(&j->version, version);
        if (r < 0)
                return r;
        filter_text(j, filter);
        return cursor_take(x, filter, &j->filter.before);
}

void api_rollouts_list(HttpExchange *x, void *userdata) {
        RolloutsJob *j;

        j = rollouts_new(x, list_run);
        if (!j)
                return;
        if (list_parameters(j, x) < 0)
                rollouts_give_up(j, x);
        else
                api_submit(&j->api, userdata, x);
}

/* ---- one ---- */

typedef struct BatchTally {
        uint64_t admitted, in_flight, succeeded, failed;
        usec_t first; /* admission, on the rollout's clock */
} BatchTally;

static json_t *view_batch(uint32_t batch, const BatchTally *t) {
        json_t *o = json_object();
        int r = o ? json_set_u64(o, "batch", batch) : -ENOMEM;

        if (r >= 0)
                r = json_set_u64(o, "admitted", t->admitted);
        if (r >= 0)
                r = json_set_u64(o, "in_flight", t->in_flight);
        if (r >= 0)
                r = json_set_u64(o, "succeeded", t->succeeded);
        if (r >= 0)
                r = json_set_u64(o, "failed", t->failed);
        if (r >= 0)
                return o;
        json_decref(o);
        return NULL;
}

/* In which batch each was admitted last, and how that went. */
static int add_batches(json_t *o, const RolloutSet *set) {
        uint32_t n = MIN(set->record.progress.batch + 1, BATCHES_SHOWN);
        _cleanup_free_ BatchTally *tallies = new0(BatchTally, n);
        json_t *list = json_array();
        int r = list && tallies ? json_set_take(o, "batches", list) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < set->n; i++) {
                const RolloutMember *m = set->members + i;
                BatchTally *t = m->batch < n ? tallies + m->batch : NULL;

                if (!t)
                        continue;
                t->admitted++;
                t->in_flight += m->state == MEMBER_STATE_IN_FLIGHT;
                t->succeeded += m->state == MEMBER_STATE_SUCCEEDED;
                t->failed += member_state_is_failure(m->state);
        }
        for (uint32_t b = 0; r >= 0 && b < n; b++)
                if (tallies[b].admitted > 0 && json_array_append_new(list, view_batch(b, tallies + b)) < 0)
                        r = -ENOMEM;
        return r;
}

static json_t *find_cause(json_t *list, const char *state, const char *reason) {
        json_t *o;
        size_t i;

        json_array_foreach(list, i, o) if (
                        streq(json_text(o, "state"), state) &&
                        streq(json_text(o, "reason"), reason)) return o;
        return NULL;
}

static int count_cause(json_t *list, const RolloutMember *m) {
        const char *state = member_state_to_string(m->state),
                   *reason = m->verdict == UPDATE_VERDICT_NONE ? "" : update_verdict_to_string(m->verdict);
        json_t *o = find_cause(list, state, reason);
        uint64_t n = 0;
        int r = 0;

        if (!o) {
                o = json_object();
                if (!o || json_array_append_new(list, o) < 0)
                        return -ENOMEM;
                r = json_set_string(o, "state", state);
                if (r >= 0 && *reason)
                        r = json_set_string(o, "reason", reason);
                if (r >= 0 && *reason)
                        r = json_set_string(o, "reason_text", update_verdict_explain(m->verdict));
        }
        (void) json_get_u64(o, "count", &n);
        return r < 0 ? r : json_set_u64(o, "count", n + 1);
}

/* Failures by what they have in common. */
static int add_causes(json_t *o, const RolloutSet *set) {
        json_t *list = json_array();
        int r = list ? json_set_take(o, "causes", list) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < set->n; i++)
                if (member_state_is_failure(set->members[i].state))
                        r = count_cause(list, set->members + i);
        return r;
}

/* What would follow from now on, if all goes well. */
static int add_preview(json_t *o, RolloutsJob *j, Store *s) {
        RolloutInput in = rollout_set_input(&j->set, &j->fleet, now(CLOCK_REALTIME));
        RolloutPreview preview = {};
        usec_t takes;
        json_t *v;
        int r;

        if (j->set.record.progress.state != ROLLOUT_STATE_RUNNING || j->set.unreadable)
                return 0;
        r = rollout_work_duration(s, &takes);
        if (r >= 0)
                r = rollout_preview(&j->set.record.progress, &in, takes, &preview);
        if (r >= 0) {
                v = view_rollout_preview(&preview);
                r = v ? json_set_take(o, "preview", v) : -ENOMEM;
        }
        rollout_preview_done(&preview);
        return r;
}

static int show_damaged(json_t *o, const RolloutCounts *c) {
        int r = json_set_u64(o, "matched", c->cohort + c->n[MEMBER_STATE_EXCLUDED]);

        if (r >= 0)
                r = json_set_take(o, "batches", json_array());
        return r < 0 ? r : json_set_take(o, "causes", json_array());
}

static int show_run(ApiJob *a, Store *s) {
        RolloutsJob *j = container_of(a, RolloutsJob, api);
        int r;

        r = fleet_load(s, &j->fleet);
        if (r >= 0)
                r = rollout_set_load(s, j->id, &j->fleet, &j->set);
        if (r == -ENOENT)
                return api_job_refuse(
                                a, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no rollout %" PRIu64 ".", j->id);
        if (r < 0 && (!rollout_error_is_its_own(r) || j->set.record.id == 0))
                return r;
        api_etag_format(a->etag, j->set.record.created, j->set.record.revision);
        a->answer = view_rollout_whole(&j->set.record);
        if (!a->answer)
                return -ENOMEM;
        if (r < 0) /* its members cannot be read: then what is known of it must do */
                return show_damaged(a->answer, &j->set.record.counts);
        r = json_set_u64(a->answer, "matched", j->set.n);
        if (r >= 0)
                r = add_batches(a->answer, &j->set);
        if (r >= 0)
                r = add_causes(a->answer, &j->set);
        return r < 0 ? r : add_preview(a->answer, j, s);
}

void api_rollouts_show(HttpExchange *x, void *userdata) {
        RolloutsJob *j = rollouts_new_for_one(x, show_run);

        if (j)
                api_submit(&j->api, userdata, x);
}

/* ---- members ---- */

static void members_text(const RolloutsJob *j, char buf[static CURSOR_MAX]) {
        (void) snprintf(buf, CURSOR_MAX, "members %" PRIu64 " %s %.40s %d %u", j->id,
                        strempty(member_state_to_string(j->members.state)), strempty(j->reason),
                        j->members.has_batch, j->members.batch);
}

static int take_member(RolloutMemberRecord *m, void *userdata) {
        RolloutsJob *j = userdata;
        json_t *v;

        if (j->taken++ >= j->limit) {
                j->more = true;
                return 1;
        }
        v = view_rollout_member(m);
        j->last = m->member.position;
        return v && json_array_append_new(j->list, v) >= 0 ? 0 : -ENOMEM;
}

static int members_run(ApiJob *a, Store *s) {
        RolloutsJob *j = container_of(a, RolloutsJob, api);
        char filter[CURSOR_MAX];
        uint64_t total;
        int r;

        r = s->ops->rollout_get(s, j->id, &j->set.record);
        if (r == -ENOENT)
                return api_job_refuse(
                                a, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no rollout %" PRIu64 ".", j->id);
        j->list = json_array();
        a->answer = json_object();
        if (r < 0 || !a->answer || json_set_take(a->answer, "members", j->list) < 0)
                return r < 0 ? r : -ENOMEM;
        j->members.rollout = j->id;
        j->members.reason = j->reason;
        j->members.limit = j->limit + 1;
        r = s->ops->rollout_members_page(s, &j->members, take_member, j, &total);
        if (r >= 0)
                r = json_set_u64(a->answer, "total", total);
        if (r < 0 || !j->more)
                return r;
        members_text(j, filter);
        return cursor_set(j, filter, j->last + 1);
}

static int members_parameters(RolloutsJob *j, HttpExchange *x) {
        const char *state = http_exchange_parameter(x, "state"),
                   *reason = http_exchange_parameter(x, "reason");
        char filter[CURSOR_MAX];
        uint64_t batch = 0;
        int r;

        r = api_parameter_u64(x, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &j->limit);
        if (r >= 0)
                r = api_parameter_u64(x, "batch", 0, UINT32_MAX - 1, 0, &batch);
        if (r >= 0)
                r = api_parameter_u64(x, "offset", 0, OFFSET_MAX, 0, &j->members.offset);
        if (r < 0)
                return r;
        j->members.has_batch = http_exchange_parameter(x, "batch");
        j->members.batch = (uint32_t) batch;
        if (state) {
                j->members.state = member_state_from_string(state);
                if (j->members.state < 0) {
                        api_refuse_parameter(
                                        x, "state",
                                        "state= must be pending, in-flight, succeeded, failed, rolled-back, timed-out, "
                                        "skipped, cancelled or excluded.");
                        return -EINVAL;
                }
        }
        if (reason && update_verdict_from_string(reason) <= UPDATE_VERDICT_NONE &&
            member_reason_from_string(reason) <= MEMBER_REASON_NONE) {
                api_refuse_parameter(x, "reason", "reason= is none that a member could have.");
                return -EINVAL;
        }
        r = free_and_strdup(&j->reason, reason);
        if (r < 0)
                return r;
        members_text(j, filter);
        if (http_exchange_parameter(x, "offset") && http_exchange_parameter(x, "cursor")) {
                api_refuse_parameter(x, "offset", "A page begins at a cursor or at an offset, not at both.");
                return -EINVAL;
        }
        return cursor_take(x, filter, &j->members.from_position);
}

void api_rollouts_members(HttpExchange *x, void *userdata) {
        RolloutsJob *j;

        j = rollouts_new_for_one(x, members_run);
        if (!j)
                return;
        if (members_parameters(j, x) < 0)
                rollouts_give_up(j, x);
        else
                api_submit(&j->api, userdata, x);
}
