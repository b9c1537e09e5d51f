/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The transient units that PID 1 runs for the updater, as lists of properties for StartTransientUnit. All of them
 * carry CollectMode=inactive-or-failed: a failed one would otherwise block its name. */

#include "updater-unit.h"

/* The trial: good/updater apply, then in any case good/updater settle; OnFailure= starts the rollback unit. */
typedef struct ApplyUnit {
        const char *bin_path, *state_path;
        usec_t runtime_max_usec;
} ApplyUnit;
int fill_apply_unit(sd_bus_message *m, const void *apply_unit);

/* A timer that starts the rollback unit after a while. A transient timer has no Unit=: it starts the service of its own
 * name, and the services of both timers' names are aliases of the rollback unit. */
typedef struct TimerUnit {
        const char *description;
        usec_t after_usec;
} TimerUnit;
int fill_timer_unit(sd_bus_message *m, const void *timer_unit);

/* --self-test of both binaries below directory (absolute), locked down. The job is done when both passed, and were built
 * as this version. */
#define SELF_TEST_TIMEOUT (30 * USEC_PER_SEC)
typedef struct SelfTestUnit {
        const char *directory, *version;
} SelfTestUnit;
int fill_self_test_unit(sd_bus_message *m, const void *self_test_unit);

/* good/agent --probe-gateway as the agent's user. The job is done when it could be reached. */
typedef struct ProbeUnit {
        const char *bin_path;
        usec_t timeout_usec;
} ProbeUnit;
int fill_probe_unit(sd_bus_message *m, const void *probe_unit);
