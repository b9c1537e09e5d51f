/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "rollout.h"

/* Members looked at in all, and how far ahead: what lies beyond is computed from the rate. The store waits for
 * who asks, so that this has to be done within half a second or so. */
#define VISITS_MAX UINT64_C(4000000)
#define AHEAD_MAX (366 * USEC_PER_DAY)

void rollout_preview_done(RolloutPreview *p) {
        free(p->batches);
        *p = (RolloutPreview){};
}

/* The instruction of whoever was admitted will end at this time; here the member's not_before has room for
 * it. */
static void start_updates(RolloutInput *in, RolloutView *views, usec_t end) {
        for (size_t i = 0; i < in->n; i++)
                if (in->members[i].instruct) {
                        views[i].has_instruction = true;
                        views[i].phase = UPDATE_PHASE_DOWNLOADING;
                        views[i].instruction_version = in->members[i].instruct;
                        in->members[i].not_before = end;
                }
}

/* Also one that goes on after its lease had ended. */
static bool is_at_it(const RolloutMember *m, const RolloutView *v) {
        return m->state == MEMBER_STATE_IN_FLIGHT ||
               (m->state == MEMBER_STATE_TIMED_OUT && v->has_instruction &&
                !update_phase_is_terminal(v->phase));
}

/* Ends what is due by now; returns when the next ends. */
static usec_t end_updates(RolloutInput *in, RolloutView *views) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < in->n; i++) {
                RolloutMember *m = in->members + i;

                if (!is_at_it(m, views + i))
                        continue;
                if (m->not_before > in->now) {
                        next = MIN(next, m->not_before);
                        continue;
                }
                views[i].phase = UPDATE_PHASE_SUCCEEDED;
                views[i].version = views[i].instruction_version;
                m->not_before = 0;
        }
        return next;
}

static int note_batch(RolloutPreview *ret, const RolloutProgress *p, usec_t now, uint64_t agents) {
        int r;

        if (ret->n > 0 && ret->batches[ret->n - 1].batch == p->batch) {
                ret->batches[ret->n - 1].agents += agents;
                return 0;
        }
        r = ARRAY_GROW(ret->batches, ret->n_allocated, ret->n + 1);
        if (r < 0)
                return r;
        ret->batches[ret->n++] = (RolloutPreviewBatch){ .batch = p->batch, .begins = now, .agents = agents };
        return 0;
}

/* The rest as fast as what was played. */
static void guess_end(const RolloutOutcome *o, usec_t begin, usec_t now, uint64_t played, RolloutPreview *ret) {
        uint64_t left = o->counts.n[MEMBER_STATE_PENDING];
        usec_t each = played > 0 ? (now - begin) / played : USEC_INFINITY;

        ret->approximate = true;
        ret->ends = left > 0 && each > (USEC_INFINITY / 2) / left ? USEC_INFINITY : usec_add(now, left * each);
}

/* Of those that are in flight already nobody knows how far they are: as if they had just begun. */
static usec_t continue_updates(RolloutInput *in, usec_t end) {
        bool any = false;

        for (size_t i = 0; i < in->n; i++)
                if (is_at_it(in->members + i, in->views + i)) {
                        in->members[i].not_before = end;
                        any = true;
                }
        return any ? end : USEC_INFINITY;
}

/* Nor when those will be free that are at another update. */
static void free_busy(RolloutInput *in, RolloutView *views, usec_t end) {
        for (size_t i = 0; i < in->n; i++)
                if (views[i].busy) {
                        views[i].busy = false;
                        in->members[i].not_before = MAX(in->members[i].not_before, end);
                }
}

static int
play(RolloutProgress *p, RolloutInput *in, RolloutView *views, usec_t update_takes, RolloutPreview *ret) {
        usec_t ends = continue_updates(in, usec_add(in->now, update_takes)), begin = USEC_INFINITY,
               most = usec_add(in->now, AHEAD_MAX);
        uint64_t played = 0;

        for (uint64_t visits = 0;; visits += in->n + 1) {
                RolloutOutcome o;
                usec_t next;
                int r;

                r = rollout_step(p, in, &o);
                if (r >= 0 && o.admitted_now > 0)
                        r = note_batch(ret, p, in->now, o.admitted_now);
                if (r < 0)
                        return r;
                if (o.admitted_now > 0) {
                        start_updates(in, views, usec_add(in->now, update_takes));
                        ends = end_updates(in, views);
                }
                if (o.admitted_now > 0)
                        begin = MIN(begin, in->now);
                played += o.admitted_now;
                ret->ends = in->now;
                ret->waiting_offline = o.counts.n[MEMBER_STATE_PENDING];
                if (p->state != ROLLOUT_STATE_RUNNING || p->reason == ROLLOUT_REASON_WAITING_FOR_OFFLINE)
                        return 0;
                if (p->reason == ROLLOUT_REASON_AWAITING_APPROVAL) {
                        ret->approvals = true;
                        (void) rollout_approve(p);
                        continue;
                }
                next = MIN(p->next_look, ends);
                if (next == USEC_INFINITY || next <= in->now) /* nothing will happen any more */
                        return 0;
                if (visits >= VISITS_MAX || next > most) {
                        guess_end(&o, begin, in->now, played, ret);
                        return 0;
                }
                in->now = next;
                ends = end_updates(in, views);
        }
}

int rollout_preview(
                const RolloutProgress *p, const RolloutInput *in, usec_t update_takes, RolloutPreview *ret) {
        _cleanup_free_ RolloutMember *members = memdup(in->members, in->n * sizeof(RolloutMember));
        _cleanup_free_ RolloutView *views = memdup(in->views, in->n * sizeof(RolloutView));
        RolloutProgress progress = *p;
        RolloutInput input = *in;

        if (!members || !views)
                return -ENOMEM;
        input.members = members;
        input.views = views;
        free_busy(&input, views, usec_add(in->now, update_takes));
        return play(&progress, &input, views, MAX(update_takes, USEC_PER_MSEC), ret);
}
