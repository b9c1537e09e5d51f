/* SPDX-License-Identifier: Apache-2.0 */

/* What each rule of a rollout does, by itself: who takes part, in which order, and when it stops. Their
 * interplay is test-rollout-property.c's. */

#include "alloc-util.h"
#include "rollout-fixture.h"
#include "string-util.h"

/* ---- names ---- */

static void test_names(void) {
        for (RolloutState s = 0; s < _ROLLOUT_STATE_MAX; s++)
                assert_se(rollout_state_from_string(rollout_state_to_string(s)) == s);
        for (RolloutReason r = 0; r < _ROLLOUT_REASON_MAX; r++)
                assert_se(rollout_reason_from_string(rollout_reason_to_string(r)) == r &&
                          !isempty(rollout_reason_explain(r)));
        for (MemberState s = 0; s < _MEMBER_STATE_MAX; s++)
                assert_se(member_state_from_string(member_state_to_string(s)) == s);
        for (MemberReason r = 0; r < _MEMBER_REASON_MAX; r++)
                assert_se(member_reason_from_string(member_reason_to_string(r)) == r &&
                          member_reason_explain(r));
        assert_se(rollout_state_from_string("no such") < 0 && !rollout_state_to_string(_ROLLOUT_STATE_MAX));
}

/* ---- who takes part ---- */

static void test_excluded(void) {
        _cleanup_fleet_ TestFleet f;
        static const struct {
                RolloutView view;
                MemberReason reason;
        } cases[] = {
                { { .exists = true, .online = true, .version = "1.0.0", .arch = "x86_64" },
                  MEMBER_REASON_NONE },
                { { .exists = true, .online = true, .version = "1.1.0", .arch = "x86_64" },
                  MEMBER_REASON_UP_TO_DATE },
                { { .exists = true, .online = true, .version = "1.2.0", .arch = "x86_64" },
                  MEMBER_REASON_ALREADY_NEWER },
                { { .exists = true, .online = true, .version = "1.0.0", .arch = "riscv64" },
                  MEMBER_REASON_ARCH_MISSING },
                { { .exists = true,
                    .online = true,
                    .version = "1.0.0",
                    .arch = "x86_64",
                    .pinned = true,
                    .pinned_version = "1.0.0" },
                  MEMBER_REASON_PINNED },
                { { .exists = true,
                    .online = true,
                    .version = "1.0.0",
                    .arch = "x86_64",
                    .pinned = true,
                    .pinned_version = "1.1.0" },
                  MEMBER_REASON_NONE },
                { { .exists = true,
                    .online = true,
                    .version = "1.0.0",
                    .arch = "x86_64",
                    .desired = MEMBER_REASON_OVERRIDDEN },
                  MEMBER_REASON_OVERRIDDEN },
                { { .exists = true,
                    .online = true,
                    .version = "1.0.0",
                    .arch = "x86_64",
                    .desired = MEMBER_REASON_CONFLICT },
                  MEMBER_REASON_CONFLICT },
                { { .exists = true,
                    .online = true,
                    .version = "1.0.0",
                    .arch = "x86_64",
                    .in_other_rollout = true },
                  MEMBER_REASON_OTHER_ROLLOUT },
                { { .exists = true, .version = "1.0.0", .arch = "x86_64" }, MEMBER_REASON_OFFLINE },
                { { .exists = true }, MEMBER_REASON_OFFLINE },
                { { .exists = false }, MEMBER_REASON_REMOVED },
        };

        for (unsigned skip = 0; skip < 2; skip++) {
                fleet_init(&f, ELEMENTSOF(cases));
                f.spec.offline = skip ? ROLLOUT_OFFLINE_SKIP : ROLLOUT_OFFLINE_WAIT;
                for (size_t i = 0; i < f.n; i++)
                        f.views[i] = cases[i].view;
                assert_ok(fleet_plan(&f, NULL));
                for (size_t i = 0; i < f.n; i++) {
                        size_t was = (size_t) atoi(f.members[i].agent + 1);
                        MemberReason reason = cases[was].reason;

                        if (reason == MEMBER_REASON_OFFLINE && !skip)
                                reason = MEMBER_REASON_NONE;
                        assert_se(f.members[i].reason == reason);
                        assert_se(f.members[i].state ==
                                  (reason == MEMBER_REASON_NONE ? PENDING : MEMBER_STATE_EXCLUDED));
                        assert_se(f.members[i].position == i);
                }
                if (!skip)
                        fleet_clear(&f);
        }
}

