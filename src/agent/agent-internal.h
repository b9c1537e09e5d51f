/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For agent-instance.c and agent-gateway.c alone: the parts of the running agent. agent-instance.c makes and
 * ends them and serves the machine's side (updater, what is shown); agent-gateway.c is the gateway's side
 * (enrolment, stream, instructions). */

#include "agent-enroll.h"
#include "agent-identity.h"
#include "agent-instance.h"
#include "agent-renew.h"
#include "agent-report.h"
#include "agent-session.h"
#include "agent-stream.h"
#include "agent-update.h"

struct Agent {
        AgentOptions o;
        char *user_agent;
        usec_t started; /* CLOCK_BOOTTIME */

        HttpClient *http;
        AgentIdentity *identity;
        AgentEnroll *enroll;
        AgentRenew *renew;
        AgentMetadata *metadata;
        AgentReport *report;
        AgentSession *session;
        AgentUpdate *update;
        AgentStream *stream;

        const char *gateway_state;
        char *last_error;
        char *hello_pinned; /* what the last Hello said of the pin */
        bool drain_seen;
        bool begun, stopping;
        sd_event_source *begin_source, *again_source, *stop_source;
};

/* ---- agent-instance.c ---- */

void agent_changed(Agent *a, const char *property);
void agent_set_error(Agent *a, const char *message);       /* "" clears it */
void agent_set_gateway_state(Agent *a, const char *state); /* static string */
void agent_show(Agent *a);
void agent_refresh_pending(Agent *a); /* an update may have begun or ended */
void agent_stuck(Agent *a, int error);
void agent_stopped(Agent *a);

/* ---- agent-gateway.c ---- */

extern const AgentEnrollHandlers agent_enroll_handlers;

/* Enrols or connects, whichever it is now; also after either of them has changed the answer. */
void agent_begin(Agent *a);
/* A Hello is the only way to tell of a pin: says it again when the machine's owner has changed it. */
void agent_tell_pin(Agent *a);
/* For AgentReport. */
int agent_send_status(const UpdateRecord *u, bool droppable, void *userdata);
