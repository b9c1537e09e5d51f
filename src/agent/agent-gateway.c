/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-instruction.h"
#include "agent-internal.h"
#include "agent-messages.h"
#include "event-util.h"
#include "log.h"
#include "messages.h"
#include "string-util.h"
#include "version.h"

int agent_send_status(const UpdateRecord *u, bool droppable, void *userdata) {
        Fleet__V1__AgentMessage message = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__UpdateStatus status = FLEET__V1__UPDATE_STATUS__INIT;
        Agent *a = userdata;

        if (!a->stream)
                return -ENOTCONN;
        update_record_fill(u, &status);
        message.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_UPDATE_STATUS;
        message.update_status = &status;
        int r = agent_stream_send(a->stream, &message, droppable ? RPC_SEND_DROPPABLE : RPC_SEND_KEEP);
        if (r == 0 && a->o.handlers->on_status)
                a->o.handlers->on_status(a, u, droppable, a->o.userdata);
        return r;
}

/* ---- instructions ---- */

static void agent_send_ack(Agent *a, const char *id) {
        Fleet__V1__AgentMessage message = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Ack ack = FLEET__V1__ACK__INIT;

        ack.id = (char *) id;
        message.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_ACK;
        message.ack = &ack;
        int r = agent_stream_send(a->stream, &message, RPC_SEND_KEEP);
        if (r < 0) /* the gateway repeats what it has no answer to */
                log_debug_errno(r, "Cannot acknowledge an instruction: %m");
}

static void agent_on_instruction(Agent *a, const Fleet__V1__UpdateInstruction *message) {
        _cleanup_free_ char *why = NULL;
        UpdateVerdict verdict = UPDATE_VERDICT_NONE;
        Instruction i;

        instruction_read(message, &i);
        agent_update_supersede(a->update, &i);
        InstructionContext context = {
                .conf = a->o.conf,
                .running_version = a->o.running_version,
                .current = agent_update_current(a->update),
                .finished = agent_report_find_instruction(a->report, i.id),
                .foreign_transaction = agent_update_is_foreign(a->update),
                .outbox_full = agent_report_is_full(a->report),
                .has_trusted_root = fleet_trusted_root_size > 0,
                .pinned_version = agent_updater_view(a->o.updater)->pinned_version,
        };
        int r = instruction_decide(&i, &context, &verdict, &why);
        if (r < 0) {
                log_oom();
                return;
        }
        if (a->o.handlers->on_instruction &&
            !a->o.handlers->on_instruction(a, &i, (InstructionDecision) r, a->o.userdata))
                return;
        if (r == INSTRUCTION_IGNORE) {
                log_warning("Ignoring an instruction of the gateway: %s", why);
                return;
        }
        agent_send_ack(a, i.id);
        switch ((InstructionDecision) r) {
        case INSTRUCTION_ACCEPT:
                log_info("The gateway asks for version %s (instruction %s).", i.version, i.id);
                r = agent_update_begin(a->update, &i);
                break;
        case INSTRUCTION_CONTINUE:
                agent_update_continue(a->update, &i);
                r = 0;
                break;
        case INSTRUCTION_FINISHED:
                agent_report_repeat(a->report, context.finished);
                r = 0;
                break;
        case INSTRUCTION_DONE:
                r = agent_update_answer(
                                a->update, &i, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE,
                                "This version runs already.");
                break;
        default:
                r = agent_update_answer(a->update, &i, UPDATE_PHASE_FAILED, verdict, why);
        }
        if (r < 0)
                log_warning_errno(r, "Cannot take the instruction for version %s: %m", i.version);
}

/* ---- stream ---- */

static void agent_note_drain(Agent *a) {
        if (a->drain_seen || !agent_update_is_pending(a->update))
                return;
        a->drain_seen = true;
        agent_changed(a, "DrainSeen");
}

static int on_get_credentials(AgentStream *s, RpcCredentials **ret, void *userdata) {
        Agent *a = userdata;
        return agent_identity_credentials(a->identity, ret);
}

static void on_fill_hello(AgentStream *s, Fleet__V1__Hello *hello, void *userdata) {
        Agent *a = userdata;
        const UpdaterView *view = agent_updater_view(a->o.updater);

        hello->agent_id = (char *) a->o.agent_id;
        hello->version = (char *) a->o.running_version;
        agent_facts_fill(a->o.facts, hello->facts);
        if (view->packaging > 0)
                hello->facts->packaging = view->packaging;
        hello->transaction_id = (char *) agent_update_transaction(a->update);
        hello->session_token = (char *) agent_session_token(a->session);
        hello->metadata_expires_usec = agent_metadata_expires(a->metadata);
        hello->previous_version = view->previous_version;
        hello->pinned = !isempty(view->pinned_version);
        hello->pinned_version = view->pinned_version;
        if (free_and_strdup(&a->hello_pinned, view->pinned_version) < 0)
                log_oom();
}

static void on_fill_heartbeat(AgentStream *s, Fleet__V1__Heartbeat *heartbeat, void *userdata) {
        Agent *a = userdata;
        heartbeat->uptime_usec = usec_sub(now(CLOCK_BOOTTIME), a->started);
        heartbeat->metadata_expires_usec = agent_metadata_expires(a->metadata);
}

