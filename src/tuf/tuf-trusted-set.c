/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-trusted-set.h"

#include "alloc-util.h"
#include "string-util.h"
#include "tuf-signatures.h"

struct TufTrustedSet {
        usec_t reference_usec;
        TufMetadata *metadata[_TUF_ROLE_MAX];
        bool root_finished;
        bool timestamp_current; /* from this refresh, not expired */
        bool snapshot_current;
        bool recovery;
};

int tuf_trusted_set_new(usec_t reference_usec, TufTrustedSet **ret) {
        TufTrustedSet *s = new0(TufTrustedSet, 1);
        if (!s)
                return -ENOMEM;
        s->reference_usec = reference_usec;
        *ret = s;
        return 0;
}

TufTrustedSet *tuf_trusted_set_free(TufTrustedSet *s) {
        if (s) {
                for (int role = 0; role < _TUF_ROLE_MAX; role++)
                        tuf_metadata_free(s->metadata[role]);
                free(s);
        }
        return NULL;
}

/* The only way in. */
static void adopt(TufTrustedSet *s, TufMetadata *m) {
        tuf_metadata_free(s->metadata[m->role]);
        s->metadata[m->role] = m;
}

/* Parses, and verifies with the trusted root. */
static int parse_and_verify(
                const TufTrustedSet *s,
                TufRole role,
                const void *data,
                size_t size,
                TufMetadata **ret,
                char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;

        int r = tuf_metadata_parse(role, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        r = tuf_signatures_verify(s->metadata[TUF_ROLE_ROOT], role, m, reterr_message);
        if (r != 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

static int check_expiry(const TufTrustedSet *s, const TufMetadata *m, char **reterr_message) {
        char expires[RFC3339_MAX], reference[RFC3339_MAX];

        if (m->expires_usec > s->reference_usec)
                return 0;
        return tuf_refuse(
                        TUF_EXPIRED, reterr_message, "%s version %" PRIu64 " expired on %s (the time is %s)",
                        tuf_role_to_string(m->role), m->version, rfc3339_format(m->expires_usec, expires),
                        rfc3339_format(s->reference_usec, reference));
}

/* Length and hashes are those of the raw bytes, and are checked before anything is parsed. */
static int check_bytes(const TufFileInfo *f, const void *data, size_t size, char **reterr_message) {
        uint8_t hash[64];

        if (f->has_length && f->length != size)
                return tuf_refuse(
                                TUF_MIX_AND_MATCH, reterr_message,
                                "%zu bytes, but the file that is signed for has %" PRIu64, size, f->length);
        if (f->has_sha256) {
                sha256_bytes(data, size, hash);
                if (memcmp(hash, f->sha256, SHA256_SIZE) != 0)
                        return tuf_refuse(
                                        TUF_MIX_AND_MATCH, reterr_message,
                                        "not the file that is signed for: its SHA-256 differs");
        }
        if (f->has_sha512) {
                sha512_bytes(data, size, hash);
                if (memcmp(hash, f->sha512, sizeof(f->sha512)) != 0)
                        return tuf_refuse(
                                        TUF_MIX_AND_MATCH, reterr_message,
                                        "not the file that is signed for: its SHA-512 differs");
        }
        return 0;
}

static int check_version(const TufFileInfo *f, const TufMetadata *m, char **reterr_message) {
        if (m->version == f->version)
                return 0;
        return tuf_refuse(
                        TUF_MIX_AND_MATCH, reterr_message,
                        "%s is version %" PRIu64 ", but version %" PRIu64 " is signed for",
                        tuf_role_to_string(m->role), m->version, f->version);
}

int tuf_trusted_set_load_root(TufTrustedSet *s, const void *data, size_t size, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;

        if (s->metadata[TUF_ROLE_ROOT])
                return -EINVAL;
        int r = tuf_metadata_parse(TUF_ROLE_ROOT, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        r = tuf_signatures_verify(m, TUF_ROLE_ROOT, m, reterr_message);
        if (r != 0)
                return r;
        adopt(s, TAKE_PTR(m));
        return 0;
}

static bool role_lost_a_key(const TufMetadata *old, const TufMetadata *new, TufRole role) {
        for (size_t i = 0; i < old->roles[role].n_keyids; i++) {
                bool kept = false;
                for (size_t k = 0; k < new->roles[role].n_keyids && !kept; k++)
                        kept = streq(old->roles[role].keyids[i], new->roles[role].keyids[k]);
                if (!kept)
                        return true;
        }
        return false;
}

int tuf_trusted_set_update_root(TufTrustedSet *s, const void *data, size_t size, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        const TufMetadata *old = s->metadata[TUF_ROLE_ROOT];

        if (!old || s->root_finished)
                return -EINVAL;

        /* by the old keys first, then by its own, and only then anything it says */
        int r = parse_and_verify(s, TUF_ROLE_ROOT, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        r = tuf_signatures_verify(m, TUF_ROLE_ROOT, m, reterr_message);
        if (r != 0)
                return r;
        if (old->version >= TUF_VERSION_MAX || m->version != old->version + 1)
                return tuf_refuse(
                                m->version <= old->version ? TUF_ROLLBACK : TUF_MIX_AND_MATCH,
                                reterr_message, "root is version %" PRIu64 ", but %" PRIu64 " has to follow",
                                m->version, old->version + 1);

        s->recovery = s->recovery || role_lost_a_key(old, m, TUF_ROLE_TIMESTAMP) ||
                      role_lost_a_key(old, m, TUF_ROLE_SNAPSHOT);
        adopt(s, TAKE_PTR(m));
        return 0;
}

bool tuf_trusted_set_needs_recovery(const TufTrustedSet *s) {
        return s->recovery;
}

int tuf_trusted_set_finish_root(TufTrustedSet *s, char **reterr_message) {
        if (!s->metadata[TUF_ROLE_ROOT] || s->root_finished)
                return -EINVAL;
        int r = check_expiry(s, s->metadata[TUF_ROLE_ROOT], reterr_message);
        if (r != 0)
                return r;
        s->root_finished = true;
        return 0;
}

int tuf_trusted_set_load_local_timestamp(
                TufTrustedSet *s, const void *data, size_t size, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;

        if (!s->root_finished || s->metadata[TUF_ROLE_TIMESTAMP])
                return -EINVAL;
        int r = parse_and_verify(s, TUF_ROLE_TIMESTAMP, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        adopt(s, TAKE_PTR(m));
        return 0;
}

int tuf_trusted_set_load_local_snapshot(
                TufTrustedSet *s, const void *data, size_t size, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;

        if (!s->root_finished || s->metadata[TUF_ROLE_SNAPSHOT])
                return -EINVAL;
        int r = parse_and_verify(s, TUF_ROLE_SNAPSHOT, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        adopt(s, TAKE_PTR(m));
        return 0;
}

int tuf_trusted_set_update_timestamp(
                TufTrustedSet *s, const void *data, size_t size, bool *ret_changed, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        const TufMetadata *old = s->metadata[TUF_ROLE_TIMESTAMP];
        bool changed = true;
        int r;

        if (!s->root_finished || s->timestamp_current)
                return -EINVAL;
        r = parse_and_verify(s, TUF_ROLE_TIMESTAMP, data, size, &m, reterr_message);
        if (r != 0)
                return r;

        if (old && m->version < old->version)
                return tuf_refuse(
                                TUF_ROLLBACK, reterr_message,
                                "timestamp is version %" PRIu64 ", but version %" PRIu64
                                " was verified before",
                                m->version, old->version);
        if (old && m->version == old->version) {
                /* the one we hold stays; were its expiry not looked at, it could be repeated for ever */
                r = check_expiry(s, old, reterr_message);
                changed = false;
        } else {
                if (old && m->files[0].version < old->files[0].version)
                        return tuf_refuse(
                                        TUF_ROLLBACK, reterr_message,
                                        "timestamp names snapshot version %" PRIu64 ", but version %" PRIu64
                                        " was named before",
                                        m->files[0].version, old->files[0].version);
                r = check_expiry(s, m, reterr_message);
        }
        if (r != 0)
                return r;

        if (changed)
                adopt(s, TAKE_PTR(m));
        s->timestamp_current = true;
        *ret_changed = changed;
        return 0;
}

bool tuf_trusted_set_snapshot_is_current(const TufTrustedSet *s) {
        const TufMetadata *snapshot = s->metadata[TUF_ROLE_SNAPSHOT];

        if (!s->timestamp_current || !snapshot)
                return false;
        const TufFileInfo *f = s->metadata[TUF_ROLE_TIMESTAMP]->files;
        return s->snapshot_current || (snapshot->version == f->version &&
                                       check_bytes(f, snapshot->raw, snapshot->raw_size, NULL) == 0 &&
                                       check_expiry(s, snapshot, NULL) == 0);
}

/* No role may disappear or go back. */
static int check_snapshot_rollback(const TufMetadata *old, const TufMetadata *new, char **reterr_message) {
        for (size_t i = 0; i < old->n_files; i++) {
                const TufFileInfo *f = tuf_metadata_file(new, old->files[i].name);
                if (!f)
                        return tuf_refuse(
                                        TUF_ROLLBACK, reterr_message, "snapshot does not name %s any more",
                                        old->files[i].name);
                if (f->version < old->files[i].version)
                        return tuf_refuse(
                                        TUF_ROLLBACK, reterr_message,
                                        "snapshot names %s version %" PRIu64 ", but version %" PRIu64
                                        " was named before",
                                        f->name, f->version, old->files[i].version);
        }
        return 0;
}

int tuf_trusted_set_update_snapshot(TufTrustedSet *s, const void *data, size_t size, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        int r;

        if (!s->timestamp_current || s->snapshot_current)
                return -EINVAL;

        const TufFileInfo *f = s->metadata[TUF_ROLE_TIMESTAMP]->files;
        r = check_bytes(f, data, size, reterr_message);
        if (r != 0)
                return r;
        r = parse_and_verify(s, TUF_ROLE_SNAPSHOT, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        r = check_version(f, m, reterr_message);
        if (r != 0)
                return r;
        if (s->metadata[TUF_ROLE_SNAPSHOT]) {
                r = check_snapshot_rollback(s->metadata[TUF_ROLE_SNAPSHOT], m, reterr_message);
                if (r != 0)
                        return r;
        }
        r = check_expiry(s, m, reterr_message);
        if (r != 0)
                return r;

        adopt(s, TAKE_PTR(m));
        s->snapshot_current = true;
        return 0;
}

int tuf_trusted_set_update_targets(TufTrustedSet *s, const void *data, size_t size, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        int r;

        if (!tuf_trusted_set_snapshot_is_current(s) || s->metadata[TUF_ROLE_TARGETS])
                return -EINVAL;

        const TufFileInfo *f = tuf_metadata_file(s->metadata[TUF_ROLE_SNAPSHOT], "targets.json");
        if (!f)
                return -EINVAL;
        r = check_bytes(f, data, size, reterr_message);
        if (r != 0)
                return r;
        r = parse_and_verify(s, TUF_ROLE_TARGETS, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        r = check_version(f, m, reterr_message);
        if (r != 0)
                return r;
        r = check_expiry(s, m, reterr_message);
        if (r != 0)
                return r;

        adopt(s, TAKE_PTR(m));
        return 0;
}

const TufMetadata *tuf_trusted_set_get(const TufTrustedSet *s, TufRole role) {
        return (int) role >= 0 && role < _TUF_ROLE_MAX ? s->metadata[role] : NULL;
}

usec_t tuf_trusted_set_reference_usec(const TufTrustedSet *s) {
        return s->reference_usec;
}

usec_t tuf_trusted_set_expires_usec(const TufTrustedSet *s) {
        usec_t earliest = USEC_INFINITY;

        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                if (!s->metadata[role])
                        return 0;
                earliest = MIN(earliest, s->metadata[role]->expires_usec);
        }
        return earliest;
}
