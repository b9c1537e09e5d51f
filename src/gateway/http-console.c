/* SPDX-License-Identifier: Apache-2.0 */

/* The console over HTTPS: the files that were built, and index.html for the addresses that the console itself makes up,
 * such as /agents/ID. What it shows comes from the API, with the rights of who is signed in; so the files are public. */

#include "api.h"
#include "string-util.h"

#define IMMUTABLE "public, max-age=31536000, immutable"
/* Nothing but the console's own files runs, nothing of it can be framed, and text never becomes script. */
#define CONTENT_SECURITY_POLICY                                                                        \
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " \
        "frame-ancestors 'none'; require-trusted-types-for 'script'; base-uri 'none'; form-action 'none'"
#define PERMISSIONS_POLICY                                                                      \
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), " \
        "magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()"

/* First segments that are no pages of the console, whatever a browser says that it wants. */
static bool is_reserved(const HttpUri *u) {
        static const char *const reserved[] = { "api", "tuf", "assets", "healthz", "readyz", "metrics", "ca.pem", NULL };

        return u->n_segments > 0 && strv_contains((char *const *) reserved, u->segments[0]);
}

static const ConsoleFile *find_file(const Console *c, HttpExchange *x) {
        const HttpUri *u = http_exchange_uri(x);
        _cleanup_free_ char *path = NULL;
        const ConsoleFile *f;

        if (u->n_segments == 0)
                return console_find(c, "index.html");
        path = strjoinf("%s%s%s", u->segments[0], u->n_segments > 1 ? "/" : "",
                        u->n_segments > 1 ? u->segments[1] : "");
        f = path && u->n_segments <= 2 ? console_find(c, path) : NULL;
        if (f || is_reserved(u))
                return f;
        return http_prefers(http_exchange_header(x, "Accept"), "text/html", "application/problem+json") ?
                        console_find(c, "index.html") :
                        NULL;
}

static void reply_file(HttpExchange *x, const ConsoleFile *f) {
        ConsoleEncoding e = console_choose(f, http_exchange_header(x, "Accept-Encoding"));
        const ConsoleBody *body = f->bodies + e;

        http_reply_header(x, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
        http_reply_header(x, "Permissions-Policy", PERMISSIONS_POLICY);
        http_reply_header(x, "Referrer-Policy", "no-referrer");
        http_reply_header(x, "Cross-Origin-Opener-Policy", "same-origin");
        http_reply_header(x, "Cross-Origin-Resource-Policy", "same-origin");
        http_reply_header(x, "Cache-Control", f->immutable ? IMMUTABLE : "no-cache");
        http_reply_header(x, "Vary", "Accept, Accept-Encoding");
        http_reply_header(x, "ETag", body->etag);
        if (http_etag_listed(http_exchange_header(x, "If-None-Match"), body->etag)) {
                http_reply_data(x, 304, NULL, NULL, 0);
                return;
        }
        if (console_encoding_to_string(e))
                http_reply_header(x, "Content-Encoding", console_encoding_to_string(e));
        http_reply_static(x, 200, f->type, body->data, body->size);
}

static void console_handle(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;
        const ConsoleFile *f = g->console ? find_file(g->console, x) : NULL;

        if (f)
                reply_file(x, f);
        else if (!g->console && http_exchange_uri(x)->n_segments == 0)
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, NULL,
                                "This gateway has no console; its API is below /api/v1/, see docs/api.md.");
        else
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, NULL,
                                "There is nothing at this path; docs/api.md lists what there is.");
}

const HttpRoute http_console_route = {
        "GET", "/*", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, console_handle, .any_parameters = true,
};
