/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-messages.h"

#include "string-util.h"

void agent_facts_fill(const AgentFacts *f, Fleet__V1__Facts *ret) {
        ret->hostname = f->hostname;
        ret->os_id = (char *) strempty(f->os.id);
        ret->os_version_id = (char *) strempty(f->os.version_id);
        ret->os_pretty_name = (char *) strempty(f->os.pretty_name);
        ret->kernel = f->kernel;
        ret->architecture = f->architecture;
        ret->boot_id = (char *) f->boot_id;
        ret->packaging = f->packaging;
}

/* The wire counts from 1, since 0 means "not said"; the order is the same. */
#define PHASE_TO_WIRE(p) ((Fleet__V1__UpdatePhase) ((int) (p) + 1))
static_assert((int) FLEET__V1__UPDATE_PHASE__UPDATE_PHASE_QUEUED == UPDATE_PHASE_QUEUED + 1, "phases moved");
static_assert((int) FLEET__V1__UPDATE_PHASE__UPDATE_PHASE_STAGING == UPDATE_PHASE_STAGING + 1,
              "phases moved");
static_assert((int) FLEET__V1__UPDATE_PHASE__UPDATE_PHASE_SUCCEEDED == UPDATE_PHASE_SUCCEEDED + 1,
              "phases moved");
static_assert((int) FLEET__V1__UPDATE_PHASE__UPDATE_PHASE_CANCELLED == UPDATE_PHASE_CANCELLED + 1,
              "phases moved");

void update_record_fill(const UpdateRecord *u, Fleet__V1__UpdateStatus *ret) {
        ret->instruction_id = u->instruction;
        ret->transaction_id = u->transaction;
        ret->phase = PHASE_TO_WIRE(u->phase);
        ret->from_version = u->from;
        ret->to_version = u->to;
        ret->bytes_done = u->bytes_done;
        ret->bytes_total = u->bytes_total;
        ret->verdict = u->verdict == UPDATE_VERDICT_NONE ? (char *) "" :
                                                           (char *) update_verdict_to_string(u->verdict);
        ret->message = u->message;
        ret->time_usec = u->time_usec;
        ret->failed_phase = u->failed_phase >= 0 ? PHASE_TO_WIRE(u->failed_phase) :
                                                   FLEET__V1__UPDATE_PHASE__UPDATE_PHASE_UNSPECIFIED;
        ret->sequence = u->sequence;
}

void instruction_read(const Fleet__V1__UpdateInstruction *message, Instruction *ret) {
        *ret = (Instruction){
                .id = strempty(message->instruction_id),
                .version = strempty(message->version),
                .product = strempty(message->product),
                .repository_url = strempty(message->repository_url),
                .deadline_sec = message->deadline_sec,
                .retry = message->retry,
                .back = message->go_back,
        };
}
