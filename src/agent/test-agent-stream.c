/* SPDX-License-Identifier: Apache-2.0 */

/* The agent's stream against a real server of src/rpc over loopback with mutual TLS. */

#include "agent-stream.h"

#include "event-util.h"
#include "fd-util.h"
#include "rpc-fixture.h"
#include "string-util.h"

/* ---- a gateway that does what the test says ---- */

typedef struct Gateway {
        Fixture *f;
        RpcServer *server;
        RpcSession *session;
        uint16_t port;
        bool silent; /* no Welcome */
        bool refuse; /* overloaded */
        uint32_t heartbeat;
        unsigned opened, closed, hellos, heartbeats, goodbyes;
        Fleet__V1__GoodbyeReason goodbye;
        char hello_token[64], hello_version[32];
} Gateway;

static void gateway_send(Gateway *g, Fleet__V1__GatewayMessage *m) {
        assert_ok(rpc_session_send(g->session, &m->base, RPC_SEND_KEEP));
}

static void gateway_welcome(Gateway *g) {
        Fleet__V1__GatewayMessage m = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Welcome w = FLEET__V1__WELCOME__INIT;
        w.session_token = (char *) "token-1";
        w.heartbeat_interval_sec = g->heartbeat;
        w.gateway_version = (char *) "1.0.0";
        m.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_WELCOME;
        m.welcome = &w;
        gateway_send(g, &m);
}

static void gateway_drain(Gateway *g, uint32_t after) {
        Fleet__V1__GatewayMessage m = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Drain d = FLEET__V1__DRAIN__INIT;
        d.reconnect_after_sec = after;
        m.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_DRAIN;
        m.drain = &d;
        gateway_send(g, &m);
}

static void on_open(RpcSession *s, void *userdata) {
        Gateway *g = userdata;
        g->opened++;
        g->session = s;
        if (g->refuse)
                rpc_session_close(s, RPC_STATUS_RESOURCE_EXHAUSTED, "full");
}

static void on_session_message(RpcSession *s, const ProtobufCMessage *message, void *userdata) {
        const Fleet__V1__AgentMessage *m = (const Fleet__V1__AgentMessage *) message;
        Gateway *g = userdata;

        switch (m->message_case) {
        case FLEET__V1__AGENT_MESSAGE__MESSAGE_HELLO:
                g->hellos++;
                snprintf(g->hello_token, sizeof(g->hello_token), "%s", m->hello->session_token);
                snprintf(g->hello_version, sizeof(g->hello_version), "%s", m->hello->version);
                if (!g->silent)
                        gateway_welcome(g);
                break;
        case FLEET__V1__AGENT_MESSAGE__MESSAGE_HEARTBEAT:
                assert_se(m->heartbeat->sequence == ++g->heartbeats);
                break;
        case FLEET__V1__AGENT_MESSAGE__MESSAGE_GOODBYE:
                g->goodbyes++;
                g->goodbye = m->goodbye->reason;
                break;
        default:
                break;
        }
}

static void on_session_closed(RpcSession *s, RpcStatus status, const char *text, void *userdata) {
        Gateway *g = userdata;
        g->closed++;
        if (g->session == s)
                g->session = NULL;
}

static const RpcSessionHandlers session_handlers = {
        .on_open = on_open,
        .on_message = on_session_message,
        .on_closed = on_session_closed,
};

static void gateway_start(Gateway *g, Fixture *f) {
        *g = (Gateway){ .f = f, .heartbeat = 1 };
        assert_ok(rpc_server_new(&g->server, f->queue, NULL));
        assert_ok(rpc_server_add_stream(g->server, &rpc_method_connect, true, &session_handlers, g));
        g->port = fixture_port(f, g->server, true);
        assert_ok(rpc_server_start(g->server));
}

/* ---- the agent's side ---- */

typedef struct Client {
        Fixture *f;
        unsigned welcomes, ends, drains, stopped, states[_AGENT_STREAM_STATE_MAX];
        RpcFailure failure;
        RpcStatus status;
        usec_t longest_pause, patience;
        usec_t ended[8]; /* CLOCK_MONOTONIC */
} Client;

static int on_credentials(AgentStream *s, RpcCredentials **ret, void *userdata) {
        Client *c = userdata;
        return rpc_credentials_new_client(c->f->ca_pem, c->f->agent.chain, c->f->agent.key, ret);
}

