/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The verified metadata of one repository and the rules by which it grows: root, timestamp, snapshot,
 * targets, in that order (TUF 1.0, section 5). Pure: no I/O, and time is a parameter fixed for the whole
 * life of the set. A refused file changes nothing. Each function returns 0, a TufOutcome above 0, or a
 * negative errno (-EINVAL: wrong order). */

#include "tuf-metadata.h"

typedef struct TufTrustedSet TufTrustedSet;

int tuf_trusted_set_new(usec_t reference_usec, TufTrustedSet **ret);
TufTrustedSet *tuf_trusted_set_free(TufTrustedSet *s);
DEFINE_POINTER_CLEANUP(TufTrustedSet, tuf_trusted_set_free);

/* The root to begin with: must be signed by its own threshold, may be expired. */
int tuf_trusted_set_load_root(TufTrustedSet *s, const void *data, size_t size, char **reterr_message);
/* The next root: version exactly one higher, signed by the old threshold and by its own. May be expired. */
int tuf_trusted_set_update_root(TufTrustedSet *s, const void *data, size_t size, char **reterr_message);
/* Did a root of this refresh take a key away from timestamp or snapshot? Then what is stored of these two
 * roles has to be deleted before that root is stored: their version numbers may have been driven up with the
 * lost key. */
bool tuf_trusted_set_needs_recovery(const TufTrustedSet *s);
/* No more roots: the one that is trusted now must not be expired. Required before anything below. */
int tuf_trusted_set_finish_root(TufTrustedSet *s, char **reterr_message);

/* What an earlier refresh stored. Verified under the current root (so that a rotated key makes them void:
 * recovery from a fast-forward attack), but allowed to be expired or outdated: then they only protect
 * against rollback. */
int tuf_trusted_set_load_local_timestamp(
                TufTrustedSet *s, const void *data, size_t size, char **reterr_message);
int tuf_trusted_set_load_local_snapshot(
                TufTrustedSet *s, const void *data, size_t size, char **reterr_message);

/* *ret_changed is false when the version is the one already held: then that one stays (and its expiry is
 * checked). */
int tuf_trusted_set_update_timestamp(
                TufTrustedSet *s, const void *data, size_t size, bool *ret_changed, char **reterr_message);
/* Is the local snapshot the very one that the timestamp names (version, length, hashes), and not expired? */
bool tuf_trusted_set_snapshot_is_current(const TufTrustedSet *s);
int tuf_trusted_set_update_snapshot(TufTrustedSet *s, const void *data, size_t size, char **reterr_message);
int tuf_trusted_set_update_targets(TufTrustedSet *s, const void *data, size_t size, char **reterr_message);

/* NULL when there is none. Owned by the set. The snapshot may be a local one that is not current yet. */
const TufMetadata *tuf_trusted_set_get(const TufTrustedSet *s, TufRole role);
usec_t tuf_trusted_set_reference_usec(const TufTrustedSet *s);
/* Earliest expiry of what is held, realtime; 0 unless all four roles are there. */
usec_t tuf_trusted_set_expires_usec(const TufTrustedSet *s);
