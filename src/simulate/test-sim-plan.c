/* SPDX-License-Identifier: Apache-2.0 */

/* What is written on the command line, and what is kept on disk of a machine. */

#include <fcntl.h>
#include <unistd.h>

#include "crypto.h"
#include "fs-util.h"
#include "log.h"
#include "sim-draw.h"
#include "sim-plan.h"
#include "sim-record.h"
#include "sim-state.h"
#include "string-util.h"
#include "tests.h"

static char directory[] = "/tmp/test-sim-plan-XXXXXX";

static void test_values(void) {
        static const struct {
                const char *text;
                int64_t value; /* -1: refused */
        } shares[] = {
                { "0", 0 },
                { "1", 1000000 },
                { "0.002", 2000 },
                { "0.2%", 2000 },
                { "100%", 1000000 },
                { "0.0001%", 1 },
                { "0.000001", 1 },
                { "12.5%", 125000 },
                { "33.3333%", 333333 },
                { "1.0", 1000000 },
                { "100.1%", -1 },
                { "1.1", -1 },
                { "2", -1 },
                { "", -1 },
                { "%", -1 },
                { "-1%", -1 },
                { "0,2%", -1 },
                { "0.2 %", -1 },
                { ".5", -1 },
                { "5.%", -1 },
                { "0x1", -1 },
                { "1e-3", -1 },
                { "99999999999", -1 },
        };
        const char *why = NULL;
        uint32_t share;
        SimSpan span;

        for (size_t i = 0; i < ELEMENTSOF(shares); i++) {
                int r = sim_parse_share(shares[i].text, &share, &why);
                if (shares[i].value < 0)
                        assert_error(r, EINVAL);
                else
                        assert_se(r == 0 && share == (uint32_t) shares[i].value);
        }
        assert_ok(sim_parse_span("2s", &span, &why));
        assert_se(span.low == 2 * USEC_PER_SEC && span.high == span.low);
        assert_ok(sim_parse_span("500ms..3s", &span, &why));
        assert_se(span.low == 500 * USEC_PER_MSEC && span.high == 3 * USEC_PER_SEC);
        assert_ok(sim_parse_span("0", &span, &why));
        static const char *const bad_spans[] = { "",  "..", "3s..1s",   "1s..",        "..1s",
                                                 "x", "2d", "infinity", "1s..infinity" };
        for (size_t i = 0; i < ELEMENTSOF(bad_spans); i++)
                assert_error(sim_parse_span(bad_spans[i], &span, &why), EINVAL);
}

static void test_options(void) {
        SimPlan p = sim_plan_default();
        const char *why = NULL;

        assert_ok(sim_plan_set_time(&p, "restarting:2s", &why));
        assert_ok(sim_plan_set_time(&p, "staging:1s..3s", &why));
        assert_se(p.times[UPDATE_PHASE_RESTARTING].low == 2 * USEC_PER_SEC &&
                  p.times[UPDATE_PHASE_STAGING].high == 3 * USEC_PER_SEC);
        static const char *const bad_times[] = { "restarting",   ":2s",         "verifying:2s",
                                                 "succeeded:1s", "nonsense:1s", "staging:" };
        for (size_t i = 0; i < ELEMENTSOF(bad_times); i++) {
                why = NULL;
                assert_error(sim_plan_set_time(&p, bad_times[i], &why), EINVAL);
                assert_se(why);
        }
        assert_ok(sim_plan_set_fail(&p, "verifying:1%", &why));
        assert_se(p.fails[UPDATE_PHASE_VERIFYING] == 10000);
        assert_error(sim_plan_set_fail(&p, "connected:1%", &why), EINVAL);
        assert_error(sim_plan_set_fail(&p, "staging:1s", &why), EINVAL);
        assert_ok(sim_plan_set_slow(&p, "5%:2.5", &why));
        assert_se(p.slow == 50000 && p.slow_percent == 250);
        assert_error(sim_plan_set_slow(&p, "5%:0.5", &why), EINVAL);
        assert_error(sim_plan_set_slow(&p, "5%", &why), EINVAL);
        assert_ok(sim_plan_set_flapping(&p, "0.01:30s", &why));
        assert_se(p.flapping == 10000 && p.flapping_period == 30 * USEC_PER_SEC);
        assert_error(sim_plan_set_flapping(&p, "1%:1ms", &why), EINVAL);
        assert_ok(sim_plan_set_offline(&p, "2%:3h", &why));
        assert_se(p.offline == 20000 && p.offline_max == 3 * USEC_PER_HOUR);

        assert_ok(sim_plan_add_release_fault(&p, "1.2.0:30%", &why));
        assert_ok(sim_plan_add_fault_where(&p, "1.2.0:kernel=6.1.0-31-amd64:80%", &why));
        assert_se(p.n_faults == 2 && !p.faults[0].fact && p.faults[1].share == 800000);
        assert_streq(p.faults[1].fact, "kernel");
        assert_streq(p.faults[1].value, "6.1.0-31-amd64");
        static const char *const bad_where[] = {
                "1.2.0",          "1.2.0:80%",           "1.2.0:kernel=:80%", "1.2.0:shoes=42:80%",
                "x:os=debian:1%", "1.2.0:os=debian:200%"
        };
        for (size_t i = 0; i < ELEMENTSOF(bad_where); i++)
                assert_error(sim_plan_add_fault_where(&p, bad_where[i], &why), EINVAL);
        assert_error(sim_plan_add_release_fault(&p, "1.2:3%", &why), EINVAL);

        assert_ok(sim_plan_check(&p, &why));
        assert_ok(sim_plan_set_fail(&p, "restarting:60%", &why));
        p.never_returns = 400000;
        assert_error(sim_plan_check(&p, &why), EINVAL);
        while (p.n_faults < SIM_RELEASE_FAULTS_MAX)
                assert_ok(sim_plan_add_release_fault(&p, "1.2.0:1%", &why));
        assert_error(sim_plan_add_release_fault(&p, "1.2.0:1%", &why), EINVAL);
        sim_plan_done(&p);
}

