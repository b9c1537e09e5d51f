/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <stdarg.h>
#include <stdio.h>

#include "log.h"
#include "parse-util.h"
#include "string-util.h"

/* Who may do what, at a glance: the role, and the area that a token must be made for. */
const HttpRoute api_routes[] = {
        { "GET", "/healthz", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_healthz },
        { "GET", "/ca.pem", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, http_static_ca },
        { "GET", "/tuf/*", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, http_static_tuf },

        { "GET", "/api/v1/setup", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_setup_show },
        { "POST", "/api/v1/setup", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_JSON, api_setup_create },
        { "POST", "/api/v1/session", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_JSON, api_session_create },
        { "DELETE", "/api/v1/session", API_ROLE_VIEWER, API_AREA_NONE, HTTP_BODY_NONE, api_session_delete },
        { "GET", "/api/v1/me", API_ROLE_VIEWER, API_AREA_NONE, HTTP_BODY_NONE, api_me },
        { "PUT", "/api/v1/me/password", API_ROLE_VIEWER, API_AREA_NONE, HTTP_BODY_JSON, api_me_password },
        { "POST", "/api/v1/me/tokens", API_ROLE_VIEWER, API_AREA_TOKENS, HTTP_BODY_JSON,
          api_own_tokens_create },
        { "GET", "/api/v1/me/tokens", API_ROLE_VIEWER, API_AREA_TOKENS, HTTP_BODY_NONE,
          api_own_tokens_list },
        { "DELETE", "/api/v1/me/tokens/{}", API_ROLE_VIEWER, API_AREA_TOKENS, HTTP_BODY_NONE,
          api_own_tokens_delete },

        { "GET", "/api/v1/agents", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE, api_agents_list },
        { "GET", "/api/v1/agents/{}", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE, api_agents_show },
        { "PATCH", "/api/v1/agents/{}", API_ROLE_OPERATOR, API_AREA_AGENTS, HTTP_BODY_JSON,
          api_agents_patch },
        { "DELETE", "/api/v1/agents/{}", API_ROLE_ADMIN, API_AREA_AGENTS, HTTP_BODY_NONE,
          api_agents_delete },

        { "POST", "/api/v1/updates", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_updates_create },
        { "GET", "/api/v1/updates", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE, api_updates_list },
        { "GET", "/api/v1/updates/{}", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE,
          api_updates_show },
        { "GET", "/api/v1/desired", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE, api_desired_list },
        { "DELETE", "/api/v1/desired/{}", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_NONE,
          api_desired_delete },

        { "GET", "/api/v1/releases", API_ROLE_VIEWER, API_AREA_RELEASES, HTTP_BODY_NONE, api_releases_list },
        { "POST", "/api/v1/imports", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_JSON,
          api_imports_create },
        { "PUT", "/api/v1/imports/{}/files/*", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_FILE,
          api_imports_put, api_imports_put_begin, api_imports_put_data, api_imports_put_end },
        { "POST", "/api/v1/imports/{}/commit", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_JSON,
          api_imports_commit },
        { "DELETE", "/api/v1/imports/{}", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_NONE,
          api_imports_delete },

        { "POST", "/api/v1/join-tokens", API_ROLE_OPERATOR, API_AREA_ENROLMENT, HTTP_BODY_JSON,
          api_join_tokens_create },
        { "GET", "/api/v1/join-tokens", API_ROLE_VIEWER, API_AREA_ENROLMENT, HTTP_BODY_NONE,
          api_join_tokens_list },
        { "DELETE", "/api/v1/join-tokens/{}", API_ROLE_OPERATOR, API_AREA_ENROLMENT, HTTP_BODY_NONE,
          api_join_tokens_delete },

        { "POST", "/api/v1/api-tokens", API_ROLE_ADMIN, API_AREA_TOKENS, HTTP_BODY_JSON, api_tokens_create },
        { "GET", "/api/v1/api-tokens", API_ROLE_ADMIN, API_AREA_TOKENS, HTTP_BODY_NONE, api_tokens_list },
        { "DELETE", "/api/v1/api-tokens/{}", API_ROLE_ADMIN, API_AREA_TOKENS, HTTP_BODY_NONE,
          api_tokens_delete },

        { "POST", "/api/v1/users", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_JSON, api_users_create },
        { "GET", "/api/v1/users", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_NONE, api_users_list },
        { "GET", "/api/v1/users/{}", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_NONE, api_users_show },
        { "PATCH", "/api/v1/users/{}", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_JSON, api_users_patch },
        { "DELETE", "/api/v1/users/{}", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_NONE, api_users_delete },
        { "PUT", "/api/v1/users/{}/password", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_JSON,
          api_users_password },

        { "GET", "/api/v1/audit", API_ROLE_ADMIN, API_AREA_AUDIT, HTTP_BODY_NONE, api_audit_list },
        { "GET", "/api/v1/events", API_ROLE_VIEWER, API_AREA_EVENTS, HTTP_BODY_NONE, api_events,
          .end = api_events_end },
        {},
};

static const char *const methods[] = {
        [CALLER_NOBODY] = "none",
        [CALLER_TOKEN] = "token",
        [CALLER_USER] = "session",
};

int api_actor(const HttpExchange *x, AuditActor *ret) {
        const ApiCaller *c = http_exchange_caller(x);
        _cleanup_free_ char *name = NULL;
        int r;

        r = api_caller_name(c, &name);
        if (r < 0)
                return r;
        return audit_actor_copy(
                        ret, &(AuditActor){ .name = name,
                                            .method = (char *) methods[c->kind],
                                            .source = (char *) http_exchange_address(x),
                                            .request_id = (char *) http_exchange_request_id(x) });
}

