/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <math.h>
#include <stdio.h>

#include "string-util.h"
#include "tests.h"

enum {
        BUILD,
        REQUESTS,
        AGENTS,
        EXPIRY,
        DURATION,
        LAG,
        N_METRICS,
};

static const double duration_bounds[] = { 0.005, 0.5, 1, 60, 0 };
static const double lag_bounds[] = { 0.25, 0 };

static const MetricSpec specs[N_METRICS] = {
        [BUILD] = { METRIC_INFO, "fleet_build", NULL, "What runs.", { "version", "revision" } },
        [REQUESTS] = { METRIC_COUNTER,
                       "fleet_requests",
                       NULL,
                       "Requests, \"all\" of them.\nA \\ too.",
                       { "result" },
                       2 },
        [AGENTS] = { METRIC_GAUGE, "fleet_agents", NULL, "Agents.", { "state" } },
        [EXPIRY] = { METRIC_GAUGE, "fleet_expiry_timestamp_seconds", "seconds", "When it ends." },
        [DURATION] = { METRIC_HISTOGRAM,
                       "fleet_duration_seconds",
                       "seconds",
                       "How long.",
                       { "route" },
                       .bounds = duration_bounds },
        [LAG] = { METRIC_HISTOGRAM, "fleet_lag_seconds", "seconds", "Lag.", .bounds = lag_bounds },
};

static Metrics *filled(void) {
        Metrics *m;

        assert_ok(metrics_new(&m, specs, N_METRICS));
        metric_set(m, BUILD, 1, "1.0.0", "a\"b\\c\nd");
        metric_add(m, REQUESTS, 0, "ok");
        metric_add(m, REQUESTS, 1, "ok");
        metric_add(m, REQUESTS, 2.5, "ok");
        metric_add(m, REQUESTS, 1, "refused");
        metric_add(m, REQUESTS, 3, "third"); /* beyond what the table allows */
        metric_add(m, REQUESTS, 4, "fourth");
        metric_add(m, REQUESTS, 1, "refused");
        metric_set(m, EXPIRY, 1764076800.25);
        metric_observe(m, DURATION, 0.005, "/a"); /* a bound belongs to its bucket */
        metric_observe(m, DURATION, 0.25, "/a");
        metric_observe(m, DURATION, 61, "/a");
        return m;
}

static void check(const Metrics *m, MetricFormat f, const char *expected) {
        _cleanup_free_ char *text = NULL;
        size_t size;

        assert_ok(metrics_format(m, f, &text, &size));
        assert_se(size == strlen(text));
        assert_streq(text, expected);
}

#define SERIES                                                                                              \
        "fleet_duration_seconds_bucket{route=\"/a\",le=\"0.005\"} 1\n"                                      \
        "fleet_duration_seconds_bucket{route=\"/a\",le=\"0.5\"} 2\n"                                        \
        "fleet_duration_seconds_bucket{route=\"/a\",le=\"1.0\"} 2\n"                                        \
        "fleet_duration_seconds_bucket{route=\"/a\",le=\"60.0\"} 2\n"                                       \
        "fleet_duration_seconds_bucket{route=\"/a\",le=\"+Inf\"} 3\n"                                       \
        "fleet_duration_seconds_sum{route=\"/a\"} 61.255\n"                                                 \
        "fleet_duration_seconds_count{route=\"/a\"} 3\n"
#define LAG_SERIES                                                                                          \
        "fleet_lag_seconds_bucket{le=\"0.25\"} 0\n"                                                         \
        "fleet_lag_seconds_bucket{le=\"+Inf\"} 0\n"                                                         \
        "fleet_lag_seconds_sum 0\n"                                                                         \
        "fleet_lag_seconds_count 0\n"

static void test_text(void) {
        _cleanup_(metrics_freep) Metrics *m = filled();

        check(m, METRIC_FORMAT_TEXT,
              "# HELP fleet_build_info What runs.\n"
              "# TYPE fleet_build_info gauge\n"
              "fleet_build_info{version=\"1.0.0\",revision=\"a\\\"b\\\\c\\nd\"} 1\n"
              "# HELP fleet_requests_total Requests, \"all\" of them.\\nA \\\\ too.\n"
              "# TYPE fleet_requests_total counter\n"
              "fleet_requests_total{result=\"ok\"} 3.5\n"
              "fleet_requests_total{result=\"refused\"} 2\n"
              "fleet_requests_total{result=\"other\"} 7\n"
              "# HELP fleet_agents Agents.\n"
              "# TYPE fleet_agents gauge\n"
              "# HELP fleet_expiry_timestamp_seconds When it ends.\n"
              "# TYPE fleet_expiry_timestamp_seconds gauge\n"
              "fleet_expiry_timestamp_seconds 1764076800.25\n"
              "# HELP fleet_duration_seconds How long.\n"
              "# TYPE fleet_duration_seconds histogram\n" SERIES "# HELP fleet_lag_seconds Lag.\n"
              "# TYPE fleet_lag_seconds histogram\n" LAG_SERIES);
}

