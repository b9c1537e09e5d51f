/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one thread that may touch the store, and the way there and back. A job says what to do with the store
 * (work, on the worker's thread) and what to do with the answer (done, on the loop). Jobs run in order of
 * submission. Several jobs that wait share one transaction, each within a savepoint: a burst of statuses
 * costs one fsync, and a job that fails takes only its own changes back. done() is called after the commit,
 * so what it sees is durable; when the commit fails, all of the batch get its error.
 *
 * A job is part of what its caller allocated. While it is submitted it belongs to the worker; done() has it
 * back and must free it. work() must not touch anything that the loop may touch meanwhile: give it copies.
 */

#include <systemd/sd-event.h>

#include "mailbox.h"
#include "store.h"

typedef struct StoreWorker StoreWorker;
typedef struct StoreJob StoreJob;
typedef struct AuditNote AuditNote;

#define STORE_JOBS_MAX 8192U                 /* submitted and not yet done */
#define STORE_BATCH_MAX 64U

struct StoreJob {
        int (*work)(StoreJob *j, Store *s);
        void (*done)(StoreJob *j, int r);
        bool long_work;                      /* files, not rows: runs alone and outside of a transaction */

        /* What the job has to tell the world if it is committed: store_job_emit(). */
        EventRecord **events;
        size_t n_events, n_events_allocated;
        /* What it has entered into the audit log: audit.h. The journal hears of it after the commit. */
        AuditNote *audit;

        /* the worker's */
        StoreJob *next;
        StoreWorker *worker;
        int result;
        MailboxItem item;
};

/* Sees the events of each job that was committed, before its done(), in order; may take one by setting it to
 * NULL. */
typedef void (*store_on_event_t)(EventRecord **e, void *userdata);

/* Takes over the store, also on failure. */
int store_worker_new(
                StoreWorker **ret, sd_event *event, Store *store, store_on_event_t on_event, void *userdata);
/* Runs what was submitted to its end, done() included, then joins the thread and closes the store. */
StoreWorker *store_worker_free(StoreWorker *w);
DEFINE_POINTER_CLEANUP(StoreWorker, store_worker_free);

/* -ENOBUFS when too much is waiting, -ESHUTDOWN at the end: the job is still the caller's, done() is not
 * called. */
int store_worker_submit(StoreWorker *w, StoreJob *j);
unsigned store_worker_backlog(StoreWorker *w);

/* In work(): keeps the event (unless it is progress) and has it published after the commit. data is taken
 * over. */
int store_job_emit(
                StoreJob *j,
                Store *s,
                const char *topic,
                const char *agent,
                char *data,
                bool progress,
                usec_t time);
