/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <strings.h>
#include <sys/socket.h>

#include "alloc-util.h"
#include "crypto.h"
#include "event-util.h"
#include "fd-util.h"
#include "hex.h"
#include "http-auth.h"
#include "list.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"

#define CONNECTION_MEMORY (64U * 1024U)
#define CONNECTION_TIMEOUT_SEC 60U
#define JSON_REQUEST_TIME (30 * USEC_PER_SEC)
#define HEADERS_TIME (15 * USEC_PER_SEC)
#define SWEEP_INTERVAL USEC_PER_SEC
#define TLS_PRIORITIES                                                                                      \
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305"
#define DISCARD_MAX MIB(8)
#define REPLY_HEADERS_MAX 8U

/* The library gives up who is silent, not who sends a byte now and then: that is what deadlines are for. */
typedef struct HttpConnection HttpConnection;
struct HttpConnection {
        LIST_FIELDS(HttpConnection, connections);
        int fd;                              /* the library's */
        usec_t deadline;                     /* CLOCK_BOOTTIME; USEC_INFINITY: none */
};

struct HttpServer {
        sd_event *event;
        struct MHD_Daemon *daemon;
        sd_event_source *io_source, *timer_source, *run_source;
        const HttpRoute *routes;
        void *userdata;
        int (*authenticate)(const HttpCredentials *c, ApiCaller *ret, void *userdata);
        char *certificate_pem, *key_pem;
        LIST_HEAD(HttpExchange, exchanges);
        LIST_HEAD(HttpConnection, connections);
        sd_event_source *sweep_source;
        bool stopping;                       /* answers 503, ends streams */
        bool freeing;
};

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
};

/* ---- driving the library ---- */

static int server_on_timer(sd_event_source *source, uint64_t usec, void *userdata);
static void server_run_soon(HttpServer *s);

/* Its epoll descriptor is edge-triggered inside: whenever it ran, what it wants next must be asked again. */
static void server_run(HttpServer *s) {
        MHD_UNSIGNED_LONG_LONG timeout_ms;
        usec_t usec = USEC_INFINITY;

        (void) MHD_run(s->daemon);
        if (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES)
                usec = (usec_t) timeout_ms * USEC_PER_MSEC;
        if (usec == 0) { /* there is more to do now: in the next turn, not after a timer's inaccuracy */
                server_run_soon(s);
                return;
        }
        if (event_timer_arm(s->event, &s->timer_source, usec, server_on_timer, s, "http-timeout") < 0)
                log_error("Failed to arm the timer of the HTTP server.");
}

static int server_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        server_run(userdata);
        return 0;
}

static int server_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        server_run(userdata);
        return 0;
}

static int server_on_defer(sd_event_source *source, void *userdata) {
        server_run(userdata);
        return 0;
}

static void server_run_soon(HttpServer *s) {
        if (s->freeing)              /* which runs it itself */
                return;
        if (event_defer_once(s->event, &s->run_source, server_on_defer, s, "http-run") < 0)
                log_error("Failed to schedule the HTTP server.");
}

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
        server_run_soon(x->server);
}

/* ---- connections ---- */

static void server_on_connection(
                void *userdata,
                struct MHD_Connection *connection,
                void **context,
                enum MHD_ConnectionNotificationCode code) {

        HttpServer *s = userdata;
        HttpConnection *c = *context;

        if (code == MHD_CONNECTION_NOTIFY_STARTED) {
                const union MHD_ConnectionInfo *info =
                                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

                c = info ? new0(HttpConnection, 1) : NULL;
                *context = c;
                if (!c)
                        return;
                c->fd = info->connect_fd;
                c->deadline = usec_add(now(CLOCK_BOOTTIME), HEADERS_TIME);
                LIST_PREPEND(connections, s->connections, c);
        } else if (c) {
                LIST_REMOVE(connections, s->connections, c);
                free(c);
                *context = NULL;
        }
}

/* For what is expected next; USEC_INFINITY: nothing, it is our turn. */
static void connection_expect_within(struct MHD_Connection *connection, usec_t span) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        HttpConnection *c = info ? info->socket_context : NULL;

        if (c)
                c->deadline = span == USEC_INFINITY ? span : usec_add(now(CLOCK_BOOTTIME), span);
}

