/* SPDX-License-Identifier: Apache-2.0 */

/* Signing in and out. The answer to a wrong name is that to a wrong password, and takes as long: a hash is
 * computed in any case. Attempts are counted before anything is computed (login-limit.h). */

#include "alloc-util.h"
#include "crypto.h"
#include "hex.h"
#include "http-auth.h"
#include "log.h"
#include "login-wait.h"
#include "people-request.h"
#include "people.h"
#include "string-util.h"

#define SESSIONS_PER_USER_MAX 20U
#define USER_AGENT_MAX 256U
#define CSRF_SALT_SIZE 16U

typedef struct LoginJob {
        ApiJob api;
        PasswordRequest request;
        SessionRecord session; /* to be, or to be ended */
        char *cookie;
        UserRecord user;
        bool is_known, is_right;          /* by prepare(), by compute() */
        char new_hash[PASSWORD_HASH_MAX]; /* "": the old one was made as they are made today */
        char **ended;                     /* sessions that are too many */
        unsigned n_sessions;
} LoginJob;

static void login_job_free(ApiJob *a) {
        LoginJob *j = container_of(a, LoginJob, api);

        password_request_done(&j->request);
        session_record_done(&j->session);
        user_record_done(&j->user);
        if (j->cookie)
                secret_free(j->cookie, strlen(j->cookie));
        strv_free(j->ended);
        api_job_done(a);
        free(j);
}

