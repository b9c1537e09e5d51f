/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who this machine is to its gateway: the gateway's CA, the machine's own key and the certificate for its
 * id, in the state directory and in memory. Certificate, chain and key are one file, so that they always
 * belong together. Secrets are wiped when freed. Owned by the Agent. */

#include "macro.h"
#include "pki-cert.h"
#include "pki-key.h"
#include "rpc-credentials.h"
#include "time-util.h"

typedef struct AgentIdentity AgentIdentity;

/* state_fd: borrowed; all is in its folder "identity", mode 0700, made when it is needed. Damaged files are
 * warned about and treated as absent. */
int agent_identity_new(AgentIdentity **ret, int state_fd);
AgentIdentity *agent_identity_free(AgentIdentity *i);
DEFINE_POINTER_CLEANUP(AgentIdentity, agent_identity_free);

const char *agent_identity_ca_pem(const AgentIdentity *i); /* NULL before the first enrolment */
bool agent_identity_ca_matches(const AgentIdentity *i, const uint8_t pin[static 32]);
const char *agent_identity_id(const AgentIdentity *i); /* what the certificate speaks for, or NULL */
usec_t agent_identity_expires(const AgentIdentity *i); /* realtime, 0 without a certificate */
/* When to ask for another certificate: after two thirds of its life. Realtime, 0 without one. */
usec_t agent_identity_renew_at(const AgentIdentity *i);

/* A CA that matched the pin. Durable. Forgets a certificate that another CA issued. */
int agent_identity_set_ca(AgentIdentity *i, const PkiCert *ca);

/* The key to ask a certificate for: made once and kept until a certificate for it came. Stays the
 * identity's. */
int agent_identity_request_key(AgentIdentity *i, const PkiKey **ret);

/* The answer to a request: must be for the requested key and this id, and verify up to the CA. Durable when
 * it returns 0; -EKEYREJECTED or -EBADMSG with a static sentence. certificate and chain: DER. */
typedef struct AgentCertificate {
        const void *data;
        size_t size;
} AgentCertificate;
int agent_identity_accept(
                AgentIdentity *i,
                const char *id,
                const AgentCertificate *certificate,
                const AgentCertificate *chain,
                size_t n_chain,
                const char **reterr_why);

/* With certificate and key, for the agents' port; -ENOKEY without. */
int agent_identity_credentials(const AgentIdentity *i, RpcCredentials **ret);
/* Server verified, nothing of our own shown: for the enrolment port. */
int agent_identity_enroll_credentials(const AgentIdentity *i, RpcCredentials **ret);
