/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-key.h"

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"
#include "tuf-canonical.h"
#include "tuf-outcome.h"

static int ed25519_parse_public(const char *text, uint8_t *ret, size_t *ret_size) {
        if (hex_decode(text, ret, ED25519_PUBLIC_SIZE) < 0)
                return -EBADMSG;
        *ret_size = ED25519_PUBLIC_SIZE;
        return 0;
}

static int ed25519_verify_signature(
                const uint8_t *material,
                size_t material_size,
                const uint8_t *signature,
                size_t signature_size,
                const void *message,
                size_t size) {
        if (material_size != ED25519_PUBLIC_SIZE || signature_size != ED25519_SIGNATURE_SIZE)
                return 0;
        return ed25519_verify(material, signature, message, size);
}

const TufScheme tuf_scheme_ed25519 = {
        .keytype = "ed25519",
        .scheme = "ed25519",
        .parse_public = ed25519_parse_public,
        .verify = ed25519_verify_signature,
};

static const TufScheme *find_scheme(const char *keytype, const char *scheme) {
        for (const TufScheme *const *s = tuf_schemes; *s; s++)
                if (streq((*s)->keytype, keytype) && streq((*s)->scheme, scheme))
                        return *s;
        return NULL;
}

static int compute_keyid(TufKey *k) {
        _cleanup_free_ char *canonical = NULL;
        uint8_t hash[SHA256_SIZE];
        size_t size;

        int r = tuf_canonical_encode(k->object, &canonical, &size);
        if (r < 0)
                return r;
        sha256_bytes(canonical, size, hash);
        hex_encode(hash, sizeof(hash), k->keyid);
        return 0;
}

int tuf_key_parse(json_t *object, TufKey **ret, char **reterr_message) {
        _cleanup_(tuf_key_freep) TufKey *k = NULL;
        const char *keytype, *scheme, *public;

        if (!json_is_object(object) || json_get_string(object, "keytype", &keytype) < 0 ||
            json_get_string(object, "scheme", &scheme) < 0 ||
            json_get_string(json_object_get(object, "keyval"), "public", &public) < 0)
                return tuf_refuse(TUF_MALFORMED, reterr_message,
                                  "a key needs keytype, scheme and keyval.public as text");

        k = new0(TufKey, 1);
        if (!k)
                return -ENOMEM;
        k->object = json_incref(object);

        int r = compute_keyid(k);
        if (r == -EBADMSG)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "a key holds a value that has no canonical form");
        if (r < 0)
                return r;

        k->scheme = find_scheme(keytype, scheme);
        if (k->scheme) {
                k->material = malloc(TUF_KEY_MATERIAL_MAX);
                if (!k->material)
                        return -ENOMEM;
                r = k->scheme->parse_public(public, k->material, &k->material_size);
                if (r == -EBADMSG)
                        return tuf_refuse(TUF_MALFORMED, reterr_message, "key %s has no valid %s public key",
                                          k->keyid, keytype);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(k);
        return 0;
}

int tuf_key_new_ed25519(const uint8_t public[static ED25519_PUBLIC_SIZE], TufKey **ret) {
        char hex[2 * ED25519_PUBLIC_SIZE + 1];

        hex_encode(public, ED25519_PUBLIC_SIZE, hex);
        _cleanup_json_ json_t *object =
                        json_pack("{s:s, s:{s:s}, s:s}", "keytype", "ed25519", "keyval", "public", hex,
                                  "scheme", "ed25519");
        if (!object)
                return -ENOMEM;
        int r = tuf_key_parse(object, ret, /* reterr_message= */ NULL);
        return r > 0 ? -EBADMSG : r;
}

TufKey *tuf_key_free(TufKey *k) {
        if (k) {
                json_decref(k->object);
                free(k->material);
                free(k);
        }
        return NULL;
}

bool tuf_key_same_material(const TufKey *a, const TufKey *b) {
        return a->scheme && a->scheme == b->scheme && a->material_size == b->material_size &&
               memcmp(a->material, b->material, a->material_size) == 0;
}

int tuf_key_verify(const TufKey *k, const char *signature_hex, const void *message, size_t size) {
        uint8_t signature[TUF_SIGNATURE_MAX];
        size_t n = strnlen(signature_hex, 2 * TUF_SIGNATURE_MAX + 1);

        if (!k->scheme || n == 0 || n % 2 != 0 || n > 2 * TUF_SIGNATURE_MAX)
                return 0;
        if (hex_decode(signature_hex, signature, n / 2) < 0)
                return 0;
        return k->scheme->verify(k->material, k->material_size, signature, n / 2, message, size) > 0;
}
