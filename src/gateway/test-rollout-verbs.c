/* SPDX-License-Identifier: Apache-2.0 */

/* What each rule of a rollout does, by itself: retries, machines that are away, windows, what people do, and
 * clocks. */

#include "alloc-util.h"
#include "rollout-fixture.h"
#include "rollout-internal.h"
#include "string-util.h"

/* ---- leases, retries ---- */

static void test_retries(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 1);
        f.spec.attempts = 3;
        f.spec.retry_pause = MINUTE;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_end(&f, 0, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DOWNLOAD_FAILED);
        expect_running(&f, RETRY_PAUSE, 1, 0);
        assert_se(f.progress.next_look == MORNING + MINUTE);
        fleet_step_at(&f, MORNING + MINUTE);
        expect_running(&f, FINISHING, 0, 1);
        fleet_end(&f, 0, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DISK_FULL);
        expect_running(&f, RETRY_PAUSE, 1, 0);
        assert_se(f.progress.next_look == MORNING + 3 * MINUTE);
        fleet_step_at(&f, MORNING + 3 * MINUTE);
        fleet_end(&f, 0, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DISK_FULL);
        expect_completed(&f);
        assert_se(f.members[0].state == MEMBER_STATE_FAILED &&
                  f.members[0].verdict == UPDATE_VERDICT_DISK_FULL);
}

/* It said that the download failed, and then runs the version all the same: somebody helped. */
static void test_helped(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 1);
        f.spec.attempts = 2;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_end(&f, 0, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DOWNLOAD_FAILED);
        f.views[0].version = "1.1.0";
        fleet_step(&f);
        expect_running(&f, RETRY_PAUSE, 1, 0); /* which may be on trial there */
        assert_se(f.progress.next_look == MORNING + ROLLOUT_TRIAL);
        fleet_step_at(&f, MORNING + ROLLOUT_TRIAL - 1);
        expect_running(&f, RETRY_PAUSE, 1, 0);
        fleet_step_at(&f, MORNING + ROLLOUT_TRIAL);
        expect_completed(&f);
        assert_se(f.members[0].state == SUCCEEDED);
}

