/* SPDX-License-Identifier: Apache-2.0 */

/* Enrolment and renewal against a real server of src/rpc with a real CA. Fetching the CA is in
 * tests/protocol. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-enroll.h"
#include "agent-renew.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "rpc-fixture.h"
#include "string-util.h"

static char state[] = "/tmp/test-agent-enroll-XXXXXX", credentials[] = "/tmp/test-agent-creds-XXXXXX";

typedef struct Gateway {
        Fixture *f;
        RpcServer *server;
        uint16_t port;
        RpcStatus refuse;
        const char *issue_for; /* another id than asked for */
        const PkiCa *issuer;
        usec_t lifetime;
        bool no_renewal;
        unsigned asked, renewals;
        char token[256];
} Gateway;

static PkiCert *issue(Gateway *g, const void *csr, size_t size, const char *id) {
        _cleanup_(pki_csr_freep) PkiCsr *request = NULL;
        PkiCert *cert = NULL;
        assert_ok(pki_csr_parse(csr, size, &request));
        assert_ok(pki_ca_issue_agent(g->issuer, request, id, now(CLOCK_REALTIME), g->lifetime, &cert));
        return cert;
}

static void on_enroll(RpcRequest *r, const ProtobufCMessage *m, void *userdata) {
        const Fleet__V1__EnrollRequest *request = (const Fleet__V1__EnrollRequest *) m;
        Fleet__V1__EnrollResponse response = FLEET__V1__ENROLL_RESPONSE__INIT;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        Gateway *g = userdata;

        g->asked++;
        snprintf(g->token, sizeof(g->token), "%s", request->join_token);
        assert_streq(request->facts->architecture, "x86_64");
        if (g->refuse != RPC_STATUS_OK) {
                rpc_request_refuse(r, g->refuse, "as told");
                return;
        }
        cert = issue(g, request->csr.data, request->csr.len, g->issue_for ?: request->agent_id);
        response.certificate.data = (uint8_t *) pki_cert_der(cert, &response.certificate.len);
        assert_ok(rpc_request_answer(r, &response.base));
}

static void on_renew(RpcRequest *r, const ProtobufCMessage *m, void *userdata) {
        const Fleet__V1__RenewCertificateRequest *request = (const Fleet__V1__RenewCertificateRequest *) m;
        Fleet__V1__RenewCertificateResponse response = FLEET__V1__RENEW_CERTIFICATE_RESPONSE__INIT;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        Gateway *g = userdata;

        g->renewals++;
        assert_se(rpc_request_peer(r)->certificate_pem);
        if (g->no_renewal) {
                rpc_request_refuse(r, RPC_STATUS_UNIMPLEMENTED, "later");
                return;
        }
        g->lifetime = USEC_PER_DAY;
        cert = issue(g, request->csr.data, request->csr.len, "web-1");
        response.certificate.data = (uint8_t *) pki_cert_der(cert, &response.certificate.len);
        assert_ok(rpc_request_answer(r, &response.base));
}

typedef struct Seen {
        unsigned enrolled, failed;
        char message[1024];
        usec_t pause;
} Seen;

static void on_enrolled(AgentEnroll *e, void *userdata) {
        ((Seen *) userdata)->enrolled++;
}

static void on_failed(AgentEnroll *e, const char *message, usec_t pause, void *userdata) {
        Seen *s = userdata;
        s->failed++;
        s->pause = pause;
        snprintf(s->message, sizeof(s->message), "%s", message);
}

_noreturn_ static void on_stuck(AgentEnroll *e, int error, void *userdata) {
        abort();
}

static const AgentEnrollHandlers handlers = { .on_enrolled = on_enrolled,
                                              .on_failed = on_failed,
                                              .on_stuck = on_stuck };

static void put_token(const PkiCa *ca) {
        _cleanup_free_ char *path = strjoinf("%s/fleet-agent.join-token", credentials);
        char pin_hex[65], text[256];
        uint8_t pin[32];
        pki_cert_pin(pki_ca_cert(ca), pin);
        hex_encode(pin, sizeof(pin), pin_hex);
        snprintf(text, sizeof(text), "fjt1_%016x_%064x_%s\n", 1U, 2U, pin_hex);
        assert_ok(file_write_atomic_at(AT_FDCWD, path, text, strlen(text), 0600));
}

/* A gateway that has no time for it gets more with each attempt. */
static void test_patience(AgentEnrollOptions options, AgentConf conf, Fixture *f, Seen *s) {
        const usec_t first = 300 * USEC_PER_MSEC;
        AgentEnroll *e = NULL;
        char address[32];
        uint16_t port;
        int fd = silent_listener(&port);

        snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        conf.enroll_address = address;
        conf.connect_timeout = first;
        options.conf = &conf;
        assert_ok(agent_enroll_new(&e, &options));
        unsigned before = s->failed;
        usec_t started = now(CLOCK_MONOTONIC);
        assert_ok(agent_enroll_start(e));
        run_until_at_least(f, &s->failed, before + 3, 10);
        assert_se(now(CLOCK_MONOTONIC) - started >= 7 * first);
        agent_enroll_free(e);
        fd_close(fd);
}

