/* SPDX-License-Identifier: Apache-2.0 */

#include "tests.h"
#include "updater-trial.h"

#define S USEC_PER_SEC
#define BEGIN (1000 * S)

static Trial trial(void) {
        return (Trial) { .timeout_usec = 180 * S, .soak_usec = 10 * S, .deadline_usec = BEGIN + 180 * S,
                         .need_connection = true, .old_pid = 100 };
}

static Observation healthy(void) {
        return (Observation) { .unit = TRIAL_UNIT_ACTIVE, .main_pid = 200, .owner_pid = 200, .version_is_target = true,
                               .connected = true, .sessions = 1 };
}

static Observation running(void) {
        return (Observation) { .unit = TRIAL_UNIT_ACTIVE, .main_pid = 200, .owner_pid = 200, .version_is_target = true };
}

/* As if somebody had looked a second ago. */
static TrialAction at(Trial *t, Observation o, usec_t seconds) {
        t->last_step_usec = BEGIN + seconds * S - S;
        return trial_step(t, &o, BEGIN + seconds * S).action;
}

static void test_succeeds(void) {
        Trial t = trial();
        Observation old = { .unit = TRIAL_UNIT_ACTIVE, .main_pid = 100, .owner_pid = 100, .connected = true, .sessions = 7 };

        assert_se(at(&t, old, 0) == TRIAL_WAIT);
        assert_se(!trial_is_soaking(&t)); /* the old process proves nothing */
        assert_se(at(&t, (Observation) { .unit = TRIAL_UNIT_STARTING }, 1) == TRIAL_WAIT);
        assert_se(at(&t, running(), 2) == TRIAL_WAIT);
        assert_se(!trial_is_soaking(&t));

        Observation o = healthy();
        TrialStep s = trial_step(&t, &o, BEGIN + 3 * S);
        assert_se(s.action == TRIAL_WAIT && trial_is_soaking(&t));
        assert_se(s.next_usec <= BEGIN + 4 * S);
        assert_se(at(&t, healthy(), 12) == TRIAL_WAIT);
        assert_se(at(&t, healthy(), 13) == TRIAL_COMMIT);
}

static void test_soak_begins_anew(void) {
        Trial t = trial();
        Observation o = healthy();

        assert_se(at(&t, o, 0) == TRIAL_WAIT);
        o.sessions = 2; /* reconnected */
        assert_se(at(&t, o, 9) == TRIAL_WAIT);
        assert_se(at(&t, o, 18) == TRIAL_WAIT);
        o.connected = false;
        assert_se(at(&t, o, 18) == TRIAL_WAIT && !trial_is_soaking(&t));
        o.connected = true;
        assert_se(at(&t, o, 20) == TRIAL_WAIT);
        o.main_pid = o.owner_pid = 201; /* crashed once and came back */
        o.n_restarts = 1;
        assert_se(at(&t, o, 29) == TRIAL_WAIT);
        assert_se(at(&t, o, 38) == TRIAL_WAIT);
        assert_se(at(&t, o, 39) == TRIAL_COMMIT);
}

static void expect_back(Trial *t, Observation o, usec_t seconds, UpdateVerdict verdict) {
        if (seconds < 1000)
                t->last_step_usec = BEGIN + seconds * S - S;
        TrialStep s = trial_step(t, &o, BEGIN + seconds * S);
        assert_se(s.action == TRIAL_GO_BACK);
        assert_se(s.verdict == verdict);
        assert_se(s.message);
}

static void test_dies(void) {
        Trial t = trial();
        Observation o = { .unit = TRIAL_UNIT_FAILED };
        expect_back(&t, o, 1, UPDATE_VERDICT_CRASHED);

        t = trial();
        o = (Observation) { .unit = TRIAL_UNIT_DIED, .exec_failed = true }; /* wrong architecture */
        expect_back(&t, o, 1, UPDATE_VERDICT_CRASHED);

        t = trial();
        o = (Observation) { .unit = TRIAL_UNIT_DIED, .watchdog = true };
        expect_back(&t, o, 1, UPDATE_VERDICT_WATCHDOG);

        t = trial();
        o = (Observation) { .unit = TRIAL_UNIT_DIED };
        assert_se(at(&t, o, 1) == TRIAL_WAIT);
        o.n_restarts = 2;
        assert_se(at(&t, o, 2) == TRIAL_WAIT);
        o.n_restarts = 3;
        expect_back(&t, o, 3, UPDATE_VERDICT_CRASHED);
}

static void test_counter_begins_anew(void) {
        Trial t = trial();
        Observation o = { .unit = TRIAL_UNIT_STOPPING, .main_pid = 100, .n_restarts = 9 };

        assert_se(at(&t, o, 0) == TRIAL_WAIT);
        o = healthy(); /* PID 1 has set it to 0: these are not minus nine deaths */
        assert_se(at(&t, o, 1) == TRIAL_WAIT);
        assert_se(at(&t, o, 11) == TRIAL_COMMIT);
}

