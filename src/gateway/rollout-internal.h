/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For rollout-*.c alone: one step while it is being made. Pure, as all of it. */

#include "rollout.h"

/* A machine that has just gone may be restarting, and after a restart of the gateway all of them have: so
 * long it is not counted as away. */
#define ROLLOUT_AWAY_AFTER (2 * USEC_PER_MINUTE)

/* A machine on which a version is on trial runs it already, and may yet go back by itself. Its own word ends
 * the trial; where that stays out, the version is taken to be there for good after twice the time that an
 * updater waits for a confirmation and soaks (ConfirmTimeoutSec=, SoakSec=), and more. One whose trial lasts
 * longer is corrected when it says that it went back. */
#define ROLLOUT_TRIAL (15 * USEC_PER_MINUTE)

/* Of the members of the present batch. */
typedef struct Batch {
        uint64_t admitted, in_flight, succeeded, failed;
        uint64_t waiting;    /* canaries whose turn has not come */
        uint64_t recent;     /* admissions of all batches within one period */
        usec_t recent_until; /* when the first of them leaves the period; on the rollout's clock */
} Batch;

typedef struct Step {
        RolloutProgress *p;
        const RolloutInput *in;
        RolloutOutcome *out;
        usec_t clock; /* the rollout's own */
        Batch batch;
        bool release_gone;
        size_t n_missing; /* of those who wait: for whom something is in no release; the last of them and why */
        RolloutMember *missing;
        MemberReason missing_why;
} Step;

static inline uint64_t step_count(const Step *s, MemberState state) {
        return s->out->counts.n[state];
}

static inline bool rollout_reason_is_missing(MemberReason r) {
        return IN_SET(r, MEMBER_REASON_REQUIRES_MISSING, MEMBER_REASON_ARCH_MISSING);
}

static inline uint64_t minus(uint64_t a, uint64_t b) {
        return a > b ? a - b : 0;
}

static inline bool is_share_of(uint64_t part, uint64_t whole, uint32_t share) {
        return part * ROLLOUT_SHARE_ALL >= whole * share;
}

#define ROLLOUT_RETRY_PAUSE_MAX USEC_PER_HOUR

/* ---- rollout-clock.c ---- */

/* When an agent that is away was there last, for all that is known by this clock. */
usec_t view_seen(const Step *s, const RolloutView *v);

/* ---- rollout-member.c ---- */

void member_set(const Step *s, RolloutMember *m, MemberState state, MemberReason reason);
bool member_may_try_again(const Step *s, const RolloutMember *m);
usec_t member_retry_pause(const Step *s, const RolloutMember *m);
bool view_is_away(const Step *s, const RolloutView *v);
/* Its instruction for this rollout has not ended, or goes on after its lease had. */
bool view_goes_on(const RolloutView *v);
bool view_runs_goal(const RolloutMember *m, const RolloutView *v);
/* When a timed-out agent that is there is judged again: it gets another turn, or has run its goal for long
 * enough. USEC_INFINITY: not without something that happens. */
usec_t member_second_chance(const Step *s, const RolloutMember *m, const RolloutView *v);

/* What happened to each since the last step. */
void step_reconcile(Step *s);

/* ---- rollout-stop.c ---- */

bool member_is_of_batch(const Step *s, const RolloutMember *m);
void step_look_at_batch(Step *s);
uint64_t batch_size(const Step *s);
uint32_t batch_success_wanted(const Step *s);

void step_pause(Step *s, RolloutReason reason);
/* Did more go wrong than is allowed? 1: yes, and *ret says what. */
int step_went_wrong(Step *s, RolloutReason *ret);
/* For the sake of those who wait; there is nothing to be stopped when nobody does. 1: it stopped by itself. */
int step_stop_if_bad(Step *s);
