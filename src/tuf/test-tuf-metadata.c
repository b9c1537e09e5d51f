/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"
#include "tuf-signatures.h"
#include "tuf-tests.h"

static TufMetadata *parse(TufRole role, const char *text, size_t size) {
        _cleanup_free_ char *why = NULL;
        TufMetadata *m;

        int r = tuf_metadata_parse(role, text, size, &m, &why);
        if (r != 0)
                fprintf(stderr, "%s\n", strna(why));
        assert_se(r == 0);
        return m;
}

static void refuse_text(TufRole role, const char *text, size_t size, TufOutcome outcome, const char *part) {
        _cleanup_free_ char *why = NULL;
        TufMetadata *m = NULL;

        int r = tuf_metadata_parse(role, text, size, &m, &why);
        if (r != (int) outcome || !why || !strstr(why, part))
                fprintf(stderr, "%d instead of %d: '%s', expected '%s'\n", r, (int) outcome, strna(why),
                        part);
        assert_se(r == (int) outcome);
        assert_se(!m && why && strstr(why, part));
}

/* Replaces one piece of the file's text (which must be there) and wants it refused. */
static void
refuse_edit(const TestRepo *t, TufRole role, const char *from, const char *to, const char *part) {
        const char *text = t->texts[role].data, *at = strstr(text, from);

        assert_se(at);
        _cleanup_free_ char *edited = strjoinf("%.*s%s%s", (int) (at - text), text, to, at + strlen(from));
        assert_se(edited);
        refuse_text(role, edited, strlen(edited), TUF_MALFORMED, part);
}

/* Sets one member of "signed" (or of an object below it) and wants the file refused. */
static void
refuse_member(const TestRepo *t,
              TufRole role,
              const char *below,
              const char *key,
              json_t *value,
              const char *part) {
        _cleanup_json_ json_t *envelope = test_repo_envelope(t, role);
        _cleanup_free_ char *text = NULL;
        json_t *o = json_object_get(envelope, "signed");

        _cleanup_free_ char *path = strdup(below);
        char *save;
        for (char *p = strtok_r(path, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
                o = json_object_get(o, p);
                assert_se(o);
        }
        if (value)
                assert_se(json_object_set_new(o, key, value) >= 0);
        else
                assert_se(json_object_del(o, key) >= 0);
        text = json_format(envelope, false);
        refuse_text(role, text, strlen(text), TUF_MALFORMED, part);
}

static void test_well_formed(const TestRepo *t) {
        static const char *const names[] = { "1.root.json", "timestamp.json", "1.snapshot.json",
                                             "1.targets.json" };
        char name[TUF_FILE_NAME_MAX];

        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                _cleanup_(tuf_metadata_freep) TufMetadata *m =
                                parse((TufRole) role, t->texts[role].data, t->texts[role].size);

                assert_se(m->version == 1 && m->expires_usec == t->expires[role]);
                /* raw bytes as they came, canonical form without white space */
                assert_se(m->raw_size == t->texts[role].size &&
                          memcmp(m->raw, t->texts[role].data, m->raw_size) == 0);
                assert_se(!strchr(m->canonical, '\n') && m->canonical_size < m->raw_size);
                assert_se(m->n_signatures == 1);
                assert_streq(tuf_file_name((TufRole) role, 1, name), names[role]);
                assert_se(tuf_role_from_string(tuf_role_to_string((TufRole) role)) == (TufRole) role);
                /* as another role it is refused */
                refuse_text((TufRole) ((role + 1) % _TUF_ROLE_MAX), t->texts[role].data, t->texts[role].size,
                            TUF_MALFORMED, "_type");
        }
        assert_se(tuf_role_from_string("mirrors") == _TUF_ROLE_INVALID);
}

