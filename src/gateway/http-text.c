/* SPDX-License-Identifier: Apache-2.0 */
#include "http-text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <strings.h>

#include "parse-util.h"
#include "string-util.h"

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char) tolower((unsigned char) c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. In a value lines may end: people paste lists. */
static int decode(char *s, bool plus_is_space, bool lines) {
        char *out = s;

        for (const char *p = s; *p; p++) {
                int high, low, c = (unsigned char) *p;

                if (*p == '%') {
                        high = hex_digit(p[1]);
                        low = high < 0 ? -1 : hex_digit(p[2]);
                        if (low < 0)
                                return -EINVAL;
                        c = high * 16 + low;
                        p += 2;
                } else if (*p == '+' && plus_is_space)
                        c = ' ';
                if ((c < 0x20 || c == 0x7f) && !(lines && IN_SET(c, '\t', '\n', '\r')))
                        return -EINVAL;
                *out++ = (char) c;
        }
        *out = '\0';
        return utf8_is_valid(s, (size_t) (out - s)) ? 0 : -EINVAL;
}

static int parse_segments(HttpUri *u, char *path) {
        int r;

        if (*path != '/')
                return -EINVAL;
        path++;
        while (*path) {
                char *end = strchrnul(path, '/');
                bool last = *end == '\0';

                *end = '\0';
                r = decode(path, /* plus_is_space= */ false, /* lines= */ false);
                if (r < 0)
                        return r;
                if (isempty(path) || streq(path, ".") || streq(path, "..") || strchr(path, '/'))
                        return -EINVAL;
                if (u->n_segments >= HTTP_SEGMENTS_MAX)
                        return -E2BIG;
                u->segments[u->n_segments++] = path;
                if (last)
                        return 0;
                path = end + 1;
                if (isempty(path)) /* a slash at the end is another resource, which does not exist */
                        return -EINVAL;
        }
        return 0;
}

static int parse_parameters(HttpUri *u, char *query) {
        char *next = query;
        int r;

        while (next) {
                char *item = strsep(&next, "&"), *value = item;

                if (isempty(item))
                        continue;
                (void) strsep(&value, "=");
                if (!value)
                        value = item + strlen(item);
                if (u->n_parameters >= HTTP_PARAMETERS_MAX)
                        return -E2BIG;
                r = decode(item, /* plus_is_space= */ true, /* lines= */ false);
                if (r >= 0)
                        r = decode(value, /* plus_is_space= */ true, /* lines= */ true);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < u->n_parameters; i++)
                        if (streq(u->parameters[i].key, item))
                                return -EINVAL;
                u->parameters[u->n_parameters].key = item;
                u->parameters[u->n_parameters++].value = value;
        }
        return 0;
}

int http_uri_parse(const char *raw, HttpUri *ret) {
        _cleanup_(http_uri_done) HttpUri u = {};
        char *query;
        int r;

        if (strnlen(raw, HTTP_URI_MAX + 1) > HTTP_URI_MAX)
                return -E2BIG;
        u.buffer = strdup(raw);
        if (!u.buffer)
                return -ENOMEM;
        query = strchr(u.buffer, '?');
        if (query)
                *query++ = '\0';
        r = parse_segments(&u, u.buffer);
        if (r >= 0 && query)
                r = parse_parameters(&u, query);
        if (r < 0)
                return r;
        *ret = TAKE_GENERIC(u, HttpUri, (HttpUri){});
        return 0;
}

void http_uri_done(HttpUri *u) {
        free(u->buffer);
        *u = (HttpUri){};
}

bool http_path_match(const HttpUri *u, const char *pattern, size_t *ret_first) {
        size_t i = 0, first = u->n_segments;

        for (const char *p = pattern; *p == '/' && p[1]; i++) {
                const char *end = strchrnul(++p, '/');
                size_t n = (size_t) (end - p);

                if (n == 1 && *p == '*') {
                        *ret_first = MIN(first, i);
                        return i < u->n_segments;
                }
                if (i >= u->n_segments)
                        return false;
                if (n == 2 && p[0] == '{')
                        first = MIN(first, i);
                else if (strlen(u->segments[i]) != n || strncmp(u->segments[i], p, n) != 0)
                        return false;
                p = end;
        }
        *ret_first = first;
        return i == u->n_segments;
}

