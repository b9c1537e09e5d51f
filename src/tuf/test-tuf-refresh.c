/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "string-util.h"
#include "tuf-refresh.h"
#include "tuf-tests.h"

/* A client: a store in a directory of its own, and the root that its program carries. */
typedef struct Machine {
        char path[64];
        TufStore *store;
        TestText root;
        usec_t realtime;
        TufOutcome outcome;
        char *message;
        char *requests; /* names that were asked for, each followed by a blank */
        bool changed;
} Machine;

static void machine_init(Machine *m, const TestRepo *t) {
        *m = (Machine) { .realtime = TEST_NOW };
        /* in memory where that is possible: thousands of fsync() would take long on a disk */
        bool memory = access("/dev/shm", W_OK | X_OK) >= 0;
        strcpy(m->path, memory ? "/dev/shm/test-tuf-refresh-XXXXXX" : "/tmp/test-tuf-refresh-XXXXXX");
        assert_se(mkdtemp(m->path));
        assert_ok(tuf_store_open(m->path, &m->store));
        m->root = (TestText){ memdup_suffix0(t->texts[TUF_ROLE_ROOT].data, t->texts[TUF_ROLE_ROOT].size),
                              t->texts[TUF_ROLE_ROOT].size };
        assert_se(m->root.data);
}

static void machine_done(Machine *m) {
        tuf_store_free(m->store);
        assert_ok(tree_remove_at(AT_FDCWD, m->path));
        free(m->root.data);
        free(m->message);
        free(m->requests);
}

static TufRefresh *machine_begin(Machine *m) {
        TufRefresh *r;
        TufRefreshOptions options = {
                .store = m->store,
                .trusted_root = m->root.data,
                .trusted_root_size = m->root.size,
                .now_usec = m->realtime,
        };
        assert_ok(tuf_refresh_new(&options, &r));
        return r;
}

static void machine_end(Machine *m, TufRefresh *r) {
        assert_se(tuf_refresh_is_finished(r));
        assert_error(tuf_refresh_feed(r, "", 0), EINVAL);
        assert_error(tuf_refresh_not_found(r), EINVAL);
        m->outcome = tuf_refresh_outcome(r);
        m->changed = tuf_refresh_changed(r);
        assert_ok(free_and_strdup(&m->message, tuf_refresh_message(r)));
        assert_se((tuf_refresh_targets(r) != NULL) == (m->outcome == TUF_OK));
        tuf_refresh_free(r);
}

static TufOutcome machine_refresh(Machine *m, const TestRepo *t) {
        TufRefresh *r = machine_begin(m);
        const char *name;
        const void *data;
        size_t max, size;

        free(m->requests);
        m->requests = strdup("");
        while (tuf_refresh_next(r, &name, &max) > 0) {
                char *more = strjoinf("%s%s ", m->requests, name);
                free(m->requests);
                m->requests = more;
                if (tuf_bytes_get(t->bytes, name, &data, &size) >= 0)
                        assert_ok(tuf_refresh_feed(r, data, size));
                else
                        assert_ok(tuf_refresh_not_found(r));
        }
        machine_end(m, r);
        return m->outcome;
}

static void expect(Machine *m, const TestRepo *t, TufOutcome outcome, const char *part) {
        machine_refresh(m, t);
        if (m->outcome != outcome || !strstr(m->message, part))
                fprintf(stderr, "%s instead of %s: '%s', expected '%s'\n", tuf_outcome_to_string(m->outcome),
                        tuf_outcome_to_string(outcome), m->message, part);
        assert_se(m->outcome == outcome && strstr(m->message, part));
}

static uint64_t stored_version(Machine *m, TufRole role) {
        _cleanup_(tuf_metadata_freep) TufMetadata *parsed = NULL;
        _cleanup_free_ void *data = NULL;
        size_t size;

        int r = tuf_store_read(m->store, role, &data, &size);
        if (r == -ENOENT)
                return 0;
        assert_ok(r);
        assert_se(tuf_metadata_parse(role, data, size, &parsed, NULL) == 0);
        return parsed->version;
}

