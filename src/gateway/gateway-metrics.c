/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-metrics.h"

#include <stdio.h>

#include "alloc-util.h"
#include "gateway-revision.h"
#include "phase.h"
#include "string-util.h"
#include "tuf-outcome.h"
#include "version.h"

/* Seconds; each list ends with 0. */
static const double bounds_update[] = { 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600, 0 };
static const double bounds_http[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 0 };
static const double bounds_query[] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                       0.025,  0.05,    0.1,    0.25,  0.5,    1,     5,    0 };
static const double bounds_lag[] = { 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 0 };

static const MetricSpec specs[_GATEWAY_METRIC_MAX] = {
        [GATEWAY_METRIC_BUILD] = { METRIC_INFO, "fleet_build", NULL, "Version of the gateway that runs, and what it was built from.",
                                   { "version", "revision" } },
        [GATEWAY_METRIC_AGENTS] = { METRIC_GAUGE, "fleet_agents", NULL, "Agents that are enrolled.", { "state" } },
        [GATEWAY_METRIC_AGENTS_BY_VERSION] = { METRIC_GAUGE, "fleet_agents_by_version", NULL,
                                               "Agents by the version that they reported last.", { "version" } },
        [GATEWAY_METRIC_UPDATES] = { METRIC_COUNTER, "fleet_agent_updates", NULL,
                                     "Instructions that ended, by how, and in which phase they failed.", { "result", "phase" } },
        [GATEWAY_METRIC_UPDATE_DURATION] = { METRIC_HISTOGRAM, "fleet_agent_update_duration_seconds", "seconds",
                                             "From the creation of an instruction to its end.", { "result" },
                                             .bounds = bounds_update },
        [GATEWAY_METRIC_IN_FLIGHT] = { METRIC_GAUGE, "fleet_instructions_in_flight", NULL, "Instructions that have not ended." },
        [GATEWAY_METRIC_LEASES_EXPIRED] = { METRIC_COUNTER, "fleet_leases_expired", NULL,
                                            "Instructions whose machine did not say in time how they ended." },
        [GATEWAY_METRIC_ROLLOUTS] = { METRIC_GAUGE, "fleet_rollouts", NULL, "Rollouts.", { "state" } },
        [GATEWAY_METRIC_ROLLOUTS_BY_REASON] = { METRIC_GAUGE, "fleet_rollouts_by_reason", NULL,
                                                "Rollouts that have not ended, by what they do or wait for.", { "reason" } },
        [GATEWAY_METRIC_ROLLOUT_MEMBERS] = { METRIC_GAUGE, "fleet_rollout_members", NULL,
                                             "Agents of the rollouts that have not ended.", { "state" } },
        [GATEWAY_METRIC_AUTO_PAUSES] = { METRIC_COUNTER, "fleet_rollout_auto_pauses", NULL, "Rollouts that paused themselves.",
                                         { "reason" } },
        [GATEWAY_METRIC_INVARIANT_VIOLATIONS] = { METRIC_COUNTER, "fleet_invariant_violations", NULL,
                                                  "Things found in the store that must not be.", { "invariant" } },
        [GATEWAY_METRIC_VERIFICATIONS] = { METRIC_COUNTER, "fleet_signature_verifications", NULL,
                                           "Repositories that were imported, by what their verification said.", { "result" } },
        [GATEWAY_METRIC_METADATA_EXPIRY] = { METRIC_GAUGE, "fleet_metadata_expiry_timestamp_seconds", "seconds",
                                             "When the signed metadata that is served ends.", { "role" } },
        [GATEWAY_METRIC_CERTIFICATE_EXPIRY] = { METRIC_GAUGE, "fleet_certificate_expiry_timestamp_seconds", "seconds",
                                                "When certificates end; agent_earliest is the first of the agents that are connected.",
                                                { "which" } },
        [GATEWAY_METRIC_ENROLLMENTS] = { METRIC_COUNTER, "fleet_enrollments", NULL, "Enrolments that were asked for.", { "result" } },
        [GATEWAY_METRIC_LOGIN_FAILURES] = { METRIC_COUNTER, "fleet_login_failures", NULL, "Logins of people that were refused." },
        [GATEWAY_METRIC_AUDIT_FAILURES] = { METRIC_COUNTER, "fleet_audit_write_failures", NULL,
                                            "Changes that were refused because they could not be written to the audit log." },
        [GATEWAY_METRIC_STREAMS] = { METRIC_GAUGE, "fleet_grpc_streams", NULL, "Streams of agents that are open." },
        [GATEWAY_METRIC_HTTP_DURATION] = { METRIC_HISTOGRAM, "fleet_http_request_duration_seconds", "seconds",
                                           "From the first byte of a request until its answer was ready.",
                                           { "route", "method", "code" }, 128, bounds_http },
        [GATEWAY_METRIC_SSE_CLIENTS] = { METRIC_GAUGE, "fleet_sse_clients", NULL, "Streams of events that are open." },
        [GATEWAY_METRIC_SSE_DROPPED] = { METRIC_COUNTER, "fleet_sse_dropped", NULL,
                                         "Times that a client read too slowly and lost events." },
        [GATEWAY_METRIC_STORE_UP] = { METRIC_GAUGE, "fleet_store_up", NULL,
                                      "Whether the store answers and can be written: if not, what only it knows is missing here." },
        [GATEWAY_METRIC_STORE_BACKLOG] = { METRIC_GAUGE, "fleet_store_backlog", NULL, "Jobs for the store that are not done." },
        [GATEWAY_METRIC_QUEUE_WAIT] = { METRIC_HISTOGRAM, "fleet_db_queue_wait_seconds", "seconds",
                                        "How long jobs waited for the store.", .bounds = bounds_query },
        [GATEWAY_METRIC_QUERY_DURATION] = { METRIC_HISTOGRAM, "fleet_db_query_duration_seconds", "seconds",
                                            "How long jobs kept the store busy, and commits.", { "query" }, .bounds = bounds_query },
        [GATEWAY_METRIC_LOOP_LAG] = { METRIC_HISTOGRAM, "fleet_event_loop_lag_seconds", "seconds",
                                      "How late the event loop comes to a timer, looked at twice a second.", .bounds = bounds_lag },
        [GATEWAY_METRIC_PROCESS_CPU] = { METRIC_COUNTER, "process_cpu_seconds", "seconds", "User and system CPU time." },
        [GATEWAY_METRIC_PROCESS_RESIDENT] = { METRIC_GAUGE, "process_resident_memory_bytes", "bytes", "Resident memory." },
        [GATEWAY_METRIC_PROCESS_VIRTUAL] = { METRIC_GAUGE, "process_virtual_memory_bytes", "bytes", "Virtual memory." },
        [GATEWAY_METRIC_PROCESS_OPEN_FDS] = { METRIC_GAUGE, "process_open_fds", NULL, "Open file descriptors." },
        [GATEWAY_METRIC_PROCESS_MAX_FDS] = { METRIC_GAUGE, "process_max_fds", NULL, "Limit of open file descriptors." },
        [GATEWAY_METRIC_PROCESS_START] = { METRIC_GAUGE, "process_start_time_seconds", "seconds", "When the process was started." },
};

