/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long an attempt to reach the gateway may take. When thousands of agents come at once their handshakes
 * share its processors, and none may end within a time that is the same for all and for ever. Pure. */

#include "time-util.h"

#define AGENT_PATIENCE_MAX (2 * USEC_PER_MINUTE)

/* After `late` attempts in a row whose time ran out: doubled for each, up to AGENT_PATIENCE_MAX or `first`,
 * whichever is longer. */
usec_t agent_patience(usec_t first, unsigned late);
/* What `late` is after an attempt that failed when it had taken so long. One that was answered, even with a
 * refusal, found somebody who has time for it; it neither adds to the patience nor takes from it. */
unsigned agent_patience_late(unsigned late, usec_t first, usec_t took);
