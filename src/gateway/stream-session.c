/* SPDX-License-Identifier: Apache-2.0 */
#include "stream-session.h"

#include "alloc-util.h"
#include "gateway.h"
#include "hex.h"
#include "log.h"
#include "messages.h"
#include "peer-service.h"
#include "presence.h"
#include "status-intake.h"
#include "string-util.h"
#include "version.h"

#define STATUSES_PENDING_MAX 64U
#define FLOOD_PAUSE_SEC 60U

StreamSession *stream_session_ref(StreamSession *s) {
        s->n_ref++;
        return s;
}

StreamSession *stream_session_unref(StreamSession *s) {
        if (!s || --s->n_ref > 0)
                return NULL;
        free(s->agent);
        free(s);
        return NULL;
}

void stream_session_close(StreamSession *s, RpcStatus status, const char *text) {
        s->state = STREAM_CLOSED;
        if (s->rpc)
                rpc_session_close(s->rpc, status, text);
}

static void session_send(StreamSession *s, const Fleet__V1__GatewayMessage *m) {
        int r;

        if (!s->rpc || s->state != STREAM_LIVE)
                return;
        r = rpc_session_send(s->rpc, &m->base, RPC_SEND_KEEP);
        if (r < 0) {
                /* Everything sent from here matters and is repeated in the next session. */
                (void) log_warning_errno(r, "Agent %s: cannot send, closing the stream: %m", s->agent);
                stream_session_close(
                                s, RPC_STATUS_RESOURCE_EXHAUSTED, "you do not read what is sent to you");
        }
}

void stream_session_welcome(StreamSession *s) {
        Fleet__V1__GatewayMessage m = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Welcome w = FLEET__V1__WELCOME__INIT;

        w.session_token = s->token;
        w.heartbeat_interval_sec = (uint32_t) (s->gateway->conf.heartbeat_interval / USEC_PER_SEC);
        w.time_usec = now(CLOCK_REALTIME);
        w.gateway_version = (char *) fleet_version;
        m.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_WELCOME;
        m.welcome = &w;
        s->state = STREAM_LIVE;
        session_send(s, &m);
}

void stream_session_ack(StreamSession *s, const char *instruction, uint64_t sequence) {
        Fleet__V1__GatewayMessage m = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Ack a = FLEET__V1__ACK__INIT;

        a.id = (char *) instruction;
        a.sequence = sequence;
        m.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_ACK;
        m.ack = &a;
        session_send(s, &m);
}

static void session_send_instruction(StreamSession *s, const FleetOrder *o) {
        Fleet__V1__GatewayMessage m = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__UpdateInstruction i = FLEET__V1__UPDATE_INSTRUCTION__INIT;
        usec_t left = usec_sub(o->deadline, now(CLOCK_REALTIME));

        i.instruction_id = o->instruction_id;
        i.version = o->version;
        i.product = (char *) "agent";
        i.deadline_sec = MAX(left / USEC_PER_SEC, (usec_t) 1);
        i.retry = o->retry;
        i.go_back = o->back;
        m.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_UPDATE_INSTRUCTION;
        m.update_instruction = &i;
        session_send(s, &m);
}

void stream_session_instruct(StreamSession *s, const FleetOrder *o) {
        session_send_instruction(s, o);
}

void stream_session_order(StreamSession *s, const FleetOrder *o) {
        s->reconcile_at = o->not_before;
        if (o->send == FLEET_SEND_INSTRUCTION)
                session_send_instruction(s, o);
        else if (o->send == FLEET_SEND_CANCEL) {
                Fleet__V1__GatewayMessage m = FLEET__V1__GATEWAY_MESSAGE__INIT;
                Fleet__V1__CancelInstruction c = FLEET__V1__CANCEL_INSTRUCTION__INIT;

                c.instruction_id = o->instruction_id;
                m.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_CANCEL_INSTRUCTION;
                m.cancel_instruction = &c;
                session_send(s, &m);
        }
}

static void session_send_drain(StreamSession *s, unsigned reconnect_after_sec, const char *reason) {
        Fleet__V1__GatewayMessage m = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Drain d = FLEET__V1__DRAIN__INIT;

        d.reconnect_after_sec = reconnect_after_sec;
        d.reason = (char *) reason;
        m.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_DRAIN;
        m.drain = &d;
        if (s->rpc)                          /* also before the Welcome; who does not get it is closed anyway */
                (void) rpc_session_send(s->rpc, &m.base, RPC_SEND_KEEP);
}

void stream_session_drain(StreamSession *s, unsigned reconnect_after_sec) {
        if (s->state == STREAM_LIVE)
                session_send_drain(s, reconnect_after_sec, "the gateway restarts");
}

/* ---- what comes ---- */

