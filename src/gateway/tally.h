/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How many there are of each value, counted as they come; the most frequent are shown, the rest as a sum.
 * Bounded by how many different values there are. */

#include "json.h"

typedef struct Tally Tally;

int tally_new(Tally **ret);
Tally *tally_free(Tally *t);
DEFINE_POINTER_CLEANUP(Tally, tally_free);

int tally_add(Tally *t, const char *value /* "": none */, uint64_t n);
/* { "values": [ { "value": "x", "count": 3 }, ... ], "none": 2, "other": 5 }: the most frequent first, at
 * most max; "none" and "other" only if there are such. NULL on lack of memory. */
json_t *tally_view(Tally *t, size_t max);
