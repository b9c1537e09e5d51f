/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "rollout-work.h"
#include "string-util.h"
#include "version.h"

/* ---- an agent as a member ---- */

static int draft_look_around(RolloutContext *c, const char *agent, RolloutView *v) {
        _cleanup_(rollout_membership_done) RolloutMembership other = {};
        _cleanup_(instruction_record_done) InstructionRecord outstanding = {};
        int r;

        r = c->store->ops->rollout_membership(c->store, agent, &other);
        if (r < 0 && r != -ENOENT)
                return r;
        v->in_other_rollout = r >= 0;
        r = c->store->ops->instruction_outstanding(c->store, agent, &outstanding);
        if (r < 0 && r != -ENOENT)
                return r;
        v->busy = r >= 0;
        return 0;
}

int rollout_draft_add(RolloutContext *c, RolloutSet *set, AgentRecord *a, const char *goal) {
        _cleanup_(rollout_member_record_done) RolloutMemberRecord m = {
                .member = { .batch = ROLLOUT_BATCH_NONE, .state = MEMBER_STATE_PENDING },
                .view = { .exists = true,
                          .online = a->state == AGENT_STATE_ONLINE && !isempty(a->version),
                          .last_seen = a->last_seen,
                          .pinned = a->pinned },
        };
        int r;

        r = draft_look_around(c, a->id, &m.view);
        if (r < 0)
                return r;
        m.view.version = isempty(a->version) ? NULL : a->version;
        if (set->record.id > 0 && !rollout_may_join(&set->spec, &m.view))
                return 0; /* it runs already, and looks again */
        m.view.desired = rollout_set_desired(set, c->fleet, a, goal);
        m.goal = strdup(goal);
        if (!isempty(a->facts.os_id)) {
                m.os = strjoinf("%s%s%s", a->facts.os_id, isempty(a->facts.os_version_id) ? "" : " ",
                                strempty(a->facts.os_version_id));
                if (!m.os)
                        return -ENOMEM;
        }
        m.arch = a->facts.architecture ? strdup(a->facts.architecture) : NULL;
        if (!m.goal || (a->facts.architecture && !m.arch))
                return -ENOMEM;
        m.hostname = TAKE_PTR(a->facts.hostname);
        m.kernel = TAKE_PTR(a->facts.kernel);
        m.seen.arch = TAKE_PTR(a->facts.architecture);
        m.seen.version = TAKE_PTR(a->version);
        m.seen.previous_version = TAKE_PTR(a->previous_version);
        m.seen.pinned_version = TAKE_PTR(a->pinned_version);
        m.agent = TAKE_PTR(a->id);
        return rollout_set_add(set, &m);
}

/* ---- who ---- */

typedef struct Draft {
        RolloutContext *c;
        RolloutSet *set;
} Draft;

static int take_agent(AgentRecord *a, void *userdata) {
        Draft *d = userdata;

        return rollout_draft_add(d->c, d->set, a, d->set->record.version);
}

static int collect_target(Draft *d) {
        AgentQuery q;

        target_query(&d->set->target, &q);
        q.limit = INT64_MAX;
        return d->c->store->ops->agents_page(d->c->store, &q, take_agent, d, NULL);
}

/* Each of the parent's that came to its version goes back; also one whose time ran out, if it did all the same:
 * otherwise it is shown as one that runs the version already. */
static int take_updated(RolloutMemberRecord *m, void *userdata) {
        _cleanup_(agent_record_done) AgentRecord a = {};
        Draft *d = userdata;
        int r;

        if (!IN_SET(m->member.state, MEMBER_STATE_SUCCEEDED, MEMBER_STATE_TIMED_OUT) || isempty(m->from) ||
            !version_is_valid(m->from))
                return 0;
        r = d->c->store->ops->agent_get(d->c->store, m->agent, &a);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        return rollout_draft_add(d->c, d->set, &a, rollout_way_back(d->set->record.version, m->from, &m->view));
}

/* ---- whether ---- */

static int count_active(RolloutRecord *r, void *userdata) {
        ++*(uint64_t *) userdata;
        return 0;
}

static int refuse_too_many(RolloutContext *c, RequestError *e) {
        uint64_t n = 0;
        int r;

        r = c->store->ops->rollouts_each(
                        c->store, &(RolloutFilter){ .active = true, .state = _ROLLOUT_STATE_INVALID },
                        count_active, &n);
        if (r < 0 || n < ROLLOUTS_ACTIVE_MAX)
                return r;
        return request_refuse(
                        e, HTTP_PROBLEM_CONFLICT, NULL,
                        "%" PRIu64
                        " rollouts have not ended, and more than %u there cannot be. Abort those that nobody "
                        "needs.",
                        n, ROLLOUTS_ACTIVE_MAX);
}

static int refuse_unknown_version(const RolloutContext *c, const char *version, RequestError *e) {
        _cleanup_strv_free_ char **known = NULL;
        int r = 0;

        if (release_find(c->fleet->releases, c->fleet->n_releases, version))
                return 0;
        for (size_t i = 0; r >= 0 && i < c->fleet->n_releases; i++)
                r = strv_extend(&known, c->fleet->releases[i].version);
        return r < 0 ? r : request_refuse_version(e, version, known);
}

