/* SPDX-License-Identifier: Apache-2.0 */

/* The chain with vectors that were computed elsewhere; entries in a real database through the real worker;
 * and that no change of a request passes without one. */

#include "audit.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "alloc-util.h"
#include "api.h"
#include "crypto.h"
#include "event-util.h"
#include "fs-util.h"
#include "store-sqlite.h"
#include "string-util.h"
#include "tests.h"

#define T0 UINT64_C(1795523696000000) /* 2026-11-24T12:34:56Z */
#define FIRST_HASH "285ec5af35e9020cef7d101ca94921f3007a1b867862338316cec90c50fa5c45"

static const AuditActor alice = {
        .name = (char *) "user:alice",
        .method = (char *) "session",
        .source = (char *) "192.0.2.7",
        .request_id = (char *) "0123456789abcdef0123456789abcdef",
};

static void test_vectors(void) {
        _cleanup_json_ json_t *detail =
                        json_pack("{s:s, s:s, s:b}", "version", "1.1.0", "before", "1.0.0", "retry", 0);
        _cleanup_free_ char *first = NULL, *second = NULL;
        char hash[AUDIT_HASH_HEX + 1];
        AuditEntry e = {
                .seq = 1,
                .count = 12,
                .time = T0,
                .actor = &alice,
                .action = "desired.set",
                .target = "selector:env=staging",
                .prev = AUDIT_NO_HASH,
                .detail = detail,
        };

        assert_ok(audit_format(&e, &first, hash));
        assert_streq(first,
                     "{\"action\":\"desired.set\",\"actor\":\"user:alice\",\"count\":12,\"detail\":{"
                     "\"before\":"
                     "\"1.0.0\",\"retry\":false,\"version\":\"1.1.0\"},\"method\":\"session\",\"prev\":"
                     "\"" AUDIT_NO_HASH "\",\"request_id\":\"0123456789abcdef0123456789abcdef\",\"seq\":1,"
                     "\"source\":\"192.0.2.7\",\"target\":\"selector:env=staging\",\"time\":"
                     "\"2026-11-24T12:34:56Z\"}");
        assert_streq(hash, FIRST_HASH);

        e = (AuditEntry){
                .seq = 2,
                .time = T0 + USEC_PER_SEC,
                .actor = &audit_actor_gateway,
                .action = "rollout.pause",
                .target = "",
                .prev = FIRST_HASH,
        };
        assert_ok(audit_format(&e, &second, hash));
        assert_streq(hash, "41a973d14144b032a8cace0a3542a2838ccbccb68cc5c6a787846876a3ae2766");
}

static void test_large_detail(void) {
        _cleanup_json_ json_t *detail = json_object(), *entry = NULL;
        _cleanup_free_ char *text = NULL, *value = NULL;
        char hash[AUDIT_HASH_HEX + 1];
        uint64_t omitted;
        AuditEntry e = { .seq = 1,
                         .actor = &alice,
                         .action = "a.b",
                         .target = "",
                         .prev = AUDIT_NO_HASH,
                         .detail = detail };

        value = new0(char, AUDIT_TEXT_MAX + 1);
        assert_se(value);
        memset(value, 'x', AUDIT_TEXT_MAX);
        assert_ok(json_set_string(detail, "text", value));
        assert_ok(audit_format(&e, &text, hash));
        assert_se(strlen(text) < 512);
        assert_ok(json_parse(text, strlen(text), 4096, &entry, NULL));
        assert_ok(json_get_u64(json_object_get(entry, "detail"), "omitted_bytes", &omitted));
        assert_se(omitted == AUDIT_TEXT_MAX + strlen("{\"text\":\"\"}"));
        assert_se(strlen(json_text(json_object_get(entry, "detail"), "sha256")) == AUDIT_HASH_HEX);
}

