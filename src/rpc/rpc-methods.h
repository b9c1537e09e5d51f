/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The methods of fleet.v1.AgentGateway, once for both sides, with what a message may weigh on the wire. */

#include <protobuf-c/protobuf-c.h>

#include "macro.h"

#define RPC_UP_MAX 65536U              /* a message from an agent */
#define RPC_DOWN_MAX 262144U           /* a message from the gateway */

typedef struct RpcMethod {
        const char *path;                                  /* "/fleet.v1.AgentGateway/Connect" */
        const ProtobufCMessageDescriptor *request;
        const ProtobufCMessageDescriptor *response;
        size_t request_max;
        size_t response_max;
        bool stream;                                       /* both ways; else unary */
} RpcMethod;

extern const RpcMethod rpc_method_enroll;
extern const RpcMethod rpc_method_probe;
extern const RpcMethod rpc_method_renew_certificate;
extern const RpcMethod rpc_method_connect;
