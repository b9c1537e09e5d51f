/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-methods.h"

#include "messages-pb.h"

#define METHOD(name, request_type, response_type, is_stream)            \
        {                                                               \
                .path = "/fleet.v1.AgentGateway/" name,                 \
                .request = &fleet__v1__##request_type##__descriptor,    \
                .response = &fleet__v1__##response_type##__descriptor,  \
                .request_max = RPC_UP_MAX,                              \
                .response_max = RPC_DOWN_MAX,                           \
                .stream = (is_stream),                                  \
        }

const RpcMethod rpc_method_enroll = METHOD("Enroll", enroll_request, enroll_response, false);
const RpcMethod rpc_method_probe = METHOD("Probe", probe_request, probe_response, false);
const RpcMethod rpc_method_renew_certificate =
                METHOD("RenewCertificate", renew_certificate_request, renew_certificate_response, false);
const RpcMethod rpc_method_connect = METHOD("Connect", agent_message, gateway_message, true);
