/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include "alloc-util.h"
#include "crypto.h"
#include "hex.h"
#include "string-util.h"

struct Auth {
        Hashmap *tokens;             /* id → ApiToken */
};

static char *hash_text(const char *secret, size_t n) {
        uint8_t hash[SHA256_SIZE];

        sha256_bytes(secret, n, hash);
        return hex_encode_new(hash, sizeof(hash));
}

int token_generate(const char *prefix, char **ret_id, char **ret_token, char **ret_hash) {
        uint8_t id[TOKEN_ID_HEX / 2], secret[TOKEN_SECRET_HEX / 2];
        char id_hex[TOKEN_ID_HEX + 1], secret_hex[TOKEN_SECRET_HEX + 1];
        _cleanup_free_ char *i = NULL, *t = NULL, *h = NULL;

        random_bytes(id, sizeof(id));
        random_bytes(secret, sizeof(secret));
        hex_encode(id, sizeof(id), id_hex);
        hex_encode(secret, sizeof(secret), secret_hex);
        i = strdup(id_hex);
        t = strjoinf("%s_%s_%s", prefix, id_hex, secret_hex);
        h = hash_text(secret_hex, TOKEN_SECRET_HEX);
        memory_wipe(secret, sizeof(secret));
        memory_wipe(secret_hex, sizeof(secret_hex));
        if (!i || !t || !h)
                return -ENOMEM;

        *ret_id = TAKE_PTR(i);
        *ret_token = TAKE_PTR(t);
        *ret_hash = TAKE_PTR(h);
        return 0;
}

static bool is_hex(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!s[i] || !strchr("0123456789abcdef", s[i]))
                        return false;
        return true;
}

int token_parse(const char *prefix,
                const char *token,
                char **ret_id,
                char **ret_hash,
                const char **ret_rest) {
        const char *id, *secret, *end;

        id = startswith(token, prefix);
        if (!id || *id++ != '_' || !is_hex(id, TOKEN_ID_HEX) || id[TOKEN_ID_HEX] != '_')
                return -EINVAL;
        secret = id + TOKEN_ID_HEX + 1;
        if (!is_hex(secret, TOKEN_SECRET_HEX))
                return -EINVAL;
        end = secret + TOKEN_SECRET_HEX;
        if (ret_rest ? *end != '_' : *end != '\0')
                return -EINVAL;

        *ret_id = strndup(id, TOKEN_ID_HEX);
        *ret_hash = hash_text(secret, TOKEN_SECRET_HEX);
        if (ret_rest)
                *ret_rest = end + 1;
        return *ret_id && *ret_hash ? 0 : -ENOMEM;
}

static void token_destroy(void *value) {
        api_token_done(value);
        free(value);
}

int auth_new(Auth **ret) {
        _cleanup_(auth_freep) Auth *a = new0(Auth, 1);
        int r;

        if (!a)
                return -ENOMEM;
        r = hashmap_new(&a->tokens, token_destroy);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

Auth *auth_free(Auth *a) {
        if (!a)
                return NULL;
        hashmap_free(a->tokens);
        free(a);
        return NULL;
}

static int token_copy(const ApiToken *t, ApiToken *ret) {
        *ret = (ApiToken){
                .id = strdup(t->id),
                .hash = strdup(t->hash),
                .role = t->role,
                .created = t->created,
                .expires = t->expires,
                .description = strdup(strempty(t->description)),
        };
        if (ret->id && ret->hash && ret->description)
                return 0;
        api_token_done(ret);
        return -ENOMEM;
}

int auth_add(Auth *a, const ApiToken *t) {
        ApiToken *copy = new0(ApiToken, 1);
        int r;

        r = copy ? token_copy(t, copy) : -ENOMEM;
        if (r >= 0)
                r = hashmap_replace(a->tokens, t->id, copy);
        if (r < 0 && copy)
                token_destroy(copy);
        return r < 0 ? r : 0;
}

void auth_remove(Auth *a, const char *id) {
        ApiToken *t = hashmap_remove(a->tokens, id);

        if (t)
                token_destroy(t);
}

bool auth_is_valid(Auth *a, const char *id, usec_t now) {
        const ApiToken *t = hashmap_get(a->tokens, id);

        return t && (t->expires == 0 || t->expires > now);
}

int auth_check(Auth *a, const char *token, usec_t now, ApiToken *ret) {
        _cleanup_free_ char *id = NULL, *hash = NULL;
        const ApiToken *t;
        int r;

        r = token_parse("fga1", token, &id, &hash, NULL);
        if (r < 0)
                return r;
        t = hashmap_get(a->tokens, id);
        if (!t || !memory_equal_ct(t->hash, hash, TOKEN_SECRET_HEX))
                return -ENOENT;
        if (t->expires > 0 && t->expires <= now)
                return -EKEYEXPIRED;
        return token_copy(t, ret);
}
