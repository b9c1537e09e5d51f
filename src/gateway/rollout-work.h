/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rollouts in the store: planned, made, stepped, steered by people. Everything that follows from one call is
 * written in the transaction of its job: members, instructions, the rollout itself, events and entries of
 * the audit log; what has to be sent is handed back and sent after the commit. So whatever ends the gateway
 * in between, no instruction exists that its member does not know, and none is sent that is not durable.
 * Worker's thread. */

#include "audit.h"
#include "rollout-set.h"

/* After the commit. */
typedef struct RolloutOrder {
        char *agent;
        FleetOrder order;
} RolloutOrder;
typedef struct RolloutOrders {
        RolloutOrder *items;
        size_t n, n_allocated;
} RolloutOrders;
void rollout_orders_done(RolloutOrders *o);
void rollout_orders_cut(RolloutOrders *o, size_t keep);

typedef struct RolloutContext {
        StoreJob *job;
        Store *store;
        Fleet *fleet;
        const FleetRules *rules;
        usec_t now;
        RolloutOrders *orders;
        bool newcomers_welcome; /* said by a step: it runs, and takes them in */
} RolloutContext;

/* One step, and what follows. look_for_new: also take in agents that came since, if it wants any. -ENOENT.
 */
int rollout_work_step(RolloutContext *c, uint64_t id, bool look_for_new);

/* That another state or reason was written: to the journal, the audit log and those who listen. */
int rollout_work_tell(RolloutContext *c, RolloutRecord *r, const RolloutProgress *before);

/* How long an update has taken lately, from its instruction to its end; a minute when nothing is known. */
int rollout_work_duration(Store *s, usec_t *ret);

/* ---- making ---- */

#define ROLLOUTS_ACTIVE_MAX 100U

/* rollout-draft.c. An agent becomes a member that is not yet judged. Takes what it needs out of the record.
 */
int rollout_draft_add(RolloutContext *c, RolloutSet *set, AgentRecord *a, const char *goal);
/* Fills a set with those whom its target names (rollback: whom the parent brought to its version) and plans;
 * target, spec, kind, version and parent of the set are given, and the target is resolved. Refuses what
 * could not get on: -EINVAL with the error. Writes nothing. */
int rollout_draft_plan(RolloutContext *c, RolloutSet *set, RequestError *reterr);
/* Writes what was planned, and makes the first step. */
int rollout_work_create(RolloutContext *c, RolloutSet *set);

/* ---- people ---- */

typedef enum RolloutVerb {
        ROLLOUT_VERB_PAUSE,
        ROLLOUT_VERB_RESUME,
        ROLLOUT_VERB_ABORT,
        ROLLOUT_VERB_APPROVE,
        ROLLOUT_VERB_RETRY_FAILED,
        _ROLLOUT_VERB_MAX,
        _ROLLOUT_VERB_INVALID = -EINVAL,
} RolloutVerb;
const char *rollout_verb_to_string(RolloutVerb v); /* "retry-failed" */
RolloutVerb rollout_verb_from_string(const char *s);

/* To a set that was loaded in this job. *ret_concerned: how many agents it is about. -EBUSY: its state does
 * not allow it. */
int rollout_work_verb(RolloutContext *c, RolloutSet *set, RolloutVerb verb, uint64_t *ret_concerned);
