/* SPDX-License-Identifier: Apache-2.0 */

#include "sse.h"

#include <stdio.h>

#include "alloc-util.h"
#include "string-util.h"
#include "tests.h"

static char *seen;

static int on_event(const char *event, const char *id, const char *data, void *userdata) {
        char *more = strjoinf("%s[%s|%s|%s]", strempty(seen), event, id, data);

        assert_se(more);
        free(seen);
        seen = more;
        return userdata ? -ECANCELED : 0;
}

static int feed(SseParser *p, const char *text) {
        assert_ok(free_and_strdup(&seen, ""));
        return sse_parser_feed(p, text, strlen(text));
}

int main(void) {
        _cleanup_(sse_parser_freep) SseParser *p = NULL, *q = NULL;
        _cleanup_free_ char *big = NULL;

        assert_ok(sse_parser_new(&p, on_event, NULL));
        assert_streq(sse_parser_last_id(p), "");
        assert_se(sse_parser_retry(p) == 0);

        assert_ok(feed(p, "retry: 2500\n\nid: 7\nevent: update\ndata: {\"a\":1}\n\n"));
        assert_streq(seen, "[update|7|{\"a\":1}]");
        assert_se(sse_parser_retry(p) == 2500 * USEC_PER_MSEC);

        /* names do not carry over, ids do; without data nothing happens */
        assert_ok(feed(p, ": alive\n\nevent: lost\n\ndata:x\ndata: y\n\n"));
        assert_streq(seen, "[message||x\ny]");
        assert_ok(feed(p, "id: 8\n\n"));
        assert_streq(seen, "");
        assert_streq(sse_parser_last_id(p), "8");
        assert_ok(feed(p, "data: 1\r\n\r"));
        assert_ok(feed(p, "\ndata: 2\r\r"));
        assert_streq(seen, "[message||2]");
        assert_ok(feed(p, "data\nid\n\n"));
        assert_streq(seen, "[message||]");

        /* a broken connection: the half event is gone, the id stays */
        assert_ok(feed(p, "id: 9\ndata: 1\n\ndata: ha"));
        sse_parser_reset(p);
        assert_ok(feed(p, "data: new\n\n"));
        assert_streq(seen, "[message||new]");
        assert_streq(sse_parser_last_id(p), "9");

        assert_error(feed(p, "data: \xff\n\n"), EBADMSG);
        sse_parser_reset(p);
        assert_error(feed(p, "id: \x1b[31m\n\n"), EBADMSG);
        sse_parser_reset(p);
        assert_error(sse_parser_feed(p, "data: \0\n", 8), EBADMSG);
        sse_parser_reset(p);

        big = malloc(SSE_LINE_MAX + 2);
        assert_se(big);
        memset(big, 'd', SSE_LINE_MAX + 1);
        big[SSE_LINE_MAX + 1] = '\0';
        assert_error(feed(p, big), EFBIG);
        sse_parser_reset(p);
        memcpy(big, "data:", 5);
        big[SSE_LINE_MAX - 1] = '\n';
        big[SSE_LINE_MAX] = '\0';
        for (unsigned i = 0; i < SSE_DATA_MAX / SSE_LINE_MAX; i++)
                assert_ok(feed(p, big));
        assert_error(feed(p, big), EFBIG);

        assert_ok(sse_parser_new(&q, on_event, &seen));
        assert_error(feed(q, "data: 1\n\ndata: 2\n\n"), ECANCELED);
        assert_streq(seen, "[message||1]");
        free(seen);
        return 0;
}
