/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Desired rows and releases as they are now, read from the store once per job, and what follows from them
 * for one agent: the shell around the pure desired-state. Worker's thread. Whoever has a turn in a rollout
 * is the rollout engine's alone (rollout-work.h): here its instruction is only repeated. */

#include "desired-state.h"
#include "store-worker.h"

typedef struct FleetRelease {
        char *version, *requires, *floor, **archs;
} FleetRelease;

typedef struct Fleet {
        DesiredRow *rows;
        size_t n_rows, n_rows_allocated;
        FleetRelease *kept; /* what releases point to */
        size_t n_kept, n_kept_allocated;
        ReleaseInfo *releases;
        size_t n_releases;
        /* asked for when it is needed first */
        bool has_standing;
        uint64_t standing;
        uint64_t tallied; /* the row of which sent and failed are known; 0: none */
        uint64_t sent, failed;
} Fleet;

int fleet_load(Store *s, Fleet *ret); /* into a zero-initialised one */
void fleet_done(Fleet *f);

typedef struct FleetView {
        DesiredChoice choice; /* points into the Fleet */
        bool has_outstanding, has_last, in_rollout;
        InstructionRecord outstanding, last;
        RolloutMembership membership; /* in_rollout */
        DesiredDecision decision;
} FleetView;
void fleet_view_done(FleetView *v);

typedef struct FleetRules {
        DesiredPolicy policy;
        usec_t lease;
        uint64_t standing_max; /* updates under way at once that no rollout and no single
                                * order asked for */
} FleetRules;

/* Changes nothing but what the fleet remembers. */
int fleet_decide(
                Fleet *f,
                Store *s,
                const AgentRecord *a,
                bool connected,
                const FleetRules *rules,
                usec_t now,
                FleetView *ret);

/* What has to be sent to one agent, after everything about it was stored. */
typedef enum FleetSend {
        FLEET_SEND_NOTHING,
        FLEET_SEND_INSTRUCTION,
        FLEET_SEND_CANCEL,
} FleetSend;

typedef struct FleetOrder {
        FleetSend send;
        bool is_new; /* not sent before in this session or any other */
        char *instruction_id, *version;
        usec_t deadline;
        bool retry, back;
        usec_t not_before; /* look at this agent again then; USEC_INFINITY: no need */
} FleetOrder;
void fleet_order_done(FleetOrder *o);
/* That this instruction is to be sent. */
int fleet_order_instruct(FleetOrder *o, const InstructionRecord *i);

/* Decides for a connected agent and does what was decided. */
int fleet_reconcile(
                Fleet *f,
                StoreJob *j,
                Store *s,
                const AgentRecord *a,
                const FleetRules *rules,
                usec_t now,
                FleetOrder *ret);
