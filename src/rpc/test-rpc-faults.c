/* SPDX-License-Identifier: Apache-2.0 */

/* The way things go wrong: nobody there, nobody who may be trusted, too large, malformed, limits. */

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "rpc-codec.h"
#include "rpc-fixture.h"
#include "string-util.h"

typedef struct Side {
        unsigned opened, messages, closed, responses;
        RpcStatus status;
        RpcFailure failure;
        char *text;
        RpcSession *session;
        bool had_certificate;
} Side;

static void on_probe(RpcRequest *r, const ProtobufCMessage *message, void *userdata) {
        Fleet__V1__ProbeResponse response = FLEET__V1__PROBE_RESPONSE__INIT;
        Side *s = userdata;

        s->messages++;
        s->had_certificate = rpc_request_peer(r)->certificate_pem;
        assert_ok(rpc_request_answer(r, &response.base));
}

static void on_enroll(RpcRequest *r, const ProtobufCMessage *message, void *userdata) {
        Fleet__V1__EnrollResponse response = FLEET__V1__ENROLL_RESPONSE__INIT;
        Side *s = userdata;

        s->messages++;
        s->had_certificate = rpc_request_peer(r)->certificate_pem;
        assert_ok(rpc_request_answer(r, &response.base));
}

static void on_open(RpcSession *session, void *userdata) {
        Side *s = userdata;

        s->opened++;
        s->session = session;
}

static void on_session_message(RpcSession *session, const ProtobufCMessage *message, void *userdata) {
        Side *s = userdata;

        s->messages++;
}

static void on_session_closed(RpcSession *session, RpcStatus status, const char *text, void *userdata) {
        Side *s = userdata;

        s->closed++;
        s->status = status;
        assert_ok(free_and_strdup(&s->text, text));
}

static const RpcSessionHandlers session_handlers = {
        .on_open = on_open, .on_message = on_session_message, .on_closed = on_session_closed,
};

static RpcServer *
start_server(Fixture *f, Side *s, const RpcServerOptions *options, bool mtls, uint16_t *ret_port) {
        RpcServer *server;

        assert_ok(rpc_server_new(&server, f->queue, options));
        *ret_port = fixture_port(f, server, mtls);
        assert_ok(rpc_server_add_method(server, &rpc_method_probe, true, on_probe, s));
        assert_ok(rpc_server_add_method(server, &rpc_method_enroll, false, on_enroll, s));
        assert_ok(rpc_server_add_stream(server, &rpc_method_connect, true, &session_handlers, s));
        assert_ok(rpc_server_start(server));
        return server;
}

static void
on_response(RpcCall *call, const RpcResult *result, const ProtobufCMessage *response, void *userdata) {
        Side *s = userdata;

        s->responses++;
        s->status = result->status;
        s->failure = result->failure;
        assert_ok(free_and_strdup(&s->text, result->text));
}

static void on_stream_message(RpcStream *stream, const ProtobufCMessage *message, void *userdata) {
        Side *s = userdata;

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

/* Opens a stream, waits for its end, and says what was to blame. */
static RpcFailure stream_failure(Fixture *f, RpcClient *client, Side *side, unsigned seconds) {
        RpcStream *stream;
        unsigned before = side->closed;

        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, side, &stream));
        run_until_at_least(f, &side->closed, before + 1, seconds);
        rpc_stream_free(stream);
        return side->failure;
}

static RpcFailure probe_failure(Fixture *f, RpcClient *client, Side *side) {
        Fleet__V1__ProbeRequest request = FLEET__V1__PROBE_REQUEST__INIT;
        _cleanup_(rpc_call_freep) RpcCall *call = NULL;
        unsigned before = side->responses;

        assert_ok(
                        rpc_call_start(client, &rpc_method_probe, &request.base, 10 * USEC_PER_SEC,
                                       on_response, side, &call));
        run_until_at_least(f, &side->responses, before + 1, 20);
        return side->failure;
}

/* ---- nobody there ---- */

