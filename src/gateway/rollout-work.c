/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-work.h"

#include "alloc-util.h"
#include "desired-change.h"
#include "instruction.h"
#include "log.h"
#include "messages.h"
#include "string-util.h"
#include "view-rollout.h"

#define UPDATE_TAKES_UNKNOWN (60 * USEC_PER_SEC)

void rollout_orders_cut(RolloutOrders *o, size_t keep) {
        while (o->n > keep) {
                RolloutOrder *last = &o->items[--o->n];

                free(last->agent);
                fleet_order_done(&last->order);
        }
}

void rollout_orders_done(RolloutOrders *o) {
        rollout_orders_cut(o, 0);
        free(o->items);
        *o = (RolloutOrders){};
}

int rollout_work_duration(Store *s, usec_t *ret) {
        int r = s->ops->instructions_duration(s, ret);

        if (r == -ENOENT) {
                *ret = UPDATE_TAKES_UNKNOWN;
                return 1;
        }
        return r < 0 ? r : 0;
}

/* ---- writing what a step has decided ---- */

static int orders_add(RolloutOrders *o, const char *agent, const InstructionRecord *i) {
        RolloutOrder *order;
        int r;

        r = ARRAY_GROW(o->items, o->n_allocated, o->n + 1);
        if (r < 0)
                return r;
        order = &o->items[o->n++];
        *order = (RolloutOrder){ .agent = strdup(agent) };
        return order->agent ? fleet_order_instruct(&order->order, i) : -ENOMEM;
}

static int instruct_member(RolloutContext *c, const RolloutSet *set, size_t i) {
        _cleanup_(instruction_record_done) InstructionRecord created = {};
        RolloutMemberRecord *record = &set->records[i];
        const RolloutMember *m = &set->members[i];
        int r;

        r = instruction_create(
                        c->job, c->store,
                        &(InstructionOrder){ .agent = m->agent,
                                             .from_version = set->views[i].version,
                                             .version = m->instruct,
                                             .rollout = set->record.id,
                                             .attempt = m->attempts,
                                             .retry = m->retry,
                                             .back = set->record.kind == ROLLOUT_KIND_ROLLBACK },
                        c->now, c->rules->lease, &created);
        if (r >= 0)
                r = instruction_offered(c->job, c->store, &created, c->now);
        if (r >= 0)
                r = free_and_strdup(&record->instruction, created.id);
        if (r >= 0)
                r = free_and_strdup(&record->from, m->from);
        return r < 0 ? r : orders_add(c->orders, m->agent, &created);
}

static int save_members(RolloutContext *c, RolloutSet *set) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < set->n; i++) {
                RolloutMember *m = &set->members[i];

                if (m->instruct)
                        r = instruct_member(c, set, i);
                if (r >= 0 && m->changed) {
                        set->records[i].member = *m;
                        r = c->store->ops->rollout_member_put(c->store, set->record.id, &set->records[i]);
                }
                m->changed = false;
                m->instruct = NULL;
        }
        return r;
}

/* ---- telling ---- */

static int emit_rollout(RolloutContext *c, const RolloutRecord *r, bool progress) {
        return store_job_emit(
                        c->job, c->store, "rollout", NULL, view_event_text(view_rollout(r)), progress,
                        c->now);
}

static int log_parked(RolloutContext *c, const RolloutRecord *r) {
        return store_job_log(
                        c->job, LOG_ERR, FLEET_MESSAGE_ROLLOUT_PARKED_STR,
                        "MESSAGE=Rollout %" PRIu64
                        " of %s cannot be stepped and is paused, others go on: %s Remove the cause "
                        "and resume it (fleet-gatewayctl rollout resume %" PRIu64
                        "), or end it (fleet-gatewayctl rollout abort %" PRIu64 ").",
                        r->id, r->version, strempty(r->detail), r->id, r->id, "FLEET_ROLLOUT=%" PRIu64,
                        r->id, "FLEET_VERSION=%s", r->version, "FLEET_ROLLOUT_DETAIL=%s",
                        strempty(r->detail), NULL);
}

static int log_rollout(RolloutContext *c, const RolloutRecord *r) {
        bool stopped = r->progress.state == ROLLOUT_STATE_PAUSED &&
                       r->progress.reason != ROLLOUT_REASON_OPERATOR;

        return store_job_log(
                        c->job, stopped ? LOG_WARNING : LOG_NOTICE,
                        stopped ? FLEET_MESSAGE_ROLLOUT_STOPPED_STR : FLEET_MESSAGE_ROLLOUT_STATE_STR,
                        "MESSAGE=Rollout %" PRIu64 " of %s is %s%s: %s%s%s%s", r->id, r->version,
                        rollout_state_to_string(r->progress.state), stopped ? " by itself" : "",
                        rollout_reason_explain(r->progress.reason), r->detail ? " (" : "",
                        strempty(r->detail), r->detail ? ")" : "", "FLEET_ROLLOUT=%" PRIu64, r->id,
                        "FLEET_VERSION=%s", r->version, "FLEET_ROLLOUT_STATE=%s",
                        rollout_state_to_string(r->progress.state), "FLEET_ROLLOUT_REASON=%s",
                        rollout_reason_to_string(r->progress.reason), NULL);
}