static void test_hops(void) {
        static char *both[] = { (char *) "x86_64", (char *) "aarch64", NULL },
                    *one[] = { (char *) "x86_64", NULL };
        static const ReleaseInfo releases[] = {
                { .version = "1.0.0", .archs = both },
                { .version = "1.5.0", .archs = one, .requires = "1.2.0" },
                { .version = "1.2.0", .archs = both },
                { .version = "2.0.0", .archs = both, .requires = "1.5.0" },
                { .version = "3.0.0", .archs = both, .requires = "2.5.0" },
                { .version = "4.0.0", .archs = both, .requires = "5.0.0" },
                { .version = "5.0.0", .archs = both, .requires = "4.0.0" },
        };
        static const struct {
                const char *from, *arch, *goal, *hop;
                ReleasePath path;
        } cases[] = {
                { "1.0.0", "x86_64", "1.2.0", "1.2.0", RELEASE_PATH_OK },
                { "1.0.0", "x86_64", "1.5.0", "1.2.0", RELEASE_PATH_OK },
                { "1.0.0", "x86_64", "2.0.0", "1.2.0", RELEASE_PATH_OK },
                { "1.2.0", "x86_64", "2.0.0", "1.5.0", RELEASE_PATH_OK },
                { "1.3.0", "x86_64", "2.0.0", "1.5.0", RELEASE_PATH_OK },
                { "1.5.0", "x86_64", "2.0.0", "2.0.0", RELEASE_PATH_OK },
                { "1.2.0", "aarch64", "2.0.0", NULL, RELEASE_PATH_REQUIRES_MISSING },
                { "1.9.0", "aarch64", "2.0.0", "2.0.0", RELEASE_PATH_OK },
                { "1.0.0", "s390x", "1.2.0", NULL, RELEASE_PATH_ARCH_MISSING },
                { "1.0.0", "x86_64", "3.0.0", NULL, RELEASE_PATH_REQUIRES_MISSING },
                { "1.0.0", "x86_64", "5.0.0", NULL, RELEASE_PATH_REQUIRES_MISSING }, /* a circle */
                { "1.0.0", "x86_64", "9.9.9", NULL, RELEASE_PATH_NOT_RELEASED },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *hop = NULL;

                assert_se(release_path_next(
                                          releases, ELEMENTSOF(releases), cases[i].from, cases[i].arch,
                                          cases[i].goal, &hop) == cases[i].path);
                assert_se(streq_ptr(hop, cases[i].hop));
        }
}

/* A stepping stone takes two turns, and the rollout ends only at the goal. */
static void test_stepping_stone(void) {
        _cleanup_fleet_ TestFleet f;
        static char *archs[] = { (char *) "x86_64", NULL };

        fleet_init(&f, 3);
        f.releases[1].requires = "1.0.5";
        f.releases[2] = (ReleaseInfo){ .version = "1.0.5", .archs = archs };
        f.n_releases = 3;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        assert_streq(f.members[0].instruct, "1.0.5");
        fleet_succeed(&f);
        expect_running(&f, FINISHING, 0, 3);
        assert_streq(f.members[0].instruct, "1.1.0");
        fleet_succeed(&f);
        expect_completed(&f);
        assert_se(fleet_count(&f, SUCCEEDED) == 3);
}

/* ---- canaries ---- */

