/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-queue.h"

#include <grpc/support/log.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "alloc-util.h"
#include "log.h"
#include "rpc-internal.h"
#include "string-util.h"

#define THREADS_MAX 16U
#define DRAIN_TIMEOUT (10 * USEC_PER_SEC)

typedef struct Lane {
        RpcQueue *queue;
        grpc_completion_queue *cq;
        pthread_t thread;
        bool running;
} Lane;

struct RpcQueue {
        sd_event *event;
        Mailbox *mailbox;
        RpcArena *arena;
        unsigned n_lanes;
        Lane lanes[THREADS_MAX];
};

/* ---- the library's own words ---- */

/* It reports every bad handshake as an error; those are other people's mistakes and end in a status or a
 * refused connection, which is logged by whoever decides. */
static void on_library_log(gpr_log_func_args *args) {
        /* the last words before it aborts */
        if (startswith(args->message, "assertion failed"))
                log_error("gRPC: %s (%s:%i)", args->message, args->file, args->line);
        else if (log_get_max_level() >= LOG_DEBUG)
                log_debug("gRPC: %s", args->message);
}

static void library_init(void) {
        gpr_set_log_function(on_library_log);
        gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
        /* Names as libc knows them (nsswitch.conf, systemd-resolved). The library's own resolver asks a DNS
         * server for the other address family of a name that stands in /etc/hosts, which takes seconds where
         * there is none. */
        (void) setenv("GRPC_DNS_RESOLVER", "native", /* overwrite= */ 0);
        grpc_init();
}

/* ---- threads ---- */

/* What starts an operation happens before what is handed back: the library sees to that with locks that the
 * sanitizer does not know, since the library itself is not built with it. So it is told. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define TSAN_RELEASE(p) __tsan_release(p)
#define TSAN_ACQUIRE(p) __tsan_acquire(p)
#else
#define TSAN_RELEASE(p) ((void) 0)
#define TSAN_ACQUIRE(p) ((void) 0)
#endif

static void *lane_run(void *userdata) {
        Lane *lane = userdata;

        for (;;) {
                grpc_event e = grpc_completion_queue_next(
                                lane->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
                if (e.type == GRPC_QUEUE_SHUTDOWN)
                        return NULL;
                if (e.type != GRPC_OP_COMPLETE)
                        continue;

                RpcOp *op = e.tag;
                TSAN_ACQUIRE(op);
                op->ok = e.success != 0;
                mailbox_post(lane->queue->mailbox, &op->item);
        }
}

static int lane_start(Lane *lane, RpcQueue *q) {
        sigset_t all, old;

        lane->queue = q;
        lane->cq = grpc_completion_queue_create_for_next(NULL);
        if (!lane->cq)
                return -ENOMEM;

        /* signals are the loop's */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        int r = pthread_create(&lane->thread, NULL, lane_run, lane);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r != 0)
                return -r;
        (void) pthread_setname_np(lane->thread, "rpc-queue");
        lane->running = true;
        return 0;
}

static void lane_stop(Lane *lane) {
        if (!lane->cq)
                return;
        grpc_completion_queue_shutdown(lane->cq);
        if (lane->running)
                pthread_join(lane->thread, NULL);
        else
                /* nobody drained it: it must be seen empty before it may go */
                while (grpc_completion_queue_next(lane->cq, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL).type !=
                       GRPC_QUEUE_SHUTDOWN)
                        ;
        grpc_completion_queue_destroy(lane->cq);
}

int rpc_queue_new(RpcQueue **ret, sd_event *event, unsigned threads, unsigned capacity) {
        _cleanup_(rpc_queue_freep) RpcQueue *q = NULL;
        int r;

        if (threads == 0) {
                long cores = sysconf(_SC_NPROCESSORS_ONLN);
                threads = (unsigned) CLAMP(cores, 1L, 4L);
        }
        if (threads > THREADS_MAX || capacity == 0)
                return -EINVAL;

        q = new0(RpcQueue, 1);
        if (!q)
                return -ENOMEM;
        library_init();
        q->event = sd_event_ref(event);
        r = mailbox_new(&q->mailbox, event, capacity, "rpc-mailbox");
        if (r < 0)
                return r;
        r = rpc_arena_new(&q->arena, RPC_ARENA_MAX);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < threads; i++) {
                q->n_lanes = i + 1;
                r = lane_start(q->lanes + i, q);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(q);
        return 0;
}

