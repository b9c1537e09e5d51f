/* SPDX-License-Identifier: Apache-2.0 */

/* The way things should go: unary calls, streams both ways, identity, closing from either side, over real
 * mTLS. */

#include <unistd.h>

#include "alloc-util.h"
#include "rpc-fixture.h"
#include "string-util.h"

#define MESSAGES 10000U

typedef struct Side {
        Fixture *f;
        unsigned opened, messages, closed, responses;
        RpcStatus status;
        RpcFailure failure;
        char *text;
        RpcSession *session;
        RpcRequest *held;
        bool hold, echo, close_at_once;
        uint64_t last;
        uint32_t deadline_hint;
        char *peer_id;
} Side;

static void side_done(Side *s) {
        free(s->text);
        free(s->peer_id);
}

/* ---- server ---- */

static char *id_of_peer(const RpcPeer *peer) {
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        char *id = NULL;

        if (!peer->certificate_pem)
                return NULL;
        assert_ok(pki_cert_parse_pem(peer->certificate_pem, strlen(peer->certificate_pem), &cert));
        assert_ok(pki_cert_agent_id(cert, &id));
        return id;
}

static void on_probe(RpcRequest *r, const ProtobufCMessage *message, void *userdata) {
        const Fleet__V1__ProbeRequest *probe = (const Fleet__V1__ProbeRequest *) message;
        Fleet__V1__ProbeResponse response = FLEET__V1__PROBE_RESPONSE__INIT;
        Side *s = userdata;

        s->messages++;
        free(s->peer_id);
        s->peer_id = id_of_peer(rpc_request_peer(r));
        assert_se(startswith(rpc_request_peer(r)->address, "127.0.0.1:"));
        if (s->hold) {
                s->held = r;
                return;
        }
        if (streq(probe->version, "refuse-me")) {
                rpc_request_refuse(r, RPC_STATUS_FAILED_PRECONDITION, "not today");
                return;
        }
        response.ready = true;
        response.reason = probe->agent_id;
        assert_ok(rpc_request_answer(r, &response.base));
}

static void on_open(RpcSession *session, void *userdata) {
        Side *s = userdata;

        s->opened++;
        s->session = session;
        rpc_session_set_userdata(session, s);
        free(s->peer_id);
        s->peer_id = id_of_peer(rpc_session_peer(session));
        if (s->close_at_once)
                rpc_session_close(session, RPC_STATUS_RESOURCE_EXHAUSTED, "come back later");
}

static void on_session_message(RpcSession *session, const ProtobufCMessage *message, void *userdata) {
        const Fleet__V1__AgentMessage *m = (const Fleet__V1__AgentMessage *) message;
        Side *s = userdata;

        assert_se(rpc_session_get_userdata(session) == s);
        assert_se(m->message_case == FLEET__V1__AGENT_MESSAGE__MESSAGE_HEARTBEAT);
        assert_se(m->heartbeat->sequence == s->last + 1);
        s->last = m->heartbeat->sequence;
        s->messages++;
        if (!s->echo)
                return;

        Fleet__V1__GatewayMessage down = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Ack ack = FLEET__V1__ACK__INIT;
        down.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_ACK;
        down.ack = &ack;
        ack.id = (char *) "echo";
        ack.sequence = m->heartbeat->sequence;
        assert_ok(rpc_session_send(session, &down.base, RPC_SEND_KEEP));
}

static void on_session_closed(RpcSession *session, RpcStatus status, const char *text, void *userdata) {
        Side *s = userdata;

        s->closed++;
        s->status = status;
        assert_ok(free_and_strdup(&s->text, text));
        s->session = NULL;
}

static const RpcSessionHandlers session_handlers = {
        .on_open = on_open,
        .on_message = on_session_message,
        .on_closed = on_session_closed,
};

static RpcServer *
start_server(Fixture *f, Side *s, const RpcServerOptions *options, bool mtls, uint16_t *ret_port) {
        RpcServer *server;

        assert_ok(rpc_server_new(&server, f->queue, options));
        *ret_port = fixture_port(f, server, mtls);
        assert_ok(rpc_server_add_method(server, &rpc_method_probe, mtls, on_probe, s));
        assert_ok(rpc_server_add_stream(server, &rpc_method_connect, mtls, &session_handlers, s));
        assert_ok(rpc_server_start(server));
        return server;
}

/* ---- client ---- */

static void
on_response(RpcCall *call, const RpcResult *result, const ProtobufCMessage *response, void *userdata) {
        Side *s = userdata;

        s->responses++;
        s->status = result->status;
        s->failure = result->failure;
        assert_ok(free_and_strdup(&s->text, result->text));
        assert_se(!response == (result->status != RPC_STATUS_OK));
        if (response)
                assert_streq(((const Fleet__V1__ProbeResponse *) response)->reason, "who");
}

