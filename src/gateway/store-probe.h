/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A question to the store that anybody may cause, as often as he likes: it is asked at most once in a time,
 * for whoever waits meanwhile, and nobody waits longer than a bound. Owned by whoever asks; loop's thread,
 * but for work(). */

#include "store-worker.h"

typedef struct StoreProbe StoreProbe;

typedef struct StoreProbeOptions {
        const char *kind; /* of the job, for measuring */
        usec_t fresh;     /* an answer is good for so long */
        usec_t patience;
        /* On the worker's thread. What it fills in is touched by nobody else until done(). */
        int (*work)(Store *s, void *userdata);
        void (*done)(int r, void *userdata); /* on the loop, before those who wait; may be NULL */
        void *userdata;
} StoreProbeOptions;

int store_probe_new(
                StoreProbe **ret, sd_event *event, StoreWorker *worker, const StoreProbeOptions *options);
/* After the worker. Who still waits is forgotten. */
StoreProbe *store_probe_free(StoreProbe *p);
DEFINE_POINTER_CLEANUP(StoreProbe, store_probe_free);

/* answer() runs once: within the call when the last answer is fresh or when the store is known to be stuck,
 * else when it has answered or patience is over. */
typedef void (*store_probe_answer_t)(void *waiter);
void store_probe_ask(StoreProbe *p, store_probe_answer_t answer, void *waiter);

/* What it said last: 0, or why not; -ETIMEDOUT while it keeps us waiting for longer than patience; -ENODATA
 * when it was never asked. */
int store_probe_result(const StoreProbe *p);
