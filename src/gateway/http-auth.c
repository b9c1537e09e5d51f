/* SPDX-License-Identifier: Apache-2.0 */
#include "http-auth.h"

#include "crypto.h"
#include "string-util.h"

bool http_route_allows(const HttpRoute *route, const ApiCaller *c) {
        return c->role >= route->role && api_scopes_include(c->scopes, route->area);
}

static void refuse_credentials(HttpExchange *x, const HttpCredentials *c, int error) {
        if (error == -ENOMEM)
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        else if (!c->bearer && !c->session)
                http_reply_problem(
                                x, HTTP_PROBLEM_UNAUTHENTICATED, NULL,
                                "Sign in, or send \"Authorization: Bearer\" with an API token.");
        else if (error == -EKEYEXPIRED)
                http_reply_problem(
                                x, HTTP_PROBLEM_UNAUTHENTICATED, NULL,
                                c->bearer ? "The API token has expired; create another." :
                                            "The session has ended; sign in again.");
        else if (error == -EACCES)
                http_reply_problem(
                                x, HTTP_PROBLEM_UNAUTHENTICATED, NULL,
                                c->bearer ? "The user who made this API token is disabled or gone." :
                                            "The user is disabled or gone.");
        else
                http_reply_problem(
                                x, HTTP_PROBLEM_UNAUTHENTICATED, NULL,
                                c->bearer ? "The API token is not known here." :
                                            "The session is not known here (any more); sign in again.");
}

static void check_rights(HttpExchange *x, const HttpRoute *route, const ApiCaller *c) {
        if (c->role < route->role)
                http_reply_problem(
                                x, HTTP_PROBLEM_FORBIDDEN, NULL, "This needs the role %s; here it is %s.",
                                api_role_to_string(route->role), api_role_to_string(c->role));
        else if (!api_scopes_include(c->scopes, route->area))
                http_reply_problem(
                                x, HTTP_PROBLEM_FORBIDDEN, NULL, "The token was not made for %s.",
                                api_area_to_string(route->area));
}

/* A browser sends the cookie along with whatever another page makes it ask for; it does not send this. */
static void check_csrf(HttpExchange *x, const ApiCaller *c) {
        const char *shown = http_exchange_header(x, "X-CSRF-Token");

        if (strlen(c->csrf) == CALLER_CSRF_HEX && shown && strlen(shown) == CALLER_CSRF_HEX &&
            memory_equal_ct(shown, c->csrf, CALLER_CSRF_HEX))
                return;
        http_reply_problem(
                        x, HTTP_PROBLEM_CSRF, NULL,
                        "With a session every change needs the header X-CSRF-Token with the csrf_token of "
                        "/api/v1/me.");
}

void http_auth_check(
                HttpExchange *x,
                const HttpRoute *route,
                int (*authenticate)(const HttpCredentials *c, ApiCaller *ret, void *userdata),
                void *userdata,
                ApiCaller *ret) {

        const char *header = http_exchange_header(x, "Authorization");
        _cleanup_free_ char *cookie = NULL;
        HttpCredentials c = {};
        int r = -ENOKEY;

        if (!http_exchange_is_read(x) &&
            http_is_cross_site(
                            http_exchange_header(x, "Sec-Fetch-Site"), http_exchange_header(x, "Origin"),
                            http_exchange_header(x, "Host"))) {
                http_reply_problem(
                                x, HTTP_PROBLEM_CROSS_SITE, NULL,
                                "A page of another origin made this request. Behind a proxy, it must pass "
                                "the Host header on.");
                return;
        }
        if (route->role == API_ROLE_PUBLIC)
                return;
        /* a header that is no good does not fall back to the cookie: who sends it means it */
        if (header)
                c.bearer = http_bearer_token(header);
        else {
                r = http_cookie_get(http_exchange_header(x, "Cookie"), HTTP_SESSION_COOKIE, &cookie);
                c.session = cookie;
        }
        if (c.bearer || c.session)
                r = authenticate(&c, ret, userdata);
        if (cookie)
                memory_wipe(cookie, strlen(cookie));
        if (r < 0) {
                refuse_credentials(x, &c, r);
                return;
        }
        check_rights(x, route, ret);
        if (!http_exchange_is_answered(x) && ret->kind == CALLER_USER && !http_exchange_is_read(x))
                check_csrf(x, ret);
}
