/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gateway: owner of everything below, on the loop's thread. The parts see each other through it. */

#include <systemd/sd-event.h>

#include "auth.h"
#include "console-files.h"
#include "event-ring.h"
#include "fleet.h"
#include "gateway-ca.h"
#include "gateway-conf.h"
#include "gateway-health.h"
#include "gateway-metrics.h"
#include "http.h"
#include "idempotency.h"
#include "list.h"
#include "log-limit.h"
#include "login-limit.h"
#include "login-log.h"
#include "registry-import.h"
#include "rollout-engine.h"
#include "rpc-server.h"
#include "store-worker.h"
#include "stream-registry.h"

typedef struct PresenceLeave PresenceLeave;
typedef struct Backup Backup;
typedef struct HashWorker HashWorker;

typedef struct Gateway {
        GatewayConf conf;
        sd_event *event;
        int state_fd;                        /* the state directory */
        GatewayCa *ca;
        StoreWorker *worker;
        Auth *auth;
        EventRing *events;                   /* what subscribers of /api/v1/events get */
        Registry *registry;
        Imports *imports;
        StreamRegistry *streams;
        RolloutEngine *rollouts;
        Idempotency *idempotency;
        Backup *backup;                      /* that is being made or sent; NULL: none; api-backup.c's */
        RpcQueue *queue;
        RpcServer *agent_server, *enroll_server;
        Console *console;                    /* NULL: there is none */
        HttpServer *http;
        HttpServer *admin;                   /* metrics and health, on a socket that is local; NULL: none */
        char *admin_path;                    /* of that socket, when it was made here */
        LIST_HEAD(PresenceLeave, leaves);    /* could not be stored yet; presence.c's */
        LogLimit enroll_log;                 /* of refused enrolments */
        LogLimit flood_log;                  /* of agents that connect too often */
        LogLimit refused_log;                /* of agents with a certificate that is not welcome */
        GatewayMetrics *metrics;
        GatewayHealth *health;
        RegistryMetadata metadata; /* of the repository that is served */
        bool started;              /* the ports are open */
        HashWorker *hashes;
        unsigned computing;                  /* jobs of the API that take long: api.c's */
        LoginLimit *login_limit;
        LogLimit login_waits;                /* of attempts that had to wait, on the loop */
        LoginLog login_log;                  /* the worker's thread alone */
        sd_event_source *session_source;     /* session-sweep.c's */
        bool stopping;
        unsigned servers_draining;
        int exit_code;
        sd_event_source *stop_source, *certificate_source;
} Gateway;

/* Everything but the ports: conf is taken over, also on failure. */
int gateway_new(Gateway **ret, sd_event *event, GatewayConf *conf);
Gateway *gateway_free(Gateway *g);
DEFINE_POINTER_CLEANUP(Gateway, gateway_free);

/* Opens the ports. */
int gateway_start(Gateway *g);
/* Says goodbye to agents, finishes what was begun and then ends the loop with this code. Bounded. */
void gateway_stop(Gateway *g, int code);

void gateway_rules(const Gateway *g, FleetRules *ret);
