/* SPDX-License-Identifier: Apache-2.0 */

/* The verbs init and rotate: who may sign what. */

#include <stdio.h>

#include "alloc-util.h"
#include "log.h"
#include "release-keys.h"
#include "release-options.h"
#include "release-repo.h"
#include "string-util.h"

/* Keys that were loaded for a root to be built; list and spec point into it. */
typedef struct RoleKeys {
        TufKey *loaded[_TUF_ROLE_MAX][TUF_KEYS_MAX];
        size_t n_loaded[_TUF_ROLE_MAX];
        const TufKey *list[_TUF_ROLE_MAX][TUF_KEYS_MAX];
        TufRootSpec spec;
} RoleKeys;

static void role_keys_done(RoleKeys *k) {
        for (int role = 0; role < _TUF_ROLE_MAX; role++)
                for (size_t i = 0; i < k->n_loaded[role]; i++)
                        tuf_key_free(k->loaded[role][i]);
}

static int load_role(RoleKeys *k, TufRole role, char *const *files) {
        STRV_FOREACH(file, files) {
                size_t n = k->n_loaded[role];

                if (n >= TUF_KEYS_MAX)
                        return log_error_errno(
                                        -E2BIG, "More than %u keys for role %s.", TUF_KEYS_MAX,
                                        tuf_role_to_string(role));
                int r = public_key_load(*file, &k->loaded[role][n]);
                if (r < 0)
                        return r;
                k->list[role][n] = k->loaded[role][n];
                k->n_loaded[role]++;
                for (size_t i = 0; i < n; i++)
                        if (tuf_key_same_material(k->list[role][i], k->list[role][n]))
                                return log_error_errno(
                                                -EINVAL, "Role %s was given the key of '%s' twice.",
                                                tuf_role_to_string(role), *file);
        }
        k->spec.roles[role].keys = k->list[role];
        k->spec.roles[role].n_keys = k->n_loaded[role];
        return 0;
}

/* What the next root keeps of the present one. */
static void keep_role(RoleKeys *k, TufRole role, const TufMetadata *root) {
        const TufRoleKeys *old = root->roles + role;
        size_t n = 0;

        for (size_t i = 0; i < old->n_keyids; i++) {
                const TufKey *key = tuf_metadata_key(root, old->keyids[i]);
                if (key)
                        k->list[role][n++] = key;
        }
        k->spec.roles[role].keys = k->list[role];
        k->spec.roles[role].n_keys = n;
        k->spec.roles[role].threshold = old->threshold;
}

static int set_threshold(RoleKeys *k, TufRole role, const Options *o, uint64_t otherwise) {
        uint64_t threshold = o->thresholds[role] ?: otherwise;

        k->spec.roles[role].threshold = threshold;
        if (threshold <= k->spec.roles[role].n_keys)
                return 0;
        return log_error_errno(
                        -EINVAL,
                        "Role %s has %zu key%s, which cannot give the %" PRIu64
                        " signatures of its threshold.",
                        tuf_role_to_string(role), k->spec.roles[role].n_keys,
                        k->spec.roles[role].n_keys == 1 ? "" : "s", threshold);
}

static void print_spec(const RoleKeys *k) {
        char expires[RFC3339_MAX];

        printf("Root version %" PRIu64 ", expires %s:\n", k->spec.version,
               rfc3339_format(k->spec.expires_usec, expires));
        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                printf("  %s: %" PRIu64 " of %zu\n", tuf_role_to_string((TufRole) role),
                       k->spec.roles[role].threshold, k->spec.roles[role].n_keys);
                for (size_t i = 0; i < k->spec.roles[role].n_keys; i++)
                        printf("    %s\n", k->spec.roles[role].keys[i]->keyid);
        }
}

static int stage_root(Repo *repo, const RoleKeys *k, const KeyRing *ring) {
        _cleanup_json_ json_t *envelope = NULL;
        int r;

        r = tuf_build_root(&k->spec, &envelope);
        if (r < 0)
                return log_error_errno(r, "Cannot build the root: %m");
        r = repo_stage(repo, TUF_ROLE_ROOT, envelope);
        if (r < 0)
                return r;
        r = key_ring_sign(ring, envelope, repo->staged[TUF_ROLE_ROOT], TUF_ROLE_ROOT);
        return r < 0 ? r : repo_stage(repo, TUF_ROLE_ROOT, envelope);
}

