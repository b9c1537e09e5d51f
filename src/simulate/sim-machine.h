/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A machine that does not exist: what it says of itself, drawn by seed and number from tables of what is
 * common. Pure, but for memory. */

#include "agent-facts.h"
#include "sim-plan.h"

typedef struct SimMachine {
        uint32_t number;
        char id[33]; /* of its agent, 32 hexadecimal digits */
        AgentFacts facts;
        bool pinned;   /* its owner holds the version */
        bool slow;     /* everything takes longer */
        bool flapping; /* its connection is cut again and again */
        bool offline;  /* is away at times */
} SimMachine;

int sim_machine_init(SimMachine *ret, const SimPlan *plan, uint32_t number);
void sim_machine_done(SimMachine *m);

/* Facts under the names that selectors use, without "fact."; NULL for others. */
const char *sim_machine_fact(const SimMachine *m, const char *name);
bool sim_machine_has_fact(const char *name);

/* How often a kernel and an os are found among many, for tests: numbers of entries in the tables. */
#define SIM_MACHINE_SYSTEMS 6U
#define SIM_MACHINE_KERNELS 12U
