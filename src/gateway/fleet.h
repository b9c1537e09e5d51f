/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Desired rows and releases as they are now, read from the store once per job, and what follows from them
 * for one agent: the shell around the pure desired-state. Worker's thread. A rollout engine will stand
 * between fleet_decide() and fleet_reconcile(), and admit. */

#include "desired-state.h"
#include "store-worker.h"

typedef struct Fleet {
        DesiredRow *rows;
        size_t n_rows, n_rows_allocated;
        DesiredArtifact *artifacts;
        size_t n_artifacts, n_artifacts_allocated;
} Fleet;

int fleet_load(Store *s, Fleet *ret);                /* into a zero-initialised one */
void fleet_done(Fleet *f);

typedef struct FleetView {
        DesiredChoice choice;                        /* points into the Fleet */
        bool has_outstanding, has_last;
        InstructionRecord outstanding, last;
        DesiredDecision decision;
} FleetView;
void fleet_view_done(FleetView *v);

typedef struct FleetRules {
        DesiredPolicy policy;
        usec_t lease;
} FleetRules;

/* Changes nothing. */
int fleet_decide(
                const Fleet *f,
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
        bool is_new;                                 /* not sent before in this session or any other */
        char *instruction_id, *version;
        usec_t deadline;
        bool retry;
        usec_t not_before; /* look at this agent again then; USEC_INFINITY: no need */
} FleetOrder;
void fleet_order_done(FleetOrder *o);

/* Decides for a connected agent and does what was decided. */
int fleet_reconcile(
                const Fleet *f,
                StoreJob *j,
                Store *s,
                const AgentRecord *a,
                const FleetRules *rules,
                usec_t now,
                FleetOrder *ret);
