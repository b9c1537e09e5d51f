/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who makes a request, as it was when the request was let in: a person with a session, or an API token. A
 * plain structure that owns its strings. */

#include "record.h"

#define CALLER_CSRF_HEX 64U

typedef enum CallerKind {
        CALLER_NOBODY, /* of a public route */
        CALLER_TOKEN,
        CALLER_USER,
} CallerKind;

typedef struct ApiCaller {
        CallerKind kind;
        char *id;    /* of the token or the session */
        char *user;  /* signed in, or answering for the token; NULL: none */
        char *title; /* display name, or the token's description; NULL: none */
        ApiRole role;
        ApiScopes scopes;
        usec_t created, expires;        /* expires 0: never */
        uint64_t revision;              /* of the signed-in user, who was made then */
        usec_t user_created;
        char csrf[CALLER_CSRF_HEX + 1]; /* of a session: what changes must carry */
} ApiCaller;
void api_caller_done(ApiCaller *c);

/* As the audit log has it: "user:alice", "token:ID", "anonymous". */
int api_caller_name(const ApiCaller *c, char **ret);
/* The same, and of a person also when they were made: another one may get the name one day. */
int api_caller_identity(const ApiCaller *c, char **ret);
/* Who owns what it makes: the user behind a token, else the token. */
int api_caller_owner(const ApiCaller *c, char **ret);
