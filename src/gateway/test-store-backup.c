/* SPDX-License-Identifier: Apache-2.0 */

/* A copy of the database that is changed while the copy is made. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "store-sqlite.h"
#include "string-util.h"
#include "tests.h"

#define ROWS 6000U /* of a KiB: several steps */

static Store *store;
static char *folder, *database, *copy;

static int number(sqlite3 *db, const char *sql) {
        sqlite3_stmt *stmt;
        int n;

        assert_se(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
        assert_se(sqlite3_step(stmt) == SQLITE_ROW);
        n = sqlite3_column_int(stmt, 0);
        assert_se(sqlite3_finalize(stmt) == SQLITE_OK);
        return n;
}

static void put_setting(unsigned i, const char *value) {
        char key[32];

        (void) snprintf(key, sizeof(key), "key-%u", i);
        assert_ok(store->ops->setting_put(store, key, value));
}

static void fill(char letter) {
        char value[1025];

        memset(value, letter, sizeof(value) - 1);
        value[sizeof(value) - 1] = '\0';
        assert_ok(store->ops->begin(store));
        for (unsigned i = 0; i < ROWS; i++)
                put_setting(i, value);
        assert_ok(store->ops->commit(store));
}

static StoreBackup *begin(void) {
        StoreBackup *b;
        int fd;

        (void) unlink(copy);
        fd = open(copy, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        assert_se(fd >= 0);
        close(fd);
        assert_ok(store->ops->backup_begin(store, copy, &b));
        return b;
}

/* What happens between two steps is in the copy, wherever it stands; so is what was there before. */
static void test_changed_meanwhile(void) {
        unsigned steps = 0;
        struct stat st;
        StoreBackup *b;
        uint64_t size;
        sqlite3 *db;
        int r;

        fill('a');
        assert_ok(store->ops->backup_size(store, &size));
        assert_se(size > ROWS * 1024U);
        b = begin();
        while ((r = b->step(b)) > 0) {
                steps++;
                assert_ok(store->ops->begin(store));
                put_setting(0, "first, changed");
                put_setting(ROWS - 1, "last, changed");
                put_setting(ROWS + steps, "new");
                assert_ok(store->ops->commit(store));
                /* what was taken back is in neither */
                assert_ok(store->ops->begin(store));
                assert_ok(store->ops->savepoint(store));
                put_setting(1, "taken back");
                assert_ok(store->ops->savepoint_rollback(store));
                assert_ok(store->ops->commit(store));
        }
        assert_ok(r);
        assert_se(steps >= 5);
        assert_se(!store_backup_end(b));

        assert_se(stat(copy, &st) == 0 && (uint64_t) st.st_size >= size && st.st_size % 4096 == 0);
        assert_se(sqlite3_open_v2(copy, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
        assert_se(number(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
        assert_se((unsigned) number(db, "SELECT count(*) FROM settings WHERE key LIKE 'key-%'") ==
                  ROWS + steps);
        assert_se(number(db, "SELECT count(*) FROM settings WHERE value LIKE '%, changed'") == 2);
        assert_se(number(db, "SELECT count(*) FROM settings WHERE value = 'taken back'") == 0);
        assert_se((unsigned) number(db, "SELECT count(*) FROM settings WHERE value LIKE 'aaa%'") ==
                  ROWS - 2);
        assert_se(sqlite3_close(db) == SQLITE_OK);

        /* no file beside it, and the copy opens as a store */
        _cleanup_strv_free_ char **names = NULL;
        assert_ok(dir_list_at(AT_FDCWD, folder, &names));
        STRV_FOREACH(name, names)
        assert_se(!startswith(*name, "copy.db-"));
        Store *restored;
        assert_ok(store_sqlite_open(copy, &restored));
        (void) store_close(restored);
}

/* The store neither waits nor fails, and the next one is whole. */
static void test_given_up(void) {
        StoreBackup *b = begin();
        sqlite3 *db;

        assert_se(b->step(b) > 0);
        assert_se(!store_backup_end(b));
        fill('b');
        b = begin();
        while (b->step(b) > 0)
                ;
        assert_se(!store_backup_end(b));
        assert_se(sqlite3_open_v2(copy, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
        assert_se((unsigned) number(db, "SELECT count(*) FROM settings WHERE value LIKE 'bbb%'") == ROWS);
        assert_se(sqlite3_close(db) == SQLITE_OK);
        assert_se(!store_backup_end(NULL));
}

/* Another process writes all the time: not for ever. */
static void test_restarted(void) {
        StoreBackup *b = begin();
        unsigned steps = 0;
        sqlite3 *other;
        int r;

        assert_se(sqlite3_open_v2(database, &other, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
        while ((r = b->step(b)) > 0 && steps++ < 100000)
                assert_se(sqlite3_exec(other, "UPDATE settings SET value = value || '.' WHERE key = 'key-1'",
                                       NULL, NULL, NULL) == SQLITE_OK);
        assert_error(r, EBUSY);
        assert_se(!store_backup_end(b));
        assert_se(sqlite3_close(other) == SQLITE_OK);
        put_setting(2, "still there");
}

/* A copy that cannot be written says so, and hurts nothing else. */
static void test_no_room(void) {
        struct rlimit old, small = { .rlim_cur = MIB(2), .rlim_max = RLIM_INFINITY };
        StoreBackup *b = begin();
        int r;

        (void) signal(SIGXFSZ, SIG_IGN);
        assert_se(getrlimit(RLIMIT_FSIZE, &old) == 0);
        small.rlim_max = old.rlim_max;
        assert_se(setrlimit(RLIMIT_FSIZE, &small) == 0);
        while ((r = b->step(b)) > 0)
                ;
        assert_se(setrlimit(RLIMIT_FSIZE, &old) == 0);
        assert_se(r == -EIO || r == -ENOSPC);
        assert_se(!store_backup_end(b));
        fill('c');

        StoreBackup *none = NULL;
        (void) unlink(copy);
        assert_se(store->ops->backup_begin(store, copy, &none) < 0 && !none);
}

/* The gateway may end before the copy does. */
static void test_closed(void) {
        StoreBackup *b = begin();

        assert_se(b->step(b) > 0);
        store = store_close(store);
        assert_se(!store_backup_end(b));
        assert_ok(store_sqlite_open(database, &store));
}

int main(void) {
        char template[] = "/tmp/test-store-backup-XXXXXX";

        folder = mkdtemp(template);
        assert_se(folder);
        database = strjoinf("%s/gateway.db", folder);
        copy = strjoinf("%s/copy.db", folder);
        assert_se(database && copy);
        assert_ok(store_sqlite_open(database, &store));
        test_changed_meanwhile();
        test_given_up();
        test_restarted();
        test_no_room();
        test_closed();
        (void) store_close(store);
        assert_ok(tree_remove_at(AT_FDCWD, folder));
        free(database);
        free(copy);
        return 0;
}
