/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* HTTPS, or plain HTTP on a socket that is local to the machine, on the event loop: the one owner of
 * libmicrohttpd, behind what another server could offer as well. A route has a method, a path, the role it
 * asks for, the area it belongs to and a handler. The handler answers now (http_reply_*) or keeps the exchange
 * and answers later, from the loop: the connection sleeps meanwhile and the exchange stays valid until it is
 * answered. Answering twice is a bug. Everything on the loop's thread.
 *
 * Limits: request bodies (JSON 64 KiB unless the route says otherwise; files as its begin() says), 64 KiB of
 * memory a connection, connections in all and from one address, 60 s without a byte, 15 s for the headers of
 * a request however they come, 30 s for its body unless it is a file. */

#include <systemd/sd-event.h>

#include "caller.h"
#include "http-text.h"
#include "json.h"
#include "time-util.h"

#define HTTP_JSON_MAX 65536U

typedef struct HttpServer HttpServer;
typedef struct HttpExchange HttpExchange;

typedef enum HttpProblem {
        HTTP_PROBLEM_BAD_REQUEST,
        HTTP_PROBLEM_BAD_SELECTOR,
        HTTP_PROBLEM_UNAUTHENTICATED,
        HTTP_PROBLEM_BAD_CREDENTIALS,
        HTTP_PROBLEM_FORBIDDEN,
        HTTP_PROBLEM_CSRF,
        HTTP_PROBLEM_CROSS_SITE,
        HTTP_PROBLEM_NOT_FOUND,
        HTTP_PROBLEM_METHOD_NOT_ALLOWED,
        HTTP_PROBLEM_CONFLICT,
        HTTP_PROBLEM_IDEMPOTENCY_BUSY,
        HTTP_PROBLEM_PRECONDITION_FAILED,
        HTTP_PROBLEM_TOO_LARGE,
        HTTP_PROBLEM_RANGE,
        HTTP_PROBLEM_UNKNOWN_VERSION,
        HTTP_PROBLEM_IMPORT_REFUSED,
        HTTP_PROBLEM_IDEMPOTENCY_MISMATCH,
        HTTP_PROBLEM_PRECONDITION_REQUIRED,
        HTTP_PROBLEM_TOO_MANY,
        HTTP_PROBLEM_TOO_MANY_ATTEMPTS,
        HTTP_PROBLEM_INTERNAL,
        HTTP_PROBLEM_OVERLOADED,
        _HTTP_PROBLEM_MAX,
} HttpProblem;

typedef enum HttpBody {
        HTTP_BODY_NONE,                      /* none expected; one that comes is refused */
        HTTP_BODY_JSON,                      /* collected before handle() */
        HTTP_BODY_FILE,                      /* handed to data() as it comes; handle() at its end */
} HttpBody;

/* What becomes of an Idempotency-Key; api.c acts on it. */
typedef enum HttpIdempotency {
        HTTP_IDEMPOTENCY_NONE,   /* there is nothing to keep, the header is ignored */
        HTTP_IDEMPOTENCY_KEPT,   /* the same request again gets the same answer */
        HTTP_IDEMPOTENCY_SECRET, /* the answer holds a secret: refused */
} HttpIdempotency;

typedef struct HttpRoute {
        const char *method;                  /* GET routes also answer HEAD */
        const char *path;                    /* http_path_match() */
        ApiRole role;                        /* API_ROLE_PUBLIC: everybody, known or not */
        ApiArea area;                        /* what a token must be made for */
        HttpBody body;
        void (*handle)(HttpExchange *x, void *userdata);
        /* Of HTTP_BODY_FILE. begin(): may answer with a problem; else says how much may come. data():
         * negative ends it with that problem answered by the callback itself or, if it did not answer, with
         * INTERNAL. */
        int (*begin)(HttpExchange *x, uint64_t length, void *userdata);
        int (*data)(HttpExchange *x, const void *data, size_t size, void *userdata);
        /* The exchange ended, in whatever way; for what was kept with http_exchange_set_context(). */
        void (*end)(HttpExchange *x, void *userdata);
        size_t json_max; /* of HTTP_BODY_JSON; 0: HTTP_JSON_MAX */
        const char *const *parameters; /* of the query, NULL-terminated; NULL: none. Any other is answered
                                          with 400. */
        bool any_parameters;           /* none is looked at, whatever comes */
        HttpIdempotency idempotency;
        bool while_stopping; /* is still handled after http_server_quiesce() */
} HttpRoute;

/* An answer is on its way: for measuring. route: the pattern, or NULL when there is none; method: one of the
 * routes' or HEAD, NULL when it is another; took: since the request began. */
typedef void (*http_on_answer_t)(
                const char *route, const char *method, unsigned status, usec_t took, void *userdata);
