/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bodies about users, their passwords, and API tokens; as api-request.h. Passwords are wiped: from the body
 * as soon as they were read, from the structure by its *_done(). */

#include "api-request.h"

#define PASSWORD_MIN 12U /* bytes */
#define PASSWORD_MAX 256U
#define DISPLAY_NAME_MAX 128U
#define API_TOKEN_LIFE_DEFAULT (90 * USEC_PER_DAY)
#define API_TOKEN_LIFE_MAX (3650 * USEC_PER_DAY)

typedef struct ApiTokenRequest {
        ApiRole role;
        ApiScopes scopes;
        uint64_t expires_in_sec; /* 0: never */
        char *description;
} ApiTokenRequest;
int api_token_request_parse(json_t *body, ApiTokenRequest *ret, RequestError *reterr);
void api_token_request_done(ApiTokenRequest *r);

/* Of POST, and of PATCH, where what is absent stays as it is. */
typedef struct UserRequest {
        char *name, *password, *display_name; /* NULL: absent */
        bool has_role, has_disabled, disabled;
        ApiRole role;
} UserRequest;
int user_request_parse(json_t *body, UserRequest *ret, RequestError *reterr);
int user_change_parse(json_t *body, UserRequest *ret, RequestError *reterr);
void user_request_done(UserRequest *r);

/* Members: password; old and new; name and password; code, name and password. */
typedef struct PasswordRequest {
        char *code, *name, *old, *password;
} PasswordRequest;
int password_request_parse(json_t *body, const char *name, PasswordRequest *ret, RequestError *reterr);
int own_password_request_parse(json_t *body, const char *name, PasswordRequest *ret, RequestError *reterr);
/* What is given here is compared, not made: it is not judged. */
int login_request_parse(json_t *body, PasswordRequest *ret, RequestError *reterr);
int setup_request_parse(json_t *body, PasswordRequest *ret, RequestError *reterr);
void password_request_done(PasswordRequest *r);
