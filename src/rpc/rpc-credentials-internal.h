/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/rpc: the library's objects made from credentials; NULL when the library refuses the
 * material or the side is the wrong one. The caller releases them. */

#include <grpc/grpc_security.h>

#include <stdatomic.h>

#include "rpc-credentials.h"

/* Counts how often the server has proven who it is. Written by the library's threads during handshakes. */
typedef struct RpcProof {
        atomic_uint n_ref;
        atomic_uint count;
} RpcProof;

RpcProof *rpc_proof_new(void);
RpcProof *rpc_proof_ref(RpcProof *p);
RpcProof *rpc_proof_unref(RpcProof *p);

/* The result keeps a reference on proof. */
grpc_channel_credentials *rpc_credentials_channel(const RpcCredentials *c, RpcProof *proof);

/* A port's use of credentials that may be replaced; the library asks it at every handshake. To be released
 * when the server is gone. */
typedef struct RpcPortCredentials RpcPortCredentials;
int rpc_port_credentials_new(RpcCredentials *c, RpcPortCredentials **ret);
RpcPortCredentials *rpc_port_credentials_free(RpcPortCredentials *p);
grpc_server_credentials *rpc_port_credentials_server(RpcPortCredentials *p);
