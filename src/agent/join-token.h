/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an operator hands to a machine so that it may enrol: "fjt1_<id>_<secret>_<CA pin>". Only the pin is
 * of interest here; the whole text goes to the gateway. The text is a secret: it never appears in a log
 * line. */

#include "macro.h"

#define JOIN_TOKEN_MAX 512
#define JOIN_TOKEN_ID_SIZE 16

typedef struct JoinToken {
        char *text; /* as given, without white space at the ends */
        size_t text_size;
        char id[JOIN_TOKEN_ID_SIZE + 1]; /* no secret: names the token to an operator */
        uint8_t ca_pin[32];              /* SHA-256 of the CA certificate in DER */
} JoinToken;

/* -EBADMSG with a sentence in *reterr_why that does not repeat the token. */
int join_token_parse(const void *data, size_t size, JoinToken **ret, const char **reterr_why);
JoinToken *join_token_free(JoinToken *t); /* wipes */
DEFINE_POINTER_CLEANUP(JoinToken, join_token_free);

/* From a file, or with NULL from $CREDENTIALS_DIRECTORY; -ENOENT when there is none. */
int join_token_load(const char *path, JoinToken **ret, const char **reterr_why);