static RpcStatus probe(Fixture *f, RpcClient *client, Side *s, const char *version, usec_t timeout) {
        Fleet__V1__ProbeRequest request = FLEET__V1__PROBE_REQUEST__INIT;
        _cleanup_(rpc_call_freep) RpcCall *call = NULL;
        unsigned before = s->responses;

        request.agent_id = (char *) "who";
        request.version = (char *) version;
        assert_ok(rpc_call_start(client, &rpc_method_probe, &request.base, timeout, on_response, s, &call));
        assert_se(s->responses == before);
        run_until_at_least(f, &s->responses, before + 1, 30);
        return s->status;
}

static void on_stream_message(RpcStream *stream, const ProtobufCMessage *message, void *userdata) {
        const Fleet__V1__GatewayMessage *m = (const Fleet__V1__GatewayMessage *) message;
        Side *s = userdata;

        assert_se(m->message_case == FLEET__V1__GATEWAY_MESSAGE__MESSAGE_ACK);
        assert_streq(m->ack->id, "echo");
        assert_se(m->ack->sequence == s->last + 1);
        s->last = m->ack->sequence;
        s->messages++;
}

static void on_stream_closed(RpcStream *stream, const RpcResult *result, void *userdata) {
        Side *s = userdata;

        s->closed++;
        s->status = result->status;
        s->failure = result->failure;
        assert_ok(free_and_strdup(&s->text, result->text));
}

static const RpcStreamHandlers stream_handlers = { .on_message = on_stream_message,
                                                   .on_closed = on_stream_closed };

static int send_heartbeat(RpcStream *stream, uint64_t sequence, RpcSendPolicy policy) {
        Fleet__V1__AgentMessage up = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Heartbeat heartbeat = FLEET__V1__HEARTBEAT__INIT;

        up.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_HEARTBEAT;
        up.heartbeat = &heartbeat;
        heartbeat.sequence = sequence;
        return rpc_stream_send(stream, &up.base, policy);
}

/* ---- tests ---- */

static void test_unary(void) {
        Side server_side = { 0 }, side = { 0 };
        Fixture f;
        uint16_t port;

        fixture_init(&f, 2, 1024);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);

        assert_se(probe(&f, client, &side, "1.0.0", 10 * USEC_PER_SEC) == RPC_STATUS_OK);
        assert_se(side.failure == RPC_FAILURE_NONE);
        assert_streq(server_side.peer_id, "agent-1");
        for (unsigned i = 0; i < 100; i++)
                assert_se(probe(&f, client, &side, "1.0.0", 10 * USEC_PER_SEC) == RPC_STATUS_OK);

        assert_se(probe(&f, client, &side, "refuse-me", 10 * USEC_PER_SEC) ==
                  RPC_STATUS_FAILED_PRECONDITION);
        assert_se(side.failure == RPC_FAILURE_PEER);
        assert_streq(side.text, "not today");

        /* an answer that comes too late, and after everything has gone */
        server_side.hold = true;
        assert_se(probe(&f, client, &side, "1.0.0", 300 * USEC_PER_MSEC) == RPC_STATUS_DEADLINE_EXCEEDED);
        assert_se(side.failure == RPC_FAILURE_DEADLINE);
        run_for(&f, 50 * USEC_PER_MSEC);

        client = rpc_client_free(client);
        server = rpc_server_free(server);
        fixture_done(&f);
        Fleet__V1__ProbeResponse late = FLEET__V1__PROBE_RESPONSE__INIT;
        assert_se(server_side.held);
        assert_ok(rpc_request_answer(server_side.held, &late.base));
        side_done(&side);
        side_done(&server_side);
}

static void test_unknown_method(void) {
        Fleet__V1__RenewCertificateRequest request = FLEET__V1__RENEW_CERTIFICATE_REQUEST__INIT;
        Side server_side = { 0 }, side = { 0 };
        RpcCall *call = NULL;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 1, 1024);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);

        assert_ok(
                        rpc_call_start(client, &rpc_method_renew_certificate, &request.base,
                                       10 * USEC_PER_SEC, on_response, &side, &call));
        run_until_at_least(&f, &side.responses, 1, 20);
        assert_se(side.status == RPC_STATUS_UNIMPLEMENTED && side.failure == RPC_FAILURE_PEER);
        call = rpc_call_free(call);

        /* freed while it runs: no callback */
        assert_ok(
                        rpc_call_start(client, &rpc_method_renew_certificate, &request.base,
                                       10 * USEC_PER_SEC, on_response, &side, &call));
        call = rpc_call_free(call);
        run_for(&f, 100 * USEC_PER_MSEC);
        assert_se(side.responses == 1);

        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        side_done(&side);
        side_done(&server_side);
}

