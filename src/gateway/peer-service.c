/* SPDX-License-Identifier: Apache-2.0 */
#include "peer-service.h"

#include "alloc-util.h"
#include "gateway.h"
#include "hex.h"
#include "log.h"
#include "messages.h"
#include "pki-csr.h"
#include "string-util.h"

int peer_issue(Gateway *g, const ProtobufCBinaryData *csr_der, const char *agent, PkiCert **ret) {
        _cleanup_(pki_csr_freep) PkiCsr *csr = NULL;
        int r;

        r = pki_csr_parse(csr_der->data, csr_der->len, &csr);
        if (r < 0)
                return r;
        return pki_ca_issue_agent(gateway_ca_get(g->ca), csr, agent, now(CLOCK_REALTIME), 0, ret);
}

int peer_key_hash(const PkiCert *c, char ret[static PEER_KEY_HASH_HEX + 1]) {
        uint8_t hash[SHA256_SIZE];
        int r;

        r = pki_cert_key_hash(c, hash);
        if (r >= 0)
                hex_encode(hash, sizeof(hash), ret);
        return r;
}

ProtobufCBinaryData peer_certificate_data(const PkiCert *c) {
        size_t size;
        const void *der = pki_cert_der(c, &size);

        return (ProtobufCBinaryData){ .data = (uint8_t *) der, .len = size };
}

