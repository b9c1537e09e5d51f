/* SPDX-License-Identifier: Apache-2.0 */
#include <strings.h>

#include "alloc-util.h"
#include "crypto.h"
#include "fd-util.h"
#include "hex.h"
#include "http-auth.h"
#include "http-internal.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"

#define DISCARD_MAX MIB(8)
#define REPLY_HEADERS_MAX 12U

typedef enum ExchangeState {
        EXCHANGE_NEW,                /* headers not yet seen */
        EXCHANGE_BODY,               /* being received */
        EXCHANGE_HANDLING,           /* with the handler */
        EXCHANGE_ANSWERED,           /* response is there, or was queued */
} ExchangeState;

struct HttpExchange {
        HttpServer *server;
        struct MHD_Connection *connection;
        LIST_FIELDS(HttpExchange, exchanges);
        ExchangeState state;
        bool suspended, discard_body;
        bool unframed; /* it is not certain where it ends */
        int uri_error;
        HttpUri uri;
        const HttpRoute *route;
        size_t first_argument;
        bool is_head;
        char request_id[33];
        char address[HTTP_ADDRESS_MAX];
        ApiCaller caller;
        usec_t started;

        char *body;
        size_t body_size, body_allocated;
        void *context;

        struct {
                char *name, *value;
        } headers[REPLY_HEADERS_MAX];
        size_t n_headers;
        struct MHD_Response *response;       /* until it is queued */
        unsigned status;
        http_pull_t pull;
        void *pull_userdata;
        bool pieces; /* the stream has an end, which must be told from a broken one */
};

/* ---- waiting ---- */

static void exchange_suspend(HttpExchange *x) {
        if (x->suspended)
                return;
        x->suspended = true;
        MHD_suspend_connection(x->connection);
}

static void exchange_resume(HttpExchange *x) {
        if (!x->suspended)
                return;
        x->suspended = false;
        MHD_resume_connection(x->connection);
        http_server_run_soon(x->server);
}

/* ---- what an exchange says ---- */

const char *http_exchange_argument(const HttpExchange *x, size_t i) {
        i += x->first_argument;
        return i < x->uri.n_segments ? x->uri.segments[i] : NULL;
}

const char *http_exchange_parameter(const HttpExchange *x, const char *key) {
        for (size_t i = 0; i < x->uri.n_parameters; i++)
                if (streq(x->uri.parameters[i].key, key))
                        return x->uri.parameters[i].value;
        return NULL;
}

int http_exchange_check_parameters(HttpExchange *x, const char *const *known) {
        for (size_t i = 0; i < x->uri.n_parameters; i++)
                if (!strv_contains((char *const *) known, x->uri.parameters[i].key)) {
                        _cleanup_free_ char *where = strjoinf("?%s", x->uri.parameters[i].key);

                        http_reply_problem(
                                        x, HTTP_PROBLEM_BAD_REQUEST, where,
                                        "There is no query parameter \"%s\" here.",
                                        x->uri.parameters[i].key);
                        return -EINVAL;
                }
        return 0;
}

const char *http_exchange_header(const HttpExchange *x, const char *name) {
        return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

bool http_exchange_is_head(const HttpExchange *x) {
        return x->is_head;
}

bool http_exchange_is_read(const HttpExchange *x) {
        return x->is_head || (x->route && streq(x->route->method, "GET"));
}

const char *http_exchange_address(const HttpExchange *x) {
        return x->address;
}

const ApiCaller *http_exchange_caller(const HttpExchange *x) {
        return &x->caller;
}

const char *http_exchange_request_id(const HttpExchange *x) {
        return x->request_id;
}

const HttpRoute *http_exchange_route(const HttpExchange *x) {
        return x->route;
}

const HttpUri *http_exchange_uri(const HttpExchange *x) {
        return &x->uri;
}

const void *http_exchange_body(const HttpExchange *x, size_t *ret_size) {
        *ret_size = x->body_size;
        return x->body;
}

void http_exchange_set_context(HttpExchange *x, void *context) {
        x->context = context;
}

void *http_exchange_get_context(const HttpExchange *x) {
        return x->context;
}

bool http_exchange_is_answered(const HttpExchange *x) {
        return x->state == EXCHANGE_ANSWERED;
}

static size_t json_max(const HttpExchange *x) {
        return x->route->json_max ?: HTTP_JSON_MAX;
}

int http_exchange_json(HttpExchange *x, json_t **ret) {
        _cleanup_free_ char *message = NULL;
        _cleanup_json_ json_t *v = NULL;
        int r;

        if (x->body_size == 0) {
                v = json_object();
                r = v ? 0 : -ENOMEM;
        } else
                r = json_parse(x->body, x->body_size, json_max(x), &v, &message);
        if (r >= 0 && !json_is_object(v)) {
                r = -EBADMSG;
                message = strdup("it is no object");
        }
        if (r == -ENOMEM)
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        else if (r < 0)
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, "", "The body is no good JSON: %s.",
                                strna(message));
        if (r >= 0)
                *ret = TAKE_PTR(v);
        return r;
}

