/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"
#include "string-util.h"

#define AUDIT_COLUMNS "seq, time, actor, action, target, text, hash"

int sqlite_audit_put(Store *s, const AuditRecord *a) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "INSERT INTO audit (" AUDIT_COLUMNS ") VALUES (?,?,?,?,?,?,?)");
        query_u64(&q, a->seq);
        query_u64(&q, a->time);
        query_text(&q, a->actor);
        query_text(&q, a->action);
        query_text(&q, a->target);
        query_text(&q, a->text);
        query_text(&q, a->hash);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_audit_last(Store *s, uint64_t *ret_seq, char **ret_hash) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
        r = query_row(&q);
        if (r < 0)
                return r;
        *ret_seq = 0;
        if (r == 0)
                return 0;
        *ret_seq = query_get_u64(&q);
        query_get_text(&q, ret_hash);
        return query_read(&q);
}

/* By which column rows are found: an index each, with the number as its second part. */
typedef enum By {
        BY_NUMBER,
        BY_ACTOR,
        BY_ACTION,
        BY_TARGET,
        _BY_MAX,
} By;

#define SELECT_BY(condition, order)                                                                         \
        "SELECT " AUDIT_COLUMNS " FROM audit WHERE " condition                                              \
        " AND seq > ?2 AND seq < ?3 ORDER BY seq " order " LIMIT ?4"

static const char *const statements[_BY_MAX][2] = {
        [BY_NUMBER] = { SELECT_BY("?1 IS NULL", "DESC"), SELECT_BY("?1 IS NULL", "ASC") },
        [BY_ACTOR] = { SELECT_BY("actor = ?1", "DESC"), SELECT_BY("actor = ?1", "ASC") },
        [BY_ACTION] = { SELECT_BY("action = ?1", "DESC"), SELECT_BY("action = ?1", "ASC") },
        [BY_TARGET] = { SELECT_BY("target = ?1", "DESC"), SELECT_BY("target = ?1", "ASC") },
};

static bool is_exact(const char *pattern) {
        return pattern && !endswith(pattern, "*");
}

int sqlite_audit_each(Store *s, const AuditFilter *f, store_audit_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        const char *value = NULL;
        By by = BY_NUMBER;
        int r;

        /* the most selective first */
        if (is_exact(f->target)) {
                by = BY_TARGET;
                value = f->target;
        } else if (is_exact(f->actor)) {
                by = BY_ACTOR;
                value = f->actor;
        } else if (is_exact(f->action)) {
                by = BY_ACTION;
                value = f->action;
        }
        query_begin(&q, s, statements[by][f->ascending]);
        query_text(&q, value);
        query_u64(&q, f->after);
        query_u64(&q, MIN(f->before, (uint64_t) INT64_MAX));
        query_u64(&q, f->limit);
        while ((r = query_row(&q)) > 0) {
                _cleanup_(audit_record_done) AuditRecord a = {};

                a.seq = query_get_u64(&q);
                a.time = query_get_u64(&q);
                query_get_text(&q, &a.actor);
                query_get_text(&q, &a.action);
                query_get_text(&q, &a.target);
                query_get_text(&q, &a.text);
                query_get_text(&q, &a.hash);
                r = query_read(&q);
                if (r >= 0)
                        r = callback(&a, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}
