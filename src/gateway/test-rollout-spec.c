/* SPDX-License-Identifier: Apache-2.0 */

/* Strategies as JSON: what is understood, what is refused, where and with which words; and that writing and
 * reading are each other's opposite. */

#include "rollout-fixture.h"
#include "string-util.h"

static int parse(const char *text, RolloutSpec *ret, char **pointer, char **detail) {
        _cleanup_json_ json_t *v = NULL;

        assert_ok(json_parse(text, strlen(text), KIB(64), &v, NULL));
        return rollout_spec_parse(v, /* back= */ false, ret, pointer, detail);
}

static void test_refused(void) {
        static const struct {
                const char *text, *pointer, *words;
        } cases[] = {
                { "{\"canarys\":{}}", "/canarys", "canarys" },
                { "{\"batch\":{\"a/b\":1}}", "/batch/a~1b", "a/b" },
                { "{\"canary\":[]}", "/canary", "object" },
                { "{\"canary\":{\"count\":1,\"percent\":1}}", "/canary/percent", "either" },
                { "{\"canary\":{\"count\":-1}}", "/canary/count", "integer" },
                { "{\"canary\":{\"count\":1,\"ids\":[\"a\"]}}", "/canary/ids", "both" },
                { "{\"canary\":{\"ids\":[]}}", "/canary/ids", "1 to" },
                { "{\"canary\":{\"ids\":[\"a\",\"a\"]}}", "/canary/ids", "twice" },
                { "{\"canary\":{\"ids\":[\"a b\"]}}", "/canary/ids", "Item 0" },
                { "{\"canary\":{\"success_percent\":100.5}}", "/canary/success_percent", "0 to 100" },
                { "{\"canary\":{\"success_percent\":99.999}}", "/canary/success_percent", "two decimals" },
                { "{\"canary\":{\"soak_sec\":\"1h\"}}", "/canary/soak_sec", "integer" },
                { "{\"canary\":{\"approval\":1}}", "/canary/approval", "true or false" },
                { "{\"batch\":{\"size\":0}}", "/batch/size", "1 to" },
                { "{\"batch\":{\"percent\":0}}", "/batch/percent", "0.01" },
                { "{\"batch\":{\"ramp\":[1,0]}}", "/batch/ramp", "Item 1" },
                { "{\"batch\":{\"every_sec\":99999999}}", "/batch/every_sec", "2592000" },
                { "{\"max_in_flight\":0}", "/max_in_flight", "1 to" },
                { "{\"max_failures\":{}}", "/max_failures", "count" },
                { "{\"max_failures\":5}", "/max_failures", "object" },
                { "{\"attempts\":11}", "/attempts", "10" },
                { "{\"offline\":\"ignore\"}", "/offline", "skip" },
                { "{\"windows\":[{}]}", "/windows/0/days", "list of days" },
                { "{\"windows\":[{\"days\":[]}]}", "/windows/0/days", "list of days" },
                { "{\"windows\":[{\"days\":[\"monday\"]}]}", "/windows/0/days", "Item 0" },
                { "{\"windows\":[{\"days\":[\"mon\"],\"start\":\"24:00\"}]}", "/windows/0/start", "23:59" },
                { "{\"windows\":[{\"days\":[\"mon\"],\"start\":\"9:00\"}]}", "/windows/0/start", "22:00" },
                { "{\"windows\":[{\"days\":[\"mon\"],\"start\":\"09:00\"}]}", "/windows/0/duration_sec",
                  "length" },
                { "{\"windows\":[{\"days\":[\"mon\"],\"start\":\"09:00\",\"duration_sec\":60}]}",
                  "/windows/0/duration_sec", "300" },
                { "{\"windows\":[{\"days\":[\"mon\"],\"start\":\"09:00\",\"duration_sec\":3600,\"time_zone\":\"Mars/Olympus\"}]}",
                  "/windows/0/time_zone", "tzdata" },
                { "{\"windows\":[{\"days\":[\"mon\"],\"start\":\"09:00\",\"duration_sec\":3600,\"time_zone\":\"../x\"}]}",
                  "/windows/0/time_zone", "tzdata" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *pointer = NULL, *detail = NULL;
                RolloutSpec s;

                assert_error(parse(cases[i].text, &s, &pointer, &detail), EINVAL);
                assert_streq(pointer, cases[i].pointer);
                if (!strstr(detail, cases[i].words)) {
                        fprintf(stderr, "%s: %s\n", cases[i].text, detail);
                        abort();
                }
        }
}

static void test_round_trip(void) {
        static const char *const texts[] = {
                "{}",
                "{\"canary\":{\"count\":0},\"batch\":{\"percent\":100,\"every_sec\":0}}",
                "{\"canary\":{\"ids\":[\"a\",\"b\"],\"success_percent\":99.5,\"soak_sec\":3600,\"approval\":true},"
                "\"batch\":{\"size\":800,\"ramp\":[1,10,100],\"every_sec\":600,\"success_percent\":0,\"soak_sec\":5,"
                "\"approval\":true},\"max_in_flight\":7,\"max_failures\":{\"percent\":0.25},\"attempts\":1,"
                "\"retry_pause_sec\":0,\"offline\":\"skip\",\"offline_wait_sec\":1,\"include_new_agents\":true,"
                "\"set_desired\":true,\"emergency\":true,\"windows\":[{\"days\":[\"sun\",\"sat\"],\"start\":\"22:05\","
                "\"duration_sec\":14400,\"time_zone\":\"Europe/Berlin\"}]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(rollout_spec_done) RolloutSpec a = {}, b = {};
                _cleanup_free_ char *pointer = NULL, *detail = NULL, *first = NULL, *second = NULL;
                _cleanup_json_ json_t *v = NULL, *w = NULL;

                assert_ok(parse(texts[i], &a, &pointer, &detail));
                v = rollout_spec_format(&a);
                assert_se(v);
                first = json_format(v, false);
                assert_ok(rollout_spec_parse(v, /* back= */ false, &b, &pointer, &detail));
                w = rollout_spec_format(&b);
                assert_se(w);
                second = json_format(w, false);
                assert_streq(first, second);
        }
}

static void test_values(void) {
        _cleanup_(rollout_spec_done) RolloutSpec s = {};
        _cleanup_free_ char *pointer = NULL, *detail = NULL;

        assert_ok(parse("{\"canary\":{\"percent\":2.5},\"max_failures\":{\"percent\":0.01},\"batch\":{\"percent\":33}}",
                        &s, &pointer, &detail));
        assert_se(s.canary.amount.is_share && s.canary.amount.value == 250 && s.canary.at_most == 0);
        assert_se(s.max_failures.value == 1 && s.max_failures.is_share);
        assert_se(rollout_canaries(&s, 2400) == 60 && rollout_canaries(&s, 1) == 1);
        assert_se(rollout_batch_size(&s, 1, 100) == 33 && rollout_batch_size(&s, 1, 1) == 1);
        assert_se(s.batch.period == 10 * MINUTE && s.attempts == 3 && !s.set_desired);
}

/* What is not said becomes a number for this fleet, and what never gets on is refused. */
static void test_settle(void) {
        static const struct {
                const char *text;
                uint64_t cohort;
                uint32_t canaries, batch, in_flight;
                const char *pointer;
        } cases[] = {
                { "{}", 2400, 10, 50, 50, NULL },
                { "{}", 40, 4, 50, 50, NULL },
                { "{}", 3, 1, 50, 50, NULL },
                { "{}", 1, 0, 50, 50, NULL },
                { "{\"canary\":{\"count\":1}}", 1, 1, 50, 50, NULL },
                { "{\"canary\":{\"percent\":1}}", 2400, 24, 50, 50, NULL },
                { "{\"batch\":{\"percent\":100}}", 2400, 10, 2400, 2400, NULL },
                { "{\"batch\":{\"size\":800},\"max_in_flight\":80}", 2400, 10, 800, 80, NULL },
                { "{\"canary\":{\"count\":11}}", 10, 0, 0, 0, "/canary/count" },
                { "{\"canary\":{\"count\":0,\"approval\":true}}", 10, 0, 0, 0, "/canary/approval" },
                { "{\"batch\":{\"size\":1,\"every_sec\":2592000}}", 100, 0, 0, 0, "/batch" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(rollout_spec_done) RolloutSpec s = {};
                _cleanup_free_ char *p = NULL, *detail = NULL;
                const char *pointer = NULL;

                assert_ok(parse(cases[i].text, &s, &p, &detail));
                if (cases[i].pointer) {
                        assert_error(rollout_spec_settle(&s, cases[i].cohort, &pointer, &detail), EINVAL);
                        assert_streq(pointer, cases[i].pointer);
                        continue;
                }
                assert_ok(rollout_spec_settle(&s, cases[i].cohort, &pointer, &detail));
                assert_se(rollout_canaries(&s, cases[i].cohort) == cases[i].canaries &&
                          s.batch.amount.value == cases[i].batch && s.max_in_flight == cases[i].in_flight);
        }
}

int main(void) {
        test_refused();
        test_round_trip();
        test_values();
        test_settle();
        return 0;
}
