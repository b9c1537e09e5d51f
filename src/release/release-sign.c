/* SPDX-License-Identifier: Apache-2.0 */

/* The verbs sign and review. */

#include <stdio.h>

#include "alloc-util.h"
#include "hex.h"
#include "log.h"
#include "release-keys.h"
#include "release-options.h"
#include "release-repo.h"
#include "string-util.h"

static void print_target(const char *mark, const TufTarget *t) {
        _cleanup_free_ char *custom =
                        t->custom ? json_dumps(t->custom, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        char hex[SHA256_HEX_MAX];

        hex_encode(t->sha256, SHA256_SIZE, hex);
        printf("  %s %s\n      %" PRIu64 " bytes, SHA-256 %s\n      %s\n", mark, t->path, t->length, hex,
               strempty(custom));
}

static bool same_target(const TufTarget *a, const TufTarget *b) {
        return a->length == b->length && memcmp(a->sha256, b->sha256, SHA256_SIZE) == 0 &&
               (a->custom == b->custom || (a->custom && b->custom && json_equal(a->custom, b->custom)));
}

/* What changes from old (which may be NULL) to new. */
static void print_targets_change(const TufMetadata *old, const TufMetadata *new) {
        size_t kept = 0;

        for (size_t i = 0; i < new->n_targets; i++) {
                const TufTarget *before = old ? tuf_metadata_target(old, new->targets[i].path) : NULL;
                if (before && same_target(before, new->targets + i))
                        kept++;
                else
                        print_target(before ? "changed" : "new", new->targets + i);
        }
        for (size_t i = 0; old && i < old->n_targets; i++)
                if (!tuf_metadata_target(new, old->targets[i].path))
                        print_target("removed", old->targets + i);
        printf("  %zu unchanged\n", kept);
}

static void print_root_change(const TufMetadata *root) {
        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                const TufRoleKeys *k = root->roles + role;

                printf("  %s: %" PRIu64 " of %zu\n", tuf_role_to_string((TufRole) role), k->threshold,
                       k->n_keyids);
                for (size_t i = 0; i < k->n_keyids; i++)
                        printf("    %s\n", k->keyids[i]);
        }
}

static void print_staged(const Repo *repo, TufRole role) {
        const TufMetadata *m = repo->staged[role], *old = repo->published[role];
        char expires[RFC3339_MAX];

        printf("Staged %s version %" PRIu64 ", expires %s:\n", tuf_role_to_string(role), m->version,
               rfc3339_format(m->expires_usec, expires));
        if (role == TUF_ROLE_TARGETS)
                print_targets_change(old, m);
        else
                print_root_change(m);
        if (role == TUF_ROLE_ROOT && old)
                repo_print_signatures(old, role, m);
        repo_print_signatures(repo_root(repo), role, m);
}

int verb_review(const Options *o) {
        static const TufRole roles[] = { TUF_ROLE_ROOT, TUF_ROLE_TARGETS };
        _cleanup_(repo_freep) Repo *repo = NULL;
        bool any = false;

        if (o->arguments) {
                log_error("'review' takes no arguments.");
                return RELEASE_EXIT_USAGE;
        }
        int r = repo_open(o->repo, &repo);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(roles); i++)
                if (repo->staged[roles[i]]) {
                        print_staged(repo, roles[i]);
                        any = true;
                }
        if (!any)
                printf("Nothing is staged: what is published is all there is.\n");
        return 0;
}

static int sign_role(Repo *repo, const KeyRing *ring, TufRole role) {
        _cleanup_json_ json_t *envelope = NULL;
        int r, n;

        r = repo_envelope(repo->staged[role], &envelope);
        if (r < 0)
                return r;
        n = key_ring_sign(ring, envelope, repo_root(repo), role);
        /* a new root carries the signatures of the old one's keys, too */
        if (n >= 0 && role == TUF_ROLE_ROOT && repo->published[TUF_ROLE_ROOT]) {
                r = key_ring_sign(ring, envelope, repo->published[TUF_ROLE_ROOT], role);
                n = r < 0 ? r : n + r;
        }
        if (n <= 0)
                return n;
        r = repo_stage(repo, role, envelope);
        if (r < 0)
                return r;
        printf("Signed %s version %" PRIu64 ":\n", tuf_role_to_string(role), repo->staged[role]->version);
        if (role == TUF_ROLE_ROOT && repo->published[TUF_ROLE_ROOT])
                repo_print_signatures(repo->published[TUF_ROLE_ROOT], role, repo->staged[role]);
        repo_print_signatures(repo_root(repo), role, repo->staged[role]);
        return n;
}

/* The roles named, or whatever is staged. */
static int choose_roles(const Options *o, const Repo *repo, bool ret[static _TUF_ROLE_MAX]) {
        bool any = false;

        STRV_FOREACH(name, o->arguments) {
                TufRole role = tuf_role_from_string(*name);
                if (role != TUF_ROLE_ROOT && role != TUF_ROLE_TARGETS) {
                        log_error("'%s' is not signed by hand: say 'sign root' or 'sign targets' ('publish' signs the rest).",
                                  *name);
                        return RELEASE_EXIT_USAGE;
                }
                if (!repo->staged[role])
                        return log_error_errno(-ENOENT, "No %s is staged: there is nothing to sign.", *name);
                ret[role] = any = true;
        }
        for (int role = 0; !any && role < _TUF_ROLE_MAX; role++)
                ret[role] = repo->staged[role];
        if (!any && !repo->staged[TUF_ROLE_ROOT] && !repo->staged[TUF_ROLE_TARGETS])
                return log_error_errno(-ENOENT, "Nothing is staged: there is nothing to sign.");
        return 0;
}

int verb_sign(const Options *o) {
        _cleanup_(key_ring_done) KeyRing ring = {};
        _cleanup_(repo_freep) Repo *repo = NULL;
        bool chosen[_TUF_ROLE_MAX] = {};
        int r, n = 0;

        if (!o->keys) {
                log_error("Say 'sign [root|targets] --key FILE...'.");
                return RELEASE_EXIT_USAGE;
        }
        r = repo_open(o->repo, &repo);
        if (r >= 0)
                r = choose_roles(o, repo, chosen);
        if (r != 0)
                return r;
        for (int role = 0; role < _TUF_ROLE_MAX; role++)
                if (chosen[role])
                        print_staged(repo, (TufRole) role);
        if (!options_confirm(o, "Sign this?"))
                return log_error_errno(-ECANCELED, "Nothing was signed.");

        r = key_ring_load(&ring, o->keys, o->passphrase_files);
        for (int role = 0; r >= 0 && role < _TUF_ROLE_MAX; role++)
                if (chosen[role]) {
                        r = sign_role(repo, &ring, (TufRole) role);
                        n += r > 0 ? r : 0;
                }
        if (r < 0)
                return r;
        if (n == 0)
                return log_error_errno(
                                -ENOKEY,
                                "None of these keys may sign this: 'review' shows whose signatures are needed.");
        return repo_publish_first_root(repo);
}
