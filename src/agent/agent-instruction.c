/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-instruction.h"

#include <inttypes.h>

#include "string-util.h"
#include "version.h"

#define LEASE_DEFAULT USEC_PER_HOUR
#define LEASE_MIN (10 * USEC_PER_SEC)
#define LEASE_MAX USEC_PER_DAY

usec_t instruction_lease(const Instruction *i) {
        if (i->deadline_sec == 0)
                return LEASE_DEFAULT;
        if (i->deadline_sec > LEASE_MAX / USEC_PER_SEC)
                return LEASE_MAX;
        return MAX(i->deadline_sec * USEC_PER_SEC, LEASE_MIN);
}

static int decision(
                InstructionDecision d,
                UpdateVerdict verdict,
                char *message,
                UpdateVerdict *ret_verdict,
                char **ret_message) {
        if (!message)
                return -ENOMEM;
        *ret_verdict = verdict;
        *ret_message = message;
        return d;
}
#define REFUSE(verdict, ...)                                                                                \
        decision(INSTRUCTION_REFUSE, (verdict), strjoinf(__VA_ARGS__), ret_verdict, ret_message)
#define IGNORE(...)                                                                                         \
        decision(INSTRUCTION_IGNORE, UPDATE_VERDICT_NONE, strjoinf(__VA_ARGS__), ret_verdict, ret_message)

int instruction_decide(
                const Instruction *i,
                const InstructionContext *c,
                UpdateVerdict *ret_verdict,
                char **ret_message) {
        if (!update_id_is_valid(i->id))
                return IGNORE("The instruction's id is not 32 hexadecimal digits.");
        if (c->current && streq(c->current->instruction, i->id))
                return INSTRUCTION_CONTINUE;
        if (c->finished)
                return INSTRUCTION_FINISHED;
        if (c->outbox_full)
                return IGNORE("Too many final statuses wait for the gateway's acknowledgement.");

        if (!version_is_valid(i->version))
                return REFUSE(UPDATE_VERDICT_NOT_FOUND, "The instruction names no valid version.");
        if (!streq(i->product, "agent"))
                return REFUSE(UPDATE_VERDICT_NOT_FOR_US,
                              "This is an agent, and the instruction is for another product.");
        if (c->current)
                return REFUSE(UPDATE_VERDICT_BUSY, "The update to %s is in progress.", c->current->to);
        if (c->foreign_transaction)
                return REFUSE(UPDATE_VERDICT_BUSY, "The updater is busy with a transaction of its own.");
        int order = version_compare(i->version, c->running_version);
        if (order == 0)
                return INSTRUCTION_DONE;
        if (!c->has_trusted_root)
                return REFUSE(UPDATE_VERDICT_NO_TRUSTED_ROOT,
                              "This agent was built without a trusted root (-Dtrusted-root=) and takes no "
                              "updates.");
        if (*c->pinned_version && !streq(c->pinned_version, i->version))
                return REFUSE(UPDATE_VERDICT_PINNED,
                              "The machine's owner holds version %s ('fleet-agentctl unpin' lifts that).",
                              c->pinned_version);
        if (order < 0 && !i->back)
                return REFUSE(UPDATE_VERDICT_DOWNGRADE, "Version %s is older than %s, which runs.",
                              i->version, c->running_version);
        if (order > 0 && i->back)
                return REFUSE(UPDATE_VERDICT_NOT_FOR_US, "Version %s is newer than %s, which runs: that is no way back.",
                              i->version, c->running_version);
        if (*i->repository_url && !agent_conf_origin_allowed(c->conf, i->repository_url, NULL))
                return REFUSE(UPDATE_VERDICT_DOWNLOAD_FAILED,
                              "The gateway names a repository below no origin that this machine allows "
                              "(AllowedOrigins= in agent.conf).");
        return INSTRUCTION_ACCEPT;
}
