/* SPDX-License-Identifier: Apache-2.0 */

/* Every state that a kill can leave, brought to rest by recover, on real files; and adopt. Nothing is started: that is
 * what tests/systemd is for. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs-util.h"
#include "names.h"
#include "string-util.h"
#include "tests.h"
#include "updater-adopt.h"
#include "updater-denylist.h"
#include "updater-mark.h"
#include "updater-mend.h"
#include "updater-package.h"
#include "updater-policy.h"
#include "updater-repair.h"
#include "updater-rollback.h"
#include "updater-tests.h"
#include "updater-transaction.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void set_links(UpdaterRoot *root, const char *current, const char *good) {
        if (current)
                assert_ok(link_set(root->bin_fd, FLEET_LINK_CURRENT, current));
        else
                (void) unlinkat(root->bin_fd, FLEET_LINK_CURRENT, 0);
        if (good)
                assert_ok(link_set(root->bin_fd, FLEET_LINK_GOOD, good));
        else
                (void) unlinkat(root->bin_fd, FLEET_LINK_GOOD, 0);
}

static void expect_links(UpdaterRoot *root, const char *version) {
        _cleanup_links_ Links l = {};

        assert_ok(links_read(root->bin_fd, &l));
        assert_streq(l.current, version);
        assert_streq(l.good, version);
        assert_se(version_is_usable(root->bin_fd, version));
}

static void expect_result(UpdaterRoot *root, const char *phase, const char *verdict) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_(state_file_freep) StateFile *s = NULL;

        assert_error(transaction_load(root, &t), ENOENT);
        assert_ok(result_load(root, &s));
        assert_streq(state_file_get(s, "phase"), phase);
        assert_streq(state_file_get(s, "verdict"), verdict);
}

static Transaction *open_transaction(UpdaterRoot *root, UpdatePhase phase, bool staged) {
        Transaction *t = NULL;

        make_version(root, "1.0.0", "one");
        make_version(root, "1.1.0", "two");
        assert_ok(transaction_new(&t, root, TRANSACTION_INSTALL, "1.0.0", "1.1.0", "i1"));
        memcpy(t->digest, DIGEST, sizeof(t->digest));
        t->floor = strdup("1.0.0");
        t->phase = phase;
        t->staged = staged;
        assert_ok(transaction_save(root, t));
        return t;
}

static bool is_denied(UpdaterRoot *root) {
        _cleanup_(denylist_freep) Denylist *d = NULL;

        assert_ok(denylist_load(root, &d));
        return denylist_remaining(d, DIGEST, now(CLOCK_REALTIME)) > 0;
}

static void test_recover(void) {
        static const struct {
                UpdatePhase phase;
                const char *current, *good;
                const char *expected, *result, *verdict;
        } cases[] = {
                { UPDATE_PHASE_STAGING, "1.0.0", "1.0.0", "1.0.0", "failed", "interrupted" },
                { UPDATE_PHASE_RESTARTING, "1.0.0", "1.0.0", "1.0.0", "rolled-back", "interrupted" },
                { UPDATE_PHASE_RESTARTING, "1.1.0", "1.0.0", "1.0.0", "rolled-back", "interrupted" },
                { UPDATE_PHASE_CONFIRMING, "1.1.0", "1.0.0", "1.0.0", "rolled-back", "interrupted" },
                { UPDATE_PHASE_ROLLING_BACK, "1.1.0", "1.0.0", "1.0.0", "rolled-back", "interrupted" },
                { UPDATE_PHASE_ROLLING_BACK, "1.0.0", "1.0.0", "1.0.0", "rolled-back", "interrupted" },
                { UPDATE_PHASE_CONFIRMING, "1.1.0", "1.1.0", "1.1.0", "succeeded", "none" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(test_root_freep) TestRoot *t = test_root_new();
                _cleanup_(transaction_freep) Transaction *record = NULL;
                _cleanup_free_ char *floor = NULL;
                UpdaterRoot *root = test_root_get(t);

                record = open_transaction(root, cases[i].phase, true);
                set_links(root, cases[i].current, cases[i].good);
                assert_ok(updater_recover(test_root_updater(t)));
                expect_links(root, cases[i].expected);
                expect_result(root, cases[i].result, cases[i].verdict);
                assert_se(!is_denied(root)); /* nobody is to blame for a reboot */

                assert_ok(floor_load(root, &floor));
                assert_se(streq_ptr(floor, streq(cases[i].result, "succeeded") ? "1.0.0" : NULL));
                /* what went back or was never tried is of no use any more */
                assert_se(version_is_usable(root->bin_fd, "1.1.0") == streq(cases[i].result, "succeeded"));
                assert_ok(updater_recover(test_root_updater(t))); /* and once more */
                expect_links(root, cases[i].expected);
        }
}

