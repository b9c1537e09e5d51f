/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "api.h"
#include "daemon.h"
#include "enroll-service.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "gateway-admin.h"
#include "gateway-start.h"
#include "listen.h"
#include "log.h"
#include "messages.h"
#include "peer-service.h"
#include "presence.h"
#include "rpc-credentials.h"
#include "session-sweep.h"
#include "stream-session.h"
#include "string-util.h"
#include "tuf-metadata.h"
#include "version.h"

#define DATABASE_FILE "gateway.db"
#define DRAIN_TIMEOUT (5 * USEC_PER_SEC)
#define STOP_TIMEOUT (10 * USEC_PER_SEC)
#define CERTIFICATE_CHECK USEC_PER_DAY
#define CERTIFICATE_RESTART_BEFORE (20 * USEC_PER_DAY)
#define OPERATIONS_PER_STREAM 4U

void gateway_rules(const Gateway *g, FleetRules *ret) {
        *ret = (FleetRules){
                .policy = {
                        .attempts_max = g->conf.retry_max,
                        .pause = g->conf.retry_pause,
                        .pause_max = g->conf.retry_pause_max,
                },
                .lease = g->conf.lease,
                .standing_max = g->conf.desired_in_flight_max,
        };
}

/* ---- making ---- */

static int open_state(Gateway *g) {
        int r;

        r = mkdir_parents(g->conf.state_directory, 0700);
        if (r >= 0) {
                g->state_fd = dir_open_at(AT_FDCWD, g->conf.state_directory);
                r = g->state_fd;
        }
        if (r < 0)
                return log_error_errno(
                                r, "Failed to open the state directory %s: %m", g->conf.state_directory);
        return 0;
}

static void on_job(const StoreJob *j, void *userdata) {
        Gateway *g = userdata;

        metrics_count_job(g->metrics, j);
        gateway_health_see_job(g->health, j);
}

static void on_event(EventRecord **e, void *userdata) {
        Gateway *g = userdata;

        event_ring_publish(g->events, TAKE_PTR(*e));
}

static int open_store(Gateway *g) {
        _cleanup_free_ char *path = strjoinf("%s/" DATABASE_FILE, g->conf.state_directory);
        Store *store = NULL;
        int r;

        if (!path)
                return log_oom();
        r = store_sqlite_open(path, &store);
        if (r < 0)
                return log_error_errno(r, "Failed to open the database %s: %m", path);
        r = store_worker_new(&g->worker, g->event, store, on_event, g);
        if (r < 0)
                return log_error_errno(r, "Failed to start the store's worker: %m");
        r = gateway_health_new(&g->health, g);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the watch over the store: %m");
        store_worker_observe(g->worker, on_job, g);
        return 0;
}

static int open_registry(Gateway *g) {
        _cleanup_free_ void *root = NULL;
        const void *trusted = fleet_trusted_root;
        size_t size = fleet_trusted_root_size;
        int r;

        if (!isempty(g->conf.trusted_root)) {
                r = file_read_at(AT_FDCWD, g->conf.trusted_root, TUF_ROOT_SIZE_MAX, &root, &size);
                if (r < 0)
                        return log_error_errno(r, "Failed to read TrustedRoot=%s: %m", g->conf.trusted_root);
                trusted = root;
        }
        if (size == 0)
                log_warning("No trusted root is compiled in or configured (TrustedRoot=): releases cannot "
                            "be imported.");
        r = registry_new(&g->registry, g->state_fd, trusted, size);
        if (r < 0)
                return log_error_errno(r, "Failed to open the registry in %s: %m", g->conf.state_directory);
        return 0;
}

/* The gateway works without it. */
static int open_console(Gateway *g) {
        const char *directory = g->conf.console_directory;
        int r;

        if (isempty(directory))
                return 0;
        r = console_load(&g->console, directory);
        if (r == -ENOMEM)
                return log_oom();
        if (r == -ENOENT)
                log_info("There is no console in %s.", directory);
        else if (r >= 0)
                log_info("Serving the console, %zu files from %s.", console_size(g->console), directory);
        return 0;
}

static int open_parts(Gateway *g) {
        int r;

        r = gateway_metrics_new(&g->metrics);
        if (r >= 0)
                r = auth_new(&g->auth, g->conf.session_idle);
        if (r >= 0)
                r = login_limit_new(&g->login_limit);
        if (r >= 0)
                r = hash_worker_new(&g->hashes, g->event, API_COMPUTE_MAX + API_COMPUTE_KEPT);
        if (r >= 0)
                r = event_ring_new(&g->events, g->event, g->conf.event_streams_max);
        if (r >= 0)
                r = stream_registry_new(&g->streams, g);
        if (r >= 0)
                r = rollout_engine_new(&g->rollouts, g);
        if (r >= 0)
                r = imports_new(&g->imports, g);
        if (r >= 0)
                r = idempotency_new(&g->idempotency);
        return r < 0 ? log_error_errno(r, "Failed to set up the gateway: %m") : 0;
}

