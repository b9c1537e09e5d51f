/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-chain.h"

#include "hex.h"
#include "string-util.h"
#include "tests.h"

#define NO_HASH "0000000000000000000000000000000000000000000000000000000000000000"
#define TEXT1                                                                                               \
        "{\"action\":\"desired.set\",\"actor\":\"user:alice\",\"count\":12,\"detail\":{\"before\":"         \
        "\"1.0.0\",\"retry\":false,\"version\":\"1.1.0\"},\"method\":\"session\",\"prev\":"                 \
        "\"" NO_HASH "\",\"request_id\":\"0123456789abcdef0123456789abcdef\",\"seq\":1,"                    \
        "\"source\":\"192.0.2.7\",\"target\":\"selector:env=staging\",\"time\":"                            \
        "\"2026-11-24T12:34:56Z\"}"
#define HASH1 "285ec5af35e9020cef7d101ca94921f3007a1b867862338316cec90c50fa5c45"
#define TEXT2                                                                                               \
        "{\"action\":\"rollout.pause\",\"actor\":\"gateway\",\"count\":0,\"method\":\"none\",\"prev\":"     \
        "\"" HASH1 "\",\"seq\":2,\"target\":\"\",\"time\":\"2026-11-24T12:34:57Z\"}"
#define HASH2 "41a973d14144b032a8cace0a3542a2838ccbccb68cc5c6a787846876a3ae2766"
#define LINE(text, hash) "{\"entry\":" text ",\"hash\":\"" hash "\"}"

static int feed(AuditChain *c, const char *line) {
        _cleanup_free_ char *why = NULL;
        int r = audit_chain_line(c, line, strlen(line), &why);

        assert_se((r == 1) == (why != NULL));
        return r;
}

static void test_good(void) {
        AuditChain c = { .whole = true, .wanted_head = HASH1 };
        _cleanup_free_ char *why = NULL;

        assert_se(feed(&c, LINE(TEXT1, HASH1)) == 0);
        assert_se(feed(&c, LINE(TEXT2, HASH2)) == 0);
        assert_se(audit_chain_end(&c, &why) == 0);
        assert_se(c.first == 1 && c.last == 2);
        assert_streq(c.head, HASH2);

        c = (AuditChain){}; /* the rest of a log, in a file */
        assert_se(feed(&c, LINE(TEXT2, HASH2)) == 0);
        assert_se(c.first == 2);
}

static void test_bad(void) {
        static const struct {
                const char *first, *line; /* first: a good one before it, or NULL */
                uint64_t bad;
        } table[] = {
                { NULL, LINE(TEXT2, HASH2), 1 },               /* the beginning is gone */
                { LINE(TEXT1, HASH1), LINE(TEXT1, HASH1), 2 }, /* the same twice */
                { LINE(TEXT1, HASH1), LINE(TEXT2, HASH1), 2 }, /* another hash */
                { LINE(TEXT1, HASH1), LINE(" " TEXT2, HASH2), 2 },
                { LINE(TEXT1, HASH1), "{\"entry\":" TEXT2 ",\"hash\":\"" HASH2 "\",\"mismatch\":true}", 2 },
                { LINE(TEXT1, HASH1), "{\"entry\":" TEXT2 ",\"hash\":\"" HASH2 "\",\"other\":true}", 2 },
                { LINE(TEXT1, HASH1), "{\"damaged\":true,\"hash\":\"x\",\"seq\":2,\"text\":\"\"}", 2 },
                { LINE(TEXT1, HASH1), "", 2 },
                { LINE(TEXT1, HASH1), "{\"entry\":{},\"hash\":\"", 2 },
                { LINE(TEXT1, HASH1), "{\"entry\":,\"hash\":\"" HASH2 "\"}", 2 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                AuditChain c = { .whole = true };

                if (table[i].first)
                        assert_se(feed(&c, table[i].first) == 0);
                assert_se(feed(&c, table[i].line) == 1);
                assert_se(c.bad == table[i].bad);
        }
}

/* Hashed rightly, so that nothing but the rule in question is broken. */
static void test_rehashed(void) {
        static const struct {
                const char *text, *says;
        } table[] = {
                { "{\"prev\":\"" NO_HASH "\",\"seq\":2}", "does not follow" },
                { "{\"prev\":\"" HASH1 "\",\"seq\":3}", "comes entry 3" },
                { "{\"seq\":2,\"prev\":\"" HASH1 "\"}", "in no order" },
                { "{\"prev\":\"" HASH1 "\"}", "no number" },
                { "[2]", "no number" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                AuditChain c = { .whole = true };
                _cleanup_free_ char *line = NULL, *why = NULL;
                uint8_t hash[SHA256_SIZE];
                char hex[SHA256_HEX_MAX];

                sha256_bytes(table[i].text, strlen(table[i].text), hash);
                hex_encode(hash, sizeof(hash), hex);
                line = strjoinf("{\"entry\":%s,\"hash\":\"%s\"}", table[i].text, hex);
                assert_se(line);
                assert_se(feed(&c, LINE(TEXT1, HASH1)) == 0);
                assert_se(audit_chain_line(&c, line, strlen(line), &why) == 1);
                if (!strstr(why, table[i].says))
                        fprintf(stderr, "%s\n", why);
                assert_se(strstr(why, table[i].says));
        }
}

static void test_cut(void) {
        AuditChain c = { .whole = true, .wanted_head = HASH2 };
        _cleanup_free_ char *why = NULL;

        assert_se(feed(&c, LINE(TEXT1, HASH1)) == 0);
        assert_se(audit_chain_end(&c, &why) == 1);
        assert_se(strstr(why, HASH2) && c.bad == 2);
}

int main(void) {
        assert_ok(crypto_init());
        test_good();
        test_bad();
        test_rehashed();
        test_cut();
        return 0;
}
