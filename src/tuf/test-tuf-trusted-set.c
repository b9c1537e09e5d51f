/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"
#include "tuf-signatures.h"
#include "tuf-tests.h"
#include "tuf-trusted-set.h"

#define LATER (TEST_NOW + USEC_PER_DAY)

static void expect(int r, int outcome, char **why, const char *part) {
        _cleanup_free_ char *text = TAKE_PTR(*why);

        if (r != outcome || (outcome > 0 && (!text || !strstr(text, part))))
                fprintf(stderr, "%d instead of %d: '%s', expected '%s'\n", r, outcome, strna(text), part);
        assert_se(r == outcome);
        assert_se(outcome <= 0 || (text && strstr(text, part)));
}

/* A set with the first root of t, roots finished. */
static TufTrustedSet *begin(const TestRepo *t, usec_t reference) {
        TufTrustedSet *s;

        assert_ok(tuf_trusted_set_new(reference, &s));
        assert_se(tuf_trusted_set_load_root(
                                  s, t->texts[TUF_ROLE_ROOT].data, t->texts[TUF_ROLE_ROOT].size, NULL) == 0);
        assert_se(tuf_trusted_set_finish_root(s, NULL) == 0);
        return s;
}

static int feed(TufTrustedSet *s, const TestRepo *t, TufRole role, char **why) {
        const TestText *text = t->texts + role;
        bool changed;

        switch (role) {
        case TUF_ROLE_ROOT:
                return tuf_trusted_set_update_root(s, text->data, text->size, why);
        case TUF_ROLE_TIMESTAMP:
                return tuf_trusted_set_update_timestamp(s, text->data, text->size, &changed, why);
        case TUF_ROLE_SNAPSHOT:
                return tuf_trusted_set_update_snapshot(s, text->data, text->size, why);
        default:
                return tuf_trusted_set_update_targets(s, text->data, text->size, why);
        }
}

/* Everything before role is accepted, role itself gives outcome. */
static void expect_at(const TestRepo *t, usec_t reference, TufRole role, int outcome, const char *part) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = begin(t, reference);
        _cleanup_free_ char *why = NULL;

        for (int before = TUF_ROLE_TIMESTAMP; before < (int) role; before++)
                assert_se(feed(s, t, (TufRole) before, NULL) == 0);
        expect(feed(s, t, role, &why), outcome, &why, part);
        /* what is refused changes nothing */
        assert_se((tuf_trusted_set_get(s, role) != NULL) == (outcome == 0));
}

static void test_order(void) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        bool changed;

        test_repo_init(&t);
        assert_ok(tuf_trusted_set_new(TEST_NOW, &s));
        assert_error(feed(s, &t, TUF_ROLE_ROOT, NULL), EINVAL);
        assert_error(tuf_trusted_set_finish_root(s, NULL), EINVAL);
        assert_se(tuf_trusted_set_load_root(s, t.texts[0].data, t.texts[0].size, NULL) == 0);
        assert_error(tuf_trusted_set_load_root(s, t.texts[0].data, t.texts[0].size, NULL), EINVAL);
        assert_error(feed(s, &t, TUF_ROLE_TIMESTAMP, NULL), EINVAL); /* roots first */
        assert_se(tuf_trusted_set_finish_root(s, NULL) == 0);
        assert_error(feed(s, &t, TUF_ROLE_ROOT, NULL), EINVAL); /* too late */
        assert_error(feed(s, &t, TUF_ROLE_SNAPSHOT, NULL), EINVAL);
        assert_se(tuf_trusted_set_update_timestamp(
                                  s, t.texts[TUF_ROLE_TIMESTAMP].data, t.texts[TUF_ROLE_TIMESTAMP].size,
                                  &changed, NULL) == 0);
        assert_se(changed);
        assert_error(feed(s, &t, TUF_ROLE_TARGETS, NULL), EINVAL);
        assert_se(tuf_trusted_set_expires_usec(s) == 0);
        assert_se(feed(s, &t, TUF_ROLE_SNAPSHOT, NULL) == 0);
        assert_se(feed(s, &t, TUF_ROLE_TARGETS, NULL) == 0);
        assert_error(feed(s, &t, TUF_ROLE_TARGETS, NULL), EINVAL);
        assert_se(tuf_trusted_set_expires_usec(s) == t.expires[TUF_ROLE_ROOT]); /* the earliest */
        assert_se(tuf_trusted_set_reference_usec(s) == TEST_NOW);
}

