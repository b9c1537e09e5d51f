/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gateway's certificate authority and its own server certificate, kept in the state directory: ca.pem,
 * ca.key, server.pem, server.key. Made at the first start; the server's is renewed at a start when it is
 * near its end or its names have changed. The CA's key is in this process alone and never in an answer. */

#include "pki-ca.h"

typedef struct GatewayCa GatewayCa;

/* When this little is left of the server certificate, a new one is issued. */
#define GATEWAY_CA_RENEW_BEFORE (30 * USEC_PER_DAY)

int gateway_ca_open(GatewayCa **ret, int state_fd, char *const *names, usec_t time);
GatewayCa *gateway_ca_free(GatewayCa *c);
DEFINE_POINTER_CLEANUP(GatewayCa, gateway_ca_free);

const PkiCa *gateway_ca_get(const GatewayCa *c);
const char *gateway_ca_pem(const GatewayCa *c);              /* the CA certificate */
const char *gateway_ca_pin(const GatewayCa *c); /* SHA-256 of its DER, hex: what join tokens carry */
const char *gateway_ca_server_pem(const GatewayCa *c);       /* the server's certificate, then the CA's */
const char *gateway_ca_server_key_pem(const GatewayCa *c);
usec_t gateway_ca_server_expires(const GatewayCa *c);