static void test_json(const TestRepo *t) {
        char zeros[2] = {};

        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                TufRole r = (TufRole) role;
                const TestText *text = t->texts + role;

                for (size_t n = 0; n < text->size - 2; n += 7)
                        refuse_text(r, text->data, n, TUF_MALFORMED, "not valid JSON"); /* truncated */
                refuse_edit(t, r, "\"signed\": {", "\"signed\": {\"version\": 1, ", "duplicate");
                refuse_edit(t, r, "\"signed\": {", "\"signed\": {\"\\u0076ersion\": 1, ", "duplicate");
                refuse_edit(t, r, "\"signatures\"", "\"signed\": {}, \"signatures\"", "duplicate");
                refuse_edit(t, r, "\"version\"", "\"vers\xc0\xafion\"",
                            "not valid JSON"); /* overlong UTF-8 */
                refuse_edit(t, r, "\"version\"", "\"vers\\u0000ion\"", "not valid JSON");
                refuse_edit(t, r, "\"signed\": {", "\"signed\": {\"x\": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]],",
                            "nested");
                refuse_edit(t, r, "\"signed\": {", "\"signed\": {\"x\": 1.5,", "no integer");

                _cleanup_free_ char *garbage = strjoinf("%s}", text->data);
                refuse_text(r, garbage, strlen(garbage), TUF_MALFORMED, "not valid JSON");
                refuse_text(r, "[]", 2, TUF_MALFORMED, "object");
                refuse_text(r, zeros, 2, TUF_MALFORMED, "not valid JSON");
                refuse_text(r, "", 0, TUF_MALFORMED, "not valid JSON");

                size_t max = tuf_role_size_max(r);
                _cleanup_free_ char *large = malloc(max + 1);
                memset(large, ' ', max + 1);
                memcpy(large, text->data, text->size);
                _cleanup_(tuf_metadata_freep) TufMetadata *m = parse(r, large, max);
                assert_se(m->raw_size == max);
                refuse_text(r, large, max + 1, TUF_TOO_LARGE, "limit");
        }
}

static void test_header(const TestRepo *t) {
        static const char *const bad_times[] = { "2030-01-01",
                                                 "2030-01-01T00:00:00",
                                                 "2030-02-30T00:00:00Z",
                                                 "2030-01-01T00:00:00.5Z",
                                                 "2030-01-01T00:00:00+00:00",
                                                 "2030-01-01T24:00:00Z",
                                                 "" };
        static const char *const bad_specs[] = { "2.0.0", "1",       "1.",       "1..0",
                                                 "10.0",  "1.0.0.0", "1.0-beta", "" };
        static const char *const good_specs[] = { "1.0", "1.0.31", "1.1" };

        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                TufRole r = (TufRole) role;

                refuse_member(t, r, "", "version", json_integer(0), "version");
                refuse_member(t, r, "", "version", json_integer(-1), "version");
                refuse_member(t, r, "", "version", json_string("1"), "version");
                refuse_member(t, r, "", "version", json_real(7.0), "no integer");
                refuse_member(t, r, "", "version", NULL, "version");
                refuse_edit(t, r, "\"version\": 1,\n    \"expires\"", "\"version\": 7.0,\n    \"expires\"",
                            "no integer");
                refuse_edit(t, r, "\"version\": 1,\n    \"expires\"", "\"version\": 7e0,\n    \"expires\"",
                            "no integer");
                refuse_edit(t, r, "\"version\": 1,\n    \"expires\"",
                            "\"version\": 9223372036854775808,\n    \"expires\"", "not valid JSON");
                refuse_edit(t, r, "\"version\": 1,\n    \"expires\"", "\"version\": 007,\n    \"expires\"",
                            "not valid JSON");
                for (size_t i = 0; i < ELEMENTSOF(bad_times); i++)
                        refuse_member(t, r, "", "expires", json_string(bad_times[i]), "expires");
                refuse_member(t, r, "", "expires", json_integer(2030), "expires");
                for (size_t i = 0; i < ELEMENTSOF(bad_specs); i++)
                        refuse_member(t, r, "", "spec_version", json_string(bad_specs[i]), "spec_version");
                refuse_member(t, r, "", "spec_version", NULL, "spec_version");
        }
        for (size_t i = 0; i < ELEMENTSOF(good_specs); i++) {
                _cleanup_json_ json_t *envelope = test_repo_envelope(t, TUF_ROLE_TIMESTAMP);
                json_object_set_new(
                                json_object_get(envelope, "signed"), "spec_version",
                                json_string(good_specs[i]));
                _cleanup_free_ char *text = json_format(envelope, false);
                tuf_metadata_free(parse(TUF_ROLE_TIMESTAMP, text, strlen(text)));
        }

        /* the highest version there is */
        _cleanup_json_ json_t *envelope = test_repo_envelope(t, TUF_ROLE_TIMESTAMP);
        json_object_set_new(json_object_get(envelope, "signed"), "version", json_integer(INT64_MAX));
        _cleanup_free_ char *text = json_format(envelope, false);
        _cleanup_(tuf_metadata_freep) TufMetadata *m = parse(TUF_ROLE_TIMESTAMP, text, strlen(text));
        assert_se(m->version == TUF_VERSION_MAX);
}

