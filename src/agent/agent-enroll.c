/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-enroll.h"

#include <stdarg.h>
#include <stdio.h>

#include "agent-messages.h"
#include "agent-patience.h"
#include "alloc-util.h"
#include "event-util.h"
#include "join-token.h"
#include "log.h"
#include "messages.h"
#include "pki-csr.h"
#include "rpc-client.h"
#include "string-util.h"

#define ANSWER_TIME (10 * USEC_PER_SEC) /* on top of the time for connecting */
/* When the answer was no, asking again soon would only fill the gateway's log: these pauses double. */
#define REFUSED_MIN (30 * USEC_PER_SEC)
#define REFUSED_MAX (10 * USEC_PER_MINUTE)

struct AgentEnroll {
        AgentEnrollOptions o;
        bool running;
        unsigned attempt, refused;
        unsigned late;       /* attempts in a row whose time ran out */
        usec_t attempt_time; /* CLOCK_BOOTTIME */
        JoinToken *token;
        HttpRequest *ca_request;
        RpcClient *client;
        RpcCall *call;
        sd_event_source *attempt_source;
};

static int enroll_attempt(AgentEnroll *e);

static void enroll_reset(AgentEnroll *e) {
        e->ca_request = http_request_free(e->ca_request);
        e->call = rpc_call_free(e->call);
        e->client = rpc_client_free(e->client);
        e->token = join_token_free(e->token);
}

static usec_t enroll_patience(const AgentEnroll *e) {
        return agent_patience(e->o.conf->connect_timeout, e->late);
}

static int on_attempt_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        return enroll_attempt(userdata);
}

