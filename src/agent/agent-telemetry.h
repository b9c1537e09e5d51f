/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The socket of local programs, held by fleet-agent.socket so that nothing is lost while the agent restarts.
 * What comes is read and counted, so that senders never find the queue full for long; what is done with it
 * belongs here later. */

#include <systemd/sd-event.h>

#include "macro.h"

typedef struct AgentTelemetry AgentTelemetry;

typedef struct TelemetryCounters {
        uint64_t datagrams, bytes;
        uint64_t oversized; /* longer than TELEMETRY_DATAGRAM_MAX; counted and dropped */
} TelemetryCounters;

#define TELEMETRY_DATAGRAM_MAX KIB(64)

/* fd: a datagram socket, taken over. */
int agent_telemetry_new(AgentTelemetry **ret, sd_event *event, int fd);
AgentTelemetry *agent_telemetry_free(AgentTelemetry *t);
DEFINE_POINTER_CLEANUP(AgentTelemetry, agent_telemetry_free);
const TelemetryCounters *agent_telemetry_counters(const AgentTelemetry *t);