static int audit_rollout(RolloutContext *c, const RolloutRecord *r, const char *action) {
        _cleanup_free_ char *target = strjoinf("rollout:%" PRIu64, r->id);
        json_t *detail = json_object();
        int k = target && detail ? 0 : -ENOMEM;

        if (k >= 0)
                k = json_set_string(detail, "state", rollout_state_to_string(r->progress.state));
        if (k >= 0)
                k = json_set_string(detail, "reason", rollout_reason_to_string(r->progress.reason));
        if (k >= 0)
                k = json_set_string(detail, "detail", r->detail);
        if (k < 0) {
                json_decref(detail);
                return k;
        }
        return audit_append(
                        c->job, c->store, &audit_actor_gateway, action, target, r->counts.cohort, detail);
}

/* What people would want to hear of, beyond numbers that move. */
static bool is_news(const RolloutProgress *a, const RolloutProgress *b) {
        return a->state != b->state || a->reason != b->reason || a->batch != b->batch;
}

static bool progress_differs(const RolloutProgress *a, const RolloutProgress *b) {
        return is_news(a, b) || a->batch_opened != b->batch_opened || a->settled != b->settled ||
               a->waiting_since != b->waiting_since || a->waited != b->waited || a->approved != b->approved ||
               a->threshold_waived != b->threshold_waived || a->started != b->started || a->boot != b->boot ||
               a->booted != b->booted || a->clock_set != b->clock_set || a->paused_since != b->paused_since ||
               a->paused_total != b->paused_total || a->next_look != b->next_look;
}

/* What came to be by itself, as opposed to what a person did and is entered under that person's name. */
static int tell_change(RolloutContext *c, RolloutRecord *r, const RolloutProgress *before) {
        const RolloutProgress *p = &r->progress;
        int k;

        bool parked = p->reason == ROLLOUT_REASON_STEP_FAILED && before->reason != p->reason;

        if (p->state == before->state && !parked)
                return 0;
        k = parked ? log_parked(c, r) : log_rollout(c, r);
        if (k < 0)
                return k;
        if (p->state == ROLLOUT_STATE_PAUSED) {
                k = store_job_note(
                                c->job, &(StoreNote){ .kind = STORE_NOTE_AUTO_PAUSE,
                                                      .text = rollout_reason_to_string(p->reason) });
                return k < 0 ? k : audit_rollout(c, r, "rollout.stop");
        }
        return rollout_state_is_terminal(p->state) ? audit_rollout(c, r, "rollout.end") : 0;
}

int rollout_work_tell(RolloutContext *c, RolloutRecord *r, const RolloutProgress *before) {
        int k = tell_change(c, r, before);

        return k < 0 ? k : emit_rollout(c, r, /* progress= */ false);
}

/* ---- the end ---- */

/* Why its version does not become the rule, being known too little; NULL: it does. */
static const char *why_not_desired(const RolloutSet *set) {
        const RolloutSpec *s = &set->spec;

        if (set->record.counts.n[MEMBER_STATE_SUCCEEDED] == 0)
                return "nobody was updated to it";
        if (set->record.progress.reason != ROLLOUT_REASON_DONE)
                return "it would have stopped for its failures, had anybody been left to be spared";
        if (set->record.progress.batch == ROLLOUT_BATCH_CANARY && !s->emergency &&
            (s->canary.soak > 0 || s->canary.approval))
                return "all were canaries, for which no soak and no approval followed";
        return NULL;
}

/* It becomes what the target shall run, for those who come later. */
static int set_desired(RolloutContext *c, RolloutSet *set) {
        _cleanup_(desired_record_done) DesiredRecord d = {};
        _cleanup_free_ char *selector = NULL;
        const char *why = why_not_desired(set);
        int r = 0;

        if (set->target.kind == TARGET_IDS)
                return 0;
        if (why) {
                free(set->record.detail);
                set->record.detail = strjoinf(
                                "%s was not set as what the target shall run: %s.", set->record.version, why);
                return set->record.detail ? 0 : -ENOMEM;
        }
        if (set->target.kind != TARGET_ALL)
                r = selector_format(set->target.selector, &selector);
        if (r < 0)
                return r;
        return desired_change(
                        c->job, c->store,
                        &(DesiredChange){ .kind = selector ? DESIRED_KIND_SELECTOR : DESIRED_KIND_ALL,
                                          .target = strempty(selector),
                                          .version = set->record.version,
                                          .actor = set->record.actor },
                        c->now, &d, NULL);
}