int http_range_parse(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_length) {
        _cleanup_free_ char *first = NULL;
        uint64_t from, to = UINT64_MAX;
        const char *spec, *dash;

        spec = header ? startswith(header, "bytes=") : NULL;
        dash = spec ? strchr(spec, '-') : NULL;
        if (!dash || strchr(spec, ','))
                return 0;
        first = strndup(spec, (size_t) (dash - spec));
        if (!first)
                return -ENOMEM;

        if (isempty(first)) {                /* the last so many bytes */
                if (parse_u64(dash + 1, &to) < 0)
                        return 0;
                if (to == 0 || size == 0)
                        return -ERANGE;
                *ret_length = MIN(to, size);
                *ret_offset = size - *ret_length;
                return 1;
        }
        if (parse_u64(first, &from) < 0 || (dash[1] && parse_u64(dash + 1, &to) < 0) || to < from)
                return 0;
        if (from >= size)
                return -ERANGE;
        *ret_offset = from;
        *ret_length = MIN(to, size - 1) - from + 1;
        return 1;
}

static bool etag_is_in(const char *header, const char *etag, bool weak) {
        size_t n = strlen(etag);

        while (header && *header) {
                header += strspn(header, " \t,");
                if (*header == '*')
                        return true;
                if (weak && header[0] == 'W' && header[1] == '/')
                        header += 2;
                if (strncmp(header, etag, n) == 0 && (header[n] == '\0' || strchr(" \t,", header[n])))
                        return true;
                header += strcspn(header, ",");
        }
        return false;
}

bool http_etag_listed(const char *header, const char *etag) {
        return etag_is_in(header, etag, /* weak= */ true);
}

bool http_etag_matches(const char *header, const char *etag) {
        return etag_is_in(header, etag, /* weak= */ false);
}

