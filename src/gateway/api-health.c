/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "api.h"
#include "log.h"
#include "version.h"

/* Anybody may ask, as often as he likes: the store is tried once in this time, whoever asks. */
#define HEALTH_FRESH USEC_PER_SEC

typedef struct HealthJob {
        StoreJob job;
        Gateway *gateway;
        HttpExchange *exchange;
} HealthJob;

static void health_reply(Gateway *g, HttpExchange *x) {
        const char *status = g->stopping ? "stopping" : g->health.result < 0 ? "store-failing" : "ok";
        json_t *o = json_object();

        if (o && (json_set_string(o, "status", status) < 0 ||
                  json_set_string(o, "version", fleet_version) < 0)) {
                json_decref(o);
                o = NULL;
        }
        http_reply_json(x, g->stopping || g->health.result < 0 ? 503 : 200, o);
}

static int health_work(StoreJob *job, Store *s) {
        return s->ops->touch(s, now(CLOCK_REALTIME));
}

static void health_done(StoreJob *job, int r) {
        HealthJob *j = container_of(job, HealthJob, job);

        if (r < 0)
                (void) log_error_errno(r, "The store cannot be written: %m");
        j->gateway->health.pending = false;
        j->gateway->health.result = r;
        j->gateway->health.checked = now(CLOCK_BOOTTIME);
        health_reply(j->gateway, j->exchange);
        free(j);
}

/* "ok" is a promise that an agent's Hello could be stored. */
void api_healthz(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;
        HealthJob *j = NULL;
        int r;

        if (g->stopping || g->health.pending ||
            (g->health.checked > 0 && now(CLOCK_BOOTTIME) < usec_add(g->health.checked, HEALTH_FRESH))) {
                health_reply(g, x);
                return;
        }
        j = new0(HealthJob, 1);
        if (!j) {
                http_reply_json(x, 503, NULL);
                return;
        }
        *j = (HealthJob){
                .job = { .work = health_work, .done = health_done }, .gateway = g, .exchange = x
        };
        g->health.pending = true;
        r = store_worker_submit(g->worker, &j->job);
        if (r < 0)                   /* the queue is full: a Hello would be turned away as well */
                health_done(&j->job, r);
}
