/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What happened, a JSON object a line, for whoever checks the gateway from outside: instructions as they
 * arrive, statuses as they are sent, sessions and starts. Each line is written at once, so that a simulator
 * that is killed has lost none. Owned by the SimFleet. */

#include "agent-instruction.h"
#include "macro.h"
#include "sim-machine.h"
#include "update-record.h"

typedef struct SimLog SimLog;

/* Appends. path NULL: nothing is written, and everything below is fine. */
int sim_log_new(SimLog **ret, const char *path);
SimLog *sim_log_free(SimLog *l);
DEFINE_POINTER_CLEANUP(SimLog, sim_log_free);

void sim_log_instruction(SimLog *l, const SimMachine *m, const Instruction *i, const char *what);
void sim_log_status(SimLog *l, const SimMachine *m, const UpdateRecord *u, bool progress);
void sim_log_acknowledged(SimLog *l, const SimMachine *m, const char *instruction);
/* "installing": the updater took it; "started", "stopped": the agent, in this version. */
void sim_log_machine(
                SimLog *l,
                const SimMachine *m,
                const char *event,
                const char *version,
                const char *instruction);
void sim_log_session(SimLog *l, const SimMachine *m, bool begun);