static void test_canaries_are_drawn_across(void) {
        _cleanup_fleet_ TestFleet f;
        bool kernels[8] = {};

        /* one kernel is on 93 of 100 machines, seven others on one each */
        fleet_init(&f, 100);
        f.n_traits[ROLLOUT_TRAIT_OS] = 1;
        f.n_traits[ROLLOUT_TRAIT_KERNEL] = 8;
        for (size_t i = 0; i < f.n; i++) {
                f.members[i].traits[ROLLOUT_TRAIT_OS] = 0;
                f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = i < 7 ? (uint32_t) i + 1 : 0;
        }
        f.views[3].online = false; /* there is only one with this kernel, and it is not there */
        f.spec.canary.amount.value = 10;
        assert_ok(fleet_plan(&f, NULL));
        for (size_t i = 0; i < 10; i++) {
                assert_se(f.members[i].canary && f.views[i].online);
                kernels[f.members[i].traits[ROLLOUT_TRAIT_KERNEL]] = true;
        }
        assert_se(!f.members[10].canary);
        for (size_t k = 0; k < 8; k++)
                assert_se(kernels[k] == (k != 4));
        fleet_step(&f);
        expect_running(&f, BATCH_IN_FLIGHT, 90, 10);
}

static void test_canaries_come_first(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 20);
        f.spec.canary.amount.value = 3;
        f.spec.canary.soak = 5 * MINUTE;
        f.spec.canary.approval = true;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, BATCH_IN_FLIGHT, 17, 3);
        fleet_end(&f, 0, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        fleet_end(&f, 1, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        expect_running(&f, BATCH_IN_FLIGHT, 17, 1);
        fleet_end(&f, 2, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        expect_running(&f, SOAKING, 17, 0);
        assert_se(f.progress.next_look == MORNING + 5 * MINUTE);
        fleet_step_at(&f, MORNING + 5 * MINUTE - 1);
        expect_running(&f, SOAKING, 17, 0);
        assert_error(rollout_approve(&f.progress), EBUSY);
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        expect_running(&f, AWAITING_APPROVAL, 17, 0);
        assert_ok(rollout_approve(&f.progress));
        fleet_step(&f);
        expect_running(&f, FINISHING, 0, 17);
        fleet_succeed(&f);
        expect_completed(&f);
}

static void test_a_canary_fails(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 20);
        f.spec.canary.amount.value = 3;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        expect_paused(&f, SUCCESS_THRESHOLD, 17, 2);
        fleet_succeed(&f); /* what is in flight ends all the same */
        expect_paused(&f, SUCCESS_THRESHOLD, 17, 0);
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, FINISHING, 0, 17);
}

/* Named ones are taken and waited for; drawn ones that went are replaced. */
static void test_canaries_that_go(void) {
        _cleanup_fleet_ TestFleet f, g;
        const char *bad = NULL;

        fleet_init(&f, 10);
        assert_ok(strv_extend(&f.spec.canary.ids, "a000004"));
        assert_ok(strv_extend(&f.spec.canary.ids, "a000099"));
        assert_error(fleet_plan(&f, &bad), ESRCH);
        assert_streq(bad, "a000099");
        f.views[5].version = "1.1.0";
        free(f.spec.canary.ids[1]);
        f.spec.canary.ids[1] = strdup("a000005");
        assert_error(fleet_plan(&f, &bad), ESRCH);
        assert_streq(bad, "a000005");
        free(f.spec.canary.ids[1]);
        f.spec.canary.ids[1] = NULL;
        f.views[5].version = "1.0.0";
        assert_ok(fleet_plan(&f, &bad));
        assert_streq(f.members[0].agent, "a000004");
        f.views[0].online = false;
        f.spec.offline_wait = 60 * MINUTE;
        fleet_step_at(&f, MORNING + 10 * MINUTE);
        expect_running(&f, WAITING_FOR_OFFLINE, 10, 0);
        fleet_step_at(&f, MORNING + 70 * MINUTE);
        assert_se(f.members[0].state == MEMBER_STATE_SKIPPED &&
                  f.members[0].reason == MEMBER_REASON_OFFLINE);
        expect_paused(&f, SUCCESS_THRESHOLD, 9, 0);

        fleet_init(&g, 10);
        g.spec.canary.amount.value = 2;
        assert_ok(fleet_plan(&g, NULL));
        g.views[1].online = false;
        fleet_step_at(&g, MORNING + MINUTE); /* it may be restarting */
        expect_running(&g, UPDATING, 9, 1);
        fleet_step_at(&g, MORNING + 2 * MINUTE);
        expect_running(&g, BATCH_IN_FLIGHT, 8, 2);
        assert_se(!g.members[1].canary && g.members[0].canary);
        fleet_succeed(&g);
        expect_running(&g, UPDATING, 1, 7);
}