static void session_on_hello(StreamSession *s, const Fleet__V1__Hello *hello) {
        uint8_t token[16];
        int r;

        if (s->state != STREAM_WAITS_FOR_HELLO) {
                stream_session_close(s, RPC_STATUS_FAILED_PRECONDITION, "a second Hello in one stream");
                return;
        }
        if (!streq(hello->agent_id, s->agent)) {
                if (log_limit_pass(&s->gateway->refused_log, "agents that were refused"))
                        log_event(LOG_WARNING, FLEET_MESSAGE_AGENT_REFUSED_STR,
                                  "MESSAGE=A machine with the certificate of agent %s said that it is another, "
                                  "refused.",
                                  s->agent, "FLEET_AGENT_ID=%s", s->agent, "FLEET_ADDRESS=%s",
                                  rpc_session_peer(s->rpc)->address, "FLEET_REASON=wrong-id", NULL);
                stream_session_close(
                                s, RPC_STATUS_PERMISSION_DENIED,
                                "the certificate speaks for another agent id");
                return;
        }
        if (!version_is_valid(hello->version)) {
                stream_session_close(s, RPC_STATUS_INVALID_ARGUMENT, "the version is not SemVer");
                return;
        }
        if (stream_registry_is_full(s->gateway->streams, s->agent)) {
                stream_session_close(s, RPC_STATUS_RESOURCE_EXHAUSTED, PEER_TOO_MANY_AGENTS);
                return;
        }
        if (stream_registry_is_flooded(s->gateway->streams, "hello", s->agent, s->key_hash)) {
                if (log_limit_pass(&s->gateway->flood_log, "agents that connect too often"))
                        log_event(LOG_WARNING, FLEET_MESSAGE_STREAM_FLOOD_STR,
                                  "MESSAGE=Agent %s connects too often, sent away for a minute.", s->agent,
                                  "FLEET_AGENT_ID=%s", s->agent, "FLEET_ADDRESS=%s",
                                  rpc_session_peer(s->rpc)->address, NULL);
                session_send_drain(s, FLOOD_PAUSE_SEC, "this agent connects too often");
                stream_session_close(s, RPC_STATUS_UNAVAILABLE, "this agent connects too often");
                return;
        }
        random_bytes(token, sizeof(token));
        hex_encode(token, sizeof(token), s->token);
        s->metadata_expires = MIN(hello->metadata_expires_usec, (usec_t) INT64_MAX);
        s->state = STREAM_HELLO_PENDING;
        r = presence_arrive(s, hello);
        if (r < 0)
                stream_session_close(s, RPC_STATUS_UNAVAILABLE, "the gateway is busy, try again");
}

static void session_on_status(StreamSession *s, const Fleet__V1__UpdateStatus *status) {
        int r;

        if (s->statuses_pending >= STATUSES_PENDING_MAX) {
                stream_session_close(s, RPC_STATUS_RESOURCE_EXHAUSTED, "too many statuses at once");
                return;
        }
        r = status_intake(s, status);
        if (r < 0)
                stream_session_close(s, RPC_STATUS_UNAVAILABLE, "the gateway is busy, try again");
}

static void session_on_message(RpcSession *rpc, const ProtobufCMessage *message, void *userdata) {
        const Fleet__V1__AgentMessage *m = (const Fleet__V1__AgentMessage *) message;
        StreamSession *s = rpc_session_get_userdata(rpc);

        if (!s || s->state == STREAM_CLOSED)
                return;
        s->last_heard = now(CLOCK_BOOTTIME);
        s->last_seen = now(CLOCK_REALTIME);
        if (m->message_case == FLEET__V1__AGENT_MESSAGE__MESSAGE_HELLO) {
                session_on_hello(s, m->hello);
                return;
        }
        if (s->state != STREAM_LIVE && m->message_case != FLEET__V1__AGENT_MESSAGE__MESSAGE_GOODBYE) {
                stream_session_close(
                                s, RPC_STATUS_FAILED_PRECONDITION,
                                "the first message must be Hello, and Welcome must be awaited");
                return;
        }
        switch (m->message_case) {
        case FLEET__V1__AGENT_MESSAGE__MESSAGE_HEARTBEAT:
                s->metadata_expires = MIN(m->heartbeat->metadata_expires_usec, (usec_t) INT64_MAX);
                break;
        case FLEET__V1__AGENT_MESSAGE__MESSAGE_ACK: /* an instruction arrived: its statuses will tell */
                break;
        case FLEET__V1__AGENT_MESSAGE__MESSAGE_UPDATE_STATUS:
                session_on_status(s, m->update_status);
                break;
        case FLEET__V1__AGENT_MESSAGE__MESSAGE_GOODBYE:
                stream_session_close(s, RPC_STATUS_OK, "goodbye");
                break;
        default:                                             /* of a newer agent */
                log_debug("Agent %s sent a message of unknown kind, ignoring.", s->agent);
        }
}

static void session_on_open(RpcSession *rpc, void *userdata) {
        Gateway *g = userdata;
        StreamSession *s;
        int r;

        s = new0(StreamSession, 1);
        if (!s) {
                rpc_session_close(rpc, RPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
                return;
        }
        *s = (StreamSession){ .n_ref = 1,
                              .gateway = g,
                              .rpc = rpc,
                              .opened = now(CLOCK_BOOTTIME),
                              .reconcile_at = USEC_INFINITY };
        s->last_heard = s->opened;
        rpc_session_set_userdata(rpc, s);
        r = peer_identify(rpc_session_peer(rpc), &s->agent, s->key_hash, &s->certificate_expires);
        if (r < 0) {
                (void) log_warning_errno(
                                r, "%s showed a certificate that speaks for no agent: %m",
                                rpc_session_peer(rpc)->address);
                stream_session_close(s, RPC_STATUS_UNAUTHENTICATED, "the certificate speaks for no agent");
                return;
        }
        r = stream_registry_await(g->streams, s);
        if (r < 0)
                stream_session_close(
                                s, RPC_STATUS_RESOURCE_EXHAUSTED,
                                "too many streams of this certificate wait for their Hello");
}

static void session_on_closed(RpcSession *rpc, RpcStatus status, const char *text, void *userdata) {
        StreamSession *s = rpc_session_get_userdata(rpc);

        if (!s)
                return;
        s->rpc = NULL;
        s->state = STREAM_CLOSED;
        stream_registry_leave(s->gateway->streams, s);
        if (s->entered) {
                log_debug("Agent %s: stream ended: %s (%s)", s->agent, rpc_status_to_string(status), text);
                presence_leave(s);
        }
        stream_session_unref(s);
}

const RpcSessionHandlers stream_session_handlers = {
        .on_open = session_on_open,
        .on_message = session_on_message,
        .on_closed = session_on_closed,
};
