/* SPDX-License-Identifier: Apache-2.0 */
#include "http-text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "string-util.h"
#include "tests.h"

static void test_uri(void) {
        static const char *const refused[] = {
                "",           "a",        "*",           "/a//b",         "/a/",
                "/a/./b",     "/a/../b",  "/a/%2e%2e/b", "/a%2fb",        "/a%00",
                "/a%",        "/a%4",     "/a%zz",       "/a%0ab",        "/a?x=%",
                "/a?x=1&x=2", "/a?x=%00", "/a%ff",       "http://host/a", "/a?x%0a=1",
                "/a?x=%1b",
        };
        _cleanup_(http_uri_done) HttpUri u = {};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                if (http_uri_parse(refused[i], &u) != -EINVAL)
                        fprintf(stderr, "'%s' was taken\n", refused[i]);
                assert_se(!u.buffer);
        }
        assert_se(http_uri_parse("/api/v1/a%20b?selector=env%3Dx,tier+in+(a)&limit=3&&flag", &u) == 0);
        assert_se(u.n_segments == 3 && streq(u.segments[2], "a b"));
        assert_se(u.n_parameters == 3);
        assert_se(streq(u.parameters[0].value, "env=x,tier in (a)"));
        assert_se(streq(u.parameters[2].key, "flag") && streq(u.parameters[2].value, ""));
        http_uri_done(&u);
        assert_se(http_uri_parse("/a?q=web1%0Aweb2%0d%0A%09web3", &u) == 0);
        assert_streq(u.parameters[0].value, "web1\nweb2\r\n\tweb3");
        http_uri_done(&u);
        assert_se(http_uri_parse("/", &u) == 0 && u.n_segments == 0);
        http_uri_done(&u);
        assert_se(http_uri_parse("/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", &u) == -E2BIG);
}