/* Everything in flight comes back once it has been cancelled. True if it did in time. */
static bool queue_drain(RpcQueue *q) {
        usec_t end = usec_add(now(CLOCK_MONOTONIC), DRAIN_TIMEOUT);

        while (mailbox_reserved(q->mailbox) > 0) {
                if (now(CLOCK_MONOTONIC) >= end)
                        return false;
                (void) mailbox_wait(q->mailbox, 100);
                (void) mailbox_dispatch(q->mailbox, 0);
        }
        return true;
}

RpcQueue *rpc_queue_free(RpcQueue *q) {
        if (!q)
                return NULL;

        if (q->mailbox && !queue_drain(q)) {
                /* to free it now would be to write to freed memory later */
                log_error("Operations are in flight although clients and servers are gone, leaving them.");
                return NULL;
        }
        for (unsigned i = 0; i < q->n_lanes; i++)
                lane_stop(q->lanes + i);
        mailbox_free(q->mailbox);
        rpc_arena_free(q->arena);
        sd_event_unref(q->event);
        free(q);
        grpc_shutdown();
        return NULL;
}

/* ---- operations ---- */

static void op_deliver(MailboxItem *item) {
        RpcOp *op = container_of(item, RpcOp, item);

        op->pending = false;
        op->done(op);
}

void rpc_op_init(RpcOp *op, RpcQueue *queue, rpc_op_done_t done, void *owner) {
        *op = (RpcOp) { .item.deliver = op_deliver, .queue = queue, .done = done, .owner = owner };
}

int rpc_op_begin(RpcOp *op) {
        assert(!op->pending);
        int r = mailbox_reserve(op->queue->mailbox);
        if (r < 0)
                return r;
        op->pending = true;
        TSAN_RELEASE(op);
        return 0;
}

void rpc_op_abandon(RpcOp *op) {
        op->pending = false;
        mailbox_release(op->queue->mailbox);
}

int rpc_op_start(RpcOp *op, grpc_call *call, const grpc_op *ops, size_t n) {
        int r = rpc_op_begin(op);
        if (r < 0)
                return r;
        grpc_call_error e = grpc_call_start_batch(call, ops, n, op, NULL);
        if (e == GRPC_CALL_OK)
                return 0;
        rpc_op_abandon(op);
        return log_debug_errno(-EIO, "gRPC refused a batch: %s", grpc_call_error_to_string(e));
}

sd_event *rpc_queue_event(RpcQueue *q) {
        return q->event;
}

unsigned rpc_queue_threads(const RpcQueue *q) {
        return q->n_lanes;
}

grpc_completion_queue *rpc_queue_cq(RpcQueue *q, unsigned i) {
        return q->lanes[i % q->n_lanes].cq;
}

bool rpc_queue_has_room(RpcQueue *q, unsigned n) {
        return mailbox_has_room(q->mailbox, n);
}

RpcArena *rpc_queue_arena(RpcQueue *q) {
        return q->arena;
}

grpc_metadata rpc_mark(void) {
        return (grpc_metadata) {
                .key = grpc_slice_from_static_string(RPC_MARK_KEY),
                .value = grpc_slice_from_static_string("1"),
        };
}

gpr_timespec rpc_deadline(usec_t timeout) {
        if (timeout == USEC_INFINITY)
                return gpr_inf_future(GPR_CLOCK_MONOTONIC);
        return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                            gpr_time_from_micros((int64_t) MIN(timeout, 365 * USEC_PER_DAY), GPR_TIMESPAN));
}

char *rpc_peer_name(const char *peer) {
        static const char *const schemes[] = { "ipv4:", "ipv6:" };
        char *name, *out;

        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                peer = startswith(peer, schemes[i]) ?: peer;
        name = out = malloc(strlen(peer) + 1);
        if (!name)
                return NULL;
        while (*peer) {
                const char *rest;

                if ((rest = startswith(peer, "%5B")))
                        *out++ = '[';
                else if ((rest = startswith(peer, "%5D")))
                        *out++ = ']';
                else if ((rest = startswith(peer, "%25")))
                        *out++ = '%';
                else {
                        *out++ = *peer++;
                        continue;
                }
                peer = rest;
        }
        *out = '\0';
        return name;
}