static void
check_stored(Machine *m, uint64_t root, uint64_t timestamp, uint64_t snapshot, uint64_t targets) {
        assert_se(stored_version(m, TUF_ROLE_ROOT) == root);
        assert_se(stored_version(m, TUF_ROLE_TIMESTAMP) == timestamp);
        assert_se(stored_version(m, TUF_ROLE_SNAPSHOT) == snapshot);
        assert_se(stored_version(m, TUF_ROLE_TARGETS) == targets);
}

static void test_requests(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ void *data = NULL;
        size_t size;

        test_repo_init(&t);
        test_repo_publish(&t);
        machine_init(&m, &t);

        expect(&m, &t, TUF_OK, "updated: root 1, timestamp 1, snapshot 1, targets 1");
        assert_streq(m.requests, "2.root.json timestamp.json 1.snapshot.json 1.targets.json ");
        assert_se(m.changed);
        check_stored(&m, 1, 1, 1, 1);
        /* byte for byte */
        assert_ok(tuf_store_read(m.store, TUF_ROLE_TARGETS, &data, &size));
        assert_se(size == t.texts[TUF_ROLE_TARGETS].size &&
                  memcmp(data, t.texts[TUF_ROLE_TARGETS].data, size) == 0);

        expect(&m, &t, TUF_OK, "up to date");
        assert_streq(m.requests, "2.root.json timestamp.json ");
        assert_se(!m.changed);

        test_repo_bump(&t, TUF_ROLE_TIMESTAMP);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "timestamp 2, snapshot 1, targets 1");
        assert_streq(m.requests, "2.root.json timestamp.json ");

        test_repo_bump(&t, TUF_ROLE_SNAPSHOT);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "timestamp 3, snapshot 2, targets 1");
        assert_streq(m.requests, "2.root.json timestamp.json 2.snapshot.json ");

        test_repo_add_release(&t, "1.1.0", "x86_64");
        test_repo_bump(&t, TUF_ROLE_TARGETS);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "timestamp 4, snapshot 3, targets 2");
        assert_streq(m.requests, "2.root.json timestamp.json 3.snapshot.json 2.targets.json ");
        check_stored(&m, 1, 4, 3, 2);
}

static void test_root_chain(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_free_ void *second = NULL;
        size_t size;

        test_repo_init(&t);
        machine_init(&m, &t);
        test_repo_publish(&t);
        /* every next root by the next key */
        for (unsigned v = 2; v <= 4; v++) {
                t.roles[TUF_ROLE_ROOT].keys[0] = 3 + v;
                t.versions[TUF_ROLE_ROOT] = v;
                test_repo_make(&t, TUF_ROLE_ROOT);
                json_t *envelope = test_repo_envelope(&t, TUF_ROLE_ROOT);
                assert_ok(tuf_envelope_sign(envelope, t.keys[v == 2 ? 0 : 2 + v]));
                free(t.texts[0].data);
                assert_ok(tuf_envelope_format(envelope, &t.texts[0].data, &t.texts[0].size));
                json_decref(envelope);
                test_repo_publish(&t);
        }
        expect(&m, &t, TUF_OK, "root 4");
        assert_streq(m.requests,
                     "2.root.json 3.root.json 4.root.json 5.root.json timestamp.json 1.snapshot.json 1.targets.json ");
        for (uint64_t v = 1; v <= 4; v++) {
                _cleanup_free_ void *data = NULL;
                assert_ok(tuf_store_read_root(m.store, v, &data, &size));
        }
        assert_error(tuf_store_read_root(m.store, 5, &second, &size), ENOENT);

        /* what the updater gets: the roots above its own, then the rest, under the repository's names */
        static const char *const names[] = { "3.root.json", "4.root.json", "timestamp.json",
                                             "1.snapshot.json", "1.targets.json" };
        _cleanup_(tuf_bytes_freep) TufBytes *bytes = NULL, *none = NULL;
        assert_ok(tuf_store_collect(m.store, 2, &bytes));
        assert_se(tuf_bytes_count(bytes) == ELEMENTSOF(names));
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *name;
                const void *data;
                assert_se(tuf_bytes_item(bytes, i, &name, &data, &size));
                assert_streq(name, names[i]);
        }
        assert_ok(tuf_store_collect(m.store, 9, &none));
        assert_se(tuf_bytes_count(none) == 3);

        /* and a machine that begins with root 2 accepts them */
        _cleanup_(machine_done) Machine other;
        machine_init(&other, &t);
        free(other.root.data);
        assert_ok(tuf_store_read_root(m.store, 2, &second, &other.root.size));
        other.root.data = TAKE_PTR(second);
        TufRefresh *r = machine_begin(&other);
        assert_ok(tuf_refresh_run_bytes(r, bytes));
        machine_end(&other, r);
        assert_se(other.outcome == TUF_OK);
        check_stored(&other, 4, 1, 1, 1);

        /* a hole in the history is said, not passed over */
        _cleanup_free_ char *hole = strjoinf("%s/root_history/3.root.json", m.path);
        _cleanup_(tuf_bytes_freep) TufBytes *never = NULL;
        assert_se(unlink(hole) == 0);
        assert_error(tuf_store_collect(m.store, 2, &never), ENOENT);
}

