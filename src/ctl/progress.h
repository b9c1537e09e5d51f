/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lines for people from the gateway's update and agent events: each phase once, a download every tenth.
 * Knows the host names of the agents it has been told of. */

#include <stdio.h>

#include "gatewayctl.h"

typedef struct Progress Progress;

int progress_new(Progress **ret, FILE *f);
Progress *progress_free(Progress *p);
DEFINE_POINTER_CLEANUP(Progress, progress_free);

void progress_learn(Progress *p, json_t *agents); /* an array of agents */
void progress_event(Progress *p, const char *event, json_t *data);
