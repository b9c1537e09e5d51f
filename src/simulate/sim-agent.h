/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One simulated machine: a real Agent in its own state directory, the simulated updater beside it, and what
 * happens to machines: the agent is restarted into another version, the network drops, the power is off for
 * a while. Owned by the SimFleet. */

#include <systemd/sd-event.h>

#include "agent-conf.h"
#include "rpc-queue.h"
#include "sim-log.h"
#include "sim-machine.h"
#include "sim-plan.h"
#include "sim-stats.h"

typedef struct SimAgent SimAgent;

/* What all of them share; outlives them. */
typedef struct SimContext {
        sd_event *event;
        RpcQueue *queue;
        const AgentConf *conf;
        const SimPlan *plan;
        const char *first_version;
        const char *join_token_file; /* NULL: the credential */
        int state_fd;                /* of the directory of all machines */
        bool passive;                /* instructions are noted, and nothing is done about them */
        SimStats *stats;
        SimLog *log; /* NULL: none */
        /* An agent has trouble: a sentence for people. */
        void (*on_trouble)(SimAgent *a, const char *message, void *userdata);
        void (*on_stopped)(SimAgent *a, void *userdata); /* after sim_agent_stop() */
        void *userdata;
} SimContext;

/* Draws the machine; touches no disk. */
int sim_agent_new(SimAgent **ret, const SimContext *context, uint32_t number);
/* At once, without a goodbye. */
SimAgent *sim_agent_free(SimAgent *a);
DEFINE_POINTER_CLEANUP(SimAgent, sim_agent_free);

/* Opens the machine's folder, and switches the machine on. */
int sim_agent_start(SimAgent *a);
/* For good: Goodbye, then on_stopped. */
int sim_agent_stop(SimAgent *a);
int sim_agent_beat(SimAgent *a); /* a heartbeat besides the regular ones */

const SimMachine *sim_agent_machine(const SimAgent *a);
const char *sim_agent_version(const SimAgent *a); /* NULL before the start */
/* Adds this one to the numbers of all. */
void sim_agent_count(SimAgent *a, SimSnapshot *n);
bool sim_agent_is_settled(
                const SimAgent *a); /* no update is under way, and the gateway knows how the last ended */
