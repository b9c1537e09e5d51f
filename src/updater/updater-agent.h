/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the updater asks of the agent and of its units, with bounded, blocking calls. */

#include "updater.h"

/* Starts the agent's socket and (re)starts its service, after clearing whatever start limit was hit. Waits for the
 * job for a bounded time, and does not fail when the agent itself fails: its unit tries again. Negative: PID 1 did not
 * take the job on, so somebody has to come back to it. */
int agent_bring_up(Updater *u, bool restart);
#define AGENT_BRING_UP_TIME_MAX USEC_PER_MINUTE

/* Has the agent's unit failed, or been left behind by a bring-up that was cut off after it had cleared the failed
 * state? One that is inactive otherwise was stopped by somebody, who is not to be fought. */
bool agent_needs_start(UpdaterRoot *root, const char *active_state);

/* Does the agent that runs now say that it is connected to its gateway? */
bool agent_is_connected(void);
