/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-service.h"

#include <fcntl.h>
#include <systemd/sd-daemon.h>

#include "agent-bus.h"
#include "agent-handoff.h"
#include "agent-instance.h"
#include "agent-telemetry.h"
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

#define RPC_CAPACITY 64U

typedef struct Service {
        sd_event *event;
        AgentConf conf;
        AgentFacts facts;
        char *agent_id;
        int state_fd;

        RpcQueue *queue;
        AgentHandoff *handoff;
        Agent *agent;
        AgentBus *bus;
        AgentTelemetry *telemetry;

        char *status; /* what the service manager was told last */
        bool stopping;
        sd_event_source *ready_source;
} Service;

/* ---- what the agent tells ---- */

static char *status_text(Agent *a) {
        const UpdateRecord *u = agent_current_update(a);
        AgentStatus s;

        agent_get_status(a, &s);
        if (u && u->phase == UPDATE_PHASE_DOWNLOADING && u->bytes_total > 0)
                return strjoinf("Downloading version %s: %" PRIu64 " %%", u->to,
                                u->bytes_done * 100 / u->bytes_total);
        if (u)
                return strjoinf("Update to version %s: %s", u->to, update_phase_title(u->phase));
        if (streq(s.gateway_state, "connected"))
                return strjoinf("Connected to %s as %s", s.gateway_address, s.agent_id);
        if (streq(s.gateway_state, "unconfigured"))
                return strdup("No gateway is configured (Address= in agent.conf)");
        return strjoinf("Gateway %s: %s%s%s", s.gateway_address, s.gateway_state,
                        isempty(s.last_error) ? "" : ". ", s.last_error);
}

static void on_shown(Agent *a, void *userdata) {
        Service *s = userdata;
        _cleanup_free_ char *text = s->stopping ? NULL : status_text(a);
        if (text && free_and_strdup(&s->status, text) > 0)
                daemon_notify_status("%s", text);
}

static void on_property(Agent *a, const char *property, void *userdata) {
        Service *s = userdata;
        agent_bus_changed(s->bus, property);
}

static void on_update_finished(Agent *a, const UpdateRecord *u, void *userdata) {
        Service *s = userdata;
        agent_bus_update_finished(
                        s->bus, u->transaction, u->to, update_phase_to_string(u->phase),
                        u->verdict == UPDATE_VERDICT_NONE ? "" : update_verdict_to_string(u->verdict));
}

static void on_stopped(Agent *a, void *userdata) {
        Service *s = userdata;
        (void) sd_event_exit(s->event, 0);
}

/* The service manager starts us again. */
static void on_stuck(Agent *a, int error, void *userdata) {
        Service *s = userdata;
        (void) sd_event_exit(s->event, error);
}

static const AgentHandlers agent_handlers = {
        .on_property = on_property,
        .on_shown = on_shown,
        .on_update_finished = on_update_finished,
        .on_stopped = on_stopped,
        .on_stuck = on_stuck,
};

/* ---- bus ---- */

static void on_get_status(AgentStatus *ret, void *userdata) {
        Service *s = userdata;
        agent_get_status(s->agent, ret);
        ret->telemetry_datagrams = s->telemetry ? agent_telemetry_counters(s->telemetry)->datagrams : 0;
}

static void on_bus(sd_bus *bus, void *userdata) {
        Service *s = userdata;
        int r = agent_handoff_set_bus(s->handoff, bus);
        if (r >= 0 && bus)
                r = agent_updater_ask_view(agent_handoff_updater(s->handoff));
        if (r < 0)
                log_debug_errno(r, "Cannot ask the updater for its state: %m");
}

static void on_reconnect(void *userdata) {
        Service *s = userdata;
        log_info("Connecting anew, as asked for on the bus.");
        agent_connect_anew(s->agent);
}

static const AgentBusHandlers bus_handlers = {
        .get_status = on_get_status,
        .reconnect = on_reconnect,
        .on_bus = on_bus,
};

/* ---- life ---- */

/* The loop runs: that, and not the gateway, is what READY=1 says. */
static int on_ready(sd_event_source *source, void *userdata) {
        Service *s = userdata;
        daemon_notify_ready("Starting");
        log_info("Agent %s started as %s.", fleet_version, s->agent_id);
        return agent_start(s->agent);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Service *s = userdata;

        if (s->stopping || !s->agent) /* the second one does not wait for anything */
                return sd_event_exit(sd_event_source_get_event(source), 0);
        s->stopping = true;
        daemon_notify_stopping("Saying goodbye");
        return agent_stop(s->agent);
}