/* One of them: a header comes before a cookie. */
typedef struct HttpCredentials {
        const char *bearer, *session;
} HttpCredentials;

typedef struct HttpServerOptions {
        int listen_fd;                       /* taken over, also on failure */
        const char *certificate_pem, *key_pem; /* copied; NULL: without TLS */
        unsigned connections_max, connections_per_address_max;
        const HttpRoute *routes;             /* ends with { 0 }; static */
        /* Of a GET for which no route has the path; public. May be NULL. */
        const HttpRoute *fallback;
        void *userdata;
        /* Who shows these: 0 and what that one may, or as auth_check() and auth_check_session(). May be NULL when
         * all routes are public. */
        int (*authenticate)(const HttpCredentials *c, ApiCaller *ret, void *userdata);
        http_on_answer_t on_answer; /* may be NULL */
} HttpServerOptions;

int http_server_new(HttpServer **ret, sd_event *event, const HttpServerOptions *options);
/* Ends everything: exchanges not yet answered get 503. Nobody may answer one of them afterwards. */
HttpServer *http_server_free(HttpServer *s);
DEFINE_POINTER_CLEANUP(HttpServer, http_server_free);
/* What comes from now on is answered with 503, unless its route says otherwise; what runs goes on. */
void http_server_quiesce(HttpServer *s);

const char *http_exchange_argument(
                const HttpExchange *x, size_t i); /* what stands for {} or *; NULL beyond */
const char *http_exchange_parameter(const HttpExchange *x, const char *key); /* NULL if absent */
/* NULL-terminated names, fewer than those of the route; answers 400 and returns -EINVAL when there is any
 * other. */
int http_exchange_check_parameters(HttpExchange *x, const char *const *known);
const char *http_exchange_header(const HttpExchange *x, const char *name);
bool http_exchange_is_head(const HttpExchange *x);
bool http_exchange_is_read(const HttpExchange *x);          /* GET or HEAD: changes nothing */
const char *http_exchange_address(const HttpExchange *x); /* of the other end, without its port; "" if unknown */
const ApiCaller *http_exchange_caller(const HttpExchange *x); /* of a public route: nobody */
const char *http_exchange_request_id(const HttpExchange *x);
const HttpRoute *http_exchange_route(const HttpExchange *x);
const HttpUri *http_exchange_uri(const HttpExchange *x);
const void *http_exchange_body(const HttpExchange *x, size_t *ret_size); /* of HTTP_BODY_JSON, as it came */
/* The body as a JSON object; answers 400 itself on failure. An empty body is an empty object. */
int http_exchange_json(HttpExchange *x, json_t **ret);
void http_exchange_set_context(HttpExchange *x, void *context);
void *http_exchange_get_context(const HttpExchange *x);
bool http_exchange_is_answered(const HttpExchange *x);

/* For the answer that follows. */
void http_reply_header(HttpExchange *x, const char *name, const char *value);
bool http_reply_has_header(const HttpExchange *x, const char *name);

/* data is freed, also on failure. Without Content-Type when type is NULL. */
void http_reply_data(HttpExchange *x, unsigned status, const char *type, char *data, size_t size);
/* data must outlive the server. */
void http_reply_static(HttpExchange *x, unsigned status, const char *type, const void *data, size_t size);
/* Takes fd, also on failure: length bytes from offset, without copying where TLS permits. */
void http_reply_file(
                HttpExchange *x,
                unsigned status,
                const char *type,
                int fd,
                uint64_t offset,
                uint64_t length);
/* A body without end: pull() fills the buffer and returns how much, 0 for nothing now (http_stream_wakeup()
 * when there is), negative to end it. */
typedef ssize_t (*http_pull_t)(HttpExchange *x, char *buffer, size_t size, void *userdata);
void http_reply_stream(HttpExchange *x, const char *type, http_pull_t pull, void *userdata);
/* A body with an end, which comes in pieces: -ENODATA says that it is there. After any other error, and when
 * the gateway stops, the connection is broken off, so that nobody takes a part for the whole. */
void http_reply_pieces(HttpExchange *x, const char *type, http_pull_t pull, void *userdata);
void http_stream_wakeup(HttpExchange *x);

/* http-reply.c */
void http_reply_json(
                HttpExchange *x, unsigned status, json_t *v); /* takes the reference; NULL: out of memory */
/* pointer: a JSON pointer into the body, "?name" for a query parameter, or NULL. */
void http_reply_problem(HttpExchange *x, HttpProblem p, const char *pointer, const char *format, ...)
                _printf_(4, 5);
/* With members of its own besides, whose reference is taken; NULL is fine. */
void http_reply_problem_with(
                HttpExchange *x, HttpProblem p, const char *pointer, json_t *members, const char *detail);
unsigned http_problem_status(HttpProblem p);
const char *http_problem_type(HttpProblem p); /* what follows "urn:fleet-agent:problem:" */
