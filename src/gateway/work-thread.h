/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A thread beside the loop, and the bounded queue between the two: what store-worker.c and hash-worker.c are
 * made of. An item is part of what its submitter allocated. While it is submitted it belongs to the thread,
 * which takes it, does what is to be done, and gives it back; then deliver() of the item runs on the loop.
 * In order of submission; nothing is lost, also at the end. */

#include <systemd/sd-event.h>

#include "mailbox.h"

typedef struct WorkThread WorkThread;
/* The thread: takes until there is nothing more. */
typedef void (*work_main_t)(WorkThread *t, void *userdata);

/* name: static, up to 15 bytes. capacity: of items that are submitted and not yet delivered. */
int work_thread_new(
                WorkThread **ret,
                sd_event *event,
                const char *name,
                unsigned capacity,
                work_main_t main,
                void *userdata);
/* Loop's thread. Runs what was submitted to its end, deliver() included, then joins the thread. */
WorkThread *work_thread_free(WorkThread *t);
DEFINE_POINTER_CLEANUP(WorkThread, work_thread_free);

/* Loop's thread. -ENOBUFS when too much is waiting, -ESHUTDOWN at the end: the item is still the caller's,
 * and is not delivered. */
int work_thread_submit(WorkThread *t, MailboxItem *item);
/* Loop's thread: items that are submitted and not yet delivered. */
unsigned work_thread_backlog(const WorkThread *t);

/* On the thread. Waits for an item and takes it, and those behind it, chained by next, as long as together()
 * says so (NULL: none) and max allows. NULL: the end. */
MailboxItem *
work_thread_take(WorkThread *t, bool (*together)(const MailboxItem *a, const MailboxItem *b), unsigned max);
/* On the thread: gives it back; from here on it is the loop's. */
void work_thread_give(WorkThread *t, MailboxItem *item);