static void on_hello(AgentStream *s, Fleet__V1__Hello *hello, void *userdata) {
        Client *c = userdata;
        hello->agent_id = (char *) "agent-1";
        hello->version = (char *) "1.0.0";
        hello->session_token = (char *) (c->welcomes > 0 ? "token-1" : "");
}

static void on_beat(AgentStream *s, Fleet__V1__Heartbeat *heartbeat, void *userdata) {
        heartbeat->uptime_usec = 1;
}

static void on_state(AgentStream *s, AgentStreamState state, void *userdata) {
        Client *c = userdata;
        c->states[state]++;
}

static void on_welcome(AgentStream *s, const Fleet__V1__Welcome *w, void *userdata) {
        Client *c = userdata;
        Fleet__V1__AgentMessage m = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Ack ack = FLEET__V1__ACK__INIT;
        m.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_ACK;
        m.ack = &ack;
        c->welcomes++;
        assert_streq(w->session_token, "token-1");
        assert_se(agent_stream_sessions(s) == c->welcomes);
        assert_ok(agent_stream_send(s, &m, RPC_SEND_KEEP)); /* at once */
}

static void on_gateway_message(AgentStream *s, const Fleet__V1__GatewayMessage *m, void *userdata) {
        Client *c = userdata;
        if (m->message_case == FLEET__V1__GATEWAY_MESSAGE__MESSAGE_DRAIN)
                c->drains++;
}

static void on_stream_end(AgentStream *s, const AgentStreamEnd *end, void *userdata) {
        Client *c = userdata;
        if (c->ends < ELEMENTSOF(c->ended))
                c->ended[c->ends] = now(CLOCK_MONOTONIC);
        c->ends++;
        c->patience = end->patience;
        c->failure = end->failure;
        c->status = end->status;
        if (end->pause != USEC_INFINITY)
                c->longest_pause = MAX(c->longest_pause, end->pause);
}

static void on_drained(AgentStream *s, void *userdata) {
}

static void on_stream_stopped(AgentStream *s, void *userdata) {
        Client *c = userdata;
        c->stopped++;
}

_noreturn_ static void on_stuck(AgentStream *s, int error, void *userdata) {
        abort();
}

static const AgentStreamHandlers stream_handlers = {
        .get_credentials = on_credentials,
        .fill_hello = on_hello,
        .fill_heartbeat = on_beat,
        .on_state = on_state,
        .on_welcome = on_welcome,
        .on_message = on_gateway_message,
        .on_end = on_stream_end,
        .on_drained = on_drained,
        .on_stopped = on_stream_stopped,
        .on_stuck = on_stuck,
};

static AgentStream *stream_start_with(Client *c, Fixture *f, uint16_t port, usec_t max, usec_t timeout) {
        AgentStream *s = NULL;
        char address[32];
        *c = (Client){ .f = f };
        snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        AgentStreamOptions options = {
                .address = address,
                .user_agent = "fleet-agent/test",
                .reconnect_min = 20 * USEC_PER_MSEC,
                .reconnect_max = max,
                .connect_timeout = timeout,
                .keepalive = 30 * USEC_PER_SEC,
        };
        assert_ok(agent_stream_new(&s, f->event, f->queue, &options, &stream_handlers, c));
        assert_error(agent_stream_reconnect(s), ESHUTDOWN);
        assert_ok(agent_stream_start(s));
        assert_error(agent_stream_start(s), EALREADY);
        assert_se(c->states[AGENT_STREAM_CONNECTING] == 0); /* handlers only from the loop */
        return s;
}

static AgentStream *stream_start(Client *c, Fixture *f, uint16_t port, usec_t max) {
        return stream_start_with(c, f, port, max, 2 * USEC_PER_SEC);
}

/* ---- tests ---- */

