/* SPDX-License-Identifier: Apache-2.0 */
#include "desired-state.h"
#include "rollout-internal.h"
#include "string-util.h"

void rollout_count(const RolloutMember *members, size_t n, RolloutCounts *ret) {
        *ret = (RolloutCounts){};
        for (size_t i = 0; i < n; i++) {
                bool admitted = members[i].batch != ROLLOUT_BATCH_NONE, counted = admitted && !members[i].seen;

                ret->n[members[i].state]++;
                ret->admitted += admitted;
                ret->counted_admitted += counted;
                ret->counted_failures += counted && member_state_is_failure(members[i].state);
        }
        ret->failures = ret->n[MEMBER_STATE_FAILED] + ret->n[MEMBER_STATE_ROLLED_BACK] +
                        ret->n[MEMBER_STATE_TIMED_OUT];
        ret->cohort = n - ret->n[MEMBER_STATE_EXCLUDED];
}

bool view_goes_on(const RolloutView *v) {
        return v->has_instruction && !update_phase_is_terminal(v->phase);
}

bool view_runs_goal(const RolloutMember *m, const RolloutView *v) {
        return v->online && streq_ptr(v->version, m->goal);
}

bool view_is_away(const Step *s, const RolloutView *v) {
        return !v->exists || (!v->online && usec_sub(s->in->now, view_seen(s, v)) >= ROLLOUT_AWAY_AFTER);
}

void member_set(const Step *s, RolloutMember *m, MemberState state, MemberReason reason) {
        m->state = state;
        m->reason = reason;
        m->verdict = UPDATE_VERDICT_NONE;
        m->updated = s->in->now;
        m->changed = true;
}

static void member_fail(const Step *s, RolloutMember *m, MemberState state, UpdateVerdict verdict) {
        member_set(s, m, state, MEMBER_REASON_VERDICT);
        m->verdict = verdict;
}

usec_t member_retry_pause(const Step *s, const RolloutMember *m) {
        usec_t pause = s->in->spec->retry_pause, most = MAX(ROLLOUT_RETRY_PAUSE_MAX, pause);

        for (uint32_t i = 1; i < m->attempts && pause < most; i++)
                pause = usec_add(pause, pause);
        return MIN(pause, most);
}

static bool nothing_new(const Step *s) {
        return s->p->state == ROLLOUT_STATE_ABORTING || rollout_state_is_terminal(s->p->state);
}

bool member_may_try_again(const Step *s, const RolloutMember *m) {
        return m->attempts < s->in->spec->attempts && !nothing_new(s);
}

/* The one way back to those who wait, for who had given its place away, too: not while another rollout has
 * the agent. */
static bool member_wait_again(const Step *s, RolloutMember *m, const RolloutView *v, usec_t not_before) {
        if (nothing_new(s) || v->in_other_rollout)
                return false;
        member_set(s, m, MEMBER_STATE_PENDING, MEMBER_REASON_NONE);
        m->not_before = not_before;
        return true;
}

/* A stepping stone was reached; the rest of the way is another turn. One that says so after its time was up
 * stays timed out when there is no other turn for it: it came no further. */
static void member_take_stone(const Step *s, RolloutMember *m, const RolloutView *v) {
        if (member_wait_again(s, m, v, 0))
                m->attempts = 0;
        else if (s->p->state != ROLLOUT_STATE_COMPLETED && nothing_new(s))
                member_set(s, m, MEMBER_STATE_CANCELLED, MEMBER_REASON_ABORTED);
}

static void member_fail_or_retry(const Step *s, RolloutMember *m, const RolloutView *v) {
        if (v->verdict == UPDATE_VERDICT_PINNED)
                member_set(s, m, MEMBER_STATE_SKIPPED, MEMBER_REASON_PINNED);
        else if (!desired_is_worth_another_try(v->phase, v->verdict) || !member_may_try_again(s, m) ||
                 !member_wait_again(s, m, v, usec_add(s->in->now, member_retry_pause(s, m))))
                member_fail(s, m,
                            v->phase == UPDATE_PHASE_ROLLED_BACK ? MEMBER_STATE_ROLLED_BACK :
                                                                   MEMBER_STATE_FAILED,
                            v->verdict);
}

/* Its instruction has ended. */
static void member_take_end(const Step *s, RolloutMember *m, const RolloutView *v) {
        switch (v->phase) {
        case UPDATE_PHASE_SUCCEEDED:
                if (streq_ptr(v->instruction_version, m->goal))
                        member_set(s, m, MEMBER_STATE_SUCCEEDED, MEMBER_REASON_NONE);
                else
                        member_take_stone(s, m, v);
                break;
        case UPDATE_PHASE_ROLLED_BACK:
        case UPDATE_PHASE_FAILED:
                member_fail_or_retry(s, m, v);
                break;
        case UPDATE_PHASE_TIMED_OUT:
                member_fail(s, m, MEMBER_STATE_TIMED_OUT, UPDATE_VERDICT_NONE);
                break;
        default: /* withdrawn: something else is desired for it */
                member_set(s, m, MEMBER_STATE_SKIPPED,
                           v->desired != MEMBER_REASON_NONE ? v->desired : MEMBER_REASON_OVERRIDDEN);
        }
}