static void on_stream_state(AgentStream *s, AgentStreamState state, void *userdata) {
        static const char *const names[_AGENT_STREAM_STATE_MAX] = {
                [AGENT_STREAM_IDLE] = "connecting",     [AGENT_STREAM_CONNECTING] = "connecting",
                [AGENT_STREAM_CONNECTED] = "connected", [AGENT_STREAM_WAITING] = "waiting",
                [AGENT_STREAM_STOPPED] = "waiting",
        };
        Agent *a = userdata;
        agent_set_gateway_state(a, names[state]);
        agent_show(a);
}

static void on_welcome(AgentStream *s, const Fleet__V1__Welcome *welcome, void *userdata) {
        Agent *a = userdata;

        log_event(LOG_NOTICE, FLEET_MESSAGE_CONNECTED_STR,
                  "MESSAGE=Connected to the gateway at %s (version %s).", a->o.conf->address,
                  welcome->gateway_version, "FLEET_GATEWAY=%s", a->o.conf->address, "FLEET_AGENT_ID=%s",
                  a->o.agent_id, NULL);
        agent_enroll_stop(a->enroll);
        agent_session_set(a->session, welcome->session_token);
        agent_set_error(a, "");
        agent_changed(a, "Sessions");
        agent_update_on_connected(a->update);
        agent_report_on_connected(a->report);
        agent_metadata_start(a->metadata);
        agent_renew_plan(a->renew);
        if (a->o.handlers->on_session)
                a->o.handlers->on_session(a, true, a->o.userdata);
}

static void on_message(AgentStream *s, const Fleet__V1__GatewayMessage *message, void *userdata) {
        Agent *a = userdata;

        switch (message->message_case) {
        case FLEET__V1__GATEWAY_MESSAGE__MESSAGE_UPDATE_INSTRUCTION:
                agent_on_instruction(a, message->update_instruction);
                break;
        case FLEET__V1__GATEWAY_MESSAGE__MESSAGE_CANCEL_INSTRUCTION:
                agent_update_cancel(a->update, strempty(message->cancel_instruction->instruction_id));
                break;
        case FLEET__V1__GATEWAY_MESSAGE__MESSAGE_ACK:
                if (agent_report_on_ack(a->report, strempty(message->ack->id), message->ack->sequence) &&
                    a->o.handlers->on_acknowledged)
                        a->o.handlers->on_acknowledged(a, message->ack->id, a->o.userdata);
                break;
        case FLEET__V1__GATEWAY_MESSAGE__MESSAGE_DRAIN:
                log_info("The gateway asks to come back within %u s: %s",
                         message->drain->reconnect_after_sec, message->drain->reason);
                agent_note_drain(a);
                break;
        default: /* a message of a newer gateway */
                log_debug("Ignoring a message of an unknown kind.");
        }
}

static int on_begin(sd_event_source *source, void *userdata) {
        agent_begin(userdata);
        return 0;
}

/* Whether a certificate has expired is for the gateway's clock to judge: this machine's may be wrong for a
 * while, and must not cost it its identity. Only when the gateway refuses it as well is another one asked
 * for, beside the attempts to connect, which go on. */
static void agent_enroll_if_expired(Agent *a, const AgentStreamEnd *end) {
        char text[RFC3339_MAX];
        usec_t expires = agent_identity_expires(a->identity);

        if (end->failure != RPC_FAILURE_CLIENT_CERTIFICATE || expires > now(CLOCK_REALTIME) ||
            agent_enroll_is_running(a->enroll))
                return;
        log_warning("By the clock of this machine its certificate expired at %s, and the gateway refuses "
                    "it. If the clock is wrong, correct it; otherwise a join token is needed.",
                    rfc3339_format(expires, text));
        if (agent_enroll_start(a->enroll) < 0)
                agent_stuck(a, log_oom());
}

static void on_stream_end(AgentStream *s, const AgentStreamEnd *end, void *userdata) {
        Agent *a = userdata;
        char span[TIMESPAN_MAX];

        agent_report_on_disconnected(a->report);
        if (end->welcomed && a->o.handlers->on_session)
                a->o.handlers->on_session(a, false, a->o.userdata);
        if (end->failure == RPC_FAILURE_PEER &&
            IN_SET(end->status, RPC_STATUS_UNAVAILABLE, RPC_STATUS_RESOURCE_EXHAUSTED))
                agent_note_drain(a);
        if (a->stopping)
                return;
        const char *pause = timespan_format(end->pause, span);
        if (end->welcomed)
                log_event(end->status == RPC_STATUS_OK ? LOG_INFO : LOG_WARNING,
                          FLEET_MESSAGE_DISCONNECTED_STR,
                          "MESSAGE=The session with the gateway at %s ended: %s. Connecting again in %s.",
                          a->o.conf->address,
                          isempty(end->text) ? rpc_status_to_string(end->status) : end->text, pause,
                          "FLEET_GATEWAY=%s", a->o.conf->address, NULL);
        else
                log_full(streq_ptr(a->last_error, end->text) ? LOG_DEBUG : LOG_WARNING,
                         "Cannot connect to the gateway at %s: %s. Trying again in %s.", a->o.conf->address,
                         end->text, pause);
        if (end->failure == RPC_FAILURE_CLIENT_CERTIFICATE)
                log_warning("The gateway does not accept this machine's certificate. If that lasts, put a "
                            "new join token "
                            "into the credential store, remove the folder identity/ in the state directory "
                            "and restart.");
        agent_set_error(a, isempty(end->text) && end->failure != RPC_FAILURE_NONE ?
                                           rpc_status_to_string(end->status) :
                                           end->text);
        agent_enroll_if_expired(a, end);
}

