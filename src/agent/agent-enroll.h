/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From a join token to a certificate: fetch the CA without trust, compare it with the token's pin, make a
 * key, ask for a certificate on the enrolment port, check and store what comes. Goes on until it has
 * succeeded: quickly while the gateway cannot be reached, after long pauses when it says no. Also renews the
 * certificate on the agents' port. Owned by the Agent. */

#include <systemd/sd-event.h>

#include "agent-conf.h"
#include "agent-facts.h"
#include "agent-identity.h"
#include "http-client.h"
#include "rpc-queue.h"

typedef struct AgentEnroll AgentEnroll;

typedef struct AgentEnrollHandlers {
        void (*on_enrolled)(AgentEnroll *e, void *userdata);
        /* message: for people. pause: until the next attempt. */
        void (*on_failed)(AgentEnroll *e, const char *message, usec_t pause, void *userdata);
        /* No timer could be armed (error, logged): there will be no further attempt. */
        void (*on_stuck)(AgentEnroll *e, int error, void *userdata);
} AgentEnrollHandlers;

typedef struct AgentEnrollOptions {
        sd_event *event;
        RpcQueue *queue;
        HttpClient *http;
        const AgentConf *conf;
        const AgentFacts *facts;
        AgentIdentity *identity;
        const char *agent_id;
        const char *user_agent;
        const char *join_token_file; /* NULL: the credential of the service */
        const AgentEnrollHandlers *handlers;
        void *userdata;
} AgentEnrollOptions;

/* Everything is borrowed and must outlive the object; handlers run from the loop. */
int agent_enroll_new(AgentEnroll **ret, const AgentEnrollOptions *options);
AgentEnroll *agent_enroll_free(AgentEnroll *e);
DEFINE_POINTER_CLEANUP(AgentEnroll, agent_enroll_free);

int agent_enroll_start(AgentEnroll *e); /* also: try again at once */
void agent_enroll_stop(AgentEnroll *e); /* not needed any more */
bool agent_enroll_is_running(const AgentEnroll *e);