/* With nobody there to take their place, drawn canaries stay canaries; and when everybody stays away, all
 * are skipped. */
static void test_everybody_is_away(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 6);
        f.spec.canary.amount.value = 2;
        f.spec.offline_wait = USEC_PER_HOUR;
        for (size_t i = 0; i < f.n; i++)
                f.views[i].online = false;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step_at(&f, MORNING + 10 * MINUTE);
        expect_running(&f, WAITING_FOR_OFFLINE, 6, 0);
        assert_se(f.members[0].canary && f.members[1].canary && !f.members[2].canary);
        fleet_step_at(&f, MORNING + 70 * MINUTE);
        expect_completed(&f);
        assert_se(fleet_count(&f, MEMBER_STATE_SKIPPED) == 6);
}

/* Canaries that had been updated and went away or back during the soak count as failures at its end. */
static void test_soak(void) {
        for (unsigned how = 0; how < 3; how++) {
                _cleanup_fleet_ TestFleet f;

                fleet_init(&f, 10);
                f.spec.canary.amount.value = 2;
                f.spec.canary.soak = 10 * MINUTE;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                fleet_succeed(&f);
                expect_running(&f, SOAKING, 8, 0);
                if (how == 0) /* away for long */
                        f.views[0].online = false;
                else if (how == 1) /* it went back by itself, later */
                        f.views[0].version = "1.0.0";
                else { /* just restarting when the soak ends */
                        f.views[0].online = false;
                        f.views[0].last_seen = MORNING + 10 * MINUTE - SEC;
                }
                fleet_step_at(&f, MORNING + 10 * MINUTE);
                if (how < 2) {
                        expect_paused(&f, SOAK_FAILED, 8, 0);
                        continue;
                }
                expect_running(&f, SOAKING, 8, 0);
                f.views[0].online = true;
                fleet_step_at(&f, MORNING + 11 * MINUTE);
                expect_running(&f, FINISHING, 0, 8);
        }
}

/* ---- batches ---- */

static void test_batches(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 110);
        f.spec.batch.amount.value = 50;
        f.spec.batch.period = 10 * MINUTE;
        f.spec.batch.success = 9000;
        f.spec.max_in_flight = 20;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 90, 20);
        fleet_end(&f, fleet_first(&f, IN_FLIGHT), UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        expect_running(&f, IN_FLIGHT_LIMIT, 89, 20);
        fleet_succeed(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 69, 20);
        fleet_succeed(&f);
        expect_running(&f, NEXT_BATCH, 60, 9);
        assert_se(f.progress.next_look == MORNING + 10 * MINUTE);
        fleet_step_at(&f, MORNING + 10 * MINUTE); /* 41 of 50 are too few */
        expect_running(&f, BATCH_IN_FLIGHT, 60, 9);
        for (unsigned i = 0; i < 4; i++)
                fleet_end(&f, fleet_first(&f, IN_FLIGHT), UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        expect_running(&f, IN_FLIGHT_LIMIT, 45, 20);
        fleet_succeed(&f);
        fleet_succeed(&f);
        fleet_succeed(&f);
        expect_running(&f, NEXT_BATCH, 10, 0);
        assert_se(f.progress.next_look == MORNING + 20 * MINUTE && f.progress.batch == 2);
        fleet_step_at(&f, MORNING + 20 * MINUTE);
        expect_running(&f, FINISHING, 0, 10);
        fleet_succeed(&f);
        expect_completed(&f);
}

static void test_ramp(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 20);
        f.spec.batch.amount.value = 8;
        f.spec.batch.ramp[0] = 1;
        f.spec.batch.ramp[1] = 4;
        f.spec.batch.n_ramp = 2;
        f.spec.batch.period = MINUTE;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, NEXT_BATCH, 19, 1);
        fleet_step_at(&f, MORNING + MINUTE);
        expect_running(&f, NEXT_BATCH, 15, 5);
        fleet_step_at(&f, MORNING + 2 * MINUTE);
        expect_running(&f, NEXT_BATCH, 7, 13);
        fleet_step_at(&f, MORNING + 3 * MINUTE);
        expect_running(&f, FINISHING, 0, 20);
}

