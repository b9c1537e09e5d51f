/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The server's side: ports, unary methods that may be answered later, and bidirectional streams, here called
 * sessions. Everything on the loop's thread. A port has its own credentials; who wants a method on one port
 * only makes a second server on the same queue, or sets needs_certificate. Garbage, unknown methods,
 * oversized or malformed messages, silent and slow peers are dealt with here and never reach a handler. */

#include "macro.h"
#include "rpc-credentials.h"
#include "rpc-methods.h"
#include "rpc-queue.h"
#include "rpc-send.h"
#include "rpc-status.h"
#include "time-util.h"

typedef struct RpcServer RpcServer;
typedef struct RpcRequest RpcRequest;
typedef struct RpcSession RpcSession;

typedef struct RpcServerOptions {
        unsigned sessions_max;             /* open at once, over all connections; 0: 4096 */
        unsigned requests_max;             /* unary calls at once; 0: 256 */
        usec_t request_timeout;            /* for the one message of a unary call to arrive; 0: 10 s */
        usec_t keepalive_time;             /* silence before a ping; 0: 30 s */
        usec_t keepalive_timeout;          /* then the peer is gone; 0: 20 s */
        usec_t min_ping_interval;          /* clients that ping faster are sent away; 0: 5 s */
        RpcSendLimits send_limits;         /* of every session */
} RpcServerOptions;

/* Who is at the other end. */
typedef struct RpcPeer {
        const char *address;               /* "192.0.2.7:41234", "[2001:db8::1]:41234", "unix:" */
        const char *certificate_pem; /* the verified leaf certificate; NULL when none was asked for. What it
                                        says is pki-cert.h's business: pki_cert_agent_id() */
} RpcPeer;

int rpc_server_new(RpcServer **ret, RpcQueue *queue, const RpcServerOptions *options /* may be NULL */);
/* Closes what is open: on_closed runs for every session before this returns, nothing afterwards. Requests
 * not yet answered stay valid and must still be answered (into the void). */
RpcServer *rpc_server_free(RpcServer *s);
DEFINE_POINTER_CLEANUP(RpcServer, rpc_server_free);

/* Before rpc_server_start(). address: "host:port", port 0: any, found in *ret_port. The server keeps a
 * reference on the credentials; whoever keeps them too may replace what is in them later, see
 * rpc-credentials.h. -EADDRINUSE when it cannot be bound, -EKEYREJECTED when the credentials do not fit
 * together. */
int rpc_server_add_port(RpcServer *s, const char *address, RpcCredentials *credentials, uint16_t *ret_port);

/* ---- unary ---- */

/* message: of the method's request type, valid in the callback alone. The handler now owns r and must end it
 * with exactly one rpc_request_answer() or rpc_request_refuse(), now or later, also when the client has
 * gone. */
typedef void (*rpc_on_request_t)(RpcRequest *r, const ProtobufCMessage *message, void *userdata);

int rpc_server_add_method(
                RpcServer *s,
                const RpcMethod *method,
                bool needs_certificate,
                rpc_on_request_t on_request,
                void *userdata);
const RpcPeer *rpc_request_peer(const RpcRequest *r);
/* Both consume r, whatever they return. */
int rpc_request_answer(RpcRequest *r, const ProtobufCMessage *response);
void rpc_request_refuse(RpcRequest *r, RpcStatus status, const char *text);

/* ---- sessions ---- */

typedef struct RpcSessionHandlers {
        /* A new session; rpc_session_set_userdata() and rpc_session_close() are allowed in here. */
        void (*on_open)(RpcSession *s, void *server_userdata);
        /* A message of the method's request type, valid in the callback alone. */
        void (*on_message)(RpcSession *s, const ProtobufCMessage *message, void *server_userdata);
        /* The end, exactly once after on_open; the pointer is invalid afterwards. status, text: what the
         * session was closed with here, else CANCELLED with why the peer was lost ("keepalive", "write
         * timeout", ...). */
        void (*on_closed)(RpcSession *s, RpcStatus status, const char *text, void *server_userdata);
} RpcSessionHandlers;

int rpc_server_add_stream(RpcServer *s, const RpcMethod *method, bool needs_certificate,
                          const RpcSessionHandlers *handlers, void *server_userdata);

const RpcPeer *rpc_session_peer(const RpcSession *s);
void rpc_session_set_userdata(RpcSession *s, void *userdata);
void *rpc_session_get_userdata(const RpcSession *s);

/* 0; RPC_SEND_DROPPED; -ENOBUFS; -EMSGSIZE; -EINVAL; -ENOTCONN when it is closing. */
int rpc_session_send(RpcSession *s, const ProtobufCMessage *message, RpcSendPolicy policy);
/* Sends what is queued, then the status; no more on_message. A peer that does not take it is cancelled after
 * the write timeout. on_closed follows later, never from within. Closing twice changes nothing. */
void rpc_session_close(RpcSession *s, RpcStatus status, const char *text);
/* The same at once: what is queued is lost. */
void rpc_session_abort(RpcSession *s, RpcStatus status, const char *text);
/* When the peer closes its direction the session is closed with OK, after what is queued. */
uint64_t rpc_session_dropped(const RpcSession *s);
size_t rpc_session_queued(const RpcSession *s);

/* ---- life ---- */

int rpc_server_start(RpcServer *s);
unsigned rpc_server_sessions(const RpcServer *s);          /* open now */

/* No new connections and calls from now on; on_drain (may be NULL) runs for each session, to send it a last
 * message; each is then closed with UNAVAILABLE; what is still there after timeout is cancelled. on_stopped
 * runs once, when nothing is left; the server may be freed within it. */
typedef void (*rpc_on_drain_t)(RpcSession *s, void *userdata);
typedef void (*rpc_on_stopped_t)(RpcServer *s, void *userdata);
int rpc_server_drain(
                RpcServer *s,
                usec_t timeout,
                rpc_on_drain_t on_drain,
                rpc_on_stopped_t on_stopped,
                void *userdata);
