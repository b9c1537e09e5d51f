/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One metadata file, read strictly: duplicates, real numbers, integers outside of their range, wrong shapes
 * and anything above its cap are refused. Three things are kept apart on purpose: the raw bytes (hashed,
 * stored), the canonical form of "signed" (signed), and the values (believed only after verification). The
 * structures are read-only for everybody else. Delegations in targets are ignored: names are looked up in
 * the top-level role alone; a reader for them belongs into a file of its own beside this one. Pure. */

#include "json.h"
#include "time-util.h"
#include "tuf-key.h"
#include "tuf-outcome.h"

typedef enum TufRole {
        TUF_ROLE_ROOT,
        TUF_ROLE_TIMESTAMP,
        TUF_ROLE_SNAPSHOT,
        TUF_ROLE_TARGETS,
        _TUF_ROLE_MAX,
        _TUF_ROLE_INVALID = -EINVAL,
} TufRole;

#define TUF_ROOT_SIZE_MAX (64U * 1024U)
#define TUF_TIMESTAMP_SIZE_MAX (16U * 1024U)
#define TUF_SNAPSHOT_SIZE_MAX (256U * 1024U)
#define TUF_TARGETS_SIZE_MAX (1024U * 1024U)
#define TUF_ROOT_ROTATIONS_MAX 256U /* in one refresh */
#define TUF_VERSION_MAX ((uint64_t) INT64_MAX)
#define TUF_KEYS_MAX 64U /* in a root; also keyids of a role, signatures of a file */
#define TUF_SNAPSHOT_ENTRIES_MAX 1024U
#define TUF_TARGETS_ENTRIES_MAX 4096U
#define TUF_TARGET_PATH_MAX 512U
#define TUF_TARGET_LENGTH_MAX GIB(4)

const char *tuf_role_to_string(TufRole role); /* "timestamp" */
TufRole tuf_role_from_string(const char *s);
size_t tuf_role_size_max(TufRole role);

typedef struct TufSignature {
        char keyid[TUF_KEYID_MAX];
        char *sig; /* hexadecimal as it stands in the file; may be rubbish */
} TufSignature;

typedef struct TufRoleKeys {
        uint64_t threshold;
        char (*keyids)[TUF_KEYID_MAX];
        size_t n_keyids;
} TufRoleKeys;

/* What timestamp and snapshot say of another file. */
typedef struct TufFileInfo {
        char *name; /* "snapshot.json" */
        uint64_t version;
        bool has_length, has_sha256, has_sha512;
        uint64_t length;
        uint8_t sha256[SHA256_SIZE];
        uint8_t sha512[64];
} TufFileInfo;

typedef struct TufTarget {
        char *path; /* checked: relative, no "..", plain components */
        uint64_t length;
        uint8_t sha256[SHA256_SIZE];
        bool has_sha512;
        uint8_t sha512[64];
        json_t *custom; /* NULL if absent */
} TufTarget;

typedef struct TufMetadata {
        TufRole role;
        uint64_t version;
        usec_t expires_usec; /* realtime */

        void *raw; /* as received; a NUL stands behind */
        size_t raw_size;
        char *canonical; /* of "signed" */
        size_t canonical_size;
        TufSignature *signatures;
        size_t n_signatures;

        /* root */
        TufKey **keys;
        size_t n_keys;
        TufRoleKeys roles[_TUF_ROLE_MAX];

        /* timestamp (exactly one: snapshot.json) and snapshot */
        TufFileInfo *files;
        size_t n_files;

        /* targets, in order of path */
        TufTarget *targets;
        size_t n_targets;
} TufMetadata;

/* Copies data. 0, TUF_MALFORMED, TUF_TOO_LARGE, or negative. Nothing is verified yet. */
int tuf_metadata_parse(
                TufRole role, const void *data, size_t size, TufMetadata **ret, char **reterr_message);
TufMetadata *tuf_metadata_free(TufMetadata *m);
DEFINE_POINTER_CLEANUP(TufMetadata, tuf_metadata_free);

const TufKey *tuf_metadata_key(const TufMetadata *root, const char *keyid); /* NULL if absent */
const TufFileInfo *tuf_metadata_file(const TufMetadata *m, const char *name); /* NULL if absent */
const TufTarget *tuf_metadata_target(const TufMetadata *targets, const char *path); /* NULL if absent */

/* Name of a role's file in a repository with consistent snapshots: "7.snapshot.json", but always
 * "timestamp.json". */
#define TUF_FILE_NAME_MAX 48
const char *tuf_file_name(TufRole role, uint64_t version, char buf[static TUF_FILE_NAME_MAX]);

/* Relative, "/"-separated, each component non-empty, not starting with ".", of [A-Za-z0-9._+~-] alone. */
bool tuf_target_path_is_valid(const char *path);
/* Where a target lies below the repository's targets/: "agent/1.1.0/linux-x86_64/<sha256>.agent".
 * -ENOMEM. */
int tuf_target_file_path(const TufTarget *t, char **ret);
