/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc-util.h"
#include "string-util.h"
#include "tuf-release.h"
#include "tuf-tests.h"

static TufMetadata *targets_of(TestRepo *t) {
        TufMetadata *m;

        test_repo_make(t, TUF_ROLE_TARGETS);
        assert_se(tuf_metadata_parse(
                                  TUF_ROLE_TARGETS, t->texts[TUF_ROLE_TARGETS].data,
                                  t->texts[TUF_ROLE_TARGETS].size, &m, NULL) == 0);
        return m;
}

/* Changes custom of one file of release 1.1.0 (or of both), then wants this outcome. */
static void expect_edit(const char *file, const char *key, json_t *value, int outcome, const char *part) {
        static const char *const files[] = { "agent", "updater" };
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        _cleanup_(tuf_release_freep) TufRelease *release = NULL;
        _cleanup_json_ _unused_ json_t *holder = value;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *why = NULL;

        test_repo_init(&t);
        test_repo_add_release(&t, "1.1.0", "x86_64");
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                if (file && !streq(file, files[i]))
                        continue;
                _cleanup_free_ char *path = strjoinf("agent/1.1.0/linux-x86_64/%s", files[i]);
                json_t *target = json_object_get(
                                json_object_get(json_object_get(t.targets, "signed"), "targets"), path);
                if (!key)
                        json_object_del(target, "custom");
                else if (value)
                        json_object_set(json_object_get(target, "custom"), key, value);
                else
                        json_object_del(json_object_get(target, "custom"), key);
        }
        m = targets_of(&t);
        int r = tuf_release_find(m, "1.1.0", "x86_64", &release, &why);
        if (r != outcome || (outcome > 0 && !strstr(strempty(why), part)))
                fprintf(stderr, "%d instead of %d: '%s', expected '%s'\n", r, outcome, strna(why),
                        strna(part));
        assert_se(r == outcome && (outcome == 0) == (release != NULL));
        assert_se(outcome == 0 || strstr(why, part));
}

static void test_custom(void) {
        expect_edit(NULL, "version", json_string("1.1.0"), 0, NULL);
        expect_edit(NULL, "x-unknown", json_pack("[i]", 1), 0, NULL);
        expect_edit(NULL, "requires", json_string("1.0.0"), 0, NULL);
        expect_edit(NULL, "floor", json_string("1.1.0"), 0, NULL);
        expect_edit(NULL, "requires_packaging", json_integer(0), 0, NULL);
        expect_edit(NULL, "severity", json_string("security"), 0, NULL);

        expect_edit("agent", NULL, NULL, TUF_MALFORMED, "no \"custom\"");
        expect_edit(NULL, "product", NULL, TUF_MALFORMED, "custom.product");
        expect_edit(NULL, "version", NULL, TUF_MALFORMED, "custom.version");
        expect_edit(NULL, "version", json_integer(1), TUF_MALFORMED, "custom.version");
        expect_edit(NULL, "version", json_string("1.1"), TUF_MALFORMED, "no version");
        expect_edit(NULL, "arch", NULL, TUF_MALFORMED, "custom.arch");
        expect_edit(NULL, "os", json_string(""), TUF_MALFORMED, "custom.os");
        expect_edit(NULL, "requires", json_string("one"), TUF_MALFORMED, "custom.requires");
        expect_edit(NULL, "floor", json_true(), TUF_MALFORMED, "custom.floor");
        expect_edit(NULL, "floor", json_string("1.1.1"), TUF_MALFORMED, "above the version");
        expect_edit(NULL, "requires_packaging", json_string("2"), TUF_MALFORMED, "requires_packaging");
        expect_edit(NULL, "requires_packaging", json_integer(-2), TUF_MALFORMED, "requires_packaging");
        expect_edit(NULL, "requires_packaging", json_integer(INT64_C(1) << 40), TUF_MALFORMED,
                    "requires_packaging");
        expect_edit(NULL, "severity", json_string("a\nb"), TUF_MALFORMED, "custom.severity");

        /* what it says of itself must be what its path says, and both files must agree */
        expect_edit(NULL, "version", json_string("1.2.0"), TUF_MALFORMED, "says of itself");
        expect_edit(NULL, "arch", json_string("aarch64"), TUF_MALFORMED, "says of itself");
        expect_edit(NULL, "os", json_string("plan9"), TUF_MALFORMED, "says of itself");
        expect_edit(NULL, "product", json_string("gateway"), TUF_MALFORMED, "says of itself");
        expect_edit("updater", "floor", json_string("1.0.0"), TUF_MALFORMED, "do not agree");
        expect_edit("updater", "version", json_string("1.0.0"), TUF_MALFORMED, "do not agree");
        expect_edit("agent", "requires_packaging", json_integer(2), TUF_MALFORMED, "do not agree");
}

