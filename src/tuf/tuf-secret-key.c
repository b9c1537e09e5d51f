/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-secret-key.h"

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"

#define KEY_FILE_TYPE "fleet-release-key"
#define SEALED_MAX 1024U
#define SECRET_HEX_MAX (2 * ED25519_SECRET_SIZE + 1)

struct TufSecretKey {
        TufKey *public;
        uint8_t secret[ED25519_SECRET_SIZE];
};

TufSecretKey *tuf_secret_key_free(TufSecretKey *k) {
        if (k) {
                tuf_key_free(k->public);
                secret_free(k, sizeof(*k));
        }
        return NULL;
}

int tuf_secret_key_generate(TufSecretKey **ret) {
        _cleanup_(tuf_secret_key_freep) TufSecretKey *k = NULL;
        uint8_t public[ED25519_PUBLIC_SIZE];

        int r = crypto_init();
        if (r < 0)
                return r;
        k = new0(TufSecretKey, 1);
        if (!k)
                return -ENOMEM;
        r = ed25519_generate(public, k->secret);
        if (r < 0)
                return r;
        r = tuf_key_new_ed25519(public, &k->public);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(k);
        return 0;
}

const TufKey *tuf_secret_key_public(const TufSecretKey *k) {
        return k->public;
}

int tuf_secret_key_sign(const TufSecretKey *k, const void *message, size_t size, char **ret_hex) {
        uint8_t signature[ED25519_SIGNATURE_SIZE];

        int r = ed25519_sign(k->secret, message, size, signature);
        if (r < 0)
                return r;
        char *hex = hex_encode_new(signature, sizeof(signature));
        if (!hex)
                return -ENOMEM;
        *ret_hex = hex;
        return 0;
}

/* {"keyid", "public", "type"}: what both kinds of file have. */
static int build_file(const TufKey *k, json_t **ret) {
        json_t *o = json_pack(
                        "{s:s, s:s, s:O}", "type", KEY_FILE_TYPE, "keyid", k->keyid, "public", k->object);
        if (!o)
                return -ENOMEM;
        *ret = o;
        return 0;
}

static int format_file(json_t *o, char **ret) {
        _cleanup_free_ char *text = json_format(o, /* pretty= */ true);
        if (!text)
                return -ENOMEM;
        char *line = strjoinf("%s\n", text);
        memory_wipe(text, strlen(text));
        if (!line)
                return -ENOMEM;
        *ret = line;
        return 0;
}

int tuf_secret_key_format(const TufSecretKey *k, const char *passphrase, char **ret) {
        _cleanup_json_ json_t *o = NULL;
        int r;

        r = build_file(k->public, &o);
        if (r < 0)
                return r;
        if (passphrase) {
                _cleanup_free_ void *box = NULL;
                size_t size;

                r = secret_seal(k->secret, sizeof(k->secret), passphrase, &box, &size);
                if (r < 0)
                        return r;
                _cleanup_free_ char *text = base64url_encode_new(box, size);
                r = text ? json_set_string(o, "sealed", text) : -ENOMEM;
        } else {
                char hex[SECRET_HEX_MAX];

                hex_encode(k->secret, sizeof(k->secret), hex);
                r = json_set_string(o, "secret", hex);
                memory_wipe(hex, sizeof(hex));
        }
        return r < 0 ? r : format_file(o, ret);
}

int tuf_public_key_format(const TufKey *k, char **ret) {
        _cleanup_json_ json_t *o = NULL;

        int r = build_file(k, &o);
        return r < 0 ? r : format_file(o, ret);
}