static void test_expiry(void) {
        for (int role = TUF_ROLE_TIMESTAMP; role < _TUF_ROLE_MAX; role++) {
                _cleanup_(test_repo_done) TestRepo t;

                test_repo_init(&t);
                t.expires[role] = LATER;
                test_repo_make_all(&t);
                expect_at(&t, LATER - 1, (TufRole) role, 0, NULL);
                expect_at(&t, LATER, (TufRole) role, TUF_EXPIRED,
                          "expired on"); /* at that very moment it is over */
        }

        /* root: an expired one may be loaded and followed, but not be the last */
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *why = NULL;
        test_repo_init(&t);
        t.expires[TUF_ROLE_ROOT] = LATER;
        test_repo_make(&t, TUF_ROLE_ROOT);
        assert_ok(tuf_trusted_set_new(LATER, &s));
        assert_se(tuf_trusted_set_load_root(s, t.texts[0].data, t.texts[0].size, NULL) == 0);
        t.versions[TUF_ROLE_ROOT] = 2;
        test_repo_make(&t, TUF_ROLE_ROOT);
        assert_se(feed(s, &t, TUF_ROLE_ROOT, NULL) == 0); /* expired in between is fine */
        expect(tuf_trusted_set_finish_root(s, &why), TUF_EXPIRED, &why, "root version 2 expired");
        t.versions[TUF_ROLE_ROOT] = 3;
        t.expires[TUF_ROLE_ROOT] = LATER + 1000000;
        test_repo_make(&t, TUF_ROLE_ROOT);
        assert_se(feed(s, &t, TUF_ROLE_ROOT, NULL) == 0);
        assert_se(tuf_trusted_set_finish_root(s, NULL) == 0);
}

static void test_signatures(void) {
        for (int role = TUF_ROLE_TIMESTAMP; role < _TUF_ROLE_MAX; role++) {
                _cleanup_(test_repo_done) TestRepo t;
                TestText good;

                test_repo_init(&t);

                /* by somebody else's key */
                t.roles[role].keys[0] = 7;
                test_repo_make(&t, (TufRole) role);
                for (int above = role - 1; above >= TUF_ROLE_TIMESTAMP; above--)
                        test_repo_make(&t, (TufRole) above); /* so that the hashes fit */
                expect_at(&t, TEST_NOW, (TufRole) role, TUF_BAD_SIGNATURE, "0 good signatures");

                /* two needed, one there; then two */
                t.roles[role].n = 2;
                t.roles[role].keys[0] = (unsigned) role;
                t.roles[role].keys[1] = 6;
                t.roles[role].threshold = 2;
                test_repo_make_all(&t);
                expect_at(&t, TEST_NOW, (TufRole) role, 0, NULL);
                t.roles[role].n = 1;
                test_repo_make(&t, (TufRole) role);
                for (int above = role - 1; above >= TUF_ROLE_TIMESTAMP; above--)
                        test_repo_make(&t, (TufRole) above);
                expect_at(&t, TEST_NOW, (TufRole) role, TUF_BAD_SIGNATURE, "1 good signature by");

                /* one bit of the content */
                t.roles[role].threshold = 1;
                test_repo_make_all(&t);
                good = t.texts[role];
                char *at = strstr(good.data, "2030-01-");
                assert_se(at);
                at[3] = '1';
                t.texts[role] = good;
                for (int above = role - 1; above >= TUF_ROLE_TIMESTAMP; above--)
                        test_repo_make(&t, (TufRole) above);
                expect_at(&t, TEST_NOW, (TufRole) role, TUF_BAD_SIGNATURE, "0 good signatures");
        }
}

