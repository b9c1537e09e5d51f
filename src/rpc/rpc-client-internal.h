/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/rpc: what calls and streams need of the client that makes them. */

#include "rpc-client.h"
#include "rpc-credentials-internal.h"
#include "rpc-internal.h"

/* A call on a channel that is not sulking about an earlier failure. NULL on lack of memory. */
grpc_call *rpc_client_create_call(RpcClient *c, const RpcMethod *method, usec_t timeout);
RpcQueue *rpc_client_queue(RpcClient *c);
usec_t rpc_client_connect_timeout(const RpcClient *c);

/* What RECV_STATUS_ON_CLIENT fills in. */
typedef struct RpcEnd {
        grpc_metadata_array trailing;
        grpc_status_code code;
        grpc_slice details;
        const char *debug;
        char *text;
        RpcProof *proof;
        unsigned proof_before;             /* the call began */
} RpcEnd;

void rpc_end_init(RpcEnd *e, RpcClient *c);
void rpc_end_done(RpcEnd *e);
grpc_op rpc_end_op(RpcEnd *e);
/* The texts of the result are e's. */
RpcResult rpc_end_result(RpcEnd *e);
