/* SPDX-License-Identifier: Apache-2.0 */
#include "enroll-service.h"

#include <stdarg.h>
#include <stdio.h>

#include "alloc-util.h"
#include "audit.h"
#include "gateway.h"
#include "instruction.h"
#include "log.h"
#include "messages-pb.h"
#include "messages.h"
#include "peer-service.h"
#include "pki-csr.h"
#include "string-util.h"
#include "view.h"

/* ---- Enroll ---- */

typedef struct EnrollJob {
        StoreJob job;
        Gateway *gateway;
        RpcRequest *request;
        void *csr;                           /* as sent, at most PKI_CSR_MAX */
        size_t csr_size;
        PkiCert *certificate;
        char key_hash[PEER_KEY_HASH_HEX + 1]; /* of the certificate */
        char *agent, *token_id, *token_hash, *hostname;
        char *address;                       /* of the peer, without the port */
        bool is_online;
} EnrollJob;

enum {
        ENROLL_TOKEN_REFUSED = 1,
        ENROLL_TOKEN_EXPIRED,
        ENROLL_TOKEN_USED_UP,
        ENROLL_TOKEN_OF_ANOTHER,
        ENROLL_AGENT_ONLINE,
        ENROLL_AGENT_KNOWN,
        ENROLL_BAD_REQUEST,
};

static const char bad_request[] = "the certificate request is malformed, or not signed by its P-256 key";

static void enroll_free(EnrollJob *j) {
        pki_cert_free(j->certificate);
        free(j->csr);
        free(j->agent);
        free(j->token_id);
        free(j->token_hash);
        free(j->hostname);
        free(j->address);
        free(j);
}

/* Is it good for this machine, leaving aside with which key? */
static int token_check(EnrollJob *j, Store *s, JoinToken *t, usec_t time) {
        int r;

        r = s->ops->join_token_get(s, j->token_id, t);
        if (r == -ENOENT)
                return ENROLL_TOKEN_REFUSED;
        if (r < 0)
                return r;
        if (!memory_equal_ct(t->hash, j->token_hash, TOKEN_SECRET_HEX))
                return ENROLL_TOKEN_REFUSED;
        if (t->expires <= time)
                return ENROLL_TOKEN_EXPIRED;
        if (t->agent && !streq(t->agent, j->agent))
                return ENROLL_TOKEN_OF_ANOTHER;
        if (t->uses_left > 0)
                return 0;
        r = s->ops->join_token_used(s, t->id, j->agent, NULL);
        return r == -ENOENT ? ENROLL_TOKEN_USED_UP : r;
}

static int token_use(EnrollJob *j, Store *s, JoinToken *t) {
        if (t->uses_left == 0)
                return ENROLL_TOKEN_USED_UP;
        t->uses_left--;
        return s->ops->join_token_put(s, t);
}

/* An id belongs to who has its key, connected or not. With another key only who the operators meant: by a
 * token for this id alone, or by removing the agent first. */
static int agent_check(EnrollJob *j, Store *s, const JoinToken *t) {
        _cleanup_(agent_record_done) AgentRecord a = {};
        int r;

        if (j->is_online)
                return ENROLL_AGENT_ONLINE;
        r = s->ops->agent_get(s, j->agent, &a);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (t->agent || streq_ptr(a.key_hash, j->key_hash) || streq_ptr(a.next_key_hash, j->key_hash))
                return 0;
        return ENROLL_AGENT_KNOWN;
}

static int agent_begin(EnrollJob *j, Store *s, const JoinToken *t, usec_t time) {
        AgentRecord a = { .id = j->agent, .state = AGENT_STATE_NEVER, .enrolled = time,
                          .key_hash = j->key_hash };
        _cleanup_(agent_record_done) AgentRecord stored = {};
        json_t *o;
        int r;

        /* A machine that was set up anew keeps nothing, not even labels: what they give belongs to who holds
         * the token. */
        a.facts.hostname = j->hostname;
        r = s->ops->agent_put(s, &a);
        if (r >= 0)
                r = s->ops->agent_put_labels(s, j->agent, &t->labels);
        if (r >= 0)
                r = s->ops->agent_get(s, j->agent, &stored);
        if (r < 0)
                return r;
        o = view_agent(&stored);
        if (o && json_set_string(o, "change", "enrolled") < 0) {
                json_decref(o);
                o = NULL;
        }
        return store_job_emit(
                        &j->job, s, "agent", j->agent, view_event_text(o), /* progress= */ false, time);
}