int agent_state_open(const char *path) {
        int r = mkdir_parents(path, 0700);
        return r < 0 && r != -EEXIST ? r : dir_open_at(AT_FDCWD, path);
}

static void service_done(Service *s) {
        s->stopping = true;
        /* the bus goes first: what the updater says when it goes is of no interest any more */
        agent_updater_attach(s->handoff ? agent_handoff_updater(s->handoff) : NULL, NULL, NULL);
        s->bus = agent_bus_free(s->bus);
        s->agent = agent_free(s->agent);
        s->handoff = agent_handoff_free(s->handoff);
        s->telemetry = agent_telemetry_free(s->telemetry);
        s->queue = rpc_queue_free(s->queue);
        sd_event_source_disable_unref(s->ready_source);
        s->event = sd_event_unref(s->event);
        agent_conf_done(&s->conf);
        agent_facts_done(&s->facts);
        free(s->agent_id);
        free(s->status);
        s->state_fd = fd_close(s->state_fd);
}

static int service_make_agent(Service *s, bool no_bus) {
        AgentOptions options = {
                .event = s->event,
                .queue = s->queue,
                .conf = &s->conf,
                .facts = &s->facts,
                .agent_id = s->agent_id,
                .running_version = fleet_version,
                .state_fd = s->state_fd,
                .updater = no_bus ? NULL : agent_handoff_updater(s->handoff),
                .handlers = &agent_handlers,
                .userdata = s,
        };
        return agent_new(&s->agent, &options);
}

static int service_make_bus(Service *s) {
        AgentBusOptions options = {
                .event = s->event,
                .metadata = agent_get_metadata(s->agent),
                .architecture = s->facts.architecture,
                .running_version = fleet_version,
                .handlers = &bus_handlers,
                .userdata = s,
        };
        return agent_bus_new(&s->bus, &options);
}

/* Descriptors of the socket unit; without them (tests, a socket unit that failed) the agent works all the
 * same. */
static int service_make_telemetry(Service *s) {
        int fd = daemon_listen_fd("telemetry");
        if (fd == -ENOENT)
                return 0;
        return fd < 0 ? fd : agent_telemetry_new(&s->telemetry, s->event, fd);
}

static int service_make_parts(Service *s, bool no_bus) {
        int r = rpc_queue_new(&s->queue, s->event, 1, RPC_CAPACITY);
        if (r >= 0)
                r = agent_handoff_new(&s->handoff);
        if (r >= 0)
                r = service_make_agent(s, no_bus);
        if (r >= 0)
                r = service_make_telemetry(s);
        if (r >= 0 && !no_bus)
                r = service_make_bus(s);
        return r;
}

static int service_configure(Service *s, const char *config) {
        int r = agent_conf_load(&s->conf, config);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s: %m", config);
        log_set_max_level(s->conf.log_level);
        r = agent_facts_collect(&s->facts, /* need_machine_id= */ !s->conf.agent_id);
        if (r < 0)
                return r;
        s->agent_id = strdup(s->conf.agent_id ?: s->facts.machine_id);
        return s->agent_id ? 0 : log_oom();
}

int agent_service_run(const AgentServiceOptions *options) {
        _cleanup_(service_done) Service s = { .state_fd = -EBADF };

        int r = service_configure(&s, options->config);
        if (r < 0)
                return r;
        r = daemon_protect_memory();
        if (r < 0)
                log_warning_errno(r, "Cannot keep this process from being dumped, going on: %m");
        r = crypto_init();
        if (r < 0)
                return log_error_errno(r, "Cannot initialise libsodium: %m");
        s.state_fd = agent_state_open(options->state_directory);
        if (s.state_fd < 0)
                return log_error_errno(
                                s.state_fd, "Cannot use the state directory %s: %m",
                                options->state_directory);
        r = event_setup_daemon_with(&s.event, on_terminate, &s);
        if (r < 0)
                return log_error_errno(r, "Cannot set up the event loop: %m");
        r = service_make_parts(&s, options->no_bus);
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");
        r = event_defer_once(s.event, &s.ready_source, on_ready, &s, "ready");
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");
        r = sd_event_loop(s.event);
        log_info("Agent %s ends.", fleet_version);
        return r;
}
