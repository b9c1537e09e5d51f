/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-internal.h"
#include "string-util.h"
#include "version.h"

/* How long a rollout that skips who is offline waits for those who went while it ran. */
#define SKIP_AFTER (10 * USEC_PER_MINUTE)

static usec_t min_usec(usec_t a, usec_t b) {
        return MIN(a, b);
}

static void wait_for(Step *s, RolloutReason reason, usec_t look) {
        s->p->reason = reason;
        s->p->next_look = look;
}

/* When the rollout's clock will show this, if nobody pauses it. */
static usec_t realtime_of(const Step *s, usec_t clock) {
        return clock == USEC_INFINITY ? clock : usec_add(s->in->now, usec_sub(clock, s->clock));
}

/* ---- who waits ---- */

typedef struct Waiting {
        uint64_t ready;      /* could be admitted */
        uint64_t ready_turn; /* and it is their turn */
        uint64_t resting;    /* there, but in a pause before another attempt, or at another update */
        usec_t resting_until;
} Waiting;

static bool is_ready(const Step *s, size_t i) {
        const RolloutView *v = s->in->views + i;

        return s->in->members[i].state == MEMBER_STATE_PENDING && v->online && v->version && !v->busy &&
               !view_runs_goal(s->in->members + i, v) && s->in->members[i].not_before <= s->in->now;
}

static bool is_turn_of(const Step *s, const RolloutMember *m) {
        return s->p->batch != ROLLOUT_BATCH_CANARY || m->canary;
}

static Waiting look_at_waiting(const Step *s) {
        Waiting w = { .resting_until = USEC_INFINITY };

        for (size_t i = 0; i < s->in->n; i++) {
                const RolloutMember *m = s->in->members + i;

                if (m->state != MEMBER_STATE_PENDING || !s->in->views[i].online)
                        continue;
                if (is_ready(s, i)) {
                        w.ready++;
                        w.ready_turn += is_turn_of(s, m);
                } else if (view_runs_goal(m, s->in->views + i)) {
                        w.resting++;
                        w.resting_until = min_usec(w.resting_until, usec_add(m->updated, ROLLOUT_TRIAL));
                } else if (m->not_before > s->in->now) {
                        w.resting++;
                        w.resting_until = min_usec(w.resting_until, m->not_before);
                } else
                        w.resting += s->in->views[i].busy; /* its end will be noticed */
        }
        return w;
}

/* Of those whose time ran out: they hold no place, but the rollout does not end without them. */
typedef struct Late {
        bool going_on; /* at their update after all: their end will be noticed */
        bool awaited;  /* away, or in another rollout, and they may try again */
        usec_t chance; /* when the next of them is judged again */
} Late;

static Late look_at_late(const Step *s) {
        Late l = { .chance = USEC_INFINITY };

        for (size_t i = 0; i < s->in->n && step_count(s, MEMBER_STATE_TIMED_OUT) > 0; i++) {
                const RolloutMember *m = s->in->members + i;
                const RolloutView *v = s->in->views + i;
                usec_t chance;

                if (m->state != MEMBER_STATE_TIMED_OUT || !v->exists || !v->has_instruction)
                        continue;
                chance = member_second_chance(s, m, v);
                l.chance = min_usec(l.chance, chance);
                l.going_on = l.going_on || view_goes_on(v);
                l.awaited = l.awaited || (chance == USEC_INFINITY && member_may_try_again(s, m));
        }
        return l;
}

/* Canaries that were drawn and cannot serve are replaced by others who are there; those that were named are
 * waited for. */
static void replace_canaries(Step *s) {
        uint64_t wanted = rollout_canaries(s->in->spec, s->out->counts.cohort), have = 0, there = 0;
        size_t i;

        if (s->p->batch != ROLLOUT_BATCH_CANARY || s->in->spec->canary.ids)
                return;
        for (i = 0; i < s->in->n; i++)
                there += !s->in->members[i].canary && is_ready(s, i);
        for (i = 0; i < s->in->n; i++) {
                RolloutMember *m = s->in->members + i;
                bool gone = m->state == MEMBER_STATE_PENDING && view_is_away(s, s->in->views + i) &&
                            there > 0;

                if (!m->canary)
                        continue;
                if (gone || m->state == MEMBER_STATE_SKIPPED) {
                        m->canary = false;
                        m->changed = true;
                        there -= gone;
                } else
                        have++;
        }
        for (i = 0; i < s->in->n && have < wanted; i++) {
                RolloutMember *m = s->in->members + i;

                if (m->canary || !is_ready(s, i))
                        continue;
                m->canary = m->changed = true;
                have++;
        }
        step_look_at_batch(s);
}