/* At most so many roots in one refresh; the next one goes on from there. */
static void test_root_cap(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        TestText roots[TUF_ROOT_ROTATIONS_MAX + 3] = {};
        const size_t last = ELEMENTSOF(roots) - 1;
        const char *name;
        size_t max, steps;

        test_repo_init(&t);
        machine_init(&m, &t);
        for (size_t v = 2; v <= last; v++) {
                t.versions[TUF_ROLE_ROOT] = v;
                test_repo_make(&t, TUF_ROLE_ROOT);
                roots[v] = t.texts[TUF_ROLE_ROOT];
                t.texts[TUF_ROLE_ROOT] = (TestText) {};
        }

        for (size_t first = 2; first <= last; first += steps) {
                TufRefresh *r = machine_begin(&m);

                for (steps = 0; tuf_refresh_next(r, &name, &max) == 1 && strstr(name, ".root.json"); steps++) {
                        if (first + steps > last) {
                                assert_ok(tuf_refresh_not_found(r));
                                break;
                        }
                        assert_ok(tuf_refresh_feed(r, roots[first + steps].data, roots[first + steps].size));
                }
                assert_se(steps == (first == 2 ? TUF_ROOT_ROTATIONS_MAX : 1));
                for (int role = TUF_ROLE_TIMESTAMP; !tuf_refresh_is_finished(r); role++)
                        assert_ok(tuf_refresh_feed(r, t.texts[role].data, t.texts[role].size));
                machine_end(&m, r);
                assert_se(m.outcome == TUF_OK);
                check_stored(&m, first + steps - 1, 1, 1, 1);
        }
        for (size_t v = 2; v <= last; v++)
                free(roots[v].data);
}

static void test_expired_root(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        machine_init(&m, &t);
        test_repo_publish(&t);
        t.versions[TUF_ROLE_ROOT] = 2;
        t.expires[TUF_ROLE_ROOT] = TEST_NOW - USEC_PER_DAY;
        test_repo_make(&t, TUF_ROLE_ROOT);
        test_repo_publish(&t);
        expect(&m, &t, TUF_EXPIRED, "2.root.json: root version 2 expired");
        assert_streq(m.requests, "2.root.json 3.root.json "); /* stopped before the timestamp */
        check_stored(&m, 2, 0, 0, 0); /* but persisted */

        t.versions[TUF_ROLE_ROOT] = 3;
        t.expires[TUF_ROLE_ROOT] = TEST_NOW + USEC_PER_DAY;
        test_repo_make(&t, TUF_ROLE_ROOT);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "root 3");
}

