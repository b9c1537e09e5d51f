/* SPDX-License-Identifier: Apache-2.0 */

#include "sse.h"

#include "alloc-util.h"
#include "parse-util.h"
#include "string-util.h"

#define ID_MAX 128U
#define EVENT_MAX 64U
#define RETRY_MAX USEC_PER_MINUTE

typedef struct Buffer {
        char *p;
        size_t size, allocated;
} Buffer;

struct SseParser {
        sse_on_event_t on_event;
        void *userdata;
        Buffer line, data;
        bool has_data, has_id, after_cr;
        char event[EVENT_MAX + 1], id[ID_MAX + 1];
        usec_t retry;
};

static int buffer_append(Buffer *b, const char *p, size_t size, size_t max) {
        int r;

        if (size > max - b->size)
                return -EFBIG;
        r = ARRAY_GROW(b->p, b->allocated, b->size + size + 1);
        if (r < 0)
                return r;
        if (size > 0)
                memcpy(b->p + b->size, p, size);
        b->size += size;
        b->p[b->size] = '\0';
        return 0;
}

int sse_parser_new(SseParser **ret, sse_on_event_t on_event, void *userdata) {
        SseParser *p = new0(SseParser, 1);

        if (!p)
                return -ENOMEM;
        p->on_event = on_event;
        p->userdata = userdata;
        *ret = p;
        return 0;
}

SseParser *sse_parser_free(SseParser *p) {
        if (!p)
                return NULL;
        free(p->line.p);
        free(p->data.p);
        free(p);
        return NULL;
}

static void event_clear(SseParser *p) {
        p->event[0] = '\0';
        p->has_data = p->has_id = false;
        p->data.size = 0;
}

void sse_parser_reset(SseParser *p) {
        event_clear(p);
        p->line.size = 0;
        p->after_cr = false;
}

const char *sse_parser_last_id(const SseParser *p) {
        return p->id;
}

usec_t sse_parser_retry(const SseParser *p) {
        return p->retry;
}

static int event_dispatch(SseParser *p) {
        int r = 0;

        /* an event without data only sets the id */
        if (p->has_data)
                r = p->on_event(p->event[0] ? p->event : "message", p->has_id ? p->id : "", p->data.p,
                                p->userdata);
        event_clear(p);
        return r;
}

static int field_set(char *target, size_t max, const char *value) {
        if (!string_is_safe(value, max))
                return -EBADMSG;
        memcpy(target, value, strlen(value) + 1);
        return 0;
}

static int field(SseParser *p, const char *name, const char *value) {
        uint64_t msec;
        int r;

        if (streq(name, "data")) {
                if (p->has_data) { /* several lines are one text */
                        r = buffer_append(&p->data, "\n", 1, SSE_DATA_MAX);
                        if (r < 0)
                                return r;
                }
                p->has_data = true;
                return buffer_append(&p->data, value, strlen(value), SSE_DATA_MAX);
        }
        if (streq(name, "event"))
                return field_set(p->event, EVENT_MAX, value);
        if (streq(name, "id")) {
                p->has_id = true;
                return field_set(p->id, ID_MAX, value);
        }
        if (streq(name, "retry") && parse_u64(value, &msec) >= 0)
                p->retry = MIN(msec, RETRY_MAX / USEC_PER_MSEC) * USEC_PER_MSEC;
        return 0;
}

static int line_end(SseParser *p) {
        char *line = p->line.p, *colon;
        int r;

        if (p->line.size == 0)
                return event_dispatch(p);
        if (!utf8_is_valid(line, p->line.size) || strlen(line) != p->line.size)
                return -EBADMSG;
        p->line.size = 0;
        if (line[0] == ':')
                return 0; /* a comment keeps the connection alive */

        colon = strchr(line, ':');
        if (!colon)
                return field(p, line, "");
        *colon = '\0';
        r = field(p, line, colon[1] == ' ' ? colon + 2 : colon + 1);
        return r;
}

int sse_parser_feed(SseParser *p, const void *data, size_t size) {
        const char *s = data, *end = s + size;
        int r;

        while (s < end) {
                size_t n = 0;

                if (p->after_cr && *s == '\n') { /* CR LF is one end */
                        p->after_cr = false;
                        s++;
                        continue;
                }
                p->after_cr = false;
                while (s + n < end && s[n] != '\n' && s[n] != '\r')
                        n++;
                r = buffer_append(&p->line, s, n, SSE_LINE_MAX);
                if (r < 0)
                        return r;
                s += n;
                if (s == end)
                        return 0;
                p->after_cr = *s++ == '\r';
                r = line_end(p);
                if (r < 0)
                        return r;
        }
        return 0;
}
