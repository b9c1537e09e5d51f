/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Releases as the verified targets describe them: for each version and architecture the two targets
 * agent/<version>/<os>-<arch>/{agent,updater}, with equal and well-formed "custom" (ARCHITECTURE.md).
 * Pure. */

#include "tuf-metadata.h"

typedef struct TufRelease {
        char *product, *version, *arch, *os; /* never NULL */
        char *requires, *floor, *severity; /* NULL if absent */
        uint64_t requires_packaging; /* 0 if absent */
        /* borrowed from the targets metadata, which must outlive this */
        const TufTarget *agent, *updater;
} TufRelease;

/* 0, TUF_NOT_FOUND, TUF_MALFORMED, negative. os is "linux". */
int tuf_release_find(
                const TufMetadata *targets,
                const char *version,
                const char *arch,
                TufRelease **ret,
                char **reterr_message);
TufRelease *tuf_release_free(TufRelease *r);
DEFINE_POINTER_CLEANUP(TufRelease, tuf_release_free);

/* All well-formed ones, oldest version first, then by architecture. What is malformed becomes a sentence in
 * *ret_problems (NULL-terminated, may be NULL if nobody wants it). Targets outside of agent/ are none of our
 * business. */
int tuf_release_list(const TufMetadata *targets, TufRelease ***ret, size_t *ret_n, char ***ret_problems);
void tuf_release_list_free(TufRelease **releases, size_t n);

/* "agent/1.1.0/linux-x86_64/agent". -EINVAL, -ENOMEM. */
int tuf_release_target_path(
                const char *version, const char *os, const char *arch, const char *file, char **ret);
bool tuf_release_arch_is_valid(const char *arch); /* as in uname -m */