/* Unknown keyids, empty and bad signatures beside a good one are ignored. */
static void test_rubbish_signatures(void) {
        static const char *const rubbish[] = { "", "00", "zz", "abc" };
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        json_t *envelope = test_repo_envelope(&t, TUF_ROLE_TIMESTAMP),
               *list = json_object_get(envelope, "signatures");
        for (size_t i = 0; i < ELEMENTSOF(rubbish); i++) {
                json_array_insert_new(
                                list, 0,
                                json_pack("{s:s, s:s}", "keyid", tuf_secret_key_public(t.keys[3 + i])->keyid,
                                          "sig", rubbish[i]));
                json_array_insert_new(list, 0, json_pack("{s:s, s:s}", "keyid", rubbish[i], "sig", "00"));
        }
        free(t.texts[TUF_ROLE_TIMESTAMP].data);
        assert_ok(tuf_envelope_format(
                        envelope, &t.texts[TUF_ROLE_TIMESTAMP].data, &t.texts[TUF_ROLE_TIMESTAMP].size));
        json_decref(envelope);
        expect_at(&t, TEST_NOW, TUF_ROLE_TIMESTAMP, 0, NULL);
}

/* A root in which the same public key stands under two keyids, both right, and a role wants two
 * signatures. */
static void test_same_key_twice(void) {
        _cleanup_(tuf_metadata_freep) TufMetadata *root = NULL, *timestamp = NULL;
        _cleanup_(tuf_key_freep) TufKey *alias = NULL;
        _cleanup_json_ json_t *other = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *why = NULL, *sig = NULL, *text = NULL;
        size_t size;

        test_repo_init(&t);
        const TufKey *key = tuf_secret_key_public(t.keys[TUF_ROLE_TIMESTAMP]);
        other = json_deep_copy(key->object);
        assert_se(json_object_set_new(other, "x-note", json_string("the same key again")) >= 0);
        assert_se(tuf_key_parse(other, &alias, NULL) == 0);
        assert_se(!streq(alias->keyid, key->keyid) && tuf_key_same_material(alias, key));

        json_t *envelope = test_repo_envelope(&t, TUF_ROLE_ROOT),
               *signed_ = json_object_get(envelope, "signed");
        json_t *role = json_object_get(json_object_get(signed_, "roles"), "timestamp");
        json_object_set(json_object_get(signed_, "keys"), alias->keyid, other);
        json_array_append_new(json_object_get(role, "keyids"), json_string(alias->keyid));
        json_object_set_new(role, "threshold", json_integer(2));
        test_repo_set(&t, TUF_ROLE_ROOT, envelope);
        assert_se(tuf_metadata_parse(TUF_ROLE_ROOT, t.texts[0].data, t.texts[0].size, &root, NULL) == 0);

        /* signed under both names */
        envelope = test_repo_envelope(&t, TUF_ROLE_TIMESTAMP);
        assert_se(tuf_metadata_parse(
                                  TUF_ROLE_TIMESTAMP, t.texts[TUF_ROLE_TIMESTAMP].data,
                                  t.texts[TUF_ROLE_TIMESTAMP].size, &timestamp, NULL) == 0);
        assert_ok(tuf_secret_key_sign(
                        t.keys[TUF_ROLE_TIMESTAMP], timestamp->canonical, timestamp->canonical_size, &sig));
        json_array_append_new(
                        json_object_get(envelope, "signatures"),
                        json_pack("{s:s, s:s}", "keyid", alias->keyid, "sig", sig));
        assert_ok(tuf_envelope_format(envelope, &text, &size));
        json_decref(envelope);
        tuf_metadata_free(timestamp);
        assert_se(tuf_metadata_parse(TUF_ROLE_TIMESTAMP, text, size, &timestamp, NULL) == 0);
        assert_se(timestamp->n_signatures == 2);
        assert_se(tuf_signatures_count(root, TUF_ROLE_TIMESTAMP, timestamp) == 1);
        expect(tuf_signatures_verify(root, TUF_ROLE_TIMESTAMP, timestamp, &why), TUF_BAD_SIGNATURE, &why,
               "1 good signature by");
}

