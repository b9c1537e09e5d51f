/* SPDX-License-Identifier: Apache-2.0 */
#include "idempotency.h"

#include "alloc-util.h"
#include "crypto.h"
#include "hex.h"
#include "string-util.h"

struct Idempotency {
        Hashmap *running; /* "actor key" → the request */
};

struct IdempotentRequest {
        Idempotency *owner;
        char *actor, *key;
        char *name; /* in the map */
        char fingerprint[2 * SHA256_SIZE + 1];
        AnswerRecord answer;
        bool found;
};

int idempotency_new(Idempotency **ret) {
        _cleanup_(idempotency_freep) Idempotency *i = new0(Idempotency, 1);
        int r;

        if (!i)
                return -ENOMEM;
        r = hashmap_new(&i->running, NULL);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(i);
        return 0;
}

Idempotency *idempotency_free(Idempotency *i) {
        if (!i)
                return NULL;
        hashmap_free(i->running);
        free(i);
        return NULL;
}

bool idempotency_key_is_valid(const char *key) {
        size_t n = 0;

        for (; key[n]; n++)
                if (key[n] <= 0x20 || key[n] > 0x7e)
                        return false;
        return n > 0 && n <= IDEMPOTENCY_KEY_MAX;
}

IdempotentRequest *idempotent_request_free(IdempotentRequest *q) {
        if (!q)
                return NULL;
        if (q->name)
                (void) hashmap_remove(q->owner->running, q->name);
        answer_record_done(&q->answer);
        free(q->actor);
        free(q->key);
        free(q->name);
        free(q);
        return NULL;
}
DEFINE_POINTER_CLEANUP(IdempotentRequest, idempotent_request_free);

/* Of method, path, parameters and body; each with its NUL, so that nothing runs into what follows. */
static int make_fingerprint(const HttpExchange *x, char ret[static 2 * SHA256_SIZE + 1]) {
        const char *method = http_exchange_route(x)->method;
        const HttpUri *uri = http_exchange_uri(x);
        _cleanup_(sha256_freep) Sha256 *h = NULL;
        uint8_t hash[SHA256_SIZE];
        const void *body;
        size_t size;
        int r;

        r = sha256_new(&h);
        if (r < 0)
                return r;
        sha256_update(h, method, strlen(method) + 1);
        for (size_t i = 0; i < uri->n_segments; i++)
                sha256_update(h, uri->segments[i], strlen(uri->segments[i]) + 1);
        for (size_t i = 0; i < uri->n_parameters; i++) {
                sha256_update(h, "?", 1);
                sha256_update(h, uri->parameters[i].key, strlen(uri->parameters[i].key) + 1);
                sha256_update(h, uri->parameters[i].value, strlen(uri->parameters[i].value) + 1);
        }
        sha256_update(h, "", 1);
        body = http_exchange_body(x, &size);
        sha256_update(h, body, size);
        sha256_final(h, hash);
        hex_encode(hash, sizeof(hash), ret);
        return 0;
}

int idempotency_begin(
                Idempotency *i,
                const HttpExchange *x,
                const char *actor,
                const char *key,
                IdempotentRequest **ret) {

        _cleanup_(idempotent_request_freep) IdempotentRequest *q = new0(IdempotentRequest, 1);
        _cleanup_free_ char *name = NULL;
        int r;

        if (!q)
                return -ENOMEM;
        q->owner = i;
        q->actor = strdup(actor);
        q->key = strdup(key);
        name = strjoinf("%s %s", actor, key);
        if (!q->actor || !q->key || !name)
                return -ENOMEM;
        r = make_fingerprint(x, q->fingerprint);
        if (r < 0)
                return r;
        r = hashmap_put(i->running, name, q);
        if (r < 0)
                return r == -EEXIST ? -EBUSY : r;
        q->name = TAKE_PTR(name);
        *ret = TAKE_PTR(q);
        return 0;
}

int idempotency_look(IdempotentRequest *q, Store *s, usec_t now) {
        int r;

        r = s->ops->answer_get(s, q->actor, q->key, &q->answer);
        if (r == -ENOENT)
                return IDEMPOTENCY_NEW;
        if (r < 0)
                return r;
        if (q->answer.created < usec_sub(now, IDEMPOTENCY_LIFETIME)) {
                answer_record_done(&q->answer);
                return IDEMPOTENCY_NEW;
        }
        if (!streq_ptr(q->answer.fingerprint, q->fingerprint))
                return IDEMPOTENCY_MISMATCH;
        q->found = true;
        return IDEMPOTENCY_REPLAY;
}

int idempotency_keep(IdempotentRequest *q, Store *s, usec_t now, unsigned status, json_t *answer) {
        _cleanup_free_ char *body = answer ? json_format(answer, /* pretty= */ false) : NULL;
        AnswerRecord a = { .fingerprint = q->fingerprint, .status = status, .body = body, .created = now };
        int r;

        if (answer && !body)
                return -ENOMEM;
        r = s->ops->answer_put(s, q->actor, q->key, &a);
        if (r >= 0)
                r = s->ops->answers_prune(
                                s, usec_sub(now, IDEMPOTENCY_LIFETIME), q->actor, IDEMPOTENCY_PER_ACTOR_MAX);
        return r;
}

const AnswerRecord *idempotency_answer(const IdempotentRequest *q) {
        return q->found ? &q->answer : NULL;
}
