/* SPDX-License-Identifier: Apache-2.0 */

/* The verbs publish and timestamp: what clients see changes here and nowhere else. The order in which files
 * are written is the order in which clients could miss them, reversed: new names first, timestamp.json
 * last. */

#include <stdio.h>

#include "alloc-util.h"
#include "log.h"
#include "release-client.h"
#include "release-keys.h"
#include "release-options.h"
#include "release-repo.h"
#include "string-util.h"
#include "tuf-release.h"
#include "tuf-signatures.h"

/* The next state of metadata/. root and targets are the repository's, the other two are new (or NULL:
 * kept). */
typedef struct Publication {
        const TufMetadata *root, *targets;
        TufMetadata *snapshot, *timestamp;
} Publication;

static void publication_done(Publication *p) {
        tuf_metadata_free(p->snapshot);
        tuf_metadata_free(p->timestamp);
}

static int check_signed(const TufMetadata *root, const TufMetadata *m) {
        _cleanup_free_ char *why = NULL;

        int r = tuf_signatures_verify(root, m->role, m, &why);
        if (r > 0)
                return log_error_errno(
                                -EKEYREJECTED,
                                "%s version %" PRIu64
                                " is not signed well enough (%s): '%s' with the missing keys; nothing was published.",
                                tuf_role_to_string(m->role), m->version, strna(why),
                                m->role == TUF_ROLE_ROOT ? "sign root" : "sign targets");
        return r < 0 ? log_error_errno(r, "Cannot check signatures: %m") : 0;
}

/* Half a release, or one that no agent would understand, does not go out. */
static int check_releases(const TufMetadata *targets) {
        _cleanup_strv_free_ char **problems = NULL;
        TufRelease **releases;
        size_t n;

        int r = tuf_release_list(targets, &releases, &n, &problems);
        if (r < 0)
                return log_error_errno(r, "Cannot read the releases: %m");
        tuf_release_list_free(releases, n);
        STRV_FOREACH(problem, problems)
                log_error("%s.", *problem);
        return problems ? log_error_errno(-EBADMSG, "Nothing was published.") : 0;
}

static int
sign_new(const KeyRing *ring, json_t *envelope, const TufMetadata *root, TufRole role, TufMetadata **ret) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        _cleanup_free_ char *text = NULL, *why = NULL;
        size_t size;
        int r;

        r = key_ring_sign(ring, envelope, root, role);
        if (r < 0)
                return r;
        r = tuf_envelope_format(envelope, &text, &size);
        if (r < 0)
                return log_error_errno(r, "Cannot write %s metadata: %m", tuf_role_to_string(role));
        r = tuf_metadata_parse(role, text, size, &m, &why);
        if (r == 0)
                r = tuf_signatures_verify(root, role, m, &why);
        if (r > 0) {
                log_error("Cannot sign the %s: %s. The keys that may sign it:", tuf_role_to_string(role),
                          strna(why));
                for (size_t i = 0; i < root->roles[role].n_keyids; i++)
                        log_error("  %s", root->roles[role].keyids[i]);
                return -ENOKEY;
        }
        if (r < 0)
                return log_error_errno(r, "Cannot check the new %s: %m", tuf_role_to_string(role));
        *ret = TAKE_PTR(m);
        return 0;
}

static int make_snapshot(const Repo *repo, const Options *o, const KeyRing *ring, Publication *p) {
        const TufMetadata *old = repo->published[TUF_ROLE_SNAPSHOT];
        _cleanup_json_ json_t *envelope = NULL;

        int r = tuf_build_snapshot(
                        old ? old->version + 1 : 1, options_expiry(o, TUF_ROLE_SNAPSHOT),
                        p->targets->version, p->targets->raw, p->targets->raw_size, &envelope);
        if (r < 0)
                return log_error_errno(r, "Cannot build the snapshot: %m");
        return sign_new(ring, envelope, p->root, TUF_ROLE_SNAPSHOT, &p->snapshot);
}