/* When the next canary that has gone counts as away. */
static usec_t next_replacement(const Step *s) {
        usec_t t = USEC_INFINITY;

        if (s->p->batch != ROLLOUT_BATCH_CANARY || s->in->spec->canary.ids)
                return t;
        for (size_t i = 0; i < s->in->n; i++) {
                const RolloutView *v = s->in->views + i;

                if (s->in->members[i].state == MEMBER_STATE_PENDING && s->in->members[i].canary &&
                    !v->online && !view_is_away(s, v))
                        t = min_usec(t, usec_add(view_seen(s, v), ROLLOUT_AWAY_AFTER));
        }
        return t;
}

/* ---- from one batch to the next ---- */

static usec_t soak_wanted(const Step *s) {
        if (s->in->spec->emergency || s->p->threshold_waived)
                return 0;
        return s->p->batch == ROLLOUT_BATCH_CANARY ? s->in->spec->canary.soak : s->in->spec->batch.soak;
}

static bool approval_wanted(const Step *s) {
        if (s->in->spec->emergency)
                return false;
        return s->p->batch == ROLLOUT_BATCH_CANARY ? s->in->spec->canary.approval :
                                                     s->in->spec->batch.approval;
}

/* After the soak: is what succeeded still there, with its version? An agent that was removed from the gateway
 * says nothing. 1: yes; 0: not yet to be told; -1: no. */
static int soak_verdict(const Step *s, usec_t *ret_look) {
        uint64_t gone = 0, missing = 0, removed = 0, succeeded, whole;
        uint32_t wanted = batch_success_wanted(s);

        *ret_look = USEC_INFINITY;
        for (size_t i = 0; i < s->in->n; i++) {
                const RolloutMember *m = s->in->members + i;
                const RolloutView *v = s->in->views + i;

                if (m->state != MEMBER_STATE_SUCCEEDED || !member_is_of_batch(s, m))
                        continue;
                if (!v->exists)
                        removed++;
                else if (view_is_away(s, v) || (v->online && !streq_ptr(v->version, m->goal)))
                        gone++;
                else if (!v->online) {
                        missing++;
                        *ret_look = min_usec(*ret_look, usec_add(view_seen(s, v), ROLLOUT_AWAY_AFTER));
                }
        }
        succeeded = s->batch.succeeded - removed;
        whole = succeeded + s->batch.failed;
        if ((whole == 0 && removed > 0 && wanted > 0) || !is_share_of(succeeded - gone, whole, wanted))
                return -1; /* with nobody left that ran it nothing is known */
        return is_share_of(succeeded - gone - missing, whole, wanted) ? 1 : 0;
}

/* 1: over; 0: wait; -1: paused. */
static int soak(Step *s) {
        usec_t look, end;
        int verdict;

        if (soak_wanted(s) == 0)
                return 1;
        if (s->p->settled == 0)
                s->p->settled = s->clock;
        end = usec_add(s->p->settled, soak_wanted(s));
        if (s->clock < end) {
                wait_for(s, ROLLOUT_REASON_SOAKING, realtime_of(s, end));
                return 0;
        }
        verdict = soak_verdict(s, &look);
        if (verdict < 0)
                step_pause(s, ROLLOUT_REASON_SOAK_FAILED);
        else if (verdict == 0)
                wait_for(s, ROLLOUT_REASON_SOAKING, MAX(look, usec_add(s->in->now, USEC_PER_SEC)));
        return verdict;
}

/* Has enough of the batch ended well? That it never can is rollout-stop.c's business. */
static bool batch_has_settled(const Step *s) {
        const Batch *b = &s->batch;
        bool whole = s->p->batch == ROLLOUT_BATCH_CANARY || soak_wanted(s) > 0 || approval_wanted(s);

        if (b->in_flight == 0 && b->waiting == 0)
                return true;
        return !whole &&
               (s->p->threshold_waived || is_share_of(b->succeeded, b->admitted, batch_success_wanted(s)));
}

/* 1: the next batch may begin; 0: it has to wait, and why was said; -1: paused. */
static int may_go_on(Step *s) {
        int r;

        if (s->p->batch != ROLLOUT_BATCH_CANARY) {
                usec_t end = usec_add(s->p->batch_opened, s->in->spec->batch.period);

                if (s->clock < end) {
                        wait_for(s, ROLLOUT_REASON_NEXT_BATCH, realtime_of(s, end));
                        return 0;
                }
        }
        if (!batch_has_settled(s)) {
                wait_for(s, ROLLOUT_REASON_BATCH_IN_FLIGHT, USEC_INFINITY);
                return 0;
        }
        r = soak(s);
        if (r <= 0)
                return r;
        if (approval_wanted(s) && !s->p->approved) {
                wait_for(s, ROLLOUT_REASON_AWAITING_APPROVAL, USEC_INFINITY);
                return 0;
        }
        return 1;
}