static int stage_first_targets(Repo *repo, const Options *o, const KeyRing *ring) {
        _cleanup_json_ json_t *envelope = NULL;
        int r;

        r = tuf_build_targets(1, options_expiry(o, TUF_ROLE_TARGETS), &envelope);
        if (r < 0)
                return log_error_errno(r, "Cannot build the targets: %m");
        r = key_ring_sign(ring, envelope, repo_root(repo), TUF_ROLE_TARGETS);
        return r < 0 ? r : repo_stage(repo, TUF_ROLE_TARGETS, envelope);
}

int verb_init(const Options *o) {
        _cleanup_(role_keys_done) RoleKeys k = {};
        _cleanup_(key_ring_done) KeyRing ring = {};
        _cleanup_(repo_freep) Repo *repo = NULL;
        int r;

        k.spec.version = 1;
        k.spec.expires_usec = options_expiry(o, TUF_ROLE_ROOT);
        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                char *const *files = o->role_keys[role] ?: o->keys;
                if (!files) {
                        log_error("Role %s has no key: give --%s-key, or one --key for all roles.",
                                  tuf_role_to_string((TufRole) role), tuf_role_to_string((TufRole) role));
                        return RELEASE_EXIT_USAGE;
                }
                r = load_role(&k, (TufRole) role, files);
                if (r >= 0)
                        r = set_threshold(&k, (TufRole) role, o, 1);
                if (r < 0)
                        return r;
        }

        print_spec(&k);
        if (!options_confirm(o, "Make this root, and sign it with the secret keys given?"))
                return log_error_errno(-ECANCELED, "Nothing was made.");
        for (int role = TUF_ROLE_ROOT; role < _TUF_ROLE_MAX; role++)
                if (IN_SET(role, TUF_ROLE_ROOT, TUF_ROLE_TARGETS)) {
                        r = key_ring_load_secret_ones(
                                        &ring, o->role_keys[role] ?: o->keys, o->passphrase_files);
                        if (r < 0)
                                return r;
                }

        r = repo_create(o->repo, &repo);
        if (r >= 0)
                r = stage_root(repo, &k, &ring);
        if (r >= 0)
                r = stage_first_targets(repo, o, &ring);
        if (r < 0)
                return r;
        repo_print_signatures(repo_root(repo), TUF_ROLE_ROOT, repo->staged[TUF_ROLE_ROOT]);
        return repo_publish_first_root(repo);
}

int verb_rotate(const Options *o) {
        _cleanup_(role_keys_done) RoleKeys k = {};
        _cleanup_(key_ring_done) KeyRing nobody = {};
        _cleanup_(repo_freep) Repo *repo = NULL;
        int r;

        r = repo_open(o->repo, &repo);
        if (r < 0)
                return r;
        const TufMetadata *root = repo->published[TUF_ROLE_ROOT];
        if (!root)
                return log_error_errno(
                                -ENOENT,
                                "The first root is not complete yet: 'sign root' with the missing keys.");

        k.spec.version = root->version + 1;
        k.spec.expires_usec = options_expiry(o, TUF_ROLE_ROOT);
        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                keep_role(&k, (TufRole) role, root);
                uint64_t threshold = k.spec.roles[role].threshold;
                r = o->role_keys[role] ? load_role(&k, (TufRole) role, o->role_keys[role]) : 0;
                if (r >= 0)
                        r = set_threshold(&k, (TufRole) role, o, threshold);
                if (r < 0)
                        return r;
        }

        print_spec(&k);
        r = stage_root(repo, &k, &nobody);
        if (r < 0)
                return r;
        printf("Staged. It needs %" PRIu64 " signatures of the present root's keys and %" PRIu64
               " of its own: 'sign root'.\n",
               root->roles[TUF_ROLE_ROOT].threshold, k.spec.roles[TUF_ROLE_ROOT].threshold);
        return 0;
}
