/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The fleet in numbers, as the store counts it: what metrics and overviews show. Plain data that owns its
 * names; zero-initialised is empty. */

#include "record.h"

/* Names of which there may be many: the most frequent ones, the others as one number. */
#define STORE_COUNTS_MAX 32U

typedef struct StoreCount {
        char *name;
        uint64_t n;
} StoreCount;

typedef struct StoreCounts {
        StoreCount items[STORE_COUNTS_MAX]; /* the most frequent first */
        size_t n;
        uint64_t others;
} StoreCounts;

typedef struct StoreStats {
        uint64_t agents[_AGENT_STATE_MAX];
        StoreCounts versions; /* of agents that were connected at least once */
        uint64_t in_flight;   /* instructions that have not ended */
        StoreCounts rollouts; /* by state */
        StoreCounts reasons;  /* why they are in it, of rollouts that have not ended */
        StoreCounts members;  /* by state, of the same */
        /* What must be 0: instructions that have not ended long after their deadline, rollouts whose counts
         * are not those of their members, members that wait for something that will not come. */
        uint64_t overdue, miscounted, orphans;
} StoreStats;

/* So long after a deadline or an end everybody must have taken notice. */
#define STORE_STATS_GRACE (10 * USEC_PER_MINUTE)

int store_counts_add(StoreCounts *c, const char *name, uint64_t n);
void store_stats_done(StoreStats *s);