static void begin_batch(Step *s) {
        s->p->batch++;
        s->p->batch_opened = s->p->settled = 0;
        s->p->approved = s->p->threshold_waived = false;
        step_look_at_batch(s);
}

/* The next batch is due when all canaries had their turn; when this one is full; when its period is over and
 * somebody is ready. */
static bool wants_next_batch(const Step *s, const Waiting *w) {
        if (s->p->batch == ROLLOUT_BATCH_CANARY)
                return s->batch.waiting == 0;
        if (s->p->batch_opened == 0 || w->ready == 0)
                return false;
        return s->batch.admitted >= batch_size(s) ||
               s->clock - s->p->batch_opened >= s->in->spec->batch.period;
}

/* ---- admitting ---- */

/* How many the limits of the present batch allow now. */
static uint64_t room_in_batch(const Step *s) {
        uint64_t size;

        if (s->p->batch == ROLLOUT_BATCH_CANARY)
                return UINT64_MAX;
        size = batch_size(s);
        return minus(size, MAX(s->batch.admitted, s->batch.recent));
}

static uint64_t room_in_flight(const Step *s) {
        return minus(s->in->spec->max_in_flight, step_count(s, MEMBER_STATE_IN_FLIGHT));
}

static void admit_one(Step *s, size_t i, const char *hop) {
        RolloutMember *m = s->in->members + i;

        if (!m->from)
                m->from = s->in->views[i].version;
        member_set(s, m, MEMBER_STATE_IN_FLIGHT, MEMBER_REASON_NONE);
        m->instruct = hop;
        m->batch = s->p->batch;
        m->admitted = s->clock;
        m->seen = false;
        m->attempts++;
        if (s->p->batch_opened == 0)
                s->p->batch_opened = s->clock;
        s->out->admitted_now++;
}

static uint64_t admit(Step *s, uint64_t room) {
        uint64_t n = 0;

        for (size_t i = 0; i < s->in->n && n < room; i++) {
                RolloutMember *m = s->in->members + i;
                const char *hop = NULL;

                if (!is_ready(s, i) || !is_turn_of(s, m) ||
                    rollout_judge(s->in, m, s->in->views + i, &hop) != MEMBER_REASON_NONE)
                        continue;
                admit_one(s, i, hop);
                n++;
        }
        rollout_count(s->in->members, s->in->n, &s->out->counts);
        step_look_at_batch(s);
        return n;
}

/* ---- waiting for who is away, and the end ---- */

static int finish(Step *s) {
        RolloutReason reason = ROLLOUT_REASON_DONE;
        int r;

        r = step_went_wrong(s, &reason);
        if (r < 0)
                return r;
        s->p->state = ROLLOUT_STATE_COMPLETED;
        wait_for(s, reason, USEC_INFINITY);
        return 0;
}

/* Waiting begins anew when somebody could have been admitted. Agents that are there while the windows are closed,
 * and away while they are open, do not make it begin anew: they would keep it open for ever. */
static void note_waiting(Step *s) {
        RolloutProgress *p = s->p;

        if (p->reason == ROLLOUT_REASON_WAITING_FOR_OFFLINE)
                return;
        if (p->reason != ROLLOUT_REASON_OUTSIDE_WINDOW)
                p->waited = 0;
        else if (p->waiting_since > 0)
                p->waited = usec_add(p->waited, usec_sub(s->clock, p->waiting_since));
        p->waiting_since = 0;
}

/* Everybody whose turn it is is away, or really everybody. 1: their time was up, and they are skipped; whose
 * lease had ended stays timed out. */
static int wait_for_offline(Step *s, bool everybody) {
        usec_t patience = s->in->spec->offline == ROLLOUT_OFFLINE_SKIP ? SKIP_AFTER :
                                                                         s->in->spec->offline_wait,
               end;

        if (s->p->waiting_since == 0)
                s->p->waiting_since = s->clock;
        end = usec_add(s->p->waiting_since, usec_sub(patience, s->p->waited));
        wait_for(s, ROLLOUT_REASON_WAITING_FOR_OFFLINE, realtime_of(s, end));
        if (s->clock < end)
                return 0;
        for (size_t i = 0; i < s->in->n; i++)
                if (s->in->members[i].state == MEMBER_STATE_PENDING &&
                    (everybody || is_turn_of(s, s->in->members + i)))
                        member_set(s, s->in->members + i, MEMBER_STATE_SKIPPED, MEMBER_REASON_OFFLINE);
        if (!everybody) /* the others were not waited for yet */
                s->p->waiting_since = s->p->waited = 0;
        rollout_count(s->in->members, s->in->n, &s->out->counts);
        step_look_at_batch(s);
        return 1;
}