static void test_verdict_survives(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);
        _unused_ _cleanup_(transaction_freep) Transaction *record = open_transaction(root, UPDATE_PHASE_CONFIRMING, true);

        assert_ok(transaction_set_verdict(record, UPDATE_VERDICT_WATCHDOG, "It hung."));
        record->phase = UPDATE_PHASE_ROLLING_BACK;
        assert_ok(transaction_save(root, record));
        set_links(root, "1.1.0", "1.0.0");
        assert_ok(updater_recover(test_root_updater(t)));
        expect_links(root, "1.0.0");
        expect_result(root, "rolled-back", "watchdog");
        assert_se(is_denied(root));
}

/* There is no PID 1 here, so the agent is not restarted: then it is not over, and serve does not say that it is. */
static void test_back_without_restart(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        Updater *u = test_root_updater(t);
        _cleanup_(transaction_freep) Transaction *record = open_transaction(u->root, UPDATE_PHASE_CONFIRMING, true);
        _cleanup_(transaction_freep) Transaction *left = NULL;

        set_links(u->root, "1.1.0", "1.0.0");
        assert_se(transaction_go_back(u, record, "1.1.0", "1.0.0", UPDATE_VERDICT_CRASHED, "It crashed.", true) < 0);
        expect_links(u->root, "1.0.0");
        assert_se(updater_settle(u) < 0);
        assert_se(updater_mend(u, UPDATER_SERVE) < 0);
        assert_ok(transaction_load(u->root, &left));
        assert_se(left->phase == UPDATE_PHASE_ROLLING_BACK && left->verdict == UPDATE_VERDICT_CRASHED);
        assert_se(version_is_usable(u->root->bin_fd, "1.1.0"));

        mark_set(u->root, MARK_BROUGHT_BACK, left->id); /* somebody did restart it */
        assert_ok(updater_settle(u));
        expect_result(u->root, "rolled-back", "crashed");
        assert_se(is_denied(u->root));
}

static void test_without_record(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);

        make_version(root, "1.0.0", "one");
        make_version(root, "1.1.0", "two");
        set_links(root, "1.1.0", "1.0.0");
        assert_ok(updater_recover(test_root_updater(t)));
        expect_links(root, "1.0.0");
        assert_se(version_is_usable(root->bin_fd, "1.1.0")); /* who knows which of them is of use */

        set_links(root, "1.0.0", "1.0.0");
        assert_ok(file_write_atomic_at(root->state_fd, "transaction", "rubbish", 7, 0600));
        assert_ok(updater_recover(test_root_updater(t)));
        expect_links(root, "1.0.0");
        assert_se(faccessat(root->state_fd, "transaction", F_OK, 0) < 0);
}

