/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* org.fleetagent.Updater1 as the agent sees it: its properties, the result of its last transaction, and
 * Install. The updater is started by the bus when it is needed and may vanish at any time; the bus may too.
 * Nothing here blocks or retries; the caller decides. Owned by the Agent. */

#include <systemd/sd-bus.h>

#include "macro.h"
#include "phase.h"
#include "tuf-bytes.h"

typedef struct AgentHandoff AgentHandoff;

/* Texts are never NULL; empty where the updater says nothing. Transactions are 32 hex digits without their
 * path. */
typedef struct UpdaterView {
        bool known; /* the properties have been read once */
        char *version, *state, *transaction;
        char *current_version, *previous_version, *pending_version;
        char *floor, *pinned_version;
        uint64_t deadline; /* CLOCK_BOOTTIME */
        uint64_t root_version;
        uint32_t packaging;
} UpdaterView;

typedef struct UpdaterResult {
        char *transaction, *instruction, *from, *to, *message; /* never NULL */
        UpdatePhase phase, failed_phase;                       /* _UPDATE_PHASE_INVALID if not said */
        UpdateVerdict verdict;
        usec_t time_usec;
} UpdaterResult;

typedef struct AgentHandoffHandlers {
        /* The view was read anew; or could not be: error and message say why. */
        void (*on_view)(AgentHandoff *h, int error, const char *message, void *userdata);
        /* The last transaction; result is NULL if there is none, or with an error. Valid in the callback. */
        void (*on_result)(AgentHandoff *h, int error, const UpdaterResult *result, void *userdata);
        /* Install was answered. error 0: accepted under this transaction. Otherwise refused, verdict and
         * message say why. */
        void (*on_install)(
                        AgentHandoff *h, int error, UpdateVerdict verdict, const char *text, void *userdata);
} AgentHandoffHandlers;

typedef struct AgentHandoffTarget {
        const char *path;
        int fd; /* borrowed; the message holds a duplicate */
} AgentHandoffTarget;

int agent_handoff_new(AgentHandoff **ret, const AgentHandoffHandlers *handlers, void *userdata);
AgentHandoff *agent_handoff_free(AgentHandoff *h);
DEFINE_POINTER_CLEANUP(AgentHandoff, agent_handoff_free);

/* A bus that came, or NULL: it went, and what was asked ends with -ENOTCONN. */
int agent_handoff_set_bus(AgentHandoff *h, sd_bus *bus);
const UpdaterView *agent_handoff_view(const AgentHandoff *h);

/* -ENOTCONN without a bus, -EALREADY when the same question is open (its answer will do). */
int agent_handoff_ask_view(AgentHandoff *h);
int agent_handoff_ask_result(AgentHandoff *h);
int agent_handoff_install(
                AgentHandoff *h,
                const char *version,
                const TufBytes *metadata,
                const AgentHandoffTarget targets[],
                size_t n_targets,
                const char *instruction,
                bool retry);

/* "org.fleetagent.Error.GatewayUnreachable" to a verdict; INTERNAL for what is not ours. Pure. */
UpdateVerdict agent_handoff_verdict(const char *error_name);