/* A key of a scheme that this build does not know counts for nothing, and does no harm. */
static void test_unknown_scheme(void) {
        _cleanup_(tuf_key_freep) TufKey *unknown = NULL;
        _cleanup_json_ json_t *object =
                        json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ecdsa", "scheme", "ecdsa-sha2-nistp256",
                                  "keyval", "public", "-----BEGIN PUBLIC KEY-----\n");
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        assert_se(tuf_key_parse(object, &unknown, NULL) == 0 && !unknown->scheme);
        assert_se(!tuf_key_same_material(unknown, unknown));
        json_t *envelope = test_repo_envelope(&t, TUF_ROLE_ROOT),
               *signed_ = json_object_get(envelope, "signed");
        json_object_set(json_object_get(signed_, "keys"), unknown->keyid, object);
        json_t *role = json_object_get(json_object_get(signed_, "roles"), "timestamp");
        json_array_append_new(json_object_get(role, "keyids"), json_string(unknown->keyid));
        test_repo_set(&t, TUF_ROLE_ROOT, envelope);
        expect_at(&t, TEST_NOW, TUF_ROLE_TIMESTAMP, 0, NULL);

        envelope = test_repo_envelope(&t, TUF_ROLE_ROOT);
        json_object_set_new(
                        json_object_get(json_object_get(json_object_get(envelope, "signed"), "roles"),
                                        "timestamp"),
                        "threshold", json_integer(2));
        test_repo_set(&t, TUF_ROLE_ROOT, envelope);
        json_t *signatures = test_repo_envelope(&t, TUF_ROLE_TIMESTAMP);
        json_array_append_new(
                        json_object_get(signatures, "signatures"),
                        json_pack("{s:s, s:s}", "keyid", unknown->keyid, "sig", "3006020101020101"));
        free(t.texts[TUF_ROLE_TIMESTAMP].data);
        assert_ok(tuf_envelope_format(
                        signatures, &t.texts[TUF_ROLE_TIMESTAMP].data, &t.texts[TUF_ROLE_TIMESTAMP].size));
        json_decref(signatures);
        expect_at(&t, TEST_NOW, TUF_ROLE_TIMESTAMP, TUF_BAD_SIGNATURE, "1 good signature by");
}

static TufTrustedSet *begin_root(const TestText *root) {
        TufTrustedSet *s;

        assert_ok(tuf_trusted_set_new(TEST_NOW, &s));
        assert_se(tuf_trusted_set_load_root(s, root->data, root->size, NULL) == 0);
        return s;
}

