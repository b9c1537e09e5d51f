/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The last events, and who is waiting for more. Bounded: the ring holds EVENT_RING_MAX events, a subscriber
 * holds a position and nothing else; one that falls behind the ring, or comes back with an id that it has
 * left, is told "reset". */

#include <systemd/sd-event.h>

#include "record.h"

#define EVENT_RING_MAX 2048U
#define EVENTS_KEPT 100000U                  /* in the store */
#define EVENT_HEARTBEAT (15 * USEC_PER_SEC)

/* What events can be about, besides "reset"; NULL-terminated. */
extern const char *const event_topics[];

typedef struct EventRing EventRing;
typedef struct EventSubscriber EventSubscriber;

/* last_id: of the newest event ever. */
int event_ring_new(EventRing **ret, sd_event *event, unsigned subscribers_max);
EventRing *event_ring_free(EventRing *r);
DEFINE_POINTER_CLEANUP(EventRing, event_ring_free);

/* What is in the store from before the start, in order, and then the newest id, which may be higher. */
int event_ring_load(EventRing *r, EventRecord *e /* taken over */);
void event_ring_set_last(EventRing *r, uint64_t last_id);

/* Has every subscriber pull, if only to see that it may not. */
void event_ring_wake(EventRing *r);
void event_ring_publish(EventRing *r, EventRecord *e /* taken over */);

unsigned event_ring_clients(const EventRing *r);
uint64_t event_ring_dropped(const EventRing *r); /* times that a subscriber fell behind */

/* One caller has this share of all subscribers at most: an eighth, and some for those who have several windows. */
#define EVENT_SUBSCRIBERS_OF_ONE(max) MAX((max) / 8, 8U)

/* wakeup: there is something to pull. owner: who subscribes; topics: NULL-terminated, NULL: all; agent: NULL: all; all are
 * copied. last_id 0: from now on. -ENOBUFS: too many subscribers, -EDQUOT: of this owner. */
typedef void (*event_wakeup_t)(void *userdata);
int event_ring_subscribe(
                EventRing *r,
                const char *owner,
                char *const *topics,
                const char *agent,
                uint64_t last_id,
                event_wakeup_t wakeup,
                void *userdata,
                EventSubscriber **ret);
EventSubscriber *event_subscriber_free(EventSubscriber *s);

/* Text in the form of text/event-stream; 0 when there is nothing now. */
size_t event_subscriber_pull(EventSubscriber *s, char *buffer, size_t size);
