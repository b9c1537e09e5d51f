/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-conf.h"

#include <limits.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"

/* HOST:PORT, or :PORT for all addresses; port 0 takes a free one. */
static int conf_parse_listen(const char *value, void *target, const char **reterr_why) {
        _cleanup_free_ char *host = NULL, *text = NULL;
        const char *port;
        uint16_t number;
        int r;

        *reterr_why = "not HOST:PORT or :PORT, with an IPv6 address in brackets";
        port = strrchr(value, ':');
        if (!port)
                return -EINVAL;
        r = parse_u16(port + 1, &number);
        if (r < 0)
                return r;
        if (port > value) {                  /* the host's form is checked with a port that is surely good */
                _cleanup_free_ char *with_port = strjoinf("%.*s:1", (int) (port - value), value);

                if (!with_port)
                        return -ENOMEM;
                r = parse_host_port(with_port, 0, &host, &(uint16_t){ 0 });
                if (r < 0)
                        return r;
        }
        text = port == value ? strjoinf("[::]%s", port) : strdup(value);
        if (!text)
                return -ENOMEM;
        r = free_and_strdup(target, text);
        return r < 0 ? r : 0;
}

/* A path, 127.0.0.1:PORT or [::1]:PORT; empty: none. Kept as "", which is not the same as not said. */
static int conf_parse_admin_listen(const char *value, void *target, const char **reterr_why) {
        _cleanup_free_ char *host = NULL;
        uint16_t port;
        int r;

        *reterr_why = "neither an absolute path nor 127.0.0.1:PORT nor [::1]:PORT; nobody is asked who he "
                      "is there, so it must not be reached from other machines";
        if (value[0] == '/') {
                if (strlen(value) >= sizeof(((struct sockaddr_un *) NULL)->sun_path)) {
                        *reterr_why = "longer than the path of a socket may be";
                        return -ENAMETOOLONG;
                }
        } else if (!isempty(value)) {
                const char *text = strrchr(value, ':');

                if (!text || parse_u16(text + 1, &port) < 0)
                        return -EINVAL;
                host = strndup(value, (size_t) (text - value));
                if (!host)
                        return -ENOMEM;
                if (!streq(host, "127.0.0.1") && !streq(host, "[::1]"))
                        return -EINVAL;
        }
        if (!string_is_safe(value, PATH_MAX))
                return -EINVAL;
        r = free_and_strdup(target, value);
        return r < 0 ? r : 0;
}

/* Empty: none. Kept as "", as above. */
static int conf_parse_console(const char *value, void *target, const char **reterr_why) {
        int r;

        *reterr_why = "not an absolute path";
        if ((!isempty(value) && value[0] != '/') || !string_is_safe(value, PATH_MAX))
                return -EINVAL;
        r = free_and_strdup(target, value);
        return r < 0 ? r : 0;
}

static const ConfItem items[] = {
        { "Gateway", "StateDirectory", conf_parse_path, offsetof(GatewayConf, state_directory) },
        { "Gateway", "Name", conf_parse_strv, offsetof(GatewayConf, names) },
        { "Gateway", "AgentListen", conf_parse_listen, offsetof(GatewayConf, agent_listen) },
        { "Gateway", "EnrollListen", conf_parse_listen, offsetof(GatewayConf, enroll_listen) },
        { "Gateway", "HttpListen", conf_parse_listen, offsetof(GatewayConf, http_listen) },
        { "Gateway", "AdminListen", conf_parse_admin_listen, offsetof(GatewayConf, admin_listen) },
        { "Gateway", "HeartbeatIntervalSec", conf_parse_sec, offsetof(GatewayConf, heartbeat_interval) },
        { "Gateway", "LeaseSec", conf_parse_sec, offsetof(GatewayConf, lease) },
        { "Gateway", "RetryPauseSec", conf_parse_sec, offsetof(GatewayConf, retry_pause) },
        { "Gateway", "RetryPauseMaxSec", conf_parse_sec, offsetof(GatewayConf, retry_pause_max) },
        { "Gateway", "RetryMax", conf_parse_unsigned, offsetof(GatewayConf, retry_max) },
        { "Gateway", "SessionMaxSec", conf_parse_sec, offsetof(GatewayConf, session_max) },
        { "Gateway", "SessionIdleSec", conf_parse_sec, offsetof(GatewayConf, session_idle) },
        { "Gateway", "TrustedRoot", conf_parse_path, offsetof(GatewayConf, trusted_root) },
        { "Gateway", "ConsoleDirectory", conf_parse_console, offsetof(GatewayConf, console_directory) },
        { "Gateway", "LogLevel", conf_parse_log_level, offsetof(GatewayConf, log_level) },
        { "Limits", "DesiredInFlightMax", conf_parse_unsigned, offsetof(GatewayConf, desired_in_flight_max) },
        { "Limits", "AgentsMax", conf_parse_unsigned, offsetof(GatewayConf, agents_max) },
        { "Limits", "HttpConnectionsMax", conf_parse_unsigned, offsetof(GatewayConf, connections_max) },
        { "Limits", "HttpConnectionsPerAddressMax", conf_parse_unsigned,
          offsetof(GatewayConf, connections_per_address_max) },
        { "Limits", "EventStreamsMax", conf_parse_unsigned, offsetof(GatewayConf, event_streams_max) },
        { "Limits", "TargetSizeMax", conf_parse_size, offsetof(GatewayConf, target_size_max) },
        {},
};

