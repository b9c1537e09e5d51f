/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-tests.h"

#include "alloc-util.h"
#include "string-util.h"

void test_repo_init(TestRepo *t) {
        assert_ok(crypto_init());
        *t = (TestRepo) {};
        for (size_t i = 0; i < TEST_KEYS; i++)
                assert_ok(tuf_secret_key_generate(t->keys + i));
        for (unsigned role = 0; role < _TUF_ROLE_MAX; role++) {
                t->roles[role].keys[0] = role;
                t->roles[role].n = 1;
                t->roles[role].threshold = 1;
                t->versions[role] = 1;
                t->expires[role] = TEST_NOW + (10 + role) * USEC_PER_DAY;
        }
        assert_ok(tuf_build_targets(1, TEST_NOW, &t->targets));
        assert_ok(tuf_bytes_new(&t->bytes));
        test_repo_make_all(t);
}

void test_repo_done(TestRepo *t) {
        for (size_t i = 0; i < TEST_KEYS; i++)
                tuf_secret_key_free(t->keys[i]);
        for (int role = 0; role < _TUF_ROLE_MAX; role++)
                free(t->texts[role].data);
        json_decref(t->targets);
        tuf_bytes_free(t->bytes);
}

static void make_root(TestRepo *t, json_t **ret) {
        const TufKey *lists[_TUF_ROLE_MAX][4];
        TufRootSpec spec = { .version = t->versions[TUF_ROLE_ROOT],
                             .expires_usec = t->expires[TUF_ROLE_ROOT] };

        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                for (size_t i = 0; i < t->roles[role].n; i++)
                        lists[role][i] = tuf_secret_key_public(t->keys[t->roles[role].keys[i]]);
                spec.roles[role].keys = lists[role];
                spec.roles[role].n_keys = t->roles[role].n;
                spec.roles[role].threshold = t->roles[role].threshold;
        }
        assert_ok(tuf_build_root(&spec, ret));
}

static void make_targets(TestRepo *t, json_t **ret) {
        json_t *signed_;

        assert_ok(tuf_build_targets(t->versions[TUF_ROLE_TARGETS], t->expires[TUF_ROLE_TARGETS], ret));
        signed_ = json_object_get(*ret, "signed");
        assert_se(json_object_set(signed_, "targets",
                                  json_object_get(json_object_get(t->targets, "signed"), "targets")) >= 0);
}

void test_repo_make(TestRepo *t, TufRole role) {
        const TestText *targets = t->texts + TUF_ROLE_TARGETS, *snapshot = t->texts + TUF_ROLE_SNAPSHOT;
        json_t *envelope;

        switch (role) {
        case TUF_ROLE_ROOT:
                make_root(t, &envelope);
                break;
        case TUF_ROLE_TARGETS:
                make_targets(t, &envelope);
                break;
        case TUF_ROLE_SNAPSHOT:
                assert_ok(tuf_build_snapshot(
                                t->versions[role], t->expires[role], t->versions[TUF_ROLE_TARGETS],
                                targets->data, targets->size, &envelope));
                break;
        case TUF_ROLE_TIMESTAMP:
                assert_ok(tuf_build_timestamp(
                                t->versions[role], t->expires[role], t->versions[TUF_ROLE_SNAPSHOT],
                                snapshot->data, snapshot->size, &envelope));
                break;
        default:
                abort();
        }
        test_repo_set(t, role, envelope);
}

void test_repo_make_all(TestRepo *t) {
        test_repo_make(t, TUF_ROLE_ROOT);
        test_repo_make(t, TUF_ROLE_TARGETS);
        test_repo_make(t, TUF_ROLE_SNAPSHOT);
        test_repo_make(t, TUF_ROLE_TIMESTAMP);
}

void test_repo_bump(TestRepo *t, TufRole from) {
        for (int role = from; role >= TUF_ROLE_TIMESTAMP; role--) {
                t->versions[role]++;
                test_repo_make(t, (TufRole) role);
        }
}

void test_repo_publish(TestRepo *t) {
        TufBytes *next;
        const char *name;
        const void *data;
        size_t size;
        char buf[TUF_FILE_NAME_MAX];

        assert_ok(tuf_bytes_new(&next));
        for (size_t i = 0; tuf_bytes_item(t->bytes, i, &name, &data, &size); i++)
                if (endswith(name, ".root.json"))
                        assert_ok(tuf_bytes_add(next, name, data, size));
        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                int r =
                                tuf_bytes_add(next, tuf_file_name((TufRole) role, t->versions[role], buf),
                                              t->texts[role].data, t->texts[role].size);
                assert_se(r >= 0 || (r == -EEXIST && role == TUF_ROLE_ROOT));
        }
        tuf_bytes_free(t->bytes);
        t->bytes = next;
}

json_t *test_repo_envelope(const TestRepo *t, TufRole role) {
        json_t *envelope;
        assert_ok(json_parse(
                        t->texts[role].data, t->texts[role].size, TUF_TARGETS_SIZE_MAX, &envelope, NULL));
        return envelope;
}

void test_repo_set(TestRepo *t, TufRole role, json_t *envelope) {
        assert_ok(tuf_envelope_unsign(envelope));
        for (size_t i = 0; i < t->roles[role].n; i++)
                assert_ok(tuf_envelope_sign(envelope, t->keys[t->roles[role].keys[i]]));
        free(t->texts[role].data);
        assert_ok(tuf_envelope_format(envelope, &t->texts[role].data, &t->texts[role].size));
        json_decref(envelope);
}

void test_repo_add_target(TestRepo *t, const char *path, const char *content, json_t *custom) {
        uint8_t hash[SHA256_SIZE];

        sha256_bytes(content, strlen(content), hash);
        assert_ok(tuf_build_targets_set(t->targets, path, strlen(content), hash, custom));
        json_decref(custom);
}

void test_repo_add_release(TestRepo *t, const char *version, const char *arch) {
        static const char *const files[] = { "agent", "updater" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strjoinf("agent/%s/linux-%s/%s", version, arch, files[i]);
                json_t *custom =
                                json_pack("{s:s, s:s, s:s, s:s}", "product", "agent", "version", version,
                                          "arch", arch, "os", "linux");
                assert_se(path && custom);
                test_repo_add_target(t, path, files[i], custom);
        }
}
