/* SPDX-License-Identifier: Apache-2.0 */

#include "sse.h"

#include "alloc-util.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_event(const char *event, const char *id, const char *data, void *userdata) {
        _cleanup_free_ char *line = NULL;
        char **log = userdata;

        assert_se(string_is_safe(event, 64) && string_is_safe(id, 128) && utf8_is_valid(data, strlen(data)));
        line = strjoinf("%s%s|%s|%s\n", strempty(*log), event, id, data);
        assert_se(line);
        free(*log);
        *log = TAKE_PTR(line);
        return 0;
}

/* Pieces of any size must give the same events. The first byte is the size of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(sse_parser_freep) SseParser *whole = NULL, *pieces = NULL;
        _cleanup_free_ char *one = NULL, *two = NULL;
        int r = 0, k;

        if (size < 1 || size > 4096)
                return 0;
        size_t step = (size_t) data[0] % 7 + 1;
        data++;
        size--;

        assert_ok(sse_parser_new(&whole, on_event, &one));
        assert_ok(sse_parser_new(&pieces, on_event, &two));
        k = sse_parser_feed(whole, data, size);
        for (size_t i = 0; i < size && r >= 0; i += step)
                r = sse_parser_feed(pieces, data + i, MIN(step, size - i));
        assert_se(r == k);
        assert_se(streq_ptr(one, two));
        assert_streq(sse_parser_last_id(whole), sse_parser_last_id(pieces));
        assert_se(sse_parser_retry(whole) == sse_parser_retry(pieces));
        return 0;
}
