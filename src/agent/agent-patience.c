/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-patience.h"

#define LATE_MAX 32U

usec_t agent_patience(usec_t first, unsigned late) {
        usec_t max = MAX(first, AGENT_PATIENCE_MAX), patience = first;
        for (unsigned i = 0; i < late && patience < max; i++)
                patience = MIN(patience * 2, max);
        return patience;
}

unsigned agent_patience_late(unsigned late, usec_t first, usec_t took) {
        /* half: the gateway gives up handshakes, too, and its clock began at another time */
        return took >= first / 2 && late < LATE_MAX ? late + 1 : late;
}