/* A lease that ends frees the place; the truth may come late and still counts. */
static void test_timed_out(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 3);
        f.spec.max_in_flight = 1;
        f.spec.attempts = 2;
        f.spec.retry_pause = MINUTE;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        f.views[0].online = false;
        fleet_end(&f, 0, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
        assert_se(f.members[0].state == MEMBER_STATE_TIMED_OUT);
        expect_running(&f, IN_FLIGHT_LIMIT, 1, 1);
        /* it goes on with its update after all: that takes no place from the others */
        f.views[0].online = true;
        f.views[0].phase = UPDATE_PHASE_RESTARTING;
        fleet_step_at(&f, MORNING + 5 * MINUTE);
        assert_se(f.members[0].state == MEMBER_STATE_TIMED_OUT && fleet_count(&f, IN_FLIGHT) == 1);
        fleet_end(&f, 0, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        assert_se(f.members[0].state == SUCCEEDED);

        /* or it went back, after all */
        f.views[0].version = "1.0.0";
        f.members[0].state = MEMBER_STATE_TIMED_OUT;
        f.views[0].online = false;
        fleet_end(&f, 0, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
        assert_se(f.members[0].state == MEMBER_STATE_ROLLED_BACK &&
                  f.members[0].verdict == UPDATE_VERDICT_CRASHED);

        /* one that is there and says nothing gets another turn */
        f.views[1].online = true;
        fleet_end(&f, 1, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
        assert_se(f.members[1].state == MEMBER_STATE_TIMED_OUT);
        fleet_succeed(&f);
        expect_running(&f, RETRY_PAUSE, 0, 0);
        fleet_step_at(&f, f.progress.next_look);
        assert_se(f.members[1].state == IN_FLIGHT);
        f.views[1].online = false;
        fleet_end(&f, 1, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
        expect_completed(&f);
        /* and comes back with the version, after the end */
        f.views[1].online = true;
        f.views[1].version = "1.1.0";
        fleet_step_at(&f, f.now + ROLLOUT_TRIAL);
        assert_se(f.members[1].state == SUCCEEDED && f.progress.state == ROLLOUT_STATE_COMPLETED);
}

static void test_retry_failed(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutInput in;

        fleet_init(&f, 10);
        f.n_traits[ROLLOUT_TRAIT_OS] = f.n_traits[ROLLOUT_TRAIT_KERNEL] = 1;
        for (size_t i = 0; i < f.n; i++)
                f.members[i].traits[ROLLOUT_TRAIT_OS] = f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = 0;
        f.spec.max_failures = (RolloutAmount){ .is_share = true, .value = 5000 };
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        for (unsigned i = 0; i < 4; i++)
                fleet_fail_one(&f);
        fleet_succeed(&f);
        expect_completed(&f);
        in = fleet_input(&f);
        f.views[fleet_first(&f, MEMBER_STATE_ROLLED_BACK)].in_other_rollout = true;
        assert_se(rollout_retry_failed(&f.progress, &in) == 3);
        fleet_step(&f);
        expect_running(&f, FINISHING, 0, 3);
        assert_se(f.members[fleet_first(&f, IN_FLIGHT)].retry);
        fleet_fail_one(&f);
        expect_running(&f, FINISHING, 0, 2);
        fleet_fail_one(&f); /* two of three: more than half of those that were tried again */
        expect_running(&f, FINISHING, 0, 1); /* and nobody is left to be spared */
        fleet_succeed(&f);
        fleet_expect(&f, ROLLOUT_STATE_COMPLETED, ROLLOUT_REASON_MAX_FAILURES, 0, 0);
}

/* ---- who is away ---- */

static void test_offline(void) {
        _cleanup_fleet_ TestFleet f, g;

        fleet_init(&f, 4);
        f.spec.max_in_flight = 1;
        f.spec.offline_wait = 60 * MINUTE;
        f.views[0].online = f.views[1].online = false;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_succeed(&f);
        fleet_succeed(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 2, 0);
        assert_se(f.progress.next_look == MORNING + 60 * MINUTE);
        /* one comes back: under the same limits; and the waiting begins anew */
        f.views[fleet_first(&f, PENDING)].online = true;
        fleet_step_at(&f, MORNING + 50 * MINUTE);
        assert_se(fleet_count(&f, IN_FLIGHT) == 1);
        fleet_succeed(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
        fleet_step_at(&f, MORNING + 109 * MINUTE);
        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
        fleet_step_at(&f, MORNING + 110 * MINUTE);
        expect_completed(&f);
        assert_se(fleet_count(&f, MEMBER_STATE_SKIPPED) == 1 && fleet_count(&f, SUCCEEDED) == 3);

        /* who skips does not skip those who went for a moment, as in a restart of the gateway */
        fleet_init(&g, 2);
        g.spec.offline = ROLLOUT_OFFLINE_SKIP;
        assert_ok(fleet_plan(&g, NULL));
        g.views[0].online = g.views[1].online = false;
        fleet_step(&g);
        expect_running(&g, WAITING_FOR_OFFLINE, 2, 0);
        g.views[0].online = true;
        fleet_step_at(&g, MORNING + MINUTE);
        expect_running(&g, UPDATING, 1, 1);
        fleet_succeed(&g);
        fleet_step_at(&g, MORNING + 12 * MINUTE);
        expect_completed(&g);
}

/* ---- windows ---- */

static void test_windows(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 4);
        f.spec.windows = new0(RolloutWindow, 1);
        f.spec.n_windows = 1;
        f.spec.windows[0] =
                        (RolloutWindow){ .days = 1U << 3, .start = 22 * 60, .length = 2 * USEC_PER_HOUR };
        assert_ok(timezone_load("Europe/Berlin", &f.spec.windows[0].zone));
        f.spec.max_in_flight = 2;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, OUTSIDE_WINDOW, 4, 0);
        assert_se(f.progress.next_look == MORNING + 11 * USEC_PER_HOUR); /* 22:00 in Berlin is 21:00 UTC */
        fleet_step_at(&f, MORNING + 11 * USEC_PER_HOUR);
        expect_running(&f, IN_FLIGHT_LIMIT, 2, 2);
        assert_se(f.progress.next_look == MORNING + 13 * USEC_PER_HOUR);
        f.now = MORNING + 13 * USEC_PER_HOUR; /* closed: what is in flight ends, nothing new begins */
        fleet_succeed(&f);
        expect_running(&f, OUTSIDE_WINDOW, 2, 0);
        assert_se(f.progress.next_look == MORNING + (11 + 7 * 24) * USEC_PER_HOUR);
        f.spec.emergency = true;
        fleet_step(&f);
        expect_running(&f, FINISHING, 0, 2);
}

/* There by day, and the window is by night: that is waited for as for anybody who is away, and no longer. */
static void test_never_in_the_window(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 1);
        f.spec.offline_wait = 7 * USEC_PER_DAY;
        f.spec.windows = new0(RolloutWindow, 1);
        f.spec.n_windows = 1;
        f.spec.windows[0] = (RolloutWindow){ .days = 127, .start = 22 * 60, .length = 4 * USEC_PER_HOUR };
        assert_ok(timezone_load("UTC", &f.spec.windows[0].zone));
        assert_ok(fleet_plan(&f, NULL));
        for (usec_t h = 0; f.progress.state == ROLLOUT_STATE_RUNNING; h++) {
                usec_t hour = (10 + h) % 24;

                f.views[0].online = hour >= 8 && hour < 18;
                if (f.views[0].online)
                        f.views[0].last_seen = MORNING + h * USEC_PER_HOUR;
                fleet_step_at(&f, MORNING + h * USEC_PER_HOUR);
                assert_se(h < 20 * 24); /* a week of hours in which it was away */
        }
        expect_completed(&f);
        assert_se(f.members[0].reason == MEMBER_REASON_OFFLINE);
}

/* Who goes for a moment, twice, while it waits for something else or for a window, has not been away all the
 * time in between: as when the gateway is restarted. */
static void test_away_for_moments(void) {
        for (unsigned closed = 0; closed < 2; closed++) {
                _cleanup_fleet_ TestFleet f;

                fleet_init(&f, 2);
                f.spec.offline = ROLLOUT_OFFLINE_SKIP;
                f.spec.batch.amount.value = 1;
                f.spec.batch.period = closed ? 0 : 2 * USEC_PER_HOUR;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                if (closed) {
                        f.spec.windows = new0(RolloutWindow, 1);
                        f.spec.n_windows = 1;
                        f.spec.windows[0] =
                                        (RolloutWindow){ .days = 127, .start = 0, .length = USEC_PER_HOUR };
                        assert_ok(timezone_load("UTC", &f.spec.windows[0].zone));
                        f.views[1].has_instruction = false; /* its turn has not come */
                        f.members[1].state = PENDING;
                        f.members[1].batch = ROLLOUT_BATCH_NONE;
                }
                fleet_end(&f, 0, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
                for (unsigned i = 0; i < 4; i++) {
                        f.views[1].online = false;
                        f.views[1].last_seen = f.now;
                        fleet_step_at(&f, f.now + SEC);
                        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
                        f.views[1].online = true;
                        fleet_step_at(&f, f.now + MINUTE);
                        if (closed)
                                expect_running(&f, OUTSIDE_WINDOW, 1, 0);
                        else
                                expect_running(&f, NEXT_BATCH, 1, 0);
                        fleet_step_at(&f, f.now + 20 * MINUTE);
                }
        }
}

/* An emergency skips windows, soak and approvals; never the canaries, the limits and the automatic stop. */
static void test_emergency(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 10);
        f.spec.emergency = true;
        f.spec.canary.amount.value = 2;
        f.spec.canary.soak = USEC_PER_HOUR;
        f.spec.canary.approval = true;
        f.spec.max_in_flight = 3;
        f.spec.max_failures.value = 1;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, BATCH_IN_FLIGHT, 8, 2);
        fleet_succeed(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 5, 3);
        fleet_fail_one(&f);
        fleet_fail_one(&f);
        expect_paused(&f, MAX_FAILURES, 4, 2);
}

/* ---- what people do ---- */

static void test_pause(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 10);
        f.spec.batch.amount.value = 5;
        f.spec.batch.period = 10 * MINUTE;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, NEXT_BATCH, 5, 5);
        fleet_step_at(&f, MORNING + 4 * MINUTE);
        assert_ok(rollout_pause(&f.progress, f.now));
        assert_error(rollout_pause(&f.progress, f.now), EBUSY);
        fleet_step_at(&f, MORNING + 60 * MINUTE);
        expect_paused(&f, OPERATOR, 5, 5);
        assert_se(rollout_clock(&f.progress, f.now) == 1 + 4 * MINUTE);
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, NEXT_BATCH, 5, 5); /* the hour did not count */
        assert_se(f.progress.next_look == MORNING + 66 * MINUTE);
        fleet_step_at(&f, MORNING + 66 * MINUTE);
        expect_running(&f, FINISHING, 0, 10);
}

