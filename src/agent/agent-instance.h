/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One running agent as an object: identity, enrolment, stream, reports, metadata, updates, renewal, tied
 * together. agent-service.c makes one, as the service of a machine; a simulator makes thousands in one
 * process. It knows its state directory and nothing else of the machine: no bus, no signals, no service
 * manager, no version that was compiled in. What ends a process ends this object: agent_stop(), on_stopped,
 * agent_free(); the one made after it from the same directory goes on where it was. Loop's thread. */

#include <systemd/sd-event.h>

#include "agent-conf.h"
#include "agent-facts.h"
#include "agent-instruction.h"
#include "agent-metadata.h"
#include "agent-status.h"
#include "agent-updater.h"
#include "rpc-queue.h"

typedef struct Agent Agent;

/* From the loop, and from agent_start() and agent_stop(); none but on_stopped and on_stuck is needed. */
typedef struct AgentHandlers {
        /* A property of AgentStatus has another value; the name is that on the bus, static. */
        void (*on_property)(Agent *a, const char *property, void *userdata);
        /* What there is to say to people may have changed. */
        void (*on_shown)(Agent *a, void *userdata);
        void (*on_update_finished)(Agent *a, const UpdateRecord *u, void *userdata);
        /* agent_stop() is done: the goodbye is out, or its time is over. */
        void (*on_stopped)(Agent *a, void *userdata);
        /* It cannot go on (error, logged), and has to be made anew. */
        void (*on_stuck)(Agent *a, int error, void *userdata);

        /* What it says and hears on the stream. on_instruction comes before anything is done about it;
         * false: nothing will be. on_session: after a Welcome was acted upon, and when that session has
         * ended. on_status: was queued to be sent; progress: mere bytes, and may still be dropped.
         * on_acknowledged: the gateway has the final status of this instruction. */
        bool (*on_instruction)(Agent *a, const Instruction *i, InstructionDecision decision, void *userdata);
        void (*on_session)(Agent *a, bool begun, void *userdata);
        void (*on_status)(Agent *a, const UpdateRecord *u, bool progress, void *userdata);
        void (*on_acknowledged)(Agent *a, const char *instruction, void *userdata);
} AgentHandlers;

/* All of it is borrowed and outlives the agent. */
typedef struct AgentOptions {
        sd_event *event;
        RpcQueue *queue; /* may be shared */
        const AgentConf *conf;
        const AgentFacts *facts;
        const char *agent_id;
        const char *running_version;
        int state_fd;                /* of the state directory, mode 0700 */
        AgentUpdater *updater;       /* NULL: there is none, nothing can be installed */
        const char *join_token_file; /* NULL: the credential of the service */
        usec_t http_idle; /* close connections for HTTPS that were not used for so long; 0: keep them */
        const AgentHandlers *handlers;
        void *userdata;
} AgentOptions;

/* Reads what an earlier one left. Nothing is sent before agent_start(). */
int agent_new(Agent **ret, const AgentOptions *options);
/* At once, without a goodbye: what a process that is killed does. Not from within a handler. */
Agent *agent_free(Agent *a);
DEFINE_POINTER_CLEANUP(Agent, agent_free);

/* Enrols or connects, and goes on doing so. With an updater it waits for its first view, though not long:
 * ask for that. */
int agent_start(Agent *a);
/* What SIGTERM does: what is known goes to disk, Goodbye, on_stopped. */
int agent_stop(Agent *a);
/* Connects, or tries to enrol, at once. */
void agent_connect_anew(Agent *a);

/* For tests and simulators; errors as of agent_stream_send(). */
int agent_drop_connection(Agent *a);
int agent_beat(Agent *a);

void agent_get_status(Agent *a, AgentStatus *ret);        /* telemetry is not the agent's */
const UpdateRecord *agent_current_update(const Agent *a); /* NULL if there is none */
bool agent_is_connected(const Agent *a);
bool agent_is_enrolled(const Agent *a);        /* has a certificate for its id */
size_t agent_unacknowledged(const Agent *a);   /* finals the gateway has not confirmed */
uint64_t agent_bytes_received(const Agent *a); /* over HTTPS */
AgentMetadata *agent_get_metadata(Agent *a);   /* stays the agent's */
