/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The long-running agent: makes the parts, ties their handlers together, and ends in good order. Each part
 * does its own work; what lies here is only who hears of what. */

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
/* A folder in it. */
int agent_state_open_folder(int state_fd, const char *name);
