/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The life of one instruction: created with a lease, moved from phase to phase by what the agent says, ended
 * by it or by the deadline. The only writer of instructions: every change is stored, published and logged in
 * here. Runs in a store job, on the worker's thread. */

#include "store-worker.h"

#define INSTRUCTION_ID_SIZE 16U /* bytes; the id is twice as many hex digits */

/* What a status said, copied from the message. */
typedef struct InstructionStatus {
        char *instruction_id, *agent;
        UpdatePhase phase;
        UpdateVerdict verdict;
        UpdatePhase failed_phase; /* _UPDATE_PHASE_INVALID: none */
        char *from_version, *message;
        uint64_t sequence, bytes_done, bytes_total;
} InstructionStatus;
void instruction_status_done(InstructionStatus *s);

/* What an agent shall do and where that comes from: a desired row and its generation, or a rollout. */
typedef struct InstructionOrder {
        const char *agent, *from_version, *version;
        uint64_t desired, generation, rollout;
        uint64_t attempt;
        bool retry, back;
} InstructionOrder;
/* New, queued. Fills in everything; the lease begins now. */
int instruction_create(
                StoreJob *j,
                Store *s,
                const InstructionOrder *order,
                usec_t now,
                usec_t lease,
                InstructionRecord *ret);
/* It is about to be sent for the first time. */
int instruction_offered(StoreJob *j, Store *s, InstructionRecord *i, usec_t now);
int instruction_request_cancel(StoreJob *j, Store *s, InstructionRecord *i, usec_t now);

/* Takes what an agent said about one of its instructions. Returns 1 when the instruction ended by it, 0 when
 * it goes on or the status told nothing new. -ENOENT: no such instruction of this agent. In every one of
 * these cases the status may be acknowledged. */
int instruction_apply_status(
                StoreJob *j,
                Store *s,
                const InstructionStatus *st,
                usec_t now,
                usec_t lease,
                uint64_t *ret_rollout /* that it is of, 0: none; may be NULL */);

/* Ends what is past its deadline, at most 256 at a time; returns how many. A deadline that lies further
 * ahead than a lease is long, since the clock was set back, is drawn in. */
int instruction_expire(StoreJob *j, Store *s, usec_t now, usec_t lease);

/* For who ends an instruction by itself, after it was stored: it has to be counted. */
int instruction_note_ended(StoreJob *j, const InstructionRecord *i);
