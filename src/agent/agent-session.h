/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The token of the last Welcome, kept across restarts: presented with the next Hello, it tells this machine
 * from a clone of it. */

#include "macro.h"

#define AGENT_SESSION_TOKEN_MAX 256U

typedef struct AgentSession AgentSession;

/* state_fd: borrowed. What cannot be read counts as no token. */
int agent_session_new(AgentSession **ret, int state_fd);
AgentSession *agent_session_free(AgentSession *s);
DEFINE_POINTER_CLEANUP(AgentSession, agent_session_free);

const char *agent_session_token(const AgentSession *s);     /* "" if none */
void agent_session_set(AgentSession *s, const char *token); /* durable; a failure is only logged */