struct GatewayMetrics {
        Metrics *metrics;
        uint64_t overdue, miscounted, orphans;       /* found last, to count only what is new */
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
                metric_observe(m->metrics, GATEWAY_METRIC_QUEUE_WAIT, seconds(usec_sub(j->started, j->submitted)));
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
        metric_add(m->metrics, GATEWAY_METRIC_INVARIANT_VIOLATIONS, n > *last ? (double) (n - *last) : 0, invariant);
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
                metric_set(m->metrics, GATEWAY_METRIC_AGENTS, (double) s->agents[state], agent_state_to_string(state));
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
                        metric_set(m, GATEWAY_METRIC_METADATA_EXPIRY, seconds(l->metadata->role_expires[role]),
                                   tuf_role_to_string(role));
        metric_set(m, GATEWAY_METRIC_CERTIFICATE_EXPIRY, seconds(l->ca_expires), "ca");
        metric_set(m, GATEWAY_METRIC_CERTIFICATE_EXPIRY, seconds(l->server_expires), "server");
        if (l->agent_expires > 0)
                metric_set(m, GATEWAY_METRIC_CERTIFICATE_EXPIRY, seconds(l->agent_expires), "agent_earliest");
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
                "ok", "token-unknown", "token-expired", "token-used-up", "token-of-another", "agent-known",
                "agent-connected", "bad-request", "busy", "failed",
        };
        static const char *const invariants[] = { "instruction-ends", "cohort-is-sum", "member-is-looked-after" };
        static const char *const reasons[] = { "max-failures", "success-threshold", "correlated-failures",
                                               "soak-failed", "release-gone" };

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