static void test_match(void) {
        static const struct {
                const char *path, *pattern;
                bool match;
                size_t first;
        } table[] = {
                { "/api/v1/agents", "/api/v1/agents", true, 3 },
                { "/api/v1/agents/x", "/api/v1/agents", false, 0 },
                { "/api/v1/agents", "/api/v1/agents/{}", false, 0 },
                { "/api/v1/agents/x", "/api/v1/agents/{}", true, 3 },
                { "/api/v1/agents/x/y", "/api/v1/agents/{}", false, 0 },
                { "/api/v1/imports/i/files/a/b", "/api/v1/imports/{}/files/*", true, 3 },
                { "/api/v1/imports/i/files", "/api/v1/imports/{}/files/*", false, 0 },
                { "/tuf/metadata/1.root.json", "/tuf/*", true, 1 },
                { "/", "/", true, 0 },
                { "/x", "/", false, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(http_uri_done) HttpUri u = {};
                size_t first = 99;

                assert_se(http_uri_parse(table[i].path, &u) == 0);
                assert_se(http_path_match(&u, table[i].pattern, &first) == table[i].match);
                if (table[i].match)
                        assert_se(first == table[i].first);
        }
}

static void test_range(void) {
        static const struct {
                const char *header;
                int r;
                uint64_t offset, length;
        } table[] = {
                { NULL, 0, 0, 0 },
                { "bytes=0-9", 1, 0, 10 },
                { "bytes=90-", 1, 90, 10 },
                { "bytes=0-0", 1, 0, 1 },
                { "bytes=95-200", 1, 95, 5 },
                { "bytes=-10", 1, 90, 10 },
                { "bytes=-1000", 1, 0, 100 },
                { "bytes=100-", -ERANGE, 0, 0 },
                { "bytes=-0", -ERANGE, 0, 0 },
                { "bytes=9-1", 0, 0, 0 },
                { "bytes=0-1,3-4", 0, 0, 0 },
                { "bytes=a-b", 0, 0, 0 },
                { "bytes=", 0, 0, 0 },
                { "items=0-9", 0, 0, 0 },
                { "bytes=99999999999999999999-", 0, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t offset = 0, length = 0;

                assert_se(http_range_parse(table[i].header, 100, &offset, &length) == table[i].r);
                assert_se(offset == table[i].offset && length == table[i].length);
        }
}

static void test_headers(void) {
        assert_se(http_etag_listed("\"a\"", "\"a\""));
        assert_se(http_etag_listed("\"b\", W/\"a\"", "\"a\""));
        assert_se(http_etag_listed("*", "\"a\""));
        assert_se(!http_etag_listed("\"ab\"", "\"a\""));
        assert_se(!http_etag_listed(NULL, "\"a\""));
        assert_se(!http_etag_listed("", "\"a\""));
        assert_se(http_etag_matches("\"b\", \"a\"", "\"a\"") && http_etag_matches("*", "\"a\""));
        assert_se(!http_etag_matches("W/\"a\"", "\"a\"") && !http_etag_matches("\"b\"", "\"a\""));
        assert_se(!http_etag_matches("", "\"a\"") && !http_etag_matches("a", "\"a\""));
        assert_se(streq(http_bearer_token("Bearer x"), "x"));
        assert_se(streq(http_bearer_token("bearer  x"), "x"));
        assert_se(!http_bearer_token("Basic x"));
        assert_se(!http_bearer_token("Bearer "));
        assert_se(!http_bearer_token(NULL));
}

static void test_cookie(void) {
        static const struct {
                const char *header;
                int r;
                const char *value;
        } table[] = {
                { NULL, -ENOENT, NULL },
                { "", -ENOENT, NULL },
                { "a=b", -ENOENT, NULL },
                { "sid=x", 0, "x" },
                { "a=b; sid=x; c=d", 0, "x" },
                { "a=b;sid=x \t;c=d", 0, "x" },
                { "sid=", 0, "" },
                { "sid", -ENOENT, NULL },
                { "xsid=x", -ENOENT, NULL },
                { "sidx=x", -ENOENT, NULL },
                { "SID=x", -ENOENT, NULL },
                { "sid=x; sid=x", -EINVAL, NULL },       /* somebody else may have set one of them */
                { "sid=a b", -EINVAL, NULL },
                { "sid=\"x\"", -EINVAL, NULL },
                { "sid=\xc3\xa4", -EINVAL, NULL },
                { ";;;=;sid=x;;", 0, "x" },
        };
        char longer[HTTP_COOKIE_MAX + 6] = "sid=";

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *value = NULL;

                assert_se(http_cookie_get(table[i].header, "sid", &value) == table[i].r);
                assert_se(streq_ptr(value, table[i].value));
        }
        for (size_t i = 4; i < sizeof(longer) - 1; i++) {
                _cleanup_free_ char *value = NULL;

                longer[i] = 'x';
                assert_se(http_cookie_get(longer, "sid", &value) == (i - 3 <= HTTP_COOKIE_MAX ? 0 : -EINVAL));
        }
}

static void test_cross_site(void) {
        static const struct {
                const char *fetch_site, *origin, *host;
                bool cross;
        } table[] = {
                { NULL, NULL, NULL, false },             /* a program */
                { "same-origin", NULL, "g:8443", false },
                { "none", NULL, "g:8443", false },
                { "same-site", NULL, "g:8443", true },
                { "cross-site", NULL, "g:8443", true },
                { "anything", NULL, "g:8443", true },
                { NULL, "https://g:8443", "g:8443", false },
                { NULL, "https://G:8443", "g:8443", false },
                { "same-origin", "https://evil", "g:8443", true },
                { NULL, "https://g:8444", "g:8443", true },
                { NULL, "http://g:8443", "g:8443", true },
                { NULL, "null", "g:8443", true },
                { NULL, "https://g:8443", NULL, true },
                { NULL, "", "", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_se(http_is_cross_site(table[i].fetch_site, table[i].origin, table[i].host) == table[i].cross);
}

static void test_address(void) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = 7 };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = 7 };
        char text[HTTP_ADDRESS_MAX];

        assert_se(inet_pton(AF_INET, "192.0.2.7", &v4.sin_addr) == 1);
        http_address_format((const struct sockaddr *) &v4, text);
        assert_streq(text, "192.0.2.7");
        assert_se(inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr) == 1);
        http_address_format((const struct sockaddr *) &v6, text);
        assert_streq(text, "2001:db8::1");
        assert_se(inet_pton(AF_INET6, "::ffff:192.0.2.7", &v6.sin6_addr) == 1);
        http_address_format((const struct sockaddr *) &v6, text);
        assert_streq(text, "192.0.2.7");
        http_address_format(&(struct sockaddr){ .sa_family = AF_UNIX }, text);
        assert_streq(text, "");
}

