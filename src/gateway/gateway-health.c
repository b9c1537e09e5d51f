/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-health.h"

#include "alloc-util.h"
#include "event-util.h"
#include "gateway.h"
#include "log.h"
#include "messages.h"
#include "process-stats.h"
#include "string-util.h"

#define TICK (USEC_PER_SEC / 2)
#define WORKER_PATIENCE (20 * USEC_PER_SEC)
#define READY_FRESH USEC_PER_SEC
#define STATS_FRESH (5 * USEC_PER_SEC)
#define PROBE_PATIENCE (2 * USEC_PER_SEC)

typedef struct StatsAnswer {
        StoreStats stats;
        uint64_t open_fds;
        int result; /* of counting, whatever became of the write */
        bool fresh;
} StatsAnswer;

struct GatewayHealth {
        Gateway *gateway;
        sd_event_source *tick_source;
        int store_error; /* 0, or why it cannot be used; only a write that works ends it */
        StoreProbe *ready_probe, *stats_probe;
        int registry, registry_next; /* next: the worker's while the probe is out */
        StatsAnswer stats, stats_next;
};

/* ---- the store, as it comes and goes ---- */

static void health_set_store(GatewayHealth *h, int r) {
        if (h->gateway->stopping)
                return;
        if (r < 0 && h->store_error == 0)
                log_event(LOG_ERR, FLEET_MESSAGE_STORE_FAILING_STR,
                          "MESSAGE=The store cannot be used: %s. Agents are turned away until it can.",
                          r == -ETIMEDOUT ? "it does not answer" : strerror(-r), "FLEET_ERRNO=%i", -r, NULL);
        else if (r >= 0 && h->store_error < 0)
                log_event(LOG_NOTICE, FLEET_MESSAGE_STORE_RECOVERED_STR,
                          "MESSAGE=The store can be used again.", NULL);
        h->store_error = r < 0 ? r : 0;
}

static bool error_is_of_storage(int r) {
        return IN_SET(r, -ENOSPC, -EIO, -EACCES, -EBUSY, -EUCLEAN);
}

static void ignore_answer(void *waiter) {
}

void gateway_health_see_job(GatewayHealth *h, const StoreJob *j) {
        if (j->commit_result < 0)
                health_set_store(h, j->commit_result);
        /* one statement that failed says little: a write that changes nothing tells more */
        else if (error_is_of_storage(j->result) && h->store_error == 0 && !h->gateway->stopping)
                store_probe_ask(h->ready_probe, ignore_answer, NULL);
}

static int health_on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        GatewayHealth *h = userdata;
        usec_t t = now(CLOCK_MONOTONIC);
        int r;

        metrics_count_lag(h->gateway->metrics, usec_sub(t, usec));
        if (!gateway_health_is_ok(h, HEALTH_CHECK_WORKER))
                health_set_store(h, -ETIMEDOUT);
        else if (h->store_error < 0 && !h->gateway->stopping)
                store_probe_ask(h->ready_probe, ignore_answer, NULL);
        r = sd_event_source_set_time(source, t + TICK);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- questions to the store ---- */

static int ready_work(Store *s, void *userdata) {
        GatewayHealth *h = userdata;

        h->registry_next = registry_check(h->gateway->registry);
        return s->ops->touch(s, now(CLOCK_REALTIME));
}

static void ready_done(int r, void *userdata) {
        GatewayHealth *h = userdata;

        if (h->registry_next < 0 && h->registry >= 0)
                log_event(LOG_ERR, FLEET_MESSAGE_REPOSITORY_UNUSABLE_STR,
                          "MESSAGE=The repository that is served cannot be read: %s.",
                          strerror(-h->registry_next), "FLEET_ERRNO=%i", -h->registry_next, NULL);
        h->registry = h->registry_next;
        health_set_store(h, r);
}

static int stats_work(Store *s, void *userdata) {
        GatewayHealth *h = userdata;
        StatsAnswer *a = &h->stats_next;
        usec_t t = now(CLOCK_REALTIME);
        int r;

        store_stats_done(&a->stats);
        a->result = s->ops->stats(s, t, &a->stats);
        a->fresh = true;
        r = process_count_fds(&a->open_fds);
        if (r < 0)
                (void) log_debug_errno(r, "Failed to count open files, ignoring: %m");
        r = s->ops->touch(s, t);
        return r < 0 ? r : a->result;
}

