/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The unary methods of agents that have a certificate: Probe, which says whether a Hello would be welcome,
 * and RenewCertificate; and what they share with Enroll. Loop's thread. */

#include "messages-pb.h"
#include "pki-ca.h"
#include "rpc-server.h"

typedef struct Gateway Gateway;

/* A certificate is renewed when a third of its life is left. */
#define PEER_RENEW_AFTER (2 * PKI_AGENT_LIFETIME / 3)

#define PEER_TOO_MANY_AGENTS "the gateway has as many agents as AgentsMax= allows"
#define PEER_KEY_REPLACED "this certificate was replaced: the agent has a newer one, or was enrolled anew"

int peer_service_add(Gateway *g, RpcServer *server);

/* Signs a request; errors of pki_csr_parse() and pki_ca_issue_agent(). */
int peer_issue(Gateway *g, const ProtobufCBinaryData *csr_der, const char *agent, PkiCert **ret);
#define PEER_KEY_HASH_HEX (2 * SHA256_SIZE)
/* SHA-256 of the public key, as it is kept in the store. */
int peer_key_hash(const PkiCert *c, char ret[static PEER_KEY_HASH_HEX + 1]);
/* Who is at the other end, and with which key. */
int peer_identify(
                const RpcPeer *peer,
                char **ret_agent,
                char ret_key_hash[static PEER_KEY_HASH_HEX + 1],
                usec_t *ret_expires);                        /* may be NULL */
ProtobufCBinaryData peer_certificate_data(const PkiCert *c); /* stays the certificate's */