/* Also when it paused by itself. */
static void test_pause_by_itself(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 10);
        f.spec.batch.amount.value = 5;
        f.spec.batch.period = 10 * MINUTE;
        f.spec.max_failures.value = 0;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_fail_one(&f);
        expect_paused(&f, MAX_FAILURES, 5, 4);
        f.now += USEC_PER_HOUR;
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, NEXT_BATCH, 5, 4);
        assert_se(f.progress.next_look == MORNING + 70 * MINUTE);
}

static void test_abort(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutInput in;

        fleet_init(&f, 10);
        f.spec.max_in_flight = 4;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        assert_ok(rollout_abort(&f.progress, f.now));
        fleet_step(&f);
        fleet_expect(&f, ROLLOUT_STATE_ABORTING, ROLLOUT_REASON_OPERATOR, 0, 4);
        assert_se(fleet_count(&f, MEMBER_STATE_CANCELLED) == 6);
        in = fleet_input(&f);
        assert_error(rollout_resume(&f.progress, &in), EBUSY);
        fleet_fail_one(&f);
        fleet_succeed(&f);
        fleet_expect(&f, ROLLOUT_STATE_ABORTED, ROLLOUT_REASON_OPERATOR, 0, 0);
        assert_error(rollout_abort(&f.progress, f.now), EBUSY);
}

