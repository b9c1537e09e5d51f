/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What all simulated agents together have been through, and the report of it. Owned by the SimFleet; loop's
 * thread. */

#include "agent-instruction.h"
#include "json.h"
#include "macro.h"
#include "phase.h"
#include "time-util.h"

typedef struct SimStats SimStats;

int sim_stats_new(SimStats **ret);
SimStats *sim_stats_free(SimStats *s);
DEFINE_POINTER_CLEANUP(SimStats, sim_stats_free);

/* An instruction arrived; executed: it is begun, or gone on with. The same id begun twice is a fault. */
void sim_stats_instruction(SimStats *s, const char *id, InstructionDecision decision);
/* It ended. latency: since it arrived, USEC_INFINITY if that is not known (an earlier process had it). */
void sim_stats_finished(SimStats *s, UpdatePhase phase, UpdateVerdict verdict, usec_t latency);
void sim_stats_acknowledged(SimStats *s);
void sim_stats_installing(SimStats *s);
/* A Welcome. gap: since the last session of an agent that ran all the time, USEC_INFINITY for its first. */
void sim_stats_session(SimStats *s, usec_t gap);
void sim_stats_status(SimStats *s);
void sim_stats_bytes(SimStats *s, uint64_t bytes);
void sim_stats_beat(SimStats *s); /* one of the flood was sent */

/* What can be counted at any time; filled by the fleet. */
typedef struct SimSnapshot {
        uint64_t agents, started, enrolled, online, absent, lost, unacknowledged, bytes;
        uint64_t phases[_UPDATE_PHASE_MAX], idle; /* agents by phase of their update */
        usec_t longest_silence;                   /* until now or until it ended */
        json_t *versions;                         /* version -> agents; taken over by the report */
} SimSnapshot;

uint64_t sim_stats_received(const SimStats *s);
uint64_t sim_stats_ended(const SimStats *s);
usec_t sim_stats_longest_gap(const SimStats *s);
/* One object. -ENOMEM. */
int sim_stats_report(SimStats *s, SimSnapshot *snapshot, json_t **ret);
