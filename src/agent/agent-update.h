/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One update as a state machine, and the only writer of its phase: metadata, downloads, verification,
 * hand-over to the updater, then following what the updater does, across the restart of the agent itself.
 * What is under way is kept in the state directory, so that the process that comes after this one (new or
 * old version) can say how it went. Also notices what the updater did on its own. Owned by the Agent. */

#include <systemd/sd-event.h>

#include "agent-conf.h"
#include "agent-instruction.h"
#include "agent-metadata.h"
#include "agent-report.h"
#include "agent-updater.h"
#include "http-client.h"
#include "update-record.h"

typedef struct AgentUpdate AgentUpdate;

typedef struct AgentUpdateHandlers {
        void (*on_change)(AgentUpdate *u, void *userdata); /* phase, progress or target */
        void (*on_finished)(AgentUpdate *u, const UpdateRecord *record, void *userdata);
} AgentUpdateHandlers;

typedef struct AgentUpdateOptions {
        sd_event *event;
        HttpClient *http;
        int state_fd; /* all of these are borrowed */
        const AgentConf *conf;
        const char *architecture;
        uint32_t packaging;
        AgentMetadata *metadata;
        AgentUpdater *updater; /* NULL: there is none, nothing can be installed */
        AgentReport *report;
        const char *running_version;
        const AgentUpdateHandlers *handlers;
        void *userdata;
} AgentUpdateOptions;

/* Loads what an earlier process was at. */
int agent_update_new(AgentUpdate **ret, const AgentUpdateOptions *options);
AgentUpdate *agent_update_free(AgentUpdate *u);
DEFINE_POINTER_CLEANUP(AgentUpdate, agent_update_free);

int agent_update_set_ca(AgentUpdate *u, const char *ca_pem);

/* An instruction that instruction_decide() accepted; deadline: CLOCK_BOOTTIME. */
int agent_update_begin(AgentUpdate *u, const Instruction *i);
/* The one in progress was repeated: goes on if an earlier process was interrupted in it. */
void agent_update_continue(AgentUpdate *u, const Instruction *i);
/* Another one came: what an earlier process was interrupted in has ended. */
void agent_update_supersede(AgentUpdate *u, const Instruction *i);
/* Ends at once: refused, or nothing to do. */
int agent_update_answer(
                AgentUpdate *u,
                const Instruction *i,
                UpdatePhase phase,
                UpdateVerdict verdict,
                const char *message);
/* Withdrawn; too late once the updater has it. */
void agent_update_cancel(AgentUpdate *u, const char *instruction);

void agent_update_on_connected(AgentUpdate *u);
/* From the updater's handlers. */
void agent_update_on_view(AgentUpdate *u, int error);
void agent_update_on_result(AgentUpdate *u, int error, const UpdaterResult *result);
void agent_update_on_install(AgentUpdate *u, int error, UpdateVerdict verdict, const char *text);
/* Before the process ends: what is known goes to disk. */
void agent_update_on_stop(AgentUpdate *u);

const UpdateRecord *agent_update_current(const AgentUpdate *u); /* NULL if there is none */
/* A version is on trial, or about to be: Goodbye says so, and reconnecting is urgent. */
bool agent_update_is_pending(const AgentUpdate *u);
/* The updater is at something that did not come from here. */
bool agent_update_is_foreign(const AgentUpdate *u);
const char *agent_update_transaction(const AgentUpdate *u); /* the open one, "" if none */
/* For the bus: a phase's name, or "idle". */
const char *agent_update_state(const AgentUpdate *u);
const char *agent_update_target(const AgentUpdate *u); /* version, "" */