/* ---- answering ---- */

void http_reply_header(HttpExchange *x, const char *name, const char *value) {
        _cleanup_free_ char *n = strdup(name), *v = strdup(value);

        for (size_t i = 0; i < x->n_headers; i++)
                if (streq(x->headers[i].name, name) && v) {
                        free(x->headers[i].value);
                        x->headers[i].value = TAKE_PTR(v);
                        return;
                }
        if (!n || !v || x->n_headers >= REPLY_HEADERS_MAX) {
                log_error("Failed to add the header %s to an answer.", name);
                return;
        }
        x->headers[x->n_headers].name = TAKE_PTR(n);
        x->headers[x->n_headers++].value = TAKE_PTR(v);
}

bool http_reply_has_header(const HttpExchange *x, const char *name) {
        for (size_t i = 0; i < x->n_headers; i++)
                if (streq(x->headers[i].name, name))
                        return true;
        return false;
}

static void exchange_answer(
                HttpExchange *x, unsigned status, const char *type, struct MHD_Response *response) {
        assert(x->state != EXCHANGE_ANSWERED);
        if (!response) {
                /* The connection is closed then: that is all that can be said without memory. */
                log_error("Failed to make an answer.");
                x->state = EXCHANGE_ANSWERED;
                exchange_resume(x);
                return;
        }
        if (type)
                (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        (void) MHD_add_response_header(response, "X-Request-Id", x->request_id);
        (void) MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
        for (size_t i = 0; i < x->n_headers; i++)
                (void) MHD_add_response_header(response, x->headers[i].name, x->headers[i].value);
        x->response = response;
        x->status = status;
        x->state = EXCHANGE_ANSWERED;
        exchange_resume(x);
}

void http_reply_data(HttpExchange *x, unsigned status, const char *type, char *data, size_t size) {
        struct MHD_Response *response;

        response = MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
        if (!response)
                free(data);
        exchange_answer(x, status, type, response);
}

void http_reply_static(HttpExchange *x, unsigned status, const char *type, const void *data, size_t size) {
        exchange_answer(x, status, type,
                        MHD_create_response_from_buffer(size, (void *) data, MHD_RESPMEM_PERSISTENT));
}

void http_reply_file(
                HttpExchange *x,
                unsigned status,
                const char *type,
                int fd,
                uint64_t offset,
                uint64_t length) {
        struct MHD_Response *response;

        response = MHD_create_response_from_fd_at_offset64(length, fd, offset);
        if (!response)
                fd_close(fd);
        exchange_answer(x, status, type, response);
}

static ssize_t stream_read(void *userdata, uint64_t position, char *buffer, size_t size) {
        HttpExchange *x = userdata;
        ssize_t n;

        if (x->server->stopping)
                return x->pieces ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
        n = x->pull(x, buffer, size, x->pull_userdata);
        if (n < 0)
                return x->pieces && n != -ENODATA ? MHD_CONTENT_READER_END_WITH_ERROR :
                                                    MHD_CONTENT_READER_END_OF_STREAM;
        if (n == 0)
                exchange_suspend(x);         /* or it would be asked again at once */
        return n;
}

void http_reply_stream(HttpExchange *x, const char *type, http_pull_t pull, void *userdata) {
        x->pull = pull;
        x->pull_userdata = userdata;
        exchange_answer(x, 200, type,
                        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream_read, x, NULL));
}