static void test_session(Fixture *f) {
        Gateway g;
        Client c;
        gateway_start(&g, f);
        AgentStream *s = stream_start(&c, f, g.port, USEC_PER_SEC);
        Fleet__V1__AgentMessage m = FLEET__V1__AGENT_MESSAGE__INIT;
        assert_error(agent_stream_send(s, &m, RPC_SEND_KEEP), ENOTCONN);
        run_until_at_least(f, &c.welcomes, 1, 10);
        assert_se(agent_stream_state(s) == AGENT_STREAM_CONNECTED);
        assert_streq(g.hello_version, "1.0.0");
        assert_streq(g.hello_token, "");
        run_until_at_least(f, &g.heartbeats, 2, 10);

        /* the gateway drops the session: come back, with the token of the last one */
        rpc_session_close(g.session, RPC_STATUS_UNAVAILABLE, "gone");
        g.heartbeats = 0;
        run_until_at_least(f, &c.welcomes, 2, 10);
        assert_streq(g.hello_token, "token-1");
        assert_se(c.ends == 1 && c.failure == RPC_FAILURE_PEER && c.status == RPC_STATUS_UNAVAILABLE);

        /* asked for on the machine */
        g.heartbeats = 0;
        assert_ok(agent_stream_reconnect(s));
        run_until_at_least(f, &c.welcomes, 3, 10);
        assert_se(g.goodbyes == 1 && g.goodbye == FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_RECONNECT);

        usec_t start = now(CLOCK_MONOTONIC);
        assert_ok(agent_stream_stop(s, FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_UPDATE, 2 * USEC_PER_SEC));
        assert_se(c.stopped == 0);
        run_until_at_least(f, &c.stopped, 1, 5);
        assert_se(now(CLOCK_MONOTONIC) - start <
                  USEC_PER_SEC); /* a gateway that answers is not waited for */
        run_until_at_least(f, &g.goodbyes, 2, 5);
        assert_se(g.goodbye == FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_UPDATE);
        assert_se(agent_stream_state(s) == AGENT_STREAM_STOPPED);
        run_for(f, 200 * USEC_PER_MSEC);
        assert_se(c.stopped == 1 && c.welcomes == 3);
        agent_stream_free(s);
        rpc_server_free(g.server);
}

static void test_drain(Fixture *f) {
        Gateway g;
        Client c;
        gateway_start(&g, f);
        AgentStream *s = stream_start(&c, f, g.port, 50 * USEC_PER_MSEC);
        run_until_at_least(f, &c.welcomes, 1, 10);
        gateway_drain(&g, 3000);
        run_until_at_least(f, &c.ends, 1, 10);
        assert_se(c.drains == 1);
        assert_se(c.longest_pause <= 3000 * USEC_PER_SEC);
        assert_se(agent_stream_state(s) == AGENT_STREAM_WAITING);

        /* a version on trial does not wait that long */
        agent_stream_set_urgent(s, true);
        run_until_at_least(f, &c.welcomes, 2, 17);
        c.longest_pause = 0;
        gateway_drain(&g, 3000);
        run_until_at_least(f, &c.ends, 2, 10);
        assert_se(c.longest_pause <= AGENT_STREAM_URGENT_MAX);

        /* an operator's word counts more */
        assert_ok(agent_stream_reconnect(s));
        run_until_at_least(f, &c.welcomes, 3, 5);
        agent_stream_free(s);
        rpc_server_free(g.server);
}

/* What a simulator does to a stream: the connection is cut, and heartbeats come by the hundred. */
static void test_drop_and_beat(Fixture *f) {
        Gateway g;
        Client c;
        gateway_start(&g, f);
        AgentStream *s = stream_start(&c, f, g.port, 50 * USEC_PER_MSEC);
        assert_error(agent_stream_beat(s), ENOTCONN);
        run_until_at_least(f, &c.welcomes, 1, 10);
        for (unsigned i = 0; i < 50; i++)
                assert_ok(agent_stream_beat(s));
        run_until_at_least(f, &g.heartbeats, 50, 10);

        assert_ok(agent_stream_drop(s));
        assert_se(c.ends == 0); /* from the loop */
        run_until_at_least(f, &c.ends, 1, 5);
        assert_se(c.failure == RPC_FAILURE_UNREACHABLE && c.status == RPC_STATUS_UNAVAILABLE);
        g.heartbeats = 0;
        run_until_at_least(f, &c.welcomes, 2, 10);
        assert_se(g.goodbyes == 0 && g.opened == 2);
        agent_stream_free(s);
        rpc_server_free(g.server);
}

