/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-metrics.h"

#include <stdio.h>

#include "alloc-util.h"
#include "gateway-revision.h"
#include "phase.h"
#include "string-util.h"
#include "tuf-outcome.h"
#include "version.h"

#define ROUTES_MAX 128U /* the label with the most values */

/* Seconds; each list ends with 0. */
static const double bounds_update[] = { 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600, 0 };
static const double bounds_http[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                      0.25,  0.5,    1,     2.5,  5,     10,   0 };
static const double bounds_query[] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                       0.05,   0.1,     0.25,   0.5,   1,      5,     0 };
static const double bounds_lag[] = { 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 0 };

/* Names as in docs/metrics.md, without what the formats add. */
#define INFO(name, help, ...) { METRIC_INFO, name, NULL, help, { __VA_ARGS__ } }
#define COUNTER(name, help, ...) { METRIC_COUNTER, name, NULL, help, { __VA_ARGS__ } }
#define COUNTER_SECONDS(name, help) { METRIC_COUNTER, name, "seconds", help }
#define GAUGE(name, help, ...) { METRIC_GAUGE, name, NULL, help, { __VA_ARGS__ } }
#define GAUGE_SECONDS(name, help, ...) { METRIC_GAUGE, name, "seconds", help, { __VA_ARGS__ } }
#define GAUGE_BYTES(name, help) { METRIC_GAUGE, name, "bytes", help }
#define HISTOGRAM(name, buckets, help, ...) \
        { METRIC_HISTOGRAM, name, "seconds", help, { __VA_ARGS__ }, ROUTES_MAX, buckets }

static const MetricSpec specs[_GATEWAY_METRIC_MAX] = {
        [GATEWAY_METRIC_BUILD] = INFO("fleet_build",
                        "Version of the gateway that runs, and what it was built from.", "version",
                        "revision"),
        [GATEWAY_METRIC_AGENTS] = GAUGE("fleet_agents", "Agents that are enrolled.", "state"),
        [GATEWAY_METRIC_AGENTS_BY_VERSION] = GAUGE("fleet_agents_by_version",
                        "Agents by the version that they reported last.", "version"),
        [GATEWAY_METRIC_UPDATES] = COUNTER("fleet_agent_updates",
                        "Instructions that ended, by how, and in which phase they failed.", "result",
                        "phase"),
        [GATEWAY_METRIC_UPDATE_DURATION] = HISTOGRAM("fleet_agent_update_duration_seconds", bounds_update,
                        "From the creation of an instruction to its end.", "result"),
        [GATEWAY_METRIC_IN_FLIGHT] = GAUGE("fleet_instructions_in_flight",
                        "Instructions that have not ended."),
        [GATEWAY_METRIC_LEASES_EXPIRED] = COUNTER("fleet_leases_expired",
                        "Instructions whose machine did not say in time how they ended."),
        [GATEWAY_METRIC_ROLLOUTS] = GAUGE("fleet_rollouts", "Rollouts.", "state"),
        [GATEWAY_METRIC_ROLLOUTS_BY_REASON] = GAUGE("fleet_rollouts_by_reason",
                        "Rollouts that have not ended, by what they do or wait for.", "reason"),
        [GATEWAY_METRIC_ROLLOUT_MEMBERS] = GAUGE("fleet_rollout_members",
                        "Agents of the rollouts that have not ended.", "state"),
        [GATEWAY_METRIC_AUTO_PAUSES] = COUNTER("fleet_rollout_auto_pauses",
                        "Rollouts that paused themselves.", "reason"),
        [GATEWAY_METRIC_INVARIANT_VIOLATIONS] = COUNTER("fleet_invariant_violations",
                        "Things found in the store that must not be.", "invariant"),
        [GATEWAY_METRIC_VERIFICATIONS] = COUNTER("fleet_signature_verifications",
                        "Repositories that were imported, by what their verification said.", "result"),
        [GATEWAY_METRIC_METADATA_EXPIRY] = GAUGE_SECONDS("fleet_metadata_expiry_timestamp_seconds",
                        "When the signed metadata that is served ends.", "role"),
        [GATEWAY_METRIC_CERTIFICATE_EXPIRY] = GAUGE_SECONDS("fleet_certificate_expiry_timestamp_seconds",
                        "When certificates end; agent_earliest: of those connected.", "which"),
        [GATEWAY_METRIC_ENROLLMENTS] = COUNTER("fleet_enrollments",
                        "Enrolments that were asked for.", "result"),
        [GATEWAY_METRIC_LOGIN_FAILURES] = COUNTER("fleet_login_failures",
                        "Logins of people that were refused."),
        [GATEWAY_METRIC_AUDIT_FAILURES] = COUNTER("fleet_audit_write_failures",
                        "Changes that were refused because they could not be audited."),
        [GATEWAY_METRIC_STREAMS] = GAUGE("fleet_grpc_streams", "Streams of agents that are open."),
        [GATEWAY_METRIC_HTTP_DURATION] = HISTOGRAM("fleet_http_request_duration_seconds", bounds_http,
                        "From the first byte of a request until its answer was ready.", "route",
                        "method", "code"),
        [GATEWAY_METRIC_SSE_CLIENTS] = GAUGE("fleet_sse_clients", "Streams of events that are open."),
        [GATEWAY_METRIC_SSE_DROPPED] = COUNTER("fleet_sse_dropped",
                        "Times that a client read too slowly and lost events."),
        [GATEWAY_METRIC_STORE_UP] = GAUGE("fleet_store_up",
                        "Whether the store answers and can be written; if not, what it knows is missing."),
        [GATEWAY_METRIC_STORE_BACKLOG] = GAUGE("fleet_store_backlog",
                        "Jobs for the store that are not done."),
        [GATEWAY_METRIC_QUEUE_WAIT] = HISTOGRAM("fleet_db_queue_wait_seconds", bounds_query,
                        "How long jobs waited for the store."),
        [GATEWAY_METRIC_QUERY_DURATION] = HISTOGRAM("fleet_db_query_duration_seconds", bounds_query,
                        "How long jobs kept the store busy, and commits.", "query"),
        [GATEWAY_METRIC_LOOP_LAG] = HISTOGRAM("fleet_event_loop_lag_seconds", bounds_lag,
                        "How late the event loop comes to a timer, looked at twice a second."),
        [GATEWAY_METRIC_PROCESS_CPU] = COUNTER_SECONDS("process_cpu_seconds",
                        "User and system CPU time."),
        [GATEWAY_METRIC_PROCESS_RESIDENT] = GAUGE_BYTES("process_resident_memory_bytes",
                        "Resident memory."),
        [GATEWAY_METRIC_PROCESS_VIRTUAL] = GAUGE_BYTES("process_virtual_memory_bytes",
                        "Virtual memory."),
        [GATEWAY_METRIC_PROCESS_OPEN_FDS] = GAUGE("process_open_fds", "Open file descriptors."),
        [GATEWAY_METRIC_PROCESS_MAX_FDS] = GAUGE("process_max_fds", "Limit of open file descriptors."),
        [GATEWAY_METRIC_PROCESS_START] = GAUGE_SECONDS("process_start_time_seconds",
                        "When the process was started."),
};

