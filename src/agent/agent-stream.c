/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-stream.h"

#include "agent-patience.h"
#include "alloc-util.h"
#include "event-util.h"
#include "log.h"
#include "string-util.h"

#define HEARTBEAT_DEFAULT (30 * USEC_PER_SEC)
#define HEARTBEAT_MIN USEC_PER_SEC
#define HEARTBEAT_MAX USEC_PER_HOUR
#define RECONNECT_HINT_MAX USEC_PER_HOUR
#define WELCOME_EXTRA (10 * USEC_PER_SEC)  /* on top of the time for connecting */
#define STABLE_SESSION (30 * USEC_PER_SEC) /* a session as long as this forgets earlier failures */

struct AgentStream {
        sd_event *event;
        RpcQueue *queue;
        AgentStreamOptions options;
        char *address, *user_agent;
        const AgentStreamHandlers *handlers;
        void *userdata;

        AgentStreamState state;
        bool urgent;
        bool stopping;
        unsigned attempt;
        unsigned late;       /* attempts in a row whose time ran out */
        usec_t attempt_time; /* CLOCK_BOOTTIME */
        usec_t max_hint;     /* Welcome.reconnect_max_sec, 0: none */
        usec_t drain_pause;  /* Drain.reconnect_after_sec, USEC_INFINITY: no Drain came */
        usec_t welcome_time; /* CLOCK_BOOTTIME */
        uint64_t sessions, heartbeat_sequence;
        usec_t heartbeat_interval;

        RpcClient *client;
        RpcStream *stream;
        sd_event_source *attempt_source, *welcome_source, *heartbeat_source, *stop_source, *drop_source;
};

static int stream_attempt(AgentStream *s);

usec_t agent_stream_pause(usec_t min, usec_t max, bool urgent, unsigned attempt, uint64_t random) {
        if (urgent)
                max = MIN(max, AGENT_STREAM_URGENT_MAX);
        return backoff_full_jitter(MIN(min, max), max, attempt, random);
}

static usec_t stream_patience(const AgentStream *s) {
        return agent_patience(s->options.connect_timeout, s->late);
}

static void stream_set_state(AgentStream *s, AgentStreamState state) {
        if (s->state == state)
                return;
        s->state = state;
        s->handlers->on_state(s, state, s->userdata);
}

static void stream_close_session(AgentStream *s) {
        (void) event_timer_disarm(s->welcome_source);
        (void) event_timer_disarm(s->heartbeat_source);
        s->stream = rpc_stream_free(s->stream);
        s->client = rpc_client_free(s->client);
}

static void stream_stopped(AgentStream *s) {
        stream_close_session(s);
        (void) event_timer_disarm(s->attempt_source);
        (void) event_timer_disarm(s->stop_source);
        if (s->state == AGENT_STREAM_STOPPED)
                return;
        stream_set_state(s, AGENT_STREAM_STOPPED);
        s->handlers->on_stopped(s, s->userdata);
}

static int on_attempt_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        return stream_attempt(userdata);
}

static usec_t stream_next_pause(AgentStream *s) {
        usec_t max = s->max_hint > 0 ? s->max_hint : s->options.reconnect_max;
        usec_t pause = agent_stream_pause(s->options.reconnect_min, max, s->urgent, s->attempt, random_u64());

        /* A gateway may ask for more patience, not for less: "come back at once", said again and again, must not
         * become a loop of handshakes. */
        if (s->drain_pause != USEC_INFINITY) {
                usec_t window = s->urgent ? MIN(s->drain_pause, AGENT_STREAM_URGENT_MAX) : s->drain_pause;
                pause = MAX(pause, window > 0 ? random_u64() % (window + 1) : 0);
        }
        return pause;
}

