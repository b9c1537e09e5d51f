/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "rollout.h"

/* Members looked at in all: what lies beyond is computed from the rate. */
#define VISITS_MAX UINT64_C(100000000)

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

/* Ends what is due by now; returns when the next ends. */
static usec_t end_updates(RolloutInput *in, RolloutView *views) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < in->n; i++) {
                RolloutMember *m = in->members + i;

                if (m->state != MEMBER_STATE_IN_FLIGHT)
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

/* The rest at the rate of the batches. */
static void guess_end(const RolloutInput *in, const RolloutOutcome *o, RolloutPreview *ret) {
        uint64_t size = rollout_batch_size(in->spec, UINT32_MAX, o->counts.cohort),
                 left = o->counts.n[MEMBER_STATE_PENDING] / size;
        usec_t each = MAX(usec_add(in->spec->batch.period, in->spec->batch.soak), USEC_PER_SEC);

        ret->approximate = true;
        ret->ends = left > (USEC_INFINITY / 2) / each ? USEC_INFINITY : usec_add(in->now, left * each);
}

/* Of those that are in flight already nobody knows how far they are: as if they had just begun. */
static usec_t continue_updates(RolloutInput *in, usec_t end) {
        bool any = false;

        for (size_t i = 0; i < in->n; i++)
                if (in->members[i].state == MEMBER_STATE_IN_FLIGHT) {
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
        usec_t ends = continue_updates(in, usec_add(in->now, update_takes));

        for (uint64_t visits = 0; visits < VISITS_MAX; visits += in->n + 1) {
                RolloutOutcome o;
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
                ret->ends = in->now;
                ret->waiting_offline = o.counts.n[MEMBER_STATE_PENDING];
                if (p->state != ROLLOUT_STATE_RUNNING || p->reason == ROLLOUT_REASON_WAITING_FOR_OFFLINE)
                        return 0;
                if (p->reason == ROLLOUT_REASON_AWAITING_APPROVAL) {
                        ret->approvals = true;
                        (void) rollout_approve(p);
                        continue;
                }
                in->now = MIN(p->next_look, ends);
                if (in->now == USEC_INFINITY) /* nothing will happen any more */
                        return 0;
                ends = end_updates(in, views);
                if (visits + in->n + 1 >= VISITS_MAX)
                        guess_end(in, &o, ret);
        }
        return 0;
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