static void test_signatures_member(const TestRepo *t) {
        char id[TUF_KEYID_MAX];

        memset(id, 'a', sizeof(id) - 1);
        id[sizeof(id) - 1] = '\0';
        refuse_edit(t, TUF_ROLE_TIMESTAMP, "\"signatures\": [", "\"x\": [], \"signatures\": {}, \"y\": [",
                    "no array");
        refuse_edit(t, TUF_ROLE_TIMESTAMP, "\"signatures\": [", "\"signatures\": [1,", "keyid and sig");
        refuse_edit(t, TUF_ROLE_TIMESTAMP, "\"sig\": \"", "\"gis\": \"", "keyid and sig");

        _cleanup_json_ json_t *envelope = test_repo_envelope(t, TUF_ROLE_TIMESTAMP);
        json_t *list = json_object_get(envelope, "signatures");
        json_array_append_new(list, json_deep_copy(json_array_get(list, 0)));
        _cleanup_free_ char *twice = json_format(envelope, false);
        refuse_text(TUF_ROLE_TIMESTAMP, twice, strlen(twice), TUF_MALFORMED, "two signatures");

        json_array_clear(list);
        for (unsigned i = 0; i <= TUF_KEYS_MAX; i++)
                json_array_append_new(list, json_pack("{s:s, s:s}", "keyid", id, "sig", ""));
        _cleanup_free_ char *many = json_format(envelope, false);
        refuse_text(TUF_ROLE_TIMESTAMP, many, strlen(many), TUF_MALFORMED, "more than");
}

static void test_root(const TestRepo *t) {
        const char *id = tuf_secret_key_public(t->keys[TUF_ROLE_ROOT])->keyid;
        char other[TUF_KEYID_MAX], upper[TUF_KEYID_MAX];

        memcpy(other, id, sizeof(other));
        other[0] = other[0] == '0' ? '1' : '0';
        _cleanup_free_ char *member = strjoinf("\"%s\": {", id), *wrong = strjoinf("\"%s\": {", other);
        refuse_edit(t, TUF_ROLE_ROOT, member, wrong, "does not have the id");
        for (size_t i = 0; i < sizeof(upper); i++)
                upper[i] = id[i] >= 'a' && id[i] <= 'f' ? (char) (id[i] - 32) : id[i];
        refuse_member(t, TUF_ROLE_ROOT, "roles root", "keyids", json_pack("[s]", upper),
                      strpbrk(id, "abcdef") ? "no SHA-256" : "");

        refuse_member(t, TUF_ROLE_ROOT, "", "consistent_snapshot", json_false(), "consistent_snapshot");
        refuse_member(t, TUF_ROLE_ROOT, "", "consistent_snapshot", NULL, "consistent_snapshot");
        refuse_member(t, TUF_ROLE_ROOT, "", "keys", json_array(), "keys");
        refuse_member(t, TUF_ROLE_ROOT, "roles", "snapshot", NULL, "role snapshot");
        refuse_member(t, TUF_ROLE_ROOT, "roles targets", "threshold", json_integer(0), "threshold");
        refuse_member(t, TUF_ROLE_ROOT, "roles targets", "threshold", json_integer(-1), "threshold");
        refuse_member(t, TUF_ROLE_ROOT, "roles targets", "threshold", json_string("1"), "threshold");
        refuse_member(t, TUF_ROLE_ROOT, "roles targets", "threshold", json_true(), "threshold");
        refuse_member(t, TUF_ROLE_ROOT, "roles targets", "keyids", json_pack("[s, s]", id, id), "twice");
        refuse_member(t, TUF_ROLE_ROOT, "roles targets", "keyids", json_pack("[i]", 1), "no SHA-256");
        refuse_member(t, TUF_ROLE_ROOT, "roles targets", "keyids", json_string(id), "keyids");

        /* a key that is none: each has its right id, so that only its content is at fault */
        static const char *const bad_publics[] = { "", "00", "zz" };
        for (size_t i = 0; i < ELEMENTSOF(bad_publics); i++) {
                _cleanup_json_ json_t *key =
                                json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ed25519", "scheme", "ed25519",
                                          "keyval", "public", bad_publics[i]);
                TufKey *k = NULL;
                assert_se(tuf_key_parse(key, &k, NULL) == TUF_MALFORMED && !k);
        }
        refuse_member(t, TUF_ROLE_ROOT, "keys", id, json_object(), "a key needs");
}

