/* SPDX-License-Identifier: Apache-2.0 */

/* Who is drawn and who replaces whom; who joins later; who goes back where to; what the preview says and
 * what is refused because of it. */

#include "alloc-util.h"
#include "rollout-fixture.h"
#include "rollout-internal.h"
#include "string-util.h"

/* ---- canaries ---- */

/* Three quarters have one kernel and a quarter the other: so have the canaries. */
static void test_in_proportion(void) {
        _cleanup_fleet_ TestFleet f;
        unsigned n[2] = {};

        fleet_init(&f, 80);
        f.n_traits[ROLLOUT_TRAIT_OS] = 1;
        for (size_t i = 0; i < f.n; i++) {
                f.members[i].traits[ROLLOUT_TRAIT_OS] = 0;
                f.members[i].traits[ROLLOUT_TRAIT_KERNEL] = i % 4 > 0;
        }
        f.spec.canary.amount.value = 8;
        assert_ok(fleet_plan(&f, NULL));
        for (size_t i = 0; i < 8; i++)
                n[f.members[i].traits[ROLLOUT_TRAIT_KERNEL]]++;
        assert_se(n[0] == 2 && n[1] == 6);
}

/* Who is at another update cannot begin now. */
static void test_busy_are_not_drawn(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 20);
        for (size_t i = 0; i < 16; i++)
                f.views[i].busy = true;
        f.spec.canary.amount.value = 4;
        assert_ok(fleet_plan(&f, NULL));
        for (size_t i = 0; i < 4; i++)
                assert_se(f.members[i].canary && !f.views[i].busy);
}

/* As many canaries that went are replaced as there are others to take their place. */
static void test_replaced_as_far_as_possible(void) {
        _cleanup_fleet_ TestFleet f;
        unsigned canaries = 0;

        fleet_init(&f, 10);
        f.spec.canary.amount.value = 4;
        assert_ok(fleet_plan(&f, NULL));
        for (size_t i = 0; i < 9; i++)
                f.views[i].online = false;
        fleet_step_at(&f, MORNING + 10 * MINUTE);
        for (size_t i = 0; i < f.n; i++)
                canaries += f.members[i].canary;
        assert_se(canaries == 4 && f.members[9].canary && f.members[9].state == IN_FLIGHT);
}

/* One that cannot serve any more, too. */
static void test_skipped_are_replaced(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 10);
        f.spec.canary.amount.value = 2;
        assert_ok(fleet_plan(&f, NULL));
        f.views[0].pinned = true;
        f.views[0].pinned_version = "1.0.0";
        fleet_step(&f);
        assert_se(f.members[0].state == MEMBER_STATE_SKIPPED && !f.members[0].canary &&
                  fleet_count(&f, IN_FLIGHT) == 2);
        fleet_end(&f, 1, UPDATE_PHASE_FAILED, UPDATE_VERDICT_PINNED); /* it was, before the gateway knew */
        assert_se(f.members[1].state == MEMBER_STATE_SKIPPED && f.members[1].reason == MEMBER_REASON_PINNED);
        assert_se(!f.members[1].canary && fleet_count(&f, IN_FLIGHT) == 2 && f.outcome.counts.failures == 0);
}

/* ---- newcomers ---- */

static void test_may_join(void) {
        static const struct {
                RolloutView view;
                bool wait, skip;
        } cases[] = {
                { { .exists = true, .online = true, .version = "1.0.0" }, true, true },
                { { .exists = true, .version = "1.0.0" }, true, false },
                { { .exists = true }, false, false }, /* it has never said Hello */
                { { .exists = true, .online = true, .version = "1.0.0", .in_other_rollout = true },
                  false,
                  false },
                { { .exists = true, .online = true, .version = "1.1.0" }, true, true }, /* and is excluded */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                RolloutSpec spec = { .offline = ROLLOUT_OFFLINE_WAIT };

                assert_se(rollout_may_join(&spec, &cases[i].view) == cases[i].wait);
                spec.offline = ROLLOUT_OFFLINE_SKIP;
                assert_se(rollout_may_join(&spec, &cases[i].view) == cases[i].skip);
        }
}

/* ---- back ---- */

