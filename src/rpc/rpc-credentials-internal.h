/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/rpc: the library's objects made from credentials; NULL when the library refuses the material or
 * the side is the wrong one. The caller releases them. */

#include <grpc/grpc_security.h>

#include "rpc-credentials.h"

grpc_channel_credentials *rpc_credentials_channel(const RpcCredentials *c);
grpc_server_credentials *rpc_credentials_server(const RpcCredentials *c);