static void test_root_rotation(void) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *why = NULL;
        TestText first;

        test_repo_init(&t);
        /* 2 of 3 keys */
        t.roles[TUF_ROLE_ROOT].n = 3;
        t.roles[TUF_ROLE_ROOT].threshold = 2;
        t.roles[TUF_ROLE_ROOT].keys[1] = 4;
        t.roles[TUF_ROLE_ROOT].keys[2] = 5;
        test_repo_make(&t, TUF_ROLE_ROOT);
        first = t.texts[TUF_ROLE_ROOT];
        t.texts[TUF_ROLE_ROOT] = (TestText) {};
        s = begin_root(&first);

        /* same version again, a gap, far ahead */
        t.versions[TUF_ROLE_ROOT] = 1;
        test_repo_make(&t, TUF_ROLE_ROOT);
        expect(feed(s, &t, TUF_ROLE_ROOT, &why), TUF_ROLLBACK, &why, "has to follow");
        t.versions[TUF_ROLE_ROOT] = 3;
        test_repo_make(&t, TUF_ROLE_ROOT);
        expect(feed(s, &t, TUF_ROLE_ROOT, &why), TUF_MIX_AND_MATCH, &why, "has to follow");
        t.versions[TUF_ROLE_ROOT] = TUF_VERSION_MAX;
        test_repo_make(&t, TUF_ROLE_ROOT);
        expect(feed(s, &t, TUF_ROLE_ROOT, &why), TUF_MIX_AND_MATCH, &why, "has to follow");

        /* new keys alone: the old threshold is missing */
        t.versions[TUF_ROLE_ROOT] = 2;
        t.roles[TUF_ROLE_ROOT].keys[0] = 6;
        t.roles[TUF_ROLE_ROOT].keys[1] = 7;
        t.roles[TUF_ROLE_ROOT].n = 2;
        test_repo_make(&t, TUF_ROLE_ROOT);
        expect(feed(s, &t, TUF_ROLE_ROOT, &why), TUF_BAD_SIGNATURE, &why, "role root of root version 1");

        /* ... with one of the old, still too few */
        json_t *envelope = test_repo_envelope(&t, TUF_ROLE_ROOT);
        assert_ok(tuf_envelope_sign(envelope, t.keys[4]));
        free(t.texts[0].data);
        assert_ok(tuf_envelope_format(envelope, &t.texts[0].data, &t.texts[0].size));
        expect(feed(s, &t, TUF_ROLE_ROOT, &why), TUF_BAD_SIGNATURE, &why, "role root of root version 1");
        /* ... with two of them */
        assert_ok(tuf_envelope_sign(envelope, t.keys[5]));
        free(t.texts[0].data);
        assert_ok(tuf_envelope_format(envelope, &t.texts[0].data, &t.texts[0].size));
        assert_se(feed(s, &t, TUF_ROLE_ROOT, NULL) == 0);
        json_decref(envelope);
        assert_se(!tuf_trusted_set_needs_recovery(s));
        tuf_trusted_set_free(s);

        /* signed by the old ones alone: its own threshold is missing */
        s = begin_root(&first);
        envelope = test_repo_envelope(&t, TUF_ROLE_ROOT);
        assert_ok(tuf_envelope_unsign(envelope));
        assert_ok(tuf_envelope_sign(envelope, t.keys[4]));
        assert_ok(tuf_envelope_sign(envelope, t.keys[5]));
        free(t.texts[0].data);
        assert_ok(tuf_envelope_format(envelope, &t.texts[0].data, &t.texts[0].size));
        expect(feed(s, &t, TUF_ROLE_ROOT, &why), TUF_BAD_SIGNATURE, &why, "role root of root version 2");
        json_decref(envelope);
        free(first.data);
}

/* The first root must stand up by itself. */
static void test_first_root(void) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *why = NULL;

        test_repo_init(&t);
        json_t *envelope = test_repo_envelope(&t, TUF_ROLE_ROOT);
        assert_ok(tuf_envelope_unsign(envelope));
        assert_ok(tuf_envelope_sign(envelope, t.keys[5]));
        free(t.texts[0].data);
        assert_ok(tuf_envelope_format(envelope, &t.texts[0].data, &t.texts[0].size));
        json_decref(envelope);
        assert_ok(tuf_trusted_set_new(TEST_NOW, &s));
        expect(tuf_trusted_set_load_root(s, t.texts[0].data, t.texts[0].size, &why), TUF_BAD_SIGNATURE, &why,
               "0 good");
}

