/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/rpc: the sending half of one call. One batch is outstanding at any time, be it a message
 * or what a stream begins or ends with; messages wait in a bounded queue. Part of a stream or session; every
 * batch in flight holds a reference on the owner, given back last of all (RPC_SENDER_RELEASED). */

#include "rpc-internal.h"
#include "rpc-send.h"

typedef struct RpcSender RpcSender;
typedef struct RpcOutgoing RpcOutgoing;

typedef enum RpcSenderEvent {
        RPC_SENDER_STARTED,   /* the first batch, which opens the stream, is through */
        RPC_SENDER_IDLE,      /* nothing outstanding, nothing queued */
        RPC_SENDER_FAILED,    /* a batch failed: the call is over, its status follows */
        RPC_SENDER_EXHAUSTED, /* a batch could not be started for lack of places: cancel the call */
        RPC_SENDER_STUCK,     /* the peer does not take what is being written */
        RPC_SENDER_RELEASED,  /* a batch was delivered: its reference ends here */
} RpcSenderEvent;

struct RpcSender {
        RpcQueue *queue;
        grpc_call *call;                   /* the owner's */
        size_t max;                        /* of one message */
        RpcSendLimits limits;
        RpcOutgoing *head, *tail;
        unsigned n;
        size_t bytes;
        uint64_t dropped;
        bool started;
        bool writing_message;
        bool failed;
        bool closed;                       /* nothing is accepted any more; what is queued still goes out */
        grpc_byte_buffer *buffer;          /* of the message in flight */
        sd_event_source *timer;
        RpcOp op;
        void (*on_start)(void *owner);                             /* a batch starts: take a reference */
        void (*on_event)(void *owner, RpcSenderEvent event);
        void *owner;
};

/* Zero limits become the defaults. */
void rpc_sender_init(
                RpcSender *s,
                RpcQueue *queue,
                grpc_call *call,
                size_t max,
                const RpcSendLimits *limits,
                void (*on_start)(void *owner),
                void (*on_event)(void *owner, RpcSenderEvent event),
                void *owner);
void rpc_sender_done(RpcSender *s);        /* frees what is queued; nothing may be in flight */

/* As rpc_stream_send(). */
int rpc_sender_push(RpcSender *s, const ProtobufCMessage *message, RpcSendPolicy policy);
/* Starts another batch than a message; only while nothing is outstanding. timeout USEC_INFINITY: none. */
int rpc_sender_run(RpcSender *s, const grpc_op *ops, size_t n, usec_t timeout);
/* Drops what is queued. */
void rpc_sender_flush(RpcSender *s);

static inline bool rpc_sender_is_idle(const RpcSender *s) {
        return !s->op.pending && s->n == 0;
}
