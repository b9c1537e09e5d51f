/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* All simulated machines of this process: starts them at a rate, shows how they are, reports, stops them.
 * One per process. */

#include "sim-agent.h"

typedef struct SimFleet SimFleet;

typedef enum SimUntil {
        SIM_UNTIL_STOPPED,   /* somebody sends a signal */
        SIM_UNTIL_CONNECTED, /* every agent has a session */
        SIM_UNTIL_IDLE,      /* instructions came, and all of them have ended */
        _SIM_UNTIL_MAX,
        _SIM_UNTIL_INVALID = -EINVAL,
} SimUntil;

const char *sim_until_to_string(SimUntil u);
SimUntil sim_until_from_string(const char *s);

typedef struct SimFleetOptions {
        sd_event *event; /* all of these are borrowed; ends with the code of the program */
        const AgentConf *conf;
        const SimPlan *plan;
        const char *state_directory;
        const char *join_token_file;
        const char *first_version;
        const char *log_path;     /* NULL: none */
        uint32_t first, n;        /* numbers of the machines */
        unsigned connect_rate;    /* a second; 0: as fast as they can be made */
        unsigned heartbeat_flood; /* heartbeats a second, all agents together; 0: none but the regular ones
                                   */
        bool passive, quiet;
        SimUntil until;
} SimFleetOptions;

/* Errors are told on standard error. -EBUSY: another process has some of these machines. */
int sim_fleet_new(SimFleet **ret, const SimFleetOptions *options);
SimFleet *sim_fleet_free(SimFleet *f);
DEFINE_POINTER_CLEANUP(SimFleet, sim_fleet_free);

int sim_fleet_start(SimFleet *f);
/* Says goodbye on all streams, within a bounded time, and ends the loop; the second time at once. */
int sim_fleet_stop(SimFleet *f);
int sim_fleet_report(SimFleet *f); /* one line of JSON on standard output */