static void test_filter(void) {
        const AuditRecord a = { .time = 10,
                                .actor = (char *) "user:alice",
                                .action = (char *) "user.create",
                                .target = (char *) "user:bob" };
        static const struct {
                AuditFilter filter;
                bool matches;
        } table[] = {
                { { .until = USEC_INFINITY }, true },
                { { .actor = "user:alice", .until = USEC_INFINITY }, true },
                { { .actor = "user:*", .action = "user.*", .target = "*", .until = USEC_INFINITY }, true },
                { { .actor = "user:alic", .until = USEC_INFINITY }, false },
                { { .action = "user", .until = USEC_INFINITY }, false },
                { { .target = "user:bobby*", .until = USEC_INFINITY }, false },
                { { .since = 10, .until = 11 }, true },
                { { .since = 11, .until = USEC_INFINITY }, false },
                { { .until = 10 }, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_se(audit_filter_matches(&table[i].filter, &a) == table[i].matches);
}

/* What stands in the columns beside an entry is what lists are filtered by: it must be the same. */
static void test_columns(void) {
        _cleanup_free_ char *text = NULL;
        char hash[AUDIT_HASH_HEX + 1];
        AuditEntry e = { .seq = 7,
                         .time = T0 + 5,
                         .actor = &alice,
                         .action = "a.b",
                         .target = "c:d",
                         .prev = FIRST_HASH };
        bool consistent;
        AuditRecord r;
        json_t *v;

        assert_ok(audit_format(&e, &text, hash));
        r = (AuditRecord){ .seq = 7,
                           .time = T0 + 5,
                           .actor = alice.name,
                           .action = (char *) "a.b",
                           .target = (char *) "c:d",
                           .text = text,
                           .hash = hash };
        v = audit_parse(&r, &consistent);
        assert_se(v && consistent);
        json_decref(v);
        r.target = (char *) "c:e";
        v = audit_parse(&r, &consistent);
        assert_se(v && !consistent);
        json_decref(v);
        r.text = (char *) "{}\n";
        assert_se(!audit_parse(&r, &consistent));
        r.text = (char *) "[]";
        assert_se(!audit_parse(&r, &consistent));
        r.text = text;
        r.hash = (char *) "\"}";
        assert_se(!audit_parse(&r, &consistent));
}

/* ---- with a database ---- */

static sd_event *loop;
static StoreWorker *worker;

typedef struct Step {
        StoreJob job;
        int (*run)(StoreJob *j, Store *s);
        bool done;
        int result;
} Step;

static int step_work(StoreJob *j, Store *s) {
        return container_of(j, Step, job)->run(j, s);
}

static void step_done(StoreJob *j, int r) {
        Step *step = container_of(j, Step, job);

        step->done = true;
        step->result = r;
}

static int do_step(int (*run)(StoreJob *j, Store *s)) {
        Step step = { .job = { .work = step_work, .done = step_done }, .run = run };

        assert_ok(store_worker_submit(worker, &step.job));
        while (!step.done)
                assert_se(sd_event_run(loop, 5 * USEC_PER_SEC) > 0);
        return step.result;
}

static int append_two(StoreJob *j, Store *s) {
        int r = audit_append(
                        j, s, &alice, "user.create", "user:bob", 1, json_pack("{s:s}", "role", "viewer"));

        return r < 0 ? r : audit_append(j, s, &audit_actor_gateway, "agent.enroll", "agent:a", 1, NULL);
}

static int append_and_fail(StoreJob *j, Store *s) {
        assert_ok(audit_append(j, s, &alice, "user.create", "user:carol", 1, NULL));
        assert_se(j->audit);
        return -ENOTTY;
}

typedef struct Chain {
        uint64_t n;
        char prev[AUDIT_HASH_HEX + 1];
} Chain;

static int follow(AuditRecord *a, void *userdata) {
        _cleanup_json_ json_t *entry = NULL;
        Chain *c = userdata;
        bool consistent;

        entry = audit_parse(a, &consistent);
        assert_se(entry && consistent);
        assert_se(a->seq == ++c->n);
        assert_streq(json_text(entry, "prev"), c->prev);
        memcpy(c->prev, a->hash, sizeof(c->prev));
        return 0;
}

static int check_two(StoreJob *j, Store *s) {
        AuditFilter f = { .before = INT64_MAX, .until = USEC_INFINITY, .ascending = true, .limit = 100 };
        _cleanup_free_ char *hash = NULL;
        Chain c = { .prev = AUDIT_NO_HASH };
        uint64_t seq;

        assert_ok(s->ops->audit_each(s, &f, follow, &c));
        assert_se(c.n == 2);
        assert_ok(s->ops->audit_last(s, &seq, &hash));
        assert_se(seq == 2);
        assert_streq(hash, c.prev);
        return 0;
}

static int count_record(AuditRecord *a, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static unsigned count_by(Store *s, AuditFilter f) {
        unsigned n = 0;

        f.before = INT64_MAX;
        f.limit = 100;
        assert_ok(s->ops->audit_each(s, &f, count_record, &n));
        f.ascending = true;
        assert_ok(s->ops->audit_each(s, &f, count_record, &n));
        assert_se(n % 2 == 0);
        return n / 2;
}

static int check_indexes(StoreJob *j, Store *s) {
        assert_se(count_by(s, (AuditFilter){ .actor = "gateway" }) == 1);
        assert_se(count_by(s, (AuditFilter){ .action = "user.create" }) == 1);
        assert_se(count_by(s, (AuditFilter){ .target = "user:bob" }) == 1);
        assert_se(count_by(s, (AuditFilter){ .target = "user:nobody" }) == 0);
        assert_se(count_by(s, (AuditFilter){ .target = "user:*" }) == 2); /* the callback's to judge */
        assert_se(count_by(s, (AuditFilter){ .after = 1 }) == 1);
        return 0;
}

static int damage(StoreJob *j, Store *s) {
        SqliteStore *q = SQLITE_STORE(s);

        assert_se(sqlite_run(q, "UPDATE audit SET text = '{}' WHERE seq = 1") < 0);
        assert_se(sqlite_run(q, "DELETE FROM audit") < 0);
        assert_ok(sqlite_run(
                        q,
                        "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"));
        assert_error(audit_append(j, s, &alice, "user.create", "user:carol", 1, NULL), EIO);
        assert_se(!j->audit);
        return sqlite_run(q, "DROP TRIGGER refuse");
}

static void test_store(void) {
        assert_ok(do_step(append_two));
        assert_error(do_step(append_and_fail), ENOTTY);
        assert_ok(do_step(check_two));
        assert_ok(do_step(check_indexes));
        assert_ok(do_step(damage));
        assert_ok(do_step(check_two));
}

/* ---- requests ---- */

static int put_agent(Store *s) {
        return s->ops->agent_put(s, &(AgentRecord){ .id = (char *) "a" });
}

static int change_silently(ApiJob *a, Store *s) {
        return put_agent(s);
}

static int change_and_say_so(ApiJob *a, Store *s) {
        int r = put_agent(s);

        return r < 0 ? r : api_audit_on(a, s, "agent.enroll", "agent", "a", 1, NULL);
}

static int find_nothing_to_do(ApiJob *a, Store *s) {
        a->unchanged = true;
        return 0;
}

static int (*request_run)(ApiJob *a, Store *s);
static bool request_reads;

static int request_step(StoreJob *j, Store *s) {
        ApiJob a = { .actor = alice, .run = request_run, .reads = request_reads };
        int r;

        r = api_job_run(&a, s);
        j->audit = TAKE_PTR(a.job.audit);
        return r;
}

static int request(int (*run)(ApiJob *a, Store *s), bool reads) {
        request_run = run;
        request_reads = reads;
        return do_step(request_step);
}

static int agent_is_there(StoreJob *j, Store *s) {
        _cleanup_(agent_record_done) AgentRecord a = {};

        return s->ops->agent_get(s, "a", &a);
}

static void test_requests(void) {
        assert_error(request(change_silently, false), EPROTO);
        assert_error(do_step(agent_is_there), ENOENT);
        assert_ok(request(find_nothing_to_do, false));
        assert_ok(request(change_and_say_so, false));
        assert_ok(do_step(agent_is_there));
        assert_ok(request(change_silently, true)); /* GET: nothing is expected of it */
}

int main(void) {
        char template[] = "/tmp/test-audit-XXXXXX";
        _cleanup_free_ char *path = NULL;
        Store *store = NULL;

        assert_ok(crypto_init());
        test_vectors();
        test_large_detail();
        test_filter();
        test_columns();

        assert_ok(sd_event_default(&loop));
        assert_se(mkdtemp(template));
        path = strjoinf("%s/db", template);
        assert_se(path);
        assert_ok(store_sqlite_open(path, &store));
        assert_ok(store_worker_new(&worker, loop, store, NULL, NULL));
        test_store();
        test_requests();
        store_worker_free(worker);
        sd_event_unref(loop);
        assert_ok(tree_remove_at(AT_FDCWD, template));
        return 0;
}