int main(void) {
        _cleanup_(pki_ca_freep) PkiCa *other = NULL;
        AgentIdentity *identity = NULL;
        AgentEnroll *e = NULL;
        AgentRenew *renew = NULL;
        Gateway g = { 0 };
        AgentFacts facts;
        AgentConf conf;
        Seen s = { 0 };
        Fixture f;

        fixture_init(&f, 1, 64);
        log_set_max_level(LOG_CRIT);
        assert_se(mkdtemp(state) && mkdtemp(credentials));
        assert_ok(setenv("CREDENTIALS_DIRECTORY", credentials, 1));
        assert_ok(pki_ca_create("other", now(CLOCK_REALTIME), 0, &other));

        g = (Gateway){ .f = &f, .issuer = f.ca };
        assert_ok(rpc_server_new(&g.server, f.queue, NULL));
        assert_ok(rpc_server_add_method(g.server, &rpc_method_enroll, false, on_enroll, &g));
        assert_ok(rpc_server_add_method(g.server, &rpc_method_renew_certificate, true, on_renew, &g));
        uint16_t enroll_port = fixture_port(&f, g.server, false), port = fixture_port(&f, g.server, true);
        assert_ok(rpc_server_start(g.server));

        char text[256];
        snprintf(text, sizeof(text),
                 "[Gateway]\nAddress=127.0.0.1:%u\nEnrollAddress=127.0.0.1:%u\n"
                 "ReconnectMinSec=100ms\nReconnectMaxSec=200ms\n",
                 port, enroll_port);
        assert_ok(agent_conf_parse(&conf, "test", text, strlen(text)));
        assert_ok(agent_facts_collect(&facts, false));
        free(facts.architecture);
        facts.architecture = strdup("x86_64");
        int state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(state_fd);
        assert_ok(agent_identity_new(&identity, state_fd));
        assert_ok(agent_identity_set_ca(identity, pki_ca_cert(f.ca)));
        AgentEnrollOptions options = {
                .event = f.event,
                .queue = f.queue,
                .conf = &conf,
                .facts = &facts,
                .identity = identity,
                .agent_id = "web-1",
                .user_agent = "test",
                .handlers = &handlers,
                .userdata = &s,
        };
        assert_ok(agent_enroll_new(&e, &options));

        /* no token: says so, and waits */
        assert_ok(agent_enroll_start(e));
        run_until_at_least(&f, &s.failed, 1, 5);
        assert_se(strstr(s.message, "no join token") && s.pause >= 10 * USEC_PER_SEC && g.asked == 0);

        /* refused: names the token but not its secret, and waits longer */
        put_token(f.ca);
        g.refuse = RPC_STATUS_PERMISSION_DENIED;
        assert_ok(agent_enroll_start(e));
        run_until_at_least(&f, &s.failed, 2, 5);
        assert_se(s.pause >= 10 * USEC_PER_SEC && strstr(s.message, "0000000000000001"));
        assert_se(!strstr(s.message, g.token) && !strstr(s.message, "00000000000000000000000000000002"));

        /* busy or away: soon again, by itself, with the same key; then well */
        g.refuse = RPC_STATUS_UNAVAILABLE;
        unsigned before = s.failed;
        assert_ok(agent_enroll_start(e));
        run_until_at_least(&f, &s.failed, before + 3, 10);
        assert_se(s.pause <= 200 * USEC_PER_MSEC);

        /* a certificate for somebody else, and one by another CA: refused here */
        g.refuse = RPC_STATUS_OK;
        g.issue_for = "web-2";
        before = s.failed;
        assert_ok(agent_enroll_start(e));
        run_until_at_least(&f, &s.failed, before + 1, 5);
        assert_se(strstr(s.message, "another agent id") && !agent_identity_id(identity));
        g.issue_for = NULL;
        g.issuer = other;
        before = s.failed;
        assert_ok(agent_enroll_start(e));
        run_until_at_least(&f, &s.failed, before + 1, 5);
        assert_se(!agent_identity_id(identity) && s.enrolled == 0);

        /* the token may also come from a file that is named */
        g.issuer = f.ca;
        g.lifetime = 40 * USEC_PER_SEC;
        agent_enroll_free(e);
        _cleanup_free_ char *path = strjoinf("%s/token", state),
                            *moved = strjoinf("%s/fleet-agent.join-token", credentials);
        options.join_token_file = path;
        assert_ok(agent_enroll_new(&e, &options));
        before = s.failed;
        assert_ok(agent_enroll_start(e));
        run_until_at_least(&f, &s.failed, before + 1, 5);
        assert_se(strstr(s.message, "no join token"));
        assert_ok(rename(moved, path));
        assert_ok(agent_enroll_start(e));
        run_until_at_least(&f, &s.enrolled, 1, 5);
        assert_streq(agent_identity_id(identity), "web-1");
        assert_se(!agent_enroll_is_running(e));

        test_patience(options, conf, &f, &s);

        /* renewal: not served at first, and that hurts nobody; then it is */
        assert_ok(agent_renew_new(&renew, f.event, f.queue, &conf, identity, "test"));
        g.no_renewal = true;
        agent_renew_plan(renew);
        run_until_at_least(&f, &g.renewals, 1, 20);
        run_for(&f, 300 * USEC_PER_MSEC);
        assert_streq(agent_identity_id(identity), "web-1");
        agent_renew_free(renew);
        assert_ok(agent_renew_new(&renew, f.event, f.queue, &conf, identity, "test"));
        g.no_renewal = false;
        usec_t expires = agent_identity_expires(identity);
        agent_renew_plan(renew);
        run_until_at_least(&f, &g.renewals, 2, 20);
        run_for(&f, 500 * USEC_PER_MSEC);
        assert_se(agent_identity_expires(identity) > expires + USEC_PER_HOUR);

        agent_renew_free(renew);
        agent_enroll_free(e);
        agent_identity_free(identity);
        (void) close(state_fd);
        agent_facts_done(&facts);
        agent_conf_done(&conf);
        rpc_server_free(g.server);
        fixture_done(&f);
        assert_ok(tree_remove_at(AT_FDCWD, state));
        assert_ok(tree_remove_at(AT_FDCWD, credentials));
        return EXIT_SUCCESS;
}