static void test_unreachable(void) {
        Side side = { 0 };
        Fixture f;

        fixture_init(&f, 1, 256);
        RpcClient *client = fixture_client(&f, unused_port(), &f.agent, NULL);
        usec_t start = now(CLOCK_MONOTONIC);
        /* several attempts: the second must not be answered from a sulking channel later than the first */
        for (unsigned i = 0; i < 5; i++) {
                assert_se(stream_failure(&f, client, &side, 5) == RPC_FAILURE_UNREACHABLE);
                assert_se(side.status == RPC_STATUS_UNAVAILABLE);
        }
        assert_se(probe_failure(&f, client, &side) == RPC_FAILURE_UNREACHABLE);
        assert_se(now(CLOCK_MONOTONIC) - start < 5 * USEC_PER_SEC);
        rpc_client_free(client);
        fixture_done(&f);
        free(side.text);
}

/* The server comes up after a first failure: the next attempt finds it at once. */
static void test_reachable_again(void) {
        Side side = { 0 }, server_side = { 0 };
        RpcServer *server;
        RpcStream *stream;
        Fixture f;
        char address[32];

        fixture_init(&f, 1, 256);
        uint16_t port = unused_port();
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);
        assert_se(stream_failure(&f, client, &side, 5) == RPC_FAILURE_UNREACHABLE);

        _cleanup_(rpc_credentials_freep) RpcCredentials *c = NULL;
        assert_ok(rpc_credentials_new_server(f.ca_pem, f.gateway.chain, f.gateway.key, &c));
        assert_ok(rpc_server_new(&server, f.queue, NULL));
        snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        assert_ok(rpc_server_add_port(server, address, c, NULL));
        assert_ok(rpc_server_add_stream(server, &rpc_method_connect, true, &session_handlers, &server_side));
        assert_ok(rpc_server_start(server));

        usec_t start = now(CLOCK_MONOTONIC);
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &server_side.opened, 1, 5);
        assert_se(now(CLOCK_MONOTONIC) - start < USEC_PER_SEC);

        /* and the same port a second time: refused, and told why */
        RpcServer *second;
        assert_ok(rpc_server_new(&second, f.queue, NULL));
        assert_error(rpc_server_add_port(second, address, c, NULL), EADDRINUSE);
        rpc_server_free(second);

        rpc_stream_free(stream);
        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        free(side.text);
        free(server_side.text);
}

static int send_heartbeat(RpcStream *stream, RpcSendPolicy policy) {
        Fleet__V1__AgentMessage up = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Heartbeat heartbeat = FLEET__V1__HEARTBEAT__INIT;

        up.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_HEARTBEAT;
        up.heartbeat = &heartbeat;
        heartbeat.sequence = 1;
        return rpc_stream_send(stream, &up.base, policy);
}

static void test_connect_timeout_and_queue(void) {
        const RpcSendLimits limits = { .messages = 10 }, small = { .bytes = 20 };
        _cleanup_close_ int fd = -EBADF;
        Side side = { 0 };
        RpcStream *stream;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 1, 256);
        fd = silent_listener(&port);
        RpcClient *client = fixture_client_full(
                        &f, port, &f.agent, NULL, &(RpcClientOptions){ .connect_timeout = USEC_PER_SEC });
        usec_t start = now(CLOCK_MONOTONIC);
        assert_ok(rpc_stream_open(client, &rpc_method_connect, &limits, &stream_handlers, &side, &stream));

        /* nothing goes out: the queue fills */
        for (unsigned i = 0; i < 100; i++)
                assert_se(send_heartbeat(stream, RPC_SEND_DROPPABLE) == 0);
        assert_se(rpc_stream_queued(stream) == 10 && rpc_stream_dropped(stream) == 90);
        for (unsigned i = 0; i < 10; i++)
                assert_se(send_heartbeat(stream, RPC_SEND_KEEP) == 0);
        assert_se(rpc_stream_queued(stream) == 10 && rpc_stream_dropped(stream) == 100);
        assert_error(send_heartbeat(stream, RPC_SEND_KEEP), ENOBUFS);
        assert_se(send_heartbeat(stream, RPC_SEND_DROPPABLE) == RPC_SEND_DROPPED);
        assert_se(rpc_stream_dropped(stream) == 101);

        run_until_at_least(&f, &side.closed, 1, 5);
        assert_se(side.failure == RPC_FAILURE_UNREACHABLE);
        assert_se(now(CLOCK_MONOTONIC) - start < 3 * USEC_PER_SEC);
        rpc_stream_free(stream);

        /* bytes count too */
        assert_ok(rpc_stream_open(client, &rpc_method_connect, &small, &stream_handlers, &side, &stream));
        unsigned n = 0;
        while (send_heartbeat(stream, RPC_SEND_KEEP) == 0)
                n++;
        assert_se(n > 1 && n <= 10);
        rpc_stream_free(stream);

        rpc_client_free(client);
        fixture_done(&f);
        free(side.text);
}

