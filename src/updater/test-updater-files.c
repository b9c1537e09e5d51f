/* SPDX-License-Identifier: Apache-2.0 */

/* Links, versions, record, policy files and the lock, in a directory of their own. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd-util.h"
#include "fs-util.h"
#include "names.h"
#include "string-util.h"
#include "tests.h"
#include "updater-links.h"
#include "updater-policy.h"
#include "updater-record.h"
#include "updater-tests.h"

static void test_links(UpdaterRoot *root) {
        _cleanup_links_ Links l = {};

        assert_ok(links_read(root->bin_fd, &l));
        assert_se(!l.current && !l.good && !links_differ(&l));

        make_version(root, "1.0.0", "one");
        make_version(root, "1.1.0", "two");
        assert_ok(link_set(root->bin_fd, FLEET_LINK_GOOD, "1.0.0"));
        assert_ok(link_set(root->bin_fd, FLEET_LINK_CURRENT, "1.0.0"));
        assert_ok(link_prepare_back(root->bin_fd, "1.0.0"));
        assert_ok(link_set(root->bin_fd, FLEET_LINK_CURRENT, "1.1.0"));
        links_done(&l);
        assert_ok(links_read(root->bin_fd, &l));
        assert_streq(l.current, "1.1.0");
        assert_streq(l.good, "1.0.0");
        assert_se(links_differ(&l));

        /* by the link that was made in advance, and without it */
        assert_ok(link_go_back(root->bin_fd, "1.0.0"));
        assert_se(faccessat(root->bin_fd, ".back", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
        assert_ok(link_set(root->bin_fd, FLEET_LINK_CURRENT, "1.1.0"));
        assert_ok(link_prepare_back(root->bin_fd, "1.1.0")); /* not where we want to go */
        assert_ok(link_go_back(root->bin_fd, "1.0.0"));
        links_forget_prepared(root->bin_fd);
        links_done(&l);
        assert_ok(links_read(root->bin_fd, &l));
        assert_streq(l.current, "1.0.0");

        /* what is no link to a version is no link */
        assert_ok(unlinkat(root->bin_fd, "current", 0));
        assert_ok(symlinkat("/etc", root->bin_fd, "current"));
        links_done(&l);
        assert_ok(links_read(root->bin_fd, &l));
        assert_se(!l.current);
        assert_ok(link_set(root->bin_fd, FLEET_LINK_CURRENT, "1.0.0"));
}

static void test_usable(UpdaterRoot *root) {
        assert_se(version_is_usable(root->bin_fd, "1.0.0"));
        assert_se(!version_is_usable(root->bin_fd, "9.9.9"));
        assert_se(!version_is_usable(root->bin_fd, NULL));
        assert_ok(fchmodat(root->bin_fd, "v1.1.0/agent", 0644, 0));
        assert_se(!version_is_usable(root->bin_fd, "1.1.0"));
        assert_ok(fchmodat(root->bin_fd, "v1.1.0/agent", 0755, 0));
        assert_ok(unlinkat(root->bin_fd, "v1.1.0/updater", 0));
        assert_ok(file_write_atomic_at(root->bin_fd, "v1.1.0/updater", "", 0, 0755)); /* as after a power cut */
        assert_se(!version_is_usable(root->bin_fd, "1.1.0"));
}

static void test_prune(UpdaterRoot *root) {
        _cleanup_strv_free_ char **v = NULL;

        make_version(root, "1.1.0", "two");
        make_version(root, "1.10.0", "x");
        make_version(root, "1.9.0", "x");
        make_version(root, "2.0.0-rc.1", "x");
        assert_ok(mkdirat(root->bin_fd, ".v3.0.0.new", 0755));
        assert_ok(file_write_atomic_at(root->bin_fd, ".v3.0.0.new/agent", "x", 1, 0755));
        assert_ok(mkdirat(root->bin_fd, "something", 0755)); /* not ours */

        assert_ok(versions_list(root->bin_fd, &v));
        assert_se(strv_length(v) == 5);
        assert_streq(v[2], "1.9.0");
        assert_streq(v[3], "1.10.0");
        v = strv_free(v);

        assert_se(versions_prune(root->bin_fd, (char *const[]) { (char *) "1.0.0", (char *) "2.0.0-rc.1", NULL }, 3) == 2);
        assert_ok(versions_list(root->bin_fd, &v));
        assert_se(strv_length(v) == 3);
        assert_streq(v[0], "1.0.0"); /* the oldest, but the one to go back to */
        assert_streq(v[1], "1.10.0");
        assert_streq(v[2], "2.0.0-rc.1");
        assert_se(faccessat(root->bin_fd, ".v3.0.0.new", F_OK, 0) < 0);
        assert_se(faccessat(root->bin_fd, "something", F_OK, 0) >= 0);
}

static void test_record(UpdaterRoot *root) {
        _cleanup_(transaction_freep) Transaction *t = NULL, *u = NULL;
        _cleanup_(state_file_freep) StateFile *result = NULL;

        assert_error(transaction_load(root, &u), ENOENT);
        assert_ok(transaction_new(&t, root, TRANSACTION_INSTALL, "1.0.0", "1.1.0", "instruction 7"));
        assert_se(strlen(t->id) == 32 && t->need_connection && !t->staged);
        t->floor = strdup("1.0.5");
        t->deadline_usec = 12345678901;
        t->staged = t->extended = true;
        t->attempts = 2;
        t->phase = UPDATE_PHASE_CONFIRMING;
        assert_ok(transaction_set_verdict(t, UPDATE_VERDICT_CRASHED, "a\nb\x1b[31mc\xc3\xa4"));
        assert_streq(t->message, "a?b?[31mc??");
        t->phase = UPDATE_PHASE_ROLLING_BACK;
        assert_ok(transaction_save(root, t));

        assert_ok(transaction_load(root, &u));
        assert_streq(u->id, t->id);
        assert_streq(u->instruction, "instruction 7");
        assert_streq(u->from, "1.0.0");
        assert_streq(u->to, "1.1.0");
        assert_streq(u->floor, "1.0.5");
        assert_streq(u->boot_id, t->boot_id);
        assert_se(u->deadline_usec == 12345678901 && u->staged && u->extended && u->need_connection && u->attempts == 2);
        assert_se(u->phase == UPDATE_PHASE_ROLLING_BACK && u->failed_phase == UPDATE_PHASE_CONFIRMING);
        assert_se(u->verdict == UPDATE_VERDICT_CRASHED);

        assert_ok(result_save(root, t, UPDATE_PHASE_ROLLED_BACK));
        assert_ok(result_load(root, &result));
        assert_streq(state_file_get(result, "phase"), "rolled-back");
        assert_streq(state_file_get(result, "failed_phase"), "confirming");
        assert_streq(state_file_get(result, "verdict"), "crashed");

        assert_ok(file_write_atomic_at(root->state_fd, "transaction", "id=zz\n# end\n", 12, 0600));
        u = transaction_free(u);
        assert_error(transaction_load(root, &u), EBADMSG);
        assert_ok(transaction_remove(root));
        assert_error(transaction_load(root, &u), ENOENT);
        assert_ok(transaction_remove(root));
}

static void test_boot(UpdaterRoot *root) {
        char a[TRANSACTION_ID_MAX], b[TRANSACTION_ID_MAX];

        boot_id_read(root, a);
        boot_id_read(root, b);
        assert_se(strlen(a) == 32);
        assert_streq(a, b);
        assert_ok(file_write_atomic_at(root->runtime_fd, "boot-id", "ffffffffffffffffffffffffffffffff\n", 33, 0600));
        boot_id_read(root, b);
        assert_streq(b, "ffffffffffffffffffffffffffffffff");
}

static void test_policy(UpdaterRoot *root) {
        _cleanup_free_ char *floor = NULL, *pin = NULL, *previous = NULL, *packaged = NULL;
        uint32_t generation;

        assert_ok(floor_load(root, &floor));
        assert_se(!floor && floor_allows(floor, "0.0.1"));
        assert_se(floor_raise(root, "1.2.0") == 1);
        assert_se(floor_raise(root, "1.1.0") == 0); /* never down */
        assert_ok(floor_load(root, &floor));
        assert_streq(floor, "1.2.0");
        assert_se(!floor_allows(floor, "1.1.9") && floor_allows(floor, "1.2.0"));

        assert_ok(pin_load(root, &pin));
        assert_se(!pin);
        assert_ok(pin_set(root, "1.0.0"));
        assert_ok(pin_load(root, &pin));
        assert_streq(pin, "1.0.0");
        free(pin);
        pin = NULL;
        assert_ok(file_write_atomic_at(root->config_fd, "updater-pin", "hold it\n", 8, 0644));
        assert_error(pin_load(root, &pin), EBADMSG);
        assert_ok(pin_clear(root));
        assert_ok(pin_clear(root));

        assert_ok(previous_load(root, &previous));
        assert_se(!previous);
        assert_ok(previous_save(root, "1.0.0"));
        assert_ok(previous_load(root, &previous));
        assert_streq(previous, "1.0.0");

        assert_ok(file_write_atomic_at(root->package_fd, "VERSION", "1.4.0\n", 6, 0644));
        assert_ok(file_write_atomic_at(root->package_fd, "PACKAGING", "7\n", 2, 0644));
        assert_ok(package_version_load(root, &packaged));
        assert_streq(packaged, "1.4.0");
        assert_ok(package_generation_load(root, &generation));
        assert_se(generation == 7);
}

static void test_lock(UpdaterRoot *root) {
        _cleanup_close_ int a = -EBADF, b = -EBADF;

        assert_ok(updater_root_lock(root, 0, &a));
        assert_error(updater_root_lock(root, 0, &b), EBUSY);
        assert_error(updater_root_lock(root, 100 * USEC_PER_MSEC, &b), EBUSY);
        a = fd_close(a);
        assert_ok(updater_root_lock(root, 0, &b));
}

int main(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);

        test_links(root);
        test_usable(root);
        test_prune(root);
        test_record(root);
        test_boot(root);
        test_policy(root);
        test_lock(root);
        return 0;
}