static int
parse_file(const void *data, size_t size, json_t **ret, TufKey **ret_public, char **reterr_message) {
        _cleanup_(tuf_key_freep) TufKey *k = NULL;
        _cleanup_json_ json_t *o = NULL;
        const char *type, *keyid;
        int r;

        r = json_parse(data, size, TUF_KEY_FILE_MAX, &o, /* reterr_message= */ NULL);
        if (r == -EFBIG || r == -EBADMSG ||
            (r >= 0 && (json_get_string(o, "type", &type) < 0 || !streq(type, KEY_FILE_TYPE))))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "this is not a key file of fleet-release");
        if (r < 0)
                return r;

        r = tuf_key_parse(json_object_get(o, "public"), &k, reterr_message);
        if (r != 0)
                return r;
        if (json_get_string(o, "keyid", &keyid) < 0 || !streq(keyid, k->keyid))
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "the key file is damaged: its keyid does not fit its public key");
        if (k->scheme != &tuf_scheme_ed25519)
                return tuf_refuse(TUF_MALFORMED, reterr_message, "the key is not an Ed25519 key");

        *ret = TAKE_PTR(o);
        *ret_public = TAKE_PTR(k);
        return 0;
}

static int read_sealed(TufSecretKey *k, const char *sealed, const char *passphrase, char **reterr_message) {
        _cleanup_free_ void *box = NULL;
        void *plain;
        size_t size, plain_size;
        int r;

        if (base64url_decode(sealed, SEALED_MAX, &box, &size) < 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "the key file is damaged: its sealed part cannot be read");
        if (!passphrase)
                return -ENOKEY;

        r = secret_open(box, size, passphrase, &plain, &plain_size);
        if (r == -EBADMSG)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "the key file is damaged: its sealed part cannot be read");
        if (r < 0)
                return r;
        bool fits = plain_size == sizeof(k->secret);
        if (fits)
                memcpy(k->secret, plain, sizeof(k->secret));
        secret_free(plain, plain_size);
        if (!fits)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "the key file is damaged: its secret has the wrong size");
        return 0;
}

/* Signing with a public key that does not belong to the secret would give the secret away. */
static int check_pair(const TufSecretKey *k, char **reterr_message) {
        static const char probe[] = "fleet-release: does this pair of keys belong together?";
        uint8_t signature[ED25519_SIGNATURE_SIZE];

        if (k->public->material_size == ED25519_PUBLIC_SIZE &&
            memcmp(k->secret + ED25519_SEED_SIZE, k->public->material, ED25519_PUBLIC_SIZE) == 0 &&
            ed25519_sign(k->secret, probe, sizeof(probe), signature) >= 0 &&
            ed25519_verify(k->public->material, signature, probe, sizeof(probe)) > 0)
                return 0;
        return tuf_refuse(
                        TUF_MALFORMED, reterr_message,
                        "the key file is damaged: secret and public key do not belong together");
}

int tuf_secret_key_parse(
                const void *data,
                size_t size,
                const char *passphrase,
                TufSecretKey **ret,
                char **reterr_message) {
        _cleanup_(tuf_secret_key_freep) TufSecretKey *k = NULL;
        _cleanup_json_ json_t *o = NULL;
        const char *sealed, *secret;
        int r;

        r = crypto_init();
        if (r < 0)
                return r;
        k = new0(TufSecretKey, 1);
        if (!k)
                return -ENOMEM;
        r = parse_file(data, size, &o, &k->public, reterr_message);
        if (r != 0)
                return r;

        if (json_get_string(o, "sealed", &sealed) >= 0)
                r = read_sealed(k, sealed, passphrase, reterr_message);
        else if (json_get_string(o, "secret", &secret) >= 0)
                r = hex_decode(secret, k->secret, sizeof(k->secret)) >= 0 ?
                                    0 :
                                    tuf_refuse(TUF_MALFORMED, reterr_message,
                                               "the key file is damaged: its secret cannot be read");
        else
                r = tuf_refuse(TUF_NOT_FOUND, reterr_message,
                               "this file holds a public key alone, the secret one is needed");
        if (r != 0)
                return r;

        r = check_pair(k, reterr_message);
        if (r != 0)
                return r;
        *ret = TAKE_PTR(k);
        return 0;
}

int tuf_public_key_parse(const void *data, size_t size, TufKey **ret, char **reterr_message) {
        _cleanup_json_ json_t *o = NULL;

        int r = crypto_init();
        return r < 0 ? r : parse_file(data, size, &o, ret, reterr_message);
}
