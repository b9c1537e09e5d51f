/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Verified metadata on disk: root.json, timestamp.json, snapshot.json, targets.json, byte for byte as
 * received, root_history/N.root.json, and "verified-time" (see below). Each file is replaced durably, so
 * that a crash leaves the old or the new one. Nothing read from here is believed without verification but
 * the root.
 *
 * Which root is trusted: the higher of the one compiled in and the stored one. An older program never rolls
 * the stored root back; a newer program moves it forward. A stored root that cannot be read is passed over
 * for the highest readable one of the history, and that for the one compiled in.
 *
 * A clock that went back must not bring expired metadata to life again: the store remembers the reference
 * time of the last refresh that succeeded as a whole, and later ones use the higher of the two. Such a time
 * is never later than the earliest expiry of the metadata that was verified, so a clock that was wrong once
 * cannot lock the machine out. */

#include "time-util.h"
#include "tuf-bytes.h"
#include "tuf-metadata.h"

typedef struct TufStore TufStore;

/* path: an existing directory that only its owner may write. root_history/ is made when it is needed. */
int tuf_store_open(const char *path, TufStore **ret);
int tuf_store_open_at(int dir_fd, const char *path, TufStore **ret);
TufStore *tuf_store_free(TufStore *s);
DEFINE_POINTER_CLEANUP(TufStore, tuf_store_free);

/* One refresh at a time, across processes: -EBUSY. Ends with tuf_store_unlock() or tuf_store_free(). */
int tuf_store_lock(TufStore *s);
void tuf_store_unlock(TufStore *s);

int tuf_store_read(TufStore *s, TufRole role, void **ret, size_t *ret_size); /* -ENOENT */
int tuf_store_read_root(TufStore *s, uint64_t version, void **ret, size_t *ret_size); /* -ENOENT */
/* A root goes into the history first; version is only used for it. */
int tuf_store_write(TufStore *s, TufRole role, uint64_t version, const void *data, size_t size);
/* Deletes what is stored of a role other than root; nothing there is fine. */
int tuf_store_forget(TufStore *s, TufRole role);

/* The trusted root as told above; embedded may be NULL with size 0 only if the store has one. 0,
 * TUF_NO_TRUSTED_ROOT, TUF_MALFORMED (the one compiled in), negative. */
int tuf_store_trusted_root(
                TufStore *s,
                const void *embedded,
                size_t embedded_size,
                void **ret,
                size_t *ret_size,
                uint64_t *ret_version,
                char **reterr_message);

int tuf_store_verified_time(TufStore *s, usec_t *ret); /* 0 if never */
int tuf_store_set_verified_time(TufStore *s, usec_t realtime);

/* What the updater needs to verify for itself, under the names of the repository: every root above
 * root_version
 * (-ENOENT if the history has a gap), timestamp, snapshot, targets. */
int tuf_store_collect(TufStore *s, uint64_t root_version, TufBytes **ret);
