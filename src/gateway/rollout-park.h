/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rollouts that cannot be read or stepped. Each is stepped within a part of the job that can be taken back, so
 * that it costs no other rollout anything; then it is paused with what is in the way, and a person hears of
 * it. What is wrong with the store itself (no memory, no space, no answer) is no rollout's fault, and is
 * passed on. Worker's thread. */

#include "rollout-work.h"

/* As rollout_work_step(), for one among many: what is wrong with this one is no error, nor that it is gone. */
int rollout_step_alone(RolloutContext *c, uint64_t id, bool look_for_new);

/* Aborts one that may not be readable; if the step that belongs to it fails, it ends at once, and what is in
 * flight is given up. The set has at least the record. load: what loading it ended with. */
int rollout_abort_anyway(RolloutContext *c, RolloutSet *set, int load, uint64_t *ret_concerned);

/* Is an error the matter of the one rollout with which it came? */
bool rollout_error_is_its_own(int error);
/* What is in the way, for people: a sentence. unreadable: of the set. */
const char *rollout_trouble(const char *unreadable, int error);
