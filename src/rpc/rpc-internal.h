/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/rpc: operations that the library hands back through a completion queue, and what clients
 * and servers need of an RpcQueue. An RpcOp is part of its owner, which must live until the operation has
 * been delivered: owners count references, one for each operation in flight. */

#include <grpc/grpc.h>
#include <systemd/sd-event.h>

#include "mailbox.h"
#include "rpc-codec.h"
#include "rpc-queue.h"
#include "rpc-status.h"
#include "time-util.h"

typedef struct RpcOp RpcOp;
typedef void (*rpc_op_done_t)(RpcOp *op);

struct RpcOp {
        MailboxItem item;                  /* first: the mailbox hands this back */
        RpcQueue *queue;
        rpc_op_done_t done;                /* on the loop */
        void *owner;
        bool pending;                      /* loop's view */
        bool ok;                           /* written by the queue's thread before it posts */
};

void rpc_op_init(RpcOp *op, RpcQueue *queue, rpc_op_done_t done, void *owner);
/* Starts a batch with op as its tag. 0; -ENOBUFS: no place in the mailbox; -EIO: the library refuses (a bug
 * here). */
int rpc_op_start(RpcOp *op, grpc_call *call, const grpc_op *ops, size_t n);
/* For what the library starts otherwise (accepting, shutdown): reserve, then hand op to it as the tag. */
int rpc_op_begin(RpcOp *op);
void rpc_op_abandon(RpcOp *op);            /* it was not started after all */

sd_event *rpc_queue_event(RpcQueue *q);
unsigned rpc_queue_threads(const RpcQueue *q);
grpc_completion_queue *rpc_queue_cq(RpcQueue *q, unsigned i);
bool rpc_queue_has_room(RpcQueue *q, unsigned n);
/* Scratch for unpacking on the loop: one message at a time, gone with the next. */
RpcArena *rpc_queue_arena(RpcQueue *q);

/* Goes with every status that our server sends, by which a client tells its words from a lost connection. */
#define RPC_MARK_KEY "fleet-status"
grpc_metadata rpc_mark(void);

gpr_timespec rpc_deadline(usec_t timeout);

/* Peer as the library names it ("ipv4:192.0.2.1:5", "ipv6:%5B::1%5D:5") made readable; NULL on lack of
 * memory. */
char *rpc_peer_name(const char *peer);
