/* SPDX-License-Identifier: Apache-2.0 */

/* The gateway's wall clock is set while a rollout runs. */

#include "rollout-fixture.h"
#include "rollout-internal.h"

#define DAY ((int64_t) USEC_PER_DAY)

/* The wall clock is set by so much, and the boot moves with it. */
static void set_clock(TestFleet *f, int64_t by) {
        f->now += (usec_t) by;
        f->booted += (usec_t) by;
}

/* The gateway's machine is started again, at once, with another clock: by how much cannot be known. */
static void restart(TestFleet *f, int64_t by) {
        f->boot++;
        f->now += (usec_t) by;
        f->booted = f->now;
}

static void fleet_batches(TestFleet *f) {
        fleet_init(f, 10);
        f->spec.batch.amount.value = 2;
        f->spec.batch.period = 10 * MINUTE;
        assert_ok(fleet_plan(f, NULL));
        fleet_step(f);
        fleet_succeed(f);
        expect_running(f, NEXT_BATCH, 8, 0);
}

/* In whatever direction and however far: what was left to wait for is left to wait for. */
static void test_periods(void) {
        static const int64_t jumps[] = { -DAY, -3600 * (int64_t) SEC, 3600 * (int64_t) SEC, DAY, 400 * DAY };

        for (size_t i = 0; i < ELEMENTSOF(jumps); i++) {
                _cleanup_fleet_ TestFleet f;

                fleet_batches(&f);
                fleet_step_at(&f, f.now + 4 * MINUTE);
                set_clock(&f, jumps[i]);
                fleet_step_at(&f, f.now + MINUTE);
                expect_running(&f, NEXT_BATCH, 8, 0);
                assert_se(f.progress.next_look == f.now + 5 * MINUTE);
                assert_se(rollout_clock(&f.progress, f.now) == 1 + 5 * MINUTE);
                fleet_step_at(&f, f.progress.next_look);
                expect_running(&f, NEXT_BATCH, 6, 2);
        }
}

static void test_soak(void) {
        for (int64_t by = -1; by <= 1; by += 2) {
                _cleanup_fleet_ TestFleet f;

                fleet_init(&f, 10);
                f.spec.canary.amount.value = 2;
                f.spec.canary.soak = USEC_PER_HOUR;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                fleet_succeed(&f);
                f.now += 59 * MINUTE;
                set_clock(&f, by * 50 * (int64_t) MINUTE);
                /* one goes at that moment: seen long ago, or in the future, and away for seconds all the
                 * same */
                f.views[0].online = false;
                f.views[0].last_seen = f.now - (usec_t) (by * 50 * (int64_t) MINUTE);
                fleet_step(&f);
                expect_running(&f, SOAKING, 8, 0);
                assert_se(f.progress.next_look == f.now + MINUTE);
                fleet_step_at(&f, f.now + MINUTE);
                expect_running(&f, SOAKING, 8, 0);
                f.views[0].online = true;
                fleet_step_at(&f, f.now + SEC);
                expect_running(&f, FINISHING, 0, 8);
        }
}

static void test_pause(void) {
        for (int64_t by = -1; by <= 1; by += 2) {
                _cleanup_fleet_ TestFleet f;

                fleet_batches(&f);
                f.now += 4 * MINUTE;
                assert_ok(rollout_pause(&f.progress, f.now));
                set_clock(&f, by * DAY);
                f.now += USEC_PER_HOUR;
                fleet_step(&f);
                assert_se(rollout_clock(&f.progress, f.now) == 1 + 4 * MINUTE);
                set_clock(&f, by * DAY); /* and once more, without a step */
                fleet_resume(&f);
                fleet_step(&f);
                expect_running(&f, NEXT_BATCH, 8, 0);
                assert_se(f.progress.next_look == f.now + 6 * MINUTE);
        }
}

