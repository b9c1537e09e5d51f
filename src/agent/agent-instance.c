/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-instance.h"

#include "agent-internal.h"
#include "alloc-util.h"
#include "event-util.h"
#include "log.h"
#include "string-util.h"

#define GOODBYE_TIMEOUT (2 * USEC_PER_SEC)
/* Hello says what the updater knows, but does not wait for it long. */
#define UPDATER_WAIT (2 * USEC_PER_SEC)

/* ---- what is shown ---- */

void agent_changed(Agent *a, const char *property) {
        if (a->o.handlers->on_property)
                a->o.handlers->on_property(a, property, a->o.userdata);
}

void agent_set_error(Agent *a, const char *message) {
        _cleanup_free_ char *safe = string_escape(strempty(message));
        if (safe && free_and_strdup(&a->last_error, safe) > 0)
                agent_changed(a, "LastError");
}

void agent_set_gateway_state(Agent *a, const char *state) {
        if (streq(a->gateway_state, state))
                return;
        a->gateway_state = state;
        agent_changed(a, "GatewayState");
}

void agent_show(Agent *a) {
        if (!a->stopping && a->o.handlers->on_shown)
                a->o.handlers->on_shown(a, a->o.userdata);
}

void agent_get_status(Agent *a, AgentStatus *ret) {
        const UpdateRecord *u = agent_update_current(a->update);
        usec_t refreshed = agent_metadata_refreshed(a->metadata);

        *ret = (AgentStatus){
                .version = a->o.running_version,
                .agent_id = a->o.agent_id,
                .hostname = a->o.facts->hostname,
                .gateway_state = a->gateway_state,
                .gateway_address = strempty(a->o.conf->address),
                .sessions = a->stream ? agent_stream_sessions(a->stream) : 0,
                .drain_seen = a->drain_seen,
                .update_state = agent_update_state(a->update),
                .target_version = agent_update_target(a->update),
                .bytes_done = u ? u->bytes_done : 0,
                .bytes_total = u ? u->bytes_total : 0,
                .last_error = strempty(a->last_error),
                .config_revision = "",
                .metadata_age = refreshed > 0 ? usec_sub(now(CLOCK_REALTIME), refreshed) : USEC_INFINITY,
                .metadata_expires = agent_metadata_expires(a->metadata),
        };
}

/* While a version is on trial, reconnecting is urgent; afterwards what was said about drains is old. */
void agent_refresh_pending(Agent *a) {
        bool pending = agent_update_is_pending(a->update);
        if (a->stream)
                agent_stream_set_urgent(a->stream, pending);
        if (!pending && a->drain_seen) {
                a->drain_seen = false;
                agent_changed(a, "DrainSeen");
        }
}

void agent_stuck(Agent *a, int error) {
        a->o.handlers->on_stuck(a, error, a->o.userdata);
}

void agent_stopped(Agent *a) {
        a->o.handlers->on_stopped(a, a->o.userdata);
}

/* ---- update ---- */

static void on_update_change(AgentUpdate *u, void *userdata) {
        static const char *const properties[] = { "UpdateState", "UpdateProgress", "TargetVersion" };
        Agent *a = userdata;

        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                agent_changed(a, properties[i]);
        if (!a->update) /* still being made */
                return;
        agent_refresh_pending(a);
        agent_show(a);
}

static void on_update_finished(AgentUpdate *u, const UpdateRecord *record, void *userdata) {
        Agent *a = userdata;
        if (record->phase != UPDATE_PHASE_SUCCEEDED)
                agent_set_error(a, record->message);
        if (a->o.handlers->on_update_finished)
                a->o.handlers->on_update_finished(a, record, a->o.userdata);
}

static const AgentUpdateHandlers update_handlers = {
        .on_change = on_update_change,
        .on_finished = on_update_finished,
};

/* ---- updater ---- */

static void on_view(int error, const char *message, void *userdata) {
        Agent *a = userdata;
        if (error < 0)
                log_debug_errno(error, "Cannot read the updater's properties: %s", message);
        agent_update_on_view(a->update, error);
        agent_refresh_pending(a);
        if (!a->begun)
                agent_begin(a);
        agent_tell_pin(a);
}

static void on_result(int error, const UpdaterResult *result, void *userdata) {
        Agent *a = userdata;
        agent_update_on_result(a->update, error, result);
        agent_refresh_pending(a);
}

static void on_install(int error, UpdateVerdict verdict, const char *text, void *userdata) {
        Agent *a = userdata;
        agent_update_on_install(a->update, error, verdict, text);
}

static const AgentUpdaterHandlers updater_handlers = {
        .on_view = on_view,
        .on_result = on_result,
        .on_install = on_install,
};

static void on_metadata_change(void *userdata) {
        agent_show(userdata);
}

/* ---- making ---- */

static int agent_make_metadata(Agent *a) {
        const AgentConf *conf = a->o.conf;
        _cleanup_free_ char *url = conf->url ? strjoinf("%s/tuf", conf->url) : NULL;
        AgentMetadataOptions options = {
                .event = a->o.event,
                .http = a->http,
                .state_fd = a->o.state_fd,
                .default_url = url,
                .refresh_interval = conf->metadata_refresh,
                .on_change = on_metadata_change,
                .userdata = a,
        };
        return conf->url && !url ? -ENOMEM : agent_metadata_new(&a->metadata, &options);
}

