/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the simulated updater of one machine keeps on disk, file "machine" in the machine's folder: the
 * version that runs, the open transaction, the last result, what was rolled back, and how often each version
 * was tried. Everything that the fate of an update hangs on is here, so that a restart of the simulator
 * changes nothing. Plain data with texts of its own. */

#include "agent-updater.h"
#include "macro.h"

#define SIM_ATTEMPTS_MAX                                                                                    \
        16U /* versions of which the attempts are counted; the one first tried gives way                    \
             */

typedef struct SimAttempts {
        char *version, *instruction; /* the last one that asked for it */
        uint64_t n;
} SimAttempts;

typedef struct SimRecord {
        char *version;          /* that runs, or would run */
        char *previous, *floor; /* "" if none */
        char *denied;           /* rolled back here, "" if none */
        usec_t denied_until;    /* realtime */

        /* the open transaction; phase is _UPDATE_PHASE_INVALID if there is none */
        UpdatePhase phase;
        char *transaction, *instruction, *from, *to, *raise_floor;
        UpdatePhase failed_phase; /* with ROLLING_BACK: why it does */
        UpdateVerdict verdict;
        char *message;

        UpdaterResult last; /* of the last transaction that was closed; its id is "" if there is none */
        SimAttempts attempts[SIM_ATTEMPTS_MAX];
        size_t n_attempts;
} SimRecord;

/* Of a machine that was set up with this version. */
int sim_record_new(SimRecord **ret, const char *version);
/* -ENOENT; -EBADMSG. */
int sim_record_load_at(int dir_fd, SimRecord **ret);
int sim_record_save_at(const SimRecord *r, int dir_fd); /* durable */
SimRecord *sim_record_free(SimRecord *r);
DEFINE_POINTER_CLEANUP(SimRecord, sim_record_free);

/* The number of this attempt, from 1; the same instruction, however often it comes, is one. Returns 1 if
 * that is news, which is not saved yet; else 0. */
int sim_record_attempt(SimRecord *r, const char *version, const char *instruction, uint64_t *ret);
