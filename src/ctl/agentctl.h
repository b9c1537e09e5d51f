/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* fleet-agentctl's parts. What was given on the command line, and its verbs, one file for each kind. */

#include <systemd/sd-bus.h>

#include "cli.h"
#include "time-util.h"

typedef struct AgentCtl {
        CliJson json;
        bool no_legend;
        bool no_wait;
        usec_t timeout;
        sd_bus *bus; /* opened by agentctl_bus_open() */
} AgentCtl;

/* verbs */
CliExit agentctl_status(char *const *arguments, void *userdata);
CliExit agentctl_versions(char *const *arguments, void *userdata);
CliExit agentctl_check_update(char *const *arguments, void *userdata);
CliExit agentctl_rollback(char *const *arguments, void *userdata);
CliExit agentctl_pin(char *const *arguments, void *userdata);
CliExit agentctl_unpin(char *const *arguments, void *userdata);
CliExit agentctl_watch(char *const *arguments, void *userdata);