static void test_overload_and_silence(Fixture *f) {
        Gateway g;
        Client c;
        gateway_start(&g, f);
        g.refuse = true;
        AgentStream *s = stream_start(&c, f, g.port, 50 * USEC_PER_MSEC);
        run_until_at_least(f, &c.ends, 3, 10);
        assert_se(c.welcomes == 0 && c.failure == RPC_FAILURE_PEER &&
                  c.status == RPC_STATUS_RESOURCE_EXHAUSTED);
        g.refuse = false;
        run_until_at_least(f, &c.welcomes, 1, 10);
        agent_stream_free(s);
        rpc_server_free(g.server);

        /* nobody there */
        s = stream_start(&c, f, unused_port(), 50 * USEC_PER_MSEC);
        run_until_at_least(f, &c.ends, 3, 10);
        assert_se(c.failure == RPC_FAILURE_UNREACHABLE);
        assert_ok(agent_stream_stop(
                        s, FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_SHUTDOWN, 2 * USEC_PER_SEC));
        run_until_at_least(f, &c.stopped, 1, 1);
        agent_stream_free(s);
}

/* A gateway that takes the Hello and says nothing holds us up for a bounded time: 2 s to connect and 10 s
 * more. */
static void test_no_welcome(Fixture *f) {
        Gateway g;
        Client c;
        gateway_start(&g, f);
        g.silent = true;
        AgentStream *s = stream_start(&c, f, g.port, 50 * USEC_PER_MSEC);
        run_until_at_least(f, &g.hellos, 1, 10);
        usec_t start = now(CLOCK_MONOTONIC);
        run_until_at_least(f, &c.ends, 1, 15);
        assert_se(now(CLOCK_MONOTONIC) - start < 13 * USEC_PER_SEC);
        assert_se(c.failure == RPC_FAILURE_DEADLINE && c.patience == 4 * USEC_PER_SEC);
        g.silent = false;
        run_until_at_least(f, &c.welcomes, 1, 10);
        rpc_session_close(g.session, RPC_STATUS_UNAVAILABLE, "gone");
        run_until_at_least(f, &c.ends, 2, 10);
        assert_se(c.patience == 2 * USEC_PER_SEC); /* a Welcome forgets it */
        agent_stream_free(s);
        rpc_server_free(g.server);
}

/* The kernel takes the connection and nobody ever says a word, as with a gateway that has thousands of
 * handshakes before this one. */
static void test_patience(Fixture *f) {
        const usec_t first = 300 * USEC_PER_MSEC;
        uint16_t port;
        _cleanup_close_ int fd = silent_listener(&port);
        Client c;

        AgentStream *s = stream_start_with(&c, f, port, 20 * USEC_PER_MSEC, first);
        usec_t start = now(CLOCK_MONOTONIC);
        run_until_at_least(f, &c.ends, 3, 10);
        assert_se(c.failure == RPC_FAILURE_UNREACHABLE && c.patience == 8 * first);
        assert_se(c.ended[0] - start >= first);
        assert_se(c.ended[1] - c.ended[0] >= 2 * first);
        assert_se(c.ended[2] - c.ended[1] >= 4 * first);

        /* it is gone: who is refused at once has no reason for more patience, nor for less */
        fd = fd_close(fd);
        run_until_at_least(f, &c.ends, 5, 10);
        assert_se(c.patience <= 16 * first);
        usec_t patience = c.patience;
        run_until_at_least(f, &c.ends, 7, 10);
        assert_se(c.patience == patience);
        agent_stream_free(s);
}

static void test_wrong_ca(Fixture *f) {
        Fixture other;
        Gateway g;
        Client c;
        gateway_start(&g, f);
        fixture_init(&other, 1, 16);
        AgentStream *s = stream_start(&c, f, g.port, 50 * USEC_PER_MSEC);
        char *ca = f->ca_pem;
        f->ca_pem = other.ca_pem; /* what this machine trusts is not who answers */
        run_until_at_least(f, &c.ends, 2, 10);
        assert_se(c.failure == RPC_FAILURE_SERVER_CERTIFICATE && c.welcomes == 0 && g.opened == 0);
        f->ca_pem = ca;
        run_until_at_least(f, &c.welcomes, 1, 10);
        agent_stream_free(s);
        rpc_server_free(g.server);
        fixture_done(&other);
}

int main(void) {
        Fixture f;
        fixture_init(&f, 1, 256);
        test_session(&f);
        test_drain(&f);
        test_drop_and_beat(&f);
        test_overload_and_silence(&f);
        test_no_welcome(&f);
        test_patience(&f);
        test_wrong_ca(&f);
        fixture_done(&f);
        return EXIT_SUCCESS;
}