static void test_files(const TestRepo *t) {
        refuse_member(t, TUF_ROLE_TIMESTAMP, "meta", "snapshot.json", NULL, "snapshot.json");
        refuse_member(t, TUF_ROLE_TIMESTAMP, "meta", "other.json", json_pack("{s:i}", "version", 1),
                      "too many");
        refuse_member(t, TUF_ROLE_SNAPSHOT, "meta", "targets.json", NULL, "targets.json");
        refuse_member(t, TUF_ROLE_SNAPSHOT, "meta", "a\nb.json", json_pack("{s:i}", "version", 1),
                      "unprintable");
        refuse_member(t, TUF_ROLE_SNAPSHOT, "", "meta", json_array(), "meta");

        static const struct {
                TufRole role;
                const char *below;
        } places[] = { { TUF_ROLE_TIMESTAMP, "meta snapshot.json" },
                       { TUF_ROLE_SNAPSHOT, "meta targets.json" } };
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                refuse_member(t, places[i].role, places[i].below, "version", json_integer(0), "version");
                refuse_member(t, places[i].role, places[i].below, "version", NULL, "version");
                refuse_member(t, places[i].role, places[i].below, "length", json_integer(-1), "length");
                refuse_member(t, places[i].role, places[i].below, "length", json_string("1"), "length");
                refuse_member(t, places[i].role, places[i].below, "hashes", json_object(), "hashes");
                refuse_member(t, places[i].role, places[i].below, "hashes", json_pack("{s:s}", "md5", "00"),
                              "hashes");
                refuse_member(t, places[i].role, places[i].below, "hashes",
                              json_pack("{s:s}", "sha256", "00"), "hashes");
                refuse_member(t, places[i].role, places[i].below, "hashes", json_array(), "hashes");
        }
}