static void refuse_csr(RpcRequest *q, int error) {
        if (error == -ENOMEM)
                rpc_request_refuse(q, RPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
        else if (error == -ENOTSUP)
                rpc_request_refuse(
                                q, RPC_STATUS_INVALID_ARGUMENT,
                                "the certificate request must be for a P-256 key");
        else if (error == -EKEYEXPIRED)
                rpc_request_refuse(q, RPC_STATUS_FAILED_PRECONDITION, "the gateway's CA has expired");
        else
                rpc_request_refuse(
                                q, RPC_STATUS_INVALID_ARGUMENT,
                                "the certificate request is malformed or not signed by its key");
}

int peer_identify(
                const RpcPeer *peer,
                char **ret_agent,
                char ret_key_hash[static PEER_KEY_HASH_HEX + 1],
                usec_t *ret_expires) {
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        int r;

        if (!peer->certificate_pem)
                return -EACCES;
        r = pki_cert_parse_pem(peer->certificate_pem, strlen(peer->certificate_pem), &cert);
        if (r >= 0)
                r = peer_key_hash(cert, ret_key_hash);
        if (r >= 0)
                r = pki_cert_agent_id(cert, ret_agent);
        if (r >= 0 && ret_expires)
                *ret_expires = pki_cert_not_after(cert);
        return r;
}

/* ---- Probe ---- */

typedef struct ProbeJob {
        StoreJob job;
        Gateway *gateway;
        RpcRequest *request;
        char *agent;
        char key_hash[PEER_KEY_HASH_HEX + 1];
} ProbeJob;

static void probe_free(ProbeJob *j) {
        free(j->agent);
        free(j);
}

/* What a Hello would need: that the agent is known, with this key, and that something can be written. */
static int probe_work(StoreJob *job, Store *s) {
        ProbeJob *j = container_of(job, ProbeJob, job);
        _cleanup_(agent_record_done) AgentRecord a = {};
        int r;

        r = s->ops->agent_get(s, j->agent, &a);
        if (r >= 0)
                r = agent_record_show_key(&a, j->key_hash);
        return r < 0 ? r : s->ops->touch(s, now(CLOCK_REALTIME));
}

/* NULL: a Hello would be welcome. */
static const char *probe_obstacle(const ProbeJob *j, int r) {
        Gateway *g = j->gateway;

        if (g->stopping)
                return "the gateway is stopping";
        if (r == -ENOENT)
                return "this agent is not enrolled here (any more)";
        if (r == -EKEYREJECTED)
                return PEER_KEY_REPLACED;
        if (r == -ENOBUFS)
                return "the gateway is busy";
        if (r < 0)
                return "the gateway cannot store anything now";
        if (stream_registry_is_full(g->streams, j->agent))
                return PEER_TOO_MANY_AGENTS;
        return NULL;
}

static void probe_answer(ProbeJob *j, int r) {
        Fleet__V1__ProbeResponse answer = FLEET__V1__PROBE_RESPONSE__INIT;
        const char *obstacle = probe_obstacle(j, r);

        answer.ready = !obstacle;
        if (obstacle) {
                if (log_limit_pass(&j->gateway->refused_log, "agents that were refused"))
                        log_info("Agent %s asked whether a session could be opened: %s.", j->agent, obstacle);
                answer.reason = (char *) obstacle;
        }
        (void) rpc_request_answer(j->request, &answer.base);
        probe_free(j);
}

static void probe_done(StoreJob *job, int r) {
        probe_answer(container_of(job, ProbeJob, job), r);
}

static void on_probe(RpcRequest *q, const ProtobufCMessage *message, void *userdata) {
        Gateway *g = userdata;
        const Fleet__V1__ProbeRequest *m = (const Fleet__V1__ProbeRequest *) message;
        ProbeJob *j;
        int r;

        j = new0(ProbeJob, 1);
        if (!j) {
                rpc_request_refuse(q, RPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
                return;
        }
        *j = (ProbeJob){ .job = { .work = probe_work, .done = probe_done, .kind = "probe" },
                         .gateway = g,
                         .request = q };
        if (peer_identify(rpc_request_peer(q), &j->agent, j->key_hash, NULL) < 0 ||
            !streq(j->agent, m->agent_id)) {
                rpc_request_refuse(
                                q, RPC_STATUS_PERMISSION_DENIED,
                                "the certificate speaks for another agent id");
                probe_free(j);
                return;
        }
        if (stream_registry_is_flooded(g->streams, "probe", j->agent, j->key_hash)) {
                rpc_request_refuse(q, RPC_STATUS_RESOURCE_EXHAUSTED, "this agent asks too often");
                probe_free(j);
                return;
        }
        r = store_worker_submit(g->worker, &j->job);
        if (r < 0)
                probe_answer(j, r);
}

/* ---- RenewCertificate ---- */

typedef struct RenewJob {
        StoreJob job;
        Gateway *gateway;
        RpcRequest *request;
        PkiCert *certificate;
        char *agent;
        char key_hash[PEER_KEY_HASH_HEX + 1], next_key_hash[PEER_KEY_HASH_HEX + 1];
} RenewJob;

/* Only an agent that is still known, and with the key that it has, may go on. The old key is good until the
 * new one is used: the answer may get lost. */
static int renew_work(StoreJob *job, Store *s) {
        RenewJob *j = container_of(job, RenewJob, job);
        _cleanup_(agent_record_done) AgentRecord a = {};
        int r;

        r = s->ops->agent_get(s, j->agent, &a);
        if (r >= 0)
                r = agent_record_show_key(&a, j->key_hash);
        if (r >= 0)
                r = free_and_strdup(&a.next_key_hash,
                                    streq(j->next_key_hash, a.key_hash) ? NULL : j->next_key_hash);
        if (r >= 0)
                r = s->ops->agent_put(s, &a);
        return r;
}

static void renew_done(StoreJob *job, int r) {
        RenewJob *j = container_of(job, RenewJob, job);
        Fleet__V1__RenewCertificateResponse m = FLEET__V1__RENEW_CERTIFICATE_RESPONSE__INIT;
        ProtobufCBinaryData chain;

        if (r == -ENOENT)
                rpc_request_refuse(
                                j->request, RPC_STATUS_PERMISSION_DENIED,
                                "this agent is not enrolled here; enrol it again");
        else if (r == -EKEYREJECTED)
                rpc_request_refuse(j->request, RPC_STATUS_PERMISSION_DENIED, PEER_KEY_REPLACED);
        else if (r < 0)
                rpc_request_refuse(j->request, RPC_STATUS_UNAVAILABLE, "the gateway is busy, try again");
        else {
                chain = peer_certificate_data(pki_ca_cert(gateway_ca_get(j->gateway->ca)));
                m.certificate = peer_certificate_data(j->certificate);
                m.chain = &chain;
                m.n_chain = 1;
                m.renew_after_sec = PEER_RENEW_AFTER / USEC_PER_SEC;
                if (rpc_request_answer(j->request, &m.base) >= 0)
                        log_event(LOG_INFO, FLEET_MESSAGE_AGENT_CERTIFICATE_STR,
                                  "MESSAGE=Agent %s has a new certificate, %s.", j->agent,
                                  pki_cert_serial(j->certificate), "FLEET_AGENT_ID=%s", j->agent,
                                  "FLEET_CERTIFICATE=%s", pki_cert_serial(j->certificate), NULL);
        }
        pki_cert_free(j->certificate);
        free(j->agent);
        free(j);
}

static void on_renew(RpcRequest *q, const ProtobufCMessage *message, void *userdata) {
        Gateway *g = userdata;
        const Fleet__V1__RenewCertificateRequest *m = (const Fleet__V1__RenewCertificateRequest *) message;
        RenewJob *j;
        int r;

        j = new0(RenewJob, 1);
        if (!j) {
                rpc_request_refuse(q, RPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
                return;
        }
        *j = (RenewJob){ .job = { .work = renew_work, .done = renew_done, .kind = "renew" },
                         .gateway = g,
                         .request = q };
        r = peer_identify(rpc_request_peer(q), &j->agent, j->key_hash, NULL);
        if (r < 0) {
                rpc_request_refuse(q, RPC_STATUS_UNAUTHENTICATED, "the certificate speaks for no agent");
                free(j->agent);
                free(j);
                return;
        }
        if (stream_registry_is_flooded(g->streams, "renew", j->agent, j->key_hash)) {
                rpc_request_refuse(q, RPC_STATUS_RESOURCE_EXHAUSTED, "this agent asks too often");
                free(j->agent);
                free(j);
                return;
        }
        r = peer_issue(g, &m->csr, j->agent, &j->certificate);
        if (r >= 0)
                r = peer_key_hash(j->certificate, j->next_key_hash);
        if (r < 0)
                refuse_csr(q, r);
        else {
                r = store_worker_submit(g->worker, &j->job);
                if (r < 0)
                        rpc_request_refuse(q, RPC_STATUS_UNAVAILABLE, "the gateway is busy, try again");
        }
        if (r < 0) {
                pki_cert_free(j->certificate);
                free(j->agent);
                free(j);
        }
}

int peer_service_add(Gateway *g, RpcServer *server) {
        int r;

        r = rpc_server_add_method(server, &rpc_method_probe, /* needs_certificate= */ true, on_probe, g);
        if (r >= 0)
                r = rpc_server_add_method(
                                server, &rpc_method_renew_certificate, /* needs_certificate= */ true,
                                on_renew, g);
        return r;
}
