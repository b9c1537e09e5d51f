/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-metrics.h"

#include <stdio.h>

#include "string-util.h"
#include "tests.h"

static GatewayMetrics *metrics;

static bool has_line(const char *line) {
        _cleanup_free_ char *text = NULL, *whole = strjoinf("\n%s\n", line);
        size_t size;

        assert_se(whole);
        assert_ok(gateway_metrics_format(metrics, METRIC_FORMAT_TEXT, &text, &size));
        return strstr(text, whole);
}

#define expect(line)                                                                                        \
        do {                                                                                                \
                if (!has_line(line))                                                                        \
                        fprintf(stderr, "not there: %s\n", line);                                           \
                assert_se(has_line(line));                                                                  \
        } while (false)

static size_t count_series(const char *begin) {
        _cleanup_free_ char *text = NULL;
        size_t size, n = 0;

        assert_ok(gateway_metrics_format(metrics, METRIC_FORMAT_TEXT, &text, &size));
        for (const char *p = text; (p = strstr(p, begin)); p++)
                n += p == text || p[-1] == '\n';
        return n;
}

/* What an alert asks for the increase of is there before it happens. */
static void test_before(void) {
        expect("fleet_agent_updates_total{result=\"failed\",phase=\"staging\"} 0");
        expect("fleet_agent_updates_total{result=\"succeeded\",phase=\"none\"} 0");
        expect("fleet_signature_verifications_total{result=\"bad-signature\"} 0");
        expect("fleet_signature_verifications_total{result=\"bad-target\"} 0");
        expect("fleet_rollout_auto_pauses_total{reason=\"max-failures\"} 0");
        expect("fleet_invariant_violations_total{invariant=\"cohort-is-sum\"} 0");
        expect("fleet_audit_write_failures_total 0");
        expect("fleet_login_failures_total 0");
        expect("fleet_enrollments_total{result=\"ok\"} 0");
}

static void test_jobs(void) {
        StoreNote notes[] = {
                { .kind = STORE_NOTE_UPDATE_ENDED, .text = "succeeded", .span = 42 * USEC_PER_SEC },
                { .kind = STORE_NOTE_UPDATE_ENDED, .text = "failed", .also = "staging", .span = 1 },
                { .kind = STORE_NOTE_UPDATE_ENDED,
                  .text = "timed-out",
                  .also = "downloading",
                  .span = USEC_PER_HOUR },
                { .kind = STORE_NOTE_AUTO_PAUSE, .text = "max-failures" },
                { .kind = STORE_NOTE_AUDIT_FAILURE },
                { .kind = STORE_NOTE_LOGIN_FAILURE },
        };
        StoreJob j = { .kind = "status",
                       .submitted = 1000,
                       .started = 3000,
                       .finished = 3300,
                       .commit_time = 20000,
                       .notes = notes,
                       .n_notes = ELEMENTSOF(notes) },
                 unnamed = { .submitted = 1, .started = 2, .finished = 3 }, never_ran = { .submitted = 1 };

        metrics_count_job(metrics, &j);
        metrics_count_job(metrics, &unnamed);
        metrics_count_job(metrics, &never_ran);
        expect("fleet_db_queue_wait_seconds_count 2");
        expect("fleet_db_queue_wait_seconds_sum 0.002001");
        expect("fleet_db_query_duration_seconds_sum{query=\"status\"} 0.0003");
        expect("fleet_db_query_duration_seconds_bucket{query=\"status\",le=\"0.00025\"} 0");
        expect("fleet_db_query_duration_seconds_bucket{query=\"status\",le=\"0.0005\"} 1");
        expect("fleet_db_query_duration_seconds_count{query=\"other\"} 1");
        expect("fleet_db_query_duration_seconds_sum{query=\"commit\"} 0.02");
        expect("fleet_db_query_duration_seconds_count{query=\"commit\"} 1");
        expect("fleet_agent_updates_total{result=\"succeeded\",phase=\"none\"} 1");
        expect("fleet_agent_updates_total{result=\"failed\",phase=\"staging\"} 1");
        expect("fleet_agent_update_duration_seconds_bucket{result=\"succeeded\",le=\"30.0\"} 0");
        expect("fleet_agent_update_duration_seconds_bucket{result=\"succeeded\",le=\"45.0\"} 1");
        expect("fleet_leases_expired_total 1");
        expect("fleet_rollout_auto_pauses_total{reason=\"max-failures\"} 1");
        expect("fleet_audit_write_failures_total 1");
        metrics_count_auto_pause(metrics, "max-failures");
        metrics_count_audit_failure(metrics);
        metrics_count_login_failure(metrics);
        expect("fleet_rollout_auto_pauses_total{reason=\"max-failures\"} 2");
        expect("fleet_audit_write_failures_total 2");
        expect("fleet_login_failures_total 2");
}

