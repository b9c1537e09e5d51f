/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The service of a machine around its one Agent: configuration, signals, readiness, the system bus with the
 * updater on it, the telemetry socket. */

#include "macro.h"

typedef struct AgentServiceOptions {
        const char *config; /* path of agent.conf */
        const char *state_directory;
        bool no_bus; /* loopback tests: no system bus, hence no updates beyond verification */
} AgentServiceOptions;

/* Until SIGTERM or SIGINT: 0. Negative errno, logged, when the agent cannot even start. */
int agent_service_run(const AgentServiceOptions *options);

/* The state directory, made if absent with mode 0700; a descriptor. */
int agent_state_open(const char *path);