static void reconcile_in_flight(const Step *s, RolloutMember *m, const RolloutView *v) {
        if (!v->exists || !v->has_instruction)
                member_set(s, m, MEMBER_STATE_SKIPPED, MEMBER_REASON_REMOVED);
        else if (update_phase_is_terminal(v->phase))
                member_take_end(s, m, v);
}

usec_t member_second_chance(const Step *s, const RolloutMember *m, const RolloutView *v) {
        if (!v->exists || !v->online || !v->has_instruction || v->phase != UPDATE_PHASE_TIMED_OUT)
                return USEC_INFINITY;
        if (view_runs_goal(m, v))
                return usec_add(m->updated, ROLLOUT_TRIAL);
        if (v->in_other_rollout || !member_may_try_again(s, m))
                return USEC_INFINITY;
        return usec_add(m->updated, member_retry_pause(s, m));
}

/* The truth may come late. One that goes on with its update after all says so at its end: until then it
 * holds no place, since that was given to another. One that is there and says nothing gets another turn. */
static void reconcile_timed_out(const Step *s, RolloutMember *m, const RolloutView *v) {
        if (!v->exists || !v->has_instruction)
                return;
        if (view_goes_on(v)) {
                if (m->reason != MEMBER_REASON_NONE)
                        member_set(s, m, MEMBER_STATE_TIMED_OUT, MEMBER_REASON_NONE);
                return;
        }
        if (v->phase != UPDATE_PHASE_TIMED_OUT || m->reason == MEMBER_REASON_NONE)
                member_take_end(s, m, v); /* or its lease has ended again */
        else if (s->in->now < member_second_chance(s, m, v))
                return;
        else if (view_runs_goal(m, v))
                member_set(s, m, MEMBER_STATE_SUCCEEDED, MEMBER_REASON_NONE);
        else
                (void) member_wait_again(s, m, v, 0);
}

/* It was taken to be well and says now that it went back. */
static void reconcile_succeeded(const Step *s, RolloutMember *m, const RolloutView *v) {
        if (v->exists && v->has_instruction && v->phase == UPDATE_PHASE_ROLLED_BACK &&
            !streq_ptr(v->version, m->goal)) {
                m->seen = false; /* as a success, if at all */
                member_take_end(s, m, v);
        }
}

/* Before it got another turn something was said about the one before: it goes on with that after all, or that
 * ended for good. */
static bool pending_has_news(const RolloutMember *m, const RolloutView *v) {
        return v->has_instruction &&
               (view_goes_on(v) ||
                (!m->retry && IN_SET(v->phase, UPDATE_PHASE_ROLLED_BACK, UPDATE_PHASE_FAILED) &&
                 !desired_is_worth_another_try(v->phase, v->verdict)));
}

static void reconcile_pending(Step *s, RolloutMember *m, const RolloutView *v) {
        MemberReason why;
        const char *hop;

        if (nothing_new(s)) {
                member_set(s, m, MEMBER_STATE_CANCELLED, MEMBER_REASON_ABORTED);
                return;
        }
        if (v->exists && pending_has_news(m, v)) {
                member_fail(s, m, MEMBER_STATE_TIMED_OUT, UPDATE_VERDICT_NONE);
                reconcile_timed_out(s, m, v);
                return;
        }
        why = rollout_judge(s->in, m, v, &hop);
        if (why == MEMBER_REASON_NOT_RELEASED)
                s->release_gone = true; /* of all of them: nobody is to be skipped for it */
        else if (rollout_reason_is_missing(why)) {
                s->n_missing++;
                s->missing = m;
                s->missing_why = why;
        } else if (why == MEMBER_REASON_UP_TO_DATE && m->attempts > 0) {
                if (v->online && s->in->now >= usec_add(m->updated, ROLLOUT_TRIAL))
                        member_set(s, m, MEMBER_STATE_SUCCEEDED, MEMBER_REASON_NONE);
        } else if (why != MEMBER_REASON_NONE)
                member_set(s, m, MEMBER_STATE_SKIPPED, why);
}

/* They all could take part when they joined. One for whom that has changed is odd; several have lost a release
 * that they need, and nobody is skipped for that before somebody has looked. */
static void reconcile_missing(Step *s) {
        if (s->n_missing == 1)
                member_set(s, s->missing, MEMBER_STATE_SKIPPED, s->missing_why);
        else if (s->n_missing > 1)
                s->release_gone = true;
}

void step_reconcile(Step *s) {
        for (size_t i = 0; i < s->in->n; i++) {
                RolloutMember *m = s->in->members + i;
                const RolloutView *v = s->in->views + i;

                m->instruct = NULL;
                if (m->state == MEMBER_STATE_IN_FLIGHT)
                        reconcile_in_flight(s, m, v);
                else if (m->state == MEMBER_STATE_TIMED_OUT)
                        reconcile_timed_out(s, m, v);
                else if (m->state == MEMBER_STATE_SUCCEEDED)
                        reconcile_succeeded(s, m, v);
        }
        /* whoever waits again since a moment ago, too */
        for (size_t i = 0; i < s->in->n; i++)
                if (s->in->members[i].state == MEMBER_STATE_PENDING)
                        reconcile_pending(s, s->in->members + i, s->in->views + i);
        reconcile_missing(s);
}
