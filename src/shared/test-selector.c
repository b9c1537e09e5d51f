/* SPDX-License-Identifier: Apache-2.0 */
#include "selector.h"

#include <stdio.h>

#include "string-util.h"
#include "tests.h"

static const struct {
        const char *key, *value;
} object[] = {
        { "env", "production" },
        { "tier", "web" },
        { "example.com/owner", "team-a" },
        { "fact.os", "debian" },
        { "fact.kernel", "6.1.0-31+deb12~x" },
};

static const char *lookup(const char *key, void *userdata) {
        for (size_t i = 0; i < ELEMENTSOF(object); i++)
                if (streq(object[i].key, key))
                        return object[i].value;
        return NULL;
}

static void test_matching(void) {
        static const struct {
                const char *text;
                bool expected;
        } table[] = {
                { "env=production", true },
                { "env==production", true },
                { "env = test", false },
                { "env!=test", true },
                { "env!=production", false },
                { "missing!=test", true },               /* what lacks the key matches */
                { "missing notin (a,b)", true },
                { "missing in (a,b)", false },
                { "missing=a", false },
                { "tier in (web,db)", true },
                { "tier in ( db )", false },
                { "tier notin (web, db)", false },
                { "tier notin (cache)", true },
                { "env", true },
                { "!env", false },
                { "missing", false },
                { "! missing", true },
                { "env=production,tier=web,!missing", true },
                { "env=production,tier=db", false },
                { "example.com/owner=team-a", true },
                { "fact.os=debian", true },
                { "fact.os in (debian,ubuntu),env!=test", true },
                { "fact.kernel=6.1.0-31+deb12~x", true },
                { "in,notin", false },                   /* the words are keys where a key stands */
                { "in in (in)", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(selector_freep) Selector *s = NULL;

                assert_se(selector_parse(table[i].text, &s, NULL) == 0);
                if (selector_matches(s, lookup, NULL) != table[i].expected) {
                        fprintf(stderr, "'%s' should be %s\n", table[i].text, yes_no(table[i].expected));
                        assert_se(false);
                }
        }
}

static void test_refused(void) {
        static const char *const table[] = {
                "",
                " ",
                ",",
                "env=",
                "=a",
                "env=a,",
                ",env=a",
                "env=a b",
                "env in a",
                "env in ()",
                "fact.oss!=debian",                      /* a slip here must not mean the whole fleet */
                "!fact.legacy",
                "fact.",
                "fact.os.version=12",
                "env in (a",
                "env in (a,)",
                "env ~ a",
                "env>1",
                "!",
                "!env=a",
                "!!env",
                "env=a;b",
                "-env=a",
                "env-=a",
                "env=-a",
                "env=a+b",
                "a/b/c=d",
                "UPPER.example/x=a",
                "/x=a",
                "x/=a",
                ".example/x=a",
                "env=\"a\"",
                "env=ü",
                "k0123456789012345678901234567890123456789012345678901234567890123456789=a",
                "k=v0123456789012345678901234567890123456789012345678901234567890123456789",
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(selector_freep) Selector *s = NULL;
                _cleanup_free_ char *message = NULL;

                if (selector_parse(table[i], &s, &message) != -EINVAL || !message || s) {
                        fprintf(stderr, "'%s' was taken\n", table[i]);
                        assert_se(false);
                }
        }
}

static void test_message_says_where(void) {
        _cleanup_(selector_freep) Selector *s = NULL;
        _cleanup_free_ char *message = NULL;

        assert_se(selector_parse("env=a,tier ? b", &s, &message) == -EINVAL);
        assert_se(strstr(message, "character 12"));
}

static void test_limits(void) {
        char text[SELECTOR_TEXT_MAX + 2];
        _cleanup_(selector_freep) Selector *s = NULL;
        size_t n = 0;

        memset(text, ' ', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        assert_se(selector_parse(text, &s, NULL) == -EINVAL);

        for (size_t i = 0; i < SELECTOR_REQUIREMENTS_MAX + 1; i++)
                n += (size_t) sprintf(text + n, "%sk%zu", i > 0 ? "," : "", i);
        assert_se(selector_parse(text, &s, NULL) == -EINVAL);
        *strrchr(text, ',') = '\0';
        assert_se(selector_parse(text, &s, NULL) == 0);
}

static void test_format(void) {
        static const struct {
                const char *text, *expected;
        } table[] = {
                { "tier in (web, db,web) ,env==production", "env=production,tier in (db,web)" },
                { "b, a ,!c,b", "a,b,!c" },
                { "a notin (x)", "a!=x" },
                { "a!=x,a in (z,y)", "a in (y,z),a!=x" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(selector_freep) Selector *s = NULL, *t = NULL;
                _cleanup_free_ char *text = NULL, *again = NULL;

                assert_se(selector_parse(table[i].text, &s, NULL) == 0);
                assert_se(selector_format(s, &text) == 0);
                assert_se(streq(text, table[i].expected));
                assert_se(selector_parse(text, &t, NULL) == 0);
                assert_se(selector_format(t, &again) == 0);
                assert_se(streq(text, again));
        }
}

static void test_fact_meant(void) {
        static const struct {
                const char *text, *expected;
        } table[] = {
                { "env=x,os=ubuntu", "os" },
                { "!arch", "arch" },
                { "fact.os=ubuntu", NULL },
                { "example.com/os=ubuntu", NULL },
                { "env=os", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(selector_freep) Selector *s = NULL;

                assert_se(selector_parse(table[i].text, &s, NULL) == 0);
                assert_se(streq_ptr(selector_fact_meant(s), table[i].expected));
        }
}

static void test_labels(void) {
        assert_se(label_key_is_valid("env"));
        assert_se(label_key_is_valid("example.com/env"));
        assert_se(!label_key_is_valid("fact.os"));
        assert_se(!label_key_is_valid(""));
        assert_se(!label_key_is_valid("a b"));
        assert_se(label_value_is_valid(""));
        assert_se(label_value_is_valid("v1.2_x-y"));
        assert_se(!label_value_is_valid("a,b"));
}

int main(void) {
        test_matching();
        test_refused();
        test_message_says_where();
        test_limits();
        test_format();
        test_fact_meant();
        test_labels();
        return 0;
}