static void test_targets(TestRepo *t) {
        static const char path[] = "agent/1.0.0/linux-x86_64/agent";
        static const char *const hostile[] = { "",        "/etc/passwd", "..",   "../x",    "a/../b",
                                               "a/..",    "a//b",        "a/",   "./a",     "a/./b",
                                               ".hidden", "a b",         "a\\b", "a\nb",    "a%2fb",
                                               "a?b",     "a#b",         "a:b",  "\xc3\xa9" };
        static const char *const fine[] = { "a", "agent/1.0.0-rc.1/linux-x86_64/agent", "a/b..c",
                                            "x~1+y_z-" };
        char long_path[TUF_TARGET_PATH_MAX + 2];

        for (size_t i = 0; i < ELEMENTSOF(hostile); i++) {
                assert_se(!tuf_target_path_is_valid(hostile[i]));
                refuse_member(t, TUF_ROLE_TARGETS, "targets", hostile[i], json_object(), "not allowed");
        }
        for (size_t i = 0; i < ELEMENTSOF(fine); i++)
                assert_se(tuf_target_path_is_valid(fine[i]));
        for (size_t i = 0; i < sizeof(long_path) - 1; i++)
                long_path[i] = i % 100 == 99 ? '/' : 'a';
        long_path[sizeof(long_path) - 1] = '\0';
        assert_se(!tuf_target_path_is_valid(long_path));
        long_path[TUF_TARGET_PATH_MAX] = '\0';
        assert_se(tuf_target_path_is_valid(long_path));
        memset(long_path, 'a', 200);
        assert_se(!tuf_target_path_is_valid(long_path)); /* one component as long as a name can be */

        test_repo_add_release(t, "1.0.0", "x86_64");
        test_repo_make(t, TUF_ROLE_TARGETS);
        refuse_member(t, TUF_ROLE_TARGETS, "targets agent/1.0.0/linux-x86_64/agent", "length", NULL,
                      "length");
        refuse_member(t, TUF_ROLE_TARGETS, "targets agent/1.0.0/linux-x86_64/agent", "length",
                      json_integer(-5), "length");
        refuse_member(t, TUF_ROLE_TARGETS, "targets agent/1.0.0/linux-x86_64/agent", "length",
                      json_integer(INT64_MAX), "length");
        refuse_member(t, TUF_ROLE_TARGETS, "targets agent/1.0.0/linux-x86_64/agent", "hashes", NULL,
                      "sha256");
        refuse_member(t, TUF_ROLE_TARGETS, "targets agent/1.0.0/linux-x86_64/agent", "hashes",
                      json_pack("{s:s}", "md5", "00"), "sha256");
        refuse_member(t, TUF_ROLE_TARGETS, "targets agent/1.0.0/linux-x86_64/agent", "custom", json_array(),
                      "custom");
        refuse_member(t, TUF_ROLE_TARGETS, "", "targets", json_array(), "targets");
        refuse_member(t, TUF_ROLE_TARGETS, "", "delegations", json_array(), "delegations");

        _cleanup_(tuf_metadata_freep) TufMetadata *m = parse(
                        TUF_ROLE_TARGETS, t->texts[TUF_ROLE_TARGETS].data, t->texts[TUF_ROLE_TARGETS].size);
        assert_se(m->n_targets == 2);
        const TufTarget *target = tuf_metadata_target(m, path);
        assert_se(target && target->length == strlen("agent") && !tuf_metadata_target(m, "agent"));
        uint8_t hash[SHA256_SIZE];
        char hex[SHA256_HEX_MAX];
        sha256_bytes("agent", 5, hash);
        hex_encode(hash, sizeof(hash), hex);
        _cleanup_free_ char *expected = strjoinf("agent/1.0.0/linux-x86_64/%s.agent", hex), *got = NULL;
        assert_ok(tuf_target_file_path(target, &got));
        assert_streq(got, expected);

        /* delegations and unknown members are for others: they change the signature's bytes, nothing else */
        _cleanup_json_ json_t *envelope = test_repo_envelope(t, TUF_ROLE_TARGETS);
        json_object_set_new(
                        json_object_get(envelope, "signed"), "delegations",
                        json_pack("{s:{}, s:[]}", "keys", "roles"));
        json_object_set_new(json_object_get(envelope, "signed"), "x-other", json_string("\n"));
        _cleanup_free_ char *text = json_format(envelope, false);
        _cleanup_(tuf_metadata_freep) TufMetadata *more = parse(TUF_ROLE_TARGETS, text, strlen(text));
        assert_se(more->n_targets == 2 && strstr(more->canonical, "x-other\":\"\n\""));
}

int main(void) {
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        test_well_formed(&t);
        test_json(&t);
        test_header(&t);
        test_signatures_member(&t);
        test_root(&t);
        test_files(&t);
        test_targets(&t);
        return 0;
}
