/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gateway's events (docs/api.md), followed over broken connections with Last-Event-ID. Callbacks run on
 * the loop of the GatewayCtl, also while one of its calls is waited for; they must not make calls
 * themselves. */

#include "gatewayctl.h"

typedef struct EventStream EventStream;

typedef struct EventStreamHandlers {
        /* Connected, for the first time or again. resumed: nothing was missed. */
        void (*on_open)(bool resumed, void *userdata);
        void (*on_event)(const char *event, const char *id, json_t *data, void *userdata);
        /* It broke, and is made again. NULL: that is said on standard error. */
        void (*on_lost)(const char *why, void *userdata);
        /* The end: it was never reached, or it refuses. What is wrong has been printed. */
        void (*on_fatal)(CliExit code, void *userdata);
} EventStreamHandlers;

/* topics: "agent,update"; agent: an id or NULL. The handlers must outlive the stream. */
CliExit event_stream_new(
                EventStream **ret,
                GatewayCtl *c,
                const char *topics,
                const char *agent,
                const EventStreamHandlers *handlers,
                void *userdata);
EventStream *event_stream_free(EventStream *s);
DEFINE_POINTER_CLEANUP(EventStream, event_stream_free);
