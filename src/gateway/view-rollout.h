/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rollouts as the JSON of docs/openapi.yaml. As view.h. */

#include "rollout-set.h"
#include "view.h"

json_t *view_rollout(const RolloutRecord *r);        /* for events */
json_t *view_rollout_listed(const RolloutRecord *r); /* and in few words for whom it is */
/* With target and strategy, unless they are damaged. */
json_t *view_rollout_whole(const RolloutRecord *r);
json_t *view_rollout_member(const RolloutMemberRecord *m);
/* Why agents of a plan cannot take part, with their number, and the first of them by name. */
json_t *view_rollout_excluded(const RolloutSet *set);
json_t *view_rollout_preview(const RolloutPreview *p);