static void test_timestamp_rules(void) {
        _cleanup_(test_repo_done) TestRepo t, other;
        _cleanup_free_ char *why = NULL;
        TestText old;
        bool changed;

        test_repo_init(&t);
        t.versions[TUF_ROLE_TIMESTAMP] = 5;
        t.versions[TUF_ROLE_SNAPSHOT] = 3;
        t.expires[TUF_ROLE_TIMESTAMP] = LATER;
        test_repo_make_all(&t);
        old = t.texts[TUF_ROLE_TIMESTAMP];

        static const struct {
                uint64_t version, snapshot;
                usec_t reference;
                int outcome;
                bool changed;
                const char *part;
        } cases[] = {
                { 4, 3, TEST_NOW, TUF_ROLLBACK, false, "timestamp is version 4, but version 5" },
                { 5, 3, TEST_NOW, 0, false, NULL },
                { 6, 3, TEST_NOW, 0, true, NULL },
                { 6, 4, TEST_NOW, 0, true, NULL },
                { 6, 2, TEST_NOW, TUF_ROLLBACK, false, "snapshot version 2, but version 3" },
                /* the stored one has expired: it still protects, and the same version again does not help */
                { 4, 3, LATER, TUF_ROLLBACK, false, "timestamp is version 4" },
                { 5, 3, LATER, TUF_EXPIRED, false, "expired" },
                { 6, 3, LATER, 0, true, NULL },
                { TUF_VERSION_MAX, 3, TEST_NOW, 0, true, NULL },
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = begin(&t, cases[i].reference);

                assert_se(tuf_trusted_set_load_local_timestamp(s, old.data, old.size, NULL) == 0);
                t.texts[TUF_ROLE_TIMESTAMP] = (TestText) {};
                t.versions[TUF_ROLE_TIMESTAMP] = cases[i].version;
                t.versions[TUF_ROLE_SNAPSHOT] = cases[i].snapshot;
                t.expires[TUF_ROLE_TIMESTAMP] = LATER + 5 * USEC_PER_DAY;
                test_repo_make(&t, TUF_ROLE_TIMESTAMP);
                changed = !cases[i].changed;
                int r = tuf_trusted_set_update_timestamp(
                                s, t.texts[TUF_ROLE_TIMESTAMP].data, t.texts[TUF_ROLE_TIMESTAMP].size,
                                &changed, &why);
                expect(r, cases[i].outcome, &why, cases[i].part);
                assert_se(r != 0 || changed == cases[i].changed);
                assert_se(tuf_trusted_set_get(s, TUF_ROLE_TIMESTAMP)->version ==
                          (r == 0 && changed ? cases[i].version : 5));
                free(t.texts[TUF_ROLE_TIMESTAMP].data);
                t.texts[TUF_ROLE_TIMESTAMP] = (TestText) {};
        }
        free(old.data);

        /* a stored one that today's keys do not vouch for is no use */
        test_repo_init(&other);
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = begin(&t, TEST_NOW);
        expect(tuf_trusted_set_load_local_timestamp(
                               s, other.texts[TUF_ROLE_TIMESTAMP].data, other.texts[TUF_ROLE_TIMESTAMP].size,
                               &why),
               TUF_BAD_SIGNATURE, &why, "0 good");
        assert_se(!tuf_trusted_set_get(s, TUF_ROLE_TIMESTAMP));
}

/* Adds or removes an entry of the snapshot, and follows in the timestamp. */
static void set_snapshot_entry(TestRepo *t, const char *name, uint64_t version) {
        json_t *envelope = test_repo_envelope(t, TUF_ROLE_SNAPSHOT);
        json_t *meta = json_object_get(json_object_get(envelope, "signed"), "meta");

        if (version > 0)
                json_object_set_new(meta, name, json_pack("{s:I}", "version", (json_int_t) version));
        else
                json_object_del(meta, name);
        test_repo_set(t, TUF_ROLE_SNAPSHOT, envelope);
        test_repo_make(t, TUF_ROLE_TIMESTAMP);
}