/* Each role is stored once it is verified, and stays when a later one fails. */
static void test_persistence(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        const char *name;
        size_t max;

        test_repo_init(&t);
        machine_init(&m, &t);
        test_repo_publish(&t);

        TufRefresh *r = machine_begin(&m);
        check_stored(&m, 1, 0, 0, 0);
        assert_ok(tuf_refresh_not_found(r));
        assert_ok(tuf_refresh_feed(r, t.texts[TUF_ROLE_TIMESTAMP].data, t.texts[TUF_ROLE_TIMESTAMP].size));
        check_stored(&m, 1, 1, 0, 0);
        assert_se(tuf_refresh_next(r, &name, &max) == 1);
        assert_se(max == t.texts[TUF_ROLE_SNAPSHOT].size); /* the signed length */
        assert_ok(tuf_refresh_feed(r, t.texts[TUF_ROLE_SNAPSHOT].data, t.texts[TUF_ROLE_SNAPSHOT].size));
        check_stored(&m, 1, 1, 1, 0);
        assert_ok(tuf_refresh_not_found(r));
        machine_end(&m, r);
        assert_se(m.outcome == TUF_MISSING);
        assert_streq(m.message, "1.targets.json: the repository has no such file");
        check_stored(&m, 1, 1, 1, 0);

        /* the machine goes on from there, as after a crash */
        expect(&m, &t, TUF_OK, "targets 1");
        assert_streq(m.requests, "2.root.json timestamp.json 1.targets.json ");

        /* an expired one is not stored */
        t.expires[TUF_ROLE_TIMESTAMP] = TEST_NOW;
        test_repo_bump(&t, TUF_ROLE_SNAPSHOT);
        test_repo_publish(&t);
        expect(&m, &t, TUF_EXPIRED, "timestamp.json: timestamp version 2 expired");
        check_stored(&m, 1, 1, 1, 1);
        t.expires[TUF_ROLE_TIMESTAMP] = TEST_NOW + USEC_PER_DAY;
        t.expires[TUF_ROLE_SNAPSHOT] = TEST_NOW;
        test_repo_make(&t, TUF_ROLE_SNAPSHOT);
        test_repo_make(&t, TUF_ROLE_TIMESTAMP);
        test_repo_publish(&t);
        expect(&m, &t, TUF_EXPIRED, "2.snapshot.json: snapshot version 2 expired");
        check_stored(&m, 1, 2, 1, 1);
}

static void test_refusals(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        const char *name;
        size_t max;

        test_repo_init(&t);
        machine_init(&m, &t);
        test_repo_publish(&t);

        /* too large, each at its cap */
        static const size_t caps[] = { TUF_ROOT_SIZE_MAX, TUF_TIMESTAMP_SIZE_MAX };
        for (size_t i = 0; i < ELEMENTSOF(caps); i++) {
                _cleanup_free_ char *endless = malloc(caps[i] + 1);
                memset(endless, ' ', caps[i] + 1);
                TufRefresh *r = machine_begin(&m);
                if (i == 1)
                        assert_ok(tuf_refresh_not_found(r));
                assert_se(tuf_refresh_next(r, &name, &max) == 1 && max == caps[i]);
                assert_ok(tuf_refresh_feed(r, endless, caps[i] + 1));
                machine_end(&m, r);
                assert_se(m.outcome == TUF_TOO_LARGE);
        }

        /* the fetcher gives up */
        TufRefresh *r = machine_begin(&m);
        assert_ok(tuf_refresh_fail(r, TUF_TRANSPORT, "connection refused"));
        machine_end(&m, r);
        assert_se(m.outcome == TUF_TRANSPORT);
        assert_streq(m.message, "2.root.json: connection refused");

        /* garbage instead of a root ends it with no further question */
        r = machine_begin(&m);
        assert_ok(tuf_refresh_feed(r, "<html>", 6));
        machine_end(&m, r);
        assert_se(m.outcome == TUF_MALFORMED && strstr(m.message, "2.root.json: not valid JSON"));

        /* no timestamp at all */
        r = machine_begin(&m);
        assert_ok(tuf_refresh_not_found(r));
        assert_ok(tuf_refresh_not_found(r));
        machine_end(&m, r);
        assert_se(m.outcome == TUF_MISSING && strstr(m.message, "timestamp.json"));

        /* one refresh at a time */
        r = machine_begin(&m);
        TufRefresh *second;
        TufRefreshOptions options = { .store = m.store,
                                      .trusted_root = m.root.data,
                                      .trusted_root_size = m.root.size,
                                      .now_usec = TEST_NOW };
        assert_error(tuf_refresh_new(&options, &second), EBUSY);
        TufStore *same_place;
        assert_ok(tuf_store_open(m.path, &same_place));
        options.store = same_place;
        assert_error(tuf_refresh_new(&options, &second), EBUSY);
        tuf_refresh_free(r);
        assert_ok(tuf_refresh_new(&options, &second));
        tuf_refresh_free(second);
        tuf_store_free(same_place);

        /* a program without a root */
        options = (TufRefreshOptions) { .store = m.store, .trusted_root = NULL, .now_usec = TEST_NOW };
        assert_ok(tuf_refresh_new(&options, &r));
        assert_se(tuf_refresh_next(r, &name, &max) == 0);
        machine_end(&m, r);
        assert_se(m.outcome == TUF_NO_TRUSTED_ROOT && strstr(m.message, "-Dtrusted-root="));
        /* or with a damaged one */
        _cleanup_(machine_done) Machine odd;
        machine_init(&odd, &t);
        odd.root.data[odd.root.size / 2] ^= 1;
        machine_refresh(&odd, &t);
        assert_se(IN_SET(odd.outcome, TUF_MALFORMED, TUF_BAD_SIGNATURE));
        assert_se(strstr(odd.message, "trusted root of this program cannot be used"));
}

