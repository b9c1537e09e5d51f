/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One target, from an HTTPS origin to a file in the state directory. The file is named by its digest, so
 * that what an interrupted attempt left behind is continued, also by another process. Bytes are hashed as
 * they arrive, never more than the signed length is taken, and failures of the network are retried with
 * backoff until the deadline. */

#include <systemd/sd-event.h>

#include "crypto.h"
#include "http-client.h"
#include "macro.h"
#include "time-util.h"

typedef struct AgentDownload AgentDownload;

typedef struct AgentDownloadHandlers {
        void (*on_progress)(AgentDownload *d, uint64_t done, void *userdata);
        /* error: 0; -ETIMEDOUT past the deadline; -EBADMSG: what arrives is not what was signed; -ENOENT:
         * the origin does not have it; -ENOSPC; others. message: for people. agent_download_free() is
         * allowed in here. */
        void (*on_finish)(AgentDownload *d, int error, const char *message, void *userdata);
} AgentDownloadHandlers;

typedef struct AgentDownloadOptions {
        sd_event *event;
        HttpClient *http; /* borrowed */
        int dir_fd;       /* borrowed; of the downloads */
        const char *url;  /* copied, as is ca_pem */
        const char *ca_pem;
        uint64_t length;
        uint8_t sha256[SHA256_SIZE];
        uint64_t speed_limit;
        usec_t low_speed_time, connect_timeout;
        usec_t retry_min, retry_max;
        usec_t deadline; /* CLOCK_BOOTTIME */
        const AgentDownloadHandlers *handlers;
        void *userdata;
} AgentDownloadOptions;

int agent_download_start(AgentDownload **ret, const AgentDownloadOptions *options);
AgentDownload *agent_download_free(AgentDownload *d); /* cancels; the file stays */
DEFINE_POINTER_CLEANUP(AgentDownload, agent_download_free);

/* Name of the file while it is incomplete, and when it is whole. */
#define AGENT_DOWNLOAD_NAME_MAX 80
const char *agent_download_part_name(
                const uint8_t sha256[static SHA256_SIZE], char buf[static AGENT_DOWNLOAD_NAME_MAX]);
const char *agent_download_name(
                const uint8_t sha256[static SHA256_SIZE], char buf[static AGENT_DOWNLOAD_NAME_MAX]);

/* Bytes of it that are here already. */
uint64_t agent_download_present(int dir_fd, const uint8_t sha256[static SHA256_SIZE]);
/* Removes all files in the folder but those of the given digests. */
void agent_download_clean(int dir_fd, const uint8_t (*keep)[SHA256_SIZE], size_t n_keep);
