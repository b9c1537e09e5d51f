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

/* Something that happened within a job and has to be counted once it is durable; see store_job_note(). */
typedef enum StoreNoteKind {
        STORE_NOTE_UPDATE_ENDED, /* text: the phase, also: the phase in which it failed */
        STORE_NOTE_AUTO_PAUSE,   /* text: the reason */
        STORE_NOTE_AUDIT_FAILURE,
        STORE_NOTE_LOGIN_FAILURE,
} StoreNoteKind;

typedef struct StoreNote {
        StoreNoteKind kind;
        const char *text, *also; /* static; NULL: nothing to say */
        usec_t span;             /* from the instruction's creation */
        bool survives;           /* tells of the failure: counts although the job is taken back */
} StoreNote;

struct StoreJob {
        int (*work)(StoreJob *j, Store *s);
        void (*done)(StoreJob *j, int r);
        bool long_work;                      /* files, not rows: runs alone and outside of a transaction */
        const char *kind;                    /* static, one of few: for measuring; NULL: "other" */

        /* What the job has to tell the world if it is committed: store_job_emit(). */
        EventRecord **events;
        size_t n_events, n_events_allocated;
        /* What it has entered into the audit log: audit.h. The journal hears of it after the commit. */
        AuditNote *audit;
        StoreNote *notes;
        size_t n_notes, n_notes_allocated;

        /* What the worker measured; CLOCK_MONOTONIC. The last job of a batch has what its commit took, all
         * of them whether it worked. */
        usec_t submitted, started, finished, commit_time;
        int commit_result;

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

/* Sees each job when it is back, before its done() and whatever became of it: what was measured, and its
 * notes. */
typedef void (*store_on_job_t)(const StoreJob *j, void *userdata);
void store_worker_observe(StoreWorker *w, store_on_job_t on_job, void *userdata);

/* -ENOBUFS when too much is waiting, -ESHUTDOWN at the end: the job is still the caller's, done() is not
 * called. */
int store_worker_submit(StoreWorker *w, StoreJob *j);
unsigned store_worker_backlog(StoreWorker *w);
/* For how long there has been work and none of it came back. */
usec_t store_worker_stalled(StoreWorker *w);

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
/* In work(): has this counted after the commit, or in any case if it survives. */
int store_job_note(StoreJob *j, const StoreNote *note);

/* In work(): a part of the job that can be taken back alone, with what it wanted to tell. Ends with one of
 * the two; parts do not overlap. */
typedef struct StoreJobPart {
        size_t n_events, n_notes, n_audit;
} StoreJobPart;
int store_job_part_begin(StoreJob *j, Store *s, StoreJobPart *ret);
int store_job_part_keep(Store *s);
int store_job_part_take_back(StoreJob *j, Store *s, const StoreJobPart *part);
