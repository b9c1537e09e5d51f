/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-server.h"

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "log.h"
#include "rpc-credentials-internal.h"
#include "rpc-server-internal.h"
#include "string-util.h"

#define ACCEPTS_PER_THREAD 16U             /* calls taken over at once; more wait in the library, briefly */
#define ROOM_FOR_CALL 4U                   /* operations that one call may have in flight */
#define ROOM_FOR_REFUSALS 32U
#define STREAMS_PER_CONNECTION 8
#define METADATA_MAX 8192
/* Not the usual 20 s: when everybody returns at once, each handshake has a small share of the processors, and
 * one that is given up was work for nothing. Time for 25,000 on one core. */
#define HANDSHAKE_TIMEOUT_MS 60000
#define IDLE_CONNECTION_MS 60000
#define ARGS_MAX 24U

/* A place into which the library puts the next call. */
typedef struct Accept {
        RpcServer *server;
        unsigned lane;
        grpc_call *call;
        grpc_call_details details;
        grpc_metadata_array metadata;
        RpcOp op;
} Accept;

/* A call that is answered with nothing but a status. */
typedef struct Refusal {
        RpcServer *server;
        grpc_call *call;
        int cancelled;
        RpcOp op;
} Refusal;

static int to_ms(usec_t usec) {
        return (int) CLAMP(usec / USEC_PER_MSEC, (usec_t) 1, (usec_t) INT32_MAX);
}

/* ---- peers ---- */

static char *auth_property(const grpc_auth_context *context, const char *name) {
        grpc_auth_property_iterator i = grpc_auth_context_find_properties_by_name(context, name);
        const grpc_auth_property *p = grpc_auth_property_iterator_next(&i);

        return p ? memdup_suffix0(p->value, p->value_length) : NULL;
}

