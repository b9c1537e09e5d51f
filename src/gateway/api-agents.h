/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the routes of agents have in common. */

#include "api.h"

/* Agent of docs/openapi.yaml: with what is desired, why it is or is not updated, and the newest update. */
int agent_full_view(Fleet *f, Store *s, const FleetRules *rules, AgentRecord *a, json_t **ret);

/* The event of an agent that changed. */
int agent_emit(StoreJob *job, Store *s, const AgentRecord *a, const char *change);