static void test_not_connected(void) {
        Trial t = trial();

        assert_se(at(&t, running(), 164) == TRIAL_WAIT);
        assert_se(at(&t, running(), 165) == TRIAL_PROBE); /* 15 s before the end */
        assert_se(at(&t, running(), 166) == TRIAL_WAIT);
        t.probe = TRIAL_PROBE_REACHED;
        assert_se(at(&t, running(), 179) == TRIAL_WAIT);
        expect_back(&t, running(), 180, UPDATE_VERDICT_NOT_CONNECTED);

        t = trial();
        assert_se(at(&t, running(), 170) == TRIAL_PROBE);
        t.probe = TRIAL_PROBE_UNREACHED;
        expect_back(&t, running(), 180, UPDATE_VERDICT_GATEWAY_UNREACHABLE);

        t = trial();
        assert_se(at(&t, running(), 170) == TRIAL_PROBE);
        expect_back(&t, running(), 180, UPDATE_VERDICT_GATEWAY_UNREACHABLE); /* the probe hangs, too: not waited for */

        t = trial();
        t.probe = TRIAL_PROBE_FAILED;
        expect_back(&t, running(), 180, UPDATE_VERDICT_NOT_CONNECTED);
}

static void test_connects_while_probing(void) {
        Trial t = trial();

        assert_se(at(&t, running(), 165) == TRIAL_PROBE);
        t.probe = TRIAL_PROBE_UNREACHED;
        assert_se(at(&t, healthy(), 179) == TRIAL_WAIT);
        assert_se(at(&t, healthy(), 185) == TRIAL_WAIT); /* connected in time; the soak may go on */
        assert_se(at(&t, healthy(), 189) == TRIAL_COMMIT);

        t = trial();
        assert_se(at(&t, healthy(), 179) == TRIAL_WAIT);
        Observation o = healthy();
        o.sessions = 2; /* but not begin anew; a gateway that flaps looks the same, so nobody is blamed */
        expect_back(&t, o, 183, UPDATE_VERDICT_INTERRUPTED);

        t = trial();
        assert_se(at(&t, healthy(), 175) == TRIAL_WAIT);
        assert_se(at(&t, healthy(), 179) == TRIAL_WAIT);
        expect_back(&t, running(), 180, UPDATE_VERDICT_INTERRUPTED); /* lost too late to ask the old version */

        t = trial();
        assert_se(at(&t, healthy(), 164) == TRIAL_WAIT);
        assert_se(at(&t, running(), 165) == TRIAL_PROBE);
        t.probe = TRIAL_PROBE_REACHED;
        expect_back(&t, running(), 180, UPDATE_VERDICT_NOT_CONNECTED); /* the old version can, the new one cannot */
}

static void test_impostors(void) {
        Trial t = trial();
        Observation o = healthy();

        o.owner_pid = 300; /* the name belongs to somebody else */
        assert_se(at(&t, o, 0) == TRIAL_WAIT && !trial_is_soaking(&t));
        t.probe = TRIAL_PROBE_REACHED;
        expect_back(&t, o, 180, UPDATE_VERDICT_NOT_CONNECTED);

        t = trial();
        o = healthy();
        o.version_is_target = false;
        assert_se(at(&t, o, 0) == TRIAL_WAIT && !trial_is_soaking(&t));
        t.probe = TRIAL_PROBE_REACHED;
        expect_back(&t, o, 180, UPDATE_VERDICT_NOT_CONNECTED);
}

static void test_extends_once(void) {
        Trial t = trial();
        Observation o = running();

        o.drain_seen = true;
        o.owner_pid = 300;
        assert_se(at(&t, o, 10) == TRIAL_WAIT); /* nobody else may ask for more time */
        o.owner_pid = 200;
        assert_se(at(&t, o, 11) == TRIAL_EXTEND);
        assert_se(t.deadline_usec == BEGIN + 360 * S);
        assert_se(at(&t, o, 12) == TRIAL_WAIT);
        t.probe = TRIAL_PROBE_REACHED;
        assert_se(at(&t, o, 359) == TRIAL_WAIT);
        expect_back(&t, o, 360, UPDATE_VERDICT_NOT_CONNECTED);
}

static void test_stopped(void) {
        Trial t = trial();
        Observation o = { .unit = TRIAL_UNIT_INACTIVE };

        t.probe = TRIAL_PROBE_REACHED;
        assert_se(at(&t, o, 100) == TRIAL_WAIT);
        expect_back(&t, o, 180, UPDATE_VERDICT_INTERRUPTED);

        t = trial();
        o = (Observation) { .unit = TRIAL_UNIT_STARTING, .main_pid = 200 }; /* never ready */
        t.probe = TRIAL_PROBE_REACHED;
        expect_back(&t, o, 180, UPDATE_VERDICT_CRASHED);
}

static void test_slept(void) {
        Trial t = trial();

        assert_se(at(&t, running(), 1) == TRIAL_WAIT);
        expect_back(&t, running(), 5000, UPDATE_VERDICT_INTERRUPTED); /* nobody is blamed */
}

static void test_without_gateway(void) {
        Trial t = trial();

        t.need_connection = false;
        assert_se(at(&t, running(), 0) == TRIAL_WAIT && trial_is_soaking(&t));
        assert_se(at(&t, running(), 10) == TRIAL_COMMIT);
}

static void test_blind(void) {
        Trial t = trial();
        Observation o = {}; /* PID 1 does not answer */

        assert_se(at(&t, o, 0) == TRIAL_WAIT);
        t.probe = TRIAL_PROBE_REACHED;
        expect_back(&t, o, 180, UPDATE_VERDICT_INTERRUPTED);
}

int main(void) {
        test_succeeds();
        test_soak_begins_anew();
        test_dies();
        test_counter_begins_anew();
        test_not_connected();
        test_connects_while_probing();
        test_impostors();
        test_extends_once();
        test_stopped();
        test_slept();
        test_without_gateway();
        test_blind();
        return 0;
}
