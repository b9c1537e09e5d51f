/* SPDX-License-Identifier: Apache-2.0 */

#include "tests.h"
#include "updater-denylist.h"
#include "updater-revive.h"
#include "updater-tests.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define T1 "11111111111111111111111111111111"
#define T2 "22222222222222222222222222222222"
#define T3 "33333333333333333333333333333333"
#define T4 "44444444444444444444444444444444"
#define H USEC_PER_HOUR
#define NOW (1000000 * H)

static void test_grows(void) {
        _cleanup_(denylist_freep) Denylist *d = NULL;

        assert_ok(denylist_new(&d));
        assert_se(denylist_remaining(d, DIGEST, NOW) == 0);
        assert_se(denylist_strike(d, DIGEST, T1, NOW) == 1);
        assert_se(denylist_remaining(d, DIGEST, NOW) == H);
        assert_se(denylist_remaining(d, OTHER, NOW) == 0);
        assert_se(denylist_strike(d, DIGEST, T1, NOW + 1) == 0); /* told twice, counted once */
        assert_se(denylist_remaining(d, DIGEST, NOW + H - 1) == 1);
        assert_se(denylist_remaining(d, DIGEST, NOW + H) == 0);

        assert_se(denylist_strike(d, DIGEST, T2, NOW + 2 * H) == 1);
        assert_se(denylist_remaining(d, DIGEST, NOW + 2 * H) == 4 * H);
        assert_se(denylist_strike(d, DIGEST, T3, NOW + 10 * H) == 1);
        assert_se(denylist_remaining(d, DIGEST, NOW + 10 * H) == 24 * H);
        assert_se(denylist_strike(d, DIGEST, T4, NOW + 50 * H) == 1);
        assert_se(denylist_remaining(d, DIGEST, NOW + 50 * H) == 24 * H); /* never for good */
}

static void test_clock(void) {
        _cleanup_(denylist_freep) Denylist *d = NULL;

        assert_ok(denylist_new(&d));
        assert_ok(denylist_strike(d, DIGEST, T1, NOW));
        assert_se(denylist_remaining(d, DIGEST, NOW - 1000 * H) == H); /* back: not longer than its length */
        assert_se(denylist_remaining(d, DIGEST, NOW + 1000 * H) == 0);
}

static void test_lift(void) {
        _cleanup_(denylist_freep) Denylist *d = NULL;

        assert_ok(denylist_new(&d));
        assert_se(denylist_lift(d, DIGEST, NOW) == 0);
        assert_ok(denylist_strike(d, DIGEST, T1, NOW));
        assert_se(denylist_lift(d, DIGEST, NOW + 1) == 1);
        assert_se(denylist_remaining(d, DIGEST, NOW + 1) == 0);
        assert_ok(denylist_strike(d, DIGEST, T2, NOW + 2)); /* it failed again, and that counts */
        assert_se(denylist_remaining(d, DIGEST, NOW + 2) == 4 * H);
        assert_error(denylist_lift(d, DIGEST, NOW + 3), EAGAIN); /* once per hour */
        assert_se(denylist_remaining(d, DIGEST, NOW + 3) > 0);
        assert_se(denylist_lift(d, DIGEST, NOW + 1 + H) == 1);
}

static void test_bounded(void) {
        _cleanup_(denylist_freep) Denylist *d = NULL;
        char digest[SHA256_HEX_MAX];

        assert_ok(denylist_new(&d));
        for (unsigned i = 0; i < 3 * DENYLIST_MAX; i++) {
                snprintf(digest, sizeof(digest), "%064x", i);
                assert_se(denylist_strike(d, digest, T1, NOW + i) == 1);
        }
        assert_se(denylist_size(d) == DENYLIST_MAX);
        assert_se(denylist_remaining(d, digest, NOW + 3 * DENYLIST_MAX) > 0);
        snprintf(digest, sizeof(digest), "%064x", 0U);
        assert_se(denylist_remaining(d, digest, NOW + 3 * DENYLIST_MAX) == 0);
        assert_error(denylist_strike(d, "short", T1, NOW), EINVAL);
}

/* A strike of a time when the clock was years ahead: an hour from now on, not from then on. */
static void test_wrong_clock(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        _cleanup_(denylist_freep) Denylist *d = NULL;
        UpdaterRoot *root = test_root_get(t);
        usec_t begin = now(CLOCK_REALTIME);

        assert_ok(denylist_new(&d));
        assert_ok(denylist_strike(d, DIGEST, T1, usec_add(begin, 10 * 365 * USEC_PER_DAY)));
        assert_ok(denylist_save(root, d));
        for (unsigned i = 0; i < 2; i++) { /* the second time from what was saved */
                d = denylist_free(d);
                assert_ok(denylist_load(root, &d));
                assert_se(denylist_remaining(d, DIGEST, begin) > 0);
                assert_se(denylist_remaining(d, DIGEST, usec_add(now(CLOCK_REALTIME), H)) == 0);
        }
}

static void test_files(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        _cleanup_(denylist_freep) Denylist *d = NULL;
        UpdaterRoot *root = test_root_get(t);
        usec_t realtime = now(CLOCK_REALTIME);

        assert_ok(denylist_load(root, &d));
        assert_ok(denylist_strike(d, DIGEST, T1, realtime));
        assert_ok(denylist_strike(d, OTHER, T1, realtime));
        assert_ok(denylist_lift(d, OTHER, realtime));
        assert_ok(denylist_save(root, d));
        d = denylist_free(d);
        assert_ok(denylist_load(root, &d));
        assert_se(denylist_size(d) == 2);
        assert_se(denylist_remaining(d, DIGEST, realtime) == H);
        assert_se(denylist_remaining(d, OTHER, realtime) == 0);
        assert_se(denylist_lift(d, DIGEST, realtime) == 1);

        const char *const bad[] = {
                "entry0=x\n# end\n",
                "entry0=" DIGEST " " T1 " 0 1 no 0\n# end\n",
                "entry0=" DIGEST " " T1 " 1 1 perhaps 0\n# end\n",
                "entry0=" DIGEST " " T1 " 1 1 no\n# end\n",
                "entry0=" DIGEST " " T1 " 1 1 no 0\nentry1=" DIGEST " " T1 " 1 1 no 0\n# end\n",
        };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(state_file_freep) StateFile *s = NULL;
                _cleanup_(denylist_freep) Denylist *e = NULL;
                assert_ok(state_file_parse(bad[i], strlen(bad[i]), &s));
                assert_error(denylist_from_state(s, &e), EBADMSG);
        }
}

static void test_pauses(void) {
        assert_se(revive_pause(0) == 0);
        for (unsigned i = 1; i < 100; i++) {
                assert_se(revive_pause(i) >= 5 * USEC_PER_SEC && revive_pause(i) <= 10 * USEC_PER_MINUTE);
                assert_se(revive_pause(i + 1) >= revive_pause(i));
        }
}

int main(void) {
        test_grows();
        test_clock();
        test_lift();
        test_bounded();
        test_files();
        test_wrong_clock();
        test_pauses();
        return 0;
}