static void test_rollback_and_freeze(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_(tuf_bytes_freep) TufBytes *old = NULL;

        test_repo_init(&t);
        machine_init(&m, &t);
        t.expires[TUF_ROLE_TIMESTAMP] = TEST_NOW + USEC_PER_DAY;
        test_repo_make_all(&t);
        test_repo_publish(&t);
        old = t.bytes;
        assert_ok(tuf_bytes_new(&t.bytes));
        test_repo_bump(&t, TUF_ROLE_TARGETS);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "updated");

        /* the whole repository of yesterday */
        TufBytes *new = t.bytes;
        t.bytes = old;
        expect(&m, &t, TUF_ROLLBACK, "timestamp is version 1, but version 2");
        t.bytes = new;

        /* the same repository for ever: freeze */
        m.realtime = TEST_NOW + USEC_PER_DAY - 1;
        expect(&m, &t, TUF_OK, "up to date");
        m.realtime++;
        expect(&m, &t, TUF_EXPIRED, "timestamp.json: timestamp version 2 expired");
        /* turning the clock back does not bring it back beyond what was verified */
        m.realtime = TEST_NOW + USEC_PER_DAY - 1;
        expect(&m, &t, TUF_OK, "up to date");
        check_stored(&m, 1, 2, 2, 2);

        /* expired on disk, it still protects */
        m.realtime = TEST_NOW + 2 * USEC_PER_DAY;
        t.versions[TUF_ROLE_TIMESTAMP] = 1;
        t.expires[TUF_ROLE_TIMESTAMP] = TEST_NOW + 5 * USEC_PER_DAY;
        test_repo_make(&t, TUF_ROLE_TIMESTAMP);
        test_repo_publish(&t);
        expect(&m, &t, TUF_ROLLBACK, "timestamp is version 1, but version 2");
}

/* The reference time never goes back below that of the last refresh that succeeded. */
static void test_clock(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        usec_t verified;

        test_repo_init(&t);
        machine_init(&m, &t);
        test_repo_publish(&t);
        assert_ok(tuf_store_verified_time(m.store, &verified));
        assert_se(verified == 0);
        m.realtime = TEST_NOW + 3 * USEC_PER_DAY;
        expect(&m, &t, TUF_OK, "updated");
        assert_ok(tuf_store_verified_time(m.store, &verified));
        assert_se(verified == m.realtime);

        /* metadata that had expired by then is expired, whatever the clock says now */
        m.realtime = TEST_NOW;
        t.expires[TUF_ROLE_TIMESTAMP] = TEST_NOW + 2 * USEC_PER_DAY;
        test_repo_bump(&t, TUF_ROLE_TIMESTAMP);
        test_repo_publish(&t);
        expect(&m, &t, TUF_EXPIRED, "(the time is 2030-01-04T00:00:00Z)");

        /* a clock in the far future verifies nothing, so it leaves no trace */
        m.realtime = TEST_NOW + 3650 * USEC_PER_DAY;
        expect(&m, &t, TUF_EXPIRED, "expired");
        assert_ok(tuf_store_verified_time(m.store, &verified));
        assert_se(verified == TEST_NOW + 3 * USEC_PER_DAY);
        m.realtime = TEST_NOW;
        t.expires[TUF_ROLE_TIMESTAMP] = TEST_NOW + 4 * USEC_PER_DAY;
        test_repo_bump(&t, TUF_ROLE_TIMESTAMP);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "timestamp 3");
        assert_ok(tuf_store_verified_time(m.store, &verified));
        assert_se(verified == TEST_NOW + 3 * USEC_PER_DAY);

        /* a damaged record counts as none */
        _cleanup_free_ char *path = strjoinf("%s/verified-time", m.path);
        assert_ok(file_write_atomic_at(AT_FDCWD, path, "soon", 4, 0644));
        expect(&m, &t, TUF_OK, "up to date");
        assert_ok(tuf_store_verified_time(m.store, &verified));
        assert_se(verified == TEST_NOW);
}

