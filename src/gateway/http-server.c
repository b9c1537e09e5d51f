/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "alloc-util.h"
#include "crypto.h"
#include "event-util.h"
#include "fd-util.h"
#include "http-internal.h"
#include "log.h"
#include "string-util.h"

#define CONNECTION_MEMORY (64U * 1024U)
#define SWEEP_INTERVAL USEC_PER_SEC
#define TLS_PRIORITIES                                                                                      \
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305"

/* The library gives up who is silent, not who sends or takes a byte now and then: that is what deadlines are for, and
 * the count of what was taken. */
struct HttpConnection {
        LIST_FIELDS(HttpConnection, connections);
        int fd;          /* the library's */
        usec_t deadline; /* CLOCK_BOOTTIME; USEC_INFINITY: none */
        bool is_stream;
        usec_t since;    /* something is on the way, and was looked at then; 0: nothing is */
        uint64_t taken;  /* by the other side, as of then */
};

/* ---- driving the library ---- */

static int server_on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* Its epoll descriptor is edge-triggered inside: whenever it ran, what it wants next must be asked again. */
static void server_run(HttpServer *s) {
        MHD_UNSIGNED_LONG_LONG timeout_ms;
        usec_t usec = USEC_INFINITY;

        (void) MHD_run(s->daemon);
        if (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES)
                usec = (usec_t) timeout_ms * USEC_PER_MSEC;
        if (usec == 0) { /* there is more to do now: in the next turn, not after a timer's inaccuracy */
                http_server_run_soon(s);
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

void http_server_run_soon(HttpServer *s) {
        if (s->freeing) /* which runs it itself */
                return;
        if (event_defer_once(s->event, &s->run_source, server_on_defer, s, "http-run") < 0)
                log_error("Failed to schedule the HTTP server.");
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
                c->deadline = usec_add(now(CLOCK_BOOTTIME), HTTP_HEADERS_TIME);
                LIST_PREPEND(connections, s->connections, c);
        } else if (c) {
                LIST_REMOVE(connections, s->connections, c);
                free(c);
                *context = NULL;
        }
}

static HttpConnection *connection_get(struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

void http_connection_expect_within(struct MHD_Connection *connection, usec_t span) {
        HttpConnection *c = connection_get(connection);

        if (c)
                c->deadline = span == USEC_INFINITY ? span : usec_add(now(CLOCK_BOOTTIME), span);
}

void http_connection_set_stream(struct MHD_Connection *connection, bool is_stream) {
        HttpConnection *c = connection_get(connection);

        if (c)
                c->is_stream = is_stream;
}

/* By what the kernel still has to send, whichever of several answers it is of: one that is made slowly here leaves
 * nothing waiting there. Local sockets have no such count, and no strangers. */
static bool connection_is_slow(HttpConnection *c, usec_t t) {
        struct tcp_info info = {};
        socklen_t size = sizeof(info);
        int waiting = 0;
        bool is_slow;

        if (c->is_stream || ioctl(c->fd, SIOCOUTQ, &waiting) < 0 || waiting == 0) {
                c->since = 0;
                return false;
        }
        if ((c->since != 0 && usec_sub(t, c->since) < HTTP_SEND_TIME) ||
            getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
                return false;
        is_slow = c->since != 0 && info.tcpi_bytes_acked - c->taken < HTTP_SEND_LEAST;
        c->since = t;
        c->taken = info.tcpi_bytes_acked;
        if (is_slow) /* what is on the way would stay in the kernel, and the connection with it */
                (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 },
                                  sizeof(struct linger));
        return is_slow;
}

static int server_on_sweep(sd_event_source *source, uint64_t usec, void *userdata) {
        HttpServer *s = userdata;
        usec_t t = now(CLOCK_BOOTTIME);

        /* the library sees the end of the stream and does the rest */
        LIST_FOREACH(connections, c, s->connections)
        if (c->deadline <= t || connection_is_slow(c, t)) {
                (void) shutdown(c->fd, SHUT_RDWR);
                c->deadline = USEC_INFINITY;
        }
        return event_timer_arm(s->event, &s->sweep_source, SWEEP_INTERVAL, server_on_sweep, s, "http-sweep");
}

/* ---- life ---- */

static void server_on_log(void *userdata, const char *format, va_list ap) _printf_(2, 0);
static void server_on_log(void *userdata, const char *format, va_list ap) {
        char line[256];

        (void) vsnprintf(line, sizeof(line), format, ap);
        line[strcspn(line, "\n")] = '\0';
        log_debug("HTTP server: %s", line); /* mostly what clients do wrong */
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

static int copy_certificate(HttpServer *s, const HttpServerOptions *options) {
        if (!options->certificate_pem)
                return 0;
        s->certificate_pem = strdup(options->certificate_pem);
        s->key_pem = strdup(options->key_pem);
        return s->certificate_pem && s->key_pem ? 0 : -ENOMEM;
}

static struct MHD_Daemon *daemon_start(HttpServer *s, int fd, const HttpServerOptions *options) {
        struct MHD_OptionItem no_tls[] = { { MHD_OPTION_END, 0, NULL } },
                              tls[] = { { MHD_OPTION_HTTPS_MEM_CERT, 0, s->certificate_pem },
                                        { MHD_OPTION_HTTPS_MEM_KEY, 0, s->key_pem },
                                        { MHD_OPTION_HTTPS_PRIORITIES, 0, (char *) TLS_PRIORITIES },
                                        { MHD_OPTION_END, 0, NULL } };
        bool with_tls = s->certificate_pem;

        return MHD_start_daemon(
                        (with_tls ? MHD_USE_TLS : 0U) | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
                                        MHD_USE_ERROR_LOG,
                        0, NULL, NULL, http_exchange_on_access, s, MHD_OPTION_EXTERNAL_LOGGER, server_on_log,
                        s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_ARRAY, with_tls ? tls : no_tls,
                        MHD_OPTION_URI_LOG_CALLBACK, http_exchange_on_uri, s, MHD_OPTION_NOTIFY_COMPLETED,
                        http_exchange_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, server_on_connection, s,
                        MHD_OPTION_CONNECTION_LIMIT, options->connections_max,
                        MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->connections_per_address_max,
                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY,
                        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) (HTTP_SILENCE_TIME / USEC_PER_SEC),
                        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
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
                .fallback = options->fallback,
                .userdata = options->userdata,
                .authenticate = options->authenticate,
                .on_answer = options->on_answer,
        };
        r = copy_certificate(s, options);
        if (r >= 0)
                r = fd_set_nonblock(fd, true);
        if (r < 0)
                return r;

        s->daemon = daemon_start(s, fd, options);
        if (!s->daemon)
                return s->certificate_pem ? -EKEYREJECTED : -EIO;
        (void) TAKE_FD(fd); /* the daemon closes it */
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
                http_exchanges_refuse(s);
                (void) MHD_run(s->daemon);
                (void) MHD_run(s->daemon);
                http_exchanges_wake(s); /* only what fell asleep in there again */
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
