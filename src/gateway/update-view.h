/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One update as answers about it show it: UPDATE of docs/api.md with the steps that it went through, which lists leave
 * out. On the worker's thread. */

#include "json.h"
#include "store.h"

int update_view(Store *s, const InstructionRecord *i, json_t **ret);
/* How long each step takes in this fleet: an object, or NULL for lack of memory. */
int update_durations_view(Store *s, json_t **ret);
