/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Another certificate before the present one expires, over the agents' port. A gateway that does not serve
 * that yet is asked again later. The session that is open goes on; the new certificate counts from the next
 * one. Owned by the Agent. */

#include <systemd/sd-event.h>

#include "agent-conf.h"
#include "agent-identity.h"
#include "rpc-queue.h"

typedef struct AgentRenew AgentRenew;

/* All borrowed. */
int agent_renew_new(
                AgentRenew **ret,
                sd_event *event,
                RpcQueue *queue,
                const AgentConf *conf,
                AgentIdentity *identity,
                const char *user_agent);
AgentRenew *agent_renew_free(AgentRenew *r);
DEFINE_POINTER_CLEANUP(AgentRenew, agent_renew_free);

/* Call after enrolment and on every connection: arms the timer for when it is time. */
void agent_renew_plan(AgentRenew *r);
