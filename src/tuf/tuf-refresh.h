/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One refresh of the metadata as a state machine that does no network I/O: it names the next file it wants,
 * somebody hands over the bytes. It reads and writes the store: each role is persisted as soon as that role
 * is verified, and a later failure does not undo it. The reference time is fixed at the start. Holds the
 * store's lock while it lives.
 *
 *      tuf_refresh_new(&options, &refresh)
 *      while (tuf_refresh_next(refresh, &name, &max) > 0)
 *              one of tuf_refresh_feed(refresh, data, size), tuf_refresh_not_found(refresh), tuf_refresh_fail(...)
 *      tuf_refresh_outcome(refresh)
 *
 * After that tuf_refresh_trusted() serves until tuf_refresh_free(). */

#include "tuf-bytes.h"
#include "tuf-store.h"
#include "tuf-trusted-set.h"

typedef struct TufRefresh TufRefresh;

typedef struct TufRefreshOptions {
        TufStore *store; /* borrowed */
        const void *trusted_root; /* compiled in; size 0: the outcome is TUF_NO_TRUSTED_ROOT */
        size_t trusted_root_size;
        usec_t now_usec; /* realtime; the store's verified time may raise it */
} TufRefreshOptions;

/* 0 also when the refresh is over before it began (ask the outcome); -EBUSY: another refresh holds the
 * store. */
int tuf_refresh_new(const TufRefreshOptions *options, TufRefresh **ret);
TufRefresh *tuf_refresh_free(TufRefresh *r);
DEFINE_POINTER_CLEANUP(TufRefresh, tuf_refresh_free);

/* 1: *ret_name (the refresh's, until the next call) is wanted, at most *ret_max bytes of it. 0: finished. */
int tuf_refresh_next(TufRefresh *r, const char **ret_name, size_t *ret_max);
/* The answer to the file named last. They return 0 also when the bytes are refused (that is the outcome);
 * negative when something broke here, disk full for example: then the refresh is over and that is
 * tuf_refresh_error(). */
int tuf_refresh_feed(TufRefresh *r, const void *data, size_t size);
int tuf_refresh_not_found(TufRefresh *r);
/* outcome: TUF_TRANSPORT or TUF_TOO_LARGE */
int tuf_refresh_fail(TufRefresh *r, TufOutcome outcome, const char *message);

bool tuf_refresh_is_finished(const TufRefresh *r);
TufOutcome tuf_refresh_outcome(const TufRefresh *r); /* TUF_OK: everything is verified and current */
int tuf_refresh_error(const TufRefresh *r); /* 0, or negative: the outcome is then TUF_FAILED */
const char *tuf_refresh_message(const TufRefresh *r); /* sentence for people; never NULL once finished */
bool tuf_refresh_changed(const TufRefresh *r); /* was any role newer than what the store had? */
const TufTrustedSet *tuf_refresh_trusted(const TufRefresh *r);
/* The verified targets; NULL unless the outcome is TUF_OK. */
const TufMetadata *tuf_refresh_targets(const TufRefresh *r);
/* Earliest expiry of the verified metadata, realtime; 0 if not all roles are verified. */
usec_t tuf_refresh_expires_usec(const TufRefresh *r);

/* The two fetchers without a network. They run the refresh to its end: 0 (ask the outcome), or negative. */
int tuf_refresh_run_bytes(TufRefresh *r, const TufBytes *bytes);
/* A repository's metadata directory; reads only what is asked for. */
int tuf_refresh_run_directory(TufRefresh *r, int dir_fd, const char *path);

/* What the store holds, verified again but without asking for anything new; expired metadata is accepted.
 * For showing state after a start, and for looking up what was verified. 0, a TufOutcome above 0
 * (TUF_MISSING: never refreshed), negative. */
int tuf_refresh_load_store(
                TufStore *store,
                const void *trusted_root,
                size_t trusted_root_size,
                TufTrustedSet **ret,
                char **reterr_message);
