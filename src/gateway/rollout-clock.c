/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-internal.h"

/* Clocks that are read one after the other differ by a little, and leap seconds are none of our business. */
#define CLOCK_TOLERANCE USEC_PER_SEC

usec_t rollout_clock(const RolloutProgress *p, usec_t now) {
        usec_t t = p->paused_since > 0 ? p->paused_since : now;

        return 1 + usec_sub(usec_sub(t, p->started), p->paused_total);
}

static void move_time(usec_t *t, usec_t from, usec_t to) {
        if (*t == 0 || *t == USEC_INFINITY)
                return;
        *t = to > from ? usec_add(*t, to - from) : usec_sub(*t, from - to);
}

static bool waits_for_a_time(const RolloutMember *m) {
        return IN_SET(m->state, MEMBER_STATE_PENDING, MEMBER_STATE_TIMED_OUT);
}

/* The wall clock was set by so much: what was written by it is moved along. */
static void move_along(RolloutProgress *p, const RolloutInput *in) {
        usec_t from = p->booted, to = in->booted;

        move_time(&p->started, from, to);
        move_time(&p->paused_since, from, to);
        for (size_t i = 0; i < in->n; i++) {
                RolloutMember *m = in->members + i;

                if (!waits_for_a_time(m))
                        continue;
                move_time(&m->not_before, from, to);
                move_time(&m->updated, from, to);
                m->changed = true;
        }
}

/* By how much is not known when the machine was restarted meanwhile. Then the rollout's clock goes on from
 * the latest time that it has given to anything, and nothing waits for a time that lies too far ahead. */
static void never_go_back(RolloutProgress *p, const RolloutInput *in) {
        usec_t latest = MAX(MAX(p->batch_opened, p->settled), MAX(p->waiting_since, (usec_t) 1)), t,
               wait = usec_add(in->now, MAX(ROLLOUT_RETRY_PAUSE_MAX, in->spec->retry_pause));

        for (size_t i = 0; i < in->n; i++) {
                RolloutMember *m = in->members + i;

                latest = MAX(latest, m->admitted);
                if (!waits_for_a_time(m) || (m->not_before <= wait && m->updated <= in->now))
                        continue;
                m->not_before = MIN(m->not_before, wait);
                m->updated = MIN(m->updated, in->now);
                m->changed = true;
        }
        if (p->paused_since > in->now) {
                p->started = usec_sub(p->started, p->paused_since - in->now);
                p->paused_since = in->now;
        }
        t = usec_sub(p->paused_since > 0 ? p->paused_since : in->now, p->paused_total);
        p->started = MIN(p->started, usec_sub(t, latest - 1));
}

void rollout_follow_clock(RolloutProgress *p, const RolloutInput *in) {
        usec_t by = in->booted > p->booted ? in->booted - p->booted : p->booted - in->booted;
        bool same = in->boot == p->boot;

        if (!same || by > CLOCK_TOLERANCE) {
                if (same)
                        move_along(p, in);
                p->boot = in->boot;
                p->booted = in->booted;
                p->clock_set = in->now;
        }
        never_go_back(p, in);
}

usec_t view_seen(const Step *s, const RolloutView *v) {
        return v->last_seen > s->in->now ? s->p->clock_set : MAX(v->last_seen, s->p->clock_set);
}
