/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From a version to verified files: refresh the metadata, find the release for this machine, refuse early
 * what the updater would refuse, download both targets, read them back and compare with what was signed.
 * Changes nothing but the folder of downloads. Owned by AgentUpdate, one at a time. */

#include <systemd/sd-event.h>

#include "agent-conf.h"
#include "agent-metadata.h"
#include "agent-updater.h"
#include "http-client.h"
#include "phase.h"

#define AGENT_FETCH_TARGETS 2U /* agent and updater */

typedef struct AgentFetch AgentFetch;

typedef struct AgentFetchHandlers {
        void (*on_progress)(AgentFetch *f, uint64_t done, uint64_t total, void *userdata);
        void (*on_verifying)(AgentFetch *f, void *userdata);
        /* verdict NONE: agent_fetch_targets() has the files. agent_fetch_free() is allowed in here. */
        void (*on_finish)(AgentFetch *f, UpdateVerdict verdict, const char *message, void *userdata);
} AgentFetchHandlers;

typedef struct AgentFetchOptions {
        sd_event *event; /* all of these are borrowed */
        HttpClient *http;
        int state_fd;
        const AgentConf *conf;
        AgentMetadata *metadata;
        const char *ca_pem; /* the gateway's */
        const char *architecture, *running_version;
        uint32_t packaging; /* 0: unknown */
        const char *version;
        const char *repository_url; /* "" for the gateway's own */
        usec_t deadline;            /* CLOCK_BOOTTIME */
        const AgentFetchHandlers *handlers;
        void *userdata;
} AgentFetchOptions;

/* Handlers run later, from the loop. */
int agent_fetch_start(AgentFetch **ret, const AgentFetchOptions *options);
AgentFetch *agent_fetch_free(AgentFetch *f); /* cancels; downloaded files stay */
DEFINE_POINTER_CLEANUP(AgentFetch, agent_fetch_free);

/* Paths and descriptors stay the fetch's. */
void agent_fetch_targets(const AgentFetch *f, UpdaterTarget ret[static AGENT_FETCH_TARGETS]);

/* What a refresh that did not succeed means for an update. Pure. */
UpdateVerdict agent_fetch_verdict(int error, TufOutcome outcome);
/* Removes all that was downloaded. */
void agent_fetch_clean(int state_fd);
