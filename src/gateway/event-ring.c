/* SPDX-License-Identifier: Apache-2.0 */
#include "event-ring.h"

#include <stdio.h>

#include "alloc-util.h"
#include "event-util.h"
#include "list.h"
#include "log.h"
#include "string-util.h"

const char *const event_topics[] = {
        "agent", "update", "desired", "release", "labels", "group", "rollout", NULL,
};

struct EventRing {
        sd_event *event;
        EventRecord *slots[EVENT_RING_MAX];
        uint64_t head; /* number of the next event; those before it are in the ring, as far as it goes */
        uint64_t first;              /* number of the oldest one ever put in */
        uint64_t last_id;            /* of the newest durable event */
        uint64_t lost_id;            /* events up to this id are in the ring no more */
        unsigned n_subscribers, subscribers_max;
        uint64_t n_dropped;
        LIST_HEAD(EventSubscriber, subscribers);
        sd_event_source *heartbeat_source;
};

struct EventSubscriber {
        EventRing *ring;
        LIST_FIELDS(EventSubscriber, subscribers);
        char *owner, **topics, *agent;
        uint64_t position;           /* number of the next event to look at */
        bool greet, reset, heartbeat;
        char *text;                  /* formatted, and not yet all of it pulled */
        size_t text_size, text_done;
        event_wakeup_t wakeup;
        void *userdata;
};

static uint64_t ring_oldest(const EventRing *r) {
        return r->head - r->first > EVENT_RING_MAX ? r->head - EVENT_RING_MAX : r->first;
}

static int ring_on_heartbeat(sd_event_source *source, uint64_t usec, void *userdata) {
        EventRing *r = userdata;

        LIST_FOREACH_SAFE(subscribers, s, r->subscribers) {
                s->heartbeat = true;
                s->wakeup(s->userdata);
        }
        return event_timer_arm(
                        r->event, &r->heartbeat_source, EVENT_HEARTBEAT, ring_on_heartbeat, r,
                        "events-heartbeat");
}

