/* SPDX-License-Identifier: Apache-2.0 */

/* Whom an action is for: read, written, resolved in a store, counted, and compared with what somebody saw.
 */

#include "target.h"

#include <stdio.h>

#include "crypto.h"
#include "hex.h"
#include "string-util.h"
#include "tests.h"

static json_t *body_of(const char *text) {
        json_t *v = NULL;

        assert_ok(json_parse(text, strlen(text), TARGET_BODY_MAX, &v, NULL));
        return v;
}

static int parse(const char *text, Target *ret, RequestError *e) {
        _cleanup_json_ json_t *body = body_of(text);

        return target_parse(body, ret, e);
}

static void test_refused(void) {
        static const struct {
                const char *body, *pointer;
                HttpProblem problem;
        } table[] = {
                { "{}", "", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"all\":false}", "/all", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"all\":false,\"agent\":\"a\"}", "/all", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"all\":true,\"ids\":[\"a\"]}", "", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"selector\":\"a\",\"group\":\"g\"}", "", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"agent\":\"a\",\"ids\":[\"a\"]}", "", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"ids\":[]}", "/ids", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"ids\":\"a\"}", "/ids", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"ids\":[\"a\",7]}", "/ids", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"ids\":[\"../a\"]}", "/ids", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"ids\":null}", "/ids", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"selector\":\"\"}", "/selector", HTTP_PROBLEM_BAD_SELECTOR },
                { "{\"selector\":\"a,\"}", "/selector", HTTP_PROBLEM_BAD_SELECTOR },
                { "{\"group\":\"\"}", "/group", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"group\":\"a b\"}", "/group", HTTP_PROBLEM_BAD_REQUEST },
                { "{\"all\":1}", "/all", HTTP_PROBLEM_BAD_REQUEST },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(target_done) Target t = {};
                RequestError e = {};

                assert_error(parse(table[i].body, &t, &e), EINVAL);
                if (!streq_ptr(e.pointer, table[i].pointer) || e.problem != table[i].problem) {
                        fprintf(stderr, "%s: %s\n", table[i].body, strna(e.pointer));
                        abort();
                }
                request_error_done(&e);
        }
}

static void test_many_ids(void) {
        _cleanup_json_ json_t *body = json_object();
        json_t *ids = json_array();
        _cleanup_(target_done) Target t = {}, more = {};
        RequestError e = {};

        assert_ok(json_set_take(body, "ids", ids));
        for (unsigned i = 0; i < AGENT_QUERY_IDS_MAX; i++) {
                char id[16];

                (void) snprintf(id, sizeof(id), "a%u", i);
                assert_ok(json_array_append_new(ids, json_string(id)));
        }
        assert_ok(target_parse(body, &t, &e));
        assert_se(t.ids.n == AGENT_QUERY_IDS_MAX);
        assert_ok(json_array_append_new(ids, json_string("one.more")));
        assert_error(target_parse(body, &more, &e), EINVAL);
        assert_streq(e.pointer, "/ids");
        request_error_done(&e);
}

