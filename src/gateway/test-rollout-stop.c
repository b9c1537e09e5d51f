/* SPDX-License-Identifier: Apache-2.0 */

/* When a rollout stops by itself, when it does not, and what a resumption lets pass. */

#include "alloc-util.h"
#include "rollout-fixture.h"
#include "string-util.h"

static char *archs[] = { (char *) "x86_64", NULL };

/* Machines that have nothing by which they differ. */
static void fleet_alike(TestFleet *f, size_t n) {
        fleet_init(f, n);
        f->n_traits[ROLLOUT_TRAIT_OS] = f->n_traits[ROLLOUT_TRAIT_KERNEL] = 1;
        for (size_t i = 0; i < n; i++)
                f->members[i].traits[ROLLOUT_TRAIT_OS] = f->members[i].traits[ROLLOUT_TRAIT_KERNEL] = 0;
}

static void end_all(TestFleet *f, MemberState state, UpdatePhase phase) {
        for (size_t i = 0; i < f->n; i++)
                if (f->members[i].state == state) {
                        f->views[i].phase = phase;
                        if (phase == UPDATE_PHASE_SUCCEEDED)
                                f->views[i].version = f->views[i].instruction_version;
                }
        fleet_step(f);
}

/* ---- the share of failures ---- */

/* "More than": exactly as many as are allowed are allowed. */
static void test_exactly_the_share(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_alike(&f, 100);
        f.spec.max_in_flight = 50;
        f.spec.max_failures = (RolloutAmount){ .is_share = true, .value = 200 };
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f); /* 1 of 50; its place goes to another */
        expect_running(&f, IN_FLIGHT_LIMIT, 49, 50);
        fleet_fail_one(&f); /* 2 of 51 */
        expect_paused(&f, MAX_FAILURES, 49, 49);
}

/* What was timed out when it was resumed and turns out well pays for nothing. */
static void test_late_good_news(void) {
        _cleanup_fleet_ TestFleet f;
        unsigned n = 0;

        fleet_alike(&f, 2000);
        f.spec.max_in_flight = 100;
        f.spec.max_failures = (RolloutAmount){ .is_share = true, .value = 200 };
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        end_all(&f, IN_FLIGHT, UPDATE_PHASE_TIMED_OUT);
        expect_paused(&f, MAX_FAILURES, 1900, 0);
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 1800, 100);
        end_all(&f, MEMBER_STATE_TIMED_OUT, UPDATE_PHASE_SUCCEEDED);
        while (f.progress.state == ROLLOUT_STATE_RUNNING) {
                fleet_fail_one(&f);
                n++;
        }
        assert_se(n == 3 && f.progress.reason == ROLLOUT_REASON_MAX_FAILURES); /* of 102 */
}

/* Also when both come in one step. */
static void test_good_and_bad_news(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_alike(&f, 40);
        f.spec.max_in_flight = 10;
        f.spec.max_failures.value = 4;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        end_all(&f, IN_FLIGHT, UPDATE_PHASE_TIMED_OUT);
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 20, 10);
        for (size_t i = 0, bad = 0; i < f.n; i++)
                if (f.members[i].state == MEMBER_STATE_TIMED_OUT) {
                        f.views[i].phase = UPDATE_PHASE_SUCCEEDED;
                        f.views[i].version = "1.1.0";
                } else if (f.members[i].state == IN_FLIGHT && bad++ < 5)
                        f.views[i].phase = UPDATE_PHASE_ROLLED_BACK;
        fleet_step(&f);
        expect_paused(&f, MAX_FAILURES, 20, 5);
}

