/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Judges a version on trial. Pure: observations and the time go in, what to do comes out. Times are CLOCK_BOOTTIME
 * in microseconds: the machine's wall clock is never trusted for the deadline. */

#include "phase.h"
#include "time-util.h"

typedef enum TrialProbe {
        TRIAL_PROBE_NONE,
        TRIAL_PROBE_RUNNING,
        TRIAL_PROBE_REACHED,                               /* the old agent reaches the gateway */
        TRIAL_PROBE_UNREACHED,
        TRIAL_PROBE_FAILED,                                /* it could not be asked */
} TrialProbe;

typedef enum TrialUnitState {
        TRIAL_UNIT_UNKNOWN,
        TRIAL_UNIT_INACTIVE,
        TRIAL_UNIT_STARTING,
        TRIAL_UNIT_ACTIVE,
        TRIAL_UNIT_STOPPING,
        TRIAL_UNIT_DIED,                                   /* will be started again by PID 1 */
        TRIAL_UNIT_FAILED,
} TrialUnitState;

typedef struct Observation {
        /* of fleet-agent.service */
        TrialUnitState unit;
        uint32_t main_pid;                                 /* 0: none */
        uint32_t n_restarts;
        bool watchdog;                                     /* Result=watchdog */
        bool exec_failed;                                  /* the binary could not be executed at all */
        /* of the owner of org.fleetagent.Agent1 */
        uint32_t owner_pid;                                /* 0: nobody, or did not answer */
        bool version_is_target;
        bool connected;
        uint64_t sessions;
        bool drain_seen;
} Observation;

typedef enum TrialAction {
        TRIAL_WAIT,
        TRIAL_PROBE,                                       /* start the old agent's probe, then say trial_probe() */
        TRIAL_EXTEND,                                      /* the deadline has moved (once); go on */
        TRIAL_COMMIT,
        TRIAL_GO_BACK,
} TrialAction;

typedef struct Trial {
        usec_t timeout_usec, soak_usec, deadline_usec;
        bool need_connection, extended;
        uint32_t old_pid;                                  /* of the agent that was replaced; 0 if none ran */

        usec_t last_step_usec;
        TrialProbe probe;
        bool based;                                        /* base_restarts is known */
        uint32_t base_restarts, last_pid, n_deaths;
        usec_t soak_since_usec;                            /* 0: not soaking */
        usec_t soaked_usec;                                /* when it last did; 0: never */
        uint32_t soak_pid, soak_restarts;
        uint64_t soak_sessions;
} Trial;

typedef struct TrialStep {
        TrialAction action;
        UpdateVerdict verdict;                             /* for GO_BACK */
        const char *message;                               /* for GO_BACK: a static sentence */
        usec_t next_usec;                                  /* for WAIT: look again no later than then */
} TrialStep;

TrialStep trial_step(Trial *t, const Observation *o, usec_t now_usec);
bool trial_is_soaking(const Trial *t);
/* The probe may take this long. */
usec_t trial_probe_time(const Trial *t);
