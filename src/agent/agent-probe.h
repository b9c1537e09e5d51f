/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* agent --probe-gateway: could a session be opened now, with the identity stored here? Makes no session and
 * writes nothing. Before a rollback the updater asks the old binary, to learn whether the new one or the
 * gateway is to blame. */

#include "time-util.h"

#define AGENT_PROBE_TIMEOUT (10 * USEC_PER_SEC)

/* 0: the gateway is ready. 1: it is not, or cannot be reached, said on standard error. Negative errno: no
 * probe was possible (not enrolled, no configuration). Never takes longer than AGENT_PROBE_TIMEOUT and a
 * little. */
int agent_probe(const char *config, const char *state_directory);
