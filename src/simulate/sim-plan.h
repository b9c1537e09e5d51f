/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is asked for on the command line about machines, times and failures, as a table of numbers. Shares
 * are in parts of a million. Plain data with texts of its own; filled at start and not changed afterwards.
 */

#include "phase.h"
#include "time-util.h"

typedef struct SimSpan {
        usec_t low, high;
} SimSpan;

/* A release that fails on a share of the machines, or of those of which a fact is known. */
typedef struct SimReleaseFault {
        char *version;
        char *fact, *value; /* NULL: on all */
        uint32_t share;
} SimReleaseFault;

#define SIM_RELEASE_FAULTS_MAX 32U

typedef struct SimPlan {
        uint64_t seed;
        uint32_t other_arch; /* aarch64 instead of x86_64 */
        uint32_t pinned;

        SimSpan times[_UPDATE_PHASE_MAX];
        uint32_t fails[_UPDATE_PHASE_MAX];
        usec_t confirm_timeout; /* of a trial, without a session */
        uint32_t never_returns;
        uint32_t slow;
        uint32_t slow_percent; /* 250: takes two and a half times as long */
        uint32_t flapping;
        usec_t flapping_period;
        uint32_t offline;
        usec_t offline_max;
        SimReleaseFault faults[SIM_RELEASE_FAULTS_MAX];
        size_t n_faults;
} SimPlan;

/* Times are those of a real machine: see bench/RESULTS.md, and SoakSec= of updater.conf(5). */
SimPlan sim_plan_default(void);
void sim_plan_done(SimPlan *p);

/* Of options; 0, or -EINVAL with a static sentence, or -ENOMEM. */
int sim_parse_share(const char *s, uint32_t *ret, const char **reterr_why);         /* "0.2%", "0.002" */
int sim_parse_span(const char *s, SimSpan *ret, const char **reterr_why);           /* "2s", "1s..3s" */
int sim_plan_set_time(SimPlan *p, const char *s, const char **reterr_why);          /* PHASE:SPAN */
int sim_plan_set_fail(SimPlan *p, const char *s, const char **reterr_why);          /* PHASE:SHARE */
int sim_plan_set_slow(SimPlan *p, const char *s, const char **reterr_why);          /* SHARE:FACTOR */
int sim_plan_set_flapping(SimPlan *p, const char *s, const char **reterr_why);      /* SHARE:PERIOD */
int sim_plan_set_offline(SimPlan *p, const char *s, const char **reterr_why);       /* SHARE:TIME */
int sim_plan_add_release_fault(SimPlan *p, const char *s, const char **reterr_why); /* VERSION:SHARE */
int sim_plan_add_fault_where(
                SimPlan *p, const char *s, const char **reterr_why); /* VERSION:FACT=VALUE:SHARE */

/* Do all the shares of one draw fit into one? */
int sim_plan_check(const SimPlan *p, const char **reterr_why);
