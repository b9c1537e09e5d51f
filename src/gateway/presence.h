/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Agents that come and go, in the store: what a Hello said, who left, who was seen. */

#include "messages-pb.h"
#include "stream-session.h"

/* Stores the Hello under a new session token, tells a clone, decides about updates; then Welcome and what
 * follows, or the end of the session. */
int presence_arrive(StreamSession *s, const Fleet__V1__Hello *hello);
/* Only if no newer session took over meanwhile. */
void presence_leave(StreamSession *s);
/* Those that could not be stored when they left: once more; and at the end, when the next start sets all of
 * them right. */
void presence_retry(Gateway *g);
void presence_drop(Gateway *g);
/* When agents were last heard of; also prunes old events. Once a minute. Takes the array over, also on failure. */
typedef struct PresenceSeen {
        char *agent;
        usec_t when, metadata_expires;
} PresenceSeen;
void presence_seen(Gateway *g, PresenceSeen *seen, size_t n);

/* Does a Hello with this token come from a second holder of the identity? Pure: misses is what is stored and
 * is updated; one miss is a crash before the token was kept, several in a row are two machines in turn. */
#define PRESENCE_MISSES_MAX 3U
bool presence_tell_clone(const char *stored_token, const char *token, uint64_t *misses);
