/* SPDX-License-Identifier: Apache-2.0 */

#include "event-stream.h"

#include "alloc-util.h"
#include "crypto.h"
#include "event-util.h"
#include "sse.h"
#include "string-util.h"

#define IDLE_TIME (40 * USEC_PER_SEC) /* the gateway writes at least every 15 s */
#define RETRY_DEFAULT (3 * USEC_PER_SEC)
#define RETRY_MIN (500 * USEC_PER_MSEC)

struct EventStream {
        GatewayCtl *c;
        const EventStreamHandlers *handlers;
        void *userdata;
        char *path;
        SseParser *parser;
        HttpRequest *request;
        sd_event_source *idle_timer, *retry_timer;
        bool open, ever_open;
};

static int stream_connect(EventStream *s);

static int on_event(const char *event, const char *id, const char *data, void *userdata) {
        _cleanup_json_ json_t *v = NULL;
        EventStream *s = userdata;
        int r;

        r = json_parse(data, strlen(data), SSE_DATA_MAX, &v, NULL);
        if (r < 0)
                return r;
        s->handlers->on_event(event, id, v, s->userdata);
        return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        EventStream *s = userdata;
        int r;

        r = stream_connect(s);
        if (r < 0)
                s->handlers->on_fatal(
                                cli_fail(CLI_ERROR, "Cannot connect again: %s", strerror(-r)), s->userdata);
        return 0;
}

static void stream_retry(EventStream *s, const char *why) {
        usec_t pause = MAX(sse_parser_retry(s->parser) ?: RETRY_DEFAULT, RETRY_MIN);
        int r;

        if (s->open && s->handlers->on_lost)
                s->handlers->on_lost(why, s->userdata);
        else if (s->open)
                cli_note("Connection to the gateway lost (%s), connecting again.", why);
        s->open = false;
        s->request = http_request_free(s->request);
        (void) event_timer_disarm(s->idle_timer);
        r = event_timer_arm(s->c->event, &s->retry_timer, pause, on_retry, s, "events-retry");
        if (r < 0)
                s->handlers->on_fatal(
                                cli_fail(CLI_ERROR, "Cannot connect again: %s", strerror(-r)), s->userdata);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        stream_retry(userdata, "it has gone silent");
        return 0;
}

static int on_data(HttpRequest *request, const void *data, size_t size, void *userdata) {
        EventStream *s = userdata;

        if (!s->open) {
                bool resumed = s->ever_open && !isempty(sse_parser_last_id(s->parser));

                s->open = s->ever_open = true;
                s->handlers->on_open(resumed, s->userdata);
        }
        (void) event_timer_arm(s->c->event, &s->idle_timer, IDLE_TIME, on_idle, s, "events-idle");
        return sse_parser_feed(s->parser, data, size);
}

static void
on_finish(HttpRequest *request, int error, unsigned status, const char *message, void *userdata) {
        EventStream *s = userdata;
        const void *body;
        CliExit code;
        size_t size;

        /* a refusal stays one; a gateway that is away for a while, after it was there, comes back */
        if ((error < 0 && !s->ever_open) || (error == 0 && status != 200 && status < 500 && status != 429)) {
                body = http_request_body(request, &size);
                code = api_fail(s->c, error, status, message, body, size);
                s->request = http_request_free(s->request);
                (void) event_timer_disarm(s->idle_timer);
                s->handlers->on_fatal(code, s->userdata);
                return;
        }
        stream_retry(s, error < 0 ? message : "the gateway closed it");
}

static int stream_connect(EventStream *s) {
        _cleanup_free_ char *url = NULL, *last = NULL;
        _cleanup_strv_free_ char **headers = NULL;
        int r;

        sse_parser_reset(s->parser);
        if (!isempty(sse_parser_last_id(s->parser))) {
                last = strjoinf("Last-Event-ID: %s", sse_parser_last_id(s->parser));
                if (!last)
                        return -ENOMEM;
        }
        r = api_url(s->c, s->path, &url);
        if (r >= 0)
                r = api_headers(s->c, last, &headers);
        if (r < 0)
                return r;
        r = http_request_start(
                        s->c->http,
                        &(HttpOptions){
                                        .url = url,
                                        .headers = headers,
                                        .ca_pem = s->c->ca_pem,
                                        .max_size = UINT64_MAX,
                                        .connect_timeout = 10 * USEC_PER_SEC,
                                        .low_speed_time = USEC_INFINITY,
                                        .on_data = on_data,
                                        .on_finish = on_finish,
                                        .userdata = s,
                        },
                        &s->request);
        memory_wipe(headers[0], strlen(headers[0]));
        if (r < 0)
                return r;
        return event_timer_arm(s->c->event, &s->idle_timer, IDLE_TIME, on_idle, s, "events-idle");
}

CliExit event_stream_new(
                EventStream **ret,
                GatewayCtl *c,
                const char *topics,
                const char *agent,
                const EventStreamHandlers *handlers,
                void *userdata) {

        _cleanup_(event_stream_freep) EventStream *s = NULL;
        CliExit code;
        int r;

        code = api_open(c);
        if (code != CLI_OK)
                return code;
        s = new0(EventStream, 1);
        if (!s)
                return cli_fail(CLI_ERROR, "Out of memory.");
        s->c = c;
        s->handlers = handlers;
        s->userdata = userdata;
        s->path = strjoinf("/api/v1/events?topics=%s%s%s", topics, agent ? "&agent=" : "", strempty(agent));
        r = s->path ? sse_parser_new(&s->parser, on_event, s) : -ENOMEM;
        if (r >= 0)
                r = stream_connect(s);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot follow the gateway's events: %s", strerror(-r));
        *ret = TAKE_PTR(s);
        return CLI_OK;
}

EventStream *event_stream_free(EventStream *s) {
        if (!s)
                return NULL;
        http_request_free(s->request);
        sd_event_source_disable_unref(s->idle_timer);
        sd_event_source_disable_unref(s->retry_timer);
        sse_parser_free(s->parser);
        free(s->path);
        free(s);
        return NULL;
}
