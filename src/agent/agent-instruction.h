/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What to do with an UpdateInstruction: an instruction has an id for ever, and is done once however often it
 * is repeated. Pure: the caller says what is going on. */

#include "agent-conf.h"
#include "macro.h"
#include "phase.h"
#include "update-record.h"

typedef struct Instruction {
        const char *id;
        const char *version;
        const char *product;
        const char *repository_url;
        uint64_t deadline_sec;
        bool retry;
        bool back; /* to the version that ran before */
} Instruction;

typedef struct InstructionContext {
        const AgentConf *conf;
        const char *running_version;
        const UpdateRecord *current;  /* the update in progress; NULL if there is none */
        const UpdateRecord *finished; /* the finished update of this id; NULL if there is none */
        bool foreign_transaction;     /* the updater is busy with something that is not current */
        bool outbox_full;
        bool has_trusted_root;
        const char *pinned_version; /* "" if not pinned */
} InstructionContext;

typedef enum InstructionDecision {
        INSTRUCTION_ACCEPT,   /* a new one: begin */
        INSTRUCTION_CONTINUE, /* the one in progress */
        INSTRUCTION_FINISHED, /* answer with the final status once more */
        INSTRUCTION_DONE,     /* nothing to do: that version runs; ends as succeeded */
        INSTRUCTION_REFUSE,   /* ends as failed, with verdict and message */
        INSTRUCTION_IGNORE,   /* not even an answer is possible, or not now */
        _INSTRUCTION_DECISION_MAX,
} InstructionDecision;

/* message: for people; set with REFUSE and IGNORE. -ENOMEM. */
int instruction_decide(
                const Instruction *i,
                const InstructionContext *c,
                UpdateVerdict *ret_verdict,
                char **ret_message);

/* Time that is left for downloading: the lease, within reason. */
usec_t instruction_lease(const Instruction *i);