static int agent_make_update(Agent *a) {
        AgentUpdateOptions options = {
                .event = a->o.event,
                .http = a->http,
                .state_fd = a->o.state_fd,
                .conf = a->o.conf,
                .architecture = a->o.facts->architecture,
                .packaging = a->o.facts->packaging,
                .metadata = a->metadata,
                .updater = a->o.updater,
                .report = a->report,
                .running_version = a->o.running_version,
                .handlers = &update_handlers,
                .userdata = a,
        };
        return agent_update_new(&a->update, &options);
}

static int agent_make_enroll(Agent *a) {
        AgentEnrollOptions options = {
                .event = a->o.event,
                .queue = a->o.queue,
                .http = a->http,
                .conf = a->o.conf,
                .facts = a->o.facts,
                .identity = a->identity,
                .agent_id = a->o.agent_id,
                .user_agent = a->user_agent,
                .join_token_file = a->o.join_token_file,
                .handlers = &agent_enroll_handlers,
                .userdata = a,
        };
        return agent_enroll_new(&a->enroll, &options);
}

static int agent_make_parts(Agent *a) {
        int r = http_client_new(&a->http, a->o.event, a->user_agent);
        if (r >= 0)
                r = agent_identity_new(&a->identity, a->o.state_fd);
        if (r >= 0)
                r = agent_report_new(&a->report, a->o.event, a->o.state_fd, agent_send_status, a);
        if (r >= 0)
                r = agent_session_new(&a->session, a->o.state_fd);
        if (r >= 0)
                r = agent_make_metadata(a);
        if (r >= 0)
                r = agent_make_update(a);
        if (r >= 0)
                r = agent_make_enroll(a);
        if (r >= 0)
                r = agent_renew_new(
                                &a->renew, a->o.event, a->o.queue, a->o.conf, a->identity, a->user_agent);
        return r;
}

int agent_new(Agent **ret, const AgentOptions *options) {
        _cleanup_(agent_freep) Agent *a = new0(Agent, 1);
        if (!a)
                return -ENOMEM;
        a->o = *options;
        a->gateway_state = "unconfigured";
        a->started = now(CLOCK_BOOTTIME);
        a->user_agent = strjoinf("fleet-agent/%s", options->running_version);
        if (!a->user_agent)
                return -ENOMEM;
        int r = agent_make_parts(a);
        if (r < 0)
                return r;
        http_client_set_idle(a->http, options->http_idle);
        agent_updater_attach(options->updater, &updater_handlers, a);
        *ret = TAKE_PTR(a);
        return 0;
}

Agent *agent_free(Agent *a) {
        if (!a)
                return NULL;
        a->stopping = true;
        agent_updater_attach(a->o.updater, NULL, NULL);
        /* who uses something goes before it */
        agent_stream_free(a->stream);
        agent_enroll_free(a->enroll);
        agent_renew_free(a->renew);
        agent_update_free(a->update);
        agent_report_free(a->report);
        agent_metadata_free(a->metadata);
        agent_session_free(a->session);
        agent_identity_free(a->identity);
        http_client_free(a->http);
        sd_event_source_disable_unref(a->begin_source);
        sd_event_source_disable_unref(a->again_source);
        sd_event_source_disable_unref(a->stop_source);
        free(a->user_agent);
        free(a->last_error);
        free(a->hello_pinned);
        free(a);
        return NULL;
}

/* ---- life ---- */

static int on_begin_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Agent *a = userdata;
        if (!a->begun)
                agent_begin(a);
        return 0;
}

int agent_start(Agent *a) {
        return event_timer_arm(
                        a->o.event, &a->begin_source, a->o.updater ? UPDATER_WAIT : 0, on_begin_timer, a,
                        "begin");
}

static int on_stop(sd_event_source *source, void *userdata) {
        agent_stopped(userdata);
        return 0;
}

int agent_stop(Agent *a) {
        if (a->stopping)
                return 0;
        a->stopping = true;
        agent_update_on_stop(a->update);
        if (!a->stream)
                return event_defer_once(a->o.event, &a->stop_source, on_stop, a, "stop");
        return agent_stream_stop(
                        a->stream,
                        agent_update_is_pending(a->update) ?
                                        FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_UPDATE :
                                        FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_SHUTDOWN,
                        GOODBYE_TIMEOUT);
}

void agent_connect_anew(Agent *a) {
        if (a->stream)
                (void) agent_stream_reconnect(a->stream);
        else if (agent_enroll_is_running(a->enroll))
                (void) agent_enroll_start(a->enroll);
}

int agent_drop_connection(Agent *a) {
        return agent_is_connected(a) ? agent_stream_drop(a->stream) : -ENOTCONN;
}

int agent_beat(Agent *a) {
        return agent_is_connected(a) ? agent_stream_beat(a->stream) : -ENOTCONN;
}

/* ---- questions ---- */

const UpdateRecord *agent_current_update(const Agent *a) {
        return agent_update_current(a->update);
}

bool agent_is_connected(const Agent *a) {
        return a->stream && agent_stream_state(a->stream) == AGENT_STREAM_CONNECTED;
}

bool agent_is_enrolled(const Agent *a) {
        return streq_ptr(agent_identity_id(a->identity), a->o.agent_id);
}

size_t agent_unacknowledged(const Agent *a) {
        return agent_report_pending(a->report);
}

uint64_t agent_bytes_received(const Agent *a) {
        return http_client_received(a->http);
}

AgentMetadata *agent_get_metadata(Agent *a) {
        return a->metadata;
}
