/* SPDX-License-Identifier: Apache-2.0 */

/* One bidirectional stream on the server; declared in rpc-server.h. References: one is the server's list's
 * until on_closed has run, one is held by each operation in flight. The end is reported when the library
 * says that the call is over and neither a receive nor a write is outstanding. */

#include "alloc-util.h"
#include "event-util.h"
#include "rpc-buffer.h"
#include "rpc-sender.h"
#include "rpc-server-internal.h"
#include "string-util.h"

#define TEXT_MAX 512U

struct RpcSession {
        LIST_FIELDS(RpcSession, sessions);
        unsigned n_ref;
        RpcServer *server;
        const RpcHandler *handler;
        grpc_call *call;
        RpcPeer peer;
        RpcSender sender;
        RpcOp receive_op, close_op;
        grpc_byte_buffer *received;
        int cancelled;                     /* written by the library before close_op comes back */
        void *userdata;

        bool opened, reported;
        bool peer_done; /* it will say no more: closing with OK, unless it turns out to be lost */
        bool closing;                      /* with status and text, after what is queued */
        bool status_sent, call_over;
        RpcStatus status;
        char *text;
        sd_event_source *close_timer;
};

RpcSession *rpc_session_next(const RpcSession *s) {
        return s->sessions_next;
}

static void session_unref(RpcSession *s) {
        if (--s->n_ref > 0)
                return;
        rpc_sender_done(&s->sender);
        sd_event_source_disable_unref(s->close_timer);
        grpc_call_unref(s->call);
        if (s->received)
                grpc_byte_buffer_destroy(s->received);
        rpc_peer_done(&s->peer);
        rpc_server_unref(s->server);
        free(s->text);
        free(s);
}

/* Takes it off the list and says so, once. The caller holds a reference of his own. */
static void session_report(RpcSession *s, RpcStatus status, const char *text) {
        if (s->reported)
                return;
        s->reported = true;
        s->sender.closed = true;
        rpc_sender_flush(&s->sender);
        event_timer_disarm(s->close_timer);
        LIST_REMOVE(sessions, s->server->sessions, s);
        s->server->n_sessions--;
        if (s->opened)
                s->handler->session->on_closed(s, status, text, s->handler->userdata);
        rpc_server_maybe_stopped(s->server);
        session_unref(s);
}

static void session_maybe_finish(RpcSession *s) {
        if (!s->call_over || s->receive_op.pending || s->sender.op.pending)
                return;
        if (s->text && !(s->peer_done && s->cancelled))
                session_report(s, s->status, s->text);
        else
                session_report(s, RPC_STATUS_CANCELLED, "The peer is gone.");
}

/* The first reason counts. */
static void session_set_reason(RpcSession *s, RpcStatus status, const char *text) {
        if (s->text)
                return;
        s->status = status;
        s->text = strjoinf("%.*s", (int) TEXT_MAX, isempty(text) ? rpc_status_to_string(status) : text);
}

void rpc_session_abort(RpcSession *s, RpcStatus status, const char *text) {
        session_set_reason(s, status, text);
        s->closing = true;
        s->sender.closed = true;
        rpc_sender_flush(&s->sender);
        if (!s->call_over)
                grpc_call_cancel_with_status(s->call, (grpc_status_code) status, strempty(s->text), NULL);
}

void rpc_session_detach(RpcSession *s, RpcStatus status, const char *text) {
        s->n_ref++;
        rpc_session_abort(s, status, text);
        session_report(s, s->status, strempty(s->text));
        session_unref(s);
}

/* ---- closing ---- */

static void session_send_status(RpcSession *s) {
        if (s->status_sent || s->call_over || s->sender.failed)
                return;
        s->status_sent = true;

        grpc_slice details = grpc_slice_from_copied_string(strempty(s->text));
        grpc_metadata mark = rpc_mark();
        const grpc_op op = {
                .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                .data.send_status_from_server = {
                        .trailing_metadata_count = 1,
                        .trailing_metadata = &mark,
                        .status = (grpc_status_code) s->status,
                        .status_details = &details,
                },
        };
        int r = rpc_sender_run(&s->sender, &op, 1, s->sender.limits.write_timeout);
        grpc_slice_unref(details);
        if (r < 0)
                grpc_call_cancel_with_status(
                                s->call, GRPC_STATUS_RESOURCE_EXHAUSTED, "The server is busy.", NULL);
}

static int session_on_close_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        RpcSession *s = userdata;

        rpc_session_abort(s, s->status, s->text);
        return 0;
}

void rpc_session_close(RpcSession *s, RpcStatus status, const char *text) {
        if (s->closing || s->reported)
                return;
        session_set_reason(s, status, text);
        s->closing = true;
        s->sender.closed = true;
        if (event_timer_arm(rpc_queue_event(s->server->queue), &s->close_timer,
                            s->sender.limits.write_timeout, session_on_close_timeout, s,
                            "rpc-session-close") < 0)
                rpc_session_abort(s, status, text);
        else if (rpc_sender_is_idle(&s->sender))
                session_send_status(s);
}

static void session_on_call_over(RpcOp *op) {
        RpcSession *s = op->owner;

        s->call_over = true;
        s->sender.closed = true;
        rpc_sender_flush(&s->sender);
        session_maybe_finish(s);
        session_unref(s);
}