/* ---- nobody to trust ---- */

static void test_certificates(void) {
        usec_t time = now(CLOCK_REALTIME);
        Identity expired = { 0 }, foreign = { 0 };
        Side side = { 0 }, server_side = { 0 };
        _cleanup_(pki_ca_freep) PkiCa *other = NULL;
        _cleanup_free_ char *other_pem = NULL;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 2, 512);
        assert_ok(pki_ca_create("test CA", time, 0, &other));
        assert_ok(pki_cert_format_pem(pki_ca_cert(other), &other_pem));
        identity_agent(f.ca, "agent-1", time - 3 * USEC_PER_DAY, USEC_PER_DAY, &expired);
        identity_agent(other, "agent-1", time, 0, &foreign);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);

        const struct {
                const Identity *identity;
                const char *ca, *name;
                RpcFailure failure;
        } table[] = {
                { &f.agent, other_pem, NULL, RPC_FAILURE_SERVER_CERTIFICATE },
                { &f.agent, NULL, "other.example", RPC_FAILURE_SERVER_CERTIFICATE },
                { NULL, NULL, NULL, RPC_FAILURE_CLIENT_CERTIFICATE },
                { &expired, NULL, NULL, RPC_FAILURE_CLIENT_CERTIFICATE },
                { &foreign, NULL, NULL, RPC_FAILURE_CLIENT_CERTIFICATE },
                { &f.gateway, NULL, NULL, RPC_FAILURE_CLIENT_CERTIFICATE }, /* not meant for a client */
                { &f.agent, NULL, NULL, RPC_FAILURE_NONE },
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                RpcClient *client = fixture_client_full(
                                &f, port, table[i].identity, table[i].ca,
                                &(RpcClientOptions){ .server_name = table[i].name });
                RpcFailure by_probe = probe_failure(&f, client, &side);
                RpcFailure by_stream = table[i].failure == RPC_FAILURE_NONE ?
                                                       RPC_FAILURE_NONE :
                                                       stream_failure(&f, client, &side, 10);
                if (by_probe != table[i].failure || by_stream != table[i].failure)
                        fprintf(stderr, "row %zu: %s, %s: %s\n", i, rpc_failure_to_string(by_probe),
                                rpc_failure_to_string(by_stream), side.text);
                assert_se(by_probe == table[i].failure && by_stream == table[i].failure);
                rpc_client_free(client);
        }
        assert_se(server_side.messages == 1 && server_side.had_certificate && server_side.opened == 0);

        rpc_server_free(server);
        fixture_done(&f);
        identity_done(&expired);
        identity_done(&foreign);
        free(side.text);
        free(server_side.text);
}

