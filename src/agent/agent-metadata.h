/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The agent's own copy of the signed metadata: fetched when an update is asked for and now and then besides,
 * so that a machine from which somebody withholds metadata shows it. Expired metadata stops updates and
 * nothing else. Owned by the Agent. */

#include <systemd/sd-event.h>

#include "http-client.h"
#include "tuf-bytes.h"
#include "tuf-fetch.h"

#define AGENT_METADATA_WAITERS_MAX 8U

typedef struct AgentMetadata AgentMetadata;

/* error, outcome, message: as of tuf_fetch_on_finish_t. targets: the verified targets, only if all is well,
 * and only until the callback returns. */
typedef void (*agent_metadata_on_done_t)(
                int error,
                TufOutcome outcome,
                const char *message,
                const TufMetadata *targets,
                void *userdata);
typedef void (*agent_metadata_on_change_t)(void *userdata);

typedef struct AgentMetadataOptions {
        sd_event *event;
        HttpClient *http;        /* borrowed */
        int state_fd;            /* borrowed; the store is its folder "tuf" */
        const char *default_url; /* the gateway's repository, "https://host:8443/tuf"; copied; may be NULL */
        usec_t refresh_interval;
        agent_metadata_on_change_t on_change; /* age or expiry changed */
        void *userdata;
} AgentMetadataOptions;

int agent_metadata_new(AgentMetadata **ret, const AgentMetadataOptions *options);
AgentMetadata *agent_metadata_free(AgentMetadata *m);
DEFINE_POINTER_CLEANUP(AgentMetadata, agent_metadata_free);

/* The gateway's CA, once known; copied. */
int agent_metadata_set_ca(AgentMetadata *m, const char *ca_pem);
/* Allows the periodic refresh (not before the machine has an identity). */
void agent_metadata_start(AgentMetadata *m);

/* Refreshes from repository_url (NULL: the default); own: it is the gateway's, so its CA counts. on_done
 * runs later, once, from the loop. A refresh that is already running for the same place is shared. -EBUSY:
 * another place is being asked right now; -EXFULL: too many wait. */
int agent_metadata_refresh(
                AgentMetadata *m,
                const char *repository_url,
                bool own,
                agent_metadata_on_done_t on_done,
                void *userdata);
/* No on_done for this userdata any more. */
void agent_metadata_forget(AgentMetadata *m, void *userdata);

/* For Install: see tuf_store_collect(). */
int agent_metadata_collect(AgentMetadata *m, uint64_t root_version, TufBytes **ret);

usec_t agent_metadata_refreshed(const AgentMetadata *m); /* realtime of the last full success, 0: never */
usec_t agent_metadata_expires(const AgentMetadata *m);   /* realtime, 0: none */
