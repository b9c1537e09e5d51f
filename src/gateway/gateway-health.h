/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Is the gateway well? Watches how late the loop is and whether the store answers and can be written, tells
 * the journal when that begins and ends, and answers for /healthz, /readyz and /metrics. Owned by the
 * Gateway; loop's thread. */

#include "store-probe.h"

typedef struct Gateway Gateway;
typedef struct GatewayHealth GatewayHealth;

/* After the worker is there. */
int gateway_health_new(GatewayHealth **ret, Gateway *g);
/* After the worker and the HTTP servers are gone. */
GatewayHealth *gateway_health_free(GatewayHealth *h);
DEFINE_POINTER_CLEANUP(GatewayHealth, gateway_health_free);

/* A store_on_job_t's part: what a job that is back says about the store. */
void gateway_health_see_job(GatewayHealth *h, const StoreJob *j);

typedef enum HealthCheck {
        HEALTH_CHECK_WORKER,  /* the store's thread gets on with its work */
        HEALTH_CHECK_RUNNING, /* not stopping */
        HEALTH_CHECK_STARTED,
        HEALTH_CHECK_PORTS,
        HEALTH_CHECK_STORE,    /* can be written */
        HEALTH_CHECK_REGISTRY, /* what is served can be read */
        _HEALTH_CHECK_MAX,
} HealthCheck;

const char *health_check_to_string(HealthCheck c);
/* What a failing check makes of the whole: "store-failing". */
const char *health_check_status(HealthCheck c);

/* Is the process alive: the worker's check alone. Is it ready: all of them. */
bool gateway_health_is_ok(const GatewayHealth *h, HealthCheck c);
/* Tries store and registry, if that was not done a moment ago; then the checks say how they are. */
void gateway_health_ask_ready(GatewayHealth *h, store_probe_answer_t answer, void *waiter);

/* Has the store count the fleet, or takes what it counted a few seconds ago. */
void gateway_health_ask_stats(GatewayHealth *h, store_probe_answer_t answer, void *waiter);
/* NULL when the store does not answer. Until the loop goes on. */
const StoreStats *gateway_health_stats(const GatewayHealth *h);
uint64_t gateway_health_open_fds(const GatewayHealth *h); /* 0: not known yet */
bool gateway_health_store_is_up(const GatewayHealth *h);