int gateway_new(Gateway **ret, sd_event *event, GatewayConf *conf) {
        _cleanup_(gateway_freep) Gateway *g = new0(Gateway, 1);
        int r;

        if (!g) {
                gateway_conf_done(conf);
                return log_oom();
        }
        g->conf = TAKE_GENERIC(*conf, GatewayConf, (GatewayConf){});
        g->event = sd_event_ref(event);
        g->state_fd = -EBADF;

        r = open_state(g);
        if (r >= 0)
                r = gateway_ca_open(&g->ca, g->state_fd, g->conf.names, now(CLOCK_REALTIME));
        if (r >= 0)
                r = open_registry(g);
        if (r >= 0)
                r = open_parts(g);
        if (r >= 0)
                r = open_console(g);
        if (r >= 0)
                r = open_store(g);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        return 0;
}

/* First those who ask for work, then the workers, whose last answers still find everybody who waits for them: what was
 * hashed goes on to the store. */
Gateway *gateway_free(Gateway *g) {
        if (!g)
                return NULL;
        g->stopping = true;
        rpc_server_free(g->agent_server);
        rpc_server_free(g->enroll_server);
        g->hashes = hash_worker_free(g->hashes);
        g->worker = store_worker_free(g->worker);
        presence_drop(g);
        http_server_free(g->http);
        console_free(g->console);
        gateway_admin_close(g);
        backup_free(g->backup);
        gateway_health_free(g->health);
        imports_free(g->imports);
        rollout_engine_free(g->rollouts);
        stream_registry_free(g->streams);
        event_ring_free(g->events);
        idempotency_free(g->idempotency);
        login_limit_free(g->login_limit);
        auth_free(g->auth);
        registry_free(g->registry);
        rpc_queue_free(g->queue);
        gateway_ca_free(g->ca);
        gateway_metrics_free(g->metrics);
        sd_event_source_disable_unref(g->stop_source);
        sd_event_source_disable_unref(g->certificate_source);
        sd_event_source_disable_unref(g->session_source);
        fd_close(g->state_fd);
        sd_event_unref(g->event);
        gateway_conf_done(&g->conf);
        free(g);
        return NULL;
}

/* ---- ports ---- */

static int add_port(
                Gateway *g,
                RpcServer *server,
                const char *address,
                bool with_client_certificate,
                const char *what) {
        _cleanup_(rpc_credentials_freep) RpcCredentials *credentials = NULL;
        uint16_t port;
        int r;

        r = rpc_credentials_new_server(
                        with_client_certificate ? gateway_ca_pem(g->ca) : NULL, gateway_ca_server_pem(g->ca),
                        gateway_ca_server_key_pem(g->ca), &credentials);
        if (r >= 0)
                r = rpc_server_add_port(server, address, credentials, &port);
        if (r < 0)
                return log_error_errno(r, "Failed to listen for %s on %s: %m", what, address);
        log_info("Listening for %s on %s (port %u).", what, address, port);
        return 0;
}

static int start_rpc(Gateway *g) {
        RpcServerOptions options = { .sessions_max = g->conf.agents_max + STREAMS_WAITING_MAX };
        int r;

        r = rpc_queue_new(&g->queue, g->event, 0, OPERATIONS_PER_STREAM * options.sessions_max + 1024);
        if (r >= 0)
                r = rpc_server_new(&g->agent_server, g->queue, &options);
        if (r >= 0)
                r = rpc_server_new(&g->enroll_server, g->queue, NULL);
        if (r >= 0)
                r = rpc_server_add_stream(
                                g->agent_server, &rpc_method_connect, /* needs_certificate= */ true,
                                &stream_session_handlers, g);
        if (r >= 0)
                r = enroll_service_add(g, g->enroll_server);
        if (r >= 0)
                r = peer_service_add(g, g->agent_server);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the agents' service: %m");
        r = add_port(g, g->agent_server, g->conf.agent_listen, true, "agents");
        if (r >= 0)
                r = add_port(g, g->enroll_server, g->conf.enroll_listen, false, "enrolment");
        if (r < 0)
                return r;
        r = rpc_server_start(g->agent_server);
        if (r >= 0)
                r = rpc_server_start(g->enroll_server);
        return r < 0 ? log_error_errno(r, "Failed to start the agents' service: %m") : 0;
}

static int authenticate(const HttpCredentials *c, ApiCaller *ret, void *userdata) {
        Gateway *g = userdata;
        usec_t t = now(CLOCK_REALTIME);

        return c->bearer ? auth_check(g->auth, c->bearer, t, ret) :
                           auth_check_session(g->auth, c->session, t, ret);
}

static void on_answer(const char *route, const char *method, unsigned status, usec_t took, void *userdata) {
        Gateway *g = userdata;

        metrics_count_answer(g->metrics, route, method, status, took);
}

