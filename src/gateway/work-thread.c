/* SPDX-License-Identifier: Apache-2.0 */
#include "work-thread.h"

#include <pthread.h>
#include <signal.h>

#include "alloc-util.h"

struct WorkThread {
        Mailbox *mailbox;
        work_main_t main;
        void *userdata;

        pthread_t thread;
        bool started;
        pthread_mutex_t mutex; /* protects what follows */
        pthread_cond_t wakeup;
        MailboxItem *first, *last;
        bool quit; /* only the loop's thread sets it */
};

int work_thread_submit(WorkThread *t, MailboxItem *item) {
        int r;

        if (t->quit) /* from a deliver() of the last ones */
                return -ESHUTDOWN;
        r = mailbox_reserve(t->mailbox);
        if (r < 0)
                return r;
        item->next = NULL;

        (void) pthread_mutex_lock(&t->mutex);
        if (t->last)
                t->last->next = item;
        else
                t->first = item;
        t->last = item;
        (void) pthread_cond_signal(&t->wakeup);
        (void) pthread_mutex_unlock(&t->mutex);
        return 0;
}

unsigned work_thread_backlog(const WorkThread *t) {
        return mailbox_reserved(t->mailbox);
}

MailboxItem *
work_thread_take(WorkThread *t, bool (*together)(const MailboxItem *a, const MailboxItem *b), unsigned max) {

        MailboxItem *first, *last;

        (void) pthread_mutex_lock(&t->mutex);
        while (!t->first && !t->quit)
                (void) pthread_cond_wait(&t->wakeup, &t->mutex);
        first = last = t->first;
        if (first) {
                for (unsigned n = 1; together && last->next && n < max && together(last, last->next); n++)
                        last = last->next;
                t->first = last->next;
                if (!t->first)
                        t->last = NULL;
                last->next = NULL;
        }
        (void) pthread_mutex_unlock(&t->mutex);
        return first;
}

void work_thread_give(WorkThread *t, MailboxItem *item) {
        mailbox_post(t->mailbox, item);
}

static void *thread_main(void *userdata) {
        WorkThread *t = userdata;

        t->main(t, t->userdata);
        return NULL;
}

/* Signals are for the loop's thread alone. */
static int thread_start(WorkThread *t, const char *name) {
        sigset_t all, old;
        int r;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&t->thread, NULL, thread_main, t);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r != 0)
                return -r;
        (void) pthread_setname_np(t->thread, name);
        t->started = true;
        return 0;
}

int work_thread_new(
                WorkThread **ret,
                sd_event *event,
                const char *name,
                unsigned capacity,
                work_main_t main,
                void *userdata) {

        _cleanup_(work_thread_freep) WorkThread *t = NULL;
        int r;

        t = new0(WorkThread, 1);
        if (!t)
                return -ENOMEM;
        *t = (WorkThread){ .main = main,
                           .userdata = userdata,
                           .mutex = PTHREAD_MUTEX_INITIALIZER,
                           .wakeup = PTHREAD_COND_INITIALIZER };
        r = mailbox_new(&t->mailbox, event, capacity, name);
        if (r >= 0)
                r = thread_start(t, name);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

WorkThread *work_thread_free(WorkThread *t) {
        if (!t)
                return NULL;
        (void) pthread_mutex_lock(&t->mutex);
        t->quit = true;
        (void) pthread_cond_signal(&t->wakeup);
        (void) pthread_mutex_unlock(&t->mutex);
        if (t->started)
                (void) pthread_join(t->thread, NULL);
        mailbox_free(t->mailbox); /* delivers the last ones */
        (void) pthread_cond_destroy(&t->wakeup);
        (void) pthread_mutex_destroy(&t->mutex);
        free(t);
        return NULL;
}