struct GatewayMetrics {
        Metrics *metrics;
        uint64_t overdue, miscounted, orphans; /* found last, to count only what is new */
};

static double seconds(usec_t t) {
        return (double) t / (double) USEC_PER_SEC;
}

/* ---- what happens ---- */

void metrics_count_auto_pause(GatewayMetrics *m, const char *reason) {
        metric_add(m->metrics, GATEWAY_METRIC_AUTO_PAUSES, 1, reason);
}

void metrics_count_audit_failure(GatewayMetrics *m) {
        metric_add(m->metrics, GATEWAY_METRIC_AUDIT_FAILURES, 1);
}

void metrics_count_login_failure(GatewayMetrics *m) {
        metric_add(m->metrics, GATEWAY_METRIC_LOGIN_FAILURES, 1);
}

void metrics_count_enrolment(GatewayMetrics *m, const char *result) {
        metric_add(m->metrics, GATEWAY_METRIC_ENROLLMENTS, 1, result);
}

void metrics_count_verification(GatewayMetrics *m, const char *result) {
        metric_add(m->metrics, GATEWAY_METRIC_VERIFICATIONS, 1, result);
}

static void count_ended(GatewayMetrics *m, const StoreNote *n) {
        metric_add(m->metrics, GATEWAY_METRIC_UPDATES, 1, n->text, n->also ?: "none");
        metric_observe(m->metrics, GATEWAY_METRIC_UPDATE_DURATION, seconds(n->span), n->text);
        if (streq_ptr(n->text, update_phase_to_string(UPDATE_PHASE_TIMED_OUT)))
                metric_add(m->metrics, GATEWAY_METRIC_LEASES_EXPIRED, 1);
}

