/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether a release may be installed here. The metadata that an agent hands over is verified from the updater's own
 * root and store, whatever the agent may have found; what is signed is then held against this machine. */

#include "crypto.h"
#include "phase.h"
#include "tuf-bytes.h"
#include "updater-root.h"

typedef struct SignedFile {
        char *path;                                        /* in the repository */
        uint64_t length;
        uint8_t sha256[SHA256_SIZE];
} SignedFile;

typedef struct SignedRelease {
        char *version;
        char *requires, *floor;                            /* NULL if absent */
        uint64_t requires_packaging;
        SignedFile agent, updater;
        char digest[SHA256_HEX_MAX];                       /* release_digest() */
} SignedRelease;

SignedRelease *signed_release_free(SignedRelease *r);
DEFINE_POINTER_CLEANUP(SignedRelease, signed_release_free);

/* 0; 1: refused, with a verdict and a sentence; negative when something broke here. */
int release_verify(UpdaterRoot *root, const TufBytes *metadata, const char *version, SignedRelease **ret,
                   UpdateVerdict *reterr_verdict, char **reterr_message);

/* Of this machine, gathered by the caller. Pure from here on. */
typedef struct MachineFacts {
        const char *current, *floor, *pin;                 /* floor and pin: NULL if there is none */
        bool pin_unreadable;
        uint32_t packaging;                                /* generation of the package */
        usec_t denied_usec;                                /* what is left of a refusal; 0 if none */
        uint64_t disk_free, disk_reserve;
} MachineFacts;

/* UPDATE_VERDICT_NONE: it may be installed. Otherwise *reterr_message is set (NULL on lack of memory). */
UpdateVerdict release_check(const SignedRelease *r, const MachineFacts *m, char **reterr_message);

/* Version of the root that the updater trusts now; 0 without one. */
uint64_t trusted_root_version(UpdaterRoot *root);
