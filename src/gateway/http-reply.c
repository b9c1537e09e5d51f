/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "http.h"
#include "log.h"
#include "string-util.h"

static const struct {
        unsigned status;
        const char *type, *title;
} problems[_HTTP_PROBLEM_MAX] = {
        [HTTP_PROBLEM_BAD_REQUEST] = { 400, "bad-request", "The request cannot be understood" },
        [HTTP_PROBLEM_BAD_SELECTOR] = { 400, "bad-selector", "The selector cannot be understood" },
        [HTTP_PROBLEM_UNAUTHENTICATED] = { 401, "unauthenticated", "A valid token or session is needed" },
        [HTTP_PROBLEM_BAD_CREDENTIALS] = { 401, "bad-credentials", "Name or password are not right" },
        [HTTP_PROBLEM_FORBIDDEN] = { 403, "forbidden", "The role or the scopes do not allow this" },
        [HTTP_PROBLEM_CSRF] = { 403, "csrf", "The session's own token is missing" },
        [HTTP_PROBLEM_CROSS_SITE] = { 403, "cross-site", "Other sites may not ask for this" },
        [HTTP_PROBLEM_NOT_FOUND] = { 404, "not-found", "There is no such thing" },
        [HTTP_PROBLEM_METHOD_NOT_ALLOWED] = { 405, "method-not-allowed", "The method is not allowed here" },
        [HTTP_PROBLEM_CONFLICT] = { 409, "conflict", "The present state does not allow this" },
        [HTTP_PROBLEM_IDEMPOTENCY_BUSY] = { 409, "idempotency-busy",
                                            "The same request is still being worked on" },
        [HTTP_PROBLEM_PRECONDITION_FAILED] = { 412, "precondition-failed", "It has changed meanwhile" },
        [HTTP_PROBLEM_TOO_LARGE] = { 413, "too-large", "The body is too large" },
        [HTTP_PROBLEM_RANGE] = { 416, "bad-range", "The range lies beyond the end" },
        [HTTP_PROBLEM_UNKNOWN_VERSION] = { 422, "unknown-version", "There is no such release" },
        [HTTP_PROBLEM_IMPORT_REFUSED] = { 422, "import-refused", "The repository was refused" },
        [HTTP_PROBLEM_IDEMPOTENCY_MISMATCH] = { 422, "idempotency-mismatch",
                                                "The key belongs to another request" },
        [HTTP_PROBLEM_PRECONDITION_REQUIRED] = { 428, "precondition-required",
                                                 "Say which revision is meant" },
        [HTTP_PROBLEM_TOO_MANY] = { 429, "too-many", "Too many at once" },
        [HTTP_PROBLEM_TOO_MANY_ATTEMPTS] = { 429, "too-many-attempts", "Too many attempts" },
        [HTTP_PROBLEM_INTERNAL] = { 500, "internal", "The gateway failed" },
        [HTTP_PROBLEM_OVERLOADED] = { 503, "overloaded", "The gateway is busy" },
};

unsigned http_problem_status(HttpProblem p) {
        return problems[p].status;
}

const char *http_problem_type(HttpProblem p) {
        return problems[p].type;
}

void http_reply_json(HttpExchange *x, unsigned status, json_t *v) {
        char *text = v ? json_format(v, /* pretty= */ false) : NULL;

        json_decref(v);
        if (!text) {
                log_error("Out of memory.");
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        http_reply_header(x, "Cache-Control", "no-store");
        http_reply_data(x, status, "application/json", text, strlen(text));
}

static json_t *problem_errors(const char *pointer, const char *detail) {
        json_t *list = json_array(), *item = json_object();
        bool parameter = pointer[0] == '?';

        if (!list || !item ||
            json_set_string(item, parameter ? "parameter" : "pointer", pointer + (parameter ? 1 : 0)) < 0 ||
            json_set_string(item, "detail", detail) < 0) {
                json_decref(list);
                json_decref(item);
                return NULL;
        }
        if (json_array_append_new(list, item) < 0) {
                json_decref(list);
                return NULL;
        }
        return list;
}

static int problem_fill(HttpExchange *x, HttpProblem p, const char *pointer, const char *detail, json_t *o) {
        char type[64];
        int r;

        (void) snprintf(type, sizeof(type), "urn:fleet-agent:problem:%s", problems[p].type);
        r = json_set_string(o, "type", type);
        if (r >= 0)
                r = json_set_string(o, "title", problems[p].title);
        if (r >= 0)
                r = json_set_u64(o, "status", problems[p].status);
        if (r >= 0)
                r = json_set_string(o, "detail", detail);
        if (r >= 0)
                r = json_set_string(o, "request_id", http_exchange_request_id(x));
        if (r >= 0 && pointer) {
                json_t *errors = problem_errors(pointer, detail);

                r = errors ? json_set_take(o, "errors", errors) : -ENOMEM;
        }
        return r;
}

void http_reply_problem_with(
                HttpExchange *x, HttpProblem p, const char *pointer, json_t *members, const char *detail) {

        _cleanup_json_ json_t *o = json_object(), *more = members;
        char *text = NULL;
        int r;

        r = o ? problem_fill(x, p, pointer, detail, o) : -ENOMEM;
        if (r >= 0 && more && json_object_update(o, more) < 0)
                r = -ENOMEM;
        if (r >= 0)
                text = json_format(o, /* pretty= */ false);

        if (problems[p].status == 401)
                http_reply_header(x, "WWW-Authenticate", "Bearer");
        if ((problems[p].status == 429 || problems[p].status == 503 || p == HTTP_PROBLEM_IDEMPOTENCY_BUSY) &&
            !http_reply_has_header(x, "Retry-After"))
                http_reply_header(x, "Retry-After", "5");
        http_reply_header(x, "Cache-Control", "no-store");
        http_reply_data(x, problems[p].status, "application/problem+json", text, text ? strlen(text) : 0);
}

void http_reply_problem(HttpExchange *x, HttpProblem p, const char *pointer, const char *format, ...) {
        char detail[2048];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(detail, sizeof(detail), format, ap);
        va_end(ap);
        http_reply_problem_with(x, p, pointer, NULL, detail);
}