/* A gateway's certificate is renewed while it runs: the port stays, the next handshake sees the new one. */
static void test_replaced_certificate(void) {
        _cleanup_(rpc_credentials_freep) RpcCredentials *c = NULL;
        _cleanup_(pki_ca_freep) PkiCa *other = NULL;
        _cleanup_free_ char *other_pem = NULL;
        Side side = { 0 }, server_side = { 0 };
        Identity other_gateway = { 0 };
        RpcServer *server;
        RpcStream *old;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 2, 512);
        assert_ok(pki_ca_create("other CA", now(CLOCK_REALTIME), 0, &other));
        assert_ok(pki_cert_format_pem(pki_ca_cert(other), &other_pem));
        identity_gateway(other, &other_gateway);
        assert_ok(rpc_credentials_new_server(f.ca_pem, f.gateway.chain, f.gateway.key, &c));
        assert_ok(rpc_server_new(&server, f.queue, NULL));
        assert_ok(rpc_server_add_port(server, "127.0.0.1:0", c, &port));
        assert_ok(rpc_server_add_method(server, &rpc_method_probe, true, on_probe, &server_side));
        assert_ok(rpc_server_add_stream(server, &rpc_method_connect, true, &session_handlers, &server_side));
        assert_ok(rpc_server_start(server));

        RpcClient *first = fixture_client(&f, port, &f.agent, NULL);
        assert_ok(rpc_stream_open(first, &rpc_method_connect, NULL, &stream_handlers, &side, &old));
        run_until_at_least(&f, &server_side.opened, 1, 10);

        assert_error(rpc_credentials_replace_server(c, NULL, other_gateway.chain, other_gateway.key),
                     EINVAL);
        assert_error(rpc_credentials_replace_server(c, f.ca_pem, "no PEM", other_gateway.key), EBADMSG);
        assert_ok(rpc_credentials_replace_server(c, f.ca_pem, other_gateway.chain, other_gateway.key));
        RpcClient *second = fixture_client(&f, port, &f.agent, NULL);
        assert_se(probe_failure(&f, second, &side) == RPC_FAILURE_SERVER_CERTIFICATE);
        RpcClient *third = fixture_client(&f, port, &f.agent, other_pem);
        assert_se(probe_failure(&f, third, &side) == RPC_FAILURE_NONE);

        /* what does not fit together changes nothing */
        assert_ok(rpc_credentials_replace_server(c, f.ca_pem, f.gateway.chain, other_gateway.key));
        rpc_client_free(third);
        third = fixture_client(&f, port, &f.agent, other_pem);
        assert_se(probe_failure(&f, third, &side) == RPC_FAILURE_NONE);

        assert_se(side.closed == 0);
        rpc_stream_free(old);
        rpc_client_free(first);
        rpc_client_free(second);
        rpc_client_free(third);
        rpc_server_free(server);
        fixture_done(&f);
        identity_done(&other_gateway);
        free(side.text);
        free(server_side.text);
}

static void test_enrolment_port(void) {
        Fleet__V1__EnrollRequest request = FLEET__V1__ENROLL_REQUEST__INIT;
        Side side = { 0 }, server_side = { 0 };
        RpcCall *call;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 1, 512);
        RpcServer *server = start_server(&f, &server_side, NULL, false, &port);
        RpcClient *client = fixture_client(&f, port, NULL, NULL);
        assert_ok(
                        rpc_call_start(client, &rpc_method_enroll, &request.base, 5 * USEC_PER_SEC,
                                       on_response, &side, &call));
        run_until_at_least(&f, &side.responses, 1, 10);
        assert_se(side.status == RPC_STATUS_OK && !server_side.had_certificate);
        rpc_call_free(call);

        /* what needs a certificate is not to be had here, not even with one that nobody asked for */
        assert_se(probe_failure(&f, client, &side) == RPC_FAILURE_PEER &&
                  side.status == RPC_STATUS_UNAUTHENTICATED);
        assert_se(stream_failure(&f, client, &side, 5) == RPC_FAILURE_PEER &&
                  side.status == RPC_STATUS_UNAUTHENTICATED);
        rpc_client_free(client);
        client = fixture_client(&f, port, &f.agent, NULL);
        assert_se(probe_failure(&f, client, &side) == RPC_FAILURE_PEER &&
                  side.status == RPC_STATUS_UNAUTHENTICATED);
        assert_se(server_side.messages == 1 && server_side.opened == 0);

        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        free(side.text);
        free(server_side.text);
}