/* "12 up-to-date, 3 pinned" */
static char *describe_excluded(const RolloutSet *set) {
        _cleanup_strv_free_ char **parts = NULL;
        uint64_t n[_MEMBER_REASON_MAX] = {};

        for (size_t i = 0; i < set->n; i++)
                n[set->members[i].reason]++;
        for (MemberReason r = MEMBER_REASON_NONE + 1; r < _MEMBER_REASON_MAX; r++)
                if (n[r] > 0 &&
                    strv_consume(&parts, strjoinf("%" PRIu64 " %s", n[r], member_reason_to_string(r))) < 0)
                        return NULL;
        return strv_join(parts, ", ");
}

static int refuse_no_match(const RolloutSet *set, RequestError *e) {
        const char *fact = NULL;

        if (set->record.kind == ROLLOUT_KIND_ROLLBACK)
                return request_refuse(
                                e, HTTP_PROBLEM_CONFLICT, NULL,
                                "Nobody was updated by this rollout, so nobody can go back.");
        if (set->target.selector)
                fact = selector_fact_meant(set->target.selector);
        if (!fact)
                return request_refuse(
                                e, HTTP_PROBLEM_CONFLICT, "/target", "No agent matches this target now.");
        return request_refuse(
                        e, HTTP_PROBLEM_CONFLICT, "/target",
                        "No agent matches this target now. \"%s\" is a label; what machines say of themselves is "
                        "\"" SELECTOR_FACT_PREFIX "%s\".",
                        fact, fact);
}

static int refuse_nobody(const RolloutSet *set, RequestError *e) {
        const char *pointer = set->record.kind == ROLLOUT_KIND_ROLLBACK ? NULL : "/target";
        _cleanup_free_ char *why = NULL;

        if (set->n == 0)
                return refuse_no_match(set, e);
        why = describe_excluded(set);
        if (!why)
                return -ENOMEM;
        return request_refuse(
                        e, HTTP_PROBLEM_CONFLICT, pointer, "%zu %s, and none of them can take part: %s.",
                        set->n, set->n == 1 ? "agent matches" : "agents match", why);
}

static int refuse_canary(const RolloutSet *set, const char *canary, RequestError *e) {
        for (size_t i = 0; i < set->n; i++)
                if (streq(set->members[i].agent, canary))
                        return request_refuse(
                                        e, HTTP_PROBLEM_CONFLICT, "/strategy/canary/ids",
                                        "Agent %s cannot be a canary: %s", canary,
                                        member_reason_explain(set->members[i].reason));
        return request_refuse(
                        e, HTTP_PROBLEM_CONFLICT, "/strategy/canary/ids",
                        "Agent %s cannot be a canary: it is not among those that match.", canary);
}

static int refuse_strategy(const char *pointer, char *detail, RequestError *e) {
        static const struct {
                const char *inner, *whole;
        } pointers[] = {
                { "/canary/count", "/strategy/canary/count" },
                { "/canary/approval", "/strategy/canary/approval" },
                { "/batch", "/strategy/batch" },
                { "/windows", "/strategy/windows" },
        };
        const char *whole = "/strategy";

        for (size_t i = 0; i < ELEMENTSOF(pointers); i++)
                if (streq(pointers[i].inner, pointer))
                        whole = pointers[i].whole;
        return request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, whole, "%s", detail);
}

int rollout_draft_plan(RolloutContext *c, RolloutSet *set, RequestError *e) {
        _cleanup_free_ char *detail = NULL;
        const char *canary = NULL, *pointer = NULL;
        Draft d = { .c = c, .set = set };
        RolloutInput in;
        usec_t takes;
        int r;

        r = refuse_too_many(c, e);
        if (r >= 0 && set->record.kind == ROLLOUT_KIND_UPDATE)
                r = refuse_unknown_version(c, set->record.version, e);
        if (r >= 0 && set->spec.set_desired && set->target.kind == TARGET_IDS)
                r = request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, "/strategy/set_desired",
                                "What agents that come later shall run can be set for a selector, a group or all, not for "
                                "a list of agents.");
        if (r >= 0)
                r = set->record.kind == ROLLOUT_KIND_ROLLBACK ?
                                    c->store->ops->rollout_members_each(
                                                    c->store, set->record.parent, take_updated, &d) :
                                    collect_target(&d);
        if (r < 0)
                return r;

        in = rollout_set_input(set, c->fleet, c->now);
        r = rollout_plan(&in, set->views, &set->record.progress, &canary);
        if (r == -ESRCH)
                return refuse_canary(set, canary, e);
        if (r >= 0)
                r = rollout_set_follow_order(set);
        if (r < 0)
                return r;
        rollout_count(set->members, set->n, &set->record.counts);
        if (set->record.counts.cohort == 0)
                return refuse_nobody(set, e);
        r = rollout_spec_settle(&set->spec, set->record.counts.cohort, &pointer, &detail);
        if (r >= 0)
                r = rollout_work_duration(c->store, &takes);
        if (r >= 0)
                r = rollout_check_end(&set->record.progress, &in, takes, &pointer, &detail);
        return r == -EINVAL ? refuse_strategy(pointer, detail, e) : r;
}