/* Nobody whose turn it is can be admitted now. 1: something changed by it; else it was said why. */
static int nobody_ready(Step *s, const Waiting *w) {
        Late late = look_at_late(s);
        int r = 0;

        if (w->resting > 0)
                wait_for(s, ROLLOUT_REASON_RETRY_PAUSE, w->resting_until);
        else if (step_count(s, MEMBER_STATE_IN_FLIGHT) > 0 || late.going_on)
                wait_for(s, ROLLOUT_REASON_UPDATING, USEC_INFINITY);
        else if (late.chance != USEC_INFINITY)
                wait_for(s, ROLLOUT_REASON_RETRY_PAUSE, USEC_INFINITY);
        else
                r = wait_for_offline(s, w->ready == 0);
        s->p->next_look = min_usec(s->p->next_look, next_replacement(s));
        return r;
}

/* ---- one step of a running rollout ---- */

/* 1: once more; 0: that is all for now, and why was said. */
static int go_on(Step *s, const Waiting *w, usec_t *ret_window) {
        uint64_t room;
        int r;

        if (!batch_has_settled(s)) /* also when one that had timed out got another turn */
                s->p->settled = 0;
        if (wants_next_batch(s, w)) {
                r = may_go_on(s);
                if (r > 0) {
                        begin_batch(s);
                        return 1;
                }
                if (r < 0 || s->p->batch == ROLLOUT_BATCH_CANARY || room_in_batch(s) == 0)
                        return 0;
        }
        if (w->ready_turn == 0)
                return nobody_ready(s, w);
        if (!s->in->spec->emergency &&
            !rollout_windows_open(s->in->spec->windows, s->in->spec->n_windows, s->in->now, ret_window)) {
                wait_for(s, ROLLOUT_REASON_OUTSIDE_WINDOW, *ret_window);
                return 0;
        }
        room = room_in_batch(s);
        if (room == 0) { /* the batch before has had its share of this period */
                wait_for(s, ROLLOUT_REASON_NEXT_BATCH, realtime_of(s, s->batch.recent_until));
                return 0;
        }
        if (room_in_flight(s) == 0) {
                wait_for(s, ROLLOUT_REASON_IN_FLIGHT_LIMIT, USEC_INFINITY);
                return 0;
        }
        return admit(s, MIN(room, room_in_flight(s))) > 0;
}

/* Nobody waits for a turn: what is left to wait for? */
static int last_ones(Step *s, const Late *late) {
        if (step_count(s, MEMBER_STATE_IN_FLIGHT) > 0 || late->going_on)
                wait_for(s, ROLLOUT_REASON_FINISHING, late->chance);
        else if (late->chance != USEC_INFINITY)
                wait_for(s, ROLLOUT_REASON_RETRY_PAUSE, late->chance);
        else if (!late->awaited || wait_for_offline(s, /* everybody= */ true) > 0)
                return finish(s);
        return 0;
}

static int step_running(Step *s) {
        usec_t window = USEC_INFINITY;
        Late late;
        Waiting w;
        int r;

        replace_canaries(s);
        do {
                r = step_stop_if_bad(s);
                if (r != 0)
                        return r < 0 ? r : 0;
                w = look_at_waiting(s);
                r = step_count(s, MEMBER_STATE_PENDING) > 0 ? go_on(s, &w, &window) : 0;
        } while (r > 0);
        if (s->p->state != ROLLOUT_STATE_RUNNING)
                return 0;

        late = look_at_late(s);
        if (step_count(s, MEMBER_STATE_PENDING) > 0) {
                s->p->next_look = min_usec(s->p->next_look, window);
                s->p->next_look = min_usec(s->p->next_look, late.chance);
                r = 0;
        } else
                r = last_ones(s, &late);
        note_waiting(s);
        return r;
}

int rollout_step(RolloutProgress *p, const RolloutInput *in, RolloutOutcome *ret) {
        Step s = { .p = p, .in = in, .out = ret };

        *ret = (RolloutOutcome){};
        rollout_follow_clock(p, in);
        s.clock = rollout_clock(p, in->now);
        step_reconcile(&s);
        rollout_count(in->members, in->n, &ret->counts);
        step_look_at_batch(&s);

        if (p->state == ROLLOUT_STATE_RUNNING)
                return step_running(&s);
        p->next_look = USEC_INFINITY;
        if (p->state == ROLLOUT_STATE_ABORTING && step_count(&s, MEMBER_STATE_IN_FLIGHT) == 0)
                p->state = ROLLOUT_STATE_ABORTED;
        return 0;
}