/* RFC 6265: visible ASCII without quotes, commas, semicolons and backslashes. */
static bool cookie_value_is_good(const char *s, size_t n) {
        if (n > HTTP_COOKIE_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if (s[i] <= 0x20 || s[i] >= 0x7f || strchr("\",;\\", s[i]))
                        return false;
        return true;
}

int http_cookie_get(const char *header, const char *name, char **ret) {
        const char *value = NULL;
        size_t size = 0, n = strlen(name);

        while (header && *header) {
                const char *end;

                header += strspn(header, " \t;");
                end = strchrnul(header, ';');
                if ((size_t) (end - header) > n && strncmp(header, name, n) == 0 && header[n] == '=') {
                        if (value)
                                return -EINVAL;
                        value = header + n + 1;
                        size = (size_t) (end - value);
                        while (size > 0 && strchr(" \t", value[size - 1]))
                                size--;
                }
                header = end;
        }
        if (!value)
                return -ENOENT;
        if (!cookie_value_is_good(value, size))
                return -EINVAL;
        *ret = strndup(value, size);
        return *ret ? 0 : -ENOMEM;
}

bool http_is_cross_site(const char *fetch_site, const char *origin, const char *host) {
        const char *authority;

        if (fetch_site && !streq(fetch_site, "same-origin") && !streq(fetch_site, "none"))
                return true;
        if (!origin)
                return false;
        authority = startswith(origin, "https://");
        return !authority || isempty(host) || strcasecmp(authority, host) != 0;
}

const char *http_bearer_token(const char *header) {
        if (!header || strncasecmp(header, "Bearer ", 7) != 0)
                return NULL;
        header += 7;
        header += strspn(header, " ");
        return isempty(header) ? NULL : header;
}

void http_address_format(const struct sockaddr *address, char ret[static HTTP_ADDRESS_MAX]) {
        const void *bytes = NULL;
        int family = address->sa_family;

        ret[0] = '\0';
        if (family == AF_INET)
                bytes = &((const struct sockaddr_in *) address)->sin_addr;
        else if (family == AF_INET6) {
                const struct in6_addr *a = &((const struct sockaddr_in6 *) address)->sin6_addr;

                bytes = a;
                if (IN6_IS_ADDR_V4MAPPED(a)) {
                        bytes = &a->s6_addr[12];
                        family = AF_INET;
                }
        }
        if (bytes && !inet_ntop(family, bytes, ret, HTTP_ADDRESS_MAX))
                ret[0] = '\0';
}

/* ---- Accept ---- */

/* A part of a header without the space around it. */
typedef struct Piece {
        const char *text;
        size_t size;
} Piece;

/* Takes what stands before the next separator off the front. False: there was nothing left. */
static bool piece_take(Piece *from, char separator, Piece *ret) {
        const char *end;

        if (!from->text)
                return false;
        end = memchr(from->text, separator, from->size);
        *ret = (Piece){ from->text, end ? (size_t) (end - from->text) : from->size };
        from->size -= ret->size + (end ? 1 : 0);
        from->text = end ? end + 1 : NULL;
        while (ret->size > 0 && strchr(" \t", *ret->text)) {
                ret->text++;
                ret->size--;
        }
        while (ret->size > 0 && strchr(" \t", ret->text[ret->size - 1]))
                ret->size--;
        return true;
}

static bool piece_is(const Piece *p, const char *s) {
        return strlen(s) == p->size && strncasecmp(p->text, s, p->size) == 0;
}

/* "1", "0.75"; what is none counts as nothing. */
static unsigned parse_quality(const Piece *p) {
        unsigned q = 0, digit = HTTP_QUALITY_MAX;

        for (size_t i = 0; i < p->size; i++) {
                if (i == 1 && p->text[i] == '.')
                        continue;
                if (p->text[i] < '0' || p->text[i] > '9' || i > 4)
                        return 0;
                q += digit * (unsigned) (p->text[i] - '0');
                digit /= 10;
        }
        return MIN(q, HTTP_QUALITY_MAX);
}

/* How much the range says about the type: 1 all types, 2 all of its kind, 3 the type, 4 and its version; 0:
 * it is about something else. */
static unsigned range_matches(Piece range, const char *type, const char *version, unsigned *ret_quality) {
        size_t kind = strcspn(type, "/") + 1;
        unsigned says;
        Piece name, p;

        *ret_quality = HTTP_QUALITY_MAX;
        if (!piece_take(&range, ';', &name))
                return 0;
        if (piece_is(&name, type))
                says = 3;
        else if (name.size == kind + 1 && strncasecmp(name.text, type, kind) == 0 && name.text[kind] == '*')
                says = 2;
        else if (piece_is(&name, "*/*"))
                says = 1;
        else
                return 0;
        while (piece_take(&range, ';', &p)) {
                Piece key;

                if (!piece_take(&p, '=', &key) || !p.text)
                        continue;
                if (p.size >= 2 && *p.text == '"' && p.text[p.size - 1] == '"')
                        p = (Piece){ p.text + 1, p.size - 2 };
                if (piece_is(&key, "q"))
                        *ret_quality = parse_quality(&p);
                else if (piece_is(&key, "version")) {
                        if (!piece_is(&p, version))
                                return 0;
                        says = MAX(says, 4U);
                }
        }
        return says;
}

unsigned http_accept_quality(const char *header, const char *type, const char *version) {
        Piece rest = { header, strlen(strempty(header)) }, range;
        unsigned best = 0, quality = 0;

        if (isempty(header))
                return HTTP_QUALITY_MAX;
        while (piece_take(&rest, ',', &range)) {
                unsigned q, says = range_matches(range, type, version, &q);

                if (says > best || (says == best && says > 0 && q > quality)) {
                        best = says;
                        quality = q;
                }
        }
        return quality;
}

bool http_prefers(const char *header, const char *type, const char *to) {
        return http_accept_quality(header, type, "") > http_accept_quality(header, to, "");
}

bool http_accepts_encoding(const char *header, const char *coding) {
        Piece rest = { header, strlen(strempty(header)) }, item;
        bool named = false, any = false;

        if (isempty(header))
                return false;
        while (piece_take(&rest, ',', &item)) {
                unsigned quality = HTTP_QUALITY_MAX;
                Piece name, p, key;

                if (!piece_take(&item, ';', &name))
                        continue;
                while (piece_take(&item, ';', &p))
                        if (piece_take(&p, '=', &key) && p.text && piece_is(&key, "q"))
                                quality = parse_quality(&p);
                if (piece_is(&name, coding)) {
                        if (quality == 0)
                                return false;
                        named = true;
                } else if (piece_is(&name, "*"))
                        any = quality > 0;
        }
        return named || any;
}