static void on_stream_drained(AgentStream *s, void *userdata) {
        Agent *a = userdata;
        agent_report_on_drained(a->report);
}

static void on_stream_stopped(AgentStream *s, void *userdata) {
        agent_stopped(userdata);
}

static void on_stream_stuck(AgentStream *s, int error, void *userdata) {
        agent_stuck(userdata, error);
}

static const AgentStreamHandlers stream_handlers = {
        .get_credentials = on_get_credentials,
        .fill_hello = on_fill_hello,
        .fill_heartbeat = on_fill_heartbeat,
        .on_state = on_stream_state,
        .on_welcome = on_welcome,
        .on_message = on_message,
        .on_end = on_stream_end,
        .on_drained = on_stream_drained,
        .on_stopped = on_stream_stopped,
        .on_stuck = on_stream_stuck,
};

static int agent_start_stream(Agent *a) {
        AgentStreamOptions options = {
                .address = a->o.conf->address,
                .user_agent = a->user_agent,
                .reconnect_min = a->o.conf->reconnect_min,
                .reconnect_max = a->o.conf->reconnect_max,
                .connect_timeout = a->o.conf->connect_timeout,
                .keepalive = a->o.conf->keepalive,
        };
        const char *ca = agent_identity_ca_pem(a->identity);
        int r = agent_metadata_set_ca(a->metadata, ca);
        if (r >= 0)
                r = agent_update_set_ca(a->update, ca);
        if (r >= 0)
                r = agent_stream_new(&a->stream, a->o.event, a->o.queue, &options, &stream_handlers, a);
        if (r < 0)
                return r;
        agent_refresh_pending(a);
        agent_set_gateway_state(a, "connecting");
        return agent_stream_start(a->stream);
}

/* ---- enrolment ---- */

static void on_enrolled(AgentEnroll *e, void *userdata) {
        Agent *a = userdata;
        agent_set_error(a, "");
        (void) event_defer_once(a->o.event, &a->again_source, on_begin, a, "enroll-again");
}

static void on_enroll_failed(AgentEnroll *e, const char *message, usec_t pause, void *userdata) {
        Agent *a = userdata;
        agent_set_error(a, message);
        agent_show(a);
}

static void on_enroll_stuck(AgentEnroll *e, int error, void *userdata) {
        agent_stuck(userdata, error);
}

const AgentEnrollHandlers agent_enroll_handlers = {
        .on_enrolled = on_enrolled,
        .on_failed = on_enroll_failed,
        .on_stuck = on_enroll_stuck,
};

/* ---- beginning ---- */

/* Which of the two it is now: enrolling or connecting. Also after either of them has changed the answer. */
void agent_begin(Agent *a) {
        int r;

        if (a->stopping)
                return;
        a->begun = true;
        (void) event_timer_disarm(a->begin_source);
        if (!a->o.conf->address) {
                agent_set_error(a,
                                "No gateway is configured: set Address= in [Gateway] of agent.conf and "
                                "restart.");
                log_warning("%s", a->last_error);
                agent_show(a);
                return;
        }
        if (agent_is_enrolled(a)) {
                /* with a stream, there is another certificate to show */
                r = a->stream ? agent_stream_reconnect(a->stream) : agent_start_stream(a);
        } else {
                if (agent_identity_id(a->identity))
                        log_warning("The stored certificate is for id %s, not for this machine; enrolling anew.",
                                    agent_identity_id(a->identity));
                a->stream = agent_stream_free(a->stream);
                agent_set_gateway_state(a, "enrolling");
                r = agent_enroll_is_running(a->enroll) ? 0 : agent_enroll_start(a->enroll);
        }
        agent_show(a);
        if (r < 0)
                agent_stuck(a, log_error_errno(r, "Cannot begin to connect: %m"));
}

void agent_tell_pin(Agent *a) {
        const UpdaterView *view = agent_updater_view(a->o.updater);

        if (a->stopping || !a->stream || agent_stream_state(a->stream) != AGENT_STREAM_CONNECTED ||
            !view->known || streq(strempty(a->hello_pinned), view->pinned_version) ||
            agent_update_is_pending(a->update))
                return;
        log_info("The pin of this machine has changed; connecting anew to tell the gateway.");
        if (agent_stream_reconnect(a->stream) >= 0 &&
            free_and_strdup(&a->hello_pinned, view->pinned_version) < 0)
                log_oom();
}
