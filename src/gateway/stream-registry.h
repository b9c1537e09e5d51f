/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The live streams by agent id: the newest with an id wins, the old one is closed. Sees that silent ones are
 * given up, that agents are looked at again when something may have changed for them, and that leases end.
 * Loop's thread. */

#include "fleet.h"
#include "hashmap.h"
#include "rpc-server.h"

typedef struct Gateway Gateway;
typedef struct StreamRegistry StreamRegistry;
typedef struct StreamSession StreamSession;

extern const RpcSessionHandlers stream_session_handlers;     /* server_userdata: the Gateway */

int stream_registry_new(StreamRegistry **ret, Gateway *g);
StreamRegistry *stream_registry_free(StreamRegistry *r);
DEFINE_POINTER_CLEANUP(StreamRegistry, stream_registry_free);

/* Streams that have not said Hello have places besides those of AgentsMax=, and few of one certificate, so that nobody
 * can take the places of others with them. */
#define STREAMS_WAITING_MAX 256U
#define STREAMS_WAITING_OF_ONE_MAX 4U

/* A session that has not said Hello yet; it is given up when it does not in time. -EBUSY: this certificate has too many
 * of them. */
int stream_registry_await(StreamRegistry *r, StreamSession *s);
/* Are there as many agents as AgentsMax= allows, this one not among them? */
bool stream_registry_is_full(const StreamRegistry *r, const char *agent);
/* It says which agent it is; an older one with that id is closed. -EUSERS: full. */
int stream_registry_enter(StreamRegistry *r, StreamSession *s);
void stream_registry_leave(StreamRegistry *r, StreamSession *s);
StreamSession *stream_registry_get(StreamRegistry *r, const char *agent);
/* Something comes of this agent that costs the store a write, a Hello for example: is it one too many of the kind? Ten a
 * minute are fine, and twenty at once. By its key, too: who has an old one must not use up what the agent may. */
bool stream_registry_is_flooded(
                StreamRegistry *r, const char *kind, const char *agent, const char *key_hash);
size_t stream_registry_size(const StreamRegistry *r);
/* When the first certificate ends of those that are live; 0: nobody is. */
usec_t stream_registry_first_expiry(const StreamRegistry *r);

/* Something changed: decide again, for all that are connected or for one agent. */
void stream_registry_reconcile_all(StreamRegistry *r);
void stream_registry_reconcile_soon(StreamRegistry *r, const char *agent);

/* Ends the stream of an agent that is not welcome any more. */
void stream_registry_evict(StreamRegistry *r, const char *agent, const char *why);