static int server_on_sweep(sd_event_source *source, uint64_t usec, void *userdata) {
        HttpServer *s = userdata;
        usec_t t = now(CLOCK_BOOTTIME);

        /* the library sees the end of the stream and does the rest */
        LIST_FOREACH(connections, c, s->connections)
                if (c->deadline <= t) {
                        (void) shutdown(c->fd, SHUT_RDWR);
                        c->deadline = USEC_INFINITY;
                }
        return event_timer_arm(
                        s->event, &s->sweep_source, SWEEP_INTERVAL, server_on_sweep, s, "http-sweep");
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
                        http_reply_problem(
                                        x, HTTP_PROBLEM_BAD_REQUEST, NULL,
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

void http_exchange_set_context(HttpExchange *x, void *context) {
        x->context = context;
}

void *http_exchange_get_context(const HttpExchange *x) {
        return x->context;
}

bool http_exchange_is_answered(const HttpExchange *x) {
        return x->state == EXCHANGE_ANSWERED;
}

int http_exchange_json(HttpExchange *x, json_t **ret) {
        _cleanup_free_ char *message = NULL;
        _cleanup_json_ json_t *v = NULL;
        int r;

        if (x->body_size == 0) {
                v = json_object();
                r = v ? 0 : -ENOMEM;
        } else
                r = json_parse(x->body, x->body_size, HTTP_JSON_MAX, &v, &message);
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
                return MHD_CONTENT_READER_END_OF_STREAM;
        n = x->pull(x, buffer, size, x->pull_userdata);
        if (n < 0)
                return MHD_CONTENT_READER_END_OF_STREAM;
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
static void *server_on_uri(void *userdata, const char *uri, struct MHD_Connection *connection) {
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

static void server_on_completed(
                void *userdata,
                struct MHD_Connection *connection,
                void **context,
                enum MHD_RequestTerminationCode code) {
        exchange_free(*context);
        *context = NULL;
        connection_expect_within(connection, CONNECTION_TIMEOUT_SEC * USEC_PER_SEC + HEADERS_TIME);
}

static bool method_matches(const HttpRoute *route, const char *method) {
        return streq(route->method, method) || (streq(route->method, "GET") && streq(method, "HEAD"));
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
                if (strv_extend(&methods, route->method) < 0)
                        break;
        }
        allow = methods ? strv_join(methods, ", ") : NULL;
        if (!allow) {
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, NULL,
                                "There is nothing at this path; docs/api.md lists what there is.");
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
                if (length > HTTP_JSON_MAX)
                        http_reply_problem(
                                        x, HTTP_PROBLEM_TOO_LARGE, NULL, "The body may have %u bytes.",
                                        HTTP_JSON_MAX);
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

static void exchange_begin(HttpExchange *x, const char *method) {
        x->state = EXCHANGE_BODY;
        if (x->server->stopping) {
                http_reply_problem(x, HTTP_PROBLEM_OVERLOADED, NULL, "The gateway is stopping.");
                return;
        }
        exchange_find_route(x, method);
        if (x->state != EXCHANGE_ANSWERED)
                http_auth_check(x, x->route, x->server->authenticate, x->server->userdata, &x->caller);
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
        if (x->route->body == HTTP_BODY_NONE || x->body_size + size > HTTP_JSON_MAX) {
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_LARGE, NULL, "The body may have %u bytes.",
                                HTTP_JSON_MAX);
                return;
        }
        if (usec_sub(now(CLOCK_BOOTTIME), x->started) > JSON_REQUEST_TIME) {
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

static enum MHD_Result exchange_queue(HttpExchange *x) {
        enum MHD_Result r;

        connection_expect_within(x->connection, USEC_INFINITY);
        if (!x->response)
                return MHD_NO;               /* without memory, see exchange_answer() */
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
static enum MHD_Result server_on_access(
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
                /* a file that somebody with a token sends may take its time */
                connection_expect_within(
                                connection, x->state != EXCHANGE_ANSWERED && x->route->body == HTTP_BODY_FILE ?
                                                        USEC_INFINITY :
                                                        JSON_REQUEST_TIME);
                if (x->state != EXCHANGE_ANSWERED)
                        return MHD_YES;
                x->discard_body = exchange_body_is_small(x);
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
                connection_expect_within(connection, USEC_INFINITY);
                x->route->handle(x, x->server->userdata);
        }
        if (x->state == EXCHANGE_ANSWERED)
                return exchange_queue(x);
        exchange_suspend(x);
        return MHD_YES;
}

/* ---- life ---- */

static void server_on_log(void *userdata, const char *format, va_list ap) _printf_(2, 0);
static void server_on_log(void *userdata, const char *format, va_list ap) {
        char line[256];

        (void) vsnprintf(line, sizeof(line), format, ap);
        line[strcspn(line, "\n")] = '\0';
        log_debug("HTTP server: %s", line);          /* mostly what clients do wrong */
}

static int server_watch(HttpServer *s) {
        const union MHD_DaemonInfo *info;
        int r;

        info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        if (!info)
                return -EOPNOTSUPP;
        r = sd_event_add_io(s->event, &s->io_source, info->epoll_fd, EPOLLIN, server_on_io, s);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(s->io_source, "http-epoll");
        return 0;
}

int http_server_new(HttpServer **ret, sd_event *event, const HttpServerOptions *options) {
        _cleanup_(http_server_freep) HttpServer *s = NULL;
        _cleanup_close_ int fd = options->listen_fd;
        int r;

        s = new0(HttpServer, 1);
        if (!s)
                return -ENOMEM;
        *s = (HttpServer){
                .event = sd_event_ref(event),
                .routes = options->routes,
                .userdata = options->userdata,
                .authenticate = options->authenticate,
                .certificate_pem = strdup(options->certificate_pem),
                .key_pem = strdup(options->key_pem),
        };
        if (!s->certificate_pem || !s->key_pem)
                return -ENOMEM;
        r = fd_set_nonblock(fd, true);
        if (r < 0)
                return r;

        s->daemon = MHD_start_daemon(
                        MHD_USE_EPOLL | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
                        NULL, NULL,
                        server_on_access, s,
                        MHD_OPTION_EXTERNAL_LOGGER, server_on_log, s,
                        MHD_OPTION_LISTEN_SOCKET, fd,
                        MHD_OPTION_HTTPS_MEM_CERT, s->certificate_pem,
                        MHD_OPTION_HTTPS_MEM_KEY, s->key_pem,
                        MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
                        MHD_OPTION_URI_LOG_CALLBACK, server_on_uri, s,
                        MHD_OPTION_NOTIFY_COMPLETED, server_on_completed, s,
                        MHD_OPTION_NOTIFY_CONNECTION, server_on_connection, s,
                        MHD_OPTION_CONNECTION_LIMIT, options->connections_max,
                        MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->connections_per_address_max,
                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY,
                        MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT_SEC,
                        MHD_OPTION_STRICT_FOR_CLIENT, 1,
                        MHD_OPTION_END);
        if (!s->daemon)
                return -EKEYREJECTED;
        (void) TAKE_FD(fd);                  /* the daemon closes it */
        r = server_watch(s);
        if (r >= 0)
                r = event_timer_arm(
                                event, &s->sweep_source, SWEEP_INTERVAL, server_on_sweep, s, "http-sweep");
        if (r < 0)
                return r;
        server_run(s);
        *ret = TAKE_PTR(s);
        return 0;
}

void http_server_quiesce(HttpServer *s) {
        s->stopping = true;
}

HttpServer *http_server_free(HttpServer *s) {
        if (!s)
                return NULL;
        s->stopping = s->freeing = true;
        if (s->daemon) {
                /* The library forbids to be stopped while connections sleep. */
                LIST_FOREACH(exchanges, x, s->exchanges)
                        if (x->state == EXCHANGE_HANDLING)
                                http_reply_problem(
                                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                                "The gateway is stopping.");
                        else
                                exchange_resume(x);
                (void) MHD_run(s->daemon);
                (void) MHD_run(s->daemon);
                /* only what fell asleep in there again */
                LIST_FOREACH(exchanges, x, s->exchanges)
                        exchange_resume(x);
        }
        sd_event_source_disable_unref(s->io_source);
        sd_event_source_disable_unref(s->timer_source);
        sd_event_source_disable_unref(s->sweep_source);
        if (s->daemon)
                MHD_stop_daemon(s->daemon);
        sd_event_source_disable_unref(s->run_source);
        sd_event_unref(s->event);
        free(s->certificate_pem);
        if (s->key_pem)
                secret_free(s->key_pem, strlen(s->key_pem));
        free(s);
        return NULL;
}
