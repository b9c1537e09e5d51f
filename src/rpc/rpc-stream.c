/* SPDX-License-Identifier: Apache-2.0 */

/* A client's bidirectional stream; declared in rpc-client.h. References: one is the caller's, one is held by
 * each operation in flight. The end is reported when the status has come and no receive is outstanding any
 * more, whichever of the two the queue's threads deliver first. */

#include <grpc/support/alloc.h>

#include "alloc-util.h"
#include "event-util.h"
#include "rpc-buffer.h"
#include "rpc-client-internal.h"
#include "rpc-sender.h"
#include "string-util.h"

struct RpcStream {
        unsigned n_ref;
        RpcQueue *queue;
        const RpcMethod *method;
        grpc_call *call;
        RpcSender sender;
        RpcOp receive_op, status_op;
        grpc_metadata_array initial;
        grpc_byte_buffer *received;
        RpcEnd end;
        const RpcStreamHandlers *handlers;
        void *userdata;
        usec_t connect_timeout;
        char *peer;

        RpcResult local;                   /* why we ended it ourselves: text set, static */
        bool freed;                        /* by the caller: no more callbacks */
        bool status_known, closed;         /* closed: reported */
        bool closing, half_closed;
        sd_event_source *timer;            /* first for connecting, later for closing */
};

static void stream_unref(RpcStream *s) {
        if (--s->n_ref > 0)
                return;
        rpc_sender_done(&s->sender);
        sd_event_source_disable_unref(s->timer);
        if (s->call)
                grpc_call_unref(s->call);
        if (s->received)
                grpc_byte_buffer_destroy(s->received);
        grpc_metadata_array_destroy(&s->initial);
        rpc_end_done(&s->end);
        free(s->peer);
        free(s);
}

/* text: static. The first reason counts. */
static void stream_cancel(RpcStream *s, RpcStatus status, RpcFailure failure, const char *text) {
        if (!s->local.text)
                s->local = (RpcResult) { .status = status, .failure = failure, .text = text };
        rpc_sender_flush(&s->sender);
        s->sender.closed = true;
        grpc_call_cancel_with_status(s->call, (grpc_status_code) status, text, NULL);
}

static void stream_maybe_finish(RpcStream *s) {
        if (!s->status_known || s->receive_op.pending || s->closed)
                return;
        s->closed = true;
        s->sender.closed = true;
        rpc_sender_flush(&s->sender);
        event_timer_disarm(s->timer);
        if (s->freed)
                return;
        RpcResult result = rpc_end_result(&s->end);
        if (s->local.text)
                result = s->local;
        s->handlers->on_closed(s, &result, s->userdata);
}

/* ---- receiving ---- */

static int stream_receive(RpcStream *s, bool first) {
        grpc_op ops[2] = {
                { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->received },
                { .op = GRPC_OP_RECV_INITIAL_METADATA,
                  .data.recv_initial_metadata.recv_initial_metadata = &s->initial },
        };

        int r = rpc_op_start(&s->receive_op, s->call, ops, first ? 2 : 1);
        if (r >= 0)
                s->n_ref++;
        return r;
}

static void stream_deliver(RpcStream *s, grpc_byte_buffer *buffer) {
        ProtobufCMessage *message;

        int r = rpc_buffer_unpack(
                        buffer, s->method->response, s->method->response_max, rpc_queue_arena(s->queue),
                        &message);
        grpc_byte_buffer_destroy(buffer);
        if (r < 0)
                stream_cancel(s, RPC_STATUS_INTERNAL, RPC_FAILURE_LOCAL, rpc_unpack_error_text(r));
        else
                s->handlers->on_message(s, message, s->userdata);
        rpc_arena_reset(rpc_queue_arena(s->queue));
}

static void stream_on_received(RpcOp *op) {
        RpcStream *s = op->owner;
        grpc_byte_buffer *buffer = TAKE_PTR(s->received);

        if (buffer && (!op->ok || s->freed || s->local.text))
                grpc_byte_buffer_destroy(TAKE_PTR(buffer));
        if (buffer) {
                stream_deliver(s, buffer);
                if (!s->freed && !s->local.text && stream_receive(s, /* first= */ false) < 0)
                        stream_cancel(s, RPC_STATUS_RESOURCE_EXHAUSTED, RPC_FAILURE_LOCAL,
                                      "Too many operations in flight.");
        }
        stream_maybe_finish(s);
        stream_unref(s);
}

static void stream_on_status(RpcOp *op) {
        RpcStream *s = op->owner;

        s->status_known = true;
        stream_maybe_finish(s);
        stream_unref(s);
}

/* ---- sending ---- */

static void stream_on_connected(RpcStream *s) {
        if (!s->closing)
                event_timer_disarm(s->timer);

        char *peer = grpc_call_get_peer(s->call);
        s->peer = rpc_peer_name(peer);
        gpr_free(peer);
}

static void stream_half_close(RpcStream *s) {
        grpc_op op = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };

        if (s->half_closed || s->sender.failed || s->local.text)
                return;
        s->half_closed = true;
        if (rpc_sender_run(&s->sender, &op, 1, USEC_INFINITY) < 0)
                stream_cancel(s, RPC_STATUS_RESOURCE_EXHAUSTED, RPC_FAILURE_LOCAL,
                              "Too many operations in flight.");
}

