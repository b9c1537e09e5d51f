/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For the tests of src/rpc alone: a loop, a queue and a CA with a gateway's and agents' certificates, all
 * real. */

#include <systemd/sd-event.h>

#include "messages-pb.h"
#include "pki-ca.h"
#include "rpc-client.h"
#include "rpc-server.h"
#include "tests.h"

typedef struct Identity {
        char *chain, *key;
} Identity;

typedef struct Fixture {
        sd_event *event;
        RpcQueue *queue;
        PkiCa *ca;
        char *ca_pem;
        Identity gateway, agent;
} Fixture;

void fixture_init(Fixture *f, unsigned threads, unsigned capacity);
void fixture_done(Fixture *f);

/* lifetime counts from start, which may lie in the past. */
void identity_agent(PkiCa *ca, const char *id, usec_t start, usec_t lifetime, Identity *ret);
void identity_gateway(PkiCa *ca, Identity *ret);
void identity_done(Identity *i);

/* A port on 127.0.0.1; clients_needed: with client certificates. Returns the port. */
uint16_t fixture_port(Fixture *f, RpcServer *s, bool clients_needed);

/* keepalive: USEC_PER_SEC resolution or 0. identity NULL: no certificate; ca NULL: the fixture's. */
RpcClient *fixture_client(Fixture *f, uint16_t port, const Identity *identity, const char *ca);
RpcClient *fixture_client_full(Fixture *f, uint16_t port, const Identity *identity, const char *ca,
                               const RpcClientOptions *options);

/* Runs the loop until *counter is at least n; aborts after seconds. */
void run_until_at_least(Fixture *f, const unsigned *counter, unsigned n, unsigned seconds);
void run_for(Fixture *f, usec_t time);

/* A TCP port where nobody listens. */
uint16_t unused_port(void);
/* A socket that the kernel accepts connections for, and where nobody ever says a word. */
int silent_listener(uint16_t *ret_port);
/* A connected socket to 127.0.0.1. */
int tcp_connect(uint16_t port);
