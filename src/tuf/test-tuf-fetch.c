/* SPDX-License-Identifier: Apache-2.0 */

/* Run by test-tuf-fetch.py, which has the server: PORT METADATA-DIRECTORY CA OTHER-CA. */

#include <fcntl.h>
#include <unistd.h>

#include "alloc-util.h"
#include "event-util.h"
#include "fs-util.h"
#include "string-util.h"
#include "tuf-fetch.h"
#include "tuf-tests.h"

static const char *port, *folder;
static char *ca, *other_ca;

typedef struct Machine {
        char path[64];
        sd_event *event;
        HttpClient *http;
        TufStore *store;
        TestRepo *repo;
        bool without_root, free_in_callback;
        usec_t timeout;

        TufFetch *fetch;
        bool finished;
        int error;
        TufOutcome outcome;
        char *message;
} Machine;

static void machine_init(Machine *m, TestRepo *t) {
        *m = (Machine) { .repo = t };
        strcpy(m->path, "/tmp/test-tuf-fetch-XXXXXX");
        assert_se(mkdtemp(m->path));
        assert_ok(tuf_store_open(m->path, &m->store));
        assert_ok(sd_event_new(&m->event));
        assert_ok(http_client_new(&m->http, m->event, "test-tuf-fetch"));
}

static void machine_done(Machine *m) {
        tuf_fetch_free(m->fetch);
        http_client_free(m->http);
        sd_event_unref(m->event);
        tuf_store_free(m->store);
        assert_ok(tree_remove_at(AT_FDCWD, m->path));
        free(m->message);
}

static void on_finish(TufFetch *f, int error, TufOutcome outcome, const char *message, void *userdata) {
        Machine *m = userdata;

        assert_se(!m->finished && f == m->fetch && message);
        m->finished = true;
        m->error = error;
        m->outcome = outcome;
        assert_ok(free_and_strdup(&m->message, message));
        if (outcome == TUF_OK)
                assert_se(tuf_refresh_targets(tuf_fetch_refresh(f)));
        if (m->free_in_callback)
                m->fetch = tuf_fetch_free(f);
}

static int start(Machine *m, const char *way, const char *ca_pem) {
        _cleanup_free_ char *url = startswith(way, "http") ? strdup(way) :
                                                             strjoinf("https://127.0.0.1:%s/%s", port, way);
        const TestText *root = m->repo->texts + TUF_ROLE_ROOT;
        TufFetchOptions options = {
                .event = m->event,
                .http = m->http,
                .store = m->store,
                .metadata_url = url,
                .ca_pem = ca_pem,
                .trusted_root = root->data,
                .trusted_root_size = m->without_root ? 0 : root->size,
                .now_usec = TEST_NOW,
                .timeout_usec = m->timeout ?: 30 * USEC_PER_SEC,
                .on_finish = on_finish,
                .userdata = m,
        };

        m->finished = false;
        m->fetch = tuf_fetch_free(m->fetch);
        int r = tuf_fetch_start(&options, &m->fetch);
        assert_se(!m->finished); /* never from within the start */
        return r;
}

static void expect(Machine *m, const char *way, const char *ca_pem, TufOutcome outcome, const char *part) {
        assert_ok(start(m, way, ca_pem));
        while (!m->finished)
                assert_ok(sd_event_run(m->event, UINT64_MAX));
        if (m->outcome != outcome || !strstr(m->message, part))
                fprintf(stderr, "%s (%d) instead of %s: '%s', expected '%s'\n",
                        tuf_outcome_to_string(m->outcome), m->error, tuf_outcome_to_string(outcome),
                        m->message, part);
        assert_se(m->error == 0 && m->outcome == outcome && strstr(m->message, part));
}

/* The directory that the server hands out becomes what was published last. */
static void write_folder(TestRepo *t) {
        const char *name;
        const void *data;
        size_t size;

        test_repo_publish(t);
        assert_ok(tree_remove_at(AT_FDCWD, folder));
        assert_ok(mkdir_parents(folder, 0755));
        for (size_t i = 0; tuf_bytes_item(t->bytes, i, &name, &data, &size); i++) {
                _cleanup_free_ char *path = strjoinf("%s/%s", folder, name);
                assert_ok(file_write_atomic_at(AT_FDCWD, path, data, size, 0644));
        }
}

static void remove_from_folder(const char *name) {
        _cleanup_free_ char *path = strjoinf("%s/%s", folder, name);
        assert_se(unlink(path) == 0);
}