static void test_find(void) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        _cleanup_(tuf_release_freep) TufRelease *release = NULL, *none = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ char *why = NULL, *path = NULL;

        test_repo_init(&t);
        test_repo_add_release(&t, "1.1.0", "x86_64");
        test_repo_add_target(&t, "agent/1.2.0/linux-x86_64/agent", "half", NULL);
        m = targets_of(&t);

        assert_se(tuf_release_find(m, "1.1.0", "x86_64", &release, NULL) == 0);
        assert_streq(release->agent->path, "agent/1.1.0/linux-x86_64/agent");
        assert_streq(release->updater->path, "agent/1.1.0/linux-x86_64/updater");
        assert_se(release->agent->length == 5 && release->updater->length == 7);
        assert_se(!release->requires && !release->floor && release->requires_packaging == 0);

        assert_se(tuf_release_find(m, "1.1.0", "aarch64", &none, &why) == TUF_NOT_FOUND);
        assert_se(strstr(why, "no signed release 1.1.0 for linux-aarch64"));
        assert_se(tuf_release_find(m, "1.3.0", "x86_64", &none, NULL) == TUF_NOT_FOUND);
        static const char *const hostile[] = { "", "../1.1.0", "1.1.0/linux-x86_64/agent", "1.1", "v1.1.0" };
        for (size_t i = 0; i < ELEMENTSOF(hostile); i++) {
                assert_se(tuf_release_find(m, hostile[i], "x86_64", &none, NULL) == TUF_NOT_FOUND);
                assert_error(tuf_release_target_path(hostile[i], "linux", "x86_64", "agent", &path), EINVAL);
        }
        assert_se(tuf_release_find(m, "1.1.0", "../x86_64", &none, NULL) == TUF_NOT_FOUND);
        free(TAKE_PTR(why));
        assert_se(tuf_release_find(m, "1.2.0", "x86_64", &none, &why) == TUF_MALFORMED);
        assert_se(strstr(why, "lacks its updater"));
        assert_ok(tuf_release_target_path("1.1.0", "linux", "x86_64", "agent", &path));
        assert_streq(path, "agent/1.1.0/linux-x86_64/agent");
}