void metrics_count_job(GatewayMetrics *m, const StoreJob *j) {
        if (j->started > 0) {
                metric_observe(m->metrics, GATEWAY_METRIC_QUEUE_WAIT,
                               seconds(usec_sub(j->started, j->submitted)));
                metric_observe(m->metrics, GATEWAY_METRIC_QUERY_DURATION,
                               seconds(usec_sub(j->finished, j->started)), j->kind ?: METRIC_OTHER);
        }
        if (j->commit_time > 0)
                metric_observe(m->metrics, GATEWAY_METRIC_QUERY_DURATION, seconds(j->commit_time), "commit");
        for (size_t i = 0; i < j->n_notes; i++)
                switch (j->notes[i].kind) {
                case STORE_NOTE_UPDATE_ENDED:
                        count_ended(m, &j->notes[i]);
                        break;
                case STORE_NOTE_AUTO_PAUSE:
                        metrics_count_auto_pause(m, j->notes[i].text);
                        break;
                case STORE_NOTE_AUDIT_FAILURE:
                        metrics_count_audit_failure(m);
                        break;
                case STORE_NOTE_LOGIN_FAILURE:
                        metrics_count_login_failure(m);
                        break;
                }
}

void metrics_count_answer(
                GatewayMetrics *m, const char *route, const char *method, unsigned status, usec_t took) {
        static const char *const classes[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

        metric_observe(m->metrics, GATEWAY_METRIC_HTTP_DURATION, seconds(took), route ?: "none",
                       method ?: METRIC_OTHER, classes[CLAMP(status / 100, 1U, 5U) - 1]);
}

void metrics_count_lag(GatewayMetrics *m, usec_t lag) {
        metric_observe(m->metrics, GATEWAY_METRIC_LOOP_LAG, seconds(lag));
}

/* ---- what is ---- */

static void set_counts(Metrics *m, GatewayMetric which, const StoreCounts *c) {
        metric_reset(m, which);
        for (size_t i = 0; c && i < c->n; i++)
                metric_add(m, which, (double) c->items[i].n, c->items[i].name);
        if (c && c->others > 0)
                metric_add(m, which, (double) c->others, METRIC_OTHER);
}

/* Only what is found in addition: a counter that says how often, not how many there are. */
static void count_violations(GatewayMetrics *m, const char *invariant, uint64_t n, uint64_t *last) {
        metric_add(m->metrics, GATEWAY_METRIC_INVARIANT_VIOLATIONS, n > *last ? (double) (n - *last) : 0,
                   invariant);
        *last = n;
}

static void set_store(GatewayMetrics *m, const StoreStats *s) {
        metric_reset(m->metrics, GATEWAY_METRIC_AGENTS);
        metric_reset(m->metrics, GATEWAY_METRIC_IN_FLIGHT);
        set_counts(m->metrics, GATEWAY_METRIC_AGENTS_BY_VERSION, s ? &s->versions : NULL);
        set_counts(m->metrics, GATEWAY_METRIC_ROLLOUTS, s ? &s->rollouts : NULL);
        set_counts(m->metrics, GATEWAY_METRIC_ROLLOUTS_BY_REASON, s ? &s->reasons : NULL);
        set_counts(m->metrics, GATEWAY_METRIC_ROLLOUT_MEMBERS, s ? &s->members : NULL);
        if (!s)
                return;
        for (AgentState state = 0; state < _AGENT_STATE_MAX; state++)
                metric_set(m->metrics, GATEWAY_METRIC_AGENTS, (double) s->agents[state],
                           agent_state_to_string(state));
        metric_set(m->metrics, GATEWAY_METRIC_IN_FLIGHT, (double) s->in_flight);
        count_violations(m, "instruction-ends", s->overdue, &m->overdue);
        count_violations(m, "cohort-is-sum", s->miscounted, &m->miscounted);
        count_violations(m, "member-is-looked-after", s->orphans, &m->orphans);
}

static void set_process(Metrics *m, const ProcessStats *p, uint64_t open_fds) {
        if (open_fds > 0)
                metric_set(m, GATEWAY_METRIC_PROCESS_OPEN_FDS, (double) open_fds);
        if (!p)
                return;
        metric_set(m, GATEWAY_METRIC_PROCESS_CPU, seconds(p->cpu));
        metric_set(m, GATEWAY_METRIC_PROCESS_RESIDENT, (double) p->resident);
        metric_set(m, GATEWAY_METRIC_PROCESS_VIRTUAL, (double) p->virtual);
        metric_set(m, GATEWAY_METRIC_PROCESS_MAX_FDS, (double) p->max_fds);
        metric_set(m, GATEWAY_METRIC_PROCESS_START, seconds(p->started));
}

static void set_expiry(Metrics *m, const GatewayLevels *l) {
        metric_reset(m, GATEWAY_METRIC_METADATA_EXPIRY);
        metric_reset(m, GATEWAY_METRIC_CERTIFICATE_EXPIRY);
        for (TufRole role = 0; role < _TUF_ROLE_MAX; role++)
                if (l->metadata->role_expires[role] > 0)
                        metric_set(m, GATEWAY_METRIC_METADATA_EXPIRY,
                                   seconds(l->metadata->role_expires[role]), tuf_role_to_string(role));
        metric_set(m, GATEWAY_METRIC_CERTIFICATE_EXPIRY, seconds(l->ca_expires), "ca");
        metric_set(m, GATEWAY_METRIC_CERTIFICATE_EXPIRY, seconds(l->server_expires), "server");
        if (l->agent_expires > 0)
                metric_set(m, GATEWAY_METRIC_CERTIFICATE_EXPIRY, seconds(l->agent_expires),
                           "agent_earliest");
}

void gateway_metrics_set_levels(GatewayMetrics *m, const GatewayLevels *l) {
        set_store(m, l->store);
        set_process(m->metrics, l->process, l->open_fds);
        set_expiry(m->metrics, l);
        metric_set(m->metrics, GATEWAY_METRIC_STORE_UP, l->store_up);
        metric_set(m->metrics, GATEWAY_METRIC_STORE_BACKLOG, l->store_backlog);
        metric_set(m->metrics, GATEWAY_METRIC_STREAMS, l->streams);
        metric_set(m->metrics, GATEWAY_METRIC_SSE_CLIENTS, l->sse_clients);
        metric_set(m->metrics, GATEWAY_METRIC_SSE_DROPPED, (double) l->sse_dropped);
}

int gateway_metrics_format(const GatewayMetrics *m, MetricFormat f, char **ret, size_t *ret_size) {
        return metrics_format(m->metrics, f, ret, ret_size);
}

/* ---- life ---- */

/* What an alert looks at must be there before it happens for the first time, or its increase is not seen. */
static void announce(GatewayMetrics *m) {
        static const char *const enrolments[] = {
                "ok",          "token-unknown",   "token-expired", "token-used-up", "token-of-another",
                "agent-known", "agent-connected", "bad-request",   "busy",          "failed",
        };
        static const char *const invariants[] = { "instruction-ends", "cohort-is-sum",
                                                  "member-is-looked-after" };
        static const char *const reasons[] = { "max-failures", "success-threshold", "correlated-failures",
                                               "soak-failed", "release-gone", "step-failed" };

        for (UpdatePhase end = 0; end < _UPDATE_PHASE_MAX; end++) {
                if (!update_phase_is_terminal(end))
                        continue;
                metric_add(m->metrics, GATEWAY_METRIC_UPDATES, 0, update_phase_to_string(end), "none");
                for (UpdatePhase p = 0; end != UPDATE_PHASE_SUCCEEDED && !update_phase_is_terminal(p); p++)
                        metric_add(m->metrics, GATEWAY_METRIC_UPDATES, 0, update_phase_to_string(end),
                                   update_phase_to_string(p));
        }
        for (TufOutcome o = 0; o < _TUF_OUTCOME_MAX; o++)
                metric_add(m->metrics, GATEWAY_METRIC_VERIFICATIONS, 0, tuf_outcome_to_string(o));
        metric_add(m->metrics, GATEWAY_METRIC_VERIFICATIONS, 0, "bad-target");
        for (size_t i = 0; i < ELEMENTSOF(enrolments); i++)
                metric_add(m->metrics, GATEWAY_METRIC_ENROLLMENTS, 0, enrolments[i]);
        for (size_t i = 0; i < ELEMENTSOF(invariants); i++)
                metric_add(m->metrics, GATEWAY_METRIC_INVARIANT_VIOLATIONS, 0, invariants[i]);
        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                metric_add(m->metrics, GATEWAY_METRIC_AUTO_PAUSES, 0, reasons[i]);
        metric_set(m->metrics, GATEWAY_METRIC_BUILD, 1, fleet_version, gateway_revision);
}

int gateway_metrics_new(GatewayMetrics **ret) {
        _cleanup_(gateway_metrics_freep) GatewayMetrics *m = new0(GatewayMetrics, 1);
        int r;

        if (!m)
                return -ENOMEM;
        r = metrics_new(&m->metrics, specs, ELEMENTSOF(specs));
        if (r < 0)
                return r;
        announce(m);
        *ret = TAKE_PTR(m);
        return 0;
}

GatewayMetrics *gateway_metrics_free(GatewayMetrics *m) {
        if (!m)
                return NULL;
        metrics_free(m->metrics);
        free(m);
        return NULL;
}