/* Both links are about to move, and one of them has: the new version is the one that stays. */
static void test_forced_half_way(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        Updater *u = test_root_updater(t);
        _cleanup_links_ Links l = {};

        make_version(u->root, "1.0.0", "one");
        make_version(u->root, "1.1.0", "two");
        set_links(u->root, "1.0.0", "1.0.0");
        assert_ok(unlinkat(u->root->bin_fd, FLEET_LINK_CURRENT, 0));
        assert_ok(mkdirat(u->root->bin_fd, FLEET_LINK_CURRENT, 0755)); /* the second link cannot be set */
        assert_ok(mkdirat(u->root->bin_fd, FLEET_LINK_CURRENT "/x", 0755));
        assert_se(updater_force_version(u, "1.1.0") < 0);
        assert_ok(unlinkat(u->root->bin_fd, FLEET_LINK_CURRENT "/x", AT_REMOVEDIR));
        assert_ok(unlinkat(u->root->bin_fd, FLEET_LINK_CURRENT, AT_REMOVEDIR));
        assert_ok(link_set(u->root->bin_fd, FLEET_LINK_CURRENT, "1.0.0"));

        assert_ok(links_read(u->root->bin_fd, &l));
        assert_streq(l.good, "1.1.0");
        assert_ok(updater_recover(u));
        expect_links(u->root, "1.1.0");
        assert_se(version_is_usable(u->root->bin_fd, "1.0.0"));
}

static void test_record_of_other_links(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);
        _unused_ _cleanup_(transaction_freep) Transaction *record = open_transaction(root, UPDATE_PHASE_CONFIRMING, true);

        make_version(root, "3.0.0", "three");
        set_links(root, "3.0.0", "3.0.0");
        assert_ok(updater_recover(test_root_updater(t)));
        expect_links(root, "3.0.0");
        expect_result(root, "rolled-back", "interrupted"); /* whoever asked is owed an end */
}

static void test_operators_rollback(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);
        _cleanup_(transaction_freep) Transaction *r = NULL;

        make_version(root, "1.0.0", "one");
        make_version(root, "1.1.0", "two");
        assert_ok(transaction_new(&r, root, TRANSACTION_ROLLBACK, "1.1.0", "1.0.0", NULL));
        r->phase = UPDATE_PHASE_CONFIRMING;
        assert_ok(transaction_save(root, r));
        set_links(root, "1.0.0", "1.1.0");
        assert_ok(updater_recover(test_root_updater(t)));
        expect_links(root, "1.1.0");
        assert_se(version_is_usable(root->bin_fd, "1.0.0")); /* it was there before, and stays */

        assert_ok(transaction_save(root, r));
        set_links(root, "1.0.0", "1.0.0");
        assert_ok(updater_recover(test_root_updater(t)));
        expect_links(root, "1.0.0");
        expect_result(root, "succeeded", "operator");
}

