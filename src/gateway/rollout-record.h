/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rollouts and their members as the store keeps them: rollout.h's plain values with texts of their own. As
 * record.h otherwise. */

#include "record.h"
#include "rollout.h"

typedef struct RolloutRecord {
        uint64_t id, parent; /* parent: the one that a rollback takes back; 0: none */
        RolloutKind kind;
        char *version; /* goal; of a rollback: what is taken back */
        char *description, *actor;
        char *spec; /* {"target": …, "strategy": …}, in their one spelling */
        RolloutProgress progress;
        char *detail; /* more about the reason, for people; NULL: nothing */
        RolloutCounts counts;
        usec_t created, updated, finished;
        bool damaged; /* there are words in its row that this gateway does not know */
        uint64_t revision; /* rises with what people do */
} RolloutRecord;
void rollout_record_done(RolloutRecord *r);

/* What the store has beside a RolloutMember. The texts in member and view point to those in here, or to
 * static ones; traits are not filled in. */
typedef struct RolloutMemberRecord {
        RolloutMember member;
        RolloutView view; /* of reading; what comes from desired versions is not in it */
        char *agent, *goal, *from, *instruction;
        char *hostname, *os, *kernel, *arch; /* as they were when it joined */
        struct {
                char *version, *arch, *previous_version, *pinned_version, *instruction_version;
        } seen; /* of the view */
} RolloutMemberRecord;
void rollout_member_record_done(RolloutMemberRecord *m);
/* Points member and view to the texts. */
void rollout_member_record_link(RolloutMemberRecord *m);

/* The rollout in which an agent waits or is in flight. */
typedef struct RolloutMembership {
        uint64_t rollout;
        RolloutState rollout_state;
        MemberState state;
        char *version; /* its goal */
} RolloutMembership;
void rollout_membership_done(RolloutMembership *m);

/* The counts as one line of JSON, both ways. */
char *rollout_counts_format(const RolloutCounts *c);
int rollout_counts_parse(const char *text, RolloutCounts *ret);
