/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who may come in: API tokens, "fga1_<id: 16 hex>_<secret: 64 hex>", and people with sessions, whose cookie
 * has the same form with "fgs1"; also join tokens' first two parts. Made, taken apart, compared. The store
 * holds SHA-256 of the secrets alone. A copy of all tokens, users and sessions lives here, on the loop, so
 * that a request is authenticated without a question to the store. The id finds the record, the secret is
 * compared in constant time.
 *
 * A session has the role that its user has now. A token that a user made has at most the role that the user
 * has now, and is worth nothing while the user is disabled or gone. */

#include "caller.h"
#include "hashmap.h"
#include "record.h"

#define TOKEN_ID_HEX 16U
#define TOKEN_SECRET_HEX 64U

/* A new id and secret. The secret is wiped by its owner: secret_free(). */
int token_generate(const char *prefix, char **ret_id, char **ret_token, char **ret_hash);
/* Takes "<prefix>_<id>_<secret>", and with rest also what follows the secret after another "_" (else nothing
 * may). -EINVAL. */
int token_parse(const char *prefix,
                const char *token,
                char **ret_id,
                char **ret_hash,
                const char **ret_rest);

/* What the requests of a session that change something must carry, from its cookie: who can read the answers
 * of this origin knows it, who can only have the cookie sent does not. */
void session_csrf_token(const char *salt, const char *cookie, char ret[static CALLER_CSRF_HEX + 1]);

typedef struct Auth Auth;

int auth_new(Auth **ret, usec_t session_idle);
Auth *auth_free(Auth *a);
DEFINE_POINTER_CLEANUP(Auth, auth_free);

/* All of them copy. */
int auth_add(Auth *a, const ApiToken *t);
void auth_remove(Auth *a, const char *id);
int auth_put_user(Auth *a, const UserRecord *u);  /* one who is disabled loses the sessions */
void auth_remove_user(Auth *a, const char *name); /* and the sessions and tokens */
int auth_put_session(Auth *a, const SessionRecord *s);
void auth_remove_session(Auth *a, const char *id);
void auth_end_sessions(Auth *a, const char *user, const char *keep /* NULL: all */);
bool auth_has_users(const Auth *a);

/* 0 and who it is; -EINVAL malformed; -ENOENT unknown; -EKEYEXPIRED; -EACCES: its user is disabled or gone.
 * Being used is noted. */
int auth_check(Auth *a, const char *token, usec_t now, ApiCaller *ret);
int auth_check_session(Auth *a, const char *cookie, usec_t now, ApiCaller *ret);
/* Is what was checked once still good? Does not count as use. */
bool auth_is_valid(Auth *a, const ApiCaller *c, usec_t now);

/* What was used since this was asked last, for the store; and sessions that have ended are forgotten. */
typedef struct AuthSeen {
        char *id;
        usec_t when;
        bool is_session;
} AuthSeen;
int auth_take_seen(Auth *a, usec_t now, AuthSeen **ret, size_t *ret_n);
void auth_seen_free(AuthSeen *seen, size_t n);
