/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Key files as the command line names them. Passphrases come from files or from the terminal, never from
 * arguments or the environment. Errors are logged here. */

#include "tuf-secret-key.h"
#include "tuf-signer.h"

#define KEY_RING_MAX 32U

/* Secret keys, loaded and opened. */
typedef struct KeyRing {
        TufSecretKey *keys[KEY_RING_MAX];
        size_t n;
} KeyRing;

void key_ring_done(KeyRing *k);
int key_ring_load(KeyRing *k, char *const *files, char *const *passphrase_files);
/* Same, but passes over files that hold a public key alone. */
int key_ring_load_secret_ones(KeyRing *k, char *const *files, char *const *passphrase_files);
/* Signs with every key of the ring that this root lets sign for the role. The number of signatures, or
 * negative. */
int key_ring_sign(const KeyRing *k, json_t *envelope, const TufMetadata *root, TufRole role);

/* The public key of a key file or a .pub file. */
int public_key_load(const char *path, TufKey **ret);

/* A passphrase for a new key: from the file, or asked for twice. Free with passphrase_free(). */
int passphrase_for_new_key(char *const *passphrase_files, char **ret);
void passphrase_free(char **p);
