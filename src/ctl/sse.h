/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Event streams (text/event-stream) taken apart as they arrive, in pieces of any size. Pure: no I/O, no
 * clock. A line or an event above its limit is an error, since the stream cannot be trusted any more then.
 */

#include "macro.h"
#include "time-util.h"

#define SSE_LINE_MAX KIB(256)
#define SSE_DATA_MAX MIB(1)

typedef struct SseParser SseParser;

/* event: "message" if unnamed. id: "" if this event has none of its own. A negative errno stops parsing. */
typedef int (*sse_on_event_t)(const char *event, const char *id, const char *data, void *userdata);

int sse_parser_new(SseParser **ret, sse_on_event_t on_event, void *userdata);
SseParser *sse_parser_free(SseParser *p);
DEFINE_POINTER_CLEANUP(SseParser, sse_parser_free);

/* -EFBIG beyond a limit, -EBADMSG for bytes that are no text, or what on_event said. */
int sse_parser_feed(SseParser *p, const void *data, size_t size);

/* A new connection: what was half read is forgotten, the last id is kept. */
void sse_parser_reset(SseParser *p);
const char *sse_parser_last_id(const SseParser *p); /* "" before the first */
usec_t sse_parser_retry(const SseParser *p);        /* 0: the server has not said */
