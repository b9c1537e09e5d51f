/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "rollout-internal.h"

/* Failures that have something in common, and make up most of what has it, stop a rollout before a share of
 * all does. */
#define CORRELATED_MIN 3U

/* ---- the present batch ---- */

bool member_is_of_batch(const Step *s, const RolloutMember *m) {
        return s->p->batch == ROLLOUT_BATCH_CANARY ? m->canary : m->batch == s->p->batch;
}

void step_look_at_batch(Step *s) {
        usec_t period = s->in->spec->batch.period;

        s->batch = (Batch){ .recent_until = USEC_INFINITY };
        for (size_t i = 0; i < s->in->n; i++) {
                const RolloutMember *m = s->in->members + i;

                if (m->batch != ROLLOUT_BATCH_NONE && m->batch != ROLLOUT_BATCH_CANARY &&
                    s->clock - m->admitted < period) {
                        s->batch.recent++;
                        s->batch.recent_until = MIN(s->batch.recent_until, usec_add(m->admitted, period));
                }
                if (!member_is_of_batch(s, m))
                        continue;
                s->batch.admitted += m->batch == s->p->batch;
                s->batch.in_flight += m->state == MEMBER_STATE_IN_FLIGHT;
                s->batch.succeeded += m->state == MEMBER_STATE_SUCCEEDED;
                s->batch.failed += member_state_is_failure(m->state);
                s->batch.waiting += m->state == MEMBER_STATE_PENDING && s->p->batch == ROLLOUT_BATCH_CANARY;
        }
}

uint64_t batch_size(const Step *s) {
        return rollout_batch_size(s->in->spec, s->p->batch, s->out->counts.cohort);
}

uint32_t batch_success_wanted(const Step *s) {
        return s->p->batch == ROLLOUT_BATCH_CANARY ? s->in->spec->canary.success :
                                                     s->in->spec->batch.success;
}

/* ---- thresholds ---- */

static bool too_many_failures(const Step *s) {
        const RolloutAmount *max = &s->in->spec->max_failures;
        uint64_t failures = s->out->counts.counted_failures, admitted = s->out->counts.counted_admitted;

        if (!max->is_share)
                return failures > max->value;
        return failures * ROLLOUT_SHARE_ALL > admitted * max->value;
}

/* With no canary left that ran it, nothing is known about the release. */
static bool canaries_are_lost(const Step *s) {
        const Batch *b = &s->batch;
        uint64_t whole = b->succeeded + b->failed + b->in_flight + b->waiting;

        if (whole == 0)
                return batch_success_wanted(s) > 0;
        return !is_share_of(whole - b->failed, whole, batch_success_wanted(s));
}

/* Can this batch not reach its share of successes any more? */
static bool batch_is_lost(const Step *s) {
        const Batch *b = &s->batch;
        uint64_t ended = b->succeeded + b->failed, whole = ended + b->in_flight, others;

        if (s->p->threshold_waived)
                return false;
        if (s->p->batch == ROLLOUT_BATCH_CANARY)
                return canaries_are_lost(s);

        /* as long as it is open others may still join it and succeed */
        others = minus(MIN(batch_size(s), whole + step_count(s, MEMBER_STATE_PENDING)), whole);
        if (!is_share_of(whole + others - b->failed, whole + others, batch_success_wanted(s)))
                return true;
        /* a few latecomers, alone in their batch, say little */
        return b->in_flight == 0 && 2 * ended >= batch_size(s) &&
               s->clock - s->p->batch_opened >= s->in->spec->batch.period &&
               !is_share_of(b->succeeded, ended, batch_success_wanted(s));
}

/* ---- something in common ---- */

/* Of machines with one value of a trait most failed, while the others fare much better. A failure that was
 * seen is no evidence, and nothing is that has what it was stopped for before. */
static int find_correlation(const Step *s, RolloutTrait t, bool *ret) {
        size_t n = s->in->n_traits[t];
        _cleanup_free_ uint64_t *failed = new0(uint64_t, n), *ended = new0(uint64_t, n);
        uint64_t all_failed = 0, all_ended = 0;

        if (!failed || !ended)
                return -ENOMEM;
        for (size_t i = 0; i < s->in->n; i++) {
                const RolloutMember *m = s->in->members + i;
                bool bad = member_state_is_failure(m->state);

                if (m->excused || (bad ? m->seen : m->state != MEMBER_STATE_SUCCEEDED))
                        continue;
                failed[m->traits[t]] += bad;
                ended[m->traits[t]]++;
                all_failed += bad;
                all_ended++;
        }
        for (size_t v = 0; v < n; v++) {
                uint64_t others = all_ended - ended[v], others_failed = all_failed - failed[v];

                if (failed[v] < CORRELATED_MIN || 2 * failed[v] < ended[v] || others == 0 ||
                    4 * others_failed * ended[v] > failed[v] * others)
                        continue;
                s->out->correlated_trait = t;
                s->out->correlated_value = (uint32_t) v;
                *ret = true;
                return 0;
        }
        return 0;
}

static int failures_correlate(const Step *s, bool *ret) {
        int r = 0;

        *ret = false;
        if (s->out->counts.failures < CORRELATED_MIN)
                return 0;
        for (RolloutTrait t = 0; r >= 0 && !*ret && t < _ROLLOUT_TRAIT_MAX; t++)
                r = find_correlation(s, t, ret);
        return r;
}

/* ---- stopping ---- */

void step_pause(Step *s, RolloutReason reason) {
        s->p->state = ROLLOUT_STATE_PAUSED;
        s->p->reason = reason;
        s->p->paused_since = s->in->now;
        s->p->next_look = USEC_INFINITY;
}

static void excuse_correlated(const Step *s) {
        RolloutTrait t = s->out->correlated_trait;

        for (size_t i = 0; i < s->in->n; i++) {
                RolloutMember *m = s->in->members + i;

                if (m->traits[t] == s->out->correlated_value)
                        m->excused = m->changed = true;
        }
}

int step_went_wrong(Step *s, RolloutReason *ret) {
        bool correlated;
        int r;

        r = failures_correlate(s, &correlated);
        if (r < 0)
                return r;
        if (correlated)
                *ret = ROLLOUT_REASON_CORRELATED_FAILURES;
        else if (too_many_failures(s))
                *ret = ROLLOUT_REASON_MAX_FAILURES;
        else
                return 0;
        return 1;
}

int step_stop_if_bad(Step *s) {
        RolloutReason reason;
        int r;

        if (step_count(s, MEMBER_STATE_PENDING) == 0)
                return 0;
        if (s->release_gone) {
                step_pause(s, ROLLOUT_REASON_RELEASE_GONE);
                return 1;
        }
        r = step_went_wrong(s, &reason);
        if (r < 0)
                return r;
        if (r > 0) {
                step_pause(s, reason);
                if (reason == ROLLOUT_REASON_CORRELATED_FAILURES)
                        excuse_correlated(s);
        } else if (batch_is_lost(s)) {
                step_pause(s, ROLLOUT_REASON_SUCCESS_THRESHOLD);
                return 1;
        }
        return r;
}
