/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The HTTPS fetcher: drives one tuf-refresh over http-client on the caller's event loop. A static library of
 * its own (meson: tuf_fetch), so that the updater cannot link curl. One file at a time; 404 (and 403, as
 * some object stores say it) is "not found"; no retries, the caller decides when to try again. */

#include <systemd/sd-event.h>

#include "http-client.h"
#include "tuf-refresh.h"

typedef struct TufFetch TufFetch;

/* error: 0, or negative when something broke on this machine (disk full). outcome: valid if error is 0.
 * message: for people, never NULL. Called once, from the loop; tuf_fetch_free() is allowed inside. */
typedef void (*tuf_fetch_on_finish_t)(
                TufFetch *f, int error, TufOutcome outcome, const char *message, void *userdata);

typedef struct TufFetchOptions {
        sd_event *event;
        HttpClient *http; /* borrowed */
        TufStore *store; /* borrowed */
        const char *metadata_url; /* "https://host:8443/tuf/metadata/"; a missing "/" is added */
        const char *ca_pem; /* NULL: the system's */
        const void *trusted_root;
        size_t trusted_root_size;
        usec_t now_usec; /* realtime */
        usec_t timeout_usec; /* for the whole refresh; 0: 5 minutes */
        tuf_fetch_on_finish_t on_finish;
        void *userdata;
} TufFetchOptions;

/* -EBUSY: another refresh holds the store. on_finish is never called from within this. */
int tuf_fetch_start(const TufFetchOptions *options, TufFetch **ret);
/* Cancels if it is still running; no callback after that. */
TufFetch *tuf_fetch_free(TufFetch *f);
DEFINE_POINTER_CLEANUP(TufFetch, tuf_fetch_free);

/* For tuf_refresh_targets() and so on, once finished. Owned by the fetch. */
const TufRefresh *tuf_fetch_refresh(const TufFetch *f);

/* URL of a target below targets_url ("https://host:8443/tuf/targets/"). -ENOMEM. */
int tuf_fetch_target_url(const char *targets_url, const TufTarget *target, char **ret);
