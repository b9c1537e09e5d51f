/* SPDX-License-Identifier: Apache-2.0 */

#include "string-util.h"
#include "tests.h"
#include "tuf-canonical.h"

static void check(const char *json, const char *expected) {
        _cleanup_json_ json_t *v = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;

        assert_ok(json_parse(json, strlen(json), 65536, &v, NULL));
        assert_ok(tuf_canonical_encode(v, &text, &size));
        assert_se(size == strlen(expected));
        assert_streq(text, expected);
}

static void test_values(void) {
        check("{}", "{}");
        check(" [ ] ", "[]");
        check("[true, false, null]", "[true,false,null]");
        check("[0, -0, 1, -1, 9223372036854775807, -9223372036854775808]",
              "[0,0,1,-1,9223372036854775807,-9223372036854775808]");
        check("{\"b\": 1, \"a\": {\"d\": [1, 2], \"c\": \"x\"}}",
              "{\"a\":{\"c\":\"x\",\"d\":[1,2]},\"b\":1}");
}

static void test_strings(void) {
        /* only quote and backslash are escaped; everything else is as it is, control characters too */
        check("[\"a\\\"b\\\\c\"]", "[\"a\\\"b\\\\c\"]");
        check("[\"line\\nbreak\\ttab\\u0001\\u007f\"]", "[\"line\nbreak\ttab\x01\x7f\"]");
        check("[\"a\\/b\"]", "[\"a/b\"]");
        check("[\"\\u00e9\\u20ac\\ud83d\\ude00\"]", "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]");
        check("[\"\"]", "[\"\"]");
}

static void test_order(void) {
        /* by code point: capitals first, and what lies beyond the basic plane after what lies at its end */
        check("{\"a\": 1, \"B\": 2, \"\": 3, \"aa\": 4, \"_\": 5}",
              "{\"\":3,\"B\":2,\"_\":5,\"a\":1,\"aa\":4}");
        check("{\"\\ud83d\\ude00\": 1, \"\\uff41\": 2}", "{\"\xef\xbd\x81\":2,\"\xf0\x9f\x98\x80\":1}");
}

static void test_refused(void) {
        static const char *const reals[] = { "[7.0]", "[7e0]", "[1.5]", "{\"a\":{\"b\":[-0.0]}}" };
        _cleanup_json_ json_t *deep = NULL, *fits = NULL;
        _cleanup_free_ char *fitting = NULL;
        char *text;
        size_t size;

        for (size_t i = 0; i < ELEMENTSOF(reals); i++) {
                _cleanup_json_ json_t *v = NULL;
                assert_ok(json_parse(reals[i], strlen(reals[i]), 1024, &v, NULL));
                assert_error(tuf_canonical_encode(v, &text, &size), EBADMSG);
        }

        /* built in memory, past the parser's own limit */
        deep = json_array();
        fits = json_array();
        for (int i = 1; i < TUF_CANONICAL_DEPTH_MAX; i++)
                fits = json_pack("[o]", fits);
        for (int i = 1; i < TUF_CANONICAL_DEPTH_MAX + 1; i++)
                deep = json_pack("[o]", deep);
        assert_ok(tuf_canonical_encode(fits, &fitting, &size));
        assert_se(size == 2 * TUF_CANONICAL_DEPTH_MAX);
        assert_error(tuf_canonical_encode(deep, &text, &size), EBADMSG);
}

/* A file keeps its canonical form when it is written in another way. */
static void test_round_trip(void) {
        static const char original[] = "{\"z\":[1,{\"y\":\"\\u00fc\\n\"}],\"a\":\"\\\\ \\\"\"}";
        _cleanup_json_ json_t *one = NULL, *two = NULL;
        _cleanup_free_ char *first = NULL, *pretty = NULL, *second = NULL;
        size_t size;

        assert_ok(json_parse(original, strlen(original), 1024, &one, NULL));
        assert_ok(tuf_canonical_encode(one, &first, &size));
        pretty = json_format(one, true);
        assert_ok(json_parse(pretty, strlen(pretty), 1024, &two, NULL));
        assert_ok(tuf_canonical_encode(two, &second, &size));
        assert_streq(first, second);
}

int main(void) {
        test_values();
        test_strings();
        test_order();
        test_refused();
        test_round_trip();
        return 0;
}
