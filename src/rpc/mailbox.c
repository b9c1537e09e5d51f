/* SPDX-License-Identifier: Apache-2.0 */

#include "mailbox.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"

/* Deliveries in one turn of the loop: enough to amortise the wake-up, few enough to let timers have their
 * turn. */
#define BATCH_MAX 256U

struct Mailbox {
        pthread_mutex_t mutex;
        MailboxItem *head, *tail;          /* under mutex, as are the counters */
        unsigned capacity;
        unsigned used;                     /* reserved or queued */
        int event_fd;
        sd_event_source *source;
};

static void wake(Mailbox *m) {
        const uint64_t one = 1;

        /* EAGAIN means that the counter is full: the loop is going to wake up anyway */
        ssize_t n = write(m->event_fd, &one, sizeof(one));
        (void) n;
}

static MailboxItem *take(Mailbox *m) {
        pthread_mutex_lock(&m->mutex);
        MailboxItem *item = m->head;
        if (item) {
                m->head = item->next;
                if (!m->head)
                        m->tail = NULL;
                m->used--;
        }
        pthread_mutex_unlock(&m->mutex);
        return item;
}

static bool is_empty(Mailbox *m) {
        pthread_mutex_lock(&m->mutex);
        bool empty = !m->head;
        pthread_mutex_unlock(&m->mutex);
        return empty;
}

unsigned mailbox_dispatch(Mailbox *m, unsigned max) {
        unsigned n = 0;

        for (MailboxItem *item; (max == 0 || n < max) && (item = take(m)); n++)
                item->deliver(item);
        return n;
}

static int mailbox_on_wakeup(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Mailbox *m = userdata;
        uint64_t count;

        ssize_t n = read(fd, &count, sizeof(count));
        (void) n;
        (void) mailbox_dispatch(m, BATCH_MAX);
        if (!is_empty(m))
                wake(m);
        return 0;
}

int mailbox_new(Mailbox **ret, sd_event *event, unsigned capacity, const char *description) {
        _cleanup_(mailbox_freep) Mailbox *m = NULL;
        int r;

        m = new0(Mailbox, 1);
        if (!m)
                return -ENOMEM;
        m->capacity = capacity;
        m->event_fd = -EBADF;
        r = pthread_mutex_init(&m->mutex, NULL);
        if (r != 0) {
                free(TAKE_PTR(m));
                return -r;
        }
        m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (m->event_fd < 0)
                return negative_errno();
        r = sd_event_add_io(event, &m->source, m->event_fd, EPOLLIN, mailbox_on_wakeup, m);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(m->source, description);

        *ret = TAKE_PTR(m);
        return 0;
}

Mailbox *mailbox_free(Mailbox *m) {
        if (!m)
                return NULL;
        (void) mailbox_dispatch(m, 0);
        sd_event_source_disable_unref(m->source);
        fd_close(m->event_fd);
        pthread_mutex_destroy(&m->mutex);
        free(m);
        return NULL;
}

int mailbox_reserve(Mailbox *m) {
        int r = 0;

        pthread_mutex_lock(&m->mutex);
        if (m->used >= m->capacity)
                r = -ENOBUFS;
        else
                m->used++;
        pthread_mutex_unlock(&m->mutex);
        return r;
}

void mailbox_release(Mailbox *m) {
        pthread_mutex_lock(&m->mutex);
        m->used--;
        pthread_mutex_unlock(&m->mutex);
}

void mailbox_post(Mailbox *m, MailboxItem *item) {
        item->next = NULL;
        pthread_mutex_lock(&m->mutex);
        bool was_empty = !m->head;
        if (m->tail)
                m->tail->next = item;
        else
                m->head = item;
        m->tail = item;
        /* under the lock: once it is released the loop may deliver the item and free the mailbox with it */
        if (was_empty)
                wake(m);
        pthread_mutex_unlock(&m->mutex);
}

int mailbox_wait(Mailbox *m, int timeout_ms) {
        struct pollfd p = { .fd = m->event_fd, .events = POLLIN };
        uint64_t count;

        if (!is_empty(m))
                return 1;
        int n = poll(&p, 1, timeout_ms);
        if (n < 0)
                return errno == EINTR ? 0 : negative_errno();
        if (n > 0) {
                ssize_t k = read(m->event_fd, &count, sizeof(count));
                (void) k;
        }
        return n;
}

unsigned mailbox_reserved(Mailbox *m) {
        pthread_mutex_lock(&m->mutex);
        unsigned used = m->used;
        pthread_mutex_unlock(&m->mutex);
        return used;
}

bool mailbox_has_room(Mailbox *m, unsigned n) {
        pthread_mutex_lock(&m->mutex);
        bool room = m->capacity - m->used >= n;
        pthread_mutex_unlock(&m->mutex);
        return room;
}