/* The attempt or session is over: tell, and plan the next one. */
static void stream_failed(AgentStream *s, RpcStatus status, RpcFailure failure, const char *text) {
        bool welcomed = s->state == AGENT_STREAM_CONNECTED;

        if (welcomed && usec_sub(now(CLOCK_BOOTTIME), s->welcome_time) >= STABLE_SESSION)
                s->attempt = 0;
        if (!welcomed)
                s->late = agent_patience_late(
                                s->late, s->options.connect_timeout,
                                usec_sub(now(CLOCK_BOOTTIME), s->attempt_time));
        usec_t pause = s->stopping ? USEC_INFINITY : stream_next_pause(s);
        s->drain_pause = USEC_INFINITY;
        if (s->attempt < 32)
                s->attempt++;

        AgentStreamEnd end = { .status = status,
                               .failure = failure,
                               .text = strempty(text),
                               .welcomed = welcomed,
                               .pause = pause,
                               .patience = stream_patience(s) };
        s->handlers->on_end(s, &end, s->userdata);
        stream_close_session(s); /* text may be the stream's, so only now */
        if (s->stopping) {
                stream_stopped(s);
                return;
        }
        stream_set_state(s, AGENT_STREAM_WAITING);
        int r = event_timer_arm(
                        s->event, &s->attempt_source, pause, on_attempt_timer, s, "gateway-reconnect");
        if (r >= 0)
                return;
        (void) log_error_errno(r, "Cannot arm the timer for reconnecting: %m");
        s->handlers->on_stuck(s, r, s->userdata);
}

static int on_welcome_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        stream_failed(userdata, RPC_STATUS_DEADLINE_EXCEEDED, RPC_FAILURE_DEADLINE,
                      "the gateway did not answer the Hello in time");
        return 0;
}

int agent_stream_beat(AgentStream *s) {
        Fleet__V1__AgentMessage message = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Heartbeat heartbeat = FLEET__V1__HEARTBEAT__INIT;

        heartbeat.sequence = ++s->heartbeat_sequence;
        s->handlers->fill_heartbeat(s, &heartbeat, s->userdata);
        message.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_HEARTBEAT;
        message.heartbeat = &heartbeat;
        return agent_stream_send(s, &message, RPC_SEND_DROPPABLE);
}

static int on_heartbeat(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentStream *s = userdata;
        int r = agent_stream_beat(s);
        if (r < 0)
                log_debug_errno(r, "Cannot send a heartbeat, ignoring: %m");
        return event_timer_arm(
                        s->event, &s->heartbeat_source, s->heartbeat_interval, on_heartbeat, s,
                        "gateway-heartbeat");
}

static void stream_on_welcome(AgentStream *s, const Fleet__V1__Welcome *w) {
        (void) event_timer_disarm(s->welcome_source);
        s->sessions++;
        s->late = 0;
        s->welcome_time = now(CLOCK_BOOTTIME);
        s->heartbeat_sequence = 0;
        s->heartbeat_interval = w->heartbeat_interval_sec > 0 ?
                                                CLAMP(w->heartbeat_interval_sec * USEC_PER_SEC,
                                                      HEARTBEAT_MIN, HEARTBEAT_MAX) :
                                                HEARTBEAT_DEFAULT;
        s->max_hint = MIN(w->reconnect_max_sec * USEC_PER_SEC, RECONNECT_HINT_MAX);
        (void) event_timer_arm(
                        s->event, &s->heartbeat_source, s->heartbeat_interval, on_heartbeat, s,
                        "gateway-heartbeat");
        s->state = AGENT_STREAM_CONNECTED; /* first, so that on_welcome may send */
        s->handlers->on_welcome(s, w, s->userdata);
        s->handlers->on_state(s, s->state, s->userdata);
}

static void stream_on_message(RpcStream *stream, const ProtobufCMessage *m, void *userdata) {
        const Fleet__V1__GatewayMessage *message = (const Fleet__V1__GatewayMessage *) m;
        AgentStream *s = userdata;

        if (s->state == AGENT_STREAM_CONNECTING) {
                if (message->message_case == FLEET__V1__GATEWAY_MESSAGE__MESSAGE_WELCOME) {
                        stream_on_welcome(s, message->welcome);
                        return;
                }
                /* a full gateway may say Drain instead of Welcome; anything else has no meaning here */
                if (message->message_case != FLEET__V1__GATEWAY_MESSAGE__MESSAGE_DRAIN) {
                        stream_failed(s, RPC_STATUS_INTERNAL, RPC_FAILURE_PEER,
                                      "the gateway's first message was no Welcome");
                        return;
                }
        }
        if (message->message_case == FLEET__V1__GATEWAY_MESSAGE__MESSAGE_WELCOME)
                return; /* a second one changes nothing */
        if (message->message_case == FLEET__V1__GATEWAY_MESSAGE__MESSAGE_DRAIN) {
                s->drain_pause = MIN(message->drain->reconnect_after_sec * USEC_PER_SEC, RECONNECT_HINT_MAX);
                s->handlers->on_message(s, message, s->userdata);
                /* half-close; the gateway ends the stream, or the timeout does */
                (void) rpc_stream_close(s->stream, 2 * USEC_PER_SEC);
                return;
        }
        s->handlers->on_message(s, message, s->userdata);
}

