/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

int sqlite_answer_get(Store *s, const char *actor, const char *key, AnswerRecord *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT fingerprint, status, body, created FROM idempotency WHERE actor = ? AND key = ?");
        query_text(&q, actor);
        query_text(&q, key);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        query_get_text(&q, &ret->fingerprint);
        ret->status = query_get_u64(&q);
        query_get_text(&q, &ret->body);
        ret->created = query_get_u64(&q);
        return query_read(&q);
}

int sqlite_answer_put(Store *s, const char *actor, const char *key, const AnswerRecord *a) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "INSERT INTO idempotency (actor, key, fingerprint, status, body, created) VALUES (?,?,?,?,?,?) "
                    "ON CONFLICT (actor, key) DO UPDATE SET fingerprint = excluded.fingerprint, "
                    "status = excluded.status, body = excluded.body, created = excluded.created");
        query_text(&q, actor);
        query_text(&q, key);
        query_text(&q, a->fingerprint);
        query_u64(&q, a->status);
        query_text(&q, a->body);
        query_u64(&q, a->created);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_answers_prune(Store *s, usec_t before, const char *actor, uint64_t keep) {
        _cleanup_query_ Query old = {}, many = {};
        int r;

        query_begin(&old, s, "DELETE FROM idempotency WHERE created < ?");
        query_u64(&old, before);
        r = query_run(&old);
        if (r < 0)
                return r;
        query_begin(&many, s,
                    "DELETE FROM idempotency WHERE actor = ?1 AND key IN (SELECT key FROM idempotency "
                    "WHERE actor = ?1 ORDER BY created DESC, key LIMIT -1 OFFSET ?2)");
        query_text(&many, actor);
        query_u64(&many, keep);
        r = query_run(&many);
        return r < 0 ? r : 0;
}
