/* SPDX-License-Identifier: Apache-2.0 */
#include "store-worker.h"

#include <pthread.h>
#include <signal.h>

#include "alloc-util.h"
#include "audit.h"
#include "log.h"

struct StoreWorker {
        Store *store;                /* the thread's, until it was joined */
        Mailbox *mailbox;
        store_on_event_t on_event;
        void *userdata;
        store_on_job_t on_job;
        void *on_job_userdata;
        usec_t moved; /* the loop's: when work began to wait, or some came back last */

        pthread_t thread;
        bool started;
        pthread_mutex_t mutex;       /* protects what follows */
        pthread_cond_t wakeup;
        StoreJob *first, *last;
        bool quit;                   /* only the loop's thread sets it */
};

static void job_drop_events(StoreJob *j) {
        while (j->n_events > 0)
                event_record_free(j->events[--j->n_events]);
        free(j->events);
        j->events = NULL;
        j->n_events_allocated = 0;
}

/* It did not happen, so nobody is told; but what tells of the failure is counted. */
static void job_drop_news(StoreJob *j, const StoreJobPart *since) {
        size_t n = since->n_notes;

        while (j->n_events > since->n_events)
                event_record_free(j->events[--j->n_events]);
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

static void job_run(StoreJob *j, Store *s) {
        int r;

        j->started = now(CLOCK_MONOTONIC);
        r = s->ops->savepoint(s);
        if (r < 0) {
                j->result = r;
                return;
        }
        j->result = j->work(j, s);
        if (j->result >= 0) {
                r = s->ops->savepoint_release(s);
                if (r >= 0)
                        return;
                j->result = r;
        }
        job_drop_news(j, &(StoreJobPart){});
        r = s->ops->savepoint_rollback(s);
        if (r < 0)
                (void) log_error_errno(r, "Failed to take back a change in the store: %m");
}

static void batch_run(StoreWorker *w, StoreJob *first) {
        Store *s = w->store;
        StoreJob *last = first;
        int r;

        r = s->ops->begin(s);
        for (StoreJob *j = first; j && r >= 0; j = j->next) {
                job_run(j, s);
                j->finished = now(CLOCK_MONOTONIC);
                last = j;
        }
        if (r >= 0) {
                r = s->ops->commit(s);
                last->commit_time = usec_sub(now(CLOCK_MONOTONIC), last->finished);
        }
        if (r >= 0)
                return;

        (void) log_debug_errno(r, "Failed to write to the store: %m"); /* the observer's to tell */
        s->ops->rollback(s);
        for (StoreJob *j = first; j; j = j->next) {
                job_drop_news(j, &(StoreJobPart){});
                j->result = j->commit_result = r;
        }
}

/* The first jobs that may share a transaction, or one that runs alone. NULL: the end. */
static StoreJob *take_batch(StoreWorker *w) {
        StoreJob *first, *last;
        unsigned n = 1;

        (void) pthread_mutex_lock(&w->mutex);
        while (!w->first && !w->quit)
                (void) pthread_cond_wait(&w->wakeup, &w->mutex);
        first = last = w->first;
        if (first) {
                for (; !first->long_work && last->next && !last->next->long_work && n < STORE_BATCH_MAX; n++)
                        last = last->next;
                w->first = last->next;
                if (!w->first)
                        w->last = NULL;
                last->next = NULL;
        }
        (void) pthread_mutex_unlock(&w->mutex);
        return first;
}

static void *worker_main(void *userdata) {
        StoreWorker *w = userdata;
        StoreJob *first;

        while ((first = take_batch(w))) {
                if (first->long_work) {
                        first->started = now(CLOCK_MONOTONIC);
                        first->result = first->work(first, w->store);
                        first->finished = now(CLOCK_MONOTONIC);
                } else
                        batch_run(w, first);
                for (StoreJob *j = first, *next; j; j = next) {
                        next = j->next;      /* once posted it is the loop's */
                        mailbox_post(w->mailbox, &j->item);
                }
        }
        return NULL;
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
        audit_notes_publish(TAKE_PTR(j->audit));
        j->done(j, j->result);
}

int store_worker_submit(StoreWorker *w, StoreJob *j) {
        int r;

        if (w->quit)                 /* from a done() while the last results are delivered */
                return -ESHUTDOWN;
        r = mailbox_reserve(w->mailbox);
        if (r < 0)
                return r;
        j->submitted = now(CLOCK_MONOTONIC);
        if (mailbox_reserved(w->mailbox) == 1)
                w->moved = j->submitted;
        j->started = j->finished = j->commit_time = 0;
        j->commit_result = 0;
        j->worker = w;
        j->next = NULL;
        j->result = -ECANCELED;
        j->item.deliver = job_deliver;

        (void) pthread_mutex_lock(&w->mutex);
        if (w->last)
                w->last->next = j;
        else
                w->first = j;
        w->last = j;
        (void) pthread_cond_signal(&w->wakeup);
        (void) pthread_mutex_unlock(&w->mutex);
        return 0;
}

unsigned store_worker_backlog(StoreWorker *w) {
        return mailbox_reserved(w->mailbox);
}

usec_t store_worker_stalled(StoreWorker *w) {
        return mailbox_reserved(w->mailbox) > 0 ? usec_sub(now(CLOCK_MONOTONIC), w->moved) : 0;
}

void store_worker_observe(StoreWorker *w, store_on_job_t on_job, void *userdata) {
        w->on_job = on_job;
        w->on_job_userdata = userdata;
}

/* Signals are for the loop's thread alone. */
static int worker_start(StoreWorker *w) {
        sigset_t all, old;
        int r;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&w->thread, NULL, worker_main, w);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r != 0)
                return -r;
        (void) pthread_setname_np(w->thread, "store");
        w->started = true;
        return 0;
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
                .mutex = PTHREAD_MUTEX_INITIALIZER,
                .wakeup = PTHREAD_COND_INITIALIZER,
        };
        r = mailbox_new(&w->mailbox, event, STORE_JOBS_MAX, "store-results");
        if (r < 0)
                return r;
        r = worker_start(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

StoreWorker *store_worker_free(StoreWorker *w) {
        if (!w)
                return NULL;
        if (w->started) {
                (void) pthread_mutex_lock(&w->mutex);
                w->quit = true;
                (void) pthread_cond_signal(&w->wakeup);
                (void) pthread_mutex_unlock(&w->mutex);
                (void) pthread_join(w->thread, NULL);
        }
        w->quit = true;
        mailbox_free(w->mailbox);    /* delivers the last results */
        (void) store_close(w->store);
        (void) pthread_cond_destroy(&w->wakeup);
        (void) pthread_mutex_destroy(&w->mutex);
        free(w);
        return NULL;
}
