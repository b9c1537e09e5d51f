/* SPDX-License-Identifier: Apache-2.0 */
#include "store-probe.h"

#include "alloc-util.h"
#include "event-util.h"
#include "log.h"

typedef struct Waiter {
        store_probe_answer_t answer;
        void *userdata;
} Waiter;

struct StoreProbe {
        StoreJob job;
        StoreProbeOptions options;
        sd_event *event;
        StoreWorker *worker;
        sd_event_source *timer_source;
        bool pending;           /* the job is the worker's */
        usec_t asked, answered; /* CLOCK_BOOTTIME; 0: never */
        int result;
        Waiter *waiters;
        size_t n_waiters, n_allocated;
};

static void probe_answer_all(StoreProbe *p) {
        Waiter *waiters = TAKE_PTR(p->waiters);
        size_t n = TAKE_GENERIC(p->n_waiters, size_t, 0);

        p->n_allocated = 0; /* who is answered may ask again */
        for (size_t i = 0; i < n; i++)
                waiters[i].answer(waiters[i].userdata);
        free(waiters);
}

static void probe_finish(StoreProbe *p, int r) {
        p->pending = false;
        p->result = r < 0 ? r : 0;
        p->answered = now(CLOCK_BOOTTIME);
        (void) event_timer_disarm(p->timer_source);
        if (p->options.done)
                p->options.done(p->result, p->options.userdata);
        probe_answer_all(p);
}

static int probe_work(StoreJob *job, Store *s) {
        StoreProbe *p = container_of(job, StoreProbe, job);

        return p->options.work(s, p->options.userdata);
}

static void probe_done(StoreJob *job, int r) {
        probe_finish(container_of(job, StoreProbe, job), r);
}

static bool probe_is_stuck(const StoreProbe *p) {
        return p->pending && now(CLOCK_BOOTTIME) >= usec_add(p->asked, p->options.patience);
}

static int probe_on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        StoreProbe *p = userdata;

        /* timers count from the beginning of the loop's turn, which may have been a while before the
         * question */
        if (p->pending && !probe_is_stuck(p))
                return event_timer_arm(
                                p->event, &p->timer_source,
                                usec_sub(usec_add(p->asked, p->options.patience), now(CLOCK_BOOTTIME)),
                                probe_on_timeout, p, "store-probe");
        probe_answer_all(p);
        return 0;
}

static bool probe_is_fresh(const StoreProbe *p) {
        return !p->pending && p->answered > 0 &&
               now(CLOCK_BOOTTIME) < usec_add(p->answered, p->options.fresh);
}

static int probe_submit(StoreProbe *p) {
        int r;

        p->job = (StoreJob){ .work = probe_work, .done = probe_done, .kind = p->options.kind };
        p->asked = now(CLOCK_BOOTTIME);
        r = event_timer_arm(
                        p->event, &p->timer_source, p->options.patience, probe_on_timeout, p, "store-probe");
        if (r >= 0)
                r = store_worker_submit(p->worker, &p->job);
        if (r < 0)
                return r;
        p->pending = true;
        return 0;
}

void store_probe_ask(StoreProbe *p, store_probe_answer_t answer, void *waiter) {
        int r;

        if (probe_is_fresh(p) || probe_is_stuck(p) ||
            ARRAY_GROW(p->waiters, p->n_allocated, p->n_waiters + 1) < 0) {
                answer(waiter);
                return;
        }
        p->waiters[p->n_waiters++] = (Waiter){ answer, waiter };
        if (p->pending)
                return;
        r = probe_submit(p);
        if (r < 0) /* the queue is full: so is it for everybody else */
                probe_finish(p, r);
}

int store_probe_result(const StoreProbe *p) {
        if (probe_is_stuck(p))
                return -ETIMEDOUT;
        return p->answered > 0 ? p->result : -ENODATA;
}

int store_probe_new(
                StoreProbe **ret, sd_event *event, StoreWorker *worker, const StoreProbeOptions *options) {
        StoreProbe *p = new0(StoreProbe, 1);

        if (!p)
                return -ENOMEM;
        p->options = *options;
        p->event = sd_event_ref(event);
        p->worker = worker;
        *ret = p;
        return 0;
}

StoreProbe *store_probe_free(StoreProbe *p) {
        if (!p)
                return NULL;
        assert(!p->pending);
        sd_event_source_disable_unref(p->timer_source);
        sd_event_unref(p->event);
        free(p->waiters);
        free(p);
        return NULL;
}