static int start_http(Gateway *g) {
        uint16_t port = 0;
        int fd, r;

        fd = daemon_listen_fd("https");
        if (fd == -ENOENT) {
                fd = listen_tcp(g->conf.http_listen);
                if (fd < 0)
                        return log_error_errno(
                                        fd, "Failed to listen for HTTPS on %s: %m", g->conf.http_listen);
        } else if (fd < 0)
                return log_error_errno(fd, "Failed to take the HTTPS socket from the service manager: %m");
        (void) listen_port(fd, &port);
        r = http_server_new(
                        &g->http, g->event,
                        &(HttpServerOptions){
                                        .listen_fd = fd,
                                        .certificate_pem = gateway_ca_server_pem(g->ca),
                                        .key_pem = gateway_ca_server_key_pem(g->ca),
                                        .connections_max = g->conf.connections_max,
                                        .connections_per_address_max = g->conf.connections_per_address_max,
                                        .routes = api_routes,
                                        .fallback = &http_console_route,
                                        .userdata = g,
                                        .authenticate = authenticate,
                                        .on_answer = on_answer,
                        });
        if (r < 0)
                return log_error_errno(r, "Failed to start the HTTPS server: %m");
        log_info("Listening for HTTPS on port %u.", port);
        return 0;
}

/* A certificate is read by the servers once: near its end the service is simply started anew, which agents
 * survive. */
static int on_certificate_check(sd_event_source *source, uint64_t usec, void *userdata) {
        Gateway *g = userdata;

        if (usec_sub(gateway_ca_server_expires(g->ca), now(CLOCK_REALTIME)) < CERTIFICATE_RESTART_BEFORE) {
                log_event(LOG_NOTICE, FLEET_MESSAGE_SERVER_CERTIFICATE_STR,
                          "MESSAGE=The server certificate ends soon: stopping, to be started again with a "
                          "new one.",
                          "FLEET_REASON=%s", "ends-soon", NULL);
                gateway_stop(g, 0);
                return 0;
        }
        return event_timer_arm(
                        g->event, &g->certificate_source, CERTIFICATE_CHECK, on_certificate_check, g,
                        "certificate");
}

static void on_prepared(Gateway *g, int r) {
        if (g->stopping)
                return;
        if (r >= 0)
                r = start_rpc(g);
        if (r >= 0)
                r = start_http(g);
        if (r >= 0)
                r = session_sweep_start(g);
        if (r >= 0)
                r = event_timer_arm(
                                g->event, &g->certificate_source, CERTIFICATE_CHECK, on_certificate_check, g,
                                "certificate");
        if (r < 0) {
                (void) sd_event_exit(g->event, r);
                return;
        }
        rollout_engine_start(g->rollouts);
        g->started = true;
        log_event(LOG_NOTICE, FLEET_MESSAGE_GATEWAY_STARTED_STR, "MESSAGE=The gateway %s is ready.",
                  fleet_version, "FLEET_VERSION=%s", fleet_version, NULL);
        daemon_notify_ready("Serving agents.");
}

int gateway_start(Gateway *g) {
        int r;

        r = gateway_admin_open(g, on_answer);
        return r < 0 ? r : gateway_prepare(g, on_prepared);
}

/* ---- stopping ---- */

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Gateway *g = userdata;

        log_warning("Some streams did not end in time, leaving them.");
        return sd_event_exit(g->event, g->exit_code);
}

static void on_drain(RpcSession *rpc, void *userdata) {
        Gateway *g = userdata;
        StreamSession *s = rpc_session_get_userdata(rpc);
        size_t n = stream_registry_size(g->streams);

        /* so that the next gateway has a hundred handshakes a second, not all at once */
        if (s)
                stream_session_drain(s, (unsigned) MAX(n / 100, (size_t) 2));
}

static void on_stopped(RpcServer *server, void *userdata) {
        Gateway *g = userdata;

        if (--g->servers_draining == 0)
                (void) sd_event_exit(g->event, g->exit_code);
}

static void drain(Gateway *g, RpcServer *server) {
        if (server && rpc_server_drain(server, DRAIN_TIMEOUT, on_drain, on_stopped, g) >= 0)
                g->servers_draining++;
}

void gateway_stop(Gateway *g, int code) {
        if (g->stopping) {                   /* asked twice: now */
                (void) sd_event_exit(g->event, code);
                return;
        }
        g->stopping = true;
        g->exit_code = code;
        log_event(LOG_NOTICE, FLEET_MESSAGE_GATEWAY_STOPPING_STR,
                  "MESSAGE=The gateway stops; agents that are told to come back: %zu.",
                  stream_registry_size(g->streams), "FLEET_AGENTS=%zu", stream_registry_size(g->streams),
                  NULL);
        daemon_notify_stopping("Saying goodbye to agents.");
        if (g->http)
                http_server_quiesce(g->http);
        if (event_timer_arm(g->event, &g->stop_source, STOP_TIMEOUT, on_stop_timeout, g, "stop-timeout") <
            0) {
                (void) sd_event_exit(g->event, code);
                return;
        }
        g->servers_draining = 1;
        drain(g, g->agent_server);
        drain(g, g->enroll_server);
        on_stopped(NULL, g);
}
