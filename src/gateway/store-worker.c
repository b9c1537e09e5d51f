/* SPDX-License-Identifier: Apache-2.0 */
#include "store-worker.h"

#include "alloc-util.h"
#include "audit.h"
#include "log.h"
#include "work-thread.h"

struct StoreWorker {
        Store *store;                /* the thread's, until it was joined */
        WorkThread *thread;
        store_on_event_t on_event;
        void *userdata;
        store_on_job_t on_job;
        void *on_job_userdata;
        usec_t moved; /* the loop's: when work began to wait, or some came back last */
};

static void job_drop_events(StoreJob *j) {
        while (j->n_events > 0)
                event_record_free(j->events[--j->n_events]);
        free(j->events);
        j->events = NULL;
        j->n_events_allocated = 0;
}

static void job_drop_logs(StoreJob *j) {
        while (j->n_logs > 0)
                log_entry_free(j->logs[--j->n_logs]);
        free(j->logs);
        j->logs = NULL;
        j->n_logs_allocated = 0;
}

/* It did not happen, so nobody is told; but what tells of the failure is counted. */
static void job_drop_news(StoreJob *j, const StoreJobPart *since) {
        size_t n = since->n_notes;

        while (j->n_events > since->n_events)
                event_record_free(j->events[--j->n_events]);
        while (j->n_logs > since->n_logs)
                log_entry_free(j->logs[--j->n_logs]);
        audit_notes_cut(&j->audit, since->n_audit);
        for (size_t i = n; i < j->n_notes; i++)
                if (j->notes[i].survives)
                        j->notes[n++] = j->notes[i];
        j->n_notes = n;
}

int store_job_note(StoreJob *j, const StoreNote *note) {
        int r;

        r = ARRAY_GROW(j->notes, j->n_notes_allocated, j->n_notes + 1);
        if (r < 0)
                return r;
        j->notes[j->n_notes++] = *note;
        return 0;
}

int store_job_take_log(StoreJob *j, LogEntry *e) {
        int r;

        if (!e)
                return 0;
        r = ARRAY_GROW(j->logs, j->n_logs_allocated, j->n_logs + 1);
        if (r < 0) {
                log_entry_free(e);
                return r;
        }
        j->logs[j->n_logs++] = e;
        return 0;
}

int store_job_emit(
                StoreJob *j,
                Store *s,
                const char *topic,
                const char *agent,
                char *data,
                bool progress,
                usec_t time) {
        _cleanup_(event_record_freep) EventRecord *e = NULL;
        int r;

        e = new0(EventRecord, 1);
        if (!e) {
                free(data);
                return -ENOMEM;
        }
        *e = (EventRecord){ .time = time, .data = data };
        e->topic = strdup(topic);
        e->agent = agent ? strdup(agent) : NULL;
        if (!e->data || !e->topic || (agent && !e->agent))
                return -ENOMEM;
        if (!progress) {
                r = s->ops->event_put(s, e);
                if (r < 0)
                        return r;
        }
        r = ARRAY_GROW(j->events, j->n_events_allocated, j->n_events + 1);
        if (r < 0)
                return r;
        j->events[j->n_events++] = TAKE_PTR(e);
        return 0;
}

int store_job_part_begin(StoreJob *j, Store *s, StoreJobPart *ret) {
        *ret = (StoreJobPart){
                .n_events = j->n_events,
                .n_notes = j->n_notes,
                .n_logs = j->n_logs,
                .n_audit = audit_notes_count(j->audit),
        };
        return s->ops->savepoint(s);
}

int store_job_part_keep(Store *s) {
        return s->ops->savepoint_release(s);
}

int store_job_part_take_back(StoreJob *j, Store *s, const StoreJobPart *part) {
        job_drop_news(j, part);
        return s->ops->savepoint_rollback(s);
}

/* The job's own failure is its result. < 0: the whole transaction is lost. */
static int job_run(StoreJob *j, Store *s) {
        int r;

        r = s->ops->savepoint(s);
        if (r < 0)
                return r;
        j->result = j->work(j, s);
        if (j->result >= 0) {
                r = s->ops->savepoint_release(s);
                if (r >= 0)
                        return 0;
                j->result = r;
        }
        job_drop_news(j, &(StoreJobPart){});
        return s->ops->savepoint_rollback(s);
}

/* Nothing of these was kept, up to the end; commit_result: 0 if it did not come to the commit. */
static void batch_fail(StoreJob *first, const StoreJob *end, int result, int commit_result) {
        for (StoreJob *j = first; j != end; j = j->next) {
                job_drop_news(j, &(StoreJobPart){});
                j->result = result;
                j->commit_result = commit_result;
        }
}

/* As many jobs as one transaction bears; the first of the others, if there are any. One that loses the
 * transaction takes those before it along, as they cannot be run twice; those behind it get a new one. */
