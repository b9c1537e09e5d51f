/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Observes the agent's unit (at PID 1) and the agent itself (the owner of its bus name) over the system bus, without
 * blocking: whenever one of them says that something has changed, and whenever asked. An agent that hangs costs a
 * bounded call, not the loop. Belongs to the loop's thread. */

#include <systemd/sd-bus.h>

#include "updater-trial.h"

typedef struct Watch Watch;

/* o: complete and consistent as far as a sequence of calls can be. */
typedef void (*watch_on_observation_t)(Watch *w, const Observation *o, void *userdata);

/* bus: attached to the loop, borrowed. target: the version expected. */
int watch_new(Watch **ret, sd_bus *bus, const char *target, watch_on_observation_t on_observation, void *userdata);
Watch *watch_free(Watch *w);
DEFINE_POINTER_CLEANUP(Watch, watch_free);

/* Asks everything anew; on_observation follows. Asking again while asking is fine. */
void watch_look(Watch *w);

/* MainPID of the agent's unit now, blocking; 0 if it does not run or cannot be asked. */
uint32_t watch_main_pid(sd_bus *bus);
