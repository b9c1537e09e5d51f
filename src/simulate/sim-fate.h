/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How an update of a machine goes, before it begins. Pure: the same plan, machine, version and attempt have
 * the same fate, in whatever order things happen. */

#include "sim-machine.h"
#include "sim-plan.h"

typedef enum SimEnd {
        SIM_END_SUCCEEDS,
        SIM_END_FAILS, /* in a phase: before the restart nothing is changed, afterwards it goes back */
        SIM_END_NEVER_RETURNS, /* goes down for the restart, and that is the last of it */
        _SIM_END_MAX,
} SimEnd;

typedef struct SimFate {
        SimEnd end;
        UpdatePhase phase; /* in which it fails, else _UPDATE_PHASE_INVALID */
        UpdateVerdict verdict;
        const char *message; /* with a failure; static */
        bool release;        /* the release is to blame, and will be at every attempt */
        usec_t times[_UPDATE_PHASE_MAX];
} SimFate;

/* attempt: from 1, of this version on this machine. */
SimFate sim_fate(const SimPlan *plan, const SimMachine *m, const char *version, uint64_t attempt);

/* Who goes back fetches and stages nothing, so nothing fails there. */
void sim_fate_of_return(SimFate *f);

const char *sim_end_to_string(SimEnd e);

/* The k-th time (from 0) that such a machine is away: how long after the last one, and for how long. */
void sim_absence(
                const SimPlan *plan, const SimMachine *m, uint64_t k, usec_t *ret_after, usec_t *ret_length);
/* How long until its connection is cut for the k-th time. */
usec_t sim_flap(const SimPlan *plan, const SimMachine *m, uint64_t k);
