/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For lines that anybody may cause by the thousand: so many in a time, then none, then how many there would
 * have been. Zero-initialised is empty. One thread's. */

#include "log.h"
#include "time-util.h"

#define LOG_LIMIT_INTERVAL (10 * USEC_PER_SEC)
#define LOG_LIMIT_BURST 20U

typedef struct LogLimit {
        usec_t begin;                        /* CLOCK_BOOTTIME */
        unsigned n;
} LogLimit;

/* May this one be written? what: for the line that tells of those left out, "refused enrolments". */
static inline bool log_limit_pass(LogLimit *l, const char *what) {
        usec_t t = now(CLOCK_BOOTTIME);

        if (l->begin == 0 || usec_sub(t, l->begin) >= LOG_LIMIT_INTERVAL) {
                if (l->n > LOG_LIMIT_BURST)
                        log_warning("%u more lines about %s were left out.", l->n - LOG_LIMIT_BURST, what);
                *l = (LogLimit){ .begin = t };
        }
        return ++l->n <= LOG_LIMIT_BURST;
}
