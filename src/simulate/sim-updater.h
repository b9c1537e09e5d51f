/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The updater of a machine that does not exist: verifies and hashes what it is handed as the real one does,
 * takes the time that the plan says for each step, has the agent restarted, watches it, and commits or goes
 * back. What it does for PID 1's part it asks of its owner. A simulator that was killed is to it what a
 * power cut is to the real one: what was open then has gone back. Owned by the SimAgent, and outlives its
 * Agent. */

#include <systemd/sd-event.h>

#include "agent-updater.h"
#include "sim-fate.h"
#include "sim-machine.h"
#include "sim-plan.h"

typedef struct SimUpdater SimUpdater;

typedef struct SimUpdaterHandlers {
        /* Stop the agent as SIGTERM does; when it is gone (or was not there): sim_updater_on_agent_gone().
         */
        void (*stop_agent)(SimUpdater *u, void *userdata);
        /* Start it: sim_updater_version() is what runs now. */
        void (*start_agent)(SimUpdater *u, void *userdata);
        /* It will not be started any more: the machine does not return. */
        void (*on_lost)(SimUpdater *u, void *userdata);
        /* Has the agent been told to come back later? Then it is given more time. */
        bool (*drain_seen)(SimUpdater *u, void *userdata);
        void (*on_installing)(SimUpdater *u, const char *instruction, const char *version, void *userdata);
        void (*on_trouble)(SimUpdater *u, const char *message, void *userdata); /* a sentence for people */
} SimUpdaterHandlers;

typedef struct SimUpdaterOptions {
        sd_event *event; /* all of these are borrowed */
        int state_fd;    /* of the machine's folder */
        const SimPlan *plan;
        const SimMachine *machine;
        const char *first_version; /* of a machine that is new */
        const SimUpdaterHandlers *handlers;
        void *userdata;
} SimUpdaterOptions;

/* Reads the machine's record, and ends what was open in it. */
int sim_updater_new(SimUpdater **ret, const SimUpdaterOptions *options);
SimUpdater *sim_updater_free(SimUpdater *u);
DEFINE_POINTER_CLEANUP(SimUpdater, sim_updater_free);

AgentUpdater *sim_updater_interface(SimUpdater *u); /* stays the updater's */

void sim_updater_on_agent_gone(SimUpdater *u);
void sim_updater_on_session(SimUpdater *u, bool begun);

/* Counts an attempt, once for each instruction, and says how it will go. */
int sim_updater_foretell(SimUpdater *u, const char *version, const char *instruction, SimFate *ret);

const char *sim_updater_version(const SimUpdater *u); /* of the agent that runs, or is to be started */
bool sim_updater_is_busy(const SimUpdater *u);        /* a transaction is open */