/* ---- sending ---- */

static void session_on_send_start(void *owner) {
        RpcSession *s = owner;

        s->n_ref++;
}

static void session_on_sender(void *owner, RpcSenderEvent event) {
        RpcSession *s = owner;

        switch (event) {
        case RPC_SENDER_STARTED:
        case RPC_SENDER_FAILED:
                return;
        case RPC_SENDER_STUCK:
                rpc_session_abort(
                                s, RPC_STATUS_DEADLINE_EXCEEDED,
                                "The peer does not take what is sent to it (write timeout).");
                return;
        case RPC_SENDER_EXHAUSTED:
                rpc_session_abort(s, RPC_STATUS_RESOURCE_EXHAUSTED, "Too many operations in flight.");
                return;
        case RPC_SENDER_IDLE:
                if (s->closing)
                        session_send_status(s);
                return;
        case RPC_SENDER_RELEASED:
                session_maybe_finish(s);
                session_unref(s);
                return;
        }
}

int rpc_session_send(RpcSession *s, const ProtobufCMessage *message, RpcSendPolicy policy) {
        if (message->descriptor != s->handler->method->response)
                return -EINVAL;
        return rpc_sender_push(&s->sender, message, policy);
}

/* ---- receiving ---- */

static int session_receive(RpcSession *s) {
        const grpc_op op = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->received };

        int r = rpc_op_start(&s->receive_op, s->call, &op, 1);
        if (r >= 0)
                s->n_ref++;
        return r;
}

static void session_deliver(RpcSession *s, grpc_byte_buffer *buffer) {
        RpcArena *arena = rpc_queue_arena(s->server->queue);
        const RpcMethod *method = s->handler->method;
        ProtobufCMessage *message;

        int r = rpc_buffer_unpack(buffer, method->request, method->request_max, arena, &message);
        grpc_byte_buffer_destroy(buffer);
        if (r < 0)
                rpc_session_abort(s, RPC_STATUS_INVALID_ARGUMENT, rpc_unpack_error_text(r));
        else
                s->handler->session->on_message(s, message, s->handler->userdata);
        rpc_arena_reset(arena);
}

static void session_on_received(RpcOp *op) {
        RpcSession *s = op->owner;
        grpc_byte_buffer *buffer = TAKE_PTR(s->received);

        if (buffer && (!op->ok || s->closing || s->reported))
                grpc_byte_buffer_destroy(buffer);
        else if (buffer) {
                session_deliver(s, buffer);
                if (!s->closing && !s->reported && session_receive(s) < 0)
                        rpc_session_abort(
                                        s, RPC_STATUS_RESOURCE_EXHAUSTED, "Too many operations in flight.");
        } else if (!s->call_over && !s->closing) {
                /* it has said all that it wanted to, or was lost: close_op tells */
                s->peer_done = true;
                rpc_session_close(s, RPC_STATUS_OK, NULL);
        }
        session_maybe_finish(s);
        session_unref(s);
}

/* ---- life ---- */

static int session_start(RpcSession *s) {
        const grpc_op close = {
                .op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                .data.recv_close_on_server.cancelled = &s->cancelled,
        };
        const grpc_op begin = { .op = GRPC_OP_SEND_INITIAL_METADATA };
        int r;

        r = rpc_op_start(&s->close_op, s->call, &close, 1);
        if (r < 0)
                return r;
        s->n_ref++;
        r = rpc_sender_run(&s->sender, &begin, 1, s->sender.limits.write_timeout);
        if (r < 0)
                return r;
        return session_receive(s);
}

void rpc_session_accept(RpcServer *server, const RpcHandler *handler, grpc_call *call, RpcPeer *peer) {
        RpcSession *s = new0(RpcSession, 1);

        if (!s) {
                grpc_call_cancel(call, NULL);
                grpc_call_unref(call);
                rpc_peer_done(peer);
                return;
        }
        s->n_ref = 1;
        s->server = rpc_server_ref(server);
        s->handler = handler;
        s->call = call;
        s->peer = *peer;
        rpc_op_init(&s->receive_op, server->queue, session_on_received, s);
        rpc_op_init(&s->close_op, server->queue, session_on_call_over, s);
        rpc_sender_init(&s->sender, server->queue, call, handler->method->response_max,
                        &server->options.send_limits, session_on_send_start, session_on_sender, s);
        LIST_PREPEND(sessions, server->sessions, s);
        server->n_sessions++;

        if (session_start(s) < 0) {
                /* never opened: it goes when what has been started comes back, or at once */
                rpc_session_detach(s, RPC_STATUS_RESOURCE_EXHAUSTED, "Too many operations in flight.");
                return;
        }
        s->opened = true;
        handler->session->on_open(s, handler->userdata);
}

const RpcPeer *rpc_session_peer(const RpcSession *s) {
        return &s->peer;
}

void rpc_session_set_userdata(RpcSession *s, void *userdata) {
        s->userdata = userdata;
}

void *rpc_session_get_userdata(const RpcSession *s) {
        return s->userdata;
}

uint64_t rpc_session_dropped(const RpcSession *s) {
        return s->sender.dropped;
}

size_t rpc_session_queued(const RpcSession *s) {
        return s->sender.n + (s->sender.writing_message ? 1 : 0);
}