static void test_bad_material(void) {
        RpcCredentials *c = NULL;
        RpcServer *server;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 1, 128);
        assert_error(rpc_credentials_new_client("no PEM", NULL, NULL, &c), EBADMSG);
        assert_error(rpc_credentials_new_client(NULL, NULL, NULL, &c), EINVAL);
        assert_error(rpc_credentials_new_client(f.ca_pem, f.agent.chain, NULL, &c), EINVAL);
        assert_error(rpc_credentials_new_server(f.ca_pem, NULL, NULL, &c), EINVAL);
        assert_se(!c);

        /* somebody else's key */
        assert_ok(rpc_credentials_new_server(f.ca_pem, f.gateway.chain, f.agent.key, &c));
        assert_ok(rpc_server_new(&server, f.queue, NULL));
        assert_error(rpc_server_add_port(server, "127.0.0.1:0", c, &port), EKEYREJECTED);
        rpc_server_free(server);
        c = rpc_credentials_free(c);
        fixture_done(&f);
}

/* ---- what should not be sent ---- */

/* Speaks of Connect, but sends another type of message: what an attacker with a certificate may do. */
static const RpcMethod *forged_method(void) {
        static RpcMethod m;

        m = rpc_method_connect;
        m.request = &fleet__v1__enroll_request__descriptor;
        m.request_max = 4 * RPC_UP_MAX;
        return &m;
}

static int send_forged(RpcStream *stream, size_t csr_size, const char *token) {
        Fleet__V1__EnrollRequest request = FLEET__V1__ENROLL_REQUEST__INIT;
        _cleanup_free_ uint8_t *csr = calloc(1, csr_size ?: 1);

        request.csr = (ProtobufCBinaryData) { .len = csr_size, .data = csr };
        request.join_token = (char *) token;
        return rpc_stream_send(stream, &request.base, RPC_SEND_KEEP);
}

static void test_bad_messages(void) {
        Side side = { 0 }, server_side = { 0 };
        RpcStream *stream;
        Fixture f;
        uint16_t port;

        fixture_init(&f, 1, 512);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);

        /* our own side refuses first */
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        assert_error(send_forged(stream, 10, ""), EINVAL);
        rpc_stream_free(stream);
        assert_ok(rpc_stream_open(client, forged_method(), NULL, &stream_handlers, &side, &stream));
        assert_error(send_forged(stream, 10, "\xff"), EINVAL);
        assert_error(send_forged(stream, RPC_BYTES_MAX + 1, ""), EINVAL);

        /* malformed for the server: a join token is no Hello */
        unsigned closed = server_side.closed;
        assert_ok(send_forged(stream, 10, "xxxxxxxxxxxxxxxxxxx"));
        run_until_at_least(&f, &side.closed, 1, 10);
        run_until_at_least(&f, &server_side.closed, closed + 1, 10);
        assert_se(server_side.messages == 0);
        rpc_stream_free(stream);

        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        free(side.text);
        free(server_side.text);
}

/* Above the cap of the transport: many strings that are each short enough. */
static void test_oversized(void) {
        Side side = { 0 }, server_side = { 0 };
        ProtobufCBinaryData parts[8];
        Fleet__V1__EnrollResponse big = FLEET__V1__ENROLL_RESPONSE__INIT;
        static uint8_t data[16000];
        RpcMethod forged = rpc_method_connect;
        RpcStream *stream;
        Fixture f;
        uint16_t port;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                parts[i] = (ProtobufCBinaryData) { .len = sizeof(data), .data = data };
        big.n_chain = ELEMENTSOF(parts);
        big.chain = parts;
        forged.request = &fleet__v1__enroll_response__descriptor;
        forged.request_max = 4 * RPC_UP_MAX;

        fixture_init(&f, 1, 512);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);
        assert_ok(rpc_stream_open(client, &forged, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &server_side.opened, 1, 10);
        assert_ok(rpc_stream_send(stream, &big.base, RPC_SEND_KEEP));
        run_until_at_least(&f, &side.closed, 1, 10);
        assert_se(side.status == RPC_STATUS_RESOURCE_EXHAUSTED && side.failure == RPC_FAILURE_PEER);
        run_until_at_least(&f, &server_side.closed, 1, 10);
        assert_se(server_side.messages == 0);
        rpc_stream_free(stream);

        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        free(side.text);
        free(server_side.text);
}

/* ---- garbage ---- */