/* Those in flight when it was resumed have not ended, and count. */
static void test_in_flight_counts(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_alike(&f, 200);
        f.spec.max_in_flight = 100;
        f.spec.batch.amount.value = 100;
        f.spec.batch.period = USEC_PER_HOUR;
        f.spec.max_failures = (RolloutAmount){ .is_share = true, .value = 100 };
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        fleet_fail_one(&f);
        expect_paused(&f, MAX_FAILURES, 100, 98);
        fleet_resume(&f);
        fleet_step(&f);
        fleet_fail_one(&f); /* 1 of 98 is more than a hundredth: had they been forgotten it would be of 0 */
        expect_paused(&f, MAX_FAILURES, 100, 97);
        fleet_resume(&f);
        f.spec.max_failures.value = 103;
        fleet_step(&f);
        fleet_fail_one(&f); /* 1 of 97: 1.03 % and a bit */
        expect_paused(&f, MAX_FAILURES, 100, 96);
        fleet_resume(&f);
        f.spec.max_failures.value = 105;
        fleet_step(&f);
        fleet_fail_one(&f); /* 1 of 96: 1.04 % */
        expect_running(&f, NEXT_BATCH, 100, 95);
}

/* A person's own pause forgives nothing. */
static void test_operators_pause(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_alike(&f, 20);
        f.spec.max_in_flight = 5;
        f.spec.max_failures.value = 1;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        assert_ok(rollout_pause(&f.progress, f.now));
        fleet_resume(&f);
        fleet_step(&f);
        fleet_fail_one(&f);
        expect_paused(&f, MAX_FAILURES, 14, 4);
}

/* Well when it was resumed, and back after all: that was not seen. */
static void test_back_after_all(void) {
        _cleanup_fleet_ TestFleet f;
        size_t well;

        fleet_alike(&f, 20);
        f.spec.max_in_flight = 5;
        f.spec.max_failures.value = 0;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        well = fleet_first(&f, IN_FLIGHT);
        fleet_end(&f, well, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        fleet_fail_one(&f);
        fleet_resume(&f);
        fleet_step(&f);
        assert_se(f.progress.state == ROLLOUT_STATE_RUNNING);
        f.views[well].version = "1.0.0";
        fleet_end(&f, well, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
        assert_se(f.progress.state == ROLLOUT_STATE_PAUSED);
}

/* ---- nobody is left to be spared ---- */

static void test_nobody_left(void) {
        _cleanup_fleet_ TestFleet f, g;

        fleet_init(&f, 1);
        f.spec.max_failures = (RolloutAmount){ .is_share = true, .value = 500 };
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        fleet_expect(&f, ROLLOUT_STATE_COMPLETED, ROLLOUT_REASON_MAX_FAILURES, 0, 0);

        /* who is to be tried again is somebody */
        fleet_alike(&g, 3);
        g.spec.max_failures.value = 0;
        g.spec.attempts = 2;
        assert_ok(fleet_plan(&g, NULL));
        fleet_step(&g);
        fleet_fail_one(&g);
        expect_running(&g, FINISHING, 0, 2);
        fleet_end(&g, fleet_first(&g, IN_FLIGHT), UPDATE_PHASE_FAILED, UPDATE_VERDICT_DOWNLOAD_FAILED);
        expect_paused(&g, MAX_FAILURES, 1, 1);
}

static void test_correlated_and_nobody_left(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 40);
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        for (size_t i = 0; i < f.n; i++)
                fleet_end(&f, i,
                          f.members[i].traits[ROLLOUT_TRAIT_KERNEL] == 3 ? UPDATE_PHASE_ROLLED_BACK :
                                                                           UPDATE_PHASE_SUCCEEDED,
                          UPDATE_VERDICT_NONE);
        fleet_expect(&f, ROLLOUT_STATE_COMPLETED, ROLLOUT_REASON_CORRELATED_FAILURES, 0, 0);
}

/* ---- the threshold of a batch ---- */

/* It was let pass for one batch; the next has its own. */
static void test_waived_once(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_alike(&f, 30);
        f.spec.batch.amount.value = 10;
        f.spec.batch.success = 9000;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        fleet_fail_one(&f);
        expect_paused(&f, SUCCESS_THRESHOLD, 20, 8);
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, BATCH_IN_FLIGHT, 10, 18);
        assert_se(f.progress.batch == 2 && !f.progress.threshold_waived);
        for (unsigned n = 0; n < 2; n++)
                for (size_t i = 0; i < f.n; i++)
                        if (f.members[i].state == IN_FLIGHT && f.members[i].batch == 2) {
                                fleet_end(&f, i, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
                                break;
                        }
        expect_paused(&f, SUCCESS_THRESHOLD, 10, 16);
}

/* Whoever let a batch pass that had failed does not want to watch it. */
static void test_no_soak_when_waived(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_alike(&f, 30);
        f.spec.canary.amount.value = 4;
        f.spec.canary.soak = USEC_PER_HOUR;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        fleet_succeed(&f);
        expect_paused(&f, SUCCESS_THRESHOLD, 26, 0);
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, FINISHING, 0, 26);
}

