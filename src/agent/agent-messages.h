/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The agent's own structures as messages of the stream. Texts are borrowed: the message is to be sent before
 * its source changes. Pure. */

#include "agent-facts.h"
#include "agent-instruction.h"
#include "messages-pb.h"
#include "update-record.h"

void agent_facts_fill(const AgentFacts *f, Fleet__V1__Facts *ret);
void update_record_fill(const UpdateRecord *u, Fleet__V1__UpdateStatus *ret);
void instruction_read(const Fleet__V1__UpdateInstruction *message, Instruction *ret);