static int
finish_record(RolloutContext *c, RolloutSet *set, const RolloutOutcome *o, const RolloutProgress *before) {
        RolloutRecord *r = &set->record;
        const TraitValues *t = &set->traits[o->correlated_trait];
        char *detail = NULL;

        r->counts = o->counts;
        if (r->progress.state == ROLLOUT_STATE_PAUSED &&
            r->progress.reason == ROLLOUT_REASON_CORRELATED_FAILURES &&
            before->state != ROLLOUT_STATE_PAUSED) {
                detail = strjoinf(
                                "%s %s", rollout_trait_to_string(o->correlated_trait),
                                isempty(t->names[o->correlated_value]) ? "unknown" :
                                                                         t->names[o->correlated_value]);
                if (!detail)
                        return -ENOMEM;
        }
        if (detail || is_news(&r->progress, before)) {
                free(r->detail);
                r->detail = detail;
        }
        if (rollout_state_is_terminal(r->progress.state)) {
                if (r->finished == 0)
                        r->finished = c->now;
        } else
                r->finished = 0;
        if (r->progress.state == ROLLOUT_STATE_COMPLETED && before->state == ROLLOUT_STATE_RUNNING &&
            set->spec.set_desired && r->kind == ROLLOUT_KIND_UPDATE)
                return set_desired(c, set);
        return 0;
}

/* A step over a set that may have been changed before: by is whether a person did that. */
static int
step_set(RolloutContext *c,
         RolloutSet *set,
         const RolloutProgress *before,
         const RolloutCounts *counts,
         bool by) {
        RolloutInput in = rollout_set_input(set, c->fleet, c->now);
        RolloutRecord *record = &set->record;
        RolloutProgress after_person = record->progress;
        RolloutOutcome o;
        bool differs;
        int r;

        r = rollout_step(&record->progress, &in, &o);
        if (r >= 0)
                r = save_members(c, set);
        if (r >= 0)
                r = finish_record(c, set, &o, &after_person);
        if (r < 0)
                return r;
        differs = by || progress_differs(&record->progress, before) ||
                  memcmp(&record->counts, counts, sizeof(*counts)) != 0;
        if (!differs)
                return 0;
        record->updated = c->now;
        if (by)
                record->revision++;
        r = c->store->ops->rollout_put(c->store, record);
        if (r >= 0)
                r = tell_change(c, record, &after_person);
        return r < 0 ? r : emit_rollout(c, record, !by && !is_news(&record->progress, before));
}

/* ---- agents that came since ---- */

typedef struct Newcomers {
        RolloutSet *set;
        RolloutContext *c;
        Hashmap *known;
} Newcomers;

static int take_newcomer(AgentRecord *a, void *userdata) {
        Newcomers *n = userdata;

        if (hashmap_get(n->known, a->id))
                return 0;
        return rollout_draft_add(n->c, n->set, a, n->set->record.version);
}

static int add_newcomers(RolloutContext *c, RolloutSet *set) {
        Newcomers n = { .set = set, .c = c };
        size_t n_old = set->n;
        RequestError error = {};
        RolloutInput in;
        AgentQuery q;
        int r;

        r = target_resolve(&set->target, c->store, &error);
        request_error_done(&error);
        if (r == -EINVAL) /* its group is gone: then nobody comes by it */
                return 0;
        if (r >= 0)
                r = hashmap_new(&n.known, NULL);
        for (size_t i = 0; r >= 0 && i < set->n; i++)
                r = hashmap_put(n.known, set->members[i].agent, set);
        target_query(&set->target, &q);
        q.limit = INT64_MAX;
        if (r >= 0)
                r = c->store->ops->agents_page(c->store, &q, take_newcomer, &n, NULL);
        hashmap_free(n.known);
        if (r < 0 || set->n == n_old)
                return r < 0 ? r : 0;
        in = rollout_set_input(set, c->fleet, c->now);
        return rollout_plan_more(&in, n_old);
}

int rollout_work_step(RolloutContext *c, uint64_t id, bool look_for_new) {
        _cleanup_(rollout_set_done) RolloutSet set = {};
        RolloutProgress before;
        RolloutCounts counts;
        int r;

        r = rollout_set_load(c->store, id, c->fleet, &set);
        if (r < 0)
                return r;
        before = set.record.progress;
        counts = set.record.counts;
        /* its end needs no strategy */
        if (set.unreadable && IN_SET(before.state, ROLLOUT_STATE_RUNNING, ROLLOUT_STATE_PAUSED))
                return -EUCLEAN;
        if (set.spec.include_new_agents && set.record.kind == ROLLOUT_KIND_UPDATE &&
            before.state == ROLLOUT_STATE_RUNNING) {
                c->newcomers_welcome = true;
                r = look_for_new ? add_newcomers(c, &set) : 0;
                if (r < 0)
                        return r;
        }
        return step_set(c, &set, &before, &counts, /* by= */ false);
}

