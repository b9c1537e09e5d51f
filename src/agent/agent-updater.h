/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The updater as the agent sees it: its properties, the result of its last transaction, Install, Rollback. On a
 * machine it is a service on the system bus (agent-handoff.h); a simulator brings one of its own. It may
 * vanish at any time. Nothing here blocks or retries; the caller decides. Made and owned by whoever makes
 * the Agent, and outlives it. Loop's thread; handlers are never called from within the functions that ask.
 */

#include "macro.h"
#include "phase.h"
#include "time-util.h"
#include "tuf-bytes.h"

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

typedef struct UpdaterTarget {
        const char *path;
        int fd; /* borrowed: who needs it for longer makes a duplicate */
} UpdaterTarget;

typedef struct UpdaterInstall {
        const char *version;
        const TufBytes *metadata;
        const UpdaterTarget *targets;
        size_t n_targets;
        const char *instruction; /* the gateway's id, "" if none */
        bool retry;
} UpdaterInstall;

typedef struct AgentUpdaterHandlers {
        /* The view was read anew; or could not be: error and message say why. */
        void (*on_view)(int error, const char *message, void *userdata);
        /* The last transaction; result is NULL if there is none, or with an error. Valid in the callback. */
        void (*on_result)(int error, const UpdaterResult *result, void *userdata);
        /* Install or Rollback was answered. error 0: accepted, text is the transaction. Otherwise refused, verdict and
         * text say why. */
        void (*on_install)(int error, UpdateVerdict verdict, const char *text, void *userdata);
} AgentUpdaterHandlers;

typedef struct AgentUpdater AgentUpdater;

typedef struct AgentUpdaterOps {
        const UpdaterView *(*view)(const AgentUpdater *u);
        int (*ask_view)(AgentUpdater *u);
        int (*ask_result)(AgentUpdater *u);
        int (*install)(AgentUpdater *u, const UpdaterInstall *request);
        int (*roll_back)(AgentUpdater *u, const char *version, const char *instruction);
        bool (*is_on_trial)(const AgentUpdater *u);
} AgentUpdaterOps;

/* Part of every implementation. */
struct AgentUpdater {
        const AgentUpdaterOps *ops;
        const AgentUpdaterHandlers *handlers; /* NULL: nobody listens */
        void *userdata;
};

/* Who hears of it from now on; NULL: nobody. */
void agent_updater_attach(AgentUpdater *u, const AgentUpdaterHandlers *handlers, void *userdata);

/* For what follows u may be NULL: there is no updater and never will be one (-EOPNOTSUPP). */
const UpdaterView *agent_updater_view(const AgentUpdater *u);
/* -ENOTCONN: it cannot be reached now; -EALREADY: the same question is open (its answer will do). */
int agent_updater_ask_view(AgentUpdater *u);
int agent_updater_ask_result(AgentUpdater *u);
int agent_updater_install(AgentUpdater *u, const UpdaterInstall *request);
int agent_updater_roll_back(AgentUpdater *u, const char *version, const char *instruction);
/* Does a version run that may have to go again, as far as can be told without asking the updater? */
bool agent_updater_is_on_trial(const AgentUpdater *u);

/* For implementations. */
void agent_updater_tell_view(AgentUpdater *u, int error, const char *message);
void agent_updater_tell_result(AgentUpdater *u, int error, const UpdaterResult *result);
void agent_updater_tell_install(AgentUpdater *u, int error, UpdateVerdict verdict, const char *text);
/* NULL texts become empty ones; -ENOMEM leaves what there is. */
int updater_view_fill(UpdaterView *v);
void updater_view_done(UpdaterView *v);
int updater_result_fill(UpdaterResult *x);
void updater_result_done(UpdaterResult *x);