/* An agent that was removed from the gateway during the soak says nothing; when all are, nothing is known.
 */
static void test_removed_in_soak(void) {
        for (unsigned all = 0; all < 2; all++) {
                _cleanup_fleet_ TestFleet f;

                fleet_alike(&f, 20);
                f.spec.canary.amount.value = 2;
                f.spec.canary.soak = 10 * MINUTE;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                fleet_succeed(&f);
                for (unsigned i = 0; i <= all; i++)
                        f.views[i].exists = f.views[i].online = false;
                fleet_step_at(&f, MORNING + 10 * MINUTE);
                if (all)
                        expect_paused(&f, SOAK_FAILED, 18, 0);
                else
                        expect_running(&f, FINISHING, 0, 18);
        }
}

/* ---- something in common ---- */

/* Half of the machines has OS 0 and half of those kernel 0: kernel 0 fails, and later architecture 1. */
static void test_another_correlation(void) {
        _cleanup_fleet_ TestFleet f;
        unsigned failed = 0;

        fleet_init(&f, 400);
        f.n_traits[ROLLOUT_TRAIT_ARCH] = 2;
        for (size_t i = 0; i < f.n; i++) {
                f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = i % 8 == 3 ? 3 : 0;
                f.members[i].traits[ROLLOUT_TRAIT_OS] = 0;
                f.members[i].traits[ROLLOUT_TRAIT_ARCH] = i % 8 == 5;
        }
        f.spec.max_in_flight = 360;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        for (size_t i = 0; i < f.n && f.progress.state == ROLLOUT_STATE_RUNNING; i++)
                if (f.members[i].state == IN_FLIGHT && f.members[i].traits[ROLLOUT_TRAIT_ARCH] == 0)
                        fleet_end(&f, i,
                                  f.members[i].traits[ROLLOUT_TRAIT_KERNEL] == 3 ? UPDATE_PHASE_ROLLED_BACK :
                                                                                   UPDATE_PHASE_SUCCEEDED,
                                  UPDATE_VERDICT_NONE);
        assert_se(f.progress.reason == ROLLOUT_REASON_CORRELATED_FAILURES &&
                  f.outcome.correlated_trait == ROLLOUT_TRAIT_KERNEL && f.outcome.correlated_value == 3);
        fleet_resume(&f);
        fleet_step(&f);
        /* the rest of kernel 3 was let pass */
        for (size_t i = 0, n = 0; i < f.n && n < 10; i++)
                if (f.members[i].state == IN_FLIGHT && f.members[i].traits[ROLLOUT_TRAIT_KERNEL] == 3) {
                        fleet_end(&f, i, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
                        n++;
                }
        assert_se(f.progress.state == ROLLOUT_STATE_RUNNING);
        f.spec.max_in_flight = 1; /* somebody is left to be spared */
        for (size_t i = 0; i < f.n && f.progress.state == ROLLOUT_STATE_RUNNING; i++)
                if (f.members[i].state == IN_FLIGHT && f.members[i].traits[ROLLOUT_TRAIT_ARCH] == 1) {
                        fleet_end(&f, i, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
                        failed++;
                }
        assert_se(failed == 3 && f.progress.reason == ROLLOUT_REASON_CORRELATED_FAILURES &&
                  f.outcome.correlated_trait == ROLLOUT_TRAIT_ARCH && f.outcome.correlated_value == 1);
}

/* Where the others fail as well, though less, it is no matter of one kernel. */
static void test_the_others_fail_too(void) {
        for (unsigned others_fail = 2; others_fail <= 3; others_fail++) {
                _cleanup_fleet_ TestFleet f;
                unsigned n[2] = {};

                fleet_alike(&f, 60);
                f.n_traits[ROLLOUT_TRAIT_KERNEL] = 2;
                for (size_t i = 0; i < f.n; i++)
                        f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = i % 4 == 0;
                f.spec.max_in_flight = 50;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                /* 3 of 6 of kernel 1; of the 24 others 2 (a twelfth, stopped), or a sixth and more (not) */
                for (size_t i = 0; i < f.n; i++) {
                        uint32_t kernel = f.members[i].traits[ROLLOUT_TRAIT_KERNEL];
                        bool bad;

                        if (f.members[i].state != IN_FLIGHT || n[kernel] >= (kernel ? 6U : 24U))
                                continue;
                        bad = n[kernel]++ < (kernel ? 3U : others_fail == 2 ? 2U : 8U);
                        f.views[i].phase = bad ? UPDATE_PHASE_ROLLED_BACK : UPDATE_PHASE_SUCCEEDED;
                        f.views[i].version = bad ? "1.0.0" : "1.1.0";
                }
                assert_se(n[0] == 24 && n[1] == 6);
                f.spec.max_in_flight = 20;
                fleet_step(&f);
                assert_se((f.progress.state == ROLLOUT_STATE_PAUSED) == (others_fail == 2));
        }
}

/* The same failures do not stop it a second time by another name. */
static void test_seen_is_no_evidence(void) {
        _cleanup_fleet_ TestFleet f;
        unsigned n = 0;

        fleet_alike(&f, 200);
        f.n_traits[ROLLOUT_TRAIT_KERNEL] = 2;
        for (size_t i = 0; i < f.n; i++)
                f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = i % 4 == 0;
        f.spec.max_in_flight = 80;
        f.spec.max_failures.value = 2;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        for (size_t i = 0; i < f.n && n < 3; i++)
                if (f.members[i].state == IN_FLIGHT && f.members[i].traits[ROLLOUT_TRAIT_KERNEL] == 1) {
                        f.views[i].phase = UPDATE_PHASE_ROLLED_BACK;
                        n++;
                }
        fleet_step(&f);
        expect_paused(&f, MAX_FAILURES, 120, 77);
        fleet_resume(&f);
        for (size_t i = 0; i < f.n; i++)
                if (f.members[i].state == IN_FLIGHT && f.members[i].traits[ROLLOUT_TRAIT_KERNEL] == 0) {
                        f.views[i].phase = UPDATE_PHASE_SUCCEEDED;
                        f.views[i].version = "1.1.0";
                }
        fleet_step(&f);
        assert_se(f.progress.state == ROLLOUT_STATE_RUNNING);
}

/* What was let pass is let pass when it is tried again, too. */
static void test_retried_is_excused(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutInput in;

        fleet_alike(&f, 80);
        f.n_traits[ROLLOUT_TRAIT_KERNEL] = 4;
        for (size_t i = 0; i < f.n; i++)
                f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = (uint32_t) (i % 4);
        f.views[0].online = false; /* somebody is left to be spared */
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        for (size_t i = 0; i < f.n && f.progress.state == ROLLOUT_STATE_RUNNING; i++)
                if (f.members[i].state == IN_FLIGHT)
                        fleet_end(&f, i,
                                  f.members[i].traits[ROLLOUT_TRAIT_KERNEL] == 3 ? UPDATE_PHASE_ROLLED_BACK :
                                                                                   UPDATE_PHASE_SUCCEEDED,
                                  UPDATE_VERDICT_CRASHED);
        assert_se(f.progress.reason == ROLLOUT_REASON_CORRELATED_FAILURES);
        in = fleet_input(&f);
        assert_se(rollout_retry_failed(&f.progress, &in) == 3);
        fleet_resume(&f);
        fleet_step(&f);
        for (size_t i = 0; i < f.n; i++)
                if (f.members[i].retry) {
                        assert_se(f.members[i].state == IN_FLIGHT);
                        fleet_end(&f, i, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
                        assert_se(f.progress.state == ROLLOUT_STATE_RUNNING && fleet_count(&f, PENDING) > 0);
                }
}

/* ---- releases that go ---- */

/* A stepping stone goes: nobody is skipped before somebody has looked. */
static void test_stone_gone(void) {
        for (unsigned imported = 0; imported < 2; imported++) {
                _cleanup_fleet_ TestFleet f;

                fleet_init(&f, 10);
                f.spec.max_in_flight = 2;
                f.releases[1].requires = "1.0.5";
                f.releases[2] = (ReleaseInfo){ .version = "1.0.5", .archs = archs };
                f.n_releases = 3;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                f.n_releases = 2;
                fleet_step(&f);
                expect_paused(&f, RELEASE_GONE, 8, 2);
                fleet_step_at(&f, MORNING + USEC_PER_HOUR);
                expect_paused(&f, RELEASE_GONE, 8, 2);
                f.n_releases = imported ? 3 : 2;
                fleet_resume(&f);
                fleet_step(&f);
                if (imported)
                        expect_running(&f, IN_FLIGHT_LIMIT, 8, 2);
                else {
                        expect_running(&f, FINISHING, 0, 2); /* without those who need it */
                        assert_se(fleet_count(&f, MEMBER_STATE_SKIPPED) == 8);
                }
                fleet_succeed(&f); /* at the stone, from where the goal is next */
                assert_se(fleet_count(&f, IN_FLIGHT) == 2);
        }
}

static void test_arch_gone(void) {
        static char *other[] = { (char *) "aarch64", NULL };
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 10);
        f.spec.max_in_flight = 2;
        assert_ok(fleet_plan(&f, NULL));
        f.views[9].arch = "riscv64"; /* one whose facts have changed is a matter of its own */
        fleet_step(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 7, 2);
        assert_se(f.members[9].state == MEMBER_STATE_SKIPPED &&
                  f.members[9].reason == MEMBER_REASON_ARCH_MISSING);
        f.releases[1].archs = other;
        fleet_step(&f);
        expect_paused(&f, RELEASE_GONE, 7, 2);
}

/* It went while they were on their way to the stone. */
static void test_gone_at_the_stone(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 3);
        f.releases[1].requires = "1.0.7";
        f.releases[2] = (ReleaseInfo){ .version = "1.0.5", .archs = archs };
        f.releases[3] = (ReleaseInfo){ .version = "1.0.7", .archs = archs, .requires = "1.0.5" };
        f.n_releases = 4;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        assert_streq(f.members[0].instruct, "1.0.5");
        f.n_releases = 3;
        fleet_succeed(&f);
        expect_paused(&f, RELEASE_GONE, 3, 0);
        f.n_releases = 4;
        fleet_resume(&f);
        fleet_step(&f);
        assert_streq(f.members[0].instruct, "1.0.7");
        fleet_succeed(&f);
        fleet_succeed(&f);
        expect_completed(&f);
}

int main(void) {
        test_exactly_the_share();
        test_late_good_news();
        test_good_and_bad_news();
        test_in_flight_counts();
        test_operators_pause();
        test_back_after_all();
        test_nobody_left();
        test_correlated_and_nobody_left();
        test_waived_once();
        test_no_soak_when_waived();
        test_removed_in_soak();
        test_another_correlation();
        test_the_others_fail_too();
        test_seen_is_no_evidence();
        test_retried_is_excused();
        test_stone_gone();
        test_arch_gone();
        test_gone_at_the_stone();
        return 0;
}