static int conf_default_names(GatewayConf *c) {
        char name[256];
        int r;

        if (strv_length(c->names) > 0)
                return 0;
        if (gethostname(name, sizeof(name) - 1) < 0)
                name[0] = '\0';
        name[sizeof(name) - 1] = '\0';
        r = isempty(name) || streq(name, "localhost") ? 0 : strv_extend(&c->names, name);
        if (r >= 0)
                r = strv_extend(&c->names, "localhost");
        return r < 0 ? r : 0;
}

static int conf_default(char **p, const char *value) {
        return isempty(*p) ? free_and_strdup(p, value) : 0;
}

static void clamp(usec_t *t, usec_t low, usec_t high, const char *key) {
        usec_t v = CLAMP(*t, low, high);

        if (v != *t)
                log_warning("%s= is outside of what is sensible, using " USEC_FMT " s.", key,
                            v / USEC_PER_SEC);
        *t = v;
}

int gateway_conf_load(GatewayConf *c, const char *path) {
        int r;

        *c = (GatewayConf){
                .heartbeat_interval = 30 * USEC_PER_SEC,
                .lease = 900 * USEC_PER_SEC,
                .retry_pause = 60 * USEC_PER_SEC,
                .retry_pause_max = USEC_PER_HOUR,
                .retry_max = 5,
                .desired_in_flight_max = 20,
                .session_max = 12 * USEC_PER_HOUR,
                .session_idle = 2 * USEC_PER_HOUR,
                .agents_max = 10000,
                .connections_max = 4096,
                .event_streams_max = 256,
                .target_size_max = GIB(1),
                .log_level = log_get_max_level(),
        };
        r = conf_load(path, items, c);
        if (r >= 0)
                r = conf_default(&c->state_directory, GATEWAY_STATE_DIR);
        if (r >= 0)
                r = conf_default(&c->agent_listen, "[::]:7443");
        if (r >= 0)
                r = conf_default(&c->enroll_listen, "[::]:7444");
        if (r >= 0)
                r = conf_default(&c->http_listen, "[::]:8443");
        if (r >= 0 && !c->console_directory)
                r = free_and_strdup(&c->console_directory, FLEET_CONSOLE_DIR);
        if (r >= 0)
                r = conf_default_names(c);
        if (r < 0)
                return r;

        clamp(&c->heartbeat_interval, USEC_PER_SEC, USEC_PER_HOUR, "HeartbeatIntervalSec");
        clamp(&c->lease, 10 * USEC_PER_SEC, 7 * USEC_PER_DAY, "LeaseSec");
        clamp(&c->retry_pause, USEC_PER_SEC, USEC_PER_DAY, "RetryPauseSec");
        clamp(&c->retry_pause_max, c->retry_pause, 7 * USEC_PER_DAY, "RetryPauseMaxSec");
        clamp(&c->session_max, USEC_PER_MINUTE, 30 * USEC_PER_DAY, "SessionMaxSec");
        clamp(&c->session_idle, USEC_PER_SEC, c->session_max, "SessionIdleSec");
        c->retry_max = CLAMP(c->retry_max, 1U, 1000U);
        c->desired_in_flight_max = CLAMP(c->desired_in_flight_max, 1U, 100000U);
        c->agents_max = CLAMP(c->agents_max, 1U, 200000U);
        c->connections_max = CLAMP(c->connections_max, 16U, 100000U);
        if (c->connections_per_address_max == 0)
                c->connections_per_address_max = c->connections_max / 4;
        c->connections_per_address_max = CLAMP(c->connections_per_address_max, 4U, c->connections_max);
        c->event_streams_max = CLAMP(c->event_streams_max, 1U, c->connections_max);
        return 0;
}

void gateway_conf_done(GatewayConf *c) {
        free(c->state_directory);
        strv_free(c->names);
        free(c->agent_listen);
        free(c->enroll_listen);
        free(c->http_listen);
        free(c->admin_listen);
        free(c->trusted_root);
        free(c->console_directory);
        *c = (GatewayConf){};
}