static void test_garbage(void) {
        static const char *const texts[] = {
                "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not really a ClientHello",
                "",
        };
        Side side = { 0 }, server_side = { 0 };
        int fds[40];
        Fixture f;
        uint16_t port;

        fixture_init(&f, 2, 512);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                uint8_t noise[4096];
                const char *text = texts[i % ELEMENTSOF(texts)];

                fds[i] = tcp_connect(port);
                ssize_t n = send(fds[i], text, strlen(text), MSG_NOSIGNAL);
                if (i % 2 == 0) {
                        random_bytes(noise, sizeof(noise));
                        n = send(fds[i], noise, sizeof(noise), MSG_NOSIGNAL);
                }
                if (i % 5 == 0)
                        fds[i] = fd_close(fds[i]);
                (void) n;
        }
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);
        assert_se(probe_failure(&f, client, &side) == RPC_FAILURE_NONE);
        run_for(&f, 200 * USEC_PER_MSEC);
        assert_se(probe_failure(&f, client, &side) == RPC_FAILURE_NONE);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fd_close(fds[i]);
        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        free(side.text);
        free(server_side.text);
}

/* ---- limits ---- */

static void test_limits(void) {
        const RpcServerOptions options = { .sessions_max = 2 };
        Side sides[3] = { 0 }, server_side = { 0 };
        RpcStream *streams[3];
        Fixture f;
        uint16_t port;

        fixture_init(&f, 1, 512);
        RpcServer *server = start_server(&f, &server_side, &options, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);
        for (unsigned i = 0; i < 2; i++) {
                assert_ok(
                                rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers,
                                                sides + i, streams + i));
                run_until_at_least(&f, &server_side.opened, i + 1, 10);
        }
        assert_ok(rpc_stream_open(
                        client, &rpc_method_connect, NULL, &stream_handlers, sides + 2, streams + 2));
        run_until_at_least(&f, &sides[2].closed, 1, 10);
        assert_se(sides[2].status == RPC_STATUS_RESOURCE_EXHAUSTED && sides[2].failure == RPC_FAILURE_PEER);
        assert_se(sides[0].closed == 0 && sides[1].closed == 0);
        for (unsigned i = 0; i < 3; i++) {
                rpc_stream_free(streams[i]);
                free(sides[i].text);
        }
        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        free(server_side.text);
}

/* A mailbox with few places: streams are refused one by one, nothing blocks, and places come back. */
static void test_few_places(void) {
        Side sides[8] = { 0 }, server_side = { 0 };
        RpcStream *streams[8] = { 0 };
        unsigned refused = 0;
        Fixture f;
        uint16_t port;

        /* 16 for accepting, 1 for the shutdown, 32 kept for refusals, and a little */
        fixture_init(&f, 1, 16 + 1 + 32 + 24);
        RpcServer *server = start_server(&f, &server_side, NULL, true, &port);
        RpcClient *client = fixture_client(&f, port, &f.agent, NULL);
        for (unsigned i = 0; i < 8; i++) {
                assert_ok(
                                rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers,
                                                sides + i, streams + i));
                run_for(&f, 50 * USEC_PER_MSEC);
                refused += sides[i].closed;
                assert_se(sides[i].closed == 0 || sides[i].status == RPC_STATUS_RESOURCE_EXHAUSTED);
        }
        assert_se(refused > 0 && refused < 8 && server_side.opened == 8 - refused);
        for (unsigned i = 0; i < 8; i++) {
                rpc_stream_free(streams[i]);
                free(sides[i].text);
        }
        run_until_at_least(&f, &server_side.closed, server_side.opened, 10);
        assert_se(probe_failure(&f, client, sides + 0) == RPC_FAILURE_NONE);
        free(sides[0].text);
        rpc_client_free(client);
        rpc_server_free(server);
        fixture_done(&f);
        free(server_side.text);
}

int main(void) {
        test_unreachable();
        test_reachable_again();
        test_connect_timeout_and_queue();
        test_certificates();
        test_replaced_certificate();
        test_enrolment_port();
        test_bad_material();
        test_bad_messages();
        test_oversized();
        test_garbage();
        test_limits();
        test_few_places();
        return 0;
}