void http_reply_pieces(HttpExchange *x, const char *type, http_pull_t pull, void *userdata) {
        x->pieces = true;
        http_reply_stream(x, type, pull, userdata);
}

void http_stream_wakeup(HttpExchange *x) {
        if (x->pull)
                exchange_resume(x);
}

/* ---- one request ---- */

static HttpExchange *exchange_free(HttpExchange *x) {
        if (!x)
                return NULL;
        if (x->route && x->route->end)
                x->route->end(x, x->server->userdata);
        LIST_REMOVE(exchanges, x->server->exchanges, x);
        for (size_t i = 0; i < x->n_headers; i++) {
                free(x->headers[i].name);
                free(x->headers[i].value);
        }
        if (x->response)
                MHD_destroy_response(x->response);
        http_uri_done(&x->uri);
        api_caller_done(&x->caller);
        memory_wipe(x->body, x->body_allocated);     /* there may be a password in it */
        free(x->body);
        free(x);
        return NULL;
}

static void exchange_learn_address(HttpExchange *x) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

        if (info && info->client_addr)
                http_address_format(info->client_addr, x->address);
}

/* The first that is heard of a request. What is returned is handed to all later callbacks. */
void *http_exchange_on_uri(void *userdata, const char *uri, struct MHD_Connection *connection) {
        HttpServer *s = userdata;
        uint8_t id[16];
        HttpExchange *x;

        x = new0(HttpExchange, 1);
        if (!x)
                return NULL;
        x->server = s;
        x->connection = connection;
        x->started = now(CLOCK_BOOTTIME);
        random_bytes(id, sizeof(id));
        hex_encode(id, sizeof(id), x->request_id);
        exchange_learn_address(x);
        x->uri_error = http_uri_parse(uri, &x->uri);
        LIST_PREPEND(exchanges, s->exchanges, x);
        return x;
}

void http_exchange_on_completed(
                void *userdata,
                struct MHD_Connection *connection,
                void **context,
                enum MHD_RequestTerminationCode code) {
        exchange_free(*context);
        *context = NULL;
        http_connection_set_stream(connection, false);
        http_connection_expect_within(connection, HTTP_SILENCE_TIME + HTTP_HEADERS_TIME);
}

static bool method_matches(const HttpRoute *route, const char *method) {
        return streq(route->method, method) || (streq(route->method, "GET") && streq(method, "HEAD"));
}

static int allow_add(char ***methods, const char *method) {
        int r = strv_contains(*methods, method) ? 0 : strv_extend(methods, method);

        return r >= 0 && streq(method, "GET") ? allow_add(methods, "HEAD") : r;
}

static void exchange_find_route(HttpExchange *x, const char *method) {
        _cleanup_strv_free_ char **methods = NULL;
        _cleanup_free_ char *allow = NULL;

        if (x->uri_error < 0) {
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                "The URI is not well-formed or too long.");
                return;
        }
        for (const HttpRoute *route = x->server->routes; route->method; route++) {
                if (!http_path_match(&x->uri, route->path, &x->first_argument))
                        continue;
                if (method_matches(route, method)) {
                        x->route = route;
                        x->is_head = streq(method, "HEAD");
                        return;
                }
                if (allow_add(&methods, route->method) < 0)
                        break;
        }
        if (!methods && x->server->fallback && method_matches(x->server->fallback, method)) {
                x->route = x->server->fallback;
                x->is_head = streq(method, "HEAD");
                return;
        }
        allow = methods ? strv_join(methods, ", ") : NULL;
        if (!allow) {
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, NULL,
                                "There is nothing at this path; docs/openapi.yaml lists what there is.");
                return;
        }
        http_reply_header(x, "Allow", allow);
        http_reply_problem(x, HTTP_PROBLEM_METHOD_NOT_ALLOWED, NULL, "This path allows: %s.", allow);
}

