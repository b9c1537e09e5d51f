/* SPDX-License-Identifier: Apache-2.0 */

/* The caller itself: who it is, what it may do, and its own password. */

#include <stdio.h>

#include "alloc-util.h"
#include "crypto.h"
#include "http-auth.h"
#include "log.h"
#include "login-wait.h"
#include "people-request.h"
#include "people.h"
#include "string-util.h"
#include "view.h"

/* ---- me ---- */

static const char *const verbs[_API_ROLE_MAX] = {
        [API_ROLE_VIEWER] = "view",
        [API_ROLE_OPERATOR] = "operate",
        [API_ROLE_ADMIN] = "administer",
};

static bool list_has(json_t *list, const char *text) {
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                if (streq(json_string_value(item), text))
                        return true;
        return false;
}

/* "agents.view": there is a route of this area and role, and the caller may use it. From the table of
 * routes, so that it cannot say anything else than what is enforced. */
static json_t *view_capabilities(const ApiCaller *c) {
        json_t *list = json_array();
        char name[64];

        for (const HttpRoute *route = api_routes; list && route->method; route++) {
                if (route->area == API_AREA_NONE || !http_route_allows(route, c))
                        continue;
                (void) snprintf(name, sizeof(name), "%s.%s", api_area_to_string(route->area),
                                verbs[route->role]);
                if (!list_has(list, name) && json_array_append_new(list, json_string(name)) < 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

static int fill_me(json_t *o, const ApiCaller *c) {
        bool is_user = c->kind == CALLER_USER;
        int r;

        r = json_set_string(o, "kind", is_user ? "user" : "token");
        if (r >= 0)
                r = json_set_string(o, "name", is_user ? c->user : c->id);
        if (r >= 0)
                r = json_set_string(o, is_user ? "session" : "id", c->id);
        if (r >= 0)
                r = json_set_string(o, is_user ? "display_name" : "description", c->title);
        if (r >= 0 && !is_user)
                r = json_set_string(o, "user", c->user);
        if (r >= 0)
                r = json_set_string(o, "role", api_role_to_string(c->role));
        if (r >= 0)
                r = view_set_scopes(o, "scopes", c->scopes);
        if (r >= 0)
                r = json_set_take(o, "capabilities", view_capabilities(c));
        if (r >= 0 && is_user)
                r = json_set_string(o, "csrf_token", c->csrf);
        if (r >= 0 && is_user)
                r = json_set_u64(o, "revision", c->revision);
        return r < 0 ? r : view_set_time(o, "expires", c->expires);
}

json_t *api_view_me(const ApiCaller *c) {
        _cleanup_json_ json_t *o = json_object();

        return o && fill_me(o, c) >= 0 ? TAKE_PTR(o) : NULL;
}

void api_me(HttpExchange *x, void *userdata) {
        const ApiCaller *c = http_exchange_caller(x);
        char etag[API_ETAG_MAX];

        if (c->kind == CALLER_USER)
                http_reply_header(x, "ETag", api_etag_format(etag, c->user_created, c->revision));
        http_reply_json(x, 200, api_view_me(c));
}

/* ---- the own password ---- */

typedef struct PasswordJob {
        ApiJob api;
        PasswordRequest request;
        char *name, *session, *if_match;
        char *known_hash; /* by prepare(): what the old password was compared with */
        bool is_right;
        char hash[PASSWORD_HASH_MAX];
        UserRecord user;
} PasswordJob;

static void password_job_free(ApiJob *a) {
        PasswordJob *j = container_of(a, PasswordJob, api);

        password_request_done(&j->request);
        user_record_done(&j->user);
        free(j->known_hash);
        free(j->name);
        free(j->session);
        free(j->if_match);
        api_job_done(a);
        free(j);
}

static int password_prepare(ApiJob *a, Store *s) {
        PasswordJob *j = container_of(a, PasswordJob, api);
        _cleanup_(user_record_done) UserRecord u = {};
        int r;

        r = s->ops->user_get(s, j->name, &u);
        if (r == -ENOENT)
                return api_job_refuse(a, HTTP_PROBLEM_UNAUTHENTICATED, NULL, "The user is gone.");
        if (r < 0)
                return r;
        j->known_hash = TAKE_PTR(u.password_hash);
        return 0;
}

static int password_compute(ApiJob *a) {
        PasswordJob *j = container_of(a, PasswordJob, api);
        int r;

        r = j->known_hash ? password_verify(j->request.old, j->known_hash) : 0;
        if (r <= 0)
                return r;
        j->is_right = true;
        return password_hash(j->request.password, j->hash);
}

static int password_refuse(PasswordJob *j, Store *s) {
        ApiJob *a = &j->api;

        a->unchanged = true;
        (void) api_job_refuse(a, HTTP_PROBLEM_FORBIDDEN, "/old", "The old password is not right.");
        return login_log_refused(
                        &a->gateway->login_log, &a->job, s, &a->actor, j->name, LOGIN_REFUSED_CREDENTIALS);
}

static int password_run(ApiJob *a, Store *s) {
        PasswordJob *j = container_of(a, PasswordJob, api);
        int r;

        if (!j->is_right)
                return password_refuse(j, s);
        r = s->ops->user_get(s, j->name, &j->user);
        if (r >= 0 && j->if_match)
                r = api_job_check_if_match(a, j->if_match, j->user.created, j->user.revision);
        if (r < 0)
                return r;
        if (!streq_ptr(j->user.password_hash, j->known_hash))
                return api_job_refuse(a, HTTP_PROBLEM_CONFLICT, NULL, "The password was changed meanwhile.");
        r = MIN(free_and_strdup(&j->user.password_hash, j->hash), 0);
        if (r < 0)
                return r;
        j->user.updated = now(CLOCK_REALTIME);
        j->user.revision++;
        r = s->ops->user_put(s, &j->user);
        if (r >= 0)
                r = s->ops->sessions_delete_of(s, j->name, j->session);
        if (r >= 0)
                r = api_audit_on(a, s, "user.password", "user", j->name, 1, NULL);
        api_etag_format(a->etag, j->user.created, j->user.revision);
        a->status = 204;
        return r;
}

/* The other sessions are whoever's knew the old one. */
static void password_after(ApiJob *a) {
        PasswordJob *j = container_of(a, PasswordJob, api);
        Gateway *g = a->gateway;
        int r;

        login_was_right(g, http_exchange_address(a->exchange), j->name);
        auth_end_sessions(g->auth, j->name, j->session);
        r = auth_put_user(g->auth, &j->user);
        if (r < 0)
                (void) log_error_errno(
                                r, "Failed to note the new revision of user %s, ignoring: %m", j->name);
        event_ring_wake(g->events);
}

static int password_fill(PasswordJob *j, HttpExchange *x) {
        const char *if_match = http_exchange_header(x, "If-Match");
        const ApiCaller *c = http_exchange_caller(x);

        j->name = strdup(c->user);
        j->session = strdup(c->id);
        j->if_match = if_match ? strdup(if_match) : NULL;
        return j->name && j->session && (!if_match || j->if_match) ? 0 : -ENOMEM;
}

/* Who has got hold of a session must not find out the password with it: these attempts count, too. */
void api_me_password(HttpExchange *x, void *userdata) {
        const ApiCaller *c = http_exchange_caller(x);
        _cleanup_json_ json_t *body = NULL;
        Gateway *g = userdata;
        RequestError error = {};
        PasswordJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        if (c->kind != CALLER_USER) {
                http_reply_problem(
                                x, HTTP_PROBLEM_CONFLICT, NULL,
                                "A token has no password; sign in to change yours.");
                return;
        }
        j = new0(PasswordJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.prepare = password_prepare;
        j->api.compute = password_compute;
        j->api.kept_place = true;
        j->api.run = password_run;
        j->api.after = password_after;
        j->api.free = password_job_free;
        r = own_password_request_parse(body, c->user, &j->request, &error);
        if (r >= 0)
                r = password_fill(j, x);
        if (r < 0)
                api_reply_request_error(x, r, &error);
        if (r < 0 || !login_may_try(&j->api, g, x, j->name))
                password_job_free(&j->api);
        else
                api_submit(&j->api, g, x);
}
