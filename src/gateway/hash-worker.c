/* SPDX-License-Identifier: Apache-2.0 */
#include "hash-worker.h"

#include <pthread.h>
#include <signal.h>

#include "alloc-util.h"

struct HashWorker {
        Mailbox *mailbox;

        pthread_t thread;
        bool started;
        pthread_mutex_t mutex; /* protects what follows */
        pthread_cond_t wakeup;
        HashJob *first, *last;
        bool quit; /* only the loop's thread sets it */
};

/* NULL: the end. */
static HashJob *take_job(HashWorker *w) {
        HashJob *j;

        (void) pthread_mutex_lock(&w->mutex);
        while (!w->first && !w->quit)
                (void) pthread_cond_wait(&w->wakeup, &w->mutex);
        j = w->first;
        if (j) {
                w->first = j->next;
                if (!w->first)
                        w->last = NULL;
        }
        (void) pthread_mutex_unlock(&w->mutex);
        return j;
}

static void *worker_main(void *userdata) {
        HashWorker *w = userdata;
        HashJob *j;

        while ((j = take_job(w))) {
                j->result = j->work(j);
                mailbox_post(w->mailbox, &j->item); /* from here on it is the loop's */
        }
        return NULL;
}

static void job_deliver(MailboxItem *item) {
        HashJob *j = container_of(item, HashJob, item);

        j->done(j, j->result);
}

int hash_worker_submit(HashWorker *w, HashJob *j) {
        int r;

        if (w->quit) /* from a done() while the last results are delivered */
                return -ESHUTDOWN;
        r = mailbox_reserve(w->mailbox);
        if (r < 0)
                return r;
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

/* Signals are for the loop's thread alone. */
static int worker_start(HashWorker *w) {
        sigset_t all, old;
        int r;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&w->thread, NULL, worker_main, w);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r != 0)
                return -r;
        (void) pthread_setname_np(w->thread, "hashes");
        w->started = true;
        return 0;
}

int hash_worker_new(HashWorker **ret, sd_event *event, unsigned capacity) {
        _cleanup_(hash_worker_freep) HashWorker *w = NULL;
        int r;

        w = new0(HashWorker, 1);
        if (!w)
                return -ENOMEM;
        *w = (HashWorker){ .mutex = PTHREAD_MUTEX_INITIALIZER, .wakeup = PTHREAD_COND_INITIALIZER };
        r = mailbox_new(&w->mailbox, event, capacity, "hash-results");
        if (r >= 0)
                r = worker_start(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

HashWorker *hash_worker_free(HashWorker *w) {
        if (!w)
                return NULL;
        (void) pthread_mutex_lock(&w->mutex);
        w->quit = true;
        (void) pthread_cond_signal(&w->wakeup);
        (void) pthread_mutex_unlock(&w->mutex);
        if (w->started)
                (void) pthread_join(w->thread, NULL);
        mailbox_free(w->mailbox); /* delivers the last results */
        (void) pthread_cond_destroy(&w->wakeup);
        (void) pthread_mutex_destroy(&w->mutex);
        free(w);
        return NULL;
}