static void stream_on_closed(RpcStream *stream, const RpcResult *result, void *userdata) {
        stream_failed(userdata, result->status, result->failure, result->text);
}

static void stream_on_drained(RpcStream *stream, void *userdata) {
        AgentStream *s = userdata;
        if (s->state == AGENT_STREAM_CONNECTED)
                s->handlers->on_drained(s, s->userdata);
}

static const RpcStreamHandlers rpc_handlers = {
        .on_message = stream_on_message,
        .on_closed = stream_on_closed,
        .on_drained = stream_on_drained,
};

static int stream_send_hello(AgentStream *s) {
        Fleet__V1__AgentMessage message = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Hello hello = FLEET__V1__HELLO__INIT;
        Fleet__V1__Facts facts = FLEET__V1__FACTS__INIT;

        hello.facts = &facts;
        s->handlers->fill_hello(s, &hello, s->userdata);
        message.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_HELLO;
        message.hello = &hello;
        return rpc_stream_send(s->stream, &message.base, RPC_SEND_KEEP);
}

static int stream_open(AgentStream *s) {
        _cleanup_(rpc_credentials_freep) RpcCredentials *credentials = NULL;

        int r = s->handlers->get_credentials(s, &credentials, s->userdata);
        if (r < 0)
                return r;
        RpcClientOptions options = {
                .address = s->address,
                .user_agent = s->user_agent,
                .credentials = credentials,
                .connect_timeout = stream_patience(s),
                .keepalive_time = s->options.keepalive,
        };
        r = rpc_client_new(&s->client, s->queue, &options);
        if (r < 0)
                return r;
        r = rpc_stream_open(s->client, &rpc_method_connect, NULL, &rpc_handlers, s, &s->stream);
        if (r < 0)
                return r;
        r = stream_send_hello(s);
        if (r < 0)
                return r;
        return event_timer_arm(
                        s->event, &s->welcome_source, usec_add(stream_patience(s), WELCOME_EXTRA),
                        on_welcome_timeout, s, "gateway-welcome");
}

static int stream_attempt(AgentStream *s) {
        if (s->stopping)
                return 0;
        stream_close_session(s);
        stream_set_state(s, AGENT_STREAM_CONNECTING);
        s->attempt_time = now(CLOCK_BOOTTIME);
        int r = stream_open(s);
        if (r < 0) {
                log_debug_errno(r, "Cannot open a stream to the gateway: %m");
                stream_failed(s, RPC_STATUS_INTERNAL, RPC_FAILURE_LOCAL, strerror(-r));
        }
        return 0;
}

int agent_stream_new(
                AgentStream **ret,
                sd_event *event,
                RpcQueue *queue,
                const AgentStreamOptions *options,
                const AgentStreamHandlers *handlers,
                void *userdata) {
        _cleanup_(agent_stream_freep) AgentStream *s = new0(AgentStream, 1);
        if (!s)
                return -ENOMEM;
        *s = (AgentStream){
                .event = sd_event_ref(event),
                .queue = queue,
                .options = *options,
                .handlers = handlers,
                .userdata = userdata,
                .drain_pause = USEC_INFINITY,
        };
        s->address = strdup(options->address);
        s->user_agent = options->user_agent ? strdup(options->user_agent) : NULL;
        if (!s->address || (options->user_agent && !s->user_agent))
                return -ENOMEM;
        *ret = TAKE_PTR(s);
        return 0;
}