static void test_stream(void) {
        const RpcSendLimits limits = { .messages = 32 };
        const RpcServerOptions options = { .send_limits = { .messages = 64 } };
        Side server_side = { .echo = true }, side = { 0 };
        RpcStream *stream;
        uint64_t next = 1;
        unsigned full = 0;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 2, 1024);
        RpcServer *server = start_server(&f, &server_side, &options, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);

        assert_ok(rpc_stream_open(client, &rpc_method_connect, &limits, &stream_handlers, &side, &stream));
        while (side.messages < MESSAGES) {
                while (next <= MESSAGES && next < side.messages + 64) {
                        int r = send_heartbeat(stream, next, RPC_SEND_KEEP);
                        if (r == -ENOBUFS) {
                                full++;
                                break;
                        }
                        assert_ok(r);
                        next++;
                        assert_se(rpc_stream_queued(stream) <= 33);
                }
                unsigned wanted = side.messages + 1;
                run_until_at_least(&f, &side.messages, wanted, 60);
        }
        assert_se(full > 0);
        assert_se(server_side.messages == MESSAGES && side.messages == MESSAGES);
        assert_se(rpc_stream_dropped(stream) == 0 && rpc_session_dropped(server_side.session) == 0);
        assert_se(rpc_server_sessions(server) == 1);
        assert_streq(server_side.peer_id, "agent-1");
        assert_se(startswith(rpc_stream_peer(stream), "127.0.0.1:"));

        /* goodbye: what is queued still arrives, the server ends with OK */
        for (unsigned i = 0; i < 20; i++)
                assert_ok(send_heartbeat(stream, next++, RPC_SEND_KEEP));
        assert_ok(rpc_stream_close(stream, 5 * USEC_PER_SEC));
        assert_error(send_heartbeat(stream, next, RPC_SEND_KEEP), ENOTCONN);
        run_until_at_least(&f, &side.closed, 1, 10);
        assert_se(side.status == RPC_STATUS_OK && side.failure == RPC_FAILURE_NONE);
        run_until_at_least(&f, &server_side.closed, 1, 10);
        assert_se(server_side.status == RPC_STATUS_OK && server_side.messages == MESSAGES + 20);
        assert_se(rpc_server_sessions(server) == 0);

        rpc_stream_free(stream);
        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        side_done(&side);
        side_done(&server_side);
}

static void test_server_closes(void) {
        Side server_side = { .echo = true }, side = { 0 };
        RpcStream *stream;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 1, 1024);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);

        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &server_side.opened, 1, 10);
        /* what was queued before arrives before the status */
        for (uint64_t i = 1; i <= 10; i++) {
                Fleet__V1__GatewayMessage down = FLEET__V1__GATEWAY_MESSAGE__INIT;
                Fleet__V1__Ack ack = FLEET__V1__ACK__INIT;

                down.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_ACK;
                down.ack = &ack;
                ack.id = (char *) "echo";
                ack.sequence = i;
                assert_ok(rpc_session_send(server_side.session, &down.base, RPC_SEND_KEEP));
        }
        rpc_session_close(server_side.session, RPC_STATUS_ABORTED, "replaced by a newer session");
        rpc_session_close(server_side.session, RPC_STATUS_OK, "again");
        assert_se(server_side.closed == 0);
        run_until_at_least(&f, &side.closed, 1, 10);
        run_until_at_least(&f, &server_side.closed, 1, 10);
        assert_se(side.messages == 10);
        assert_se(side.status == RPC_STATUS_ABORTED && side.failure == RPC_FAILURE_PEER);
        assert_streq(side.text, "replaced by a newer session");
        assert_se(server_side.status == RPC_STATUS_ABORTED);
        assert_streq(server_side.text, "replaced by a newer session");
        rpc_stream_free(stream);

        /* closed before anything was said */
        server_side.close_at_once = true;
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &side.closed, 2, 10);
        run_until_at_least(&f, &server_side.closed, 2, 10);
        assert_se(side.status == RPC_STATUS_RESOURCE_EXHAUSTED && side.failure == RPC_FAILURE_PEER);
        assert_streq(side.text, "come back later");
        rpc_stream_free(stream);
        server_side = (Side){
                .opened = 1, .closed = 1, .peer_id = server_side.peer_id, .text = server_side.text
        };
        side.closed = 1;

        /* aborted at once */
        side.last = 0;
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &server_side.opened, 2, 10);
        rpc_session_abort(server_side.session, RPC_STATUS_PERMISSION_DENIED, "revoked");
        run_until_at_least(&f, &side.closed, 2, 10);
        run_until_at_least(&f, &server_side.closed, 2, 10);
        assert_se(server_side.status == RPC_STATUS_PERMISSION_DENIED);
        rpc_stream_free(stream);

        /* the client goes without a word */
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &server_side.opened, 3, 10);
        rpc_stream_free(stream);
        run_until_at_least(&f, &server_side.closed, 3, 10);
        assert_se(server_side.status == RPC_STATUS_CANCELLED && side.closed == 2);

        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        side_done(&side);
        side_done(&server_side);
}

