/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A thread for what computes long and touches nothing but its own job: the hashes of passwords, which are
 * meant to be slow. On the store's thread they would keep everybody waiting, on the loop agents, too. One at
 * a time, in order of submission, so that a flood of them costs the machine one core at most and the memory
 * of one.
 *
 * A job is part of what its caller allocated. While it is submitted it belongs to the worker; done(), on the
 * loop, has it back. work(), on the worker's thread, must not touch anything that the loop or the store's
 * thread may touch meanwhile. */

#include <systemd/sd-event.h>

#include "mailbox.h"

typedef struct HashWorker HashWorker;
typedef struct HashJob HashJob;

struct HashJob {
        int (*work)(HashJob *j);
        void (*done)(HashJob *j, int r);

        /* the worker's */
        int result;
        MailboxItem item;
};

/* capacity: of jobs that are submitted and not yet done. */
int hash_worker_new(HashWorker **ret, sd_event *event, unsigned capacity);
/* Runs what was submitted to its end, done() included, then joins the thread. */
HashWorker *hash_worker_free(HashWorker *w);
DEFINE_POINTER_CLEANUP(HashWorker, hash_worker_free);

/* -ENOBUFS when too much is waiting, -ESHUTDOWN at the end: the job is still the caller's, done() is not
 * called. */
int hash_worker_submit(HashWorker *w, HashJob *j);
