/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-service.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "agent-internal.h"
#include "alloc-util.h"
#include "crypto.h"
#include "daemon.h"
#include "errno-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "version.h"

#define GOODBYE_TIMEOUT (2 * USEC_PER_SEC)
/* Hello says what the updater knows, but does not wait for it long. */
#define UPDATER_WAIT (2 * USEC_PER_SEC)
#define RPC_CAPACITY 64U

/* ---- state for people ---- */

void agent_set_error(Agent *a, const char *message) {
        _cleanup_free_ char *safe = string_escape(strempty(message));
        if (safe && free_and_strdup(&a->last_error, safe) > 0)
                agent_bus_changed(a->bus, "LastError");
}

void agent_set_gateway_state(Agent *a, const char *state) {
        if (streq(a->gateway_state, state))
                return;
        a->gateway_state = state;
        agent_bus_changed(a->bus, "GatewayState");
}

static char *status_text(Agent *a) {
        const UpdateRecord *u = agent_update_current(a->update);

        if (u && u->phase == UPDATE_PHASE_DOWNLOADING && u->bytes_total > 0)
                return strjoinf("Downloading version %s: %" PRIu64 " %%", u->to,
                                u->bytes_done * 100 / u->bytes_total);
        if (u)
                return strjoinf("Update to version %s: %s", u->to, update_phase_title(u->phase));
        if (streq(a->gateway_state, "connected"))
                return strjoinf("Connected to %s as %s", a->conf.address, a->agent_id);
        if (streq(a->gateway_state, "unconfigured"))
                return strdup("No gateway is configured (Address= in agent.conf)");
        return strjoinf("Gateway %s: %s%s%s", a->conf.address, a->gateway_state,
                        isempty(a->last_error) ? "" : ". ", strempty(a->last_error));
}

void agent_show_status(Agent *a) {
        _cleanup_free_ char *text = a->stopping ? NULL : status_text(a);
        if (text && free_and_strdup(&a->status, text) > 0)
                daemon_notify_status("%s", text);
}

static void on_get_status(AgentStatus *ret, void *userdata) {
        Agent *a = userdata;
        const UpdateRecord *u = agent_update_current(a->update);
        usec_t refreshed = agent_metadata_refreshed(a->metadata);

        *ret = (AgentStatus){
                .version = fleet_version,
                .agent_id = strempty(a->agent_id),
                .hostname = a->facts.hostname,
                .gateway_state = a->gateway_state,
                .gateway_address = strempty(a->conf.address),
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
                .telemetry_datagrams = a->telemetry ? agent_telemetry_counters(a->telemetry)->datagrams : 0,
        };
}

/* While a version is on trial, reconnecting is urgent; afterwards what was said about drains is old. */
void agent_refresh_pending(Agent *a) {
        bool pending = agent_update_is_pending(a->update);
        if (a->stream)
                agent_stream_set_urgent(a->stream, pending);
        if (!pending && a->drain_seen) {
                a->drain_seen = false;
                agent_bus_changed(a->bus, "DrainSeen");
        }
}

/* ---- update ---- */

static void on_update_change(AgentUpdate *u, void *userdata) {
        static const char *const properties[] = { "UpdateState", "UpdateProgress", "TargetVersion" };
        Agent *a = userdata;

        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                agent_bus_changed(a->bus, properties[i]);
        if (!a->update) /* still being made */
                return;
        agent_refresh_pending(a);
        agent_show_status(a);
}

static void on_update_finished(AgentUpdate *u, const UpdateRecord *record, void *userdata) {
        Agent *a = userdata;
        if (record->phase != UPDATE_PHASE_SUCCEEDED)
                agent_set_error(a, record->message);
        agent_bus_update_finished(
                        a->bus, record->transaction, record->to, update_phase_to_string(record->phase),
                        record->verdict == UPDATE_VERDICT_NONE ? "" :
                                                                 update_verdict_to_string(record->verdict));
}

static const AgentUpdateHandlers update_handlers = {
        .on_change = on_update_change,
        .on_finished = on_update_finished,
};

/* ---- updater and bus ---- */

static void on_view(AgentHandoff *h, int error, const char *message, void *userdata) {
        Agent *a = userdata;
        if (a->ending)
                return;
        if (error < 0)
                log_debug_errno(error, "Cannot read the updater's properties: %s", message);
        agent_update_on_view(a->update, error);
        agent_refresh_pending(a);
        if (!a->begun)
                agent_begin(a);
        agent_tell_pin(a);
}

static void on_result(AgentHandoff *h, int error, const UpdaterResult *result, void *userdata) {
        Agent *a = userdata;
        if (a->ending)
                return;
        agent_update_on_result(a->update, error, result);
        agent_refresh_pending(a);
}

