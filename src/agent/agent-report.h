/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gateway is told about updates. Phases are queued in order and kept until the stream takes them;
 * progress is thinned out to four a second; a final status is on disk before it is sent, and is repeated on
 * every connection until the gateway acknowledges it. The last few acknowledged ones stay on disk as well,
 * so that a repeated instruction is answered and not done again. Owned by the Agent. */

#include <systemd/sd-event.h>

#include "macro.h"
#include "update-record.h"

#define AGENT_REPORT_PENDING_MAX 8U /* finals the gateway has not acknowledged */
#define AGENT_REPORT_KEPT_MAX 16U   /* finals it has */

typedef struct AgentReport AgentReport;

/* Sends one status; droppable: it is mere progress. 0; -ENOTCONN without a session; -ENOBUFS: try again when
 * the stream has drained. */
typedef int (*agent_report_send_t)(const UpdateRecord *u, bool droppable, void *userdata);

/* state_fd: borrowed; finals are in its folder "outbox". Damaged files are removed with a warning. */
int agent_report_new(
                AgentReport **ret, sd_event *event, int state_fd, agent_report_send_t send, void *userdata);
AgentReport *agent_report_free(AgentReport *r);
DEFINE_POINTER_CLEANUP(AgentReport, agent_report_free);

/* u entered a new phase that is not terminal; gives it the next sequence number. */
int agent_report_phase(AgentReport *r, UpdateRecord *u);
/* Bytes moved on. u must stay valid until the next phase is reported. */
void agent_report_progress(AgentReport *r, UpdateRecord *u);
/* u ended: durable when this returns 0. -ENOSPC and the like: not durable, but sent and kept in memory. */
int agent_report_final(AgentReport *r, UpdateRecord *u);

void agent_report_on_connected(AgentReport *r); /* a Welcome came: send all that is owed */
void agent_report_on_disconnected(AgentReport *r);
void agent_report_on_drained(AgentReport *r);
/* True if that is a final which had not been acknowledged before. */
bool agent_report_on_ack(AgentReport *r, const char *instruction, uint64_t sequence);

/* Finished updates, acknowledged or not; NULL if there is none. They stay the report's. */
const UpdateRecord *agent_report_find_instruction(AgentReport *r, const char *instruction);
const UpdateRecord *agent_report_find_transaction(AgentReport *r, const char *transaction);
/* Sends that final once more (the gateway asked again). */
void agent_report_repeat(AgentReport *r, const UpdateRecord *u);
bool agent_report_is_full(AgentReport *r); /* take no new instruction now */
size_t agent_report_pending(AgentReport *r);