static int
make_timestamp(const Repo *repo,
               const Options *o,
               const KeyRing *ring,
               const TufMetadata *snapshot,
               Publication *p) {
        const TufMetadata *old = repo->published[TUF_ROLE_TIMESTAMP];
        _cleanup_json_ json_t *envelope = NULL;

        int r = tuf_build_timestamp(
                        old ? old->version + 1 : 1, options_expiry(o, TUF_ROLE_TIMESTAMP), snapshot->version,
                        snapshot->raw, snapshot->raw_size, &envelope);
        if (r < 0)
                return log_error_errno(r, "Cannot build the timestamp: %m");
        return sign_new(ring, envelope, p->root, TUF_ROLE_TIMESTAMP, &p->timestamp);
}

static int add_bytes(TufBytes *bytes, const TufMetadata *m) {
        char name[TUF_FILE_NAME_MAX];

        int r = tuf_bytes_add(bytes, tuf_file_name(m->role, m->version, name), m->raw, m->raw_size);
        return r < 0 ? log_error_errno(r, "Cannot verify %s as a client would: %m", name) : 0;
}

static int refused(int r, const char *who, char **why) {
        _cleanup_free_ char *text = TAKE_PTR(*why);
        if (r > 0)
                return log_error_errno(
                                -EKEYREJECTED, "%s would refuse this: %s. Nothing was published.", who,
                                strna(text));
        return r;
}

/* Once as an agent that begins with the first root, once as one that has seen what is published now. */
static int verify_as_clients(Repo *repo, const Publication *p) {
        _cleanup_(client_freep) Client *fresh = NULL, *seasoned = NULL;
        _cleanup_(tuf_bytes_freep) TufBytes *bytes = NULL;
        _cleanup_free_ void *first = NULL;
        _cleanup_free_ char *why = NULL, *ignored = NULL;
        usec_t realtime = now(CLOCK_REALTIME);
        size_t first_size = 0;
        int r;

        r = tuf_bytes_new(&bytes);
        if (r < 0)
                return log_oom();
        r = repo_add_roots(repo, bytes, &first, &first_size);
        if (r >= 0 && p->root != repo->published[TUF_ROLE_ROOT])
                r = add_bytes(bytes, p->root);
        if (r >= 0)
                r = add_bytes(bytes, p->timestamp);
        if (r >= 0)
                r = add_bytes(bytes, p->snapshot ?: repo->published[TUF_ROLE_SNAPSHOT]);
        if (r >= 0)
                r = add_bytes(bytes, p->targets);
        if (r < 0)
                return r;

        r = client_new(&fresh);
        if (r >= 0)
                r = client_refresh_bytes(fresh, first, first_size, realtime, bytes, &why);
        if (r != 0)
                return refused(r, "A new agent", &why);
        if (!repo->published[TUF_ROLE_TIMESTAMP])
                return 0;

        r = client_new(&seasoned);
        /* at the beginning of time nothing has expired; were it refused, no agent would have it either */
        if (r >= 0)
                r = client_refresh_directory(
                                seasoned, first, first_size, 0, repo->dir_fd, REPO_METADATA, &ignored);
        if (r >= 0)
                r = client_refresh_bytes(seasoned, first, first_size, realtime, bytes, &why);
        return refused(r, "An agent that has seen what is published now", &why);
}

static int write_one(Repo *repo, const TufMetadata *m) {
        return m ? repo_write_metadata(repo, m->role, m->version, m->raw, m->raw_size) : 0;
}

static int write_all(Repo *repo, const Publication *p) {
        int r = repo_publish_files(repo, p->targets);
        if (r >= 0 && p->root != repo->published[TUF_ROLE_ROOT])
                r = write_one(repo, p->root);
        if (r >= 0 && p->targets != repo->published[TUF_ROLE_TARGETS])
                r = write_one(repo, p->targets);
        if (r >= 0)
                r = write_one(repo, p->snapshot);
        if (r >= 0)
                r = write_one(repo, p->timestamp);
        return r;
}