static void exchange_expect_body(HttpExchange *x) {
        const char *header = http_exchange_header(x, "Content-Length");
        uint64_t length = 0;
        bool chunked = http_exchange_header(x, "Transfer-Encoding");

        if (header && parse_u64(header, &length) < 0) {
                http_reply_problem(x, HTTP_PROBLEM_BAD_REQUEST, NULL, "Content-Length is no number.");
                return;
        }
        switch (x->route->body) {
        case HTTP_BODY_NONE:
                if (length > 0 || chunked)
                        http_reply_problem(x, HTTP_PROBLEM_BAD_REQUEST, NULL, "No body is expected here.");
                break;
        case HTTP_BODY_JSON:
                if (length > json_max(x))
                        http_reply_problem(
                                        x, HTTP_PROBLEM_TOO_LARGE, NULL, "The body may have %zu bytes.",
                                        json_max(x));
                break;
        case HTTP_BODY_FILE:
                if (!header || chunked)
                        http_reply_problem(
                                        x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                        "Content-Length is required here.");
                else if (x->route->begin(x, length, x->server->userdata) < 0 &&
                         x->state != EXCHANGE_ANSWERED)
                        http_reply_problem(
                                        x, HTTP_PROBLEM_INTERNAL, NULL,
                                        "The file cannot be stored; see the gateway's journal.");
                break;
        }
}

/* How long a body may take, which announced its length if it is a file. */
static usec_t exchange_body_time(const HttpExchange *x) {
        const char *header = http_exchange_header(x, "Content-Length");
        uint64_t length;

        if (x->state == EXCHANGE_ANSWERED || x->route->body != HTTP_BODY_FILE ||
            parse_u64(header, &length) < 0)
                return HTTP_JSON_TIME;
        return usec_add(HTTP_JSON_TIME, length / HTTP_FILE_RATE * USEC_PER_SEC);
}

typedef struct Framing {
        unsigned hosts, lengths, codings;
} Framing;

static enum MHD_Result framing_count(
                void *userdata, enum MHD_ValueKind kind, const char *key, const char *value) {
        Framing *f = userdata;

        f->hosts += strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0;
        f->lengths += strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
        f->codings += strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
        return MHD_YES;
}

/* The library takes one of several, a proxy in front perhaps another: where a request ends and whom it is for must
 * have one answer. What follows on such a connection is nobody's request. */
static void exchange_check_framing(HttpExchange *x) {
        Framing f = {};

        (void) MHD_get_connection_values(x->connection, MHD_HEADER_KIND, framing_count, &f);
        if (f.hosts <= 1 && f.lengths + f.codings <= 1)
                return;
        x->unframed = true;
        http_reply_header(x, "Connection", "close");
        http_reply_problem(
                        x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                        "Host, and Content-Length or Transfer-Encoding, may be there once.");
}

static void exchange_begin(HttpExchange *x, const char *method) {
        static const char *const no_parameters[] = { NULL };

        x->state = EXCHANGE_BODY;
        exchange_check_framing(x);
        if (x->state != EXCHANGE_ANSWERED)
                exchange_find_route(x, method);
        if (x->state != EXCHANGE_ANSWERED && x->server->stopping && !x->route->while_stopping)
                http_reply_problem(x, HTTP_PROBLEM_OVERLOADED, NULL, "The gateway is stopping.");
        if (x->state != EXCHANGE_ANSWERED)
                http_auth_check(x, x->route, x->server->authenticate, x->server->userdata, &x->caller);
        if (x->state != EXCHANGE_ANSWERED && !x->route->any_parameters)
                (void) http_exchange_check_parameters(x, x->route->parameters ?: no_parameters);
        if (x->state != EXCHANGE_ANSWERED)
                exchange_expect_body(x);
}