static void test_answers(void) {
        metrics_count_answer(metrics, "/api/v1/agents/{}", "GET", 200, 1500);
        metrics_count_answer(metrics, "/api/v1/agents/{}", "GET", 204, 1500);
        metrics_count_answer(metrics, "/api/v1/agents/{}", "GET", 404, 1500);
        metrics_count_answer(metrics, NULL, NULL, 404, 10);
        metrics_count_answer(metrics, "/readyz", "HEAD", 503, 2 * USEC_PER_SEC);
        metrics_count_answer(metrics, "/readyz", "HEAD", 0, 1);
#define ANSWERS "fleet_http_request_duration_seconds"
        expect(ANSWERS "_count{route=\"/api/v1/agents/{}\",method=\"GET\",code=\"2xx\"} 2");
        expect(ANSWERS "_count{route=\"/api/v1/agents/{}\",method=\"GET\",code=\"4xx\"} 1");
        expect(ANSWERS "_count{route=\"none\",method=\"other\",code=\"4xx\"} 1");
        expect(ANSWERS "_bucket{route=\"/readyz\",method=\"HEAD\",code=\"5xx\",le=\"2.5\"} 1");
        expect(ANSWERS "_count{route=\"/readyz\",method=\"HEAD\",code=\"1xx\"} 1");
}

static void test_levels(void) {
        RegistryMetadata metadata = { .role_expires = { [TUF_ROLE_TIMESTAMP] = 7 * USEC_PER_SEC } };
        GatewayLevels l = { .store_up = true,
                            .metadata = &metadata,
                            .ca_expires = 5 * USEC_PER_SEC,
                            .server_expires = 6 * USEC_PER_SEC,
                            .agent_expires = 8 * USEC_PER_SEC,
                            .streams = 4,
                            .sse_clients = 3,
                            .sse_dropped = 2,
                            .store_backlog = 1,
                            .open_fds = 33 };
        _cleanup_(store_stats_done)
                        StoreStats s = { .agents = { 1, 2, 3 }, .in_flight = 9, .overdue = 2, .orphans = 1 };

        for (unsigned i = 0; i < 100; i++) {
                char version[16];

                (void) snprintf(version, sizeof(version), "1.0.%u", i);
                assert_ok(store_counts_add(&s.versions, version, 1000 - i));
        }
        assert_ok(store_counts_add(&s.rollouts, "running", 1));
        assert_ok(store_counts_add(&s.reasons, "soaking", 1));
        assert_ok(store_counts_add(&s.members, "pending", 7));
        l.store = &s;
        gateway_metrics_set_levels(metrics, &l);
        expect("fleet_store_up 1");
        expect("fleet_store_backlog 1");
        expect("fleet_grpc_streams 4");
        expect("fleet_sse_clients 3");
        expect("fleet_sse_dropped_total 2");
        expect("process_open_fds 33");
        expect("fleet_agents{state=\"offline\"} 2");
        expect("fleet_instructions_in_flight 9");
        expect("fleet_agents_by_version{version=\"1.0.0\"} 1000");
        expect("fleet_rollouts{state=\"running\"} 1");
        expect("fleet_rollouts_by_reason{reason=\"soaking\"} 1");
        expect("fleet_rollout_members{state=\"pending\"} 7");
        expect("fleet_certificate_expiry_timestamp_seconds{which=\"ca\"} 5");
        expect("fleet_certificate_expiry_timestamp_seconds{which=\"agent_earliest\"} 8");
        expect("fleet_metadata_expiry_timestamp_seconds{role=\"timestamp\"} 7");
        assert_se(count_series("fleet_metadata_expiry_timestamp_seconds{") == 1);
        /* every agent is in one of them */
        assert_se(count_series("fleet_agents_by_version{") == STORE_COUNTS_MAX + 1);
        {
                _cleanup_free_ char *rest = strjoinf(
                                "fleet_agents_by_version{version=\"other\"} %" PRIu64, s.versions.others);

                assert_se(rest && s.versions.others > 0);
                expect(rest);
        }

        /* found, found again, one more, gone, back */
        expect("fleet_invariant_violations_total{invariant=\"instruction-ends\"} 2");
        expect("fleet_invariant_violations_total{invariant=\"member-is-looked-after\"} 1");
        gateway_metrics_set_levels(metrics, &l);
        expect("fleet_invariant_violations_total{invariant=\"instruction-ends\"} 2");
        s.overdue = 3;
        gateway_metrics_set_levels(metrics, &l);
        expect("fleet_invariant_violations_total{invariant=\"instruction-ends\"} 3");
        s.overdue = 0;
        gateway_metrics_set_levels(metrics, &l);
        s.overdue = 1;
        gateway_metrics_set_levels(metrics, &l);
        expect("fleet_invariant_violations_total{invariant=\"instruction-ends\"} 4");

        /* the store does not answer: what it alone knows is not there, what the loop knows is */
        l = (GatewayLevels){ .metadata = &metadata, .streams = 5 };
        gateway_metrics_set_levels(metrics, &l);
        expect("fleet_store_up 0");
        expect("fleet_grpc_streams 5");
        assert_se(count_series("fleet_agents{") == 0 && count_series("fleet_agents_by_version{") == 0);
        assert_se(count_series("fleet_instructions_in_flight ") == 0 &&
                  count_series("fleet_rollouts{") == 0);
        expect("fleet_invariant_violations_total{invariant=\"instruction-ends\"} 4");
        expect("process_open_fds 33");
}

int main(void) {
        assert_ok(gateway_metrics_new(&metrics));
        test_before();
        test_jobs();
        test_answers();
        test_levels();
        gateway_metrics_free(metrics);
        return 0;
}