int rpc_peer_read(grpc_call *call, RpcPeer *ret) {
        char *raw = grpc_call_get_peer(call);
        char *address = rpc_peer_name(raw);
        grpc_auth_context *context = grpc_call_auth_context(call);
        char *pem = NULL;

        gpr_free(raw);
        if (!address)
                return -ENOMEM;
        if (context && grpc_auth_context_peer_is_authenticated(context))
                pem = auth_property(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
        if (context)
                grpc_auth_context_release(context);
        *ret = (RpcPeer) { .address = address, .certificate_pem = pem };
        return 0;
}

void rpc_peer_done(RpcPeer *p) {
        free((char *) p->address);
        free((char *) p->certificate_pem);
        *p = (RpcPeer) { 0 };
}

/* ---- making and ending ---- */

static void shutdown_done(RpcOp *op);

static grpc_server *create_server(const RpcServerOptions *o) {
        grpc_arg args[ARGS_MAX];
        size_t n = 0;

#define INTEGER(name, number)                                                                               \
        args[n++] = (grpc_arg){ .type = GRPC_ARG_INTEGER, .key = (char *) (name), .value.integer = (number) }
        /* otherwise a second gateway on the same port starts without a word and takes half of the agents */
        INTEGER(GRPC_ARG_ALLOW_REUSEPORT, 0);
        INTEGER(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_UP_MAX);
        INTEGER(GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX);
        INTEGER(GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_PER_CONNECTION);
        INTEGER(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS);
        INTEGER(GRPC_ARG_MAX_CONNECTION_IDLE_MS, IDLE_CONNECTION_MS);
        INTEGER(GRPC_ARG_KEEPALIVE_TIME_MS, to_ms(o->keepalive_time));
        INTEGER(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, to_ms(o->keepalive_timeout));
        INTEGER(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
        INTEGER(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
        INTEGER(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, to_ms(o->min_ping_interval));
        INTEGER(GRPC_ARG_HTTP2_BDP_PROBE, 0);
        INTEGER(GRPC_ARG_ENABLE_CHANNELZ, 0);
        INTEGER(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
        INTEGER(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
#undef INTEGER
        assert(n <= ARGS_MAX);
        return grpc_server_create(&(grpc_channel_args) { .num_args = n, .args = args }, NULL);
}

static void options_default(RpcServerOptions *o) {
        o->sessions_max = o->sessions_max ?: 4096;
        o->requests_max = o->requests_max ?: 256;
        o->request_timeout = o->request_timeout ?: 10 * USEC_PER_SEC;
        o->keepalive_time = o->keepalive_time ?: 30 * USEC_PER_SEC;
        o->keepalive_timeout = o->keepalive_timeout ?: 20 * USEC_PER_SEC;
        o->min_ping_interval = o->min_ping_interval ?: 5 * USEC_PER_SEC;
}

int rpc_server_new(RpcServer **ret, RpcQueue *queue, const RpcServerOptions *options) {
        RpcServer *s = new0(RpcServer, 1);

        if (!s)
                return -ENOMEM;
        s->n_ref = 1;
        s->queue = queue;
        s->options = options ? *options : (RpcServerOptions) { 0 };
        options_default(&s->options);
        rpc_op_init(&s->shutdown_op, queue, shutdown_done, s);
        /* reserved from the start: shutting down must not fail for lack of a place */
        int r = rpc_op_begin(&s->shutdown_op);
        if (r < 0) {
                free(s);
                return r;
        }
        s->server = create_server(&s->options);
        for (unsigned i = 0; i < rpc_queue_threads(queue); i++)
                grpc_server_register_completion_queue(s->server, rpc_queue_cq(queue, i), NULL);
        *ret = s;
        return 0;
}

void rpc_server_unref(RpcServer *s) {
        if (--s->n_ref > 0)
                return;
        assert(!s->server && !s->sessions);
        for (size_t i = 0; i < s->n_ports; i++)
                rpc_port_credentials_free(s->ports[i]);
        free(s->ports);
        free(s->handlers);
        free(s);
}

static void server_shut_down(RpcServer *s) {
        if (s->shut_down)
                return;
        s->shut_down = true;
        rpc_server_ref(s);
        grpc_server_shutdown_and_notify(s->server, rpc_queue_cq(s->queue, 0), &s->shutdown_op);
}

void rpc_server_maybe_stopped(RpcServer *s) {
        rpc_on_stopped_t on_stopped = s->on_stopped;

        if (s->server || s->sessions || s->freed || !on_stopped)
                return;
        s->on_stopped = NULL;
        on_stopped(s, s->stop_userdata);
}

/* Every connection is gone; sessions whose end has not been reported yet are about to be. */
static void shutdown_done(RpcOp *op) {
        RpcServer *s = op->owner;

        grpc_server_destroy(TAKE_PTR(s->server));
        s->drain_timer = sd_event_source_disable_unref(s->drain_timer);
        rpc_server_maybe_stopped(s);
        rpc_server_unref(s);
}

RpcServer *rpc_server_free(RpcServer *s) {
        if (!s)
                return NULL;
        while (s->sessions)
                rpc_session_detach(s->sessions, RPC_STATUS_UNAVAILABLE, "The server was stopped.");
        s->freed = true;
        s->drain_timer = sd_event_source_disable_unref(s->drain_timer);
        if (s->server) {
                server_shut_down(s);
                grpc_server_cancel_all_calls(s->server);
        }
        rpc_server_unref(s);
        return NULL;
}

static int on_drain_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        RpcServer *s = userdata;

        log_debug("%u streams are still open after the time allowed for draining, cancelling them.",
                  s->n_sessions);
        grpc_server_cancel_all_calls(s->server);
        return 0;
}

int rpc_server_drain(
                RpcServer *s,
                usec_t timeout,
                rpc_on_drain_t on_drain,
                rpc_on_stopped_t on_stopped,
                void *userdata) {
        if (s->shut_down)
                return -EALREADY;
        int r = event_timer_arm(
                        rpc_queue_event(s->queue), &s->drain_timer, timeout, on_drain_timeout, s,
                        "rpc-drain");
        if (r < 0)
                return r;
        s->on_stopped = on_stopped;
        s->stop_userdata = userdata;
        server_shut_down(s);
        /* closing reports later, so that the list stays as it is while we walk it */
        for (RpcSession *i = s->sessions, *next; i; i = next) {
                next = rpc_session_next(i);
                if (on_drain)
                        on_drain(i, userdata);
                rpc_session_close(i, RPC_STATUS_UNAVAILABLE, "the server is going away, come back later");
        }
        return 0;
}

unsigned rpc_server_sessions(const RpcServer *s) {
        return s->n_sessions;
}

/* ---- ports and methods ---- */

/* Why could the address not be taken? The library does not tell, so it is tried once more. */
static int bind_error(const char *address) {
        const struct addrinfo hints = {
                .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                .ai_socktype = SOCK_STREAM,
        };
        const char *colon = strrchr(address, ':');
        _cleanup_free_ char *host = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct addrinfo *info = NULL;
        int r;

        if (!colon || colon == address)
                return -EINVAL;
        bool brackets = address[0] == '[' && colon[-1] == ']';
        host = strndup(address + brackets, (size_t) (colon - address) - 2 * brackets);
        if (!host)
                return -ENOMEM;
        if (getaddrinfo(host, colon + 1, &hints, &info) != 0)
                return -EADDRNOTAVAIL;
        fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = fd < 0 ? negative_errno() : 0;
        if (r >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int)) < 0)
                r = negative_errno();
        if (r >= 0 && bind(fd, info->ai_addr, info->ai_addrlen) < 0)
                r = negative_errno();
        if (r >= 0 && listen(fd, 1) < 0)
                r = negative_errno();
        freeaddrinfo(info);
        return r < 0 ? r : -EKEYREJECTED;
}

int rpc_server_add_port(RpcServer *s, const char *address, RpcCredentials *credentials, uint16_t *ret_port) {
        grpc_server_credentials *c;
        int r;

        if (s->started)
                return -EBUSY;
        r = ARRAY_GROW(s->ports, s->n_ports_allocated, s->n_ports + 1);
        if (r < 0)
                return r;
        r = rpc_port_credentials_new(credentials, s->ports + s->n_ports);
        if (r < 0)
                return r;
        c = rpc_port_credentials_server(s->ports[s->n_ports++]);
        if (!c)
                return -EKEYREJECTED;
        int port = grpc_server_add_http2_port(s->server, address, c);
        grpc_server_credentials_release(c);
        if (port <= 0)
                return bind_error(address);
        if (ret_port)
                *ret_port = (uint16_t) port;
        return 0;
}

static int add_handler(RpcServer *s, const RpcHandler *handler) {
        if (s->started)
                return -EBUSY;
        int r = ARRAY_GROW(s->handlers, s->n_handlers_allocated, s->n_handlers + 1);
        if (r < 0)
                return r;
        s->handlers[s->n_handlers++] = *handler;
        return 0;
}

int rpc_server_add_method(
                RpcServer *s,
                const RpcMethod *method,
                bool needs_certificate,
                rpc_on_request_t on_request,
                void *userdata) {

        if (method->stream)
                return -EINVAL;
        return add_handler(s, &(RpcHandler) {
                        .method = method,
                        .needs_certificate = needs_certificate,
                        .on_request = on_request,
                        .userdata = userdata,
        });
}

int rpc_server_add_stream(
                RpcServer *s,
                const RpcMethod *method,
                bool needs_certificate,
                const RpcSessionHandlers *handlers,
                void *userdata) {

        if (!method->stream)
                return -EINVAL;
        return add_handler(s, &(RpcHandler) {
                        .method = method,
                        .needs_certificate = needs_certificate,
                        .session = handlers,
                        .userdata = userdata,
        });
}

static const RpcHandler *find_handler(RpcServer *s, grpc_slice path) {
        for (size_t i = 0; i < s->n_handlers; i++)
                if (grpc_slice_str_cmp(path, s->handlers[i].method->path) == 0)
                        return s->handlers + i;
        return NULL;
}

/* ---- calls that are refused ---- */

static void refusal_done(RpcOp *op) {
        Refusal *f = op->owner;

        grpc_call_unref(f->call);
        rpc_server_unref(f->server);
        free(f);
}

static int refusal_start(RpcServer *s, grpc_call *call, RpcStatus status, const char *text) {
        grpc_slice details = grpc_slice_from_static_string(text);
        grpc_metadata mark = rpc_mark();
        Refusal *f = new0(Refusal, 1);

        if (!f)
                return -ENOMEM;
        f->server = s;
        f->call = call;
        rpc_op_init(&f->op, s->queue, refusal_done, f);

        const grpc_op ops[] = {
                { .op = GRPC_OP_SEND_INITIAL_METADATA },
                {
                        .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                        .data.send_status_from_server = {
                                .trailing_metadata_count = 1,
                                .trailing_metadata = &mark,
                                .status = (grpc_status_code) status,
                                .status_details = &details,
                        },
                },
                { .op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &f->cancelled },
        };
        int r = rpc_op_start(&f->op, call, ops, ELEMENTSOF(ops));
        if (r < 0) {
                free(f);
                return r;
        }
        rpc_server_ref(s);
        return 0;
}

/* text: static. Takes over call. */
static void refuse(RpcServer *s, grpc_call *call, RpcStatus status, const char *text) {
        if (refusal_start(s, call, status, text) >= 0)
                return;
        grpc_call_cancel_with_status(call, (grpc_status_code) status, text, NULL);
        grpc_call_unref(call);
}

/* ---- accepting ---- */

static int accept_arm(Accept *a);

static void take_call(RpcServer *s, const RpcHandler *handler, grpc_call *call) {
        RpcPeer peer;

        if (!handler) {
                refuse(s, call, RPC_STATUS_UNIMPLEMENTED, "No such method here.");
                return;
        }
        if (s->shut_down) {
                refuse(s, call, RPC_STATUS_UNAVAILABLE, "the server is going away, come back later");
                return;
        }
        if (!rpc_queue_has_room(s->queue, ROOM_FOR_CALL + ROOM_FOR_REFUSALS) ||
            (handler->session ? s->n_sessions >= s->options.sessions_max :
                                s->n_requests >= s->options.requests_max)) {
                refuse(s, call, RPC_STATUS_RESOURCE_EXHAUSTED,
                       "the server has too much to do, come back later");
                return;
        }
        if (rpc_peer_read(call, &peer) < 0) {
                refuse(s, call, RPC_STATUS_RESOURCE_EXHAUSTED, "Out of memory.");
                return;
        }
        if (handler->needs_certificate && !peer.certificate_pem) {
                rpc_peer_done(&peer);
                refuse(s, call, RPC_STATUS_UNAUTHENTICATED, "A client certificate is needed.");
                return;
        }
        if (handler->session)
                rpc_session_accept(s, handler, call, &peer);
        else
                rpc_request_accept(s, handler, call, &peer);
}

static void accept_free(Accept *a) {
        grpc_call_details_destroy(&a->details);
        grpc_metadata_array_destroy(&a->metadata);
        rpc_server_unref(a->server);
        free(a);
}

static void accept_done(RpcOp *op) {
        Accept *a = op->owner;
        RpcServer *s = a->server;
        grpc_call *call = TAKE_PTR(a->call);

        if (!op->ok) {
                /* shutting down */
                accept_free(a);
                return;
        }
        const RpcHandler *handler = find_handler(s, a->details.method);

        /* first of all the next one may come: the place in the mailbox is free at this moment */
        rpc_server_ref(s);
        if (s->shut_down || accept_arm(a) < 0)
                accept_free(a);
        take_call(s, handler, call);
        rpc_server_unref(s);
}

static int accept_arm(Accept *a) {
        grpc_completion_queue *cq = rpc_queue_cq(a->server->queue, a->lane);

        grpc_call_details_destroy(&a->details);
        grpc_metadata_array_destroy(&a->metadata);
        grpc_call_details_init(&a->details);
        grpc_metadata_array_init(&a->metadata);

        int r = rpc_op_begin(&a->op);
        if (r < 0)
                return r;
        if (grpc_server_request_call(
                            a->server->server, &a->call, &a->details, &a->metadata, cq, cq, &a->op) !=
            GRPC_CALL_OK) {
                rpc_op_abandon(&a->op);
                return -EIO;
        }
        return 0;
}

static int accept_new(RpcServer *s, unsigned lane) {
        Accept *a = new0(Accept, 1);

        if (!a)
                return -ENOMEM;
        a->server = rpc_server_ref(s);
        a->lane = lane;
        grpc_call_details_init(&a->details);
        grpc_metadata_array_init(&a->metadata);
        rpc_op_init(&a->op, s->queue, accept_done, a);
        int r = accept_arm(a);
        if (r < 0)
                accept_free(a);
        return r;
}

int rpc_server_start(RpcServer *s) {
        if (s->started || s->shut_down)
                return -EBUSY;
        s->started = true;
        grpc_server_start(s->server);
        for (unsigned lane = 0; lane < rpc_queue_threads(s->queue); lane++)
                for (unsigned i = 0; i < ACCEPTS_PER_THREAD; i++) {
                        int r = accept_new(s, lane);
                        if (r < 0)
                                return r;
                }
        return 0;
}
