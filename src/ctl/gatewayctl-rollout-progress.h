/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A rollout while it goes on: on a terminal a block of lines that is drawn anew with each change and each
 * second, elsewhere a line for each thing worth telling. */

#include "gatewayctl-rollout.h"

typedef struct RolloutProgress RolloutProgress;

int rollout_progress_new(RolloutProgress **ret, sd_event *event, FILE *f);
/* Leaves what was drawn last where it is. */
RolloutProgress *rollout_progress_free(RolloutProgress *p);
DEFINE_POINTER_CLEANUP(RolloutProgress, rollout_progress_free);

/* Keeps a reference of it. */
void rollout_progress_show(RolloutProgress *p, json_t *rollout);
/* The connection is lost, or (NULL) is there again. */
void rollout_progress_lost(RolloutProgress *p, const char *why);
