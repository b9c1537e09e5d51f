/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one place that knows libsodium's header: SHA-256 and SHA-512 streaming, Ed25519, sealing with a passphrase,
 * passwords, comparing secrets. Call crypto_init() first (idempotent). */

#include <sys/types.h>

#include "macro.h"

#define SHA256_SIZE 32U
#define SHA256_HEX_MAX (2 * SHA256_SIZE + 1)
#define ED25519_PUBLIC_SIZE 32U
#define ED25519_SECRET_SIZE 64U
#define ED25519_SEED_SIZE 32U
#define ED25519_SIGNATURE_SIZE 64U

int crypto_init(void);                             /* 0, -EIO */

typedef struct Sha256 Sha256;
int sha256_new(Sha256 **ret);
Sha256 *sha256_free(Sha256 *h);
DEFINE_POINTER_CLEANUP(Sha256, sha256_free);
void sha256_update(Sha256 *h, const void *data, size_t size);
void sha256_final(Sha256 *h, uint8_t ret[static SHA256_SIZE]);
int sha256_clone(const Sha256 *h, Sha256 **ret);

void sha256_bytes(const void *data, size_t size, uint8_t ret[static SHA256_SIZE]);
void sha512_bytes(const void *data, size_t size, uint8_t ret[static 64]);
/* From the current offset to the end; -EFBIG above max. */
int sha256_fd(int fd, uint64_t max, uint8_t ret[static SHA256_SIZE], uint64_t *ret_size);

/* RFC 8032. 1 valid, 0 not. */
int ed25519_verify(const uint8_t public[static ED25519_PUBLIC_SIZE], const uint8_t signature[static ED25519_SIGNATURE_SIZE],
                   const void *message, size_t size);
int ed25519_sign(const uint8_t secret[static ED25519_SECRET_SIZE], const void *message, size_t size,
                 uint8_t ret[static ED25519_SIGNATURE_SIZE]);
int ed25519_generate(uint8_t ret_public[static ED25519_PUBLIC_SIZE], uint8_t ret_secret[static ED25519_SECRET_SIZE]);

/* Argon2id (crypto_pwhash, moderate limits) and XSalsa20-Poly1305 (crypto_secretbox). The result holds version,
 * salt and nonce. Opening: -EKEYREJECTED for a wrong passphrase or damage, -EBADMSG for what is no sealed box. */
int secret_seal(const void *data, size_t size, const char *passphrase, void **ret, size_t *ret_size);
int secret_open(const void *data, size_t size, const char *passphrase, void **ret, size_t *ret_size);

/* Argon2id with limits for people who wait (crypto_pwhash_str: 64 MiB, two passes): a text with salt and limits in it.
 * Verifying: 1 right, 0 wrong, -ENOMEM when it could not be computed. Each takes some 50 to 100 ms. */
#define PASSWORD_HASH_MAX 128U
int password_hash(const char *password, char ret[static PASSWORD_HASH_MAX]);
int password_verify(const char *password, const char *hash);
/* Was it made with other limits than are used now? */
bool password_hash_is_old(const char *hash);

void random_bytes(void *ret, size_t size);
void memory_wipe(void *p, size_t size);
void *secret_free(void *p, size_t size);           /* wipes, frees, returns NULL */
bool memory_equal_ct(const void *a, const void *b, size_t size);
