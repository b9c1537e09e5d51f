/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#include "log.h"
#include "string-util.h"

int sqlite_error(SqliteStore *s, int code, const char *what) {
        int r;

        switch (code & 0xff) {
        case SQLITE_NOMEM:
                r = -ENOMEM;
                break;
        case SQLITE_FULL:
                r = -ENOSPC;
                break;
        case SQLITE_CONSTRAINT:
                r = sqlite3_extended_errcode(s->db) == SQLITE_CONSTRAINT_FOREIGNKEY ? -ENOENT : -EEXIST;
                break;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                r = -EUCLEAN;
                break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                r = -EBUSY;
                break;
        case SQLITE_INTERRUPT:
                r = -EINTR;
                break;
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
                r = -EACCES;
                break;
        default:
                r = -EIO;
        }
        /* Disk full, an I/O error, no memory: SQLite may take back all of the transaction at once, and would
         * commit each statement that follows by itself. */
        if (s->batch && s->lost == 0 && sqlite3_get_autocommit(s->db))
                s->lost = r;
        return log_debug_errno(
                        r, "SQLite: %s: %s", what, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
}

int sqlite_run(SqliteStore *s, const char *sql) {
        int r = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

        return r == SQLITE_OK ? 0 : sqlite_error(s, r, sql);
}

static int statement_get(SqliteStore *s, const char *sql, sqlite3_stmt **ret) {
        sqlite3_stmt *stmt;
        int r;

        for (size_t i = 0; i < s->n_statements; i++)
                if (s->statements[i].sql == sql) {
                        if (sqlite3_stmt_busy(s->statements[i].stmt))
                                return -EBUSY;       /* an iteration within itself */
                        *ret = s->statements[i].stmt;
                        return 0;
                }
        if (s->n_statements >= ELEMENTSOF(s->statements))
                return -ENOBUFS;
        r = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
        if (r != SQLITE_OK)
                return sqlite_error(s, r, sql);
        s->statements[s->n_statements].sql = sql;
        s->statements[s->n_statements++].stmt = stmt;
        *ret = stmt;
        return 0;
}

void query_begin(Query *q, Store *store, const char *sql) {
        *q = (Query){ .store = SQLITE_STORE(store) };
        q->error = statement_get(q->store, sql, &q->stmt);
}

void query_begin_once(Query *q, Store *store, const char *sql) {
        int r;

        *q = (Query){ .store = SQLITE_STORE(store), .once = true };
        if (!sql)
                return;
        r = sqlite3_prepare_v2(q->store->db, sql, -1, &q->stmt, NULL);
        if (r != SQLITE_OK)
                q->error = sqlite_error(q->store, r, sql);
}

void query_end(Query *q) {
        if (q->once)
                (void) sqlite3_finalize(q->stmt);
        else if (q->stmt) {
                (void) sqlite3_reset(q->stmt);
                (void) sqlite3_clear_bindings(q->stmt);
        }
        q->stmt = NULL;
}

static void query_bound(Query *q, int code) {
        if (code != SQLITE_OK)
                q->error = sqlite_error(q->store, code, "cannot bind a value");
}

/* The text must live until the statement ended: it always does, being an argument of the operation. */
void query_text(Query *q, const char *value) {
        if (q->error == 0)
                query_bound(q, sqlite3_bind_text(q->stmt, ++q->next_value, value, -1, SQLITE_STATIC));
}

void query_u64(Query *q, uint64_t value) {
        if (q->error < 0)
                return;
        if (value > INT64_MAX)
                q->error = -ERANGE;
        else
                query_bound(q, sqlite3_bind_int64(q->stmt, ++q->next_value, (sqlite3_int64) value));
}

int query_row(Query *q) {
        int r;

        if (q->error == 0)
                q->error = q->store->lost;
        if (q->error < 0)
                return q->error;
        q->next_column = 0;
        r = sqlite3_step(q->stmt);
        if (r == SQLITE_ROW)
                return 1;
        if (r == SQLITE_DONE)
                return 0;
        return q->error = sqlite_error(q->store, r, sqlite3_sql(q->stmt));
}

int query_run(Query *q) {
        int r;

        do
                r = query_row(q);
        while (r > 0);
        return r < 0 ? r : sqlite3_changes(q->store->db);
}

int query_run_one(Query *q) {
        int r = query_run(q);

        return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

void query_get_text(Query *q, char **ret) {
        (void) query_get_whole_text(q, ret);
}

bool query_get_whole_text(Query *q, char **ret) {
        const char *text = (const char *) sqlite3_column_text(q->stmt, q->next_column);
        int size = sqlite3_column_bytes(q->stmt, q->next_column++), r;

        r = free_and_strdup(ret, text);
        if (r < 0 && q->error == 0)
                q->error = r;
        return !text || strlen(text) == (size_t) size;
}

const char *query_peek_text(Query *q) {
        return strempty((const char *) sqlite3_column_text(q->stmt, q->next_column++));
}

uint64_t query_get_u64(Query *q) {
        sqlite3_int64 v = sqlite3_column_int64(q->stmt, q->next_column++);

        if (v < 0 && q->error == 0)
                q->error = -EUCLEAN;
        return v < 0 ? 0 : (uint64_t) v;
}

int query_read(Query *q) {
        return q->error;
}
