/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <inttypes.h>
#include <time.h>

#include "macro.h"

typedef uint64_t usec_t;

#define USEC_INFINITY ((usec_t) UINT64_MAX)
#define USEC_PER_MSEC ((usec_t) 1000)
#define USEC_PER_SEC ((usec_t) 1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define NSEC_PER_USEC ((uint64_t) 1000)
#define USEC_FMT "%" PRIu64

usec_t now(clockid_t clock);

static inline usec_t usec_add(usec_t a, usec_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}
static inline usec_t usec_sub(usec_t a, usec_t b) {
        return a > b ? a - b : 0;
}

/* "2026-11-24T12:34:56Z" (RFC 3339 in UTC, whole seconds), both ways. The buffer needs 21 bytes. */
#define RFC3339_MAX 32
const char *rfc3339_format(usec_t realtime, char buf[static RFC3339_MAX]);
int rfc3339_parse(const char *s, usec_t *ret);

/* "3min 12s", "450ms": for people. */
#define TIMESPAN_MAX 64
const char *timespan_format(usec_t t, char buf[static TIMESPAN_MAX]);

/* Exponential backoff with full jitter: uniform in [0, min(max, base * 2^attempt)]. random is any 64 random bits,
 * so that the function stays pure. */
usec_t backoff_full_jitter(usec_t base, usec_t max, unsigned attempt, uint64_t random);

uint64_t random_u64(void);                         /* getrandom(); aborts only if the kernel has no entropy source */