static void test_success(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        machine_init(&m, &t);
        write_folder(&t);
        expect(&m, "repo", ca, TUF_OK, "updated: root 1, timestamp 1");
        expect(&m, "repo/", ca, TUF_OK, "up to date");
        expect(&m, "forbidden/", ca, TUF_OK, "up to date"); /* 403 for the next root is its end, too */

        t.versions[TUF_ROLE_ROOT]++;
        test_repo_make(&t, TUF_ROLE_ROOT);
        test_repo_add_release(&t, "1.0.0", "x86_64");
        test_repo_bump(&t, TUF_ROLE_TARGETS);
        write_folder(&t);
        m.free_in_callback = true;
        expect(&m, "repo/", ca, TUF_OK, "root 2, timestamp 2, snapshot 2, targets 2");
        assert_se(!m.fetch);
}

static void test_refusals(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        machine_init(&m, &t);
        write_folder(&t);
        expect(&m, "broken/", ca, TUF_TRANSPORT, "2.root.json: ");
        assert_se(strstr(m.message, "500"));
        expect(&m, "endless/", ca, TUF_TOO_LARGE, "2.root.json: ");
        expect(&m, "repo/", other_ca, TUF_TRANSPORT, "2.root.json: ");
        expect(&m, "https://127.0.0.1:1/", ca, TUF_TRANSPORT, "2.root.json: ");
        expect(&m, "http://127.0.0.1:1/", ca, TUF_TRANSPORT, "https://");
        m.timeout = USEC_PER_SEC;
        expect(&m, "stall/", ca, TUF_TRANSPORT, "2.root.json: ");
        m.timeout = 0;

        m.without_root = true;
        expect(&m, "repo/", ca, TUF_NO_TRUSTED_ROOT, "-Dtrusted-root=");
        m.without_root = false;

        remove_from_folder("1.targets.json");
        expect(&m, "repo/", ca, TUF_MISSING, "1.targets.json: the repository has no such file");
        remove_from_folder("timestamp.json");
        expect(&m, "repo/", ca, TUF_MISSING, "timestamp.json: the repository has no such file");
        write_folder(&t);
        expect(&m, "repo/", ca, TUF_OK, "targets 1");

        t.expires[TUF_ROLE_TIMESTAMP] = TEST_NOW;
        test_repo_bump(&t, TUF_ROLE_TIMESTAMP);
        write_folder(&t);
        expect(&m, "repo/", ca, TUF_EXPIRED, "timestamp version 2 expired");
}

static void test_cancel(void) {
        _cleanup_(machine_done) Machine m;
        _cleanup_(test_repo_done) TestRepo t;

        test_repo_init(&t);
        machine_init(&m, &t);
        write_folder(&t);
        assert_ok(start(&m, "stall/", ca));
        for (int i = 0; i < 10; i++)
                assert_ok(sd_event_run(m.event, 20 * USEC_PER_MSEC));
        /* the store is taken meanwhile */
        TufRefresh *second;
        TufRefreshOptions options = { .store = m.store,
                                      .trusted_root = t.texts[0].data,
                                      .trusted_root_size = t.texts[0].size,
                                      .now_usec = TEST_NOW };
        assert_error(tuf_refresh_new(&options, &second), EBUSY);
        m.fetch = tuf_fetch_free(m.fetch);
        for (int i = 0; i < 10; i++)
                assert_ok(sd_event_run(m.event, 20 * USEC_PER_MSEC));
        assert_se(!m.finished);
        expect(&m, "repo/", ca, TUF_OK, "updated");
}

static void test_target_url(void) {
        static const char hash[] = "0000000000000000000000000000000000000000000000000000000000000000";
        _cleanup_free_ char *path = strdup("agent/1.0.0/linux-x86_64/agent"), *url = NULL, *other = NULL,
                            *expected = NULL;
        TufTarget t = { .path = path };

        expected = strjoinf("https://h:8443/tuf/targets/agent/1.0.0/linux-x86_64/%s.agent", hash);
        assert_ok(tuf_fetch_target_url("https://h:8443/tuf/targets/", &t, &url));
        assert_streq(url, expected);
        assert_ok(tuf_fetch_target_url("https://h:8443/tuf/targets", &t, &other));
        assert_streq(other, expected);
}

static char *read_file(const char *path) {
        void *data;
        size_t size;
        assert_ok(file_read_at(AT_FDCWD, path, 65536, &data, &size));
        return data;
}

int main(int argc, char *argv[]) {
        assert_se(argc == 5);
        port = argv[1];
        folder = argv[2];
        ca = read_file(argv[3]);
        other_ca = read_file(argv[4]);

        test_target_url();
        test_success();
        test_refusals();
        test_cancel();
        free(ca);
        free(other_ca);
        return 0;
}
