/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For agent-service.c and agent-gateway.c alone: the parts of the running agent. agent-service.c makes and
 * ends them and serves the machine's side (bus, updater); agent-gateway.c is the gateway's side (enrolment,
 * stream, instructions). */

#include "agent-bus.h"
#include "agent-conf.h"
#include "agent-enroll.h"
#include "agent-facts.h"
#include "agent-handoff.h"
#include "agent-identity.h"
#include "agent-metadata.h"
#include "agent-renew.h"
#include "agent-report.h"
#include "agent-session.h"
#include "agent-stream.h"
#include "agent-telemetry.h"
#include "agent-update.h"

typedef struct Agent {
        sd_event *event;
        AgentConf conf;
        AgentFacts facts;
        char *agent_id, *user_agent;
        int state_fd;
        usec_t started; /* CLOCK_BOOTTIME */

        RpcQueue *queue;
        HttpClient *http;
        AgentIdentity *identity;
        AgentEnroll *enroll;
        AgentRenew *renew;
        AgentMetadata *metadata;
        AgentHandoff *handoff;
        AgentReport *report;
        AgentSession *session;
        AgentUpdate *update;
        AgentStream *stream;
        AgentBus *bus;
        AgentTelemetry *telemetry;

        const char *gateway_state;
        char *last_error;
        char *status;       /* what the service manager was told last */
        char *hello_pinned; /* what the last Hello said of the pin */
        bool drain_seen;
        bool begun, stopping;
        bool ending; /* the parts are being freed: nothing begins any more */
        sd_event_source *ready_source, *begin_source, *again_source;
} Agent;

/* ---- agent-service.c ---- */

void agent_set_error(Agent *a, const char *message);       /* "" clears it */
void agent_set_gateway_state(Agent *a, const char *state); /* static string */
void agent_show_status(Agent *a);                          /* STATUS= */
void agent_refresh_pending(Agent *a);                      /* an update may have begun or ended */

/* ---- agent-gateway.c ---- */

extern const AgentEnrollHandlers agent_enroll_handlers;

/* Enrols or connects, whichever it is now; also after either of them has changed the answer. */
void agent_begin(Agent *a);
void agent_connect_anew(Agent *a);
/* A Hello is the only way to tell of a pin: says it again when the machine's owner has changed it. */
void agent_tell_pin(Agent *a);
/* For AgentReport. */
int agent_send_status(const UpdateRecord *u, bool droppable, void *userdata);
