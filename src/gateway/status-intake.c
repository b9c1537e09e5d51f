/* SPDX-License-Identifier: Apache-2.0 */
#include "status-intake.h"

#include "alloc-util.h"
#include "gateway.h"
#include "hex.h"
#include "instruction.h"
#include "log.h"
#include "string-util.h"
#include "version.h"

#define MESSAGE_MAX 1024U

typedef struct StatusJob {
        StoreJob job;
        StreamSession *session;
        InstructionStatus status;
        FleetRules rules;
        FleetOrder order;
        uint64_t rollout;
        bool ended;                          /* and the next thing was decided */
        bool unknown;                        /* no instruction of this agent */
} StatusJob;

static void status_free(StatusJob *j) {
        stream_session_unref(j->session);
        instruction_status_done(&j->status);
        fleet_order_done(&j->order);
        free(j);
}

/* Once a session: an agent may say as much of it as it likes. */
static void status_strange(StreamSession *s, const char *what, const char *id) {
        if (s->statuses_strange++ == 0)
                log_info("Agent %s reported %s%s%s, ignoring; more of this in the same session is not logged.",
                         s->agent, what, id ? " " : "", strempty(id));
}

static int status_decide_next(StatusJob *j, Store *s, usec_t t) {
        _cleanup_(agent_record_done) AgentRecord a = {};
        _cleanup_(fleet_done) Fleet fleet = {};
        int r;

        r = s->ops->agent_get(s, j->status.agent, &a);
        if (r >= 0)
                r = fleet_load(s, &fleet);
        if (r >= 0)
                r = fleet_reconcile(&fleet, &j->job, s, &a, &j->rules, t, &j->order);
        if (r >= 0)
                j->ended = true;
        return r;
}

static int status_work(StoreJob *job, Store *s) {
        StatusJob *j = container_of(job, StatusJob, job);
        usec_t t = now(CLOCK_REALTIME);
        int r;

        r = instruction_apply_status(job, s, &j->status, t, j->rules.lease, &j->rollout);
        if (r == -ENOENT) {
                j->unknown = true;
                return 0;
        }
        return r > 0 ? status_decide_next(j, s, t) : r;
}

static void status_done(StoreJob *job, int r) {
        StatusJob *j = container_of(job, StatusJob, job);
        StreamSession *s = j->session;

        s->statuses_pending--;
        if (r < 0) {
                (void) log_error_errno(r, "Agent %s: failed to store a status: %m", s->agent);
                stream_session_close(
                                s, RPC_STATUS_UNAVAILABLE,
                                "the gateway cannot store anything now, try again");
        } else {
                stream_session_ack(s, j->status.instruction_id, j->status.sequence);
                if (j->unknown)
                        status_strange(s, "about an instruction that is not known here:", j->status.instruction_id);
                if (j->ended) {
                        stream_session_order(s, &j->order);
                        rollout_engine_kick(s->gateway->rollouts, j->rollout);
                }
        }
        status_free(j);
}

/* The numbers of the wire, one to one; 0 and what a newer agent may say: invalid. */
static UpdatePhase phase_from_wire(Fleet__V1__UpdatePhase p) {
        return p > 0 && (int) p <= _UPDATE_PHASE_MAX ? (UpdatePhase) ((int) p - 1) : _UPDATE_PHASE_INVALID;
}

static int status_copy(InstructionStatus *to, const char *agent, const Fleet__V1__UpdateStatus *from) {
        *to = (InstructionStatus){
                .phase = phase_from_wire(from->phase),
                .failed_phase = phase_from_wire(from->failed_phase),
                .verdict = UPDATE_VERDICT_NONE,
                .sequence = MIN(from->sequence, (uint64_t) INT64_MAX),
                .bytes_done = MIN(from->bytes_done, (uint64_t) INT64_MAX),
                .bytes_total = MIN(from->bytes_total, (uint64_t) INT64_MAX),
                .instruction_id = strdup(from->instruction_id),
                .agent = strdup(agent),
        };
        if (!to->instruction_id || !to->agent)
                return -ENOMEM;
        if (!isempty(from->verdict)) {
                to->verdict = update_verdict_from_string(from->verdict);
                if (to->verdict < 0)
                        to->verdict = UPDATE_VERDICT_INTERNAL; /* a newer agent's word; the message tells */
        }
        /* it becomes the agent's previous version: nothing else than one is kept */
        to->from_version = strdup(version_is_valid(from->from_version) ? from->from_version : "");
        to->message = string_is_safe(from->message, MESSAGE_MAX) ? strdup(from->message) :
                                                                   string_escape(from->message);
        if (!to->from_version || !to->message)
                return -ENOMEM;
        if (strlen(to->message) > MESSAGE_MAX) {
                size_t n = MESSAGE_MAX;

                while (n > 0 && ((unsigned char) to->message[n] & 0xc0) == 0x80)
                        n--;                 /* not in the middle of a character */
                to->message[n] = '\0';
        }
        return 0;
}

int status_intake(StreamSession *s, const Fleet__V1__UpdateStatus *status) {
        StatusJob *j;
        int r;

        if (isempty(status->instruction_id) || phase_from_wire(status->phase) < 0) {
                /* an update that did not come from here, or a phase of the future: nothing to keep */
                stream_session_ack(s, status->instruction_id, status->sequence);
                return 0;
        }
        /* acknowledged, or it would be repeated for ever */
        if (!hex_is_valid(status->instruction_id, INSTRUCTION_ID_SIZE)) {
                status_strange(s, "about something that cannot be an instruction of ours", NULL);
                stream_session_ack(s, status->instruction_id, status->sequence);
                return 0;
        }
        if (phase_from_wire(status->phase) == UPDATE_PHASE_TIMED_OUT) {
                status_strange(s, "that an update timed out, which only the gateway can say", NULL);
                stream_session_ack(s, status->instruction_id, status->sequence);
                return 0;
        }
        j = new0(StatusJob, 1);
        if (!j)
                return -ENOMEM;
        j->job = (StoreJob){ .work = status_work, .done = status_done, .kind = "status" };
        j->session = stream_session_ref(s);
        gateway_rules(s->gateway, &j->rules);
        r = status_copy(&j->status, s->agent, status);
        if (r >= 0)
                r = store_worker_submit(s->gateway->worker, &j->job);
        if (r < 0)
                status_free(j);
        else
                s->statuses_pending++;
        return r;
}
