/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sees that rollouts are stepped: when the time comes that a step has named, and soon after something
 * happened that may matter to them. Many things that happen at once cost one step; and stepping takes a
 * small part of the store's time only, so that a large fleet makes it slower and not the gateway. Loop's
 * thread. */

#include "rollout-work.h"

typedef struct Gateway Gateway;
typedef struct RolloutEngine RolloutEngine;

/* Steps all at once when it starts: what happened before is in the store. */
int rollout_engine_new(RolloutEngine **ret, Gateway *g);
RolloutEngine *rollout_engine_free(RolloutEngine *e);
DEFINE_POINTER_CLEANUP(RolloutEngine, rollout_engine_free);

void rollout_engine_start(RolloutEngine *e);
/* Something happened. rollout: to this one, which may be over; 0: to any that is not. */
void rollout_engine_kick(RolloutEngine *e, uint64_t rollout);

/* Sends what was decided, and counts what stopped by itself. Empties the orders. Also for jobs of others. */
void rollout_engine_send(RolloutEngine *e, RolloutOrders *orders);
