/* SPDX-License-Identifier: Apache-2.0 */
#include "http-text.h"

#include "alloc-util.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(http_uri_done) HttpUri u = {};
        _cleanup_free_ char *text = NULL, *cookie = NULL;
        uint64_t offset, length;
        size_t first;

        text = memdup_suffix0(data, size);
        assert_se(text);
        if (http_uri_parse(text, &u) == 0) {
                for (size_t i = 0; i < u.n_segments; i++)
                        assert_se(!isempty(u.segments[i]) && !strchr(u.segments[i], '/') &&
                                  !streq(u.segments[i], ".."));
                (void) http_path_match(&u, "/api/v1/imports/{}/files/*", &first);
                (void) http_path_match(&u, "/{}", &first);
        }
        if (http_range_parse(text, 1000, &offset, &length) > 0)
                assert_se(length > 0 && offset < 1000 && length <= 1000 - offset);
        (void) http_etag_listed(text, "\"a\"");
        (void) http_etag_matches(text, "\"a\"");
        (void) http_bearer_token(text);
        assert_se(http_accept_quality(text, "application/openmetrics-text", "1.0.0") <= HTTP_QUALITY_MAX);
        (void) http_etag_matches(text, "\"a\"");
        (void) http_is_cross_site(NULL, text, "localhost");
        if (http_cookie_get(text, "__Host-fleet-session", &cookie) == 0)
                assert_se(strlen(cookie) <= HTTP_COOKIE_MAX && !strpbrk(cookie, " ;,\"\\\t\r\n"));
        return 0;
}