int event_ring_new(EventRing **ret, sd_event *event, unsigned subscribers_max) {
        _cleanup_(event_ring_freep) EventRing *r = NULL;
        int k;

        r = new0(EventRing, 1);
        if (!r)
                return -ENOMEM;
        r->event = sd_event_ref(event);
        r->subscribers_max = subscribers_max;
        k = event_timer_arm(
                        event, &r->heartbeat_source, EVENT_HEARTBEAT, ring_on_heartbeat, r,
                        "events-heartbeat");
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

EventRing *event_ring_free(EventRing *r) {
        if (!r)
                return NULL;
        while (r->subscribers)
                event_subscriber_free(r->subscribers);
        for (size_t i = 0; i < EVENT_RING_MAX; i++)
                event_record_free(r->slots[i]);
        sd_event_source_disable_unref(r->heartbeat_source);
        sd_event_unref(r->event);
        free(r);
        return NULL;
}

static void ring_put(EventRing *r, EventRecord *e) {
        EventRecord **slot = &r->slots[r->head % EVENT_RING_MAX];

        if (*slot && (*slot)->id > 0)
                r->lost_id = (*slot)->id;
        event_record_free(*slot);
        *slot = e;
        r->head++;
        if (e->id > 0)
                r->last_id = e->id;
}

int event_ring_load(EventRing *r, EventRecord *e) {
        if (r->head == 0 && e->id > 0)
                r->lost_id = e->id - 1;
        ring_put(r, e);
        return 0;
}

void event_ring_set_last(EventRing *r, uint64_t last_id) {
        r->last_id = MAX(r->last_id, last_id);
        if (r->head == 0)
                r->lost_id = r->last_id;
}

unsigned event_ring_clients(const EventRing *r) {
        return r->n_subscribers;
}

uint64_t event_ring_dropped(const EventRing *r) {
        return r->n_dropped;
}

void event_ring_wake(EventRing *r) {
        LIST_FOREACH_SAFE(subscribers, s, r->subscribers)
                s->wakeup(s->userdata);
}

void event_ring_publish(EventRing *r, EventRecord *e) {
        ring_put(r, e);
        event_ring_wake(r);
}

/* Where a subscriber begins that has seen everything up to last_id. */
static void subscriber_place(EventSubscriber *s, uint64_t last_id) {
        EventRing *r = s->ring;

        s->position = r->head;
        if (last_id == 0)
                return;
        if (last_id < r->lost_id || last_id > r->last_id) {
                s->reset = true;             /* gone, or of another gateway's counting */
                return;
        }
        for (uint64_t i = ring_oldest(r); i < r->head; i++)
                if (r->slots[i % EVENT_RING_MAX]->id > last_id) {
                        s->position = i;
                        return;
                }
}

static unsigned ring_count_of(const EventRing *r, const char *owner) {
        unsigned n = 0;

        LIST_FOREACH(subscribers, s, r->subscribers)
                n += streq_ptr(s->owner, owner);
        return n;
}

int event_ring_subscribe(
                EventRing *r,
                const char *owner,
                char *const *topics,
                const char *agent,
                uint64_t last_id,
                event_wakeup_t wakeup,
                void *userdata,
                EventSubscriber **ret) {

        EventSubscriber *s;
        int k = 0;

        if (r->n_subscribers >= r->subscribers_max)
                return -ENOBUFS;
        if (ring_count_of(r, owner) >= EVENT_SUBSCRIBERS_OF_ONE(r->subscribers_max))
                return -EDQUOT;
        s = new0(EventSubscriber, 1);
        if (!s)
                return -ENOMEM;
        *s = (EventSubscriber){ .ring = r, .wakeup = wakeup, .userdata = userdata, .greet = true };
        LIST_PREPEND(subscribers, r->subscribers, s);
        r->n_subscribers++;
        s->owner = strdup(owner);
        if (!s->owner)
                k = -ENOMEM;
        for (char *const *t = topics; k >= 0 && t && *t; t++)
                k = strv_extend(&s->topics, *t);
        if (k >= 0 && agent) {
                s->agent = strdup(agent);
                if (!s->agent)
                        k = -ENOMEM;
        }
        if (k < 0) {
                event_subscriber_free(s);
                return k;
        }
        subscriber_place(s, last_id);
        *ret = s;
        return 0;
}

EventSubscriber *event_subscriber_free(EventSubscriber *s) {
        if (!s)
                return NULL;
        LIST_REMOVE(subscribers, s->ring->subscribers, s);
        s->ring->n_subscribers--;
        strv_free(s->topics);
        free(s->owner);
        free(s->agent);
        free(s->text);
        free(s);
        return NULL;
}

static bool subscriber_wants(const EventSubscriber *s, const EventRecord *e) {
        return (!s->topics || strv_contains(s->topics, e->topic)) &&
               (!s->agent || streq_ptr(s->agent, e->agent));
}

static char *event_format(const EventRecord *e) {
        if (e->id == 0)
                return strjoinf("event: %s\ndata: %s\n\n", e->topic, e->data);
        return strjoinf("id: %" PRIu64 "\nevent: %s\ndata: %s\n\n", e->id, e->topic, e->data);
}

/* The next text to send, or NULL. */
static char *subscriber_next(EventSubscriber *s) {
        EventRing *r = s->ring;

        if (s->greet) {
                s->greet = false;
                return strdup("retry: 3000\n\n");
        }
        if (s->position < ring_oldest(r)) {
                r->n_dropped++;
                s->position = r->head;
                s->reset = true;
        }
        if (s->reset) {
                s->reset = false;
                return strjoinf("id: %" PRIu64 "\nevent: reset\ndata: {}\n\n", r->last_id);
        }
        while (s->position < r->head) {
                const EventRecord *e = r->slots[s->position++ % EVENT_RING_MAX];

                if (subscriber_wants(s, e)) {
                        s->heartbeat = false;
                        return event_format(e);
                }
        }
        if (s->heartbeat) {
                s->heartbeat = false;
                return strdup(": still here\n\n");
        }
        return NULL;
}

size_t event_subscriber_pull(EventSubscriber *s, char *buffer, size_t size) {
        size_t done = 0;

        while (done < size) {
                size_t n;

                if (!s->text) {
                        s->text = subscriber_next(s);
                        if (!s->text)
                                break;
                        s->text_size = strlen(s->text);
                        s->text_done = 0;
                }
                n = MIN(size - done, s->text_size - s->text_done);
                memcpy(buffer + done, s->text + s->text_done, n);
                done += n;
                s->text_done += n;
                if (s->text_done == s->text_size) {
                        free(s->text);
                        s->text = NULL;
                }
        }
        return done;
}