static void test_accept(void) {
        static const char prometheus[] =
                        "application/openmetrics-text;version=1.0.0,"
                        "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        static const struct {
                const char *header;
                unsigned openmetrics, text;
        } table[] = {
                { NULL, 1000, 1000 },
                { "", 1000, 1000 },
                { "*/*", 1000, 1000 },
                { prometheus, 1000, 500 },
                { "application/openmetrics-text; version=0.0.1, text/plain", 0, 1000 },
                { "application/openmetrics-text;version=\"1.0.0\";charset=utf-8", 1000, 0 },
                { "Application/OpenMetrics-Text ; Q=0.3 , text/*;q=0.31", 300, 310 },
                { "text/html, application/*;q=0.2", 200, 0 },
                { "text/plain;q=0, */*;q=0.4", 400, 0 },
                { "text/plain;q=0.75;version=0.0.4,text/plain;q=1", 0, 750 },
                { "text/plain;q=1.5", 0, 1000 },
                { "text/plain;q=-1", 0, 0 },
                { "text/plain;q=", 0, 0 },
                { "text/plain;q", 0, 1000 },
                { "text/plain;q=0.12345", 0, 0 },
                { ",,;;,=", 0, 0 },
                { "text", 0, 0 },
                { "*/plain", 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                unsigned o = http_accept_quality(table[i].header, "application/openmetrics-text", "1.0.0"),
                         t = http_accept_quality(table[i].header, "text/plain", "0.0.4");

                if (o != table[i].openmetrics || t != table[i].text)
                        fprintf(stderr, "'%s': %u and %u\n", strna(table[i].header), o, t);
                assert_se(o == table[i].openmetrics && t == table[i].text);
        }
        assert_se(http_prefers("text/csv", "text/csv", "application/json"));
        assert_se(http_prefers("a/b, TEXT/CSV;q=0.5; header=x", "text/csv", "application/json"));
        assert_se(!http_prefers(NULL, "text/csv", "application/json"));
        assert_se(!http_prefers("*/*", "text/csv", "application/json"));
        assert_se(!http_prefers("text/csv;q=0, */*", "text/csv", "application/json"));
}

static void test_accept_encoding(void) {
        static const struct {
                const char *header;
                bool br, gzip;
        } table[] = {
                { NULL, false, false },
                { "", false, false },
                { "gzip, deflate, br, zstd", true, true },
                { "gzip", false, true },
                { "BR;q=0.1", true, false },
                { "br;q=0, *", false, true },
                { "*;q=0", false, false },
                { "*;q=0.5 , gzip;q=0.000", true, false },
                { "identity", false, false },
                { "brotli, gzipped", false, false },
                { "gzip;q=nonsense", false, false },
                { ",;,=;q", false, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                bool br = http_accepts_encoding(table[i].header, "br"),
                     gzip = http_accepts_encoding(table[i].header, "gzip");

                if (br != table[i].br || gzip != table[i].gzip)
                        fprintf(stderr, "'%s': %d and %d\n", strna(table[i].header), br, gzip);
                assert_se(br == table[i].br && gzip == table[i].gzip);
        }
}

int main(void) {
        test_uri();
        test_accept();
        test_accept_encoding();
        test_match();
        test_range();
        test_headers();
        test_cookie();
        test_cross_site();
        test_address();
        return 0;
}
