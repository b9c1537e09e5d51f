/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/rpc: the server as its requests and sessions see it. Every one of them holds a reference
 * on it. */

#include "list.h"
#include "rpc-internal.h"
#include "rpc-server.h"

typedef struct RpcHandler RpcHandler;

/* A method that is served. */
struct RpcHandler {
        const RpcMethod *method;
        bool needs_certificate;
        rpc_on_request_t on_request;       /* unary */
        const RpcSessionHandlers *session; /* stream */
        void *userdata;
};

struct RpcServer {
        unsigned n_ref;
        RpcQueue *queue;
        grpc_server *server;
        RpcServerOptions options;
        RpcHandler *handlers;
        size_t n_handlers, n_handlers_allocated;
        struct RpcPortCredentials **ports; /* asked by handshakes until the library's server is gone */
        size_t n_ports, n_ports_allocated;
        LIST_HEAD(RpcSession, sessions);
        unsigned n_sessions, n_requests;
        bool started, shut_down, freed;    /* shut_down: asked for; what is open may go on */
        RpcOp shutdown_op;
        sd_event_source *drain_timer;
        rpc_on_stopped_t on_stopped;
        void *stop_userdata;
};

static inline RpcServer *rpc_server_ref(RpcServer *s) {
        s->n_ref++;
        return s;
}
void rpc_server_unref(RpcServer *s);
/* Says that the server has stopped if that is so; after a session has gone. */
void rpc_server_maybe_stopped(RpcServer *s);

/* Who is at the other end of call. Owns what it points to. */
int rpc_peer_read(grpc_call *call, RpcPeer *ret);
void rpc_peer_done(RpcPeer *p);

/* Both take over call and peer, whatever happens. */
void rpc_request_accept(RpcServer *s, const RpcHandler *handler, grpc_call *call, RpcPeer *peer);
void rpc_session_accept(RpcServer *s, const RpcHandler *handler, grpc_call *call, RpcPeer *peer);

/* The server goes: on_closed runs now, nothing afterwards. Takes the session off the server's list. */
void rpc_session_detach(RpcSession *s, RpcStatus status, const char *text);

/* In the server's list; NULL at its end. */
RpcSession *rpc_session_next(const RpcSession *s);
