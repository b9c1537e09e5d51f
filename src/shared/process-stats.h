/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What this process takes from the machine, as the kernel tells it. Any thread. */

#include "time-util.h"

typedef struct ProcessStats {
        usec_t cpu;                 /* user and system, all threads */
        uint64_t resident, virtual; /* bytes */
        uint64_t max_fds;           /* UINT64_MAX: no limit */
        usec_t started;             /* CLOCK_REALTIME */
} ProcessStats;

int process_stats_read(ProcessStats *ret);
/* Open descriptors; takes milliseconds when there are ten thousands, before Linux 6.2. */
int process_count_fds(uint64_t *ret);
