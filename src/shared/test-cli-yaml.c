/* SPDX-License-Identifier: Apache-2.0 */
#include "cli-yaml.h"

#include "string-util.h"
#include "tests.h"

static void check(const char *json, const char *yaml) {
        _cleanup_json_ json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
        _cleanup_free_ char *text = NULL;

        assert_se(v);
        assert_ok(cli_yaml_format(v, &text));
        assert_streq(text, yaml);
}

static void test_scalars(void) {
        static const struct {
                const char *json, *yaml;
        } table[] = {
                { "\"web1.example.com\"", "web1.example.com\n" },
                { "\"/usr/bin\"", "/usr/bin\n" },
                { "\"linux-x86_64\"", "linux-x86_64\n" },
                { "\"\"", "\"\"\n" },
                { "7", "7\n" },
                { "-7", "-7\n" },
                { "true", "true\n" },
                { "null", "null\n" },
                { "{}", "{}\n" },
                { "[]", "[]\n" },
                /* what somebody's parser would take for something else */
                { "\"true\"", "\"true\"\n" },
                { "\"No\"", "\"No\"\n" },
                { "\"y\"", "\"y\"\n" },
                { "\"OFF\"", "\"OFF\"\n" },
                { "\"null\"", "\"null\"\n" },
                { "\"~\"", "\"~\"\n" },
                { "\"1.0\"", "\"1.0\"\n" },
                { "\"1e3\"", "\"1e3\"\n" },
                { "\"0x10\"", "\"0x10\"\n" },
                { "\".5\"", "\".5\"\n" },
                { "\".inf\"", "\".inf\"\n" },
                { "\"12:30\"", "\"12:30\"\n" },
                { "\"2026-11-24T12:34:56Z\"", "\"2026-11-24T12:34:56Z\"\n" },
                { "\"-\"", "\"-\"\n" },
                { "\"- a\"", "\"- a\"\n" },
                { "\"a: b\"", "\"a: b\"\n" },
                { "\"a #b\"", "\"a #b\"\n" },
                { "\"&a\"", "\"&a\"\n" },
                { "\"*a\"", "\"*a\"\n" },
                { "\"!a\"", "\"!a\"\n" },
                { "\"%a\"", "\"%a\"\n" },
                { "\"@a\"", "\"@a\"\n" },
                { "\"[a]\"", "\"[a]\"\n" },
                { "\"{a}\"", "\"{a}\"\n" },
                { "\"a,b\"", "\"a,b\"\n" },
                { "\"a \"", "\"a \"\n" },
                /* escapes */
                { "\"say \\\"hi\\\" \\\\\"", "\"say \\\"hi\\\" \\\\\"\n" },
                { "\"a\\nb\\tc\\rd\"", "\"a\\nb\\tc\\x0Dd\"\n" },
                { "\"\\u001b[31m\\u007f\\u009b\"", "\"\\x1B[31m\\x7F\\x9B\"\n" },
                { "\"\\u2028\\ufeff\\uffff\"", "\"\\u2028\\uFEFF\\uFFFF\"\n" },
                { "\"Z\\u00fcrich \\ud83d\\ude00\"", "\"Z\xc3\xbcrich \xf0\x9f\x98\x80\"\n" },
                { "\"Z\\u00fcrich\"", "\"Z\xc3\xbcrich\"\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                check(table[i].json, table[i].yaml);
}

static void test_blocks(void) {
        check("{\"a\": 1, \"b\": {\"c\": \"x\", \"d\": {}}, \"e\": []}", "a: 1\n"
                                                                         "b:\n"
                                                                         "  c: x\n"
                                                                         "  d: {}\n"
                                                                         "e: []\n");
        check("{\"agents\": [{\"id\": \"a\", \"labels\": {\"env\": \"x\", \"y\": \"1\"}}, {\"id\": \"b\"}], \"total\": 2}",
              "agents:\n"
              "  - id: a\n"
              "    labels:\n"
              "      env: x\n"
              "      \"y\": \"1\"\n"
              "  - id: b\n"
              "total: 2\n");
        check("[[1, [2, 3]], [], \"x\", {\"k\": [1]}]", "- - 1\n"
                                                        "  - - 2\n"
                                                        "    - 3\n"
                                                        "- []\n"
                                                        "- x\n"
                                                        "- k:\n"
                                                        "    - 1\n");
}

int main(void) {
        test_scalars();
        test_blocks();
        return 0;
}