static void on_install(AgentHandoff *h, int error, UpdateVerdict verdict, const char *text, void *userdata) {
        Agent *a = userdata;
        if (!a->ending)
                agent_update_on_install(a->update, error, verdict, text);
}

static const AgentHandoffHandlers handoff_handlers = {
        .on_view = on_view,
        .on_result = on_result,
        .on_install = on_install,
};

static void on_bus(sd_bus *bus, void *userdata) {
        Agent *a = userdata;
        int r = agent_handoff_set_bus(a->handoff, bus);
        if (r >= 0 && bus)
                r = agent_handoff_ask_view(a->handoff);
        if (r < 0)
                log_debug_errno(r, "Cannot ask the updater for its state: %m");
}

static void on_reconnect(void *userdata) {
        log_info("Connecting anew, as asked for on the bus.");
        agent_connect_anew(userdata);
}

static const AgentBusHandlers bus_handlers = {
        .get_status = on_get_status,
        .reconnect = on_reconnect,
        .on_bus = on_bus,
};

static void on_metadata_change(void *userdata) {
        Agent *a = userdata;
        agent_show_status(a);
}

/* ---- life ---- */

static int on_begin_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Agent *a = userdata;
        if (!a->begun)
                agent_begin(a);
        return 0;
}

/* The loop runs: that, and not the gateway, is what READY=1 says. */
static int on_ready(sd_event_source *source, void *userdata) {
        Agent *a = userdata;
        daemon_notify_ready("Starting");
        log_info("Agent %s started as %s.", fleet_version, a->agent_id);
        return event_timer_arm(
                        a->event, &a->begin_source, a->bus ? UPDATER_WAIT : 0, on_begin_timer, a, "begin");
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Agent *a = userdata;

        if (a->stopping || !a->update) /* the second one does not wait for anything */
                return sd_event_exit(sd_event_source_get_event(source), 0);
        a->stopping = true;
        daemon_notify_stopping("Saying goodbye");
        agent_update_on_stop(a->update);
        if (!a->stream)
                return sd_event_exit(a->event, 0);
        return agent_stream_stop(
                        a->stream,
                        agent_update_is_pending(a->update) ?
                                        FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_UPDATE :
                                        FLEET__V1__GOODBYE_REASON__GOODBYE_REASON_SHUTDOWN,
                        GOODBYE_TIMEOUT);
}

int agent_state_open(const char *path) {
        int r = mkdir_parents(path, 0700);
        return r < 0 && r != -EEXIST ? r : dir_open_at(AT_FDCWD, path);
}

int agent_state_open_folder(int state_fd, const char *name) {
        if (mkdirat(state_fd, name, 0700) < 0 && errno != EEXIST)
                return -errno;
        return dir_open_at(state_fd, name);
}

static void agent_done(Agent *a) {
        a->stopping = a->ending = true;
        /* who uses something goes before it */
        a->bus = agent_bus_free(a->bus);
        a->stream = agent_stream_free(a->stream);
        a->enroll = agent_enroll_free(a->enroll);
        a->renew = agent_renew_free(a->renew);
        a->update = agent_update_free(a->update);
        a->report = agent_report_free(a->report);
        a->handoff = agent_handoff_free(a->handoff);
        a->metadata = agent_metadata_free(a->metadata);
        a->session = agent_session_free(a->session);
        a->identity = agent_identity_free(a->identity);
        a->telemetry = agent_telemetry_free(a->telemetry);
        a->http = http_client_free(a->http);
        a->queue = rpc_queue_free(a->queue);
        sd_event_source_disable_unref(a->ready_source);
        sd_event_source_disable_unref(a->begin_source);
        sd_event_source_disable_unref(a->again_source);
        a->event = sd_event_unref(a->event);
        agent_conf_done(&a->conf);
        agent_facts_done(&a->facts);
        free(a->agent_id);
        free(a->user_agent);
        free(a->last_error);
        free(a->status);
        free(a->hello_pinned);
        a->state_fd = fd_close(a->state_fd);
}

static int agent_make_identity(Agent *a) {
        int fd = agent_state_open_folder(a->state_fd, "identity");
        return fd < 0 ? fd : agent_identity_new(&a->identity, fd);
}

static int agent_make_report(Agent *a) {
        int fd = agent_state_open_folder(a->state_fd, "outbox");
        return fd < 0 ? fd : agent_report_new(&a->report, a->event, fd, agent_send_status, a);
}

static int agent_make_metadata(Agent *a) {
        _cleanup_free_ char *url = a->conf.url ? strjoinf("%s/tuf", a->conf.url) : NULL;
        AgentMetadataOptions options = {
                .event = a->event,
                .http = a->http,
                .state_fd = a->state_fd,
                .default_url = url,
                .refresh_interval = a->conf.metadata_refresh,
                .on_change = on_metadata_change,
                .userdata = a,
        };
        return a->conf.url && !url ? -ENOMEM : agent_metadata_new(&a->metadata, &options);
}

