/* SPDX-License-Identifier: Apache-2.0 */

/* Many threads post, the loop delivers; nothing is lost, nothing reordered within one thread, nothing beyond
 * the bound. */

#include <pthread.h>

#include "alloc-util.h"
#include "event-util.h"
#include "mailbox.h"
#include "tests.h"

#define THREADS 4U
#define ITEMS 20000U
#define CAPACITY 100U

typedef struct Item {
        MailboxItem item;
        unsigned thread, number;
} Item;

typedef struct Poster {
        Mailbox *mailbox;
        unsigned number;
        unsigned refused;
        pthread_t thread;
} Poster;

static unsigned next_number[THREADS], n_delivered;

static void deliver(MailboxItem *item) {
        Item *i = container_of(item, Item, item);

        assert_se(i->number == next_number[i->thread]);
        next_number[i->thread]++;
        n_delivered++;
        free(i);
}

static void *post(void *userdata) {
        Poster *p = userdata;

        for (unsigned n = 0; n < ITEMS;) {
                if (mailbox_reserve(p->mailbox) < 0) {
                        p->refused++;
                        sched_yield();
                        continue;
                }
                Item *i = new0(Item, 1);
                *i = (Item) { .item.deliver = deliver, .thread = p->number, .number = n++ };
                mailbox_post(p->mailbox, &i->item);
        }
        return NULL;
}

static void test_threads(sd_event *event) {
        Poster posters[THREADS];
        Mailbox *m;

        assert_ok(mailbox_new(&m, event, CAPACITY, "test"));
        for (unsigned i = 0; i < THREADS; i++) {
                posters[i] = (Poster) { .mailbox = m, .number = i };
                assert_se(pthread_create(&posters[i].thread, NULL, post, posters + i) == 0);
        }
        usec_t end = now(CLOCK_MONOTONIC) + 60 * USEC_PER_SEC;
        while (n_delivered < THREADS * ITEMS) {
                assert_ok(sd_event_run(event, 100 * USEC_PER_MSEC));
                assert_se(now(CLOCK_MONOTONIC) < end);
                assert_se(mailbox_reserved(m) <= CAPACITY);
        }
        for (unsigned i = 0; i < THREADS; i++)
                assert_se(pthread_join(posters[i].thread, NULL) == 0);
        assert_se(mailbox_reserved(m) == 0);
        mailbox_free(m);
}

static void count(MailboxItem *item) {
        n_delivered++;
}

static void test_bounds(sd_event *event) {
        MailboxItem items[600];
        Mailbox *m;

        n_delivered = 0;
        assert_ok(mailbox_new(&m, event, ELEMENTSOF(items), "test"));
        assert_se(mailbox_has_room(m, ELEMENTSOF(items)) && !mailbox_has_room(m, ELEMENTSOF(items) + 1));
        for (size_t i = 0; i < ELEMENTSOF(items); i++)
                assert_ok(mailbox_reserve(m));
        assert_error(mailbox_reserve(m), ENOBUFS);
        mailbox_release(m);
        assert_ok(mailbox_reserve(m));
        assert_error(mailbox_reserve(m), ENOBUFS);

        for (size_t i = 0; i < ELEMENTSOF(items); i++) {
                items[i] = (MailboxItem) { .deliver = count };
                mailbox_post(m, items + i);
        }
        /* a turn of the loop takes a batch, the rest follows by itself */
        assert_se(sd_event_run(event, 0) > 0);
        assert_se(n_delivered > 0 && n_delivered < ELEMENTSOF(items));
        while (sd_event_run(event, 0) > 0)
                ;
        assert_se(n_delivered == ELEMENTSOF(items));

        /* what is still queued is delivered when it goes */
        assert_ok(mailbox_reserve(m));
        mailbox_post(m, items + 0);
        assert_se(mailbox_wait(m, 0) == 1);
        mailbox_free(m);
        assert_se(n_delivered == ELEMENTSOF(items) + 1);
}

int main(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;

        assert_ok(sd_event_new(&event));
        test_threads(event);
        test_bounds(event);
        return 0;
}
