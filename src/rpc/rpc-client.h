/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The client's side: a connection to one server, unary calls and bidirectional streams on it. Everything on
 * the loop's thread; callbacks too, and never from within the function that starts something. Freeing a call
 * or a stream cancels it when it is still running; no callback runs after that; freeing it within its own
 * callback is fine. Nothing reconnects or retries by itself: who wants another attempt starts one. A dead
 * server is told at once (no waiting for readiness) or after connect_timeout at the latest. */

#include "macro.h"
#include "rpc-credentials.h"
#include "rpc-methods.h"
#include "rpc-queue.h"
#include "rpc-send.h"
#include "rpc-status.h"
#include "time-util.h"

typedef struct RpcClient RpcClient;
typedef struct RpcCall RpcCall;
typedef struct RpcStream RpcStream;

typedef struct RpcClientOptions {
        const char *address;               /* "host:port", "[v6]:port"; copied */
        const char *server_name; /* name in the server's certificate when it is not the host; may be NULL */
        const char *user_agent;            /* "fleet-agent/1.0.0"; may be NULL */
        RpcCredentials *credentials;       /* needed during rpc_client_new() only */
        usec_t connect_timeout;            /* name, TCP and TLS; 0: 20 s */
        usec_t keepalive_time; /* silence before a ping; 0: 30 s, at least 10 s unless for tests */
        usec_t keepalive_timeout;          /* then the connection is dead; 0: 20 s */
        bool no_proxy;                     /* ignore http_proxy and the like */
} RpcClientOptions;

int rpc_client_new(RpcClient **ret, RpcQueue *queue, const RpcClientOptions *options);
/* Calls and streams must have been freed before. */
RpcClient *rpc_client_free(RpcClient *c);
DEFINE_POINTER_CLEANUP(RpcClient, rpc_client_free);

/* ---- unary ---- */

/* response: NULL unless result->status is OK. Runs exactly once. */
typedef void (*rpc_on_response_t)(RpcCall *call, const RpcResult *result, const ProtobufCMessage *response,
                                  void *userdata);

/* timeout: for the whole call, connecting included; required. Errors: -EMSGSIZE, -EINVAL (a text that is no
 * UTF-8 or too long), -ENOBUFS, -ENOMEM. */
int rpc_call_start(RpcClient *c, const RpcMethod *method, const ProtobufCMessage *request, usec_t timeout,
                   rpc_on_response_t on_response, void *userdata, RpcCall **ret);
RpcCall *rpc_call_free(RpcCall *call);
DEFINE_POINTER_CLEANUP(RpcCall, rpc_call_free);

/* ---- stream ---- */

typedef struct RpcStreamHandlers {
        /* A message of the method's response type. */
        void (*on_message)(RpcStream *s, const ProtobufCMessage *message, void *userdata);
        /* The end, exactly once; only rpc_stream_free() is allowed on the stream from then on. */
        void (*on_closed)(RpcStream *s, const RpcResult *result, void *userdata);
        /* The queue has become empty after it was not; may be NULL. */
        void (*on_drained)(RpcStream *s, void *userdata);
} RpcStreamHandlers;

/* handlers: static. limits: NULL for the defaults of rpc-send.h. Messages may be sent at once; they wait for
 * the connection. Errors: -ENOBUFS, -ENOMEM; whatever concerns the network comes as on_closed. */
int rpc_stream_open(RpcClient *c, const RpcMethod *method, const RpcSendLimits *limits,
                    const RpcStreamHandlers *handlers, void *userdata, RpcStream **ret);
RpcStream *rpc_stream_free(RpcStream *s);
DEFINE_POINTER_CLEANUP(RpcStream, rpc_stream_free);

/* Packs and queues, see rpc-send.h for the policies. 0; RPC_SEND_DROPPED; -ENOBUFS; -EMSGSIZE; -EINVAL (text
 * that is no UTF-8 or too long); -ENOTCONN after the stream was closed from either side. */
int rpc_stream_send(RpcStream *s, const ProtobufCMessage *message, RpcSendPolicy policy);

/* Sends what is queued, says that nothing more will come, and leaves timeout for the server to end the
 * stream, then cancels. on_closed follows in any case. */
int rpc_stream_close(RpcStream *s, usec_t timeout);

uint64_t rpc_stream_dropped(const RpcStream *s);           /* messages dropped so far */
size_t rpc_stream_queued(const RpcStream *s);              /* messages waiting or in flight */
/* "192.0.2.1:7443" once connected, else NULL; stays the stream's. */
const char *rpc_stream_peer(const RpcStream *s);
