/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Enroll: a join token and a request become a certificate. First the token is looked at, then the request, so
 * that strangers cost no signature. A token is used up in the same transaction that makes the agent known;
 * the certificate is issued before and handed out after. Who asks again with the same token, id and key, as
 * one does who never got the answer, gets another certificate and uses nothing up. Loop's thread. */

#include "rpc-server.h"

typedef struct Gateway Gateway;

int enroll_service_add(Gateway *g, RpcServer *server);