static void test_snapshot_rules(void) {
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *local = NULL;
        size_t local_size;

        test_repo_init(&t);
        t.versions[TUF_ROLE_TARGETS] = 4;
        test_repo_make(&t, TUF_ROLE_TARGETS);
        t.versions[TUF_ROLE_SNAPSHOT] = 2;
        test_repo_make(&t, TUF_ROLE_SNAPSHOT);
        set_snapshot_entry(&t, "rollout.json", 7);
        local_size = t.texts[TUF_ROLE_SNAPSHOT].size;
        local = memdup_suffix0(t.texts[TUF_ROLE_SNAPSHOT].data, local_size);

        static const struct {
                uint64_t targets, rollout;
                int outcome;
                const char *part;
        } cases[] = {
                { 4, 7, 0, NULL },
                { 5, 8, 0, NULL },
                { 5, 0, TUF_ROLLBACK, "does not name rollout.json any more" },
                { 5, 6, TUF_ROLLBACK, "rollout.json version 6, but version 7" },
                { 3, 7, TUF_ROLLBACK, "targets.json version 3, but version 4" },
        };
        t.versions[TUF_ROLE_SNAPSHOT] = 3;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                t.versions[TUF_ROLE_TARGETS] = cases[i].targets;
                test_repo_make(&t, TUF_ROLE_TARGETS);
                test_repo_make(&t, TUF_ROLE_SNAPSHOT);
                set_snapshot_entry(&t, "rollout.json", cases[i].rollout);

                _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = begin(&t, TEST_NOW);
                _cleanup_free_ char *why = NULL;
                /* used although its hash is not the one that the new timestamp names */
                assert_se(tuf_trusted_set_load_local_snapshot(s, local, local_size, NULL) == 0);
                assert_se(feed(s, &t, TUF_ROLE_TIMESTAMP, NULL) == 0);
                assert_se(!tuf_trusted_set_snapshot_is_current(s));
                assert_error(feed(s, &t, TUF_ROLE_TARGETS, NULL), EINVAL);
                expect(feed(s, &t, TUF_ROLE_SNAPSHOT, &why), cases[i].outcome, &why, cases[i].part);
                assert_se(tuf_trusted_set_get(s, TUF_ROLE_SNAPSHOT)->version ==
                          (cases[i].outcome == 0 ? 3 : 2));
        }

        /* the same file as before is current without being fed again, unless it has expired */
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = begin(&t, TEST_NOW);
        t.versions[TUF_ROLE_TARGETS] = 5;
        test_repo_make_all(&t);
        assert_se(tuf_trusted_set_load_local_snapshot(
                                  s, t.texts[TUF_ROLE_SNAPSHOT].data, t.texts[TUF_ROLE_SNAPSHOT].size,
                                  NULL) == 0);
        assert_se(!tuf_trusted_set_snapshot_is_current(s));
        assert_se(feed(s, &t, TUF_ROLE_TIMESTAMP, NULL) == 0);
        assert_se(tuf_trusted_set_snapshot_is_current(s));
        assert_se(feed(s, &t, TUF_ROLE_TARGETS, NULL) == 0);
}

/* Files that are good each by itself, but do not belong together. */
static void test_mix_and_match(void) {
        for (int i = 0; i < 2; i++) {
                _cleanup_(test_repo_done) TestRepo t;
                TufRole role = i == 0 ? TUF_ROLE_SNAPSHOT : TUF_ROLE_TARGETS,
                        above = i == 0 ? TUF_ROLE_TIMESTAMP : TUF_ROLE_SNAPSHOT;
                const char *name = i == 0 ? "snapshot.json" : "targets.json";

                test_repo_init(&t);
                t.expires[role] += USEC_PER_SEC; /* another good file of the same version and length */
                test_repo_make(&t, role);
                expect_at(&t, TEST_NOW, role, TUF_MIX_AND_MATCH, "SHA-256 differs");
                t.expires[role] -= USEC_PER_SEC;

                /* a byte more, white space that no signature covers */
                test_repo_make_all(&t);
                _cleanup_free_ char *longer = strjoinf("%s ", t.texts[role].data);
                free(t.texts[role].data);
                t.texts[role].data = TAKE_PTR(longer);
                t.texts[role].size++;
                expect_at(&t, TEST_NOW, role, TUF_MIX_AND_MATCH, "bytes, but the file");

                /* the hash says sha512 alone */
                test_repo_make_all(&t);
                uint8_t hash[64];
                char hex[2 * 64 + 1];
                for (int good = 0; good < 2; good++) {
                        sha512_bytes(t.texts[role].data, t.texts[role].size, hash);
                        if (!good)
                                hash[63] ^= 1;
                        hex_encode(hash, sizeof(hash), hex);
                        json_t *envelope = test_repo_envelope(&t, above);
                        json_object_set_new(
                                        json_object_get(json_object_get(json_object_get(envelope, "signed"),
                                                                        "meta"),
                                                        name),
                                        "hashes", json_pack("{s:s}", "sha512", hex));
                        test_repo_set(&t, above, envelope);
                        if (above == TUF_ROLE_SNAPSHOT)
                                test_repo_make(&t, TUF_ROLE_TIMESTAMP);
                        expect_at(&t, TEST_NOW, role, good ? 0 : TUF_MIX_AND_MATCH, "SHA-512 differs");
                }

                /* hashes and lengths may be left out; then the version alone must fit */
                json_t *envelope = test_repo_envelope(&t, above);
                json_object_set_new(
                                json_object_get(json_object_get(envelope, "signed"), "meta"), name,
                                json_pack("{s:i}", "version", 2));
                test_repo_set(&t, above, envelope);
                if (above == TUF_ROLE_SNAPSHOT)
                        test_repo_make(&t, TUF_ROLE_TIMESTAMP);
                expect_at(&t, TEST_NOW, role, TUF_MIX_AND_MATCH, "is version 1, but version 2");
        }
}

