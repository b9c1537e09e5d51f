/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include "alloc-util.h"
#include "crypto.h"
#include "hex.h"
#include "string-util.h"

struct Auth {
        Hashmap *tokens;   /* id → Token */
        Hashmap *users;    /* name → UserRecord, without the password's hash */
        Hashmap *sessions; /* id → Session */
        usec_t session_idle;
};

/* With what was not yet told to the store. */
typedef struct Token {
        ApiToken record;
        bool used;
} Token;

typedef struct Session {
        SessionRecord record;
        bool used;
} Session;

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

void session_csrf_token(const char *salt, const char *cookie, char ret[static CALLER_CSRF_HEX + 1]) {
        uint8_t hash[SHA256_SIZE];
        Sha256 *h;

        ret[0] = '\0';
        if (sha256_new(&h) < 0)
                return; /* then nothing equals it */
        sha256_update(h, "fleet-csrf", sizeof("fleet-csrf"));
        sha256_update(h, salt, strlen(salt) + 1);
        sha256_update(h, cookie, strlen(cookie));
        sha256_final(h, hash);
        sha256_free(h);
        hex_encode(hash, sizeof(hash), ret);
}

/* ---- what is known ---- */

static void token_destroy(void *value) {
        Token *t = value;

        api_token_done(&t->record);
        free(t);
}

static void user_destroy(void *value) {
        user_record_done(value);
        free(value);
}

static void session_destroy(void *value) {
        Session *s = value;

        session_record_done(&s->record);
        free(s);
}

int auth_new(Auth **ret, usec_t session_idle) {
        _cleanup_(auth_freep) Auth *a = new0(Auth, 1);
        int r;

        if (!a)
                return -ENOMEM;
        a->session_idle = session_idle;
        r = hashmap_new(&a->tokens, token_destroy);
        if (r >= 0)
                r = hashmap_new(&a->users, user_destroy);
        if (r >= 0)
                r = hashmap_new(&a->sessions, session_destroy);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

Auth *auth_free(Auth *a) {
        if (!a)
                return NULL;
        hashmap_free(a->tokens);
        hashmap_free(a->users);
        hashmap_free(a->sessions);
        free(a);
        return NULL;
}

int auth_add(Auth *a, const ApiToken *t) {
        Token *copy = new0(Token, 1);
        int r;

        r = copy ? api_token_copy(t, &copy->record) : -ENOMEM;
        if (r >= 0)
                r = hashmap_replace(a->tokens, t->id, copy);
        if (r < 0 && copy)
                token_destroy(copy);
        return r < 0 ? r : 0;
}

void auth_remove(Auth *a, const char *id) {
        Token *t = hashmap_remove(a->tokens, id);

        if (t)
                token_destroy(t);
}

int auth_put_user(Auth *a, const UserRecord *u) {
        UserRecord *copy = new0(UserRecord, 1), bare = *u;
        int r;

        bare.password_hash = NULL;
        r = copy ? user_record_copy(&bare, copy) : -ENOMEM;
        if (r >= 0)
                r = hashmap_replace(a->users, u->name, copy);
        if (r < 0 && copy)
                user_destroy(copy);
        if (r >= 0 && u->disabled)
                auth_end_sessions(a, u->name, NULL);
        return r < 0 ? r : 0;
}

void auth_remove_user(Auth *a, const char *name) {
        UserRecord *u = hashmap_remove(a->users, name);
        size_t cursor = 0;
        void *value;

        auth_end_sessions(a, name, NULL);
        while (hashmap_iterate(a->tokens, &cursor, NULL, &value)) {
                Token *t = value;

                if (!streq_ptr(api_token_user(&t->record), name))
                        continue;
                (void) hashmap_remove(a->tokens, t->record.id);
                token_destroy(t);
        }
        if (u)
                user_destroy(u);
}

bool auth_has_users(const Auth *a) {
        return hashmap_size(a->users) > 0;
}

int auth_put_session(Auth *a, const SessionRecord *s) {
        Session *copy = new0(Session, 1);
        int r;

        r = copy ? session_record_copy(s, &copy->record) : -ENOMEM;
        if (r >= 0)
                r = hashmap_replace(a->sessions, s->id, copy);
        if (r < 0 && copy)
                session_destroy(copy);
        return r < 0 ? r : 0;
}

void auth_remove_session(Auth *a, const char *id) {
        Session *s = hashmap_remove(a->sessions, id);

        if (s)
                session_destroy(s);
}

void auth_end_sessions(Auth *a, const char *user, const char *keep) {
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(a->sessions, &cursor, NULL, &value)) {
                Session *s = value;

                if (!streq(s->record.user, user) || streq_ptr(s->record.id, keep))
                        continue;
                (void) hashmap_remove(a->sessions, s->record.id);
                session_destroy(s);
        }
}

/* ---- who it is ---- */

static bool session_has_ended(const Auth *a, const Session *s, usec_t now) {
        return s->record.expires <= now || usec_add(s->record.last_used, a->session_idle) <= now;
}

/* The user behind it, if that one may do anything. */
static const UserRecord *user_find(Auth *a, const char *name) {
        const UserRecord *u = hashmap_get(a->users, name);

        return u && !u->disabled ? u : NULL;
}

static int copy_text(char **to, const char *from) {
        *to = isempty(from) ? NULL : strdup(from);
        return !isempty(from) && !*to ? -ENOMEM : 0;
}

