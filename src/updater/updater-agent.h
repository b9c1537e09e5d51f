/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the updater asks of the agent and of its units, with bounded, blocking calls. */

#include "updater.h"

/* Starts the agent's socket and (re)starts its service, after clearing whatever start limit was hit. Waits for the
 * job for a bounded time, and does not fail when the agent itself fails: its unit tries again. */
int agent_bring_up(Updater *u, bool restart);

/* Does the agent that runs now say that it is connected to its gateway? */
bool agent_is_connected(void);
