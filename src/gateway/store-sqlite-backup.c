/* SPDX-License-Identifier: Apache-2.0 */

/* A copy of the database, with SQLite's online backup, in steps between which others use the database. It
 * reads through the store's own connection, so that what is written between two steps finds its way into the
 * copy, too; were it another connection, each change would have the copy begin anew. */

#include "alloc-util.h"
#include "store-sqlite.h"

#define PAGES_PER_STEP 256 /* a MiB: some milliseconds */
/* A process beside the gateway that writes makes it begin anew: how often that may be. */
#define RESTARTS_MAX 3U

typedef struct SqliteBackup {
        StoreBackup base;
        SqliteStore *store; /* only in a step */
        sqlite3 *copy;
        sqlite3_backup *backup;
        uint64_t steps_left;
} SqliteBackup;

static StoreBackup *sqlite_backup_end(StoreBackup *base) {
        SqliteBackup *b = container_of(base, SqliteBackup, base);

        if (b->backup)
                (void) sqlite3_backup_finish(b->backup);
        (void) sqlite3_close_v2(b->copy);
        free(b);
        return NULL;
}

static int sqlite_backup_step(StoreBackup *base) {
        SqliteBackup *b = container_of(base, SqliteBackup, base);
        int r;

        if (b->steps_left-- == 0)
                return -EBUSY;
        r = sqlite3_backup_step(b->backup, PAGES_PER_STEP);
        if (IN_SET(r, SQLITE_OK, SQLITE_BUSY, SQLITE_LOCKED))
                return 1;
        if (r != SQLITE_DONE)
                return sqlite_error(b->store, r, "backup");
        r = sqlite3_backup_finish(TAKE_PTR(b->backup));
        if (r == SQLITE_OK)
                r = sqlite3_close(b->copy);
        if (r != SQLITE_OK)
                return sqlite_error(b->store, r, "backup");
        b->copy = NULL;
        return 0;
}

static int pragma_number(Store *s, const char *pragma, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, pragma);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret = query_get_u64(&q);
        return query_read(&q);
}

int sqlite_backup_size(Store *s, uint64_t *ret) {
        uint64_t pages, size;
        int r;

        r = pragma_number(s, "PRAGMA page_count", &pages);
        if (r >= 0)
                r = pragma_number(s, "PRAGMA page_size", &size);
        if (r < 0)
                return r;
        return __builtin_mul_overflow(pages, size, ret) ? -EOVERFLOW : 0;
}

int sqlite_backup_begin(Store *store, const char *path, StoreBackup **ret) {
        SqliteStore *s = SQLITE_STORE(store);
        SqliteBackup *b = new0(SqliteBackup, 1);
        uint64_t pages;
        int r;

        if (!b)
                return -ENOMEM;
        *b = (SqliteBackup){ .base = { .step = sqlite_backup_step, .end = sqlite_backup_end }, .store = s };
        r = pragma_number(store, "PRAGMA page_count", &pages);
        if (r < 0)
                goto fail;
        b->steps_left = RESTARTS_MAX * (pages / PAGES_PER_STEP + 1) + 1000;
        r = sqlite3_open_v2(
                        path, &b->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL);
        /* nobody needs a copy that is not whole: no journal and no fsync, and no file beside it */
        if (r == SQLITE_OK)
                r =
                                sqlite3_exec(b->copy, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF",
                                             NULL, NULL, NULL);
        if (r == SQLITE_OK) {
                b->backup = sqlite3_backup_init(b->copy, "main", s->db, "main");
                r = b->backup ? SQLITE_OK : sqlite3_errcode(b->copy);
        }
        if (r == SQLITE_OK) {
                *ret = &b->base;
                return 0;
        }
        r = sqlite_error(s, r, "backup");
fail:
        (void) sqlite_backup_end(&b->base);
        return r;
}