/* Which root is trusted when the program and the store disagree. */
static void test_root_choice(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        TestText roots[5] = {};

        test_repo_init(&t);
        for (unsigned v = 1; v <= 4; v++) {
                t.versions[TUF_ROLE_ROOT] = v;
                test_repo_make(&t, TUF_ROLE_ROOT);
                test_repo_publish(&t);
                roots[v] = (TestText) { memdup_suffix0(t.texts[0].data, t.texts[0].size), t.texts[0].size };
        }
        machine_init(&m, &t);
        free(m.root.data);

        m.root = roots[2];
        machine_refresh(&m, &t);
        assert_se(m.outcome == TUF_OK && startswith(m.requests, "3.root.json "));
        check_stored(&m, 4, 1, 1, 1);
        m.root = roots[1]; /* an older program: the stored root stays */
        machine_refresh(&m, &t);
        assert_se(m.outcome == TUF_OK && startswith(m.requests, "5.root.json "));
        check_stored(&m, 4, 1, 1, 1);

        /* a newer program moves it forward, and the history has that one */
        t.versions[TUF_ROLE_ROOT] = 9;
        test_repo_make(&t, TUF_ROLE_ROOT);
        TestText ninth = t.texts[0];
        t.texts[0] = (TestText) {};
        m.root = ninth;
        machine_refresh(&m, &t);
        assert_se(m.outcome == TUF_OK && startswith(m.requests, "10.root.json "));
        check_stored(&m, 9, 1, 1, 1);
        _cleanup_free_ void *history = NULL;
        size_t size;
        assert_ok(tuf_store_read_root(m.store, 9, &history, &size));

        /* the stored root is damaged: the highest good one of the history counts, not the program's */
        _cleanup_free_ char *root_path = strjoinf("%s/root.json", m.path),
                            *ninth_path = strjoinf("%s/root_history/9.root.json", m.path);
        assert_ok(file_write_atomic_at(AT_FDCWD, root_path, "{", 1, 0644));
        m.root = roots[1];
        machine_refresh(&m, &t);
        assert_se(m.outcome == TUF_OK && startswith(m.requests, "10.root.json "));
        check_stored(&m, 9, 1, 1, 1);
        assert_ok(file_write_atomic_at(AT_FDCWD, root_path, roots[3].data, roots[3].size / 2, 0644));
        assert_ok(file_write_atomic_at(AT_FDCWD, ninth_path, "", 0, 0644));
        machine_refresh(&m, &t);
        assert_se(startswith(m.requests, "5.root.json "));

        m.root = ninth;
        for (unsigned v = 1; v <= 4; v++)
                free(roots[v].data);
}

/* A root that takes a key from timestamp or snapshot voids what is stored of both. */
static void test_recovery(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        machine_init(&m, &t);
        t.versions[TUF_ROLE_TIMESTAMP] = t.versions[TUF_ROLE_SNAPSHOT] = t.versions[TUF_ROLE_TARGETS] =
                        TUF_VERSION_MAX;
        test_repo_make_all(&t);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "targets 9223372036854775807");

        t.versions[TUF_ROLE_TIMESTAMP] = t.versions[TUF_ROLE_SNAPSHOT] = t.versions[TUF_ROLE_TARGETS] = 2;
        test_repo_make_all(&t);
        test_repo_publish(&t);
        expect(&m, &t, TUF_ROLLBACK, "timestamp is version 2");

        /* the snapshot key alone was lost, and an automatic timestamp followed it up */
        t.versions[TUF_ROLE_ROOT] = 2;
        t.roles[TUF_ROLE_SNAPSHOT].keys[0] = 6;
        test_repo_make_all(&t);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "root 2, timestamp 2, snapshot 2, targets 2");
        check_stored(&m, 2, 2, 2, 2);
}

/* A crash leaves the old or the new file, and perhaps a temporary one; neither state stops the next
 * refresh. */