static void print_one(const char *verb, const TufMetadata *m) {
        char expires[RFC3339_MAX];

        if (m)
                printf("  %s %s version %" PRIu64 ", expires %s\n", verb, tuf_role_to_string(m->role),
                       m->version, rfc3339_format(m->expires_usec, expires));
}

static int check_what_is_staged(Repo *repo, Publication *p) {
        int r;

        p->root = repo_root(repo);
        p->targets = repo_targets(repo);
        if (!p->targets)
                return log_error_errno(
                                -ENOENT, "There are no targets yet: 'add' a release or 'renew targets'.");
        r = check_signed(p->root, p->root);
        if (r >= 0 && repo->published[TUF_ROLE_ROOT] && p->root != repo->published[TUF_ROLE_ROOT])
                r = check_signed(repo->published[TUF_ROLE_ROOT], p->root);
        if (r >= 0)
                r = check_signed(p->root, p->targets);
        if (r >= 0)
                r = check_releases(p->targets);
        if (r >= 0)
                r = repo_check_files(repo, p->targets, /* look_at_staged= */ true);
        return r;
}

int verb_publish(const Options *o) {
        _cleanup_(publication_done) Publication p = {};
        _cleanup_(key_ring_done) KeyRing ring = {};
        _cleanup_(repo_freep) Repo *repo = NULL;
        int r;

        if (!o->keys || o->arguments) {
                log_error("Say 'publish --key FILE...' with the keys of snapshot and timestamp.");
                return RELEASE_EXIT_USAGE;
        }
        r = repo_open(o->repo, &repo);
        if (r >= 0)
                r = check_what_is_staged(repo, &p);
        if (r < 0)
                return r;

        printf("To be published:\n");
        print_one(repo->staged[TUF_ROLE_ROOT] ? "new" : "present", p.root);
        print_one(repo->staged[TUF_ROLE_TARGETS] ? "new" : "present", p.targets);
        if (!options_confirm(o, "Sign a snapshot and a timestamp of this, and publish?"))
                return log_error_errno(-ECANCELED, "Nothing was published.");
        r = key_ring_load(&ring, o->keys, o->passphrase_files);
        if (r >= 0)
                r = make_snapshot(repo, o, &ring, &p);
        if (r >= 0)
                r = make_timestamp(repo, o, &ring, p.snapshot, &p);
        if (r >= 0)
                r = verify_as_clients(repo, &p);
        if (r >= 0)
                r = write_all(repo, &p);
        if (r < 0)
                return r;
        print_one("signed", p.snapshot);
        print_one("signed", p.timestamp);
        printf("Published.\n");

        r = repo_unstage(repo, TUF_ROLE_ROOT);
        return r < 0 ? r : repo_unstage(repo, TUF_ROLE_TARGETS);
}

int verb_timestamp(const Options *o) {
        _cleanup_(publication_done) Publication p = {};
        _cleanup_(key_ring_done) KeyRing ring = {};
        _cleanup_(repo_freep) Repo *repo = NULL;
        int r;

        if (!o->keys || o->arguments) {
                log_error("Say 'timestamp --key FILE'.");
                return RELEASE_EXIT_USAGE;
        }
        r = repo_open(o->repo, &repo);
        if (r < 0)
                return r;
        if (!repo->published[TUF_ROLE_TIMESTAMP])
                return log_error_errno(
                                -ENOENT, "Nothing is published yet: 'publish' makes the first timestamp.");

        /* of what is published; what is staged has nothing to do with it */
        p.root = repo->published[TUF_ROLE_ROOT];
        p.targets = repo->published[TUF_ROLE_TARGETS];
        r = key_ring_load(&ring, o->keys, o->passphrase_files);
        if (r >= 0)
                r = make_timestamp(repo, o, &ring, repo->published[TUF_ROLE_SNAPSHOT], &p);
        if (r >= 0)
                r = verify_as_clients(repo, &p);
        if (r >= 0)
                r = write_one(repo, p.timestamp);
        if (r < 0)
                return r;
        print_one("signed", p.timestamp);
        return 0;
}