static void test_list(void) {
        static const char *const expected[] = { "1.9.0 aarch64", "1.9.0 x86_64", "1.10.0-rc.1 x86_64",
                                                "1.10.0 x86_64" };
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL, *empty = NULL;
        _cleanup_strv_free_ char **problems = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        TufRelease **releases;
        size_t n;

        test_repo_init(&t);
        empty = targets_of(&t);
        assert_ok(tuf_release_list(empty, &releases, &n, &problems));
        assert_se(n == 0 && !problems);
        tuf_release_list_free(releases, n);

        test_repo_add_release(&t, "1.10.0", "x86_64");
        test_repo_add_release(&t, "1.9.0", "x86_64");
        test_repo_add_release(&t, "1.9.0", "aarch64");
        test_repo_add_release(&t, "1.10.0-rc.1", "x86_64");
        test_repo_add_target(&t, "agent/2.0.0/linux-x86_64/agent", "half", NULL);
        test_repo_add_target(&t, "agent/latest", "odd", NULL);
        test_repo_add_target(&t, "other/file", "not ours", NULL);
        m = targets_of(&t);
        assert_ok(tuf_release_list(m, &releases, &n, &problems));
        assert_se(n == ELEMENTSOF(expected));
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = strjoinf("%s %s", releases[i]->version, releases[i]->arch);
                assert_streq(text, expected[i]);
        }
        assert_se(strv_length(problems) == 2);
        assert_se(strstr(problems[0], "2.0.0") && strstr(problems[1], "agent/latest"));
        tuf_release_list_free(releases, n);
        assert_ok(tuf_release_list(m, &releases, &n, NULL));
        tuf_release_list_free(releases, n);
}

static void check_key_file(const char *text, const char *passphrase, int outcome) {
        _cleanup_(tuf_secret_key_freep) TufSecretKey *k = NULL;
        _cleanup_free_ char *why = NULL;

        int r = tuf_secret_key_parse(text, strlen(text), passphrase, &k, &why);
        if (r != outcome)
                fprintf(stderr, "%d instead of %d: %s\n", r, outcome, strna(why));
        assert_se(r == outcome && (r == 0) == (k != NULL) && (r > 0) == (why != NULL));
}

static void test_key_files(void) {
        _cleanup_(tuf_secret_key_freep) TufSecretKey *k = NULL, *again = NULL, *other = NULL;
        _cleanup_(tuf_key_freep) TufKey *public = NULL;
        _cleanup_free_ char *plain = NULL, *sealed = NULL, *pub = NULL, *sig = NULL, *other_plain = NULL;

        assert_ok(tuf_secret_key_generate(&k));
        assert_ok(tuf_secret_key_generate(&other));
        assert_ok(tuf_secret_key_format(k, NULL, &plain));
        assert_ok(tuf_secret_key_format(other, NULL, &other_plain));
        assert_ok(tuf_secret_key_format(k, "correct horse", &sealed));
        assert_ok(tuf_public_key_format(tuf_secret_key_public(k), &pub));
        assert_se(!strstr(sealed, "\"secret\"") && !strstr(pub, "\"sealed\"") && !strstr(pub, "\"secret\""));

        check_key_file(plain, NULL, 0);
        check_key_file(plain, "whatever", 0);
        check_key_file(sealed, "correct horse", 0);
        check_key_file(sealed, "wrong horse", -EKEYREJECTED);
        check_key_file(sealed, NULL, -ENOKEY);
        check_key_file(pub, NULL, TUF_NOT_FOUND);
        check_key_file("", NULL, TUF_MALFORMED);
        check_key_file("{}", NULL, TUF_MALFORMED);
        check_key_file("{\"type\": \"fleet-release-key\"}", NULL, TUF_MALFORMED);

        assert_se(tuf_secret_key_parse(sealed, strlen(sealed), "correct horse", &again, NULL) == 0);
        assert_streq(tuf_secret_key_public(again)->keyid, tuf_secret_key_public(k)->keyid);
        assert_ok(tuf_secret_key_sign(again, "abc", 3, &sig));
        assert_se(tuf_key_verify(tuf_secret_key_public(k), sig, "abc", 3) == 1);
        assert_se(tuf_key_verify(tuf_secret_key_public(k), sig, "abd", 3) == 0);
        assert_se(tuf_key_verify(tuf_secret_key_public(other), sig, "abc", 3) == 0);
        sig[0] = sig[0] == '0' ? '1' : '0';
        assert_se(tuf_key_verify(tuf_secret_key_public(k), sig, "abc", 3) == 0);
        assert_se(tuf_key_verify(tuf_secret_key_public(k), "", "abc", 3) == 0);

        assert_se(tuf_public_key_parse(pub, strlen(pub), &public, NULL) == 0);
        assert_se(tuf_key_same_material(public, tuf_secret_key_public(k)) &&
                  streq(public->keyid, tuf_secret_key_public(k)->keyid));
        tuf_key_free(public);
        assert_se(tuf_public_key_parse(sealed, strlen(sealed), &public, NULL) ==
                  0); /* no passphrase needed */

        /* every single damaged digit of the file is noticed, or changes nothing that counts */
        size_t size = strlen(plain);
        for (size_t i = 0; i < size; i++) {
                _cleanup_(tuf_secret_key_freep) TufSecretKey *damaged = NULL;
                char saved = plain[i];

                plain[i] = saved == '0' ? '1' : '0';
                if (plain[i] != saved && tuf_secret_key_parse(plain, size, NULL, &damaged, NULL) == 0)
                        assert_se(tuf_key_same_material(
                                        tuf_secret_key_public(damaged), tuf_secret_key_public(k)));
                plain[i] = saved;
        }

        /* the secret of one key with the public half of another */
        _cleanup_json_ json_t *mixed = NULL, *source = NULL;
        assert_ok(json_parse(plain, size, 65536, &mixed, NULL));
        assert_ok(json_parse(other_plain, strlen(other_plain), 65536, &source, NULL));
        assert_se(json_object_set(mixed, "secret", json_object_get(source, "secret")) >= 0);
        _cleanup_free_ char *text = json_format(mixed, true);
        check_key_file(text, NULL, TUF_MALFORMED);
}

