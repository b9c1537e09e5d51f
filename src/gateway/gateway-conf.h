/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* gateway.conf(5) as a structure. Owned by the Gateway; read once at the start. */

#include "macro.h"
#include "names.h"
#include "time-util.h"

typedef struct GatewayConf {
        char *state_directory;
        char **names;                        /* of the server certificate */
        char *agent_listen, *enroll_listen, *http_listen;      /* "[::]:7443": always with a host */
        char *admin_listen; /* a path, or as above; "": none; NULL: GATEWAY_ADMIN_SOCKET if it can be */
        usec_t heartbeat_interval, lease, retry_pause, retry_pause_max;
        usec_t session_max, session_idle;
        unsigned retry_max, desired_in_flight_max, agents_max, connections_max, connections_per_address_max,
                        event_streams_max;
        uint64_t target_size_max;
        char *trusted_root;                  /* NULL: the one compiled in */
        char *console_directory;             /* "": no console */
        int log_level;
} GatewayConf;

#define GATEWAY_CONF FLEET_CONFIG_DIR "/gateway.conf"
#define GATEWAY_STATE_DIR "/var/lib/fleet-gateway"
#define GATEWAY_ADMIN_SOCKET "/run/fleet-gateway/admin.sock"

/* Defaults, then the file and its drop-ins, then sane limits. A bad line is a warning, not a failure. */
int gateway_conf_load(GatewayConf *c, const char *path);
void gateway_conf_done(GatewayConf *c);
