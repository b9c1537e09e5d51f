/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The stream to the gateway, kept alive: connect, Hello, wait for Welcome, heartbeats, reconnect with
 * exponential backoff and full jitter and with more patience each time that the last one ran out, Drain,
 * Goodbye. It knows no files, no bus and no configuration file: all that it needs comes through options and
 * handlers, so that a simulator can run thousands of them on one loop. Everything on the loop's thread;
 * handlers are never called from within the functions below. */

#include <systemd/sd-event.h>

#include "messages-pb.h"
#include "rpc-client.h"

typedef struct AgentStream AgentStream;

typedef enum AgentStreamState {
        AGENT_STREAM_IDLE,       /* not started */
        AGENT_STREAM_CONNECTING, /* until the Welcome */
        AGENT_STREAM_CONNECTED,
        AGENT_STREAM_WAITING, /* pause before the next attempt */
        AGENT_STREAM_STOPPED,
        _AGENT_STREAM_STATE_MAX,
} AgentStreamState;

/* Why a session or an attempt ended. */
typedef struct AgentStreamEnd {
        RpcStatus status;
        RpcFailure failure;
        const char *text; /* for people, never NULL */
        bool welcomed;    /* there was a session */
        usec_t pause;     /* until the next attempt; USEC_INFINITY: none */
        usec_t patience;  /* what the next attempt has for connecting */
} AgentStreamEnd;

typedef struct AgentStreamHandlers {
        /* Called for every attempt, so that renewed certificates are used. Errors count as a failed attempt.
         */
        int (*get_credentials)(AgentStream *s, RpcCredentials **ret, void *userdata);
        /* Texts put into the messages must stay valid until the function that asked returns to the loop. */
        void (*fill_hello)(AgentStream *s, Fleet__V1__Hello *hello, void *userdata);
        void (*fill_heartbeat)(AgentStream *s, Fleet__V1__Heartbeat *heartbeat, void *userdata);
        void (*on_state)(AgentStream *s, AgentStreamState state, void *userdata);
        void (*on_welcome)(AgentStream *s, const Fleet__V1__Welcome *welcome, void *userdata);
        /* Everything but Welcome; Drain too, after the stream has taken note of it. */
        void (*on_message)(AgentStream *s, const Fleet__V1__GatewayMessage *message, void *userdata);
        void (*on_end)(AgentStream *s, const AgentStreamEnd *end, void *userdata);
        void (*on_drained)(AgentStream *s, void *userdata);
        void (*on_stopped)(AgentStream *s, void *userdata);
        /* No timer could be armed (error, logged): it would stay away for good. */
        void (*on_stuck)(AgentStream *s, int error, void *userdata);
} AgentStreamHandlers;

typedef struct AgentStreamOptions {
        const char *address;
        const char *user_agent;
        usec_t reconnect_min, reconnect_max;
        usec_t connect_timeout; /* of the first attempt: see agent-patience.h */
        usec_t keepalive;
} AgentStreamOptions;

#define AGENT_STREAM_URGENT_MAX (15 * USEC_PER_SEC)

/* options are copied; handlers are static; event and queue outlive the stream. */
int agent_stream_new(
                AgentStream **ret,
                sd_event *event,
                RpcQueue *queue,
                const AgentStreamOptions *options,
                const AgentStreamHandlers *handlers,
                void *userdata);
AgentStream *agent_stream_free(AgentStream *s);
DEFINE_POINTER_CLEANUP(AgentStream, agent_stream_free);

int agent_stream_start(AgentStream *s); /* the first attempt, at once */
/* Ends the session, if there is one, and connects again at once. */
int agent_stream_reconnect(AgentStream *s);
/* Goodbye, what is queued, at most timeout; then on_stopped. The stream stays stopped. */
int agent_stream_stop(AgentStream *s, Fleet__V1__GoodbyeReason reason, usec_t timeout);

/* Cuts the connection without a word, as a network does that fails; then it goes on as after that. */
int agent_stream_drop(AgentStream *s);
/* A heartbeat now, besides those of the timer. As agent_stream_send(). */
int agent_stream_beat(AgentStream *s);

/* While an update is on trial no pause is longer than AGENT_STREAM_URGENT_MAX, whatever the gateway hints.
 */
void agent_stream_set_urgent(AgentStream *s, bool urgent);

/* Only with a session: -ENOTCONN otherwise. Else as rpc_stream_send(). */
int agent_stream_send(AgentStream *s, const Fleet__V1__AgentMessage *message, RpcSendPolicy policy);

AgentStreamState agent_stream_state(const AgentStream *s);
uint64_t agent_stream_sessions(const AgentStream *s); /* Welcomes so far */

/* The pause before attempt number `attempt` (from 0) after a failure. Pure. max: the gateway's hint or one's
 * own. */
usec_t agent_stream_pause(usec_t min, usec_t max, bool urgent, unsigned attempt, uint64_t random);
