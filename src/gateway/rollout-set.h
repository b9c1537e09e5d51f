/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One rollout with all of its members, in memory while something is done with it: read from the store or
 * made for a plan, changed by the pure functions of rollout.h, written back. Worker's thread. */

#include "fleet.h"
#include "hashmap.h"
#include "target.h"

/* The values of a trait that occur, each with its number. */
typedef struct TraitValues {
        Hashmap *numbers; /* value → number + 1 */
        char **names;
        size_t n, n_allocated;
} TraitValues;

typedef struct RolloutSet {
        RolloutRecord record;
        RolloutSpec spec;
        Target target;
        char *unreadable; /* why target and strategy may not be those of the rollout, but nobody and the defaults;
                             NULL: they are */
        RolloutMemberRecord *records; /* member and view in them are not used, but those below */
        RolloutMember *members;
        RolloutView *views;
        size_t n, n_records_allocated, n_members_allocated, n_views_allocated;
        TraitValues traits[_ROLLOUT_TRAIT_MAX];
} RolloutSet;
void rollout_set_done(RolloutSet *set);

/* -ENOENT. One whose target and strategy cannot be read is loaded all the same. */
int rollout_set_load(Store *s, uint64_t id, const Fleet *f, RolloutSet *ret);
/* Takes the record's texts, and what traits it has. */
int rollout_set_add(RolloutSet *set, RolloutMemberRecord *m);

/* {"target": …, "strategy": …}. What cannot be read is no error; see unreadable. */
int rollout_set_read_spec(RolloutSet *set);
int rollout_set_write_spec(RolloutSet *set);

/* Of its order: the same for a preview and for what follows it. */
uint64_t rollout_set_seed(const RolloutSet *set);
RolloutInput rollout_set_input(RolloutSet *set, const Fleet *f, usec_t now);
/* Puts records into the order that a plan gave to members. */
int rollout_set_follow_order(RolloutSet *set);

/* What else is desired for an agent: NONE, OVERRIDDEN or CONFLICT. Pure. */
MemberReason
rollout_set_desired(const RolloutSet *set, const Fleet *f, const AgentRecord *a, const char *goal);
