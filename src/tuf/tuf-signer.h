/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Building metadata: envelopes {"signatures": [], "signed": {...}} as JSON that carries partial signatures
 * from hand to hand until the threshold is reached. Only fleet-release and tests use this. All functions
 * return 0 or a negative errno; json_t results are the caller's. */

#include "tuf-metadata.h"
#include "tuf-secret-key.h"

typedef struct TufRootSpec {
        uint64_t version;
        usec_t expires_usec;
        struct {
                const TufKey *const *keys;
                size_t n_keys;
                uint64_t threshold;
        } roles[_TUF_ROLE_MAX];
} TufRootSpec;

int tuf_build_root(const TufRootSpec *spec, json_t **ret);
/* snapshot: the file's bytes as they will be published. */
int tuf_build_timestamp(
                uint64_t version,
                usec_t expires_usec,
                uint64_t snapshot_version,
                const void *snapshot,
                size_t size,
                json_t **ret);
int tuf_build_snapshot(
                uint64_t version,
                usec_t expires_usec,
                uint64_t targets_version,
                const void *targets,
                size_t size,
                json_t **ret);
int tuf_build_targets(uint64_t version, usec_t expires_usec, json_t **ret);
/* Adds or replaces a target in an envelope of targets and drops its signatures. custom: borrowed. */
int tuf_build_targets_set(
                json_t *envelope,
                const char *path,
                uint64_t length,
                const uint8_t sha256[static SHA256_SIZE],
                json_t *custom);

/* Adds this key's signature over "signed", replacing an earlier one of the same key. */
int tuf_envelope_sign(json_t *envelope, const TufSecretKey *key);
/* Forgets all signatures: after a change of "signed". */
int tuf_envelope_unsign(json_t *envelope);
/* The bytes to publish or to keep: indented, ends with a newline. */
int tuf_envelope_format(json_t *envelope, char **ret, size_t *ret_size);
