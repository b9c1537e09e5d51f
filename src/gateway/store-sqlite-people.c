/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

/* ---- users ---- */

#define USER_COLUMNS                                                                                        \
        "name, display_name, role, password_hash, disabled, created, updated, last_login, revision"

static int user_read(Query *q, UserRecord *u) {
        _cleanup_free_ char *role = NULL;
        int r;

        query_get_text(q, &u->name);
        query_get_text(q, &u->display_name);
        query_get_text(q, &role);
        query_get_text(q, &u->password_hash);
        u->disabled = query_get_u64(q) != 0;
        u->created = query_get_u64(q);
        u->updated = query_get_u64(q);
        u->last_login = query_get_u64(q);
        u->revision = query_get_u64(q);
        u->role = api_role_from_string(role);
        r = query_read(q);
        return r < 0 ? r : u->role < 0 ? -EUCLEAN : 0;
}

int sqlite_user_get(Store *s, const char *name, UserRecord *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " USER_COLUMNS " FROM users WHERE name = ?");
        query_text(&q, name);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return user_read(&q, ret);
}

/* Not "INSERT OR REPLACE", which would delete the row first, and the sessions with it. */
int sqlite_user_put(Store *s, const UserRecord *u) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "INSERT INTO users (" USER_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?) "
                    "ON CONFLICT (name) DO UPDATE SET display_name = excluded.display_name, "
                    "role = excluded.role, password_hash = excluded.password_hash, "
                    "disabled = excluded.disabled, updated = excluded.updated, "
                    "last_login = excluded.last_login, revision = excluded.revision");
        query_text(&q, u->name);
        query_text(&q, u->display_name);
        query_text(&q, api_role_to_string(u->role));
        query_text(&q, u->password_hash);
        query_u64(&q, u->disabled);
        query_u64(&q, u->created);
        query_u64(&q, u->updated);
        query_u64(&q, u->last_login);
        query_u64(&q, u->revision);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_user_delete(Store *s, const char *name) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "DELETE FROM users WHERE name = ?");
        query_text(&q, name);
        return query_run_one(&q);
}

int sqlite_users_each(Store *s, store_user_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " USER_COLUMNS " FROM users ORDER BY name");
        while ((r = query_row(&q)) > 0) {
                _cleanup_(user_record_done) UserRecord u = {};

                r = user_read(&q, &u);
                if (r >= 0)
                        r = callback(&u, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

/* ---- sessions ---- */

#define SESSION_COLUMNS "id, hash, user, csrf, created, expires, last_used, address, user_agent"

int sqlite_session_put(Store *s, const SessionRecord *e) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "INSERT INTO sessions (" SESSION_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?)");
        query_text(&q, e->id);
        query_text(&q, e->hash);
        query_text(&q, e->user);
        query_text(&q, e->csrf);
        query_u64(&q, e->created);
        query_u64(&q, e->expires);
        query_u64(&q, e->last_used);
        query_text(&q, e->address);
        query_text(&q, e->user_agent);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_session_seen(Store *s, const char *id, usec_t when) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "UPDATE sessions SET last_used = max(last_used, ?) WHERE id = ?");
        query_u64(&q, when);
        query_text(&q, id);
        return query_run_one(&q);
}

int sqlite_session_delete(Store *s, const char *id) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "DELETE FROM sessions WHERE id = ?");
        query_text(&q, id);
        return query_run_one(&q);
}

int sqlite_sessions_each(Store *s, store_session_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " SESSION_COLUMNS " FROM sessions ORDER BY created DESC, id");
        while ((r = query_row(&q)) > 0) {
                _cleanup_(session_record_done) SessionRecord e = {};

                query_get_text(&q, &e.id);
                query_get_text(&q, &e.hash);
                query_get_text(&q, &e.user);
                query_get_text(&q, &e.csrf);
                e.created = query_get_u64(&q);
                e.expires = query_get_u64(&q);
                e.last_used = query_get_u64(&q);
                query_get_text(&q, &e.address);
                query_get_text(&q, &e.user_agent);
                r = query_read(&q);
                if (r >= 0)
                        r = callback(&e, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_sessions_delete_of(Store *s, const char *user, const char *keep) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "DELETE FROM sessions WHERE user = ?1 AND id IS NOT ?2");
        query_text(&q, user);
        query_text(&q, keep);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_sessions_prune(Store *s, usec_t now, usec_t used_since) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "DELETE FROM sessions WHERE expires <= ? OR last_used < ?");
        query_u64(&q, now);
        query_u64(&q, used_since);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

/* ---- settings ---- */

int sqlite_setting_get(Store *s, const char *key, char **ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT value FROM settings WHERE key = ?");
        query_text(&q, key);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        query_get_text(&q, ret);
        return query_read(&q);
}

int sqlite_setting_put(Store *s, const char *key, const char *value) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "INSERT INTO settings (key, value) VALUES (?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET value = excluded.value");
        query_text(&q, key);
        query_text(&q, value);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_setting_delete(Store *s, const char *key) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "DELETE FROM settings WHERE key = ?");
        query_text(&q, key);
        r = query_run(&q);
        return r < 0 ? r : 0;
}