static void stream_on_sender(void *owner, RpcSenderEvent event) {
        RpcStream *s = owner;

        switch (event) {
        case RPC_SENDER_RELEASED:
                stream_unref(s);
                return;
        case RPC_SENDER_STUCK:
                stream_cancel(s, RPC_STATUS_DEADLINE_EXCEEDED, RPC_FAILURE_DEADLINE,
                              "The server does not take what is sent to it.");
                return;
        case RPC_SENDER_STARTED:
                stream_on_connected(s);
                return;
        case RPC_SENDER_EXHAUSTED:
                stream_cancel(s, RPC_STATUS_RESOURCE_EXHAUSTED, RPC_FAILURE_LOCAL,
                              "Too many operations in flight.");
                return;
        case RPC_SENDER_FAILED:
                /* the status that follows says why */
                return;
        case RPC_SENDER_IDLE:
                if (s->closing)
                        stream_half_close(s);
                else if (!s->freed && !s->closed && s->handlers->on_drained)
                        s->handlers->on_drained(s, s->userdata);
                return;
        }
}

static void stream_on_send_start(void *owner) {
        RpcStream *s = owner;

        s->n_ref++;
}

/* This first batch comes back when there is a connection; messages wait behind it. */
static int stream_begin(RpcStream *s) {
        grpc_op op = { .op = GRPC_OP_SEND_INITIAL_METADATA };

        return rpc_sender_run(&s->sender, &op, 1, USEC_INFINITY);
}

static int stream_on_connect_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        RpcStream *s = userdata;

        if (s->closing)
                stream_cancel(s, RPC_STATUS_CANCELLED, RPC_FAILURE_LOCAL,
                              "The server did not end the stream in time.");
        else
                stream_cancel(s, RPC_STATUS_UNAVAILABLE, RPC_FAILURE_UNREACHABLE,
                              "No connection within the time allowed.");
        return 0;
}

/* ---- life ---- */

static int stream_start(RpcStream *s) {
        grpc_op status = rpc_end_op(&s->end);
        int r;

        r = event_timer_arm(
                        rpc_queue_event(s->queue), &s->timer, s->connect_timeout, stream_on_connect_timeout,
                        s, "rpc-stream");
        if (r < 0)
                return r;
        r = rpc_op_start(&s->status_op, s->call, &status, 1);
        if (r < 0)
                return r;
        s->n_ref++;
        r = stream_begin(s);
        if (r < 0)
                return r;
        return stream_receive(s, /* first= */ true);
}

int rpc_stream_open(
                RpcClient *client, const RpcMethod *method, const RpcSendLimits *limits,
                const RpcStreamHandlers *handlers, void *userdata, RpcStream **ret) {

        _cleanup_(rpc_stream_freep) RpcStream *s = NULL;
        int r;

        if (!method->stream)
                return -EINVAL;
        s = new0(RpcStream, 1);
        if (!s)
                return -ENOMEM;
        s->n_ref = 1;
        s->queue = rpc_client_queue(client);
        s->method = method;
        s->handlers = handlers;
        s->userdata = userdata;
        s->connect_timeout = rpc_client_connect_timeout(client);
        grpc_metadata_array_init(&s->initial);
        rpc_end_init(&s->end, client);
        rpc_op_init(&s->receive_op, s->queue, stream_on_received, s);
        rpc_op_init(&s->status_op, s->queue, stream_on_status, s);
        s->call = rpc_client_create_call(client, method, USEC_INFINITY);
        rpc_sender_init(&s->sender, s->queue, s->call, method->request_max, limits, stream_on_send_start,
                        stream_on_sender, s);
        if (!s->call)
                return -ENOMEM;
        r = stream_start(s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

RpcStream *rpc_stream_free(RpcStream *s) {
        if (!s)
                return NULL;
        s->freed = true;
        s->timer = sd_event_source_disable_unref(s->timer);
        s->sender.timer = sd_event_source_disable_unref(s->sender.timer);
        s->sender.closed = true;
        rpc_sender_flush(&s->sender);
        if (s->call && !s->status_known)
                grpc_call_cancel(s->call, NULL);
        stream_unref(s);
        return NULL;
}

int rpc_stream_send(RpcStream *s, const ProtobufCMessage *message, RpcSendPolicy policy) {
        if (message->descriptor != s->method->request)
                return -EINVAL;
        return rpc_sender_push(&s->sender, message, policy);
}

int rpc_stream_close(RpcStream *s, usec_t timeout) {
        if (s->closed || s->closing || s->local.text)
                return 0;
        s->closing = true;
        s->sender.closed = true;
        int r = event_timer_arm(
                        rpc_queue_event(s->queue), &s->timer, timeout, stream_on_connect_timeout, s,
                        "rpc-stream");
        if (r < 0)
                return r;
        if (rpc_sender_is_idle(&s->sender))
                stream_half_close(s);
        return 0;
}

uint64_t rpc_stream_dropped(const RpcStream *s) {
        return s->sender.dropped;
}

size_t rpc_stream_queued(const RpcStream *s) {
        return s->sender.n + (s->sender.writing_message ? 1 : 0);
}

const char *rpc_stream_peer(const RpcStream *s) {
        return s->peer;
}