/* Who has reached a stepping stone when it is aborted goes no further. */
static void test_abort_between_stones(void) {
        _cleanup_fleet_ TestFleet f;
        static char *archs[] = { (char *) "x86_64", NULL };

        fleet_init(&f, 1);
        f.releases[1].requires = "1.0.5";
        f.releases[2] = (ReleaseInfo){ .version = "1.0.5", .archs = archs };
        f.n_releases = 3;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        assert_ok(rollout_abort(&f.progress, f.now));
        fleet_succeed(&f);
        fleet_expect(&f, ROLLOUT_STATE_ABORTED, ROLLOUT_REASON_OPERATOR, 0, 0);
        assert_se(f.members[0].state == MEMBER_STATE_CANCELLED);
}

static void test_release_gone(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 4);
        f.spec.max_in_flight = 1;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        f.n_releases = 1;
        fleet_step(&f);
        expect_paused(&f, RELEASE_GONE, 3, 1); /* nobody was skipped for it */
        f.n_releases = 2;
        fleet_resume(&f);
        fleet_step(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 3, 1);
}

/* ---- changes from outside while it runs ---- */

static void test_changes(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 6);
        f.spec.max_in_flight = 1;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        f.views[1].pinned = true;
        f.views[1].pinned_version = "1.0.0";
        f.views[2].exists = false;
        f.views[3].version = "1.1.0"; /* updated by hand */
        f.views[4].desired = MEMBER_REASON_OVERRIDDEN;
        fleet_step(&f);
        assert_se(f.members[1].reason == MEMBER_REASON_PINNED &&
                  f.members[2].reason == MEMBER_REASON_REMOVED &&
                  f.members[3].reason == MEMBER_REASON_UP_TO_DATE &&
                  f.members[4].reason == MEMBER_REASON_OVERRIDDEN);
        expect_running(&f, IN_FLIGHT_LIMIT, 1, 1);
        f.views[0].exists = false; /* removed in flight: its place is free */
        f.views[0].has_instruction = false;
        fleet_step(&f);
        assert_se(f.members[5].state == IN_FLIGHT && f.members[0].state == MEMBER_STATE_SKIPPED);
        fleet_end(&f, 5, UPDATE_PHASE_CANCELLED, UPDATE_VERDICT_NONE);
        expect_completed(&f);
        assert_se(f.members[5].reason == MEMBER_REASON_OVERRIDDEN);
}

static void test_new_agents(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutInput in;
        size_t old = 4;

        fleet_init(&f, 6);
        f.n = old;
        f.spec.max_in_flight = 2;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        f.n = 6;
        f.views[5].version = "1.1.0";
        in = fleet_input(&f);
        assert_ok(rollout_plan_more(&in, old));
        assert_se(f.members[4].position != f.members[5].position && f.members[4].position >= 4);
        assert_se(f.members[5].state == MEMBER_STATE_EXCLUDED && f.members[4].state == PENDING);
        fleet_step(&f);
        expect_running(&f, IN_FLIGHT_LIMIT, 3, 2);
        for (unsigned i = 0; i < 4; i++)
                fleet_succeed(&f);
        expect_completed(&f);
        assert_se(fleet_count(&f, SUCCEEDED) == 5);
}

