/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From any thread to the loop: a queue of items, an eventfd, and delivery in batches from sd-event. The item
 * is part of whatever the caller owns, so that posting allocates nothing. The queue is bounded by
 * reservation: whoever starts work on another thread reserves a place first, where a lack of places can
 * still be turned into an error of that one stream or request; what has been started can then always be
 * delivered. Items are delivered in order of posting. */

#include <systemd/sd-event.h>

#include "macro.h"

typedef struct Mailbox Mailbox;
typedef struct MailboxItem MailboxItem;
typedef void (*mailbox_deliver_t)(MailboxItem *item);

struct MailboxItem {
        MailboxItem *next;                 /* the mailbox's */
        mailbox_deliver_t deliver;         /* runs on the loop; may free the item */
};

int mailbox_new(Mailbox **ret, sd_event *event, unsigned capacity, const char *description);
/* Loop's thread; no thread may post any more. Items still queued are delivered first. */
Mailbox *mailbox_free(Mailbox *m);
DEFINE_POINTER_CLEANUP(Mailbox, mailbox_free);

int mailbox_reserve(Mailbox *m);                           /* any thread; 0, or -ENOBUFS */
void mailbox_release(Mailbox *m);                          /* a reservation that was not needed after all */
void mailbox_post(Mailbox *m, MailboxItem *item);          /* any thread; uses up one reservation */

/* Delivers what is queued now, at most max items (0: all). Loop's thread. Returns the number. */
unsigned mailbox_dispatch(Mailbox *m, unsigned max);
/* Waits for something to be queued, at most timeout_ms. Loop's thread, while shutting down only. */
int mailbox_wait(Mailbox *m, int timeout_ms);
unsigned mailbox_reserved(Mailbox *m);                     /* places in use: reserved or queued */
bool mailbox_has_room(Mailbox *m, unsigned n);             /* would n reservations succeed now? */