/* ---- making ---- */

int rollout_work_create(RolloutContext *c, RolloutSet *set) {
        RolloutRecord *r = &set->record;
        RolloutProgress before = r->progress;
        RolloutCounts counts = {};
        int k;

        r->created = r->updated = c->now;
        r->revision = 0;
        k = rollout_set_write_spec(set);
        if (k >= 0)
                k = c->store->ops->rollout_put(c->store, r);
        for (size_t i = 0; k >= 0 && i < set->n; i++)
                set->members[i].changed = true;
        /* what was said about these agents alone is older than this, and as specific */
        for (size_t i = 0; k >= 0 && set->target.kind == TARGET_IDS && i < set->target.ids.n; i++)
                k = desired_forget(c->job, c->store, DESIRED_KIND_AGENT, set->target.ids.items[i], c->now);
        if (k < 0)
                return k;
        k = store_job_log(c->job, LOG_NOTICE, NULL,
                          "MESSAGE=Rollout %" PRIu64 " of %s begins, for %" PRIu64 " agents; said %s.", r->id,
                          r->version, r->counts.cohort, strempty(r->actor), NULL);
        if (k < 0)
                return k;
        return step_set(c, set, &before, &counts, /* by= */ true);
}

/* ---- people ---- */

static const char *const verb_table[_ROLLOUT_VERB_MAX] = {
        [ROLLOUT_VERB_PAUSE] = "pause",
        [ROLLOUT_VERB_RESUME] = "resume",
        [ROLLOUT_VERB_ABORT] = "abort",
        [ROLLOUT_VERB_APPROVE] = "approve",
        [ROLLOUT_VERB_RETRY_FAILED] = "retry-failed",
};

const char *rollout_verb_to_string(RolloutVerb v) {
        return v >= 0 && v < _ROLLOUT_VERB_MAX ? verb_table[v] : NULL;
}

RolloutVerb rollout_verb_from_string(const char *s) {
        for (RolloutVerb v = 0; s && v < _ROLLOUT_VERB_MAX; v++)
                if (streq(verb_table[v], s))
                        return v;
        return _ROLLOUT_VERB_INVALID;
}

/* Those that failed and have their turn elsewhere by now are left to that. */
static int retry_failed(RolloutContext *c, RolloutSet *set) {
        RolloutInput in = rollout_set_input(set, c->fleet, c->now);

        for (size_t i = 0; i < set->n; i++) {
                _cleanup_(rollout_membership_done) RolloutMembership other = {};
                int r;

                if (!member_state_is_failure(set->members[i].state))
                        continue;
                r = c->store->ops->rollout_membership(c->store, set->members[i].agent, &other);
                if (r < 0 && r != -ENOENT)
                        return r;
                set->views[i].in_other_rollout = r >= 0;
        }
        return rollout_retry_failed(&set->record.progress, &in);
}

static int verb_run(RolloutContext *c, RolloutSet *set, RolloutVerb verb, uint64_t *ret_concerned) {
        RolloutRecord *r = &set->record;
        RolloutInput in = rollout_set_input(set, c->fleet, c->now);
        int k;

        *ret_concerned = r->counts.n[MEMBER_STATE_PENDING];
        switch (verb) {
        case ROLLOUT_VERB_PAUSE:
                return rollout_pause(&r->progress, c->now);
        case ROLLOUT_VERB_RESUME:
                return rollout_resume(&r->progress, &in);
        case ROLLOUT_VERB_ABORT:
                return rollout_abort(&r->progress, c->now);
        case ROLLOUT_VERB_APPROVE:
                return rollout_approve(&r->progress);
        default:
                k = retry_failed(c, set);
                *ret_concerned = k > 0 ? (uint64_t) k : 0;
                return k == -ENOENT ? -EBUSY : k;
        }
}

int rollout_work_verb(RolloutContext *c, RolloutSet *set, RolloutVerb verb, uint64_t *ret_concerned) {
        RolloutProgress before = set->record.progress;
        RolloutCounts counts = set->record.counts;
        int r;

        r = verb_run(c, set, verb, ret_concerned);
        if (r < 0)
                return r;
        if (before.state != set->record.progress.state) {
                set->record.detail = (free(set->record.detail), NULL);
                r = log_rollout(c, &set->record);
                if (r < 0)
                        return r;
        }
        return step_set(c, set, &before, &counts, /* by= */ true);
}
