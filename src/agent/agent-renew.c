/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-renew.h"

#include "alloc-util.h"
#include "event-util.h"
#include "log.h"
#include "messages-pb.h"
#include "pki-csr.h"
#include "rpc-client.h"

#define REQUEST_TIMEOUT (30 * USEC_PER_SEC)
#define LOOK_AGAIN USEC_PER_DAY /* the machine's clock may be moved under a long timer */
#define RETRY_MIN (5 * USEC_PER_MINUTE)

struct AgentRenew {
        sd_event *event;
        RpcQueue *queue;
        const AgentConf *conf;
        AgentIdentity *identity;
        const char *user_agent;
        RpcClient *client;
        RpcCall *call;
        sd_event_source *source;
};

static void renew_arm(AgentRenew *r, usec_t pause);

static void renew_reset(AgentRenew *r) {
        r->call = rpc_call_free(r->call);
        r->client = rpc_client_free(r->client);
}

/* Often enough before the end, and never in a hurry. */
static void renew_retry(AgentRenew *r) {
        usec_t left = usec_sub(agent_identity_expires(r->identity), now(CLOCK_REALTIME));
        usec_t span = CLAMP(left / 16, RETRY_MIN, LOOK_AGAIN);
        renew_reset(r);
        renew_arm(r, span / 2 + random_u64() % (span / 2 + 1));
}

static void on_response(RpcCall *call, const RpcResult *result, const ProtobufCMessage *m, void *userdata) {
        const Fleet__V1__RenewCertificateResponse *response =
                        (const Fleet__V1__RenewCertificateResponse *) m;
        AgentRenew *r = userdata;

        if (result->status != RPC_STATUS_OK) {
                /* a gateway that does not know the method is no reason to worry anybody until time is short
                 */
                bool quiet = result->status == RPC_STATUS_UNIMPLEMENTED;
                log_full(quiet ? LOG_DEBUG : LOG_WARNING, "The certificate could not be renewed: %s.",
                         result->text);
                renew_retry(r);
                return;
        }
        AgentCertificate chain[PKI_CHAIN_MAX],
                        certificate = { response->certificate.data, response->certificate.len };
        size_t n = MIN(response->n_chain, ELEMENTSOF(chain));
        for (size_t i = 0; i < n; i++)
                chain[i] = (AgentCertificate){ response->chain[i].data, response->chain[i].len };
        _cleanup_free_ char *id = strdup(agent_identity_id(r->identity));
        const char *why = "it is no certificate";
        int k = id ? agent_identity_accept(r->identity, id, &certificate, chain, n, &why) : -ENOMEM;
        if (k < 0) {
                log_warning_errno(k, "The renewed certificate cannot be used: %s (%m).", why);
                renew_retry(r);
                return;
        }
        log_info("The certificate was renewed.");
        renew_reset(r);
        if (agent_identity_renew_at(r->identity) <= now(CLOCK_REALTIME))
                renew_retry(r); /* one that is due again at once must not become a loop */
        else
                agent_renew_plan(r);
}

static int renew_start(AgentRenew *r) {
        _cleanup_(rpc_credentials_freep) RpcCredentials *credentials = NULL;
        Fleet__V1__RenewCertificateRequest request = FLEET__V1__RENEW_CERTIFICATE_REQUEST__INIT;
        _cleanup_free_ void *csr = NULL;
        const PkiKey *key;

        renew_reset(r);
        int k = agent_identity_request_key(r->identity, &key);
        if (k >= 0)
                k = pki_csr_make(key, agent_identity_id(r->identity), &csr, &request.csr.len);
        if (k >= 0)
                k = agent_identity_credentials(r->identity, &credentials);
        if (k < 0)
                return k;
        request.csr.data = csr;
        RpcClientOptions options = {
                .address = r->conf->address,
                .user_agent = r->user_agent,
                .credentials = credentials,
                .connect_timeout = r->conf->connect_timeout,
        };
        k = rpc_client_new(&r->client, r->queue, &options);
        if (k < 0)
                return k;
        return rpc_call_start(
                        r->client, &rpc_method_renew_certificate, &request.base, REQUEST_TIMEOUT,
                        on_response, r, &r->call);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentRenew *r = userdata;

        if (!agent_identity_id(r->identity) || r->call)
                return 0;
        if (now(CLOCK_REALTIME) < agent_identity_renew_at(r->identity)) {
                agent_renew_plan(r);
                return 0;
        }
        int k = renew_start(r);
        if (k < 0) {
                log_warning_errno(k, "Cannot ask for a renewed certificate: %m");
                renew_retry(r);
        }
        return 0;
}

static void renew_arm(AgentRenew *r, usec_t pause) {
        if (event_timer_arm(r->event, &r->source, pause, on_timer, r, "certificate-renewal") < 0)
                log_oom();
}

void agent_renew_plan(AgentRenew *r) {
        if (!agent_identity_id(r->identity) || r->call)
                return;
        usec_t at = agent_identity_renew_at(r->identity), left = usec_sub(at, now(CLOCK_REALTIME));
        /* a fleet enrolled in one hour does not renew in one: two thirds of the life, and a random 64th of
         * it */
        usec_t spread = usec_sub(agent_identity_expires(r->identity), at) / 21;
        renew_arm(r, left > LOOK_AGAIN ? LOOK_AGAIN : left + random_u64() % (spread + 1));
}

int agent_renew_new(
                AgentRenew **ret,
                sd_event *event,
                RpcQueue *queue,
                const AgentConf *conf,
                AgentIdentity *identity,
                const char *user_agent) {
        AgentRenew *r = new0(AgentRenew, 1);
        if (!r)
                return -ENOMEM;
        *r = (AgentRenew){
                .event = sd_event_ref(event),
                .queue = queue,
                .conf = conf,
                .identity = identity,
                .user_agent = user_agent,
        };
        *ret = r;
        return 0;
}

AgentRenew *agent_renew_free(AgentRenew *r) {
        if (!r)
                return NULL;
        sd_event_source_disable_unref(r->source);
        renew_reset(r);
        sd_event_unref(r->event);
        free(r);
        return NULL;
}