static void test_repair(void) {
        static const struct {
                const char *what, *current, *good, *versions[3];
                bool packaged;
                const char *expected;          /* NULL: nothing can be done */
        } cases[] = {
                { "no links at all: the package", NULL, NULL, { NULL }, true, "1.4.0" },
                { "no current", NULL, "1.0.0", { "1.0.0" }, true, "1.0.0" },
                { "no good", "1.0.0", NULL, { "1.0.0" }, true, "1.0.0" },
                { "both lead nowhere: the package", "1.0.0", "1.0.0", { NULL }, true, "1.4.0" },
                { "good leads nowhere", "1.1.0", "1.0.0", { "1.1.0" }, true, "1.1.0" },
                { "no package: the newest there is", "9.0.0", "9.0.0", { "1.0.0", "1.1.0" }, false, "1.1.0" },
                { "nothing", "1.0.0", "1.0.0", { NULL }, false, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(test_root_freep) TestRoot *t = test_root_new();
                UpdaterRoot *root = test_root_get(t);

                for (size_t k = 0; k < 3 && cases[i].versions[k]; k++)
                        make_version(root, cases[i].versions[k], "x");
                if (cases[i].packaged)
                        make_package(root, "1.4.0", "packaged");
                set_links(root, cases[i].current, cases[i].good);
                int r = updater_recover(test_root_updater(t));
                if (cases[i].expected) {
                        assert_ok(r);
                        expect_links(root, cases[i].expected);
                } else
                        assert_se(r < 0);
        }
}

static void test_floor_of_package(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        _cleanup_free_ char *version = NULL;
        UpdaterRoot *root = test_root_get(t);

        make_package(root, "1.0.0", "packaged");
        assert_ok(floor_raise(root, "1.1.0"));
        assert_error(package_copy(test_root_updater(t), /* force= */ false, &version), EPERM);
        assert_se(!version_is_usable(root->bin_fd, "1.0.0"));
        assert_ok(package_copy(test_root_updater(t), /* force= */ true, &version)); /* better than no agent at all */
        assert_streq(version, "1.0.0");
}

static void test_adopt(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        Updater *u = test_root_updater(t);
        UpdaterRoot *root = u->root;
        _cleanup_free_ char *previous = NULL;

        assert_se(updater_adopt(u) < 0); /* nothing there */
        make_package(root, "1.0.0", "packaged");
        assert_ok(updater_adopt(u));
        expect_links(root, "1.0.0");
        assert_ok(updater_adopt(u));
        expect_links(root, "1.0.0");

        /* nothing runs (there is no PID 1 here), so that a newer package is simply taken */
        make_package(root, "1.1.0", "packaged anew");
        assert_ok(updater_adopt(u));
        expect_links(root, "1.1.0");
        assert_se(version_is_usable(root->bin_fd, "1.0.0"));
        assert_ok(previous_load(root, &previous));
        assert_streq(previous, "1.0.0");

        make_package(root, "1.0.5", "an older package");
        assert_ok(updater_adopt(u));
        expect_links(root, "1.1.0");

        assert_ok(pin_set(root, "1.1.0"));
        make_package(root, "2.0.0", "a newer package");
        assert_ok(updater_adopt(u));
        expect_links(root, "1.1.0");
        assert_ok(pin_clear(root));
        assert_ok(updater_adopt(u));
        expect_links(root, "2.0.0");
}

static void test_adopt_leaves_trial_alone(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);
        _unused_ _cleanup_(transaction_freep) Transaction *record = open_transaction(root, UPDATE_PHASE_CONFIRMING, true);
        _cleanup_links_ Links l = {};

        set_links(root, "1.1.0", "1.0.0");
        make_package(root, "2.0.0", "packaged");
        assert_error(updater_adopt(test_root_updater(t)), EBUSY);
        assert_ok(links_read(root->bin_fd, &l));
        assert_streq(l.current, "1.1.0");
        assert_streq(l.good, "1.0.0");
}

static void test_swap_and_commit(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        Updater *u = test_root_updater(t);
        _cleanup_(transaction_freep) Transaction *record = open_transaction(u->root, UPDATE_PHASE_STAGING, true);
        _cleanup_links_ Links l = {};

        set_links(u->root, "1.0.0", "1.0.0");
        make_version(u->root, "0.8.0", "old");
        make_version(u->root, "0.9.0", "old");
        assert_ok(transaction_swap(u, record));
        assert_ok(links_read(u->root->bin_fd, &l));
        assert_streq(l.current, "1.1.0");
        assert_streq(l.good, "1.0.0");
        assert_se(record->attempts == 1);
        assert_se(faccessat(u->root->bin_fd, ".back", F_OK, AT_SYMLINK_NOFOLLOW) >= 0);
        assert_se(faccessat(u->root->bin_fd, ".commit", F_OK, AT_SYMLINK_NOFOLLOW) >= 0);

        assert_ok(transaction_commit(u, record));
        expect_links(u->root, "1.1.0");
        expect_result(u->root, "succeeded", "none");
        assert_se(version_is_usable(u->root->bin_fd, "1.0.0"));
        assert_se(version_is_usable(u->root->bin_fd, "0.9.0"));
        assert_se(!version_is_usable(u->root->bin_fd, "0.8.0")); /* KeepVersions=3 */
        assert_se(faccessat(u->root->bin_fd, ".back", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
        assert_se(faccessat(u->root->bin_fd, ".commit", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

int main(void) {
        test_recover();
        test_verdict_survives();
        test_back_without_restart();
        test_without_record();
        test_forced_half_way();
        test_record_of_other_links();
        test_operators_rollback();
        test_repair();
        test_floor_of_package();
        test_adopt();
        test_adopt_leaves_trial_alone();
        test_swap_and_commit();
        return 0;
}
