/* SPDX-License-Identifier: Apache-2.0 */

/* What is signed against what this machine is. The metadata itself is src/tuf's to test; that the updater verifies it
 * on its own is tested in tests/systemd, over the bus. */

#include "string-util.h"
#include "tests.h"
#include "tuf-bytes.h"
#include "updater-bus.h"
#include "updater-conf.h"
#include "updater-tests.h"
#include "updater-verify.h"
#include "version.h"

static SignedRelease release(void) {
        return (SignedRelease) { .version = (char *) "1.1.0", .agent.length = MIB(20), .updater.length = MIB(1) };
}

static MachineFacts machine(void) {
        return (MachineFacts) { .current = "1.0.0", .packaging = 3, .disk_free = GIB(1), .disk_reserve = MIB(16) };
}

static void expect(const SignedRelease *r, const MachineFacts *m, UpdateVerdict verdict, const char *word) {
        _cleanup_free_ char *message = NULL;

        assert_se(release_check(r, m, &message) == verdict);
        if (word)
                assert_se(message && strstr(message, word));
        else
                assert_se(!message);
}

static void test_check(void) {
        SignedRelease r = release();
        MachineFacts m = machine();

        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);
        m.current = "1.1.0";
        expect(&r, &m, UPDATE_VERDICT_DOWNGRADE, "1.1.0");
        m.current = "1.2.0";
        expect(&r, &m, UPDATE_VERDICT_DOWNGRADE, "1.2.0");
        m.current = "1.1.0-rc.1";
        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);

        m = machine();
        m.floor = "1.1.0";
        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);
        m.floor = "1.1.1";
        expect(&r, &m, UPDATE_VERDICT_BELOW_FLOOR, "1.1.1");

        m = machine();
        r.floor = (char *) "1.1.0";
        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);
        r.floor = (char *) "1.2.0";
        expect(&r, &m, UPDATE_VERDICT_VERIFICATION_FAILED, "1.2.0");

        r = release();
        r.requires = (char *) "1.0.0";
        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);
        r.requires = (char *) "1.0.1";
        expect(&r, &m, UPDATE_VERDICT_REQUIRES_OTHER, "1.0.1");

        r = release();
        r.requires_packaging = 3;
        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);
        r.requires_packaging = 4;
        expect(&r, &m, UPDATE_VERDICT_REQUIRES_PACKAGING, "4");

        r = release();
        m.denied_usec = 30 * USEC_PER_MINUTE;
        expect(&r, &m, UPDATE_VERDICT_DENYLISTED, "30min");

        m = machine();
        m.pin = "1.1.0";
        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);
        m.pin = "1.0.0";
        expect(&r, &m, UPDATE_VERDICT_PINNED, "1.0.0");
        m.pin = NULL;
        m.pin_unreadable = true;
        expect(&r, &m, UPDATE_VERDICT_PINNED, "read");

        m = machine();
        m.disk_free = MIB(37);
        expect(&r, &m, UPDATE_VERDICT_NONE, NULL);
        m.disk_free = MIB(37) - 1;
        expect(&r, &m, UPDATE_VERDICT_DISK_FULL, "KiB");
}

static void test_order(void) {
        SignedRelease r = release();
        MachineFacts m = machine();

        /* the more fundamental reason is the one that is told */
        m.current = "2.0.0";
        m.floor = "3.0.0";
        m.denied_usec = 1;
        m.disk_free = 0;
        expect(&r, &m, UPDATE_VERDICT_DOWNGRADE, "2.0.0");
        m.current = "1.0.0";
        expect(&r, &m, UPDATE_VERDICT_BELOW_FLOOR, "3.0.0");
}

static void test_refuses_rubbish(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        _cleanup_(tuf_bytes_freep) TufBytes *bytes = NULL;
        _cleanup_(signed_release_freep) SignedRelease *r = NULL;
        _cleanup_free_ char *message = NULL;
        UpdateVerdict verdict = UPDATE_VERDICT_NONE;

        assert_ok(tuf_bytes_new(&bytes));
        assert_ok(tuf_bytes_add(bytes, "timestamp.json", "{}", 2));
        assert_se(release_verify(test_root_get(t), bytes, "1.1.0", &r, &verdict, &message) == 1);
        assert_se(verdict == (fleet_trusted_root_size > 0 ? UPDATE_VERDICT_VERIFICATION_FAILED :
                                                            UPDATE_VERDICT_NO_TRUSTED_ROOT));
        assert_se(!isempty(message) && !r);
        assert_se((trusted_root_version(test_root_get(t)) > 0) == (fleet_trusted_root_size > 0));
}

static void test_error_names(void) {
        static const struct {
                UpdateVerdict verdict;
                const char *name;
        } cases[] = {
                { UPDATE_VERDICT_DOWNGRADE, "org.fleetagent.Error.Downgrade" },
                { UPDATE_VERDICT_NOT_FOR_US, "org.fleetagent.Error.NotForUs" },
                { UPDATE_VERDICT_NO_TRUSTED_ROOT, "org.fleetagent.Error.NoTrustedRoot" },
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *name = verdict_error_name(cases[i].verdict);
                assert_streq(name, cases[i].name);
        }
}

static void test_conf(void) {
        UpdaterConf c = updater_conf_default();
        const char *text = "[Updater]\nConfirmTimeoutSec=1\nSoakSec=1h\nKeepVersions=1\nDiskReserve=1M\nLogLevel=debug\nNonsense=1\n";

        assert_se(c.confirm_timeout_usec == 180 * USEC_PER_SEC && c.soak_usec == 10 * USEC_PER_SEC && c.keep_versions == 3);
        assert_se(conf_parse_buffer("test", text, strlen(text), updater_conf_items, &c) == 1);
        updater_conf_clamp(&c);
        assert_se(c.confirm_timeout_usec == 5 * USEC_PER_SEC);
        assert_se(c.soak_usec == 10 * USEC_PER_MINUTE);
        assert_se(c.keep_versions == 2 && c.disk_reserve == MIB(1));
}

int main(void) {
        test_check();
        test_order();
        test_refuses_rubbish();
        test_error_names();
        test_conf();
        return 0;
}
