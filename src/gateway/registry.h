/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The registry of releases: the TUF repository that the gateway serves (tuf/ in the state directory), what
 * of it was verified (trust/, the gateway's own TUF store), and the imports being uploaded (import/). The
 * releases in the store are derived from verified metadata. The functions below that take a store run on the
 * worker's thread, the others on the loop. */

#include "store-worker.h"
#include "tuf-trusted-set.h"

typedef struct Registry Registry;

/* trusted_root: JSON, size 0: none, then nothing can be imported. Copies it. Makes the directories. */
int registry_new(Registry **ret, int state_fd, const void *trusted_root, size_t trusted_root_size);
Registry *registry_free(Registry *r);
DEFINE_POINTER_CLEANUP(Registry, registry_free);

int registry_tuf_fd(const Registry *r);              /* tuf/, stays the registry's */
int registry_import_fd(const Registry *r);           /* import/ */
int registry_trust_fd(const Registry *r);            /* trust/ */
const void *registry_trusted_root(const Registry *r, size_t *ret_size);

typedef struct RegistryMetadata {
        uint64_t root, timestamp, snapshot, targets;
        usec_t expires;                              /* 0: nothing was imported yet */
        usec_t role_expires[_TUF_ROLE_MAX];
} RegistryMetadata;

/* Of a set that holds all four roles. */
void registry_metadata_fill(RegistryMetadata *m, const TufTrustedSet *set);

/* Worker: what trust/ holds, expired or not. *ret_set is NULL before the first import. */
int registry_load(const Registry *r, TufTrustedSet **ret_set, RegistryMetadata *ret);
/* Worker: versions among the targets that the store does not know yet. */
int registry_new_releases(Store *s, const TufMetadata *targets, char ***ret);
/* Worker, in a transaction: makes releases and artifacts what the targets say. Names of new ones in *ret_new
 * (may be NULL). */
int registry_store_releases(StoreJob *j, Store *s, const TufMetadata *targets, usec_t time, char ***ret_new);
/* Worker, at the start: a crash may have published what the store does not know yet. */
int registry_recover(Registry *r, StoreJob *j, Store *s, RegistryMetadata *ret);
/* Worker: can what is served be read? */
int registry_check(const Registry *r);