static int token_caller(const ApiToken *t, const UserRecord *u, ApiCaller *ret) {
        int r;

        *ret = (ApiCaller){
                .kind = CALLER_TOKEN,
                .role = u ? MIN(t->role, u->role) : t->role,
                .scopes = t->scopes,
                .created = t->created,
                .expires = t->expires,
        };
        r = copy_text(&ret->id, t->id);
        if (r >= 0)
                r = copy_text(&ret->title, t->description);
        if (r >= 0)
                r = copy_text(&ret->user, u ? u->name : NULL);
        if (r < 0)
                api_caller_done(ret);
        return r;
}

int auth_check(Auth *a, const char *token, usec_t now, ApiCaller *ret) {
        _cleanup_free_ char *id = NULL, *hash = NULL;
        const UserRecord *u = NULL;
        const char *user;
        Token *t;
        int r;

        r = token_parse("fga1", token, &id, &hash, NULL);
        if (r < 0)
                return r;
        t = hashmap_get(a->tokens, id);
        if (!t || !memory_equal_ct(t->record.hash, hash, TOKEN_SECRET_HEX))
                return -ENOENT;
        if (t->record.expires > 0 && t->record.expires <= now)
                return -EKEYEXPIRED;
        user = api_token_user(&t->record);
        if (user) {
                u = user_find(a, user);
                if (!u)
                        return -EACCES;
        }
        r = token_caller(&t->record, u, ret);
        if (r < 0)
                return r;
        t->record.last_used = MAX(t->record.last_used, now);
        t->used = true;
        return 0;
}

static int session_caller(const SessionRecord *s, const UserRecord *u, const char *cookie, ApiCaller *ret) {
        int r;

        *ret = (ApiCaller){
                .kind = CALLER_USER,
                .role = u->role,
                .scopes = API_SCOPES_ALL,
                .created = s->created,
                .expires = s->expires,
                .revision = u->revision,
                .user_created = u->created,
        };
        session_csrf_token(s->csrf, cookie, ret->csrf);
        r = copy_text(&ret->id, s->id);
        if (r >= 0)
                r = copy_text(&ret->user, u->name);
        if (r >= 0)
                r = copy_text(&ret->title, u->display_name);
        if (r < 0)
                api_caller_done(ret);
        return r;
}

int auth_check_session(Auth *a, const char *cookie, usec_t now, ApiCaller *ret) {
        _cleanup_free_ char *id = NULL, *hash = NULL;
        const UserRecord *u;
        Session *s;
        int r;

        r = token_parse("fgs1", cookie, &id, &hash, NULL);
        if (r < 0)
                return r;
        s = hashmap_get(a->sessions, id);
        if (!s || !memory_equal_ct(s->record.hash, hash, TOKEN_SECRET_HEX))
                return -ENOENT;
        if (session_has_ended(a, s, now))
                return -EKEYEXPIRED;
        u = user_find(a, s->record.user);
        if (!u)
                return -EACCES;
        r = session_caller(&s->record, u, cookie, ret);
        if (r < 0)
                return r;
        s->record.last_used = MAX(s->record.last_used, now);
        s->used = true;
        return 0;
}

static bool token_is_valid(Auth *a, const char *id, usec_t now) {
        const Token *t = hashmap_get(a->tokens, id);
        const char *user = t ? api_token_user(&t->record) : NULL;

        return t && (t->record.expires == 0 || t->record.expires > now) && (!user || user_find(a, user));
}

bool auth_is_valid(Auth *a, const ApiCaller *c, usec_t now) {
        const Session *s;

        switch (c->kind) {
        case CALLER_TOKEN:
                return token_is_valid(a, c->id, now);
        case CALLER_USER:
                s = hashmap_get(a->sessions, c->id);
                return s && !session_has_ended(a, s, now) && user_find(a, s->record.user);
        case CALLER_NOBODY:
                break;
        }
        return false;
}

/* ---- for the store ---- */

void auth_seen_free(AuthSeen *seen, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(seen[i].id);
        free(seen);
}

static int seen_add(AuthSeen *seen, size_t *n, const char *id, usec_t when, bool is_session) {
        seen[*n] = (AuthSeen){ .id = strdup(id), .when = when, .is_session = is_session };
        if (!seen[*n].id)
                return -ENOMEM;
        ++*n;
        return 0;
}

static void forget_ended(Auth *a, usec_t now) {
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(a->sessions, &cursor, NULL, &value)) {
                Session *s = value;

                if (!session_has_ended(a, s, now))
                        continue;
                (void) hashmap_remove(a->sessions, s->record.id);
                session_destroy(s);
        }
}

int auth_take_seen(Auth *a, usec_t now, AuthSeen **ret, size_t *ret_n) {
        size_t cursor = 0, n = 0;
        AuthSeen *seen;
        void *value;
        int r = 0;

        forget_ended(a, now);
        seen = new0(AuthSeen, hashmap_size(a->tokens) + hashmap_size(a->sessions));
        if (!seen)
                return -ENOMEM;
        while (r >= 0 && hashmap_iterate(a->tokens, &cursor, NULL, &value)) {
                Token *t = value;

                if (t->used)
                        r = seen_add(seen, &n, t->record.id, t->record.last_used, /* is_session= */ false);
                t->used = false;
        }
        cursor = 0;
        while (r >= 0 && hashmap_iterate(a->sessions, &cursor, NULL, &value)) {
                Session *s = value;

                if (s->used)
                        r = seen_add(seen, &n, s->record.id, s->record.last_used, /* is_session= */ true);
                s->used = false;
        }
        if (r < 0) {
                auth_seen_free(seen, n);
                return r;
        }
        *ret = seen;
        *ret_n = n;
        return 0;
}