/* What its former life left open ends: the new one must be able to begin. */
static int agent_forget_outstanding(EnrollJob *j, Store *s, usec_t time) {
        _cleanup_(instruction_record_done) InstructionRecord i = {};
        int r;

        r = s->ops->instruction_outstanding(s, j->agent, &i);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        i.failed_phase = i.phase;
        i.phase = UPDATE_PHASE_CANCELLED;
        i.finished = i.updated = time;
        r = free_and_strdup(&i.message, "The machine was enrolled anew.");
        if (r >= 0)
                r = s->ops->instruction_put(s, &i);
        if (r >= 0)
                r = store_job_emit(
                                &j->job, s, "update", j->agent, view_event_text(view_instruction(&i)), false,
                                time);
        return r < 0 ? r : instruction_note_ended(&j->job, &i);
}

static int audit_enrolment(EnrollJob *j, Store *s, const JoinToken *t) {
        _cleanup_free_ char *name = strjoinf("join-token:%s", t->id), *target = strjoinf("agent:%s", j->agent);
        AuditActor actor = { .name = name, .method = (char *) "join-token", .source = j->address };
        _cleanup_json_ json_t *detail = json_object();
        int r;

        r = name && target && detail ? json_set_string(detail, "hostname", j->hostname) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(detail, "key_sha256", j->key_hash);
        if (r >= 0)
                r = json_set_take(detail, "labels", view_labels(&t->labels));
        if (r < 0)
                return r;
        return audit_append(&j->job, s, &actor, "agent.enroll", target, 1, TAKE_PTR(detail));
}

static int enroll_work(StoreJob *job, Store *s) {
        EnrollJob *j = container_of(job, EnrollJob, job);
        _cleanup_(join_token_done) JoinToken t = {};
        usec_t time = now(CLOCK_REALTIME);
        int r;

        r = token_check(j, s, &t, time);
        if (r != 0)
                return r;
        /* The same machine with the same key did not get the answer: it gets another, and that is all. */
        r = s->ops->join_token_used(s, t.id, j->agent, j->key_hash);
        if (r != -ENOENT)
                return r;
        r = agent_check(j, s, &t);
        if (r == 0)
                r = token_use(j, s, &t);
        if (r != 0)
                return r;
        r = agent_forget_outstanding(j, s, time);
        if (r >= 0)
                r = agent_begin(j, s, &t, time);
        if (r >= 0)
                r = s->ops->join_token_put_used(s, t.id, j->agent, j->key_hash);
        if (r >= 0)
                r = audit_enrolment(j, s, &t);
        return r;
}

static void enroll_answer(EnrollJob *j) {
        Fleet__V1__EnrollResponse m = FLEET__V1__ENROLL_RESPONSE__INIT;
        ProtobufCBinaryData chain = peer_certificate_data(pki_ca_cert(gateway_ca_get(j->gateway->ca)));
        char address[96];
        int r;

        (void) snprintf(address, sizeof(address), "%s", rpc_request_peer(j->request)->address);
        m.certificate = peer_certificate_data(j->certificate);
        m.chain = &chain;
        m.n_chain = 1;
        m.agent_id = j->agent;
        m.renew_after_sec = PEER_RENEW_AFTER / USEC_PER_SEC;
        r = rpc_request_answer(j->request, &m.base);
        metrics_count_enrolment(j->gateway->metrics, "ok");
        if (r < 0)
                (void) log_warning_errno(r, "Agent %s: failed to send its certificate: %m", j->agent);
        else
                log_event(LOG_NOTICE, FLEET_MESSAGE_AGENT_ENROLLED_STR,
                          "MESSAGE=Agent %s enrolled with join token %s, certificate %s.", j->agent,
                          j->token_id, pki_cert_serial(j->certificate), "FLEET_AGENT_ID=%s", j->agent,
                          "FLEET_JOIN_TOKEN=%s", j->token_id, "FLEET_CERTIFICATE=%s",
                          pki_cert_serial(j->certificate), "FLEET_ADDRESS=%s", address, NULL);
}

