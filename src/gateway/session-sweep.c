/* SPDX-License-Identifier: Apache-2.0 */
#include "session-sweep.h"

#include "alloc-util.h"
#include "event-util.h"
#include "gateway.h"
#include "log.h"

#define SWEEP_INTERVAL USEC_PER_MINUTE

typedef struct SweepJob {
        StoreJob job;
        AuthSeen *seen;
        size_t n;
        usec_t idle;
} SweepJob;

static int sweep_work(StoreJob *job, Store *s) {
        SweepJob *j = container_of(job, SweepJob, job);
        usec_t t = now(CLOCK_REALTIME);
        int r = 0;

        /* what was deleted meanwhile is no matter */
        for (size_t i = 0; i < j->n && (r >= 0 || r == -ENOENT); i++)
                r = j->seen[i].is_session ? s->ops->session_seen(s, j->seen[i].id, j->seen[i].when) :
                                            s->ops->api_token_seen(s, j->seen[i].id, j->seen[i].when);
        if (r < 0 && r != -ENOENT)
                return r;
        return s->ops->sessions_prune(s, t, usec_sub(t, j->idle));
}

static void sweep_done(StoreJob *job, int r) {
        SweepJob *j = container_of(job, SweepJob, job);

        if (r < 0)
                (void) log_warning_errno(
                                r, "Failed to store when tokens and sessions were used, ignoring: %m");
        auth_seen_free(j->seen, j->n);
        free(j);
}

static void sweep(Gateway *g) {
        SweepJob *j = new0(SweepJob, 1);
        int r;

        if (!j)
                return;
        *j = (SweepJob){ .job = { .work = sweep_work, .done = sweep_done }, .idle = g->conf.session_idle };
        r = auth_take_seen(g->auth, now(CLOCK_REALTIME), &j->seen, &j->n);
        if (r >= 0)
                r = store_worker_submit(g->worker, &j->job);
        if (r < 0)
                sweep_done(&j->job, r);
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *userdata) {
        Gateway *g = userdata;

        sweep(g);
        return session_sweep_start(g);
}

int session_sweep_start(Gateway *g) {
        return event_timer_arm(g->event, &g->session_source, SWEEP_INTERVAL, on_sweep, g, "session-sweep");
}