static int agent_make_update(Agent *a, bool no_bus) {
        AgentUpdateOptions options = {
                .event = a->event,
                .http = a->http,
                .state_fd = a->state_fd,
                .conf = &a->conf,
                .architecture = a->facts.architecture,
                .packaging = a->facts.packaging,
                .no_bus = no_bus,
                .metadata = a->metadata,
                .handoff = a->handoff,
                .report = a->report,
                .running_version = fleet_version,
                .handlers = &update_handlers,
                .userdata = a,
        };
        return agent_update_new(&a->update, &options);
}

static int agent_make_enroll(Agent *a) {
        AgentEnrollOptions options = {
                .event = a->event,
                .queue = a->queue,
                .http = a->http,
                .conf = &a->conf,
                .facts = &a->facts,
                .identity = a->identity,
                .agent_id = a->agent_id,
                .user_agent = a->user_agent,
                .handlers = &agent_enroll_handlers,
                .userdata = a,
        };
        return agent_enroll_new(&a->enroll, &options);
}

static int agent_make_bus(Agent *a) {
        AgentBusOptions options = {
                .event = a->event,
                .metadata = a->metadata,
                .architecture = a->facts.architecture,
                .running_version = fleet_version,
                .handlers = &bus_handlers,
                .userdata = a,
        };
        return agent_bus_new(&a->bus, &options);
}

/* Descriptors of the socket unit; without them (tests, a socket unit that failed) the agent works all the
 * same. */
static int agent_make_telemetry(Agent *a) {
        int fd = daemon_listen_fd("telemetry");
        if (fd == -ENOENT)
                return 0;
        return fd < 0 ? fd : agent_telemetry_new(&a->telemetry, a->event, fd);
}

static int agent_make_parts(Agent *a, bool no_bus) {
        int r = rpc_queue_new(&a->queue, a->event, 1, RPC_CAPACITY);
        if (r >= 0)
                r = http_client_new(&a->http, a->event, a->user_agent);
        if (r >= 0)
                r = agent_make_identity(a);
        if (r >= 0)
                r = agent_make_report(a);
        if (r >= 0)
                r = agent_session_new(&a->session, a->state_fd);
        if (r >= 0)
                r = agent_make_metadata(a);
        if (r >= 0)
                r = agent_handoff_new(&a->handoff, &handoff_handlers, a);
        if (r >= 0)
                r = agent_make_update(a, no_bus);
        if (r >= 0)
                r = agent_make_enroll(a);
        if (r >= 0)
                r = agent_renew_new(&a->renew, a->event, a->queue, &a->conf, a->identity, a->user_agent);
        if (r >= 0)
                r = agent_make_telemetry(a);
        if (r >= 0 && !no_bus)
                r = agent_make_bus(a);
        return r;
}

static int agent_configure(Agent *a, const char *config) {
        int r = agent_conf_load(&a->conf, config);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s: %m", config);
        log_set_max_level(a->conf.log_level);
        r = agent_facts_collect(&a->facts, /* need_machine_id= */ !a->conf.agent_id);
        if (r < 0)
                return r;
        a->agent_id = strdup(a->conf.agent_id ?: a->facts.machine_id);
        a->user_agent = strjoinf("fleet-agent/%s", fleet_version);
        return a->agent_id && a->user_agent ? 0 : log_oom();
}

int agent_service_run(const AgentServiceOptions *options) {
        _cleanup_(agent_done) Agent a = {
                .state_fd = -EBADF,
                .gateway_state = "unconfigured",
                .started = now(CLOCK_BOOTTIME),
        };

        int r = agent_configure(&a, options->config);
        if (r < 0)
                return r;
        r = daemon_protect_memory();
        if (r < 0)
                log_warning_errno(r, "Cannot keep this process from being dumped, going on: %m");
        r = crypto_init();
        if (r < 0)
                return log_error_errno(r, "Cannot initialise libsodium: %m");
        a.state_fd = agent_state_open(options->state_directory);
        if (a.state_fd < 0)
                return log_error_errno(
                                a.state_fd, "Cannot use the state directory %s: %m",
                                options->state_directory);
        r = event_setup_daemon_with(&a.event, on_terminate, &a);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the event loop: %m");
        r = agent_make_parts(&a, options->no_bus);
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");
        r = event_defer_once(a.event, &a.ready_source, on_ready, &a, "ready");
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");
        r = sd_event_loop(a.event);
        log_info("Agent %s ends.", fleet_version);
        return r;
}