/* One batch that filled slowly and one that follows at once are together not more than one. */
static void test_period_slides(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 20);
        f.spec.batch.amount.value = 4;
        f.spec.batch.period = 10 * MINUTE;
        for (size_t i = 1; i < f.n; i++)
                f.views[i].online = false;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        assert_se(fleet_count(&f, IN_FLIGHT) == 1);
        for (size_t i = 0; i < f.n; i++)
                f.views[i].online = true;
        fleet_step_at(&f, MORNING + 9 * MINUTE);
        expect_running(&f, NEXT_BATCH, 16, 4);
        fleet_step_at(&f, MORNING + 10 * MINUTE); /* 3 of the last ten minutes leave room for one */
        expect_running(&f, NEXT_BATCH, 15, 5);
        assert_se(f.progress.next_look == MORNING + 19 * MINUTE);
        fleet_step_at(&f, MORNING + 19 * MINUTE);
        expect_running(&f, NEXT_BATCH, 12, 8);
}

static void test_gate_at_every_batch(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 4);
        f.spec.batch.amount.value = 2;
        f.spec.batch.soak = MINUTE;
        f.spec.batch.approval = true;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, BATCH_IN_FLIGHT, 2, 2);
        fleet_succeed(&f);
        expect_running(&f, SOAKING, 2, 0);
        fleet_step_at(&f, MORNING + MINUTE);
        expect_running(&f, AWAITING_APPROVAL, 2, 0);
        assert_ok(rollout_approve(&f.progress));
        fleet_step(&f);
        expect_running(&f, FINISHING, 0, 2);
        assert_se(!f.progress.approved); /* once */
}

/* ---- thresholds ---- */

static void test_max_failures(void) {
        static const struct {
                RolloutAmount max;
                unsigned stops_at;
        } cases[] = {
                { { .value = 0 }, 1 },
                { { .value = 2 }, 3 },
                { { .is_share = true, .value = 500 }, 6 }, /* of the 100 that were admitted */
                { { .is_share = true, .value = 0 }, 1 },
        };

        for (size_t c = 0; c < ELEMENTSOF(cases); c++) {
                _cleanup_fleet_ TestFleet f;

                fleet_init(&f, 200);
                f.n_traits[ROLLOUT_TRAIT_KERNEL] = f.n_traits[ROLLOUT_TRAIT_OS] =
                                1; /* nothing to correlate */
                for (size_t i = 0; i < f.n; i++)
                        f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = f.members[i].traits[ROLLOUT_TRAIT_OS] =
                                        0;
                f.spec.max_in_flight = 100;
                f.spec.max_failures = cases[c].max;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                for (unsigned i = 1; i < cases[c].stops_at; i++) {
                        fleet_fail_one(&f);
                        assert_se(f.progress.state == ROLLOUT_STATE_RUNNING);
                }
                fleet_fail_one(&f);
                assert_se(f.progress.state == ROLLOUT_STATE_PAUSED &&
                          f.progress.reason == ROLLOUT_REASON_MAX_FAILURES);
                /* only new failures stop it again */
                fleet_resume(&f);
                fleet_step(&f);
                assert_se(f.progress.state == ROLLOUT_STATE_RUNNING);
        }
}