static void exchange_take_body(HttpExchange *x, const char *data, size_t size) {
        if (x->route->body == HTTP_BODY_FILE) {
                if (x->route->data(x, data, size, x->server->userdata) < 0 && x->state != EXCHANGE_ANSWERED)
                        http_reply_problem(
                                        x, HTTP_PROBLEM_INTERNAL, NULL,
                                        "The file cannot be stored; see the gateway's journal.");
                return;
        }
        if (x->route->body == HTTP_BODY_NONE || x->body_size + size > json_max(x)) {
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_LARGE, NULL, "The body may have %zu bytes.",
                                json_max(x));
                return;
        }
        if (usec_sub(now(CLOCK_BOOTTIME), x->started) > HTTP_JSON_TIME) {
                http_reply_problem(x, HTTP_PROBLEM_BAD_REQUEST, NULL, "The body came too slowly.");
                return;
        }
        if (ARRAY_GROW(x->body, x->body_allocated, x->body_size + size) < 0) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        memcpy(x->body + x->body_size, data, size);
        x->body_size += size;
}

static void exchange_measure(HttpExchange *x) {
        const HttpServer *s = x->server;

        if (s->on_answer)
                s->on_answer(x->route ? x->route->path : NULL,
                             x->is_head ? "HEAD" :
                             x->route   ? x->route->method :
                                          NULL,
                             x->status, usec_sub(now(CLOCK_BOOTTIME), x->started), s->userdata);
}

static enum MHD_Result exchange_queue(HttpExchange *x) {
        enum MHD_Result r;

        http_connection_expect_within(x->connection, USEC_INFINITY);
        if (!x->response)
                return MHD_NO;               /* without memory, see exchange_answer() */
        exchange_measure(x);
        http_connection_set_stream(x->connection, x->pull && !x->pieces);
        r = MHD_queue_response(x->connection, x->status, x->response);
        MHD_destroy_response(x->response);
        x->response = NULL;
        return r;
}

/* Who is refused before the body was read may still be sending it, and would see a reset connection instead
 * of the answer: a small body is read to its end first. */
static bool exchange_body_is_small(HttpExchange *x) {
        const char *header = http_exchange_header(x, "Content-Length");
        uint64_t length;

        return header && !http_exchange_header(x, "Expect") && parse_u64(header, &length) >= 0 &&
               length > 0 && length <= DISCARD_MAX;
}

/* Called with the headers, then with each piece of the body, then once more at its end, and again after a
 * sleep. */
enum MHD_Result http_exchange_on_access(
                void *userdata,
                struct MHD_Connection *connection,
                const char *url,
                const char *method,
                const char *version,
                const char *data,
                size_t *data_size,
                void **context) {

        HttpExchange *x = *context;

        if (!x)
                return MHD_NO;
        if (x->state == EXCHANGE_NEW) {
                exchange_begin(x, method);
                http_connection_expect_within(connection, exchange_body_time(x));
                if (x->state != EXCHANGE_ANSWERED)
                        return MHD_YES;
                x->discard_body = !x->unframed && exchange_body_is_small(x);
                return x->discard_body ? MHD_YES : exchange_queue(x);
        }
        if (*data_size > 0) {
                /* An answer cannot be queued in the middle of a body: the rest is read and thrown away, a
                 * little. */
                if (x->state == EXCHANGE_BODY && !x->discard_body)
                        exchange_take_body(x, data, *data_size);
                if (x->state == EXCHANGE_ANSWERED) {
                        if (x->discard_body && (x->body_size += *data_size) > DISCARD_MAX)
                                return MHD_NO;
                        if (!x->discard_body)
                                x->body_size = 0;
                        x->discard_body = true;
                }
                *data_size = 0;
                return MHD_YES;
        }
        if (x->state == EXCHANGE_BODY) {
                x->state = EXCHANGE_HANDLING;
                http_connection_expect_within(connection, USEC_INFINITY);
                x->route->handle(x, x->server->userdata);
        }
        if (x->state == EXCHANGE_ANSWERED)
                return exchange_queue(x);
        exchange_suspend(x);
        return MHD_YES;
}

/* ---- the end of the server ---- */

void http_exchanges_refuse(HttpServer *s) {
        LIST_FOREACH(exchanges, x, s->exchanges)
        if (x->state == EXCHANGE_HANDLING)
                http_reply_problem(x, HTTP_PROBLEM_OVERLOADED, NULL, "The gateway is stopping.");
        else
                exchange_resume(x);
}

void http_exchanges_wake(HttpServer *s) {
        LIST_FOREACH(exchanges, x, s->exchanges)
        exchange_resume(x);
}