static void test_openmetrics(void) {
        _cleanup_(metrics_freep) Metrics *m = filled();

        check(m, METRIC_FORMAT_OPENMETRICS,
              "# HELP fleet_build What runs.\n"
              "# TYPE fleet_build info\n"
              "fleet_build_info{version=\"1.0.0\",revision=\"a\\\"b\\\\c\\nd\"} 1\n"
              "# HELP fleet_requests Requests, \\\"all\\\" of them.\\nA \\\\ too.\n"
              "# TYPE fleet_requests counter\n"
              "fleet_requests_total{result=\"ok\"} 3.5\n"
              "fleet_requests_total{result=\"refused\"} 2\n"
              "fleet_requests_total{result=\"other\"} 7\n"
              "# HELP fleet_agents Agents.\n"
              "# TYPE fleet_agents gauge\n"
              "# HELP fleet_expiry_timestamp_seconds When it ends.\n"
              "# TYPE fleet_expiry_timestamp_seconds gauge\n"
              "# UNIT fleet_expiry_timestamp_seconds seconds\n"
              "fleet_expiry_timestamp_seconds 1764076800.25\n"
              "# HELP fleet_duration_seconds How long.\n"
              "# TYPE fleet_duration_seconds histogram\n"
              "# UNIT fleet_duration_seconds seconds\n" SERIES "# HELP fleet_lag_seconds Lag.\n"
              "# TYPE fleet_lag_seconds histogram\n"
              "# UNIT fleet_lag_seconds seconds\n" LAG_SERIES "# EOF\n");
        assert_streq(metric_format_content_type(METRIC_FORMAT_OPENMETRICS),
                     "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert_streq(metric_format_content_type(METRIC_FORMAT_TEXT),
                     "text/plain; version=0.0.4; charset=utf-8");
}

static void test_nothing(void) {
        _cleanup_(metrics_freep) Metrics *m = NULL;

        assert_ok(metrics_new(&m, specs, 0));
        check(m, METRIC_FORMAT_TEXT, "");
        check(m, METRIC_FORMAT_OPENMETRICS, "# EOF\n");
}

/* Gathered anew, a gauge forgets what is gone, and which values filled its label. */
static void test_reset(void) {
        static const MetricSpec one = { METRIC_GAUGE, "a", NULL, "A.", { "x" }, 2 };
        _cleanup_(metrics_freep) Metrics *m = NULL;

        assert_ok(metrics_new(&m, &one, 1));
        for (unsigned i = 0; i < 1000; i++) {
                char value[16];

                (void) snprintf(value, sizeof(value), "v%u", i);
                metric_add(m, 0, 1, value);
        }
        check(m, METRIC_FORMAT_TEXT,
              "# HELP a A.\n# TYPE a gauge\na{x=\"v0\"} 1\na{x=\"v1\"} 1\na{x=\"other\"} 998\n");
        metric_reset(m, 0);
        check(m, METRIC_FORMAT_TEXT, "# HELP a A.\n# TYPE a gauge\n");
        metric_set(m, 0, -3, "w");
        metric_set(m, 0, 0, "");
        check(m, METRIC_FORMAT_TEXT, "# HELP a A.\n# TYPE a gauge\na{x=\"w\"} -3\na{x=\"\"} 0\n");
}

static void test_numbers(void) {
        static const struct {
                double value;
                const char *text;
        } table[] = {
                { 0, "0" },
                { 1, "1" },
                { -1, "-1" },
                { 0.1, "0.1" },
                { 0.1 + 0.2, "0.30000000000000004" },
                { 1.0 / 3, "0.3333333333333333" },
                { 1764076800.123456, "1764076800.123456" },
                { 999999999999999, "999999999999999" },
                { 9007199254740993.0, "9007199254740992" },
                { 1e15, "1e+15" },
                { 1e300, "1e+300" },
                { 5e-324, "4.94065645841247e-324" },
                { 0.000001, "1e-06" },
                { (double) INFINITY, "+Inf" },
                { (double) -INFINITY, "-Inf" },
                { (double) NAN, "NaN" },
        };
        char buf[METRIC_NUMBER_MAX];
        uint64_t state = 1;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_streq(metric_number_format(table[i].value, buf), table[i].text);
        for (unsigned i = 0; i < 200000; i++) {
                double v, back;

                state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                memcpy(&v, &state, sizeof(v));
                if (isnan(v) || isinf(v))
                        continue;
                back = strtod(metric_number_format(v, buf), NULL);
                assert_se(memcmp(&back, &v, sizeof(v)) == 0 || (!(v < 0) && !(v > 0)));
        }
}

int main(void) {
        test_text();
        test_openmetrics();
        test_nothing();
        test_reset();
        test_numbers();
        return 0;
}
