/* SPDX-License-Identifier: Apache-2.0 */

/* One unary call on the server; declared in rpc-server.h. References: one for the handler from on_request
 * until it answers, one for each operation in flight. The library's call is given back as soon as it has
 * ended, even when the handler still works on an answer that nobody will read. */

#include "alloc-util.h"
#include "event-util.h"
#include "rpc-buffer.h"
#include "rpc-server-internal.h"
#include "string-util.h"

#define ANSWER_TIMEOUT (30 * USEC_PER_SEC)
#define TEXT_MAX 512U

struct RpcRequest {
        unsigned n_ref;
        RpcServer *server;
        const RpcHandler *handler;
        grpc_call *call;                   /* NULL once it has ended */
        RpcPeer peer;
        RpcOp receive_op, close_op, answer_op;
        int cancelled;
        grpc_byte_buffer *received, *answer;
        sd_event_source *timer;
        bool closed;
};

static void request_unref(RpcRequest *r) {
        if (--r->n_ref > 0)
                return;
        if (r->call)
                grpc_call_unref(r->call);
        if (r->received)
                grpc_byte_buffer_destroy(r->received);
        if (r->answer)
                grpc_byte_buffer_destroy(r->answer);
        sd_event_source_disable_unref(r->timer);
        rpc_peer_done(&r->peer);
        r->server->n_requests--;
        rpc_server_unref(r->server);
        free(r);
}

static void request_end_call(RpcRequest *r) {
        if (!r->closed || r->receive_op.pending || r->answer_op.pending || !r->call)
                return;
        grpc_call_unref(TAKE_PTR(r->call));
        r->timer = sd_event_source_disable_unref(r->timer);
}

static int request_on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        RpcRequest *r = userdata;

        if (r->call)
                grpc_call_cancel_with_status(r->call, GRPC_STATUS_DEADLINE_EXCEEDED,
                                             "The request or the answer took too long to pass.", NULL);
        return 0;
}

static void request_on_close(RpcOp *op) {
        RpcRequest *r = op->owner;

        r->closed = true;
        request_end_call(r);
        request_unref(r);
}

static void request_on_answered(RpcOp *op) {
        RpcRequest *r = op->owner;

        request_end_call(r);
        request_unref(r);
}

/* Sends an answer (message may be NULL) and a status. */
static int request_finish(RpcRequest *r, grpc_byte_buffer *message, RpcStatus status, const char *text) {
        grpc_slice details = grpc_slice_from_copied_buffer(text, MIN(strlen(text), (size_t) TEXT_MAX));
        grpc_metadata mark = rpc_mark();
        grpc_op ops[3] = { { .op = GRPC_OP_SEND_INITIAL_METADATA } };
        size_t n = 1;
        int k;

        if (message)
                ops[n++] = (grpc_op){ .op = GRPC_OP_SEND_MESSAGE,
                                      .data.send_message.send_message = message };
        ops[n++] = (grpc_op) {
                .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                .data.send_status_from_server = {
                        .trailing_metadata_count = 1,
                        .trailing_metadata = &mark,
                        .status = (grpc_status_code) status,
                        .status_details = &details,
                },
        };

        k =
                        event_timer_arm(rpc_queue_event(r->server->queue), &r->timer, ANSWER_TIMEOUT,
                                        request_on_timeout, r, "rpc-answer-timeout");
        if (k >= 0)
                k = rpc_op_start(&r->answer_op, r->call, ops, n);
        grpc_slice_unref(details);
        if (k < 0)
                grpc_call_cancel_with_status(
                                r->call, GRPC_STATUS_RESOURCE_EXHAUSTED, "The server is busy.", NULL);
        else
                r->n_ref++;
        return k;
}

void rpc_request_refuse(RpcRequest *r, RpcStatus status, const char *text) {
        if (r->call && !r->closed)
                (void) request_finish(r, NULL, status, strempty(text));
        request_unref(r);
}

int rpc_request_answer(RpcRequest *r, const ProtobufCMessage *response) {
        const RpcMethod *method = r->handler->method;
        grpc_slice slice;
        int k = 0;

        if (!r->call || r->closed)
                goto finish;
        k = response->descriptor == method->response ?
                            rpc_buffer_pack(response, method->response_max, &slice) :
                            -EINVAL;
        if (k < 0) {
                (void) request_finish(r, NULL, RPC_STATUS_INTERNAL, "The server's answer cannot be sent.");
                goto finish;
        }
        r->answer = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        k = request_finish(r, r->answer, RPC_STATUS_OK, "");

finish:
        request_unref(r);
        return k;
}

const RpcPeer *rpc_request_peer(const RpcRequest *r) {
        return &r->peer;
}

static void request_on_received(RpcOp *op) {
        RpcRequest *r = op->owner;
        RpcArena *arena = rpc_queue_arena(r->server->queue);
        ProtobufCMessage *message;
        int k;

        event_timer_disarm(r->timer);
        if (!op->ok || !r->received || r->server->freed) {
                if (!r->closed && r->call)
                        grpc_call_cancel_with_status(
                                        r->call, GRPC_STATUS_INVALID_ARGUMENT, "There was no request.",
                                        NULL);
                request_end_call(r);
                request_unref(r);
                return;
        }

        k = rpc_buffer_unpack(
                        r->received, r->handler->method->request, r->handler->method->request_max, arena,
                        &message);
        grpc_byte_buffer_destroy(TAKE_PTR(r->received));
        r->n_ref++;                        /* the handler's */
        if (k < 0)
                rpc_request_refuse(r, RPC_STATUS_INVALID_ARGUMENT, rpc_unpack_error_text(k));
        else
                r->handler->on_request(r, message, r->handler->userdata);
        rpc_arena_reset(arena);
        request_end_call(r);
        request_unref(r);
}

static int request_start(RpcRequest *r) {
        const grpc_op close = {
                .op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                .data.recv_close_on_server.cancelled = &r->cancelled,
        };
        const grpc_op receive = { .op = GRPC_OP_RECV_MESSAGE,
                                  .data.recv_message.recv_message = &r->received };
        int k;

        k = event_timer_arm(rpc_queue_event(r->server->queue), &r->timer, r->server->options.request_timeout,
                            request_on_timeout, r, "rpc-request-timeout");
        if (k < 0)
                return k;
        k = rpc_op_start(&r->close_op, r->call, &close, 1);
        if (k < 0)
                return k;
        r->n_ref++;
        k = rpc_op_start(&r->receive_op, r->call, &receive, 1);
        if (k < 0)
                return k;
        r->n_ref++;
        return 0;
}

void rpc_request_accept(RpcServer *s, const RpcHandler *handler, grpc_call *call, RpcPeer *peer) {
        RpcRequest *r = new0(RpcRequest, 1);

        if (!r) {
                grpc_call_cancel(call, NULL);
                grpc_call_unref(call);
                rpc_peer_done(peer);
                return;
        }
        r->n_ref = 1;
        r->server = rpc_server_ref(s);
        r->handler = handler;
        r->call = call;
        r->peer = *peer;
        s->n_requests++;
        rpc_op_init(&r->receive_op, s->queue, request_on_received, r);
        rpc_op_init(&r->close_op, s->queue, request_on_close, r);
        rpc_op_init(&r->answer_op, s->queue, request_on_answered, r);
        if (request_start(r) < 0)
                grpc_call_cancel(call, NULL);
        request_unref(r);
}
