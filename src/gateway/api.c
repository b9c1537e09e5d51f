/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <stdarg.h>
#include <stdio.h>

#include "log.h"
#include "parse-util.h"
#include "string-util.h"

const HttpRoute api_routes[] = {
        { "GET", "/healthz", API_ROLE_PUBLIC, HTTP_BODY_NONE, api_healthz, .while_stopping = true },
        { "GET", "/readyz", API_ROLE_PUBLIC, HTTP_BODY_NONE, api_readyz, .while_stopping = true },
        { "GET", "/ca.pem", API_ROLE_PUBLIC, HTTP_BODY_NONE, http_static_ca },
        { "GET", "/tuf/*", API_ROLE_PUBLIC, HTTP_BODY_NONE, http_static_tuf },
        { "GET", "/api/v1/agents", API_ROLE_VIEWER, HTTP_BODY_NONE, api_agents_list },
        { "GET", "/api/v1/agents/{}", API_ROLE_VIEWER, HTTP_BODY_NONE, api_agents_show },
        { "PATCH", "/api/v1/agents/{}", API_ROLE_OPERATOR, HTTP_BODY_JSON, api_agents_patch },
        { "DELETE", "/api/v1/agents/{}", API_ROLE_ADMIN, HTTP_BODY_NONE, api_agents_delete },
        { "POST", "/api/v1/updates", API_ROLE_OPERATOR, HTTP_BODY_JSON, api_updates_create },
        { "GET", "/api/v1/updates", API_ROLE_VIEWER, HTTP_BODY_NONE, api_updates_list },
        { "GET", "/api/v1/updates/{}", API_ROLE_VIEWER, HTTP_BODY_NONE, api_updates_show },
        { "GET", "/api/v1/desired", API_ROLE_VIEWER, HTTP_BODY_NONE, api_desired_list },
        { "DELETE", "/api/v1/desired/{}", API_ROLE_OPERATOR, HTTP_BODY_NONE, api_desired_delete },
        { "GET", "/api/v1/releases", API_ROLE_VIEWER, HTTP_BODY_NONE, api_releases_list },
        { "POST", "/api/v1/imports", API_ROLE_OPERATOR, HTTP_BODY_JSON, api_imports_create },
        { "PUT", "/api/v1/imports/{}/files/*", API_ROLE_OPERATOR, HTTP_BODY_FILE, api_imports_put,
          api_imports_put_begin, api_imports_put_data, api_imports_put_end },
        { "POST", "/api/v1/imports/{}/commit", API_ROLE_OPERATOR, HTTP_BODY_JSON, api_imports_commit },
        { "DELETE", "/api/v1/imports/{}", API_ROLE_OPERATOR, HTTP_BODY_NONE, api_imports_delete },
        { "POST", "/api/v1/join-tokens", API_ROLE_OPERATOR, HTTP_BODY_JSON, api_join_tokens_create },
        { "GET", "/api/v1/join-tokens", API_ROLE_VIEWER, HTTP_BODY_NONE, api_join_tokens_list },
        { "DELETE", "/api/v1/join-tokens/{}", API_ROLE_OPERATOR, HTTP_BODY_NONE, api_join_tokens_delete },
        { "POST", "/api/v1/api-tokens", API_ROLE_ADMIN, HTTP_BODY_JSON, api_tokens_create },
        { "GET", "/api/v1/api-tokens", API_ROLE_ADMIN, HTTP_BODY_NONE, api_tokens_list },
        { "DELETE", "/api/v1/api-tokens/{}", API_ROLE_ADMIN, HTTP_BODY_NONE, api_tokens_delete },
        { "GET", "/api/v1/me", API_ROLE_VIEWER, HTTP_BODY_NONE, api_me },
        { "GET", "/api/v1/events", API_ROLE_VIEWER, HTTP_BODY_NONE, api_events, .end = api_events_end },
        {},
};

const HttpRoute api_admin_routes[] = {
        { "GET", "/metrics", API_ROLE_PUBLIC, HTTP_BODY_NONE, api_metrics },
        { "GET", "/healthz", API_ROLE_PUBLIC, HTTP_BODY_NONE, api_healthz },
        { "GET", "/readyz", API_ROLE_PUBLIC, HTTP_BODY_NONE, api_readyz },
        {},
};

static int api_work(StoreJob *job, Store *s) {
        ApiJob *a = container_of(job, ApiJob, job);

        return a->run(a, s);
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
                else
                        http_reply_json(x, a->status ?: 200, TAKE_PTR(a->answer));
        }
}

static void api_done(StoreJob *job, int r) {
        ApiJob *a = container_of(job, ApiJob, job);

        api_answer(a, r);
        a->free(a);
}

void api_submit(ApiJob *a, Gateway *g, HttpExchange *x) {
        int r;

        a->job.work = api_work;
        a->job.done = api_done;
        a->job.kind = http_exchange_is_read(x) ? "api_read" : "api_write";
        a->gateway = g;
        a->exchange = x;
        r = store_worker_submit(g->worker, &a->job);
        if (r >= 0)
                return;
        http_reply_problem(
                        x, HTTP_PROBLEM_OVERLOADED, NULL,
                        "Too much is waiting for the store; try again soon.");
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
        free(a->detail);
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
