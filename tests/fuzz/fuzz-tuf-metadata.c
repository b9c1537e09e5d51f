/* SPDX-License-Identifier: Apache-2.0 */
#include "string-util.h"
#include "tests.h"
#include "tuf-release.h"
#include "tuf-signatures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_targets(const TufMetadata *m) {
        _cleanup_strv_free_ char **problems = NULL;
        TufRelease **releases;
        size_t n;

        for (size_t i = 0; i < m->n_targets; i++) {
                _cleanup_free_ char *path = NULL;

                assert_se(tuf_target_path_is_valid(m->targets[i].path));
                assert_se(tuf_target_file_path(m->targets + i, &path) == 0);
                assert_se(path[0] != '/' && path[0] != '.' && !strstr(path, "/.") && !strstr(path, "//"));
                assert_se(tuf_metadata_target(m, m->targets[i].path) == m->targets + i);
        }
        assert_se(tuf_release_list(m, &releases, &n, &problems) == 0);
        for (size_t i = 0; i < n; i++)
                assert_se(releases[i]->agent && releases[i]->updater);
        tuf_release_list_free(releases, n);
}

/* The first byte chooses the role. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        _cleanup_free_ char *why = NULL;

        if (size == 0)
                return 0;
        assert_se(crypto_init() == 0);
        TufRole role = (TufRole) (data[0] % _TUF_ROLE_MAX);
        int r = tuf_metadata_parse(role, data + 1, size - 1, &m, &why);
        assert_se(r >= 0 && (r == 0) == (m != NULL) && (r > 0) == (why != NULL));
        if (r > 0) {
                assert_se(IN_SET(r, TUF_MALFORMED, TUF_TOO_LARGE));
                assert_se(string_is_safe(why, 4096)); /* fit for a log line */
                return 0;
        }

        assert_se(m->version >= 1 && m->version <= TUF_VERSION_MAX && m->raw_size == size - 1);
        if (role == TUF_ROLE_ROOT)
                for (int k = 0; k < _TUF_ROLE_MAX; k++) {
                        assert_se(m->roles[k].threshold >= 1);
                        assert_se(tuf_signatures_count(m, (TufRole) k, m) <= m->n_keys);
                }
        if (role == TUF_ROLE_TIMESTAMP)
                assert_se(m->n_files == 1);
        if (role == TUF_ROLE_SNAPSHOT)
                assert_se(tuf_metadata_file(m, "targets.json"));
        if (role == TUF_ROLE_TARGETS)
                check_targets(m);
        return 0;
}
