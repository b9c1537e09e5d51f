/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Releases that failed here and are refused for a while: an hour, then four, then a day, never for good, so that a
 * hostile gateway that turns new agents away can only delay. An operator's explicit retry lifts a refusal, once per
 * hour. File "denylist" in the state directory; the list is bounded, the oldest entry goes. Pure but for load and save.
 *
 * Times are CLOCK_REALTIME, since refusals outlive a boot. A clock that went back never makes one longer than its own
 * length; one that went forward ends it early, which costs no more than another try. */

#include "crypto.h"
#include "state-file.h"
#include "time-util.h"
#include "updater-root.h"

#define DENYLIST_MAX 32U

typedef struct Denylist Denylist;

int denylist_new(Denylist **ret);
Denylist *denylist_free(Denylist *d);
DEFINE_POINTER_CLEANUP(Denylist, denylist_free);

int denylist_from_state(StateFile *s, Denylist **ret);                     /* -EBADMSG */
/* An absent file is an empty list; a damaged one as well, with a warning: it only delays. Strikes in the future are
 * taken to be of now, and saved so. */
int denylist_load(UpdaterRoot *root, Denylist **ret);
int denylist_save(UpdaterRoot *root, const Denylist *d);

/* The refusal that holds now: microseconds left; 0 if there is none. */
usec_t denylist_remaining(const Denylist *d, const char *digest, usec_t realtime);
/* A rollback of transaction. The same transaction counts once, however often it is told. digest: SHA-256 in hex. */
int denylist_strike(Denylist *d, const char *digest, const char *transaction, usec_t realtime);
/* An operator's retry. 1 lifted, 0 there was nothing to lift, -EAGAIN: the last one was less than an hour ago. */
int denylist_lift(Denylist *d, const char *digest, usec_t realtime);
size_t denylist_size(const Denylist *d);
