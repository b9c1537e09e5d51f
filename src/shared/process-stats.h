/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What this process takes from the machine, as the kernel tells it. Any thread. Counting descriptors takes a
 * while when there are many thousands, so it is for a thread that may. */

#include "time-util.h"

typedef struct ProcessStats {
        usec_t cpu;                          /* user and system, all threads */
        uint64_t resident, virtual;          /* bytes */
        uint64_t open_fds, max_fds;          /* max UINT64_MAX: no limit */
        usec_t started;                      /* CLOCK_REALTIME */
} ProcessStats;

int process_stats_read(ProcessStats *ret);