static void test_rollback(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 5);
        f.kind = ROLLOUT_KIND_ROLLBACK;
        for (size_t i = 0; i < f.n; i++) {
                f.members[i].goal = "1.0.0";
                f.views[i].version = "1.1.0";
                f.views[i].previous_version = "1.0.0";
        }
        f.views[1].previous_version = "0.9.0";
        f.views[2].version = "1.0.0";
        f.views[3].version = "0.9.0";
        f.releases[2] = (ReleaseInfo){ .version = "1.1.1", .floor = "1.1.0" };
        f.n_releases = 3;
        f.views[4].version = "1.1.1";
        assert_ok(fleet_plan(&f, NULL));
        for (size_t i = 0; i < f.n; i++) {
                static const MemberReason reasons[] = { MEMBER_REASON_NONE, MEMBER_REASON_VERSION_GONE,
                                                        MEMBER_REASON_UP_TO_DATE,
                                                        MEMBER_REASON_ALREADY_OLDER,
                                                        MEMBER_REASON_BELOW_FLOOR };

                assert_se(f.members[i].reason == reasons[atoi(f.members[i].agent + 1)]);
        }
        fleet_step(&f);
        assert_streq(f.members[fleet_first(&f, IN_FLIGHT)].instruct, "1.0.0");
        fleet_succeed(&f);
        expect_completed(&f);
}

/* ---- clocks ---- */

static void test_clock_set_back(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 10);
        f.spec.batch.amount.value = 2;
        f.spec.batch.period = 10 * MINUTE;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step_at(&f, MORNING + 100 * MINUTE);
        expect_running(&f, NEXT_BATCH, 8, 2);
        fleet_step_at(&f, MORNING + MINUTE);
        assert_se(f.progress.next_look <= MORNING + 11 * MINUTE);
        f.progress.batch_opened = 1; /* what was admitted before still counts in this period */
        fleet_step_at(&f, MORNING + 10 * MINUTE + SEC);
        expect_running(&f, NEXT_BATCH, 8, 2);
        fleet_step_at(&f, f.progress.next_look);
        expect_running(&f, NEXT_BATCH, 6, 4);
}

/* ---- preview ---- */

static void test_preview(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutPreview p = {};
        RolloutInput in;

        fleet_init(&f, 2400);
        f.spec.canary.amount.value = 10;
        f.spec.canary.soak = 60 * SEC;
        f.spec.batch.amount.value = 50;
        f.spec.batch.period = 10 * MINUTE;
        f.spec.batch.success = 9000;
        f.spec.max_in_flight = 50;
        for (size_t i = 0; i < 90; i++)
                f.views[i].online = false;
        assert_ok(fleet_plan(&f, NULL));
        in = fleet_input(&f);
        assert_ok(rollout_preview(&f.progress, &in, 45 * SEC, &p));
        /* 10, then 2,300 who are online: 46 batches */
        assert_se(p.n == 47 && !p.approximate && !p.approvals && p.waiting_offline == 90);
        assert_se(p.batches[0].batch == 0 && p.batches[0].agents == 10 && p.batches[0].begins == MORNING);
        assert_se(p.batches[1].begins == MORNING + 105 * SEC && p.batches[1].agents == 50);
        assert_se(p.batches[46].begins == MORNING + 105 * SEC + 45 * 10 * MINUTE);
        assert_se(p.ends == p.batches[46].begins + 45 * SEC);
        /* nothing was touched */
        assert_se(fleet_count(&f, PENDING) == 2400 && f.progress.batch == ROLLOUT_BATCH_CANARY);
        rollout_preview_done(&p);
}

int main(void) {
        test_retries();
        test_helped();
        test_timed_out();
        test_retry_failed();
        test_offline();
        test_windows();
        test_never_in_the_window();
        test_away_for_moments();
        test_emergency();
        test_pause();
        test_pause_by_itself();
        test_abort();
        test_abort_between_stones();
        test_release_gone();
        test_changes();
        test_new_agents();
        test_rollback();
        test_clock_set_back();
        test_preview();
        return 0;
}
