/* SPDX-License-Identifier: Apache-2.0 */
#include "file-hash.h"

#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"

#define PIECE MIB(1)
#define BUFFER KIB(128)

struct FileHash {
        int fd;
        uint64_t done, size;
        Sha256 *hash;
        uint8_t *buffer;
        file_hash_on_done_t on_done;
        void *userdata;
        sd_event_source *source;
};

FileHash *file_hash_free(FileHash *h) {
        if (!h)
                return NULL;
        sd_event_source_disable_unref(h->source);
        sha256_free(h->hash);
        free(h->buffer);
        free(h);
        return NULL;
}

/* 1: more to do, 0: complete. */
static int hash_piece(FileHash *h) {
        uint64_t end = MIN(h->size, h->done + PIECE);

        while (h->done < end) {
                ssize_t n = pread(h->fd, h->buffer, (size_t) MIN(end - h->done, BUFFER), (off_t) h->done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return negative_errno();
                if (n == 0)
                        return -ENODATA;
                sha256_update(h->hash, h->buffer, (size_t) n);
                h->done += (uint64_t) n;
        }
        return h->done < h->size;
}

static int on_turn(sd_event_source *source, void *userdata) {
        FileHash *h = userdata;
        int r = hash_piece(h);

        if (r > 0)
                return 0;
        (void) sd_event_source_set_enabled(h->source, SD_EVENT_OFF);
        h->on_done(h, r, r < 0 ? NULL : TAKE_PTR(h->hash), h->userdata);
        return 0;
}

int file_hash_start(
                FileHash **ret,
                sd_event *event,
                int fd,
                uint64_t size,
                file_hash_on_done_t on_done,
                void *userdata) {
        _cleanup_(file_hash_freep) FileHash *h = new0(FileHash, 1);
        if (!h)
                return -ENOMEM;
        h->fd = fd;
        h->size = size;
        h->on_done = on_done;
        h->userdata = userdata;
        h->buffer = malloc(BUFFER);
        if (!h->buffer)
                return -ENOMEM;
        int r = sha256_new(&h->hash);
        if (r >= 0)
                r = sd_event_add_defer(event, &h->source, on_turn, h);
        if (r >= 0)
                r = sd_event_source_set_enabled(h->source, SD_EVENT_ON);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(h->source, "file-hash");
        /* after network and bus */
        (void) sd_event_source_set_priority(h->source, SD_EVENT_PRIORITY_IDLE);
        *ret = TAKE_PTR(h);
        return 0;
}
