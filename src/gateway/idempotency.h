/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Requests that may be repeated (draft-ietf-httpapi-idempotency-key-header): who sends one again with the
 * same key, since the answer was lost, gets that answer and nothing is done twice. Kept in the transaction
 * of the change: what was refused changed nothing, is not kept, and is tried anew. The routes that take a
 * key say so in api.c. */

#include "hashmap.h"
#include "http.h"
#include "store.h"

#define IDEMPOTENCY_KEY_MAX 128U
#define IDEMPOTENCY_LIFETIME USEC_PER_DAY
#define IDEMPOTENCY_PER_ACTOR_MAX 1000U

/* Which keys are being worked on. The loop's. */
typedef struct Idempotency Idempotency;
int idempotency_new(Idempotency **ret);
Idempotency *idempotency_free(Idempotency *i);
DEFINE_POINTER_CLEANUP(Idempotency, idempotency_free);

bool idempotency_key_is_valid(const char *key);

/* One request with its key, until it is answered. actor: api_caller_identity(). -EBUSY: the same is being
 * worked on. */
typedef struct IdempotentRequest IdempotentRequest;
int idempotency_begin(
                Idempotency *i,
                const HttpExchange *x,
                const char *actor,
                const char *key,
                IdempotentRequest **ret);
IdempotentRequest *idempotent_request_free(IdempotentRequest *q); /* on the loop */

/* ---- on the worker's thread ---- */

enum {
        IDEMPOTENCY_NEW,
        IDEMPOTENCY_REPLAY,   /* there is an answer: idempotency_answer() */
        IDEMPOTENCY_MISMATCH, /* the key was used for another request */
};
int idempotency_look(IdempotentRequest *q, Store *s, usec_t now);
int idempotency_keep(
                IdempotentRequest *q, Store *s, usec_t now, unsigned status, json_t *answer /* or NULL */);

/* What was found to be answered, or NULL. */
const AnswerRecord *idempotency_answer(const IdempotentRequest *q);
