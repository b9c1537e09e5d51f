/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#define JOIN_TOKEN_COLUMNS "id, hash, uses, uses_left, created, expires, description, agent"

static int join_token_read(Store *s, Query *q, JoinToken *t) {
        _cleanup_query_ Query l = {};
        int r;

        query_get_text(q, &t->id);
        query_get_text(q, &t->hash);
        t->uses = query_get_u64(q);
        t->uses_left = query_get_u64(q);
        t->created = query_get_u64(q);
        t->expires = query_get_u64(q);
        query_get_text(q, &t->description);
        query_get_text(q, &t->agent);
        r = query_read(q);
        if (r < 0)
                return r;

        query_begin(&l, s, "SELECT key, value FROM join_token_labels WHERE token = ?");
        query_text(&l, t->id);
        while ((r = query_row(&l)) > 0) {
                _cleanup_free_ char *key = NULL, *value = NULL;

                query_get_text(&l, &key);
                query_get_text(&l, &value);
                r = query_read(&l);
                if (r >= 0)
                        r = labels_set(&t->labels, key, value);
                if (r < 0)
                        return r;
        }
        return r;
}

int sqlite_join_token_get(Store *s, const char *id, JoinToken *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " JOIN_TOKEN_COLUMNS " FROM join_tokens WHERE id = ?");
        query_text(&q, id);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return join_token_read(s, &q, ret);
}

int sqlite_join_token_put(Store *s, const JoinToken *t) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "INSERT INTO join_tokens (" JOIN_TOKEN_COLUMNS ") VALUES (?,?,?,?,?,?,?,?) "
                    "ON CONFLICT (id) DO UPDATE SET uses_left = excluded.uses_left");
        query_text(&q, t->id);
        query_text(&q, t->hash);
        query_u64(&q, t->uses);
        query_u64(&q, t->uses_left);
        query_u64(&q, t->created);
        query_u64(&q, t->expires);
        query_text(&q, t->description);
        query_text(&q, t->agent);
        r = query_run(&q);
        for (size_t i = 0; r >= 0 && i < t->labels.n; i++) {
                _cleanup_query_ Query l = {};

                query_begin(&l, s,
                            "INSERT OR IGNORE INTO join_token_labels (token, key, value) VALUES (?, ?, ?)");
                query_text(&l, t->id);
                query_text(&l, t->labels.items[i].key);
                query_text(&l, t->labels.items[i].value);
                r = query_run(&l);
        }
        return r < 0 ? r : 0;
}

/* key_hash NULL: with any key. */
int sqlite_join_token_used(Store *s, const char *id, const char *agent, const char *key_hash) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT 1 FROM join_token_uses WHERE token = ? AND agent = ? "
                           "AND key_hash = coalesce(?, key_hash)");
        query_text(&q, id);
        query_text(&q, agent);
        query_text(&q, key_hash);
        r = query_row(&q);
        return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

int sqlite_join_token_put_used(Store *s, const char *id, const char *agent, const char *key_hash) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "INSERT OR IGNORE INTO join_token_uses (token, agent, key_hash) VALUES (?, ?, ?)");
        query_text(&q, id);
        query_text(&q, agent);
        query_text(&q, key_hash);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_join_token_delete(Store *s, const char *id) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "DELETE FROM join_tokens WHERE id = ?");
        query_text(&q, id);
        return query_run_one(&q);
}

int sqlite_join_tokens_each(Store *s, store_join_token_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " JOIN_TOKEN_COLUMNS " FROM join_tokens ORDER BY created DESC, id");
        while ((r = query_row(&q)) > 0) {
                _cleanup_(join_token_done) JoinToken t = {};

                r = join_token_read(s, &q, &t);
                if (r >= 0)
                        r = callback(&t, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

#define API_TOKEN_COLUMNS "id, hash, role, created, expires, description, scopes, owner, last_used, parent"

static int api_token_read(Query *q, ApiToken *t) {
        _cleanup_free_ char *role = NULL, *scopes = NULL;
        int r;

        query_get_text(q, &t->id);
        query_get_text(q, &t->hash);
        query_get_text(q, &role);
        t->created = query_get_u64(q);
        t->expires = query_get_u64(q);
        query_get_text(q, &t->description);
        query_get_text(q, &scopes);
        query_get_text(q, &t->owner);
        t->last_used = query_get_u64(q);
        query_get_text(q, &t->parent);
        t->role = api_role_from_string(role);
        r = query_read(q);
        if (r >= 0)
                r = api_scopes_parse(scopes, &t->scopes);
        return r < 0 ? r : t->role < 0 ? -EUCLEAN : 0;
}

int sqlite_api_token_get(Store *s, const char *id, ApiToken *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " API_TOKEN_COLUMNS " FROM api_tokens WHERE id = ?");
        query_text(&q, id);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return api_token_read(&q, ret);
}

int sqlite_api_token_put(Store *s, const ApiToken *t) {
        _cleanup_free_ char *scopes = NULL;
        _cleanup_query_ Query q = {};
        int r;

        r = api_scopes_format(t->scopes, &scopes);
        if (r < 0)
                return r;
        query_begin(&q, s, "INSERT INTO api_tokens (" API_TOKEN_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?)");
        query_text(&q, t->id);
        query_text(&q, t->hash);
        query_text(&q, api_role_to_string(t->role));
        query_u64(&q, t->created);
        query_u64(&q, t->expires);
        query_text(&q, t->description);
        query_text(&q, scopes);
        query_text(&q, t->owner);
        query_u64(&q, t->last_used);
        query_text(&q, t->parent);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_api_token_seen(Store *s, const char *id, usec_t when) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "UPDATE api_tokens SET last_used = max(last_used, ?) WHERE id = ?");
        query_u64(&q, when);
        query_text(&q, id);
        return query_run_one(&q);
}

int sqlite_api_token_delete(Store *s, const char *id, store_id_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        bool found = false;
        int r;

        query_begin(&q, s,
                    "WITH RECURSIVE family (id) AS (VALUES (?) UNION "
                    "SELECT t.id FROM api_tokens AS t JOIN family ON t.parent = family.id) "
                    "DELETE FROM api_tokens WHERE id IN (SELECT id FROM family) RETURNING id");
        query_text(&q, id);
        while ((r = query_row(&q)) > 0) {
                found = true;
                r = callback(query_peek_text(&q), userdata);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : found ? 0 : -ENOENT;
}

int sqlite_api_tokens_delete_of(Store *s, const char *owner, uint64_t *ret_n) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "DELETE FROM api_tokens WHERE owner = ?");
        query_text(&q, owner);
        r = query_run(&q);
        if (r < 0)
                return r;
        *ret_n = (uint64_t) r;
        return 0;
}

int sqlite_api_tokens_each(Store *s, store_api_token_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " API_TOKEN_COLUMNS " FROM api_tokens ORDER BY created, id");
        while ((r = query_row(&q)) > 0) {
                _cleanup_(api_token_done) ApiToken t = {};

                r = api_token_read(&q, &t);
                if (r >= 0)
                        r = callback(&t, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}
