/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Signing keys and their files. A key file is one JSON object: the public key, and the seed either sealed
 * with a passphrase or, for tests and throw-away repositories, in the clear. Only fleet-release and tests
 * use this. */

#include "tuf-key.h"
#include "tuf-outcome.h"

#define TUF_KEY_FILE_MAX 8192U
#define TUF_PASSPHRASE_MAX 1024U

typedef struct TufSecretKey TufSecretKey;

int tuf_secret_key_generate(TufSecretKey **ret);
TufSecretKey *tuf_secret_key_free(TufSecretKey *k); /* wipes */
DEFINE_POINTER_CLEANUP(TufSecretKey, tuf_secret_key_free);

const TufKey *tuf_secret_key_public(const TufSecretKey *k);
/* Signature in hexadecimal, allocated. */
int tuf_secret_key_sign(const TufSecretKey *k, const void *message, size_t size, char **ret_hex);

/* The text of a key file. passphrase NULL: in the clear. The caller wipes it. */
int tuf_secret_key_format(const TufSecretKey *k, const char *passphrase, char **ret);
/* 0; TUF_MALFORMED; TUF_NOT_FOUND: a .pub file; -ENOKEY: sealed and no passphrase given; -EKEYREJECTED:
 * wrong passphrase. */
int tuf_secret_key_parse(
                const void *data,
                size_t size,
                const char *passphrase,
                TufSecretKey **ret,
                char **reterr_message);

/* The text of a .pub file, and the public key of either kind of file. */
int tuf_public_key_format(const TufKey *k, char **ret);
int tuf_public_key_parse(const void *data, size_t size, TufKey **ret, char **reterr_message);
