/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The unary methods: Enroll (a join token and a request become a certificate), Probe, RenewCertificate. A
 * token is used up in the same transaction that makes the agent known; the certificate is issued before and
 * handed out after. Loop's thread. */

#include "rpc-server.h"

typedef struct Gateway Gateway;

/* Adds Enroll to the one server, Probe and RenewCertificate to the other. */
int enroll_service_add(Gateway *g, RpcServer *enroll_server, RpcServer *agent_server);