int api_audit(
                ApiJob *a, Store *s, const char *action, const char *target, uint64_t count, json_t *detail) {
        return audit_append(&a->job, s, &a->actor, action, target, count, detail);
}

int api_audit_on(
                ApiJob *a,
                Store *s,
                const char *action,
                const char *noun,
                const char *name,
                uint64_t count,
                json_t *detail) {

        _cleanup_free_ char *target = strjoinf("%s:%s", noun, name);

        if (!target) {
                json_decref(detail);
                return -ENOMEM;
        }
        return api_audit(a, s, action, target, count, detail);
}

int api_job_run(ApiJob *a, Store *s) {
        int r;

        r = a->run(a, s);
        if (r < 0 || a->reads || a->unchanged || a->job.audit)
                return r;
        log_error("Request %s would have changed something without an entry in the audit log, and was taken "
                  "back: this is a bug.",
                  strna(a->actor.request_id));
        return -EPROTO;
}

static int api_work(StoreJob *job, Store *s) {
        return api_job_run(container_of(job, ApiJob, job), s);
}

static void api_answer(ApiJob *a, int r) {
        HttpExchange *x = a->exchange;

        if (a->refused)
                http_reply_problem(x, a->problem, a->pointer, "%s", strempty(a->detail));
        else if (r == -ENOSPC)
                http_reply_problem(x, HTTP_PROBLEM_OVERLOADED, NULL, "The gateway's disk is full.");
        else if (r < 0) {
                (void) log_error_errno(r, "Request %s failed: %m", http_exchange_request_id(x));
                http_reply_problem(
                                x, HTTP_PROBLEM_INTERNAL, NULL,
                                "Look into the gateway's journal for the request id.");
        } else {
                if (a->after)
                        a->after(a);
                if (a->status == 204)
                        http_reply_data(x, 204, NULL, NULL, 0);
                else if (a->text) {
                        size_t size = strlen(a->text);

                        http_reply_header(x, "Cache-Control", "no-store");
                        http_reply_data(x, a->status ?: 200, a->text_type, TAKE_PTR(a->text), size);
                } else
                        http_reply_json(x, a->status ?: 200, TAKE_PTR(a->answer));
        }
}

static void api_done(StoreJob *job, int r) {
        ApiJob *a = container_of(job, ApiJob, job);

        api_answer(a, r);
        a->free(a);
}

static int api_begin(ApiJob *a) {
        a->job.work = api_work;
        a->job.done = api_done;
        a->job.long_work = false;
        return store_worker_submit(a->gateway->worker, &a->job);
}

static void api_reply_busy(HttpExchange *x, int error) {
        if (error == -ENOMEM)
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        else
                http_reply_problem(
                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                "Too much is waiting for the store; try again soon.");
}

static int api_prepare(StoreJob *job, Store *s) {
        ApiJob *a = container_of(job, ApiJob, job);

        return a->prepare(a, s);
}

static void api_prepared(StoreJob *job, int r) {
        ApiJob *a = container_of(job, ApiJob, job);

        a->gateway->preparing--;
        if (r < 0)
                api_answer(a, r);
        else {
                r = api_begin(a);
                if (r >= 0)
                        return;
                api_reply_busy(a->exchange, r);
        }
        a->free(a);
}

void api_submit(ApiJob *a, Gateway *g, HttpExchange *x) {
        int r;

        a->gateway = g;
        a->exchange = x;
        a->reads = http_exchange_is_read(x);
        if (a->prepare && g->preparing >= API_PREPARE_MAX) {
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_MANY, NULL,
                                "Too many passwords are being looked at; try again soon.");
                a->free(a);
                return;
        }
        r = a->reads ? 0 : api_actor(x, &a->actor);
        if (r >= 0 && a->prepare) {
                a->job.work = api_prepare;
                a->job.done = api_prepared;
                a->job.long_work = true;
                r = store_worker_submit(g->worker, &a->job);
                if (r >= 0)
                        g->preparing++;
        } else if (r >= 0)
                r = api_begin(a);
        if (r >= 0)
                return;
        api_reply_busy(x, r);
        a->free(a);
}

int api_job_refuse(ApiJob *a, HttpProblem p, const char *pointer, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&a->detail, format, ap);
        va_end(ap);
        if (r < 0) {
                a->detail = NULL;
                return -ENOMEM;
        }
        a->refused = true;
        a->problem = p;
        a->pointer = pointer;
        return -EINVAL;
}

void api_job_done(ApiJob *a) {
        json_decref(a->answer);
        free(a->text);
        free(a->detail);
        audit_actor_done(&a->actor);
}

void api_reply_request_error(HttpExchange *x, int error, RequestError *e) {
        if (error == -EINVAL && e->detail)
                http_reply_problem(x, e->problem, e->pointer, "%s", e->detail);
        else
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        request_error_done(e);
}

int api_parameter_u64(
                HttpExchange *x,
                const char *key,
                uint64_t low,
                uint64_t high,
                uint64_t fallback,
                uint64_t *ret) {
        const char *text = http_exchange_parameter(x, key);
        uint64_t v = fallback;

        if (text && (parse_u64(text, &v) < 0 || v < low || v > high)) {
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                "%s= must be a number from %" PRIu64 " to %" PRIu64 ".", key, low, high);
                return -EINVAL;
        }
        *ret = v;
        return 0;
}

int api_parameter_selector(HttpExchange *x, Selector **ret) {
        const char *text = http_exchange_parameter(x, "selector");
        _cleanup_free_ char *message = NULL;
        int r;

        *ret = NULL;
        if (!text)
                return 0;
        r = selector_parse(text, ret, &message);
        if (r == -EINVAL)
                http_reply_problem(x, HTTP_PROBLEM_BAD_SELECTOR, NULL, "%s", message);
        else if (r < 0)
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        return r;
}
