/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gateway counts, under the names of docs/metrics.md. Owned by the Gateway, on the loop's thread
 * alone: what happens in a store job is noted with the job (store_job_note()) and counted when it is back.
 * No agent id, host name or address is ever a label. */

#include "http.h"
#include "metrics.h"
#include "process-stats.h"
#include "registry.h"
#include "store-worker.h"

typedef enum GatewayMetric {
        GATEWAY_METRIC_BUILD,
        GATEWAY_METRIC_AGENTS,
        GATEWAY_METRIC_AGENTS_BY_VERSION,
        GATEWAY_METRIC_UPDATES,
        GATEWAY_METRIC_UPDATE_DURATION,
        GATEWAY_METRIC_IN_FLIGHT,
        GATEWAY_METRIC_LEASES_EXPIRED,
        GATEWAY_METRIC_ROLLOUTS,
        GATEWAY_METRIC_ROLLOUTS_BY_REASON,
        GATEWAY_METRIC_ROLLOUT_MEMBERS,
        GATEWAY_METRIC_AUTO_PAUSES,
        GATEWAY_METRIC_INVARIANT_VIOLATIONS,
        GATEWAY_METRIC_VERIFICATIONS,
        GATEWAY_METRIC_METADATA_EXPIRY,
        GATEWAY_METRIC_CERTIFICATE_EXPIRY,
        GATEWAY_METRIC_ENROLLMENTS,
        GATEWAY_METRIC_LOGIN_FAILURES,
        GATEWAY_METRIC_AUDIT_FAILURES,
        GATEWAY_METRIC_STREAMS,
        GATEWAY_METRIC_HTTP_DURATION,
        GATEWAY_METRIC_SSE_CLIENTS,
        GATEWAY_METRIC_SSE_DROPPED,
        GATEWAY_METRIC_STORE_UP,
        GATEWAY_METRIC_STORE_BACKLOG,
        GATEWAY_METRIC_QUEUE_WAIT,
        GATEWAY_METRIC_QUERY_DURATION,
        GATEWAY_METRIC_LOOP_LAG,
        GATEWAY_METRIC_PROCESS_CPU,
        GATEWAY_METRIC_PROCESS_RESIDENT,
        GATEWAY_METRIC_PROCESS_VIRTUAL,
        GATEWAY_METRIC_PROCESS_OPEN_FDS,
        GATEWAY_METRIC_PROCESS_MAX_FDS,
        GATEWAY_METRIC_PROCESS_START,
        _GATEWAY_METRIC_MAX,
} GatewayMetric;

typedef struct GatewayMetrics GatewayMetrics;

int gateway_metrics_new(GatewayMetrics **ret);
GatewayMetrics *gateway_metrics_free(GatewayMetrics *m);
DEFINE_POINTER_CLEANUP(GatewayMetrics, gateway_metrics_free);

/* What happens. Reasons and results are words of fixed lists, never text from outside. */
void metrics_count_auto_pause(GatewayMetrics *m, const char *reason);
void metrics_count_audit_failure(GatewayMetrics *m);
void metrics_count_login_failure(GatewayMetrics *m);
void metrics_count_enrolment(GatewayMetrics *m, const char *result);
void metrics_count_verification(GatewayMetrics *m, const char *result);
void metrics_count_job(GatewayMetrics *m, const StoreJob *j); /* with its notes */
void metrics_count_answer(
                GatewayMetrics *m, const char *route, const char *method, unsigned status, usec_t took);
void metrics_count_lag(GatewayMetrics *m, usec_t lag);

/* What is, gathered for one answer. */
typedef struct GatewayLevels {
        const StoreStats *store; /* NULL: it does not answer */
        bool store_up;
        const ProcessStats *process; /* NULL: not known */
        uint64_t open_fds;           /* 0: not known */
        const RegistryMetadata *metadata;
        usec_t ca_expires, server_expires; /* CLOCK_REALTIME */
        usec_t agent_expires;              /* the first to end of the agents that are connected; 0: none */
        unsigned streams, sse_clients, store_backlog;
        uint64_t sse_dropped;
} GatewayLevels;

void gateway_metrics_set_levels(GatewayMetrics *m, const GatewayLevels *l);
int gateway_metrics_format(const GatewayMetrics *m, MetricFormat f, char **ret, size_t *ret_size);