static void test_forms(void) {
        static const struct {
                const char *body, *text, *view, *words;
        } table[] = {
                { "{\"agent\":\"a\"}", "ids:a", "{\"ids\":[\"a\"]}", "agent a" },
                { "{\"ids\":[\"b\",\"a\",\"b\"]}", "ids:a,b", "{\"ids\":[\"a\",\"b\"]}", "2 agents" },
                { "{\"selector\":\" x == 1, a\"}", "selector:a,x=1", "{\"selector\":\"a,x=1\"}", "a,x=1" },
                { "{\"group\":\"web\"}", "group:web", "{\"group\":\"web\"}", "group web" },
                { "{\"all\":true}", "all", "{\"all\":true}", "all agents" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *text = NULL, *view = NULL, *words = NULL, *again = NULL;
                _cleanup_(target_done) Target t = {}, back = {};
                _cleanup_json_ json_t *v = NULL;
                RequestError e = {};

                assert_ok(parse(table[i].body, &t, &e));
                assert_ok(target_format(&t, &text));
                assert_streq(text, table[i].text);
                v = target_view(&t);
                view = json_format(v, /* pretty= */ false);
                assert_streq(view, table[i].view);
                words = target_describe(&t);
                assert_streq(words, table[i].words);
                assert_ok(target_parse(v, &back, &e));
                assert_ok(target_format(&back, &again));
                assert_streq(again, text);
        }
}

/* ---- in a store ---- */

static void put_agents(Store *s) {
        for (const char *id = "dbca"; *id; id++) {
                char name[2] = { *id, 0 };
                _cleanup_(labels_done) Labels labels = {};

                assert_ok(s->ops->agent_put(s, &(AgentRecord){ .id = name }));
                assert_ok(labels_set(&labels, "env", *id < 'c' ? "test" : "production"));
                assert_ok(s->ops->agent_put_labels(s, name, &labels));
        }
        assert_ok(s->ops->group_put(
                        s, &(GroupRecord){ .name = (char *) "testers",
                                           .selector = (char *) "env=test",
                                           .revision = 1 }));
}

static void digest(const char *ids, char ret[static TARGET_DIGEST_MAX]) {
        uint8_t hash[SHA256_SIZE];

        sha256_bytes(ids, strlen(ids), hash);
        hex_encode(hash, sizeof(hash), ret);
}

static void test_store(Store *s) {
        static const struct {
                const char *body, *ids;
        } table[] = {
                { "{\"agent\":\"c\"}", "c\n" },
                { "{\"ids\":[\"d\",\"a\"]}", "a\nd\n" },
                { "{\"selector\":\"env!=test\"}", "c\nd\n" },
                { "{\"selector\":\"env=nowhere\"}", "" },
                { "{\"group\":\"testers\"}", "a\nb\n" },
                { "{\"all\":true}", "a\nb\nc\nd\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(target_done) Target t = {};
                _cleanup_(text_list_done) TextList ids = {};
                char expected[TARGET_DIGEST_MAX];
                RequestError e = {};
                TargetSize size;

                assert_ok(parse(table[i].body, &t, &e));
                assert_ok(target_resolve(&t, s, &e));
                assert_ok(target_measure(&t, s, &size));
                digest(table[i].ids, expected);
                assert_se(size.count == strlen(table[i].ids) / 2);
                assert_streq(size.digest, expected);
                assert_ok(target_ids(&t, s, &ids));
                assert_se(ids.n == size.count);
                for (const char *id = "abcd"; *id; id++) {
                        _cleanup_(agent_record_done) AgentRecord a = {};
                        char name[2] = { *id, 0 };

                        assert_ok(s->ops->agent_get(s, name, &a));
                        assert_se(target_matches(&t, &a) == !!strchr(table[i].ids, *id));
                        assert_se(text_list_contains(&ids, name) == target_matches(&t, &a));
                }
        }
}

static void test_unknown(Store *s) {
        static const struct {
                const char *body, *pointer, *named;
        } table[] = {
                { "{\"agent\":\"x\"}", "/agent", "\"x\"" },
                { "{\"ids\":[\"a\",\"b\",\"x\",\"y\"]}", "/ids", "\"x\"" },
                { "{\"ids\":[\"A\",\"a\",\"d\"]}", "/ids", "\"A\"" },
                { "{\"group\":\"nobody\"}", "/group", "\"nobody\"" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(target_done) Target t = {};
                RequestError e = {};

                assert_ok(parse(table[i].body, &t, &e));
                assert_error(target_resolve(&t, s, &e), EINVAL);
                assert_se(e.problem == HTTP_PROBLEM_NOT_FOUND && strstr(e.detail, table[i].named));
                assert_streq(e.pointer, table[i].pointer);
                request_error_done(&e);
        }
}

/* As many as before, but others: the count alone would not see it. */
static void test_expected(Store *s) {
        TargetExpectation seen = { .has_count = true, .has_digest = true };
        _cleanup_(target_done) Target t = {};
        RequestError e = {};
        TargetSize size;
        uint64_t n;

        assert_ok(parse("{\"group\":\"testers\"}", &t, &e));
        assert_ok(target_resolve(&t, s, &e));
        assert_ok(target_check(&t, s, &(TargetExpectation){}, &size, &e));
        seen.count = size.count;
        memcpy(seen.digest, size.digest, sizeof(seen.digest));
        assert_ok(target_check(&t, s, &seen, NULL, &e));

        assert_ok(s->ops->agent_delete(s, "a"));
        assert_error(target_check(&t, s, &seen, NULL, &e), EINVAL);
        assert_streq(e.pointer, "/expected_count");
        assert_se(e.problem == HTTP_PROBLEM_CONFLICT && strstr(e.detail, "1 agents") &&
                  strstr(e.detail, "not 2"));
        assert_se(json_get_u64(e.members, "count", &n) == 0 && n == 1);
        assert_se(json_get_u64(e.members, "expected_count", &n) == 0 && n == 2);
        request_error_done(&e);

        assert_ok(s->ops->agent_put(s, &(AgentRecord){ .id = (char *) "new" }));
        assert_ok(s->ops->group_put(
                        s, &(GroupRecord){ .name = (char *) "testers",
                                           .selector = (char *) "env!=production" }));
        assert_ok(target_resolve(&t, s, &e));
        assert_error(target_check(&t, s, &seen, NULL, &e), EINVAL);
        assert_streq(e.pointer, "/expected_digest");
        request_error_done(&e);
}

int main(void) {
        _cleanup_(store_closep) Store *s = NULL;

        assert_ok(crypto_init());
        test_refused();
        test_many_ids();
        test_forms();
        assert_ok(store_sqlite_open(":memory:", &s));
        put_agents(s);
        test_store(s);
        test_unknown(s);
        test_expected(s);
        return 0;
}
