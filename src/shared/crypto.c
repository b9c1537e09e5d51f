/* SPDX-License-Identifier: Apache-2.0 */

#include "crypto.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "errno-util.h"
#include "fd-util.h"

static_assert(SHA256_SIZE == crypto_hash_sha256_BYTES, "SHA-256");
static_assert(ED25519_PUBLIC_SIZE == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
static_assert(ED25519_SECRET_SIZE == crypto_sign_SECRETKEYBYTES, "Ed25519 secret key");
static_assert(ED25519_SIGNATURE_SIZE == crypto_sign_BYTES, "Ed25519 signature");

struct Sha256 {
        crypto_hash_sha256_state state;
};

int crypto_init(void) {
        return sodium_init() < 0 ? -EIO : 0;
}

int sha256_new(Sha256 **ret) {
        Sha256 *h = malloc(sizeof(Sha256));
        if (!h)
                return -ENOMEM;
        crypto_hash_sha256_init(&h->state);
        *ret = h;
        return 0;
}

Sha256 *sha256_free(Sha256 *h) {
        free(h);
        return NULL;
}

void sha256_update(Sha256 *h, const void *data, size_t size) {
        crypto_hash_sha256_update(&h->state, data, size);
}

void sha256_final(Sha256 *h, uint8_t ret[static SHA256_SIZE]) {
        crypto_hash_sha256_final(&h->state, ret);
}

int sha256_clone(const Sha256 *h, Sha256 **ret) {
        Sha256 *copy = malloc(sizeof(Sha256));
        if (!copy)
                return -ENOMEM;
        *copy = *h;
        *ret = copy;
        return 0;
}

void sha256_bytes(const void *data, size_t size, uint8_t ret[static SHA256_SIZE]) {
        crypto_hash_sha256(ret, data, size);
}

void sha512_bytes(const void *data, size_t size, uint8_t ret[static 64]) {
        crypto_hash_sha512(ret, data, size);
}

static int hash_chunk(const void *data, size_t size, void *userdata) {
        crypto_hash_sha256_update(userdata, data, size);
        return 0;
}

int sha256_fd(int fd, uint64_t max, uint8_t ret[static SHA256_SIZE], uint64_t *ret_size) {
        crypto_hash_sha256_state state;

        crypto_hash_sha256_init(&state);
        int r = fd_copy(fd, -EBADF, max, hash_chunk, &state, ret_size);
        if (r < 0)
                return r;
        crypto_hash_sha256_final(&state, ret);
        return 0;
}

int ed25519_verify(
                const uint8_t public[static ED25519_PUBLIC_SIZE],
                const uint8_t signature[static ED25519_SIGNATURE_SIZE],
                const void *message,
                size_t size) {
        return crypto_sign_verify_detached(signature, message, size, public) == 0;
}

int ed25519_sign(
                const uint8_t secret[static ED25519_SECRET_SIZE],
                const void *message,
                size_t size,
                uint8_t ret[static ED25519_SIGNATURE_SIZE]) {
        return crypto_sign_detached(ret, NULL, message, size, secret) < 0 ? -EIO : 0;
}

int ed25519_generate(uint8_t ret_public[static ED25519_PUBLIC_SIZE], uint8_t ret_secret[static ED25519_SECRET_SIZE]) {
        return crypto_sign_keypair(ret_public, ret_secret) < 0 ? -EIO : 0;
}

/* The sealed form: mark and version, salt, nonce, box. The cost parameters belong to the version. */
#define BOX_MARK "fleetbox1"
#define BOX_MARK_SIZE (sizeof(BOX_MARK) - 1)
#define BOX_HEADER_SIZE (BOX_MARK_SIZE + crypto_pwhash_SALTBYTES + crypto_secretbox_NONCEBYTES)
#define BOX_PLAIN_MAX KIB(64)

static int derive_key(const char *passphrase, const uint8_t *salt, uint8_t key[static crypto_secretbox_KEYBYTES]) {
        if (crypto_pwhash(key, crypto_secretbox_KEYBYTES, passphrase, strlen(passphrase), salt,
                          crypto_pwhash_OPSLIMIT_MODERATE, crypto_pwhash_MEMLIMIT_MODERATE,
                          crypto_pwhash_ALG_ARGON2ID13) < 0)
                return -ENOMEM; /* the only way it fails */
        return 0;
}

int secret_seal(const void *data, size_t size, const char *passphrase, void **ret, size_t *ret_size) {
        uint8_t key[crypto_secretbox_KEYBYTES];

        if (size > BOX_PLAIN_MAX)
                return -E2BIG;
        size_t total = BOX_HEADER_SIZE + crypto_secretbox_MACBYTES + size;
        uint8_t *box = malloc(total);
        if (!box)
                return -ENOMEM;

        uint8_t *salt = box + BOX_MARK_SIZE, *nonce = salt + crypto_pwhash_SALTBYTES;
        memcpy(box, BOX_MARK, BOX_MARK_SIZE);
        randombytes_buf(salt, crypto_pwhash_SALTBYTES);
        randombytes_buf(nonce, crypto_secretbox_NONCEBYTES);
        int r = derive_key(passphrase, salt, key);
        if (r >= 0 && crypto_secretbox_easy(box + BOX_HEADER_SIZE, data, size, nonce, key) < 0)
                r = -EIO;
        sodium_memzero(key, sizeof(key));
        if (r < 0) {
                free(box);
                return r;
        }
        *ret = box;
        *ret_size = total;
        return 0;
}

int secret_open(const void *data, size_t size, const char *passphrase, void **ret, size_t *ret_size) {
        uint8_t key[crypto_secretbox_KEYBYTES];
        const uint8_t *box = data;

        if (size < BOX_HEADER_SIZE + crypto_secretbox_MACBYTES ||
            size > BOX_HEADER_SIZE + crypto_secretbox_MACBYTES + BOX_PLAIN_MAX ||
            memcmp(box, BOX_MARK, BOX_MARK_SIZE) != 0)
                return -EBADMSG;

        size_t plain_size = size - BOX_HEADER_SIZE - crypto_secretbox_MACBYTES;
        uint8_t *plain = malloc(plain_size + 1);
        if (!plain)
                return -ENOMEM;

        const uint8_t *salt = box + BOX_MARK_SIZE, *nonce = salt + crypto_pwhash_SALTBYTES;
        int r = derive_key(passphrase, salt, key);
        if (r >= 0 && crypto_secretbox_open_easy(plain, box + BOX_HEADER_SIZE, size - BOX_HEADER_SIZE, nonce, key) < 0)
                r = -EKEYREJECTED;
        sodium_memzero(key, sizeof(key));
        if (r < 0) {
                secret_free(plain, plain_size);
                return r;
        }
        plain[plain_size] = '\0';
        *ret = plain;
        *ret_size = plain_size;
        return 0;
}

static_assert(PASSWORD_HASH_MAX == crypto_pwhash_STRBYTES, "password hash");

#define PASSWORD_OPS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define PASSWORD_MEMORY crypto_pwhash_MEMLIMIT_INTERACTIVE

int password_hash(const char *password, char ret[static PASSWORD_HASH_MAX]) {
        if (crypto_pwhash_str_alg(ret, password, strlen(password), PASSWORD_OPS, PASSWORD_MEMORY,
                                  crypto_pwhash_ALG_ARGON2ID13) < 0)
                return -ENOMEM; /* the only way it fails */
        return 0;
}

/* The library wants a buffer of this size, and does not tell lack of memory from a wrong password. */
int password_verify(const char *password, const char *hash) {
        char buffer[PASSWORD_HASH_MAX] = {};

        if (strlen(hash) >= sizeof(buffer))
                return 0;
        memcpy(buffer, hash, strlen(hash));
        if (crypto_pwhash_str_verify(buffer, password, strlen(password)) == 0)
                return 1;
        void *probe = malloc(PASSWORD_MEMORY);
        if (!probe)
                return -ENOMEM;
        free(probe);
        return 0;
}

bool password_hash_is_old(const char *hash) {
        char buffer[PASSWORD_HASH_MAX] = {};

        if (strlen(hash) >= sizeof(buffer))
                return true;
        memcpy(buffer, hash, strlen(hash));
        return crypto_pwhash_str_needs_rehash(buffer, PASSWORD_OPS, PASSWORD_MEMORY) != 0;
}

void random_bytes(void *ret, size_t size) {
        randombytes_buf(ret, size);
}

void memory_wipe(void *p, size_t size) {
        if (p)
                sodium_memzero(p, size);
}

void *secret_free(void *p, size_t size) {
        memory_wipe(p, size);
        free(p);
        return NULL;
}

bool memory_equal_ct(const void *a, const void *b, size_t size) {
        return sodium_memcmp(a, b, size) == 0;
}