#define ID(n) "0123456789abcdef0123456789abcde" #n

static void test_record(int fd) {
        _cleanup_(sim_record_freep) SimRecord *r = NULL, *back = NULL;
        uint64_t n;

        assert_error(sim_record_load_at(fd, &r), ENOENT);
        assert_ok(sim_record_new(&r, "1.0.0"));
        assert_se(sim_record_attempt(r, "1.1.0", ID(1), &n) == 1 && n == 1);
        assert_se(sim_record_attempt(r, "1.1.0", ID(1), &n) == 0 &&
                  n == 1); /* however often it is repeated */
        assert_se(sim_record_attempt(r, "1.1.0", ID(2), &n) == 1 && n == 2);
        assert_se(sim_record_attempt(r, "1.2.0", ID(3), &n) == 1 && n == 1);
        r->phase = UPDATE_PHASE_STAGING;
        assert_ok(free_and_strdup(&r->transaction, ID(4)) < 0 ? -ENOMEM : 0);
        assert_ok(free_and_strdup(&r->from, "1.0.0") < 0 ? -ENOMEM : 0);
        assert_ok(free_and_strdup(&r->to, "1.2.0") < 0 ? -ENOMEM : 0);
        assert_ok(sim_record_save_at(r, fd));
        assert_ok(sim_record_load_at(fd, &back));
        assert_se(back->phase == UPDATE_PHASE_STAGING && back->n_attempts == 2);
        assert_streq(back->to, "1.2.0");
        assert_se(sim_record_attempt(back, "1.1.0", ID(2), &n) == 0 && n == 2);
        assert_se(sim_record_attempt(back, "1.1.0", ID(5), &n) == 1 && n == 3);

        /* bounded; the longest names of versions too */
        for (unsigned i = 0; i < 3 * SIM_ATTEMPTS_MAX; i++) {
                char version[80];
                snprintf(version, sizeof(version), "1.0.0-x%056u", i);
                assert_ok(sim_record_attempt(back, version, ID(6), &n));
        }
        assert_se(back->n_attempts == SIM_ATTEMPTS_MAX);
        assert_ok(sim_record_save_at(back, fd));
        back = sim_record_free(back);
        assert_ok(sim_record_load_at(fd, &back));
        assert_se(back->n_attempts == SIM_ATTEMPTS_MAX);

        assert_ok(file_write_atomic_at(fd, "machine", "version=../../etc\n", 18, 0600));
        back = sim_record_free(back);
        assert_error(sim_record_load_at(fd, &back), EBADMSG);
}

static void test_state(void) {
        _cleanup_(sim_state_freep) SimState *a = NULL, *b = NULL, *c = NULL;
        _cleanup_free_ char *path = strjoinf("%s/a/b", directory), *message = NULL, *other = NULL;

        assert_ok(sim_state_open(&a, path, 7, 0, 100, &message));
        assert_ok(sim_state_open(&b, path, 7, 100, 50, &message));
        assert_se(sim_state_fd(a) >= 0 && !message);
        assert_error(sim_state_open(&c, path, 7, 90, 20, &message), EBUSY);
        assert_se(strstr(message, "90 to 109"));
        assert_error(sim_state_open(&c, path, 8, 200, 1, &other), EEXIST);
        assert_se(strstr(other, "--seed=7"));
        a = sim_state_free(a);
        message = (free(message), NULL);
        assert_ok(sim_state_open(&c, path, 7, 50, 50, &message));
}

int main(void) {
        log_set_max_level(LOG_CRIT);
        assert_ok(crypto_init());
        assert_se(mkdtemp(directory));
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(fd);
        test_values();
        test_options();
        test_record(fd);
        test_state();
        (void) close(fd);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return EXIT_SUCCESS;
}
