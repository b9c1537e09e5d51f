/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-internal.h"

int rollout_pause(RolloutProgress *p, usec_t now) {
        if (p->state != ROLLOUT_STATE_RUNNING)
                return -EBUSY;
        p->state = ROLLOUT_STATE_PAUSED;
        p->reason = ROLLOUT_REASON_OPERATOR;
        p->paused_since = now;
        return 0;
}

static void end_pause(RolloutProgress *p, usec_t now) {
        if (p->paused_since > 0)
                p->paused_total = usec_add(p->paused_total, usec_sub(now, p->paused_since));
        p->paused_since = 0;
}

/* Whoever resumes what failures had stopped, or retries, has seen what had ended: from now on only what ends
 * later counts. */
static void see_what_ended(RolloutInput *in) {
        for (size_t i = 0; i < in->n; i++) {
                RolloutMember *m = in->members + i;

                if (m->batch != ROLLOUT_BATCH_NONE && !member_state_is_active(m->state) && !m->seen)
                        m->seen = m->changed = true;
        }
}

/* What they need is in no release, somebody has seen that, and lets it go on all the same. */
static void go_on_without_missing(RolloutInput *in) {
        for (size_t i = 0; i < in->n; i++) {
                RolloutMember *m = in->members + i;
                MemberReason why;
                const char *hop;

                if (m->state != MEMBER_STATE_PENDING)
                        continue;
                why = rollout_judge(in, m, in->views + i, &hop);
                if (!rollout_reason_is_missing(why))
                        continue;
                m->state = MEMBER_STATE_SKIPPED;
                m->reason = why;
                m->updated = in->now;
                m->changed = true;
        }
}

static bool stopped_for_failures(RolloutReason r) {
        return IN_SET(r, ROLLOUT_REASON_MAX_FAILURES, ROLLOUT_REASON_SUCCESS_THRESHOLD,
                      ROLLOUT_REASON_CORRELATED_FAILURES, ROLLOUT_REASON_SOAK_FAILED);
}

int rollout_resume(RolloutProgress *p, RolloutInput *in) {
        if (p->state != ROLLOUT_STATE_PAUSED)
                return -EBUSY;
        rollout_follow_clock(p, in);
        if (IN_SET(p->reason, ROLLOUT_REASON_SUCCESS_THRESHOLD, ROLLOUT_REASON_SOAK_FAILED))
                p->threshold_waived = true;
        if (p->reason == ROLLOUT_REASON_RELEASE_GONE)
                go_on_without_missing(in);
        if (stopped_for_failures(p->reason))
                see_what_ended(in);
        end_pause(p, in->now);
        p->state = ROLLOUT_STATE_RUNNING;
        p->reason = ROLLOUT_REASON_UPDATING;
        p->next_look = in->now;
        return 0;
}

int rollout_abort(RolloutProgress *p, usec_t now) {
        if (!IN_SET(p->state, ROLLOUT_STATE_RUNNING, ROLLOUT_STATE_PAUSED))
                return -EBUSY;
        end_pause(p, now);
        p->state = ROLLOUT_STATE_ABORTING;
        p->reason = ROLLOUT_REASON_OPERATOR;
        p->next_look = now;
        return 0;
}

int rollout_approve(RolloutProgress *p) {
        if (p->state != ROLLOUT_STATE_RUNNING || p->reason != ROLLOUT_REASON_AWAITING_APPROVAL)
                return -EBUSY;
        p->approved = true;
        return 0;
}

int rollout_retry_failed(RolloutProgress *p, RolloutInput *in) {
        int n = 0;

        if (IN_SET(p->state, ROLLOUT_STATE_ABORTING, ROLLOUT_STATE_ABORTED))
                return -EBUSY;
        for (size_t i = 0; i < in->n; i++) {
                RolloutMember *m = in->members + i;

                if (!member_state_is_failure(m->state) || !in->views[i].exists ||
                    in->views[i].in_other_rollout || view_goes_on(in->views + i))
                        continue;
                *m = (RolloutMember){
                        .agent = m->agent,
                        .goal = m->goal,
                        .from = m->from,
                        .canary = m->canary,
                        .batch = m->batch,
                        .position = m->position,
                        .admitted = m->admitted,
                        .updated = in->now,
                        .retry = true,
                        .excused = m->excused,
                        .traits = { m->traits[0], m->traits[1], m->traits[2] },
                        .state = MEMBER_STATE_PENDING,
                        .changed = true,
                };
                n++;
        }
        if (n == 0)
                return -ENOENT;
        if (p->state == ROLLOUT_STATE_COMPLETED) {
                p->state = ROLLOUT_STATE_RUNNING;
                p->reason = ROLLOUT_REASON_UPDATING;
        }
        p->waiting_since = p->waited = 0;
        see_what_ended(in);
        p->next_look = in->now;
        return n;
}
