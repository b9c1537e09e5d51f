/* SPDX-License-Identifier: Apache-2.0 */

/* What is said late: after a lease has ended, after another turn was given, after another rollout has taken
 * the agent, after the end. */

#include "alloc-util.h"
#include "rollout-fixture.h"
#include "rollout-internal.h"
#include "string-util.h"

#define TIMED_OUT MEMBER_STATE_TIMED_OUT

/* One agent that may try again, whose lease has ended while it was away. */
static void fleet_timed_out(TestFleet *f, size_t n) {
        fleet_init(f, n);
        f->spec.attempts = 3;
        f->spec.retry_pause = MINUTE;
        f->spec.offline_wait = USEC_PER_HOUR;
        assert_ok(fleet_plan(f, NULL));
        fleet_step(f);
        f->views[0].online = false;
        fleet_end(f, 0, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
        assert_se(f->members[0].state == TIMED_OUT);
}

/* ---- another rollout has the agent ---- */

static void test_other_rollout(void) {
        static const struct {
                UpdatePhase phase;
                UpdateVerdict verdict;
                MemberState meanwhile;
        } cases[] = {
                { UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE, TIMED_OUT },
                { UPDATE_PHASE_FAILED, UPDATE_VERDICT_DOWNLOAD_FAILED, MEMBER_STATE_FAILED },
                { UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_INTERRUPTED, MEMBER_STATE_ROLLED_BACK },
                { UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE, TIMED_OUT }, /* of a stepping stone */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_fleet_ TestFleet f;

                fleet_timed_out(&f, 2);
                f.views[0].online = f.views[0].in_other_rollout = f.views[0].busy = true;
                f.views[0].phase = cases[i].phase;
                f.views[0].verdict = cases[i].verdict;
                if (cases[i].phase == UPDATE_PHASE_SUCCEEDED)
                        f.views[0].instruction_version = f.views[0].version = "1.0.5";
                fleet_step_at(&f, MORNING + 10 * MINUTE);
                assert_se(f.members[0].state == cases[i].meanwhile);
                f.views[0].in_other_rollout = f.views[0].busy = false;
                fleet_step_at(&f, MORNING + 20 * MINUTE);
                assert_se(f.members[0].state ==
                          (cases[i].meanwhile == TIMED_OUT ? IN_FLIGHT : cases[i].meanwhile));
        }
}

/* ---- the truth comes late ---- */

/* What is on trial runs already, and may go back. */
static void test_trial(void) {
        _cleanup_fleet_ TestFleet f, g;

        fleet_timed_out(&f, 1);
        f.views[0].online = true;
        f.views[0].version = "1.1.0";
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        expect_running(&f, RETRY_PAUSE, 0, 0);
        assert_se(f.members[0].state == TIMED_OUT && f.progress.next_look == MORNING + ROLLOUT_TRIAL);
        f.views[0].version = "1.0.0";
        fleet_end(&f, 0, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
        fleet_expect(&f, ROLLOUT_STATE_COMPLETED, ROLLOUT_REASON_DONE, 0, 0);
        assert_se(f.members[0].state == MEMBER_STATE_ROLLED_BACK);

        /* also after it was believed, and after the end */
        fleet_timed_out(&g, 1);
        g.views[0].online = true;
        g.views[0].version = "1.1.0";
        fleet_step_at(&g, MORNING + ROLLOUT_TRIAL);
        expect_completed(&g);
        assert_se(g.members[0].state == SUCCEEDED);
        fleet_end(&g, 0, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
        assert_se(g.members[0].state == SUCCEEDED); /* it runs it all the same: somebody helped */
        g.views[0].version = "1.0.0";
        fleet_step(&g);
        assert_se(g.members[0].state == MEMBER_STATE_ROLLED_BACK &&
                  g.members[0].verdict == UPDATE_VERDICT_CRASHED && g.outcome.counts.failures == 1);
        assert_se(g.progress.state == ROLLOUT_STATE_COMPLETED);
}

/* It goes on after all: the rollout waits for its end, and does not look for it all the time. */
static void test_goes_on(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_timed_out(&f, 2);
        f.views[0].online = true;
        f.views[0].phase = UPDATE_PHASE_DOWNLOADING;
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        expect_running(&f, FINISHING, 0, 1);
        assert_se(f.progress.next_look == USEC_INFINITY && f.members[0].reason == MEMBER_REASON_NONE);
        fleet_succeed(&f);
        expect_running(&f, FINISHING, 0, 0);
        assert_se(f.members[0].state == TIMED_OUT && f.progress.next_look == USEC_INFINITY);
        fleet_end(&f, 0, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        expect_completed(&f);
        assert_se(fleet_count(&f, SUCCEEDED) == 2);
}

/* Its lease ends again: the pause before another turn begins there. */
static void test_times_out_twice(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_timed_out(&f, 1);
        f.views[0].online = true;
        f.views[0].phase = UPDATE_PHASE_DOWNLOADING;
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        f.now = MORNING + 20 * MINUTE;
        fleet_end(&f, 0, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
        expect_running(&f, RETRY_PAUSE, 0, 0);
        assert_se(f.progress.next_look == MORNING + 21 * MINUTE);
        f.views[0].version = "1.1.0";
        fleet_step(&f);
        assert_se(f.progress.next_look == MORNING + 20 * MINUTE + ROLLOUT_TRIAL);
        assert_se(f.members[0].reason == MEMBER_REASON_VERDICT);
}

/* A preview of such a rollout ends, and soon. */
static void test_goes_on_in_preview(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutPreview p = {};
        RolloutInput in;

        fleet_init(&f, 40);
        f.spec.attempts = 3;
        f.spec.retry_pause = MINUTE;
        f.spec.max_in_flight = 10;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_end(&f, 0, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
        f.views[0].phase = UPDATE_PHASE_DOWNLOADING;
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        in = fleet_input(&f);
        assert_ok(rollout_preview(&f.progress, &in, 45 * SEC, &p));
        assert_se(!p.approximate && p.ends == f.now + 4 * 45 * SEC && p.waiting_offline == 0);
        rollout_preview_done(&p);
}

/* It was given another turn, and before that begins it goes on with the one before: there is one instruction
 * at a time. */
static void test_goes_on_before_its_turn(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_timed_out(&f, 2);
        f.spec.max_in_flight = 1; /* taken by the other one */
        f.views[0].online = true;
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        assert_se(f.members[0].state == PENDING);
        f.views[0].phase = UPDATE_PHASE_DOWNLOADING;
        fleet_succeed(&f);
        expect_running(&f, FINISHING, 0, 0);
        assert_se(f.members[0].state == TIMED_OUT && f.outcome.admitted_now == 0);
        fleet_end(&f, 0, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        expect_completed(&f);
        assert_se(fleet_count(&f, SUCCEEDED) == 2);
}

/* Or went back, between two looks: it is not tried again as if nothing was known. */
static void test_ended_before_its_turn(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_timed_out(&f, 2);
        f.spec.max_in_flight = 1;
        f.views[0].online = true;
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        assert_se(f.members[0].state == PENDING);
        f.views[0].phase = UPDATE_PHASE_ROLLED_BACK;
        f.views[0].verdict = UPDATE_VERDICT_CRASHED;
        fleet_succeed(&f);
        assert_se(f.members[0].state == MEMBER_STATE_ROLLED_BACK && f.outcome.admitted_now == 0);
}

/* ---- the end ---- */

/* Whose lease ended while it was away is waited for as anybody who is away. */
static void test_waited_for(void) {
        _cleanup_fleet_ TestFleet f, g;

        fleet_timed_out(&f, 1);
        expect_running(&f, WAITING_FOR_OFFLINE, 0, 0);
        assert_se(f.progress.next_look == MORNING + USEC_PER_HOUR);
        f.views[0].online = true;
        fleet_step_at(&f, MORNING + 50 * MINUTE);
        expect_running(&f, FINISHING, 0, 1);
        fleet_succeed(&f);
        expect_completed(&f);

        fleet_timed_out(&g, 1);
        fleet_step_at(&g, MORNING + USEC_PER_HOUR);
        expect_completed(&g);
        assert_se(g.members[0].state == TIMED_OUT);
}

/* For named canaries everybody waits; that is not the time for which the others are waited for. */
static void test_each_has_its_time(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 3);
        assert_ok(strv_extend(&f.spec.canary.ids, "a000001"));
        f.spec.canary.success = 0;
        f.spec.windows = new0(RolloutWindow, 1);
        f.spec.n_windows = 1;
        f.spec.windows[0] = (RolloutWindow){ .days = 127, .length = USEC_PER_HOUR };
        assert_ok(timezone_load("UTC", &f.spec.windows[0].zone));
        f.spec.offline_wait = USEC_PER_HOUR;
        assert_ok(fleet_plan(&f, NULL));
        f.views[0].online = false;
        fleet_step(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 3, 0);
        fleet_step_at(&f, MORNING + USEC_PER_HOUR);
        expect_running(&f, OUTSIDE_WINDOW, 2, 0);
        assert_se(f.members[0].state == MEMBER_STATE_SKIPPED);
        f.views[1].online = f.views[2].online = false;
        fleet_step_at(&f, MORNING + 2 * USEC_PER_HOUR);
        expect_running(&f, WAITING_FOR_OFFLINE, 2, 0);
        fleet_step_at(&f, MORNING + 3 * USEC_PER_HOUR);
        expect_completed(&f);
}

/* Nor is what was waited before somebody asked for another turn. */
static void test_retried_has_its_time(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutInput in;

        fleet_timed_out(&f, 1);
        fleet_step_at(&f, MORNING + USEC_PER_HOUR);
        expect_completed(&f);
        in = fleet_input(&f);
        assert_se(rollout_retry_failed(&f.progress, &in) == 1);
        fleet_step(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
        assert_se(f.progress.next_look == MORNING + 2 * USEC_PER_HOUR);
}

/* That a stepping stone was reached is no abortion. */
static void test_stone_after_the_end(void) {
        for (unsigned aborted = 0; aborted < 2; aborted++) {
                _cleanup_fleet_ TestFleet f;
                static char *archs[] = { (char *) "x86_64", NULL };

                fleet_init(&f, 1);
                f.releases[1].requires = "1.0.5";
                f.releases[2] = (ReleaseInfo){ .version = "1.0.5", .archs = archs };
                f.n_releases = 3;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                f.views[0].online = false;
                if (aborted)
                        assert_ok(rollout_abort(&f.progress, f.now));
                fleet_end(&f, 0, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
                assert_se(rollout_state_is_terminal(f.progress.state));
                f.views[0].online = true;
                fleet_end(&f, 0, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
                assert_se(f.members[0].state == (aborted ? MEMBER_STATE_CANCELLED : TIMED_OUT));
        }
}

static void test_retry_leaves_alone(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutInput in;

        fleet_timed_out(&f, 3);
        f.views[0].phase = UPDATE_PHASE_DOWNLOADING;
        fleet_end(&f, 1, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
        f.views[1].exists = false;
        in = fleet_input(&f);
        assert_error(rollout_retry_failed(&f.progress, &in), ENOENT);
        f.views[1].exists = true;
        assert_se(rollout_retry_failed(&f.progress, &in) == 1);
        assert_se(f.members[0].state == TIMED_OUT && f.members[1].state == PENDING);
}

int main(void) {
        test_other_rollout();
        test_trial();
        test_goes_on();
        test_times_out_twice();
        test_goes_on_in_preview();
        test_goes_on_before_its_turn();
        test_ended_before_its_turn();
        test_waited_for();
        test_each_has_its_time();
        test_retried_has_its_time();
        test_stone_after_the_end();
        test_retry_leaves_alone();
        return 0;
}