static void stats_done(int r, void *userdata) {
        GatewayHealth *h = userdata;
        StatsAnswer a = h->stats_next;

        if (a.fresh) {
                if (a.result < 0)
                        (void) log_error_errno(a.result, "Failed to count the fleet for metrics: %m");
                h->stats_next = h->stats;
                h->stats_next.fresh = false;
                h->stats = a;
        } else
                h->stats.result = r; /* the job could not be submitted */
        health_set_store(h, r);
}

void gateway_health_ask_ready(GatewayHealth *h, store_probe_answer_t answer, void *waiter) {
        store_probe_ask(h->ready_probe, answer, waiter);
}

void gateway_health_ask_stats(GatewayHealth *h, store_probe_answer_t answer, void *waiter) {
        store_probe_ask(h->stats_probe, answer, waiter);
}

const StoreStats *gateway_health_stats(const GatewayHealth *h) {
        int r = store_probe_result(h->stats_probe);

        return IN_SET(r, -ETIMEDOUT, -ENODATA) || h->stats.result < 0 ? NULL : &h->stats.stats;
}

uint64_t gateway_health_open_fds(const GatewayHealth *h) {
        return h->stats.open_fds;
}

bool gateway_health_store_is_up(const GatewayHealth *h) {
        return h->store_error == 0 && store_probe_result(h->stats_probe) != -ETIMEDOUT &&
               store_probe_result(h->ready_probe) != -ETIMEDOUT;
}

/* ---- checks ---- */

static const struct {
        const char *name, *status;
} checks[_HEALTH_CHECK_MAX] = {
        [HEALTH_CHECK_WORKER] = { "worker", "store-stuck" },
        [HEALTH_CHECK_RUNNING] = { "running", "stopping" },
        [HEALTH_CHECK_STARTED] = { "started", "starting" },
        [HEALTH_CHECK_PORTS] = { "ports", "ports-closed" },
        [HEALTH_CHECK_STORE] = { "store", "store-failing" },
        [HEALTH_CHECK_REGISTRY] = { "registry", "registry-failing" },
};

const char *health_check_to_string(HealthCheck c) {
        return checks[c].name;
}

const char *health_check_status(HealthCheck c) {
        return checks[c].status;
}

bool gateway_health_is_ok(const GatewayHealth *h, HealthCheck c) {
        const Gateway *g = h->gateway;

        switch (c) {
        case HEALTH_CHECK_WORKER: /* what is done before the ports open may take long, in a large database */
                return !g->started || store_worker_stalled(g->worker) < WORKER_PATIENCE;
        case HEALTH_CHECK_RUNNING:
                return !g->stopping;
        case HEALTH_CHECK_STARTED:
                return g->started;
        case HEALTH_CHECK_PORTS:
                return g->agent_server && g->enroll_server && g->http;
        case HEALTH_CHECK_STORE:
                return h->store_error == 0 &&
                       !IN_SET(store_probe_result(h->ready_probe), -ETIMEDOUT, -ENODATA);
        case HEALTH_CHECK_REGISTRY:
                return h->registry >= 0;
        default:
                return false;
        }
}

/* ---- life ---- */

int gateway_health_new(GatewayHealth **ret, Gateway *g) {
        _cleanup_(gateway_health_freep) GatewayHealth *h = new0(GatewayHealth, 1);
        StoreProbeOptions ready = { "health", READY_FRESH, PROBE_PATIENCE, ready_work, ready_done, h },
                          stats = { "metrics", STATS_FRESH, PROBE_PATIENCE, stats_work, stats_done, h };
        int r;

        if (!h)
                return -ENOMEM;
        h->gateway = g;
        r = store_probe_new(&h->ready_probe, g->event, g->worker, &ready);
        if (r >= 0)
                r = store_probe_new(&h->stats_probe, g->event, g->worker, &stats);
        /* as exact as it can be: what a timer is late by its own accuracy would look like lag */
        if (r >= 0)
                r = sd_event_add_time_relative(
                                g->event, &h->tick_source, CLOCK_MONOTONIC, TICK, 1, health_on_tick, h);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(h->tick_source, "health-tick");
        *ret = TAKE_PTR(h);
        return 0;
}

GatewayHealth *gateway_health_free(GatewayHealth *h) {
        if (!h)
                return NULL;
        sd_event_source_disable_unref(h->tick_source);
        store_probe_free(h->ready_probe);
        store_probe_free(h->stats_probe);
        store_stats_done(&h->stats.stats);
        store_stats_done(&h->stats_next.stats);
        free(h);
        return NULL;
}
