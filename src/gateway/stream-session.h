/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One agent's stream, from its certificate to its end. Counted: the rpc session holds one reference until it
 * is closed, each store job another. Loop's thread. */

#include "crypto.h"
#include "fleet.h"
#include "list.h"
#include "messages-pb.h"
#include "rpc-server.h"
#include "stream-registry.h"

typedef enum StreamState {
        STREAM_WAITS_FOR_HELLO,
        STREAM_HELLO_PENDING,                /* in the store */
        STREAM_LIVE,                         /* Welcome sent */
        STREAM_CLOSED,
} StreamState;

struct StreamSession {
        unsigned n_ref;
        Gateway *gateway;
        RpcSession *rpc;                     /* NULL once closed */
        StreamState state;
        char *agent;                         /* what the certificate says */
        char key_hash[2 * SHA256_SIZE + 1];  /* of its key */
        usec_t certificate_expires;          /* CLOCK_REALTIME */
        char token[33];                      /* of this session */
        usec_t opened, last_heard;           /* CLOCK_BOOTTIME */
        usec_t last_seen, last_seen_stored;  /* CLOCK_REALTIME */
        usec_t metadata_expires;             /* as said last */
        usec_t reconcile_at;                 /* CLOCK_REALTIME; USEC_INFINITY: no need */
        bool reconcile_pending;              /* a job is on its way */
        bool entered;                        /* was it ever in the registry? */
        LIST_FIELDS(StreamSession, waiting);
        bool waits;                          /* in the list of those without a Hello */
        unsigned statuses_pending;
        unsigned statuses_strange;           /* acknowledged and thrown away */
};

StreamSession *stream_session_ref(StreamSession *s);
StreamSession *stream_session_unref(StreamSession *s);
DEFINE_POINTER_CLEANUP(StreamSession, stream_session_unref);

void stream_session_close(StreamSession *s, RpcStatus status, const char *text);
void stream_session_welcome(StreamSession *s);
void stream_session_ack(StreamSession *s, const char *instruction, uint64_t sequence);
/* Sends what was decided, if anything. */
void stream_session_order(StreamSession *s, const FleetOrder *o);
/* Sends an instruction, whatever else is going on. */
void stream_session_instruct(StreamSession *s, const FleetOrder *o);
void stream_session_drain(StreamSession *s, unsigned reconnect_after_sec);