/* Whoever had the snapshot key drove versions up; a root without that key makes the old files void. */
static void test_fast_forward_recovery(void) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *s = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *local_timestamp = NULL, *local_snapshot = NULL, *why = NULL;
        size_t timestamp_size, snapshot_size;
        TestText first;

        test_repo_init(&t);
        first = (TestText) { memdup_suffix0(t.texts[0].data, t.texts[0].size), t.texts[0].size };
        t.versions[TUF_ROLE_TIMESTAMP] = t.versions[TUF_ROLE_SNAPSHOT] = t.versions[TUF_ROLE_TARGETS] =
                        TUF_VERSION_MAX;
        test_repo_make_all(&t);
        timestamp_size = t.texts[TUF_ROLE_TIMESTAMP].size;
        snapshot_size = t.texts[TUF_ROLE_SNAPSHOT].size;
        local_timestamp = memdup_suffix0(t.texts[TUF_ROLE_TIMESTAMP].data, timestamp_size);
        local_snapshot = memdup_suffix0(t.texts[TUF_ROLE_SNAPSHOT].data, snapshot_size);

        /* without a new root: a rollback */
        t.versions[TUF_ROLE_TIMESTAMP] = t.versions[TUF_ROLE_SNAPSHOT] = t.versions[TUF_ROLE_TARGETS] = 2;
        test_repo_make_all(&t);
        s = begin(&t, TEST_NOW);
        assert_se(tuf_trusted_set_load_local_timestamp(s, local_timestamp, timestamp_size, NULL) == 0);
        expect(feed(s, &t, TUF_ROLE_TIMESTAMP, &why), TUF_ROLLBACK, &why, "timestamp is version 2");
        tuf_trusted_set_free(s);

        /* with one that replaces both keys */
        t.versions[TUF_ROLE_ROOT] = 2;
        t.roles[TUF_ROLE_TIMESTAMP].keys[0] = 6;
        t.roles[TUF_ROLE_SNAPSHOT].keys[0] = 7;
        test_repo_make_all(&t);
        s = begin_root(&first);
        assert_se(feed(s, &t, TUF_ROLE_ROOT, NULL) == 0);
        assert_se(tuf_trusted_set_needs_recovery(s));
        assert_se(tuf_trusted_set_finish_root(s, NULL) == 0);
        expect(tuf_trusted_set_load_local_timestamp(s, local_timestamp, timestamp_size, &why),
               TUF_BAD_SIGNATURE, &why, "0 good");
        expect(tuf_trusted_set_load_local_snapshot(s, local_snapshot, snapshot_size, &why),
               TUF_BAD_SIGNATURE, &why, "0 good");
        for (int role = TUF_ROLE_TIMESTAMP; role < _TUF_ROLE_MAX; role++)
                assert_se(feed(s, &t, (TufRole) role, NULL) == 0);
        free(first.data);
}

int main(void) {
        test_order();
        test_expiry();
        test_signatures();
        test_rubbish_signatures();
        test_same_key_twice();
        test_unknown_scheme();
        test_root_rotation();
        test_first_root();
        test_timestamp_rules();
        test_snapshot_rules();
        test_mix_and_match();
        test_fast_forward_recovery();
        return 0;
}