/* refused: somebody has to do something first. */
static void enroll_failed(AgentEnroll *e, bool refused, const char *format, ...) _printf_(3, 4);
static void enroll_failed(AgentEnroll *e, bool refused, const char *format, ...) {
        char message[1024], text[TIMESPAN_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        e->late = agent_patience_late(
                        e->late, e->o.conf->connect_timeout,
                        usec_sub(now(CLOCK_BOOTTIME), e->attempt_time));
        usec_t pause = backoff_full_jitter(
                        e->o.conf->reconnect_min, e->o.conf->reconnect_max, e->attempt, random_u64());
        if (refused) {
                usec_t span = MIN(REFUSED_MAX, REFUSED_MIN << MIN(e->refused, 8U));
                pause = span / 2 + random_u64() % (span / 2);
                e->refused++;
        } else if (e->attempt < 32)
                e->attempt++;
        log_full(refused ? LOG_ERR : LOG_WARNING, "Enrolment failed: %s Trying again in %s.", message,
                 timespan_format(pause, text));
        enroll_reset(e);
        int r = event_timer_arm(e->o.event, &e->attempt_source, pause, on_attempt_timer, e, "enroll");
        e->o.handlers->on_failed(e, message, pause, e->o.userdata);
        if (r < 0)
                e->o.handlers->on_stuck(e, log_oom(), e->o.userdata);
}

static void on_enroll_response(
                RpcCall *call, const RpcResult *result, const ProtobufCMessage *m, void *userdata) {
        AgentEnroll *e = userdata;
        const Fleet__V1__EnrollResponse *response = (const Fleet__V1__EnrollResponse *) m;

        if (result->status != RPC_STATUS_OK) {
                bool busy =
                                IN_SET(result->status, RPC_STATUS_UNAVAILABLE, RPC_STATUS_RESOURCE_EXHAUSTED,
                                       RPC_STATUS_ABORTED, RPC_STATUS_INTERNAL, RPC_STATUS_UNKNOWN);
                if (result->failure == RPC_FAILURE_PEER && !busy)
                        enroll_failed(e, true,
                                      "The gateway at %s does not accept join token %s: %s. Tokens expire "
                                      "and are good for a limited number of machines: create another one "
                                      "with 'fleet-gatewayctl token create', put it into the credential "
                                      "store as fleet-agent.join-token and restart fleet-agent.service.",
                                      e->o.conf->enroll_address, e->token->id, result->text);
                else if (result->failure == RPC_FAILURE_SERVER_CERTIFICATE)
                        enroll_failed(e, true,
                                      "What answers at %s is not the gateway that the join token was made "
                                      "for: %s.",
                                      e->o.conf->enroll_address, result->text);
                else
                        enroll_failed(e, false, "Cannot enrol with the gateway at %s: %s.",
                                      e->o.conf->enroll_address, result->text);
                return;
        }

        AgentCertificate chain[PKI_CHAIN_MAX];
        size_t n_chain = MIN(response->n_chain, ELEMENTSOF(chain));
        for (size_t k = 0; k < n_chain; k++)
                chain[k] = (AgentCertificate){ response->chain[k].data, response->chain[k].len };
        AgentCertificate certificate = { response->certificate.data, response->certificate.len };
        const char *why = "it is no certificate";
        int r = agent_identity_accept(e->o.identity, e->o.agent_id, &certificate, chain, n_chain, &why);
        if (r < 0) {
                enroll_failed(e, !errno_is_disk_space(r),
                              "The gateway's certificate for this machine cannot be used: %s (%s).", why,
                              strerror(-r));
                return;
        }
        log_event(LOG_NOTICE, FLEET_MESSAGE_ENROLLED_STR, "MESSAGE=Enrolled with the gateway at %s as %s.",
                  e->o.conf->enroll_address, e->o.agent_id, "FLEET_AGENT_ID=%s", e->o.agent_id,
                  "FLEET_GATEWAY=%s", e->o.conf->address, NULL);
        e->running = false;
        enroll_reset(e);
        e->o.handlers->on_enrolled(e, e->o.userdata);
}

static int enroll_start_call(AgentEnroll *e) {
        _cleanup_(rpc_credentials_freep) RpcCredentials *credentials = NULL;
        Fleet__V1__EnrollRequest request = FLEET__V1__ENROLL_REQUEST__INIT;
        Fleet__V1__Facts facts = FLEET__V1__FACTS__INIT;
        _cleanup_free_ void *csr = NULL;
        const PkiKey *key;

        int r = agent_identity_request_key(e->o.identity, &key);
        if (r >= 0)
                r = pki_csr_make(key, e->o.agent_id, &csr, &request.csr.len);
        if (r >= 0)
                r = agent_identity_enroll_credentials(e->o.identity, &credentials);
        if (r < 0)
                return r;
        RpcClientOptions options = {
                .address = e->o.conf->enroll_address,
                .user_agent = e->o.user_agent,
                .credentials = credentials,
                .connect_timeout = enroll_patience(e),
        };
        r = rpc_client_new(&e->client, e->o.queue, &options);
        if (r < 0)
                return r;
        request.csr.data = csr;
        request.join_token = e->token->text;
        request.agent_id = (char *) e->o.agent_id;
        agent_facts_fill(e->o.facts, &facts);
        request.facts = &facts;
        return rpc_call_start(
                        e->client, &rpc_method_enroll, &request.base,
                        usec_add(enroll_patience(e), ANSWER_TIME), on_enroll_response, e, &e->call);
}

static void enroll_call(AgentEnroll *e) {
        int r = enroll_start_call(e);
        if (r < 0)
                enroll_failed(e, false, "Cannot prepare the request for a certificate: %s.", strerror(-r));
}

static void on_ca(HttpRequest *request, int error, unsigned status, const char *message, void *userdata) {
        _cleanup_(pki_cert_freep) PkiCert *ca = NULL;
        AgentEnroll *e = userdata;

        if (error < 0 || status != 200) {
                enroll_failed(e, false,
                              "Cannot fetch the CA certificate from %s/ca.pem: %s (HTTP status %u).",
                              e->o.conf->url, message, status);
                return;
        }
        size_t size = 0;
        const void *body = http_request_body(request, &size);
        int r = pki_cert_parse_pem(body, size, &ca);
        if (r < 0) {
                enroll_failed(e, true, "What %s/ca.pem holds is no certificate. Check Url= in agent.conf.",
                              e->o.conf->url);
                return;
        }
        if (!pki_cert_matches_pin(ca, e->token->ca_pin)) {
                enroll_failed(e, true,
                              "The CA certificate at %s/ca.pem is not the one that join token %s pins. "
                              "Either the token "
                              "is of another gateway, or something between here and the gateway answers in "
                              "its place.",
                              e->o.conf->url, e->token->id);
                return;
        }
        r = agent_identity_set_ca(e->o.identity, ca);
        if (r < 0) {
                enroll_failed(e, false, "Cannot store the CA certificate in the state directory: %s.",
                              strerror(-r));
                return;
        }
        e->ca_request = http_request_free(e->ca_request);
        enroll_call(e);
}

static int enroll_fetch_ca(AgentEnroll *e) {
        _cleanup_free_ char *url = strjoinf("%s/ca.pem", e->o.conf->url);
        if (!url)
                return -ENOMEM;
        HttpOptions options = {
                .url = url,
                .insecure = true, /* compared with the pin before anything is believed */
                .max_size = PKI_CERT_PEM_MAX,
                .timeout = usec_add(enroll_patience(e), ANSWER_TIME),
                .connect_timeout = enroll_patience(e),
                .on_finish = on_ca,
                .userdata = e,
        };
        return http_request_start(e->o.http, &options, &e->ca_request);
}

static int enroll_attempt(AgentEnroll *e) {
        const char *why = "it is empty";

        enroll_reset(e);
        e->attempt_time = now(CLOCK_BOOTTIME);
        int r = join_token_load(e->o.join_token_file, &e->token, &why);
        if (r == -ENOENT)
                enroll_failed(e, true,
                              "There is no join token: the credential fleet-agent.join-token is absent. "
                              "Create one with 'fleet-gatewayctl token create', write it to "
                              "/etc/credstore/fleet-agent.join-token "
                              "(mode 0600) and restart fleet-agent.service.");
        else if (r == -EBADMSG)
                enroll_failed(e, true,
                              "The join token in the credential fleet-agent.join-token cannot be used: %s.",
                              why);
        else if (r < 0)
                enroll_failed(e, true, "Cannot read the credential fleet-agent.join-token: %s.",
                              strerror(-r));
        else if (agent_identity_ca_matches(e->o.identity, e->token->ca_pin))
                enroll_call(e);
        else {
                r = enroll_fetch_ca(e);
                if (r < 0)
                        enroll_failed(e, false, "Cannot start fetching the CA certificate: %s.",
                                      strerror(-r));
        }
        return 0;
}

int agent_enroll_new(AgentEnroll **ret, const AgentEnrollOptions *options) {
        AgentEnroll *e = new0(AgentEnroll, 1);
        if (!e)
                return -ENOMEM;
        e->o = *options;
        *ret = e;
        return 0;
}

AgentEnroll *agent_enroll_free(AgentEnroll *e) {
        if (!e)
                return NULL;
        sd_event_source_disable_unref(e->attempt_source);
        enroll_reset(e);
        free(e);
        return NULL;
}

int agent_enroll_start(AgentEnroll *e) {
        e->running = true;
        e->attempt = e->refused = e->late = 0;
        return event_timer_arm(e->o.event, &e->attempt_source, 0, on_attempt_timer, e, "enroll");
}

void agent_enroll_stop(AgentEnroll *e) {
        if (!e->running)
                return;
        e->running = false;
        (void) event_timer_disarm(e->attempt_source);
        enroll_reset(e);
}

bool agent_enroll_is_running(const AgentEnroll *e) {
        return e->running;
}