static StoreJob *batch_run(StoreWorker *w, StoreJob *first) {
        StoreJob *last = first, *rest = first;
        Store *s = w->store;
        int r;

        r = s->ops->begin(s);
        if (r < 0) {
                batch_fail(first, NULL, r, r);
                return NULL;
        }
        while (rest && r >= 0) {
                last = rest;
                rest = last->next;
                last->started = now(CLOCK_MONOTONIC);
                r = job_run(last, s);
                last->finished = now(CLOCK_MONOTONIC);
        }
        if (r < 0) {
                (void) log_debug_errno(r, "A job cost the store its transaction: %m");
                s->ops->rollback(s);
                batch_fail(first, rest, r, 0);
                return rest;
        }
        r = s->ops->commit(s);
        last->commit_time = usec_sub(now(CLOCK_MONOTONIC), last->finished);
        if (r < 0) {
                (void) log_debug_errno(r, "Failed to write to the store: %m"); /* the observer's to tell */
                s->ops->rollback(s);
                batch_fail(first, NULL, r, r);
        }
        return NULL;
}

static bool share_transaction(const MailboxItem *a, const MailboxItem *b) {
        return !container_of(a, StoreJob, item)->long_work && !container_of(b, StoreJob, item)->long_work;
}

/* The first jobs that may share a transaction, or one that runs alone. NULL: the end. */
static StoreJob *take_batch(WorkThread *t) {
        MailboxItem *first = work_thread_take(t, share_transaction, STORE_BATCH_MAX);

        for (MailboxItem *i = first; i; i = i->next)
                container_of(i, StoreJob, item)->next = i->next ? container_of(i->next, StoreJob, item) : NULL;
        return first ? container_of(first, StoreJob, item) : NULL;
}

static void worker_main(WorkThread *t, void *userdata) {
        StoreWorker *w = userdata;
        StoreJob *first;

        while ((first = take_batch(t))) {
                if (first->long_work) {
                        first->started = now(CLOCK_MONOTONIC);
                        first->result = first->work(first, w->store);
                        first->finished = now(CLOCK_MONOTONIC);
                } else
                        for (StoreJob *rest = first; rest;)
                                rest = batch_run(w, rest);
                for (StoreJob *j = first, *next; j; j = next) {
                        next = j->next;
                        work_thread_give(t, &j->item);
                }
        }
}

static void job_deliver(MailboxItem *item) {
        StoreJob *j = container_of(item, StoreJob, item);
        StoreWorker *w = j->worker;

        w->moved = now(CLOCK_MONOTONIC);
        if (w->on_job)
                w->on_job(j, w->on_job_userdata);
        free(j->notes);
        j->notes = NULL;
        j->n_notes = j->n_notes_allocated = 0;
        if (w->on_event)
                for (size_t i = 0; i < j->n_events; i++)
                        w->on_event(&j->events[i], w->userdata);
        job_drop_events(j);
        for (size_t i = 0; i < j->n_logs; i++)
                log_entry_write(j->logs[i]);
        job_drop_logs(j);
        audit_notes_publish(TAKE_PTR(j->audit));
        j->done(j, j->result);
}

int store_worker_submit(StoreWorker *w, StoreJob *j) {
        j->submitted = now(CLOCK_MONOTONIC);
        if (work_thread_backlog(w->thread) == 0)
                w->moved = j->submitted;
        j->started = j->finished = j->commit_time = 0;
        j->commit_result = 0;
        j->worker = w;
        j->result = -ECANCELED;
        j->item.deliver = job_deliver;
        return work_thread_submit(w->thread, &j->item);
}

unsigned store_worker_backlog(StoreWorker *w) {
        return work_thread_backlog(w->thread);
}

usec_t store_worker_stalled(StoreWorker *w) {
        return work_thread_backlog(w->thread) > 0 ? usec_sub(now(CLOCK_MONOTONIC), w->moved) : 0;
}

void store_worker_observe(StoreWorker *w, store_on_job_t on_job, void *userdata) {
        w->on_job = on_job;
        w->on_job_userdata = userdata;
}

int store_worker_new(
                StoreWorker **ret,
                sd_event *event,
                Store *store,
                store_on_event_t on_event,
                void *userdata) {
        _cleanup_(store_worker_freep) StoreWorker *w = NULL;
        int r;

        w = new0(StoreWorker, 1);
        if (!w) {
                (void) store_close(store);
                return -ENOMEM;
        }
        *w = (StoreWorker){
                .store = store,
                .on_event = on_event,
                .userdata = userdata,
        };
        r = work_thread_new(&w->thread, event, "store", STORE_JOBS_MAX, worker_main, w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

StoreWorker *store_worker_free(StoreWorker *w) {
        if (!w)
                return NULL;
        work_thread_free(w->thread); /* delivers the last results */
        (void) store_close(w->store);
        free(w);
        return NULL;
}
