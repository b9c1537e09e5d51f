/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "parse-util.h"
#include "store-sqlite.h"
#include "string-util.h"

#define HEAD_MAX KIB(1)
#define HASH_SIZE 32U

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
        if (r < 0)
                return r;
        SQLITE_STORE(s)->audited = true;
        return 0;
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
                a.damaged |= !query_get_whole_text(&q, &a.actor);
                a.damaged |= !query_get_whole_text(&q, &a.action);
                a.damaged |= !query_get_whole_text(&q, &a.target);
                a.damaged |= !query_get_whole_text(&q, &a.text);
                a.damaged |= !query_get_whole_text(&q, &a.hash);
                r = query_read(&q);
                if (r >= 0)
                        r = callback(&a, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

/* ---- the second place ---- */

/* A file beside the database: "NUMBER HASH". It may be behind, after a crash, and never ahead: the entry is
 * durable when this is called. So it tells of a table that lost its end, or of a database that was exchanged
 * for an older one. */
void sqlite_audit_note_head(SqliteStore *s) {
        _cleanup_free_ char *hash = NULL, *line = NULL;
        uint64_t seq;
        int r;

        if (!s->audit_head)
                return;
        r = sqlite_audit_last(&s->base, &seq, &hash);
        if (r >= 0 && seq > 0) {
                line = strjoinf("%" PRIu64 " %s\n", seq, strempty(hash));
                r = line ? file_write_atomic_at(AT_FDCWD, s->audit_head, line, strlen(line), 0600) : -ENOMEM;
        }
        if (r < 0)
                (void) log_warning_errno(
                                r, "Failed to note the last hash of the audit log in %s, ignoring: %m",
                                s->audit_head);
}

static int read_head(const char *path, uint64_t *ret_seq, char **ret_hash) {
        _cleanup_free_ void *data = NULL;
        char *line, *hash;
        size_t size;
        int r;

        r = file_read_at(AT_FDCWD, path, HEAD_MAX, &data, &size);
        if (r < 0)
                return r;
        line = data;
        line[strcspn(line, "\n")] = '\0';
        hash = strchr(line, ' ');
        if (!hash)
                return -EBADMSG;
        *hash++ = '\0';
        if (parse_u64(line, ret_seq) < 0 || !hex_is_valid(hash, HASH_SIZE))
                return -EBADMSG;
        *ret_hash = strdup(hash);
        return *ret_hash ? 0 : -ENOMEM;
}

int sqlite_audit_lost(Store *store, uint64_t *ret_seq, char **ret_hash) {
        SqliteStore *s = SQLITE_STORE(store);
        _cleanup_free_ char *hash = NULL;
        _cleanup_query_ Query q = {};
        uint64_t seq;
        int r;

        r = s->audit_head ? read_head(s->audit_head, &seq, &hash) : -ENOENT;
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return log_warning_errno(
                                r, "Failed to read the last hash of the audit log from %s: %m",
                                s->audit_head);
        query_begin(&q, store, "SELECT 1 FROM audit WHERE seq = ? AND hash = ?");
        query_u64(&q, seq);
        query_text(&q, hash);
        r = query_row(&q);
        if (r != 0)
                return MIN(r, 0);
        *ret_seq = seq;
        *ret_hash = TAKE_PTR(hash);
        return 1;
}
