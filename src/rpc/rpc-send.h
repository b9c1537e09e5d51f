/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The bounded send queue that client and server streams share: one write outstanding, a cap on messages and
 * on bytes, and for each message a policy for the case that the queue is full. */

#include "macro.h"
#include "time-util.h"

typedef enum RpcSendPolicy {
        RPC_SEND_KEEP,      /* instructions, final statuses: never dropped; full queue: -ENOBUFS */
        RPC_SEND_DROPPABLE, /* telemetry: the oldest droppable one gives way, and is counted */
} RpcSendPolicy;

enum {
        RPC_SEND_DROPPED = 1, /* the queue is full of messages to keep: this droppable one was dropped */
};

typedef struct RpcSendLimits {
        unsigned messages;                 /* 0: 64 */
        size_t bytes;                      /* 0: 1 MiB */
        usec_t write_timeout;              /* a write the peer does not take ends the stream; 0: 30 s */
} RpcSendLimits;
