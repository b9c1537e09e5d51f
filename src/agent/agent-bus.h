/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* org.fleetagent.Agent1 on the system bus, and the connection to that bus: opened again whenever it is lost,
 * since the agent's work does not depend on it. Owned by the Agent; what it shows comes from the Agent
 * through handlers. */

#include <systemd/sd-bus.h>

#include "agent-metadata.h"
#include "agent-status.h"

typedef struct AgentBus AgentBus;

typedef struct AgentBusHandlers {
        void (*get_status)(AgentStatus *ret, void *userdata);
        void (*reconnect)(void *userdata);
        /* The bus came (its object is registered), or went (NULL). */
        void (*on_bus)(sd_bus *bus, void *userdata);
} AgentBusHandlers;

typedef struct AgentBusOptions {
        sd_event *event;
        AgentMetadata *metadata; /* borrowed */
        const char *architecture, *running_version;
        const AgentBusHandlers *handlers;
        void *userdata;
} AgentBusOptions;

/* Connects from the loop. */
int agent_bus_new(AgentBus **ret, const AgentBusOptions *options);
AgentBus *agent_bus_free(AgentBus *b);
DEFINE_POINTER_CLEANUP(AgentBus, agent_bus_free);

/* property: a static string; announced in the next turn of the loop. */
void agent_bus_changed(AgentBus *b, const char *property);
void agent_bus_update_finished(
                AgentBus *b,
                const char *transaction,
                const char *version,
                const char *phase,
                const char *verdict);
/* Sends what is queued: before the process ends. */
void agent_bus_flush(AgentBus *b);
