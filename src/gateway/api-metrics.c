/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"
#include "log.h"

#define OPENMETRICS_TYPE "application/openmetrics-text"

/* The older format for who does not say that he wants the newer one more. */
static MetricFormat choose_format(const HttpExchange *x) {
        const char *accept = http_exchange_header(x, "Accept");

        return http_accept_quality(accept, OPENMETRICS_TYPE, "1.0.0") >
                                               http_accept_quality(accept, "text/plain", "0.0.4") ?
                               METRIC_FORMAT_OPENMETRICS :
                               METRIC_FORMAT_TEXT;
}

static void collect(Gateway *g) {
        ProcessStats process;
        int r;

        r = process_stats_read(&process);
        if (r < 0)
                (void) log_debug_errno(r, "Failed to read what this process takes, ignoring: %m");
        gateway_metrics_set_levels(
                        g->metrics,
                        &(GatewayLevels){
                                        .store = gateway_health_stats(g->health),
                                        .store_up = gateway_health_store_is_up(g->health),
                                        .process = r >= 0 ? &process : NULL,
                                        .open_fds = gateway_health_open_fds(g->health),
                                        .metadata = &g->metadata,
                                        .ca_expires = pki_cert_not_after(pki_ca_cert(gateway_ca_get(g->ca))),
                                        .server_expires = gateway_ca_server_expires(g->ca),
                                        .agent_expires = stream_registry_first_expiry(g->streams),
                                        .streams = g->agent_server ? rpc_server_sessions(g->agent_server) :
                                                                     0,
                                        .sse_clients = event_ring_clients(g->events),
                                        .sse_dropped = event_ring_dropped(g->events),
                                        .store_backlog = store_worker_backlog(g->worker),
                        });
}

static void metrics_answer(void *waiter) {
        HttpExchange *x = waiter;
        Gateway *g = http_exchange_get_context(x);
        MetricFormat format = choose_format(x);
        char *text = NULL;
        size_t size = 0;
        int r;

        collect(g);
        r = gateway_metrics_format(g->metrics, format, &text, &size);
        if (r < 0) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        http_reply_header(x, "Cache-Control", "no-store");
        http_reply_data(x, 200, metric_format_content_type(format), text, size);
}

/* Never later than the store's patience: what only it knows is left out then. */
void api_metrics(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;

        http_exchange_set_context(x, g);
        gateway_health_ask_stats(g->health, metrics_answer, x);
}