/* Why not: to the journal, to who counts, and to the peer. */
static void enroll_refuse(
                EnrollJob *j, const char *result, RpcStatus status, const char *answer, const char *format,
                ...) _printf_(5, 6);
static void enroll_refuse(
                EnrollJob *j, const char *result, RpcStatus status, const char *answer, const char *format,
                ...) {
        char why[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(why, sizeof(why), format, ap);
        va_end(ap);
        if (!streq(result, "token-unknown") || log_limit_pass(&j->gateway->enroll_log, "refused enrolments"))
                log_event(LOG_WARNING, FLEET_MESSAGE_ENROLMENT_REFUSED_STR,
                          "MESSAGE=Enrolment of %s refused: %s", j->agent, why, "FLEET_AGENT_ID=%s",
                          j->agent, "FLEET_JOIN_TOKEN=%s", j->token_id, "FLEET_REASON=%s", result,
                          "FLEET_ADDRESS=%s", rpc_request_peer(j->request)->address, NULL);
        metrics_count_enrolment(j->gateway->metrics, result);
        rpc_request_refuse(j->request, status, answer);
}

static void enroll_finish(EnrollJob *j, int r) {
        switch (r) {
        case 0:
                enroll_answer(j);
                break;
        case ENROLL_TOKEN_REFUSED:
                enroll_refuse(j, "token-unknown", RPC_STATUS_UNAUTHENTICATED,
                              "the join token is not known here", "the join token is not known.");
                break;
        case ENROLL_TOKEN_EXPIRED:
                enroll_refuse(j, "token-expired", RPC_STATUS_UNAUTHENTICATED,
                              "the join token has expired; create another", "join token %s has expired.",
                              j->token_id);
                break;
        case ENROLL_TOKEN_USED_UP:
                enroll_refuse(j, "token-used-up", RPC_STATUS_UNAUTHENTICATED,
                              "the join token is used up; create another", "join token %s is used up.",
                              j->token_id);
                break;
        case ENROLL_TOKEN_OF_ANOTHER:
                enroll_refuse(j, "token-of-another", RPC_STATUS_UNAUTHENTICATED,
                              "the join token is for another agent id",
                              "join token %s is for another agent.", j->token_id);
                break;
        case ENROLL_AGENT_KNOWN:
                enroll_refuse(j, "agent-known", RPC_STATUS_ALREADY_EXISTS,
                              "an agent with this id is enrolled with another key; if this machine was set "
                              "up anew, remove it at the gateway or make a join token for this id",
                              "an agent with this id is enrolled with another key (join token %s). If the "
                              "machine was set up anew, remove the agent (fleet-gatewayctl agent remove) "
                              "or make a token for it (fleet-gatewayctl token create --agent).",
                              j->token_id);
                break;
        case ENROLL_AGENT_ONLINE:
                enroll_refuse(j, "agent-connected", RPC_STATUS_ALREADY_EXISTS,
                              "an agent with this id is connected; if this machine is a clone, give it "
                              "an AgentId= of its own",
                              "that agent is connected.");
                break;
        case ENROLL_BAD_REQUEST:
                enroll_refuse(j, "bad-request", RPC_STATUS_INVALID_ARGUMENT, bad_request,
                              "%s (join token %s).", bad_request, j->token_id);
                break;
        default:
                (void) log_error_errno(r, "Failed to store the enrolment of %s: %m", j->agent);
                metrics_count_enrolment(j->gateway->metrics, "failed");
                rpc_request_refuse(
                                j->request, RPC_STATUS_UNAVAILABLE,
                                "the gateway cannot store anything now, try again");
        }
        enroll_free(j);
}

static void enroll_done(StoreJob *job, int r) {
        enroll_finish(container_of(job, EnrollJob, job), r);
}

/* ---- the token comes first: nobody makes us sign, or verify a signature, without a good one ---- */

static int check_work(StoreJob *job, Store *s) {
        _cleanup_(join_token_done) JoinToken t = {};

        return token_check(container_of(job, EnrollJob, job), s, &t, now(CLOCK_REALTIME));
}

static void check_done(StoreJob *job, int r) {
        EnrollJob *j = container_of(job, EnrollJob, job);
        ProtobufCBinaryData csr = { .data = j->csr, .len = j->csr_size };

        if (r != 0) {
                enroll_finish(j, r);
                return;
        }
        r = peer_issue(j->gateway, &csr, j->agent, &j->certificate);
        if (r < 0 && r != -ENOMEM) {
                enroll_finish(j, ENROLL_BAD_REQUEST);
                return;
        }
        if (r >= 0)
                r = peer_key_hash(j->certificate, j->key_hash);
        if (r >= 0) {
                j->job = (StoreJob){ .work = enroll_work, .done = enroll_done, .kind = "enroll" };
                j->is_online = stream_registry_get(j->gateway->streams, j->agent);
                r = store_worker_submit(j->gateway->worker, &j->job);
        }
        if (r < 0)
                enroll_finish(j, r);
}

/* "192.0.2.7:41234" and "[2001:db8::1]:41234" without the port. */
static char *host_of(const char *address) {
        const char *colon = strrchr(address, ':');
        size_t n = colon ? (size_t) (colon - address) : strlen(address);

        if (n >= 2 && address[0] == '[' && address[n - 1] == ']')
                return strndup(address + 1, n - 2);
        return strndup(address, n);
}

static int enroll_submit(
                Gateway *g, RpcRequest *q, const Fleet__V1__EnrollRequest *m, const char **reterr_why) {
        EnrollJob *j;
        const char *pin;
        int r;

        *reterr_why = NULL;
        if (!pki_agent_id_is_valid(m->agent_id)) {
                *reterr_why = "the agent id must be 1 to 64 of [A-Za-z0-9._-], the first a letter or digit";
                return -EINVAL;
        }
        if (streq(m->agent_id, "summary")) { /* GET /api/v1/agents/summary is something else */
                *reterr_why = "the agent id \"summary\" is taken";
                return -EINVAL;
        }
        j = new0(EnrollJob, 1);
        if (!j)
                return -ENOMEM;
        j->job = (StoreJob){ .work = check_work, .done = check_done, .kind = "enroll" };
        j->gateway = g;
        j->request = q;
        j->address = host_of(rpc_request_peer(q)->address);
        r = token_parse("fjt1", m->join_token, &j->token_id, &j->token_hash, &pin);
        if (r == -EINVAL)
                *reterr_why = "this is no join token";
        else if (r >= 0 && (m->csr.len == 0 || m->csr.len > PKI_CSR_MAX)) {
                *reterr_why = bad_request;
                r = -EINVAL;
        }
        if (r >= 0) {
                j->agent = strdup(m->agent_id);
                j->csr = memdup(m->csr.data, m->csr.len);
                j->csr_size = m->csr.len;
                j->hostname = m->facts && string_is_safe(m->facts->hostname, 253) ?
                                              strdup(m->facts->hostname) :
                                              NULL;
                r = j->agent && j->csr && j->address ? store_worker_submit(g->worker, &j->job) : -ENOMEM;
        }
        if (r < 0)
                enroll_free(j);
        return r;
}

static void on_enroll(RpcRequest *q, const ProtobufCMessage *message, void *userdata) {
        Gateway *g = userdata;
        const char *why;
        int r;

        if (g->stopping) {
                rpc_request_refuse(q, RPC_STATUS_UNAVAILABLE, "the gateway is stopping");
                return;
        }
        r = enroll_submit(g, q, (const Fleet__V1__EnrollRequest *) message, &why);
        if (r >= 0)
                return;
        metrics_count_enrolment(g->metrics, why ? "bad-request" : "busy");
        if (why) {
                if (log_limit_pass(&g->enroll_log, "refused enrolments"))
                        log_event(LOG_WARNING, FLEET_MESSAGE_ENROLMENT_REFUSED_STR,
                                  "MESSAGE=Enrolment from %s refused: %s.", rpc_request_peer(q)->address,
                                  why, "FLEET_ADDRESS=%s", rpc_request_peer(q)->address,
                                  "FLEET_REASON=bad-request", NULL);
                rpc_request_refuse(q, RPC_STATUS_INVALID_ARGUMENT, why);
        } else
                rpc_request_refuse(q, RPC_STATUS_UNAVAILABLE, "the gateway is busy, try again");
}

int enroll_service_add(Gateway *g, RpcServer *server) {
        return rpc_server_add_method(
                        server, &rpc_method_enroll, /* needs_certificate= */ false, on_enroll, g);
}