static LoginJob *login_job_new(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        LoginJob *j = new0(LoginJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = login_job_free;
        return j;
}

/* ---- the password ---- */

static int login_prepare(ApiJob *a, Store *s) {
        LoginJob *j = container_of(a, LoginJob, api);
        int r;

        r = s->ops->user_get(s, j->request.name, &j->user);
        if (r < 0 && r != -ENOENT)
                return r;
        j->is_known = r >= 0;
        return 0;
}

static int login_compute(ApiJob *a) {
        LoginJob *j = container_of(a, LoginJob, api);
        const char *hash;
        int r;

        hash = j->is_known && j->user.password_hash ? j->user.password_hash : people_dummy_hash;
        r = password_verify(j->request.password, hash);
        if (r < 0)
                return r;
        j->is_right = r > 0 && hash != people_dummy_hash && !j->user.disabled;
        return j->is_right && password_hash_is_old(hash) ? password_hash(j->request.password, j->new_hash) :
                                                           0;
}

/* Also if the user has changed since the password was looked at. */
static int login_is_still_right(LoginJob *j, Store *s) {
        _cleanup_(user_record_done) UserRecord now = {};
        int r;

        if (!j->is_right)
                return 0;
        r = s->ops->user_get(s, j->request.name, &now);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (now.disabled || !streq_ptr(now.password_hash, j->user.password_hash))
                return 0;
        user_record_done(&j->user);
        j->user = TAKE_GENERIC(now, UserRecord, (UserRecord){});
        return 1;
}

static int login_refuse(LoginJob *j, Store *s) {
        ApiJob *a = &j->api;

        a->unchanged = true;
        (void) api_job_refuse(
                        a, HTTP_PROBLEM_BAD_CREDENTIALS, NULL,
                        "The name or the password is not right, or the user may not sign in.");
        return login_log_refused(
                        &a->gateway->login_log, &a->job, s, &a->actor, j->is_known ? j->request.name : NULL,
                        LOGIN_REFUSED_CREDENTIALS);
}

/* ---- the session ---- */

static int count_session(SessionRecord *e, void *userdata) {
        LoginJob *j = userdata;

        if (!streq(e->user, j->user.name) || ++j->n_sessions < SESSIONS_PER_USER_MAX)
                return 0;
        return strv_extend(&j->ended, e->id); /* the oldest come last */
}

static int make_room(LoginJob *j, Store *s) {
        int r;

        r = s->ops->sessions_each(s, count_session, j);
        STRV_FOREACH(id, j->ended)
                if (r >= 0)
                        r = s->ops->session_delete(s, *id);
        return r;
}

static int audit_login(LoginJob *j, Store *s) {
        ApiJob *a = &j->api;
        json_t *detail = json_object();
        char *name;

        if (!detail || json_set_string(detail, "session", j->session.id) < 0 ||
            json_set_string(detail, "user_agent", j->session.user_agent) < 0) {
                json_decref(detail);
                return -ENOMEM;
        }
        name = strjoinf("user:%s", j->user.name);
        if (!name || free_and_strdup(&a->actor.method, "password") < 0) {
                json_decref(detail);
                free(name);
                return -ENOMEM;
        }
        free(a->actor.name);
        a->actor.name = name;
        return api_audit_on(a, s, "session.create", "user", j->user.name, 1, detail);
}

static int login_answer(LoginJob *j) {
        ApiCaller c = {
                .kind = CALLER_USER,
                .id = j->session.id,
                .user = j->user.name,
                .title = j->user.display_name,
                .role = j->user.role,
                .scopes = API_SCOPES_ALL,
                .created = j->session.created,
                .expires = j->session.expires,
                .revision = j->user.revision,
        };

        session_csrf_token(j->session.csrf, j->cookie, c.csrf);
        j->api.status = 201;
        j->api.answer = api_view_me(&c);
        return j->api.answer ? 0 : -ENOMEM;
}

static int login_run(ApiJob *a, Store *s) {
        LoginJob *j = container_of(a, LoginJob, api);
        int r;

        r = login_is_still_right(j, s);
        if (r == 0)
                return login_refuse(j, s);
        if (r < 0)
                return r;
        j->user.last_login = j->session.created;
        j->session.user = strdup(j->user.name);
        if (!j->session.user)
                return -ENOMEM;
        r = isempty(j->new_hash) ? 0 : MIN(free_and_strdup(&j->user.password_hash, j->new_hash), 0);
        if (r >= 0)
                r = make_room(j, s);
        if (r >= 0)
                r = s->ops->user_put(s, &j->user);
        if (r >= 0)
                r = s->ops->session_put(s, &j->session);
        if (r >= 0)
                r = audit_login(j, s);
        return r < 0 ? r : login_answer(j);
}

static void set_cookie(HttpExchange *x, const char *value, const char *more) {
        _cleanup_free_ char *text = strjoinf(
                        HTTP_SESSION_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict%s", value, more);

        if (!text)
                return;
        http_reply_header(x, "Set-Cookie", text);
        memory_wipe(text, strlen(text));
}

static void login_after(ApiJob *a) {
        LoginJob *j = container_of(a, LoginJob, api);
        Gateway *g = a->gateway;
        int r;

        login_was_right(g, http_exchange_address(a->exchange), j->request.name);
        STRV_FOREACH(id, j->ended)
                auth_remove_session(g->auth, *id);
        if (j->ended)
                event_ring_wake(g->events);
        r = auth_put_user(g->auth, &j->user);
        if (r >= 0)
                r = auth_put_session(g->auth, &j->session);
        if (r < 0)
                (void) log_error_errno(
                                r, "The session of user %s begins only after the gateway's next start: %m",
                                j->user.name);
        set_cookie(a->exchange, j->cookie, "");
}

static int session_fill(LoginJob *j, HttpExchange *x, const GatewayConf *conf) {
        const char *agent = http_exchange_header(x, "User-Agent");
        uint8_t salt[CSRF_SALT_SIZE];
        SessionRecord *e = &j->session;
        usec_t t = now(CLOCK_REALTIME);
        int r;

        random_bytes(salt, sizeof(salt));
        e->created = e->last_used = t;
        e->expires = usec_add(t, conf->session_max);
        e->csrf = hex_encode_new(salt, sizeof(salt));
        e->address = strdup(http_exchange_address(x));
        e->user_agent = agent && string_is_safe(agent, USER_AGENT_MAX) ? strdup(agent) : NULL;
        r = token_generate("fgs1", &e->id, &j->cookie, &e->hash);
        return r < 0 ? r : e->csrf && e->address ? 0 : -ENOMEM;
}

/* ---- signing in ---- */

void api_session_create(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        Gateway *g = userdata;
        RequestError error = {};
        LoginJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = login_job_new(x, login_run);
        if (!j)
                return;
        j->api.prepare = login_prepare;
        j->api.compute = login_compute;
        j->api.after = login_after;
        r = login_request_parse(body, &j->request, &error);
        if (r >= 0)
                r = session_fill(j, x, &g->conf);
        if (r < 0)
                api_reply_request_error(x, r, &error);
        if (r < 0 || !login_may_try(&j->api, g, x, j->request.name))
                login_job_free(&j->api);
        else
                api_submit(&j->api, g, x);
}

/* ---- signing out ---- */

static int logout_run(ApiJob *a, Store *s) {
        LoginJob *j = container_of(a, LoginJob, api);
        json_t *detail = json_object();
        int r;

        if (!detail || json_set_string(detail, "session", j->session.id) < 0) {
                json_decref(detail);
                return -ENOMEM;
        }
        r = s->ops->session_delete(s, j->session.id);
        if (r < 0 && r != -ENOENT) {
                json_decref(detail);
                return r;
        }
        a->status = 204;
        return api_audit_on(a, s, "session.delete", "user", j->session.user, 1, detail);
}

static void logout_after(ApiJob *a) {
        auth_remove_session(a->gateway->auth, container_of(a, LoginJob, api)->session.id);
        event_ring_wake(a->gateway->events);
        set_cookie(a->exchange, "", "; Max-Age=0");
}

void api_session_delete(HttpExchange *x, void *userdata) {
        const ApiCaller *c = http_exchange_caller(x);
        LoginJob *j;

        if (c->kind != CALLER_USER) {
                http_reply_problem(
                                x, HTTP_PROBLEM_CONFLICT, NULL,
                                "A token has no session that could be ended.");
                return;
        }
        j = login_job_new(x, logout_run);
        if (!j)
                return;
        j->api.after = logout_after;
        j->session.id = strdup(c->id);
        j->session.user = strdup(c->user);
        if (!j->session.id || !j->session.user) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                login_job_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
