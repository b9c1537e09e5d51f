/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The library's completion queues with their threads, and the mailbox through which everything that happens
 * reaches the loop. A process has one, made before the first client or server and freed after the last. All
 * functions of the rpc layer are called on the loop's thread, and all callbacks run there; the threads made
 * here touch nothing but the mailbox. Processes that use this must not fork afterwards. */

#include <systemd/sd-event.h>

#include "macro.h"

typedef struct RpcQueue RpcQueue;

/* threads: 1 for a client; for a server one per core is plenty (0: that number, at most 4). capacity:
 * operations in flight at once, about 4 for each stream; what goes beyond is refused with -ENOBUFS or
 * "resource exhausted". */
int rpc_queue_new(RpcQueue **ret, sd_event *event, unsigned threads, unsigned capacity);

/* Clients and servers must have been freed. Waits for what the library still has to hand back (milliseconds
 * after a cancellation; at most ten seconds), then joins the threads. No callback of a client or server runs
 * in here. */
RpcQueue *rpc_queue_free(RpcQueue *q);
DEFINE_POINTER_CLEANUP(RpcQueue, rpc_queue_free);
