/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Public keys and the signature schemes that this build knows. A key of a scheme that is not in the table is
 * kept (its keyid must still be right) but verifies nothing, so that it cannot reach a threshold. Pure. */

#include "crypto.h"
#include "json.h"

#define TUF_KEYID_MAX (SHA256_HEX_MAX)
#define TUF_KEY_MATERIAL_MAX 1024U
#define TUF_SIGNATURE_MAX 1024U /* bytes, decoded */

typedef struct TufScheme {
        const char *keytype;
        const char *scheme;
        /* keyval.public as text to bytes that are equal for equal keys; -EBADMSG. ret holds
         * TUF_KEY_MATERIAL_MAX. */
        int (*parse_public)(const char *text, uint8_t *ret, size_t *ret_size);
        /* 1 valid, 0 not. signature is decoded from hexadecimal already. */
        int (*verify)(const uint8_t *material,
                      size_t material_size,
                      const uint8_t *signature,
                      size_t signature_size,
                      const void *message,
                      size_t size);
} TufScheme;

/* Ended by NULL. It has a file of its own (tuf-schemes.c: Ed25519 alone), so that a program which defines
 * this symbol itself, as the conformance client will, replaces the table without touching anything else. */
extern const TufScheme *const tuf_schemes[];
extern const TufScheme tuf_scheme_ed25519;

typedef struct TufKey {
        char keyid[TUF_KEYID_MAX];
        const TufScheme *scheme; /* NULL: not known to this build */
        uint8_t *material;
        size_t material_size;
        json_t *object; /* as in metadata, unknown members included */
} TufKey;

/* From the object in metadata; computes the keyid. 0, TUF_MALFORMED, -ENOMEM. */
int tuf_key_parse(json_t *object, TufKey **ret, char **reterr_message);
/* An Ed25519 key from its bytes. */
int tuf_key_new_ed25519(const uint8_t public[static ED25519_PUBLIC_SIZE], TufKey **ret);
TufKey *tuf_key_free(TufKey *k);
DEFINE_POINTER_CLEANUP(TufKey, tuf_key_free);

/* Same scheme and same bytes, whatever the keyids. Keys of unknown schemes equal nothing. */
bool tuf_key_same_material(const TufKey *a, const TufKey *b);
/* signature_hex: as in metadata; bad hexadecimal is just not valid. 1 valid, 0 not. */
int tuf_key_verify(const TufKey *k, const char *signature_hex, const void *message, size_t size);
