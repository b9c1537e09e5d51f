/* SPDX-License-Identifier: Apache-2.0 */
#include "api-request.h"

#include "string-util.h"
#include "tests.h"

static json_t *parse(const char *text) {
        json_t *v = NULL;

        assert_ok(json_parse(text, strlen(text), HTTP_JSON_MAX, &v, NULL));
        return v;
}

static void test_update(void) {
        static const struct {
                const char *body;
                HttpProblem problem;
                const char *pointer;
        } refused[] = {
                { "{}", HTTP_PROBLEM_BAD_REQUEST, "" },
                { "{\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_REQUEST, "" },
                { "{\"all\":false,\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_REQUEST, "/all" },
                { "{\"all\":true,\"selector\":\"a=b\",\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_REQUEST,
                  "" },
                { "{\"all\":true,\"agent\":\"x\",\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_REQUEST, "" },
                { "{\"selector\":\"\",\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_SELECTOR, "/selector" },
                { "{\"selector\":\"a=b,\",\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_SELECTOR, "/selector" },
                { "{\"agent\":\"../x\",\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_REQUEST, "/agent" },
                { "{\"agent\":7,\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_REQUEST, "/agent" },
                { "{\"all\":true}", HTTP_PROBLEM_BAD_REQUEST, "/version" },
                { "{\"all\":true,\"version\":\"1.0\"}", HTTP_PROBLEM_BAD_REQUEST, "/version" },
                { "{\"all\":true,\"version\":\"1.0.0\",\"retry\":1}", HTTP_PROBLEM_BAD_REQUEST, "/retry" },
                { "{\"all\":true,\"version\":\"1.0.0\",\"expected_count\":-1}", HTTP_PROBLEM_BAD_REQUEST,
                  "/expected_count" },
                { "{\"all\":true,\"version\":\"1.0.0\",\"dry_run\":true}", HTTP_PROBLEM_BAD_REQUEST,
                  "/dry_run" },
                { "{\"all\":true,\"version\":\"1.0.0\",\"a/~b\":1}", HTTP_PROBLEM_BAD_REQUEST, "/a~1~0b" },
                { "{\"ids\":[\"a\",\"b\"],\"version\":\"1.0.0\"}", HTTP_PROBLEM_BAD_REQUEST, "/ids" },
                { "{\"all\":true,\"version\":\"1.0.0\",\"expected_digest\":\"12\"}",
                  HTTP_PROBLEM_BAD_REQUEST, "/expected_digest" },
        };
        _cleanup_(update_request_done) UpdateRequest q = {};
        _cleanup_free_ char *target = NULL;
        RequestError e = {};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_(update_request_done) UpdateRequest bad = {};
                _cleanup_json_ json_t *body = parse(refused[i].body);

                assert_error(update_request_parse(body, &bad, &e), EINVAL);
                assert_se(e.problem == refused[i].problem);
                assert_se(streq_ptr(e.pointer, refused[i].pointer));
                assert_se(!isempty(e.detail));
                request_error_done(&e);
        }

        _cleanup_json_ json_t *body = parse(
                        "{\"selector\":\"b=c , "
                        "a\",\"version\":\"1.2.0-rc.1\",\"retry\":true,\"expected_count\":0}");
        assert_ok(update_request_parse(body, &q, &e));
        assert_se(q.target.kind == TARGET_SELECTOR && q.retry && q.expected.has_count &&
                  q.expected.count == 0 && !q.expected.has_digest);
        assert_ok(target_format(&q.target, &target));
        assert_streq(target, "selector:a,b=c");
        assert_streq(q.version, "1.2.0-rc.1");
}

static void test_tokens(void) {
        _cleanup_(join_token_request_done) JoinTokenRequest j = {};
        static const char *const bad_join[] = {
                "{\"uses\":0}",
                "{\"uses\":100001}",
                "{\"uses\":\"1\"}",
                "{\"uses\":1.5}",
                "{\"expires_in_sec\":59}",
                "{\"labels\":[]}",
                "{\"labels\":{\"a\":1}}",
                "{\"labels\":{\"a\":\"\"}}",
                "{\"labels\":{\"fact.os\":\"x\"}}",
                "{\"labels\":{\"a\":\"b c\"}}",
                "{\"description\":\"a\\nb\"}",
                "{\"use\":1}",
        };
        RequestError e = {};

        for (size_t i = 0; i < ELEMENTSOF(bad_join); i++) {
                _cleanup_(join_token_request_done) JoinTokenRequest bad = {};
                _cleanup_json_ json_t *body = parse(bad_join[i]);

                assert_error(join_token_request_parse(body, &bad, &e), EINVAL);
                request_error_done(&e);
        }
        _cleanup_json_ json_t *nothing = parse("{}");
        assert_ok(join_token_request_parse(nothing, &j, &e));
        assert_se(j.uses == 1 && j.expires_in_sec == 86400 && j.labels.n == 0);
}

static void test_agent(void) {
        _cleanup_(agent_request_done) AgentRequest q = {};
        _cleanup_json_ json_t *body = parse("{\"labels\":{\"env\":\"test\",\"old\":\"\"}}"),
                              *nothing = parse("{}");
        RequestError e = {};

        assert_ok(agent_request_parse(body, &q, &e));
        assert_se(q.n == 2);
        assert_error(agent_request_parse(nothing, &q, &e), EINVAL);
        request_error_done(&e);
}

static void test_relabel(void) {
        static const struct {
                const char *body, *pointer;
        } refused[] = {
                { "{\"all\":true}", "/labels" },
                { "{\"all\":true,\"labels\":{}}", "/labels" },
                { "{\"all\":true,\"labels\":{\"fact.os\":\"x\"}}", "/labels" },
                { "{\"all\":true,\"labels\":{\"a\":1}}", "/labels" },
                { "{\"labels\":{\"a\":\"b\"}}", "" },
        };
        _cleanup_json_ json_t *body =
                        parse("{\"ids\":[\"b\",\"a\",\"b\"],\"labels\":{\"x\":\"\",\"y\":\"1\"}}");
        _cleanup_(relabel_request_done) RelabelRequest q = {};
        RequestError e = {};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_json_ json_t *wrong = parse(refused[i].body);
                _cleanup_(relabel_request_done) RelabelRequest bad = {};

                assert_error(relabel_request_parse(wrong, &bad, &e), EINVAL);
                assert_se(streq_ptr(e.pointer, refused[i].pointer));
                request_error_done(&e);
        }
        assert_ok(relabel_request_parse(body, &q, &e));
        assert_se(q.target.ids.n == 2 && q.labels.n == 2 && streq(q.labels.changes[0].value, ""));
}

static void test_group(void) {
        static const struct {
                const char *body, *pointer;
        } refused[] = {
                { "{\"selector\":\"a\"}", "/name" },
                { "{\"name\":\"\",\"selector\":\"a\"}", "/name" },
                { "{\"name\":\"a b\",\"selector\":\"a\"}", "/name" },
                { "{\"name\":\"x\"}", "/selector" },
                { "{\"name\":\"x\",\"selector\":\"\"}", "/selector" },
                { "{\"name\":\"x\",\"selector\":\"fact.no=1\"}", "/selector" },
                { "{\"name\":\"x\",\"selector\":\"a\",\"description\":\"\\n\"}", "/description" },
                { "{\"name\":\"x\",\"selector\":\"a\",\"all\":true}", "/all" },
        };
        _cleanup_json_ json_t *body = parse("{\"selector\":\"b, a\",\"description\":\"d\"}");
        _cleanup_(group_request_done) GroupRequest q = {};
        RequestError e = {};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_json_ json_t *wrong = parse(refused[i].body);
                _cleanup_(group_request_done) GroupRequest bad = {};

                assert_error(group_request_parse(wrong, /* with_name= */ true, &bad, &e), EINVAL);
                assert_se(streq_ptr(e.pointer, refused[i].pointer));
                request_error_done(&e);
        }
        assert_ok(group_request_parse(body, /* with_name= */ false, &q, &e));
        assert_streq(q.selector, "a,b");
}

int main(void) {
        test_update();
        test_relabel();
        test_group();
        test_tokens();
        test_agent();
        return 0;
}
