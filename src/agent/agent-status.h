/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an agent shows of itself: the properties of org.fleetagent.Agent1 and more. Plain data; texts are
 * borrowed, never NULL, and valid until the agent goes on. */

#include "macro.h"
#include "time-util.h"

typedef struct AgentStatus {
        const char *version, *agent_id, *hostname;
        const char *gateway_state, *gateway_address;
        uint64_t sessions;
        bool drain_seen;
        const char *update_state, *target_version;
        uint64_t bytes_done, bytes_total;
        const char *last_error;
        const char *config_revision;
        usec_t metadata_age;     /* USEC_INFINITY: never refreshed */
        usec_t metadata_expires; /* realtime, 0: none */
        uint64_t telemetry_datagrams;
} AgentStatus;