static void test_signer(void) {
        _cleanup_json_ json_t *envelope = NULL;
        _cleanup_(test_repo_done) TestRepo t;
        TufRootSpec spec = { .version = 1, .expires_usec = TEST_NOW };
        uint8_t hash[SHA256_SIZE] = {};

        test_repo_init(&t);
        envelope = test_repo_envelope(&t, TUF_ROLE_TARGETS);
        assert_se(json_array_size(json_object_get(envelope, "signatures")) == 1);
        assert_ok(tuf_envelope_sign(envelope, t.keys[TUF_ROLE_TARGETS])); /* again: replaced, not added */
        assert_se(json_array_size(json_object_get(envelope, "signatures")) == 1);
        assert_ok(tuf_envelope_sign(envelope, t.keys[5]));
        assert_se(json_array_size(json_object_get(envelope, "signatures")) == 2);
        assert_ok(tuf_build_targets_set(
                        envelope, "a/b", 1, hash, NULL)); /* a change makes signatures void */
        assert_se(json_array_size(json_object_get(envelope, "signatures")) == 0);
        assert_error(tuf_build_targets_set(envelope, "../b", 1, hash, NULL), EINVAL);
        assert_error(tuf_build_targets_set(envelope, "a/b", UINT64_MAX, hash, NULL), EINVAL);

        json_t *none;
        assert_error(tuf_build_root(&spec, &none), EINVAL); /* roles without keys */
        assert_error(tuf_build_targets(0, TEST_NOW, &none), ERANGE);
        assert_error(tuf_build_targets(UINT64_C(1) << 63, TEST_NOW, &none), ERANGE);
}

static void test_outcomes(void) {
        for (int i = 0; i < _TUF_OUTCOME_MAX; i++) {
                assert_se(tuf_outcome_to_string((TufOutcome) i));
                assert_se(tuf_outcome_from_string(tuf_outcome_to_string((TufOutcome) i)) == (TufOutcome) i);
        }
        assert_se(!tuf_outcome_to_string(_TUF_OUTCOME_MAX) && !tuf_outcome_to_string(_TUF_OUTCOME_INVALID));
        assert_se(tuf_outcome_from_string("x") == _TUF_OUTCOME_INVALID);
}

int main(void) {
        test_outcomes();
        test_custom();
        test_find();
        test_list();
        test_key_files();
        test_signer();
        return 0;
}
