/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Enroll: a join token and a request become a certificate. A token is used up in the same transaction that
 * makes the agent known; the certificate is issued before and handed out after. Loop's thread. */

#include "rpc-server.h"

typedef struct Gateway Gateway;

int enroll_service_add(Gateway *g, RpcServer *server);