static void test_way_back(void) {
        static const struct {
                const char *version, *previous, *goal;
        } cases[] = {
                { "1.1.0", "1.0.0", "1.0.0" },
                { "1.1.0", "1.0.5", "1.0.5" }, /* it came over a stepping stone, which it keeps */
                { "1.1.0", NULL, "1.0.0" },
                { "1.1.0", "1.2.0", "1.0.0" }, /* it has gone back before */
                { "1.2.0", "1.1.0", "1.0.0" }, /* it runs something else by now */
                { "1.0.0", "1.1.0", "1.0.0" },
                { NULL, NULL, "1.0.0" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_streq(rollout_way_back(
                                             "1.1.0", "1.0.0",
                                             &(RolloutView){ .version = cases[i].version,
                                                             .previous_version = cases[i].previous }),
                             cases[i].goal);
}

static void test_back_after_a_stone(void) {
        _cleanup_fleet_ TestFleet f;

        fleet_init(&f, 3);
        f.kind = ROLLOUT_KIND_ROLLBACK;
        for (size_t i = 0; i < f.n; i++) {
                f.views[i].version = "1.1.0";
                f.views[i].previous_version = "1.0.5";
                f.members[i].goal = rollout_way_back("1.1.0", "1.0.0", f.views + i);
        }
        assert_ok(fleet_plan(&f, NULL));
        fleet_step(&f);
        expect_running(&f, FINISHING, 0, 3);
        assert_streq(f.members[0].instruct, "1.0.5");
        fleet_succeed(&f);
        expect_completed(&f);
}

/* ---- the preview ---- */

static void preview(TestFleet *f, RolloutPreview *ret) {
        RolloutInput in = fleet_input(f);

        *ret = (RolloutPreview){};
        assert_ok(rollout_preview(&f->progress, &in, MINUTE, ret));
}

static void test_preview_of_approvals(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutPreview p;

        fleet_init(&f, 4);
        f.spec.batch.amount.value = 2;
        f.spec.batch.approval = true;
        assert_ok(fleet_plan(&f, NULL));
        preview(&f, &p);
        assert_se(p.approvals && p.n == 2 && p.ends == MORNING + 2 * MINUTE);
        rollout_preview_done(&p);
}

/* Who is at another update will be free. */
static void test_preview_of_busy(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutPreview p;

        fleet_init(&f, 4);
        f.views[0].busy = true;
        assert_ok(fleet_plan(&f, NULL));
        preview(&f, &p);
        assert_se(p.n == 2 && p.batches[0].agents == 3 && p.batches[1].agents == 1 &&
                  p.ends == MORNING + 2 * MINUTE && p.waiting_offline == 0);
        rollout_preview_done(&p);
}

/* What lies too far ahead is computed, from how fast it went until there. */
static void test_preview_far_ahead(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutPreview p;

        fleet_init(&f, 1000);
        f.spec.batch.amount.value = 1;
        f.spec.batch.period = USEC_PER_DAY;
        assert_ok(fleet_plan(&f, NULL));
        preview(&f, &p);
        assert_se(p.approximate && p.n < 400);
        assert_se(p.ends > MORNING + 990 * USEC_PER_DAY && p.ends < MORNING + 1010 * USEC_PER_DAY);
        rollout_preview_done(&p);
}

/* And what takes too much to be played: one after the other, of very many. */
static void test_preview_of_many(void) {
        _cleanup_fleet_ TestFleet f;
        RolloutPreview p;

        fleet_init(&f, 20000);
        f.spec.max_in_flight = 1;
        assert_ok(fleet_plan(&f, NULL));
        preview(&f, &p);
        assert_se(p.approximate && p.n < 300);
        assert_se(p.ends > MORNING + 19900 * MINUTE && p.ends < MORNING + 20200 * MINUTE);
        rollout_preview_done(&p);
}

/* ---- what would never end is refused ---- */

static void test_ends_within_a_year(void) {
        static const struct {
                usec_t period, window; /* 0: none */
                const char *pointer;
        } cases[] = {
                { 10 * MINUTE, 0, NULL },
                { 10 * MINUTE, USEC_PER_DAY, NULL },
                { 10 * MINUTE, 5 * MINUTE, "/windows" }, /* one each week: in 46 years */
                { 7 * USEC_PER_HOUR, 0, "/batch" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *detail = NULL;
                _cleanup_fleet_ TestFleet f;
                const char *pointer = NULL;
                RolloutInput in;
                int r;

                fleet_init(&f, 2400);
                f.spec.batch.amount.value = 1;
                f.spec.batch.period = cases[i].period;
                if (cases[i].window > 0) {
                        f.spec.windows = new0(RolloutWindow, 1);
                        f.spec.n_windows = 1;
                        f.spec.windows[0] = (RolloutWindow){ .days = 1, .length = cases[i].window };
                        assert_ok(timezone_load("UTC", &f.spec.windows[0].zone));
                }
                for (size_t k = 0; k < f.n; k++) /* that nobody is there now makes it no shorter */
                        f.views[k].online = false;
                assert_ok(fleet_plan(&f, NULL));
                in = fleet_input(&f);
                r = rollout_check_end(&f.progress, &in, MINUTE, &pointer, &detail);
                if (!cases[i].pointer) {
                        assert_ok(r);
                        continue;
                }
                assert_error(r, EINVAL);
                assert_streq(pointer, cases[i].pointer);
                assert_se(detail && !f.views[0].online);
        }
}

int main(void) {
        test_in_proportion();
        test_busy_are_not_drawn();
        test_replaced_as_far_as_possible();
        test_skipped_are_replaced();
        test_may_join();
        test_way_back();
        test_back_after_a_stone();
        test_preview_of_approvals();
        test_preview_of_busy();
        test_preview_far_ahead();
        test_preview_of_many();
        test_ends_within_a_year();
        return 0;
}
