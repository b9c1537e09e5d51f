/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-sender.h"

#include "alloc-util.h"
#include "event-util.h"
#include "rpc-buffer.h"

#define DEFAULT_MESSAGES 64U
#define DEFAULT_BYTES MIB(1)
#define DEFAULT_WRITE_TIMEOUT (30 * USEC_PER_SEC)

struct RpcOutgoing {
        RpcOutgoing *next, *prev;
        grpc_slice slice;
        bool droppable;
};

static void unlink_outgoing(RpcSender *s, RpcOutgoing *o) {
        *(o->prev ? &o->prev->next : &s->head) = o->next;
        *(o->next ? &o->next->prev : &s->tail) = o->prev;
        s->n--;
        s->bytes -= GRPC_SLICE_LENGTH(o->slice);
}

static void free_outgoing(RpcOutgoing *o) {
        grpc_slice_unref(o->slice);
        free(o);
}

static bool is_full(const RpcSender *s, size_t size) {
        return s->n >= s->limits.messages || size > s->limits.bytes - MIN(s->bytes, s->limits.bytes);
}

/* Makes room by dropping the oldest droppable messages. */
static bool make_room(RpcSender *s, size_t size) {
        for (RpcOutgoing *o = s->head, *next; o && is_full(s, size); o = next) {
                next = o->next;
                if (!o->droppable)
                        continue;
                unlink_outgoing(s, o);
                free_outgoing(o);
                s->dropped++;
        }
        return !is_full(s, size);
}

static int on_write_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        RpcSender *s = userdata;

        s->on_event(s->owner, RPC_SENDER_STUCK);
        return 0;
}

int rpc_sender_run(RpcSender *s, const grpc_op *ops, size_t n, usec_t timeout) {
        int r;

        r = event_timer_arm(
                        rpc_queue_event(s->queue), &s->timer, timeout, on_write_timeout, s,
                        "rpc-write-timeout");
        if (r < 0)
                return r;
        r = rpc_op_start(&s->op, s->call, ops, n);
        if (r < 0) {
                event_timer_disarm(s->timer);
                return r;
        }
        s->on_start(s->owner);
        return 0;
}

/* Writes the next message. */
static int write_next(RpcSender *s) {
        RpcOutgoing *o = s->head;
        grpc_op op = { .op = GRPC_OP_SEND_MESSAGE };

        s->buffer = grpc_raw_byte_buffer_create(&o->slice, 1);
        op.data.send_message.send_message = s->buffer;
        unlink_outgoing(s, o);
        free_outgoing(o);

        int r = rpc_sender_run(s, &op, 1, s->limits.write_timeout);
        if (r < 0) {
                grpc_byte_buffer_destroy(TAKE_PTR(s->buffer));
                return r;
        }
        s->writing_message = true;
        return 0;
}

static void sender_fail(RpcSender *s, RpcSenderEvent event) {
        s->failed = true;
        rpc_sender_flush(s);
        s->on_event(s->owner, event);
}

static void sender_on_written(RpcOp *op) {
        RpcSender *s = op->owner;

        event_timer_disarm(s->timer);
        if (s->buffer)
                grpc_byte_buffer_destroy(TAKE_PTR(s->buffer));
        s->writing_message = false;

        if (!op->ok || s->failed)
                sender_fail(s, RPC_SENDER_FAILED);
        else {
                if (!s->started)
                        s->on_event(s->owner, RPC_SENDER_STARTED);
                s->started = true;
                if (!s->head)
                        s->on_event(s->owner, RPC_SENDER_IDLE);
                else if (write_next(s) < 0)
                        sender_fail(s, RPC_SENDER_EXHAUSTED);
        }
        s->on_event(s->owner, RPC_SENDER_RELEASED);
}

void rpc_sender_init(
                RpcSender *s,
                RpcQueue *queue,
                grpc_call *call,
                size_t max,
                const RpcSendLimits *limits,
                void (*on_start)(void *owner),
                void (*on_event)(void *owner, RpcSenderEvent event),
                void *owner) {

        *s = (RpcSender) {
                .queue = queue,
                .call = call,
                .max = max,
                .limits = limits ? *limits : (RpcSendLimits) { 0 },
                .on_start = on_start,
                .on_event = on_event,
                .owner = owner,
        };
        if (s->limits.messages == 0)
                s->limits.messages = DEFAULT_MESSAGES;
        if (s->limits.bytes == 0)
                s->limits.bytes = DEFAULT_BYTES;
        if (s->limits.write_timeout == 0)
                s->limits.write_timeout = DEFAULT_WRITE_TIMEOUT;
        rpc_op_init(&s->op, queue, sender_on_written, s);
}

void rpc_sender_flush(RpcSender *s) {
        while (s->head) {
                RpcOutgoing *o = s->head;
                unlink_outgoing(s, o);
                free_outgoing(o);
        }
}

void rpc_sender_done(RpcSender *s) {
        assert(!s->op.pending);
        rpc_sender_flush(s);
        s->timer = sd_event_source_disable_unref(s->timer);
}

int rpc_sender_push(RpcSender *s, const ProtobufCMessage *message, RpcSendPolicy policy) {
        grpc_slice slice;

        if (s->closed || s->failed)
                return -ENOTCONN;
        int r = rpc_buffer_pack(message, s->max, &slice);
        if (r < 0)
                return r;

        size_t size = GRPC_SLICE_LENGTH(slice);
        if (!make_room(s, size)) {
                grpc_slice_unref(slice);
                if (policy == RPC_SEND_KEEP)
                        return -ENOBUFS;
                s->dropped++;
                return RPC_SEND_DROPPED;
        }

        RpcOutgoing *o = new0(RpcOutgoing, 1);
        if (!o) {
                grpc_slice_unref(slice);
                return -ENOMEM;
        }
        *o = (RpcOutgoing) { .prev = s->tail, .slice = slice, .droppable = policy == RPC_SEND_DROPPABLE };
        *(s->tail ? &s->tail->next : &s->head) = o;
        s->tail = o;
        s->n++;
        s->bytes += size;

        if (s->op.pending)
                return 0;
        r = write_next(s);
        if (r < 0)
                sender_fail(s, RPC_SENDER_EXHAUSTED);
        return r;
}