static void test_success_threshold(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 40);
        f.spec.batch.amount.value = 10;
        f.spec.batch.success = 8000;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        fleet_fail_one(&f);
        expect_running(&f, BATCH_IN_FLIGHT, 30, 8);
        f.n_traits[ROLLOUT_TRAIT_OS] = f.n_traits[ROLLOUT_TRAIT_KERNEL] = 1;
        for (size_t i = 0; i < f.n; i++)
                f.members[i].traits[ROLLOUT_TRAIT_OS] = f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = 0;
        fleet_fail_one(&f);
        expect_paused(&f, SUCCESS_THRESHOLD, 30, 7);
}

/* Nothing is left to be stopped; and one latecomer alone in its batch says little. */
static void test_small_batches(void) {
        _cleanup_fleet_ TestFleet f, g;

        fleet_init(&f, 2);
        f.spec.batch.success = 9000;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        fleet_succeed(&f);
        expect_completed(&f);

        fleet_init(&g, 10);
        g.spec.batch.amount.value = 4;
        g.spec.batch.success = 5000;
        for (size_t i = 1; i < g.n; i++)
                g.views[i].online = false;
        assert_ok(fleet_plan(&g, NULL));
        fleet_step(&g);
        fleet_fail_one(&g);
        expect_running(&g, WAITING_FOR_OFFLINE, 9, 0);
        for (size_t i = 1; i < 4; i++)
                g.views[i].online = true;
        fleet_step(&g);
        assert_se(fleet_count(&g, IN_FLIGHT) == 3);
        g.n_traits[ROLLOUT_TRAIT_KERNEL] = g.n_traits[ROLLOUT_TRAIT_OS] = 1;
        for (size_t i = 0; i < g.n; i++)
                g.members[i].traits[ROLLOUT_TRAIT_KERNEL] = g.members[i].traits[ROLLOUT_TRAIT_OS] = 0;
        fleet_fail_one(&g);
        fleet_fail_one(&g);
        expect_running(&g, UPDATING, 6, 1);
        fleet_fail_one(&g); /* three of at most four */
        expect_paused(&g, SUCCESS_THRESHOLD, 6, 0);
}

static void test_correlation(void) {
        _cleanup_fleet_ TestFleet f;
        unsigned failed = 0;

        /* a quarter of the machines has kernel 3, and it is there that the release fails */
        fleet_init(&f, 400);
        f.spec.max_in_flight = 40;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        while (f.progress.state == ROLLOUT_STATE_RUNNING) {
                size_t i = fleet_first(&f, IN_FLIGHT);

                if (f.members[i].traits[ROLLOUT_TRAIT_KERNEL] == 3) {
                        failed++;
                        fleet_end(&f, i, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
                } else
                        fleet_end(&f, i, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        }
        assert_se(f.progress.reason == ROLLOUT_REASON_CORRELATED_FAILURES && failed == 3);
        assert_se(f.outcome.correlated_trait == ROLLOUT_TRAIT_KERNEL && f.outcome.correlated_value == 3);
        fleet_resume(&f);
        fleet_step(&f);
        assert_se(f.progress.state == ROLLOUT_STATE_RUNNING);
}

int main(void) {
        test_names();
        test_excluded();
        test_hops();
        test_stepping_stone();
        test_canaries_are_drawn_across();
        test_canaries_come_first();
        test_a_canary_fails();
        test_canaries_that_go();
        test_everybody_is_away();
        test_soak();
        test_batches();
        test_ramp();
        test_period_slides();
        test_gate_at_every_batch();
        test_max_failures();
        test_success_threshold();
        test_small_batches();
        test_correlation();
        return 0;
}