static void on_drain(RpcSession *session, void *userdata) {
        Fleet__V1__GatewayMessage down = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Ack ack = FLEET__V1__ACK__INIT;

        down.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_ACK;
        down.ack = &ack;
        ack.id = (char *) "echo";
        ack.sequence = 1;
        assert_ok(rpc_session_send(session, &down.base, RPC_SEND_KEEP));
}

static unsigned n_stopped = 0;
static void on_stopped(RpcServer *server, void *userdata) {
        n_stopped++;
        if (userdata)
                rpc_server_free(server);
}

static void test_drain(void) {
        Side server_side = { 0 }, sides[3] = { 0 };
        RpcStream *streams[3];
        RpcClient *clients[3];
        Fixture f;
        uint16_t port;

        fixture_init(&f, 2, 1024);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        for (unsigned i = 0; i < 3; i++) {
                clients[i] = fixture_client(&f, port, &f.agent, NULL);
                assert_ok(
                                rpc_stream_open(clients[i], &rpc_method_connect, NULL, &stream_handlers,
                                                sides + i, streams + i));
        }
        run_until_at_least(&f, &server_side.opened, 3, 20);

        n_stopped = 0;
        assert_ok(rpc_server_drain(server, 5 * USEC_PER_SEC, on_drain, on_stopped, server));
        assert_error(rpc_server_drain(server, 5 * USEC_PER_SEC, on_drain, on_stopped, server), EALREADY);
        for (unsigned i = 0; i < 3; i++) {
                run_until_at_least(&f, &sides[i].closed, 1, 10);
                assert_se(sides[i].messages == 1 && sides[i].status == RPC_STATUS_UNAVAILABLE);
                assert_se(sides[i].failure == RPC_FAILURE_PEER);
        }
        run_until_at_least(&f, &server_side.closed, 3, 10);
        run_until_at_least(&f, &n_stopped, 1, 20);

        for (unsigned i = 0; i < 3; i++) {
                rpc_stream_free(streams[i]);
                rpc_client_free(clients[i]);
                side_done(sides + i);
        }
        fixture_done(&f);
        side_done(&server_side);
}

/* Half-open in the other sense: nobody closes anything before everything is freed. */
static void test_free_in_use(void) {
        Side server_side = { 0 }, side = { 0 };
        RpcStream *stream;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 2, 1024);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &server_side.opened, 1, 10);
        for (uint64_t i = 1; i < 30; i++)
                assert_ok(send_heartbeat(stream, i, RPC_SEND_KEEP));
        rpc_server_free(server);
        assert_se(server_side.closed == 1 && server_side.status == RPC_STATUS_UNAVAILABLE);
        rpc_stream_free(stream);
        rpc_client_free(client);
        fixture_done(&f);
        assert_se(server_side.closed == 1 && side.closed == 0);
        side_done(&side);
        side_done(&server_side);
}

static void test_loop(void) {
        Fixture f;

        fixture_init(&f, 2, 1024);
        for (unsigned i = 0; i < 20; i++) {
                Side server_side = { 0 }, side = { 0 };
                RpcStream *stream;
                uint16_t port;

                RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
                RpcClient *client = fixture_client(&f, port, &f.agent, NULL);
                assert_ok(rpc_stream_open(
                                client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
                if (i % 3 != 0)
                        run_until_at_least(&f, &server_side.opened, 1, 10);
                if (i % 3 == 1) {
                        assert_ok(rpc_stream_close(stream, USEC_PER_SEC));
                        run_until_at_least(&f, &side.closed, 1, 10);
                }
                rpc_stream_free(stream);
                rpc_client_free(client);
                rpc_server_free(server);
                side_done(&side);
                side_done(&server_side);
        }
        fixture_done(&f);
}

int main(void) {
        test_unary();
        test_unknown_method();
        test_stream();
        test_server_closes();
        test_drain();
        test_free_in_use();
        test_loop();
        return 0;
}