AgentStream *agent_stream_free(AgentStream *s) {
        if (!s)
                return NULL;
        stream_close_session(s);
        sd_event_source_disable_unref(s->attempt_source);
        sd_event_source_disable_unref(s->welcome_source);
        sd_event_source_disable_unref(s->heartbeat_source);
        sd_event_source_disable_unref(s->stop_source);
        sd_event_source_disable_unref(s->drop_source);
        sd_event_unref(s->event);
        free(s->address);
        free(s->user_agent);
        free(s);
        return NULL;
}

int agent_stream_start(AgentStream *s) {
        if (s->state != AGENT_STREAM_IDLE || s->attempt_source)
                return -EALREADY;
        return event_timer_arm(s->event, &s->attempt_source, 0, on_attempt_timer, s, "gateway-reconnect");
}

static int stream_send_goodbye(AgentStream *s, Fleet__V1__GoodbyeReason reason) {
        Fleet__V1__AgentMessage message = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Goodbye goodbye = FLEET__V1__GOODBYE__INIT;

        goodbye.reason = reason;
        message.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_GOODBYE;
        message.goodbye = &goodbye;
        return agent_stream_send(s, &message, RPC_SEND_KEEP);
}

int agent_stream_reconnect(AgentStream *s) {
        if (s->stopping || s->state == AGENT_STREAM_IDLE)
                return -ESHUTDOWN;
        s->attempt = 0;
        s->drain_pause = USEC_INFINITY;
        if (s->state == AGENT_STREAM_CONNECTED) {
                (void) stream_send_goodbye(s, FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_RECONNECT);
                s->drain_pause = 0;
                return rpc_stream_close(s->stream, USEC_PER_SEC);
        }
        return event_timer_arm(s->event, &s->attempt_source, 0, on_attempt_timer, s, "gateway-reconnect");
}

static int on_drop(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentStream *s = userdata;
        if (!s->stopping && s->state == AGENT_STREAM_CONNECTED)
                stream_failed(s, RPC_STATUS_UNAVAILABLE, RPC_FAILURE_UNREACHABLE, "the connection was cut");
        return 0;
}

int agent_stream_drop(AgentStream *s) {
        return event_timer_arm(s->event, &s->drop_source, 0, on_drop, s, "gateway-drop");
}

static int on_stop_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        stream_stopped(userdata);
        return 0;
}

int agent_stream_stop(AgentStream *s, Fleet__V1__GoodbyeReason reason, usec_t timeout) {
        bool session = s->state == AGENT_STREAM_CONNECTED;

        if (s->stopping)
                return 0;
        s->stopping = true;
        (void) event_timer_disarm(s->attempt_source);
        if (session) {
                (void) stream_send_goodbye(s, reason);
                session = rpc_stream_close(s->stream, timeout) >= 0;
        }
        return event_timer_arm(
                        s->event, &s->stop_source, session ? usec_add(timeout, 200 * USEC_PER_MSEC) : 0,
                        on_stop_timer, s, "gateway-stop");
}

void agent_stream_set_urgent(AgentStream *s, bool urgent) {
        if (s->urgent == urgent)
                return;
        s->urgent = urgent;
        if (!urgent || s->state != AGENT_STREAM_WAITING)
                return;
        uint64_t due; /* a long pause that began before is cut short */
        usec_t pause = random_u64() % AGENT_STREAM_URGENT_MAX;
        if (sd_event_source_get_time(s->attempt_source, &due) >= 0 &&
            usec_sub(due, now(CLOCK_BOOTTIME)) > pause)
                (void) event_timer_arm(
                                s->event, &s->attempt_source, pause, on_attempt_timer, s,
                                "gateway-reconnect");
}

int agent_stream_send(AgentStream *s, const Fleet__V1__AgentMessage *message, RpcSendPolicy policy) {
        if (s->state != AGENT_STREAM_CONNECTED || !s->stream)
                return -ENOTCONN;
        return rpc_stream_send(s->stream, &message->base, policy);
}

AgentStreamState agent_stream_state(const AgentStream *s) {
        return s->state;
}

uint64_t agent_stream_sessions(const AgentStream *s) {
        return s->sessions;
}