/* Pauses before another attempt, and before another turn of whose lease has ended. */
static void test_retry_pauses(void) {
        for (int64_t by = -1; by <= 1; by += 2) {
                _cleanup_fleet_ TestFleet f;

                fleet_init(&f, 2);
                f.spec.attempts = 3;
                f.spec.retry_pause = 10 * MINUTE;
                assert_ok(fleet_plan(&f, NULL));
                fleet_step(&f);
                fleet_end(&f, 0, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DOWNLOAD_FAILED);
                fleet_end(&f, 1, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
                set_clock(&f, by * DAY);
                fleet_step(&f);
                expect_running(&f, RETRY_PAUSE, 1, 0);
                assert_se(f.progress.next_look == f.now + 10 * MINUTE && f.members[0].changed &&
                          f.members[1].changed);
                fleet_step_at(&f, f.now + 10 * MINUTE - SEC);
                expect_running(&f, RETRY_PAUSE, 1, 0);
                fleet_step_at(&f, f.now + SEC);
                expect_running(&f, FINISHING, 0, 2);
        }
}

/* An agent that is away for seconds is not skipped. */
static void test_offline(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 2);
        f.spec.offline = ROLLOUT_OFFLINE_SKIP;
        f.spec.max_in_flight = 1;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        f.views[1].online = false;
        fleet_succeed(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
        set_clock(&f, DAY);
        fleet_step(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
        f.views[1].online = true;
        fleet_step_at(&f, f.now + MINUTE);
        expect_running(&f, FINISHING, 0, 1);
}

/* ---- while the gateway's machine was restarted ---- */

/* It goes on from the latest time that it had given to anything. */
static void test_restart(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_batches(&f);
        fleet_step_at(&f, f.now + 10 * MINUTE);
        expect_running(&f, NEXT_BATCH, 6, 2);
        restart(&f, -DAY);
        fleet_step(&f);
        expect_running(&f, NEXT_BATCH, 6, 2);
        assert_se(f.progress.next_look == f.now + 10 * MINUTE);
        fleet_step_at(&f, f.now + 10 * MINUTE);
        expect_running(&f, NEXT_BATCH, 4, 4);
}

static void test_restart_in_soak(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 4);
        f.spec.canary.amount.value = 1;
        f.spec.canary.soak = USEC_PER_HOUR;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        f.now += 20 * MINUTE;
        fleet_succeed(&f);
        expect_running(&f, SOAKING, 3, 0);
        restart(&f, -DAY);
        fleet_step(&f);
        expect_running(&f, SOAKING, 3, 0);
        assert_se(f.progress.next_look == f.now + USEC_PER_HOUR && f.progress.settled == 1 + 20 * MINUTE);
}

static void test_restart_while_waiting(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 2);
        f.spec.offline_wait = USEC_PER_HOUR;
        assert_ok(fleet_plan(&f, NULL));
        f.views[0].online = false;
        fleet_step(&f);
        f.now += 20 * MINUTE;
        fleet_succeed(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
        restart(&f, -DAY);
        fleet_step(&f);
        expect_running(&f, WAITING_FOR_OFFLINE, 1, 0);
        assert_se(f.progress.next_look == f.now + USEC_PER_HOUR);
        fleet_step_at(&f, f.now + USEC_PER_HOUR);
        expect_completed(&f);
}

/* Before anything was admitted, and in a pause. */
static void test_restart_at_first(void) {
        _cleanup_fleet_ TestFleet f, g;

        fleet_init(&f, 1);
        assert_ok(fleet_plan(&f, NULL));
        restart(&f, -DAY);
        fleet_step(&f);
        assert_se(f.progress.started == f.now);
        assert_se(rollout_clock(&f.progress, f.now + SEC) == 1 + SEC);

        fleet_batches(&g);
        g.now += 4 * MINUTE;
        assert_ok(rollout_pause(&g.progress, g.now));
        restart(&g, -DAY);
        fleet_step_at(&g, g.now + MINUTE);
        assert_se(rollout_clock(&g.progress, g.now) == 1 + 4 * MINUTE);
        fleet_resume(&g);
        fleet_step(&g);
        assert_se(g.progress.next_look == g.now + 6 * MINUTE);
}

/* Pauses that would last until the clock had caught up are forgotten, and that is kept. */
static void test_restart_in_retry_pause(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 2);
        f.spec.attempts = 3;
        f.spec.retry_pause = 10 * MINUTE;
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        fleet_end(&f, 0, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DOWNLOAD_FAILED);
        fleet_end(&f, 1, UPDATE_PHASE_TIMED_OUT, UPDATE_VERDICT_NONE);
        restart(&f, -DAY);
        fleet_step(&f);
        assert_se(f.members[0].changed && f.members[0].not_before == f.now + USEC_PER_HOUR);
        assert_se(f.members[1].changed && f.members[1].updated == f.now);
        fleet_step_at(&f, f.now + 10 * MINUTE);
        assert_se(f.members[1].state == IN_FLIGHT && f.members[0].state == PENDING);
        fleet_step_at(&f, f.now + 50 * MINUTE);
        assert_se(f.members[0].state == IN_FLIGHT);
}

/* All agents have gone for a moment then; and one that does not come back is away from that moment on. */
static void test_restart_and_agents(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 4);
        f.spec.canary.amount.value = 1;
        assert_ok(fleet_plan(&f, NULL));
        f.views[0].online = false;
        f.views[0].last_seen = f.now;
        restart(&f, -DAY);
        fleet_step_at(&f, f.now);
        assert_se(f.members[0].canary && f.progress.next_look == f.now + ROLLOUT_AWAY_AFTER);
        fleet_step_at(&f, f.now + ROLLOUT_AWAY_AFTER);
        assert_se(!f.members[0].canary && fleet_count(&f, IN_FLIGHT) == 1);
}

int main(void) {
        test_periods();
        test_soak();
        test_pause();
        test_retry_pauses();
        test_offline();
        test_restart();
        test_restart_in_soak();
        test_restart_while_waiting();
        test_restart_at_first();
        test_restart_in_retry_pause();
        test_restart_and_agents();
        return 0;
}
