/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The directory of all simulated machines, a folder each. Several processes may share it, each with machines
 * of its own numbers, but all with one seed: which machines there are follows from it. */

#include "macro.h"

typedef struct SimState SimState;

/* Makes the directory if it is absent. -EEXIST: it is another seed's; -EBUSY: another process has some of
 * these machines; both with a sentence in *reterr_message (allocated). */
int sim_state_open(
                SimState **ret,
                const char *path,
                uint64_t seed,
                uint32_t first,
                uint32_t n,
                char **reterr_message);
SimState *sim_state_free(SimState *s);
DEFINE_POINTER_CLEANUP(SimState, sim_state_free);

int sim_state_fd(const SimState *s); /* stays the state's */
