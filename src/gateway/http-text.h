/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What clients write in request lines and headers, decoded strictly. Pure. */

#include <sys/socket.h>

#include "macro.h"

#define HTTP_URI_MAX 28672U /* with a thousand host names in it */
#define HTTP_SEGMENTS_MAX 24U
#define HTTP_PARAMETERS_MAX 16U

/* "/a/b%20c?x=1&y=": segments {"a", "b c"}, parameters x and y. Percent escapes are decoded once, "+" in the
 * query is a space. Refused with -EINVAL: what does not begin with "/", bad escapes, control characters (but
 * tab and the ends of lines in the value of a parameter), text that is no UTF-8, empty segments, "." and
 * "..", "/" within a segment, a parameter given twice; -E2BIG above the caps. */
typedef struct HttpUri {
        char *buffer;                        /* everything points into it */
        char *segments[HTTP_SEGMENTS_MAX];
        size_t n_segments;
        struct {
                char *key, *value;
        } parameters[HTTP_PARAMETERS_MAX];
        size_t n_parameters;
} HttpUri;

int http_uri_parse(const char *raw, HttpUri *ret);
void http_uri_done(HttpUri *u);

/* Does the path match "/api/v1/agents/{}" ({}: any one segment, *: all that follow, at least one)? The
 * segments that stand for them begin at *ret_first. */
bool http_path_match(const HttpUri *u, const char *pattern, size_t *ret_first);

/* A Range header for a body of so many bytes. 1: these bytes; 0: send everything (no range, several, or
 * nothing that we understand); -ERANGE: 416. */
int http_range_parse(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_length);

/* Is etag (with its quotes) in an If-None-Match list? "*" matches. Weak comparison. */
bool http_etag_listed(const char *header, const char *etag);
/* The same for If-Match: strong comparison, a weak tag matches nothing. */
bool http_etag_matches(const char *header, const char *etag);

/* The value of one cookie in a Cookie header: -ENOENT when it is not there; -EINVAL when it is there twice, so that
 * nobody can say which is meant, or is no cookie's value. */
#define HTTP_COOKIE_MAX 256U
int http_cookie_get(const char *header, const char *name, char **ret);

/* Does a browser say, by Sec-Fetch-Site and Origin, that a page of another origin makes this request? Both may be
 * NULL, as they are with programs. host: the Host header. */
bool http_is_cross_site(const char *fetch_site, const char *origin, const char *host);

/* The token of "Bearer TOKEN", or NULL. */
const char *http_bearer_token(const char *header);

/* An IP address without its port; IPv4 as such also where it came in through an IPv6 socket. "" for others. */
#define HTTP_ADDRESS_MAX 48U
void http_address_format(const struct sockaddr *address, char ret[static HTTP_ADDRESS_MAX]);

/* How much a client wants a media type, by its Accept header: 0 (not at all) to 1000. The range that says
 * most about the type counts; one that asks for another version of it does not. Without a header all is
 * welcome. */
#define HTTP_QUALITY_MAX 1000U
unsigned http_accept_quality(const char *header, const char *type, const char *version);
/* Does an Accept-Encoding header allow this coding? Without a header none is asked for. */
bool http_accepts_encoding(const char *header, const char *coding);
/* Is one media type wanted more than another? */
bool http_prefers(const char *header, const char *type, const char *to);