static void test_crash(void) {
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        test_repo_publish(&t);
        static const char *const files[] = { "root.json",    "timestamp.json", "snapshot.json",
                                             "targets.json", "verified-time",  "root_history/1.root.json" };
        static const char *const states[] = { NULL, "", "{\"signed\": {", ".leftover" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                for (size_t k = 0; k < ELEMENTSOF(states); k++) {
                        _cleanup_(machine_done) Machine m;

                        machine_init(&m, &t);
                        expect(&m, &t, TUF_OK, "updated");
                        _cleanup_free_ char *path = strjoinf("%s/%s", m.path, files[i]);
                        _cleanup_free_ char *leftover =
                                        strjoinf("%s/.%s.0123456789abcdef.tmp", m.path, "timestamp.json");
                        if (!states[k])
                                assert_se(unlink(path) == 0);
                        else if (startswith(states[k], "."))
                                assert_ok(file_write_atomic_at(AT_FDCWD, leftover, "{", 1, 0600));
                        else
                                assert_ok(file_write_atomic_at(
                                                AT_FDCWD, path, states[k], strlen(states[k]), 0644));
                        expect(&m, &t, TUF_OK, "timestamp 1, snapshot 1, targets 1");
                        check_stored(&m, 1, 1, 1, 1);
                }
}

static void test_bytes(void) {
        static const char *const bad[] = { "",
                                           "root.json",
                                           "0.root.json",
                                           "01.root.json",
                                           "-1.root.json",
                                           "1.timestamp.json",
                                           "snapshot.json",
                                           "1.snapshot.json.",
                                           "1.snapshot.json/",
                                           "../1.root.json",
                                           "1.mirrors.json",
                                           "99999999999999999999.root.json" };
        _cleanup_(tuf_bytes_freep) TufBytes *b = NULL;
        _cleanup_free_ char *large = malloc(TUF_TARGETS_SIZE_MAX + 1);
        const void *data;
        size_t size;
        char name[TUF_FILE_NAME_MAX];

        memset(large, ' ', TUF_TARGETS_SIZE_MAX + 1);
        assert_ok(tuf_bytes_new(&b));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_error(tuf_bytes_add(b, bad[i], "x", 1), EINVAL);
        assert_error(tuf_bytes_add(b, "1.targets.json", large, TUF_TARGETS_SIZE_MAX + 1), EFBIG);
        assert_error(tuf_bytes_add(b, "timestamp.json", large, TUF_TIMESTAMP_SIZE_MAX + 1), EFBIG);
        assert_ok(tuf_bytes_add(b, "timestamp.json", "x", 1));
        assert_error(tuf_bytes_add(b, "timestamp.json", "y", 1), EEXIST);
        assert_ok(tuf_bytes_get(b, "timestamp.json", &data, &size));
        assert_se(size == 1 && *(const char *) data == 'x');
        assert_error(tuf_bytes_get(b, "1.root.json", &data, &size), ENOENT);
        for (uint64_t v = 1; v < TUF_BYTES_FILES_MAX; v++)
                assert_ok(tuf_bytes_add(b, tuf_file_name(TUF_ROLE_ROOT, v, name), "x", 1));
        assert_error(tuf_bytes_add(b, "1000.root.json", "x", 1), E2BIG);

        _cleanup_(tuf_bytes_freep) TufBytes *full = NULL;
        assert_ok(tuf_bytes_new(&full));
        for (uint64_t v = 1; v <= 4; v++)
                assert_ok(
                                tuf_bytes_add(full, tuf_file_name(TUF_ROLE_TARGETS, v, name), large,
                                              TUF_TARGETS_SIZE_MAX));
        assert_error(tuf_bytes_add(full, "timestamp.json", "x", 1), E2BIG);
}

static void test_directory_and_load(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *set = NULL, *none = NULL;
        _cleanup_free_ char *why = NULL, *repo = NULL;
        const char *name;
        const void *data;
        size_t size;

        test_repo_init(&t);
        machine_init(&m, &t);
        test_repo_add_release(&t, "1.0.0", "x86_64");
        test_repo_bump(&t, TUF_ROLE_TARGETS);
        test_repo_publish(&t);

        assert_se(tuf_refresh_load_store(m.store, m.root.data, m.root.size, &none, &why) == TUF_MISSING);
        assert_se(why && strstr(why, "timestamp"));
        assert_se(tuf_refresh_load_store(m.store, NULL, 0, &none, NULL) == TUF_NO_TRUSTED_ROOT);

        repo = strjoinf("%s/repo", m.path);
        assert_se(mkdir(repo, 0755) == 0);
        _cleanup_close_ int fd = dir_open_at(AT_FDCWD, repo);
        for (size_t i = 0; tuf_bytes_item(t.bytes, i, &name, &data, &size); i++)
                assert_ok(file_write_atomic_at(fd, name, data, size, 0644));
        TufRefresh *r = machine_begin(&m);
        assert_ok(tuf_refresh_run_directory(r, AT_FDCWD, repo));
        assert_se(tuf_refresh_expires_usec(r) == t.expires[TUF_ROLE_ROOT]);
        machine_end(&m, r);
        assert_se(m.outcome == TUF_OK);

        /* a file that is larger than it may be */
        _cleanup_free_ char *large = calloc(1, TUF_TIMESTAMP_SIZE_MAX + 1);
        assert_ok(file_write_atomic_at(fd, "timestamp.json", large, TUF_TIMESTAMP_SIZE_MAX + 1, 0644));
        r = machine_begin(&m);
        assert_ok(tuf_refresh_run_directory(r, AT_FDCWD, repo));
        machine_end(&m, r);
        assert_se(m.outcome == TUF_TOO_LARGE);

        /* what was verified can be looked up later, expired or not */
        assert_se(tuf_refresh_load_store(m.store, m.root.data, m.root.size, &set, NULL) == 0);
        assert_se(tuf_metadata_target(
                        tuf_trusted_set_get(set, TUF_ROLE_TARGETS), "agent/1.0.0/linux-x86_64/agent"));
        assert_se(tuf_trusted_set_expires_usec(set) == t.expires[TUF_ROLE_ROOT]);
        /* but not when somebody has changed it */
        _cleanup_free_ char *path = strjoinf("%s/targets.json", m.path);
        assert_ok(file_write_atomic_at(AT_FDCWD, path, "{}", 2, 0644));
        assert_se(tuf_refresh_load_store(m.store, m.root.data, m.root.size, &none, NULL) ==
                  TUF_MIX_AND_MATCH);
}

/* A store that cannot be written is an error of this machine, and never a success. */
static void test_disk_error(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        machine_init(&m, &t);
        test_repo_publish(&t);
        expect(&m, &t, TUF_OK, "updated");
        test_repo_bump(&t, TUF_ROLE_TARGETS);

        /* a directory in the place of the file cannot be replaced by rename */
        _cleanup_free_ char *path = strjoinf("%s/targets.json", m.path);
        assert_se(unlink(path) == 0 && mkdir(path, 0755) == 0);
        TufRefresh *r = machine_begin(&m);
        assert_ok(tuf_refresh_not_found(r));
        assert_ok(tuf_refresh_feed(r, t.texts[TUF_ROLE_TIMESTAMP].data, t.texts[TUF_ROLE_TIMESTAMP].size));
        assert_ok(tuf_refresh_feed(r, t.texts[TUF_ROLE_SNAPSHOT].data, t.texts[TUF_ROLE_SNAPSHOT].size));
        assert_se(tuf_refresh_feed(r, t.texts[TUF_ROLE_TARGETS].data, t.texts[TUF_ROLE_TARGETS].size) < 0);
        assert_se(tuf_refresh_is_finished(r) && tuf_refresh_error(r) < 0 &&
                  tuf_refresh_outcome(r) == TUF_FAILED);
        assert_se(!tuf_refresh_targets(r) && strstr(tuf_refresh_message(r), "Cannot store metadata"));
        tuf_refresh_free(r);
        assert_se(rmdir(path) == 0);
        check_stored(&m, 1, 2, 2, 0);
}

int main(void) {
        test_requests();
        test_root_chain();
        test_root_cap();
        test_expired_root();
        test_persistence();
        test_refusals();
        test_rollback_and_freeze();
        test_clock();
        test_root_choice();
        test_recovery();
        test_crash();
        test_bytes();
        test_directory_and_load();
        test_disk_error();
        return 0;
}
