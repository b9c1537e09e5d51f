/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* org.fleetagent.Updater1 on the system bus as the agent's updater. The service is started by the bus when
 * it is needed and may vanish at any time; the bus may too. Owned by the service that owns the Agent. */

#include <systemd/sd-bus.h>

#include "agent-updater.h"

typedef struct AgentHandoff AgentHandoff;

int agent_handoff_new(AgentHandoff **ret);
AgentHandoff *agent_handoff_free(AgentHandoff *h);
DEFINE_POINTER_CLEANUP(AgentHandoff, agent_handoff_free);

AgentUpdater *agent_handoff_updater(AgentHandoff *h); /* stays the handoff's */

/* A bus that came, or NULL: it went, and what was asked ends with -ENOTCONN. */
int agent_handoff_set_bus(AgentHandoff *h, sd_bus *bus);

/* "org.fleetagent.Error.GatewayUnreachable" to a verdict; INTERNAL for what is not ours. Pure. */
UpdateVerdict agent_handoff_verdict(const char *error_name);
