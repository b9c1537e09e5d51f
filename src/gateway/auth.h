/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* API tokens, "fga1_<id: 16 hex>_<secret: 64 hex>", and join tokens' first two parts: made, taken apart,
 * compared. The store holds SHA-256 of the secret alone. A copy of all API tokens lives on the loop, so that
 * a request is authenticated without a question to the store. The id finds the record, the secret is
 * compared in constant time. */

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

typedef struct Auth Auth;

int auth_new(Auth **ret);
Auth *auth_free(Auth *a);
DEFINE_POINTER_CLEANUP(Auth, auth_free);

int auth_add(Auth *a, const ApiToken *t);                    /* copies */
void auth_remove(Auth *a, const char *id);
/* Is what was checked once still good? */
bool auth_is_valid(Auth *a, const char *id, usec_t now);
/* 0 and a copy; -EINVAL malformed; -ENOENT unknown; -EKEYEXPIRED. */
int auth_check(Auth *a, const char *token, usec_t now, ApiToken *ret);
