/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What stands between a request and its handler: is it made by a page of another site, who makes it, does
 * that one's role and scopes allow the route, and does a session show its CSRF token when something is to be
 * changed. One place for all routes. */

#include "http.h"

#define HTTP_SESSION_COOKIE "__Host-fleet-session"

/* Answers with the problem itself when the request may not go on; else *ret is who makes it. */
void http_auth_check(
                HttpExchange *x,
                const HttpRoute *route,
                int (*authenticate)(const HttpCredentials *c, ApiCaller *ret, void *userdata),
                void *userdata,
                ApiCaller *ret);

/* May this caller use the route, by role and scopes? */
bool http_route_allows(const HttpRoute *route, const ApiCaller *c);
