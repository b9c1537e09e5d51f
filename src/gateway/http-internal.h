/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the two halves of http.h know of each other, and nobody else: http-server.c drives the library and
 * keeps an eye on connections, http.c is about one request. */

#include <microhttpd.h>

#include "http.h"
#include "list.h"

#define HTTP_SILENCE_TIME (60 * USEC_PER_SEC)
#define HTTP_HEADERS_TIME (15 * USEC_PER_SEC)
#define HTTP_JSON_TIME (30 * USEC_PER_SEC)
/* A file has as long as a small body, and what it takes at so many bytes a second. */
#define HTTP_FILE_RATE KIB(64)
/* Who does not take so much of what is sent to it, in that time, is not waited for: half a KiB a second. */
#define HTTP_SEND_TIME (20 * USEC_PER_SEC)
#define HTTP_SEND_LEAST KIB(10)

typedef struct HttpConnection HttpConnection;

struct HttpServer {
        sd_event *event;
        struct MHD_Daemon *daemon;
        sd_event_source *io_source, *timer_source, *run_source;
        const HttpRoute *routes, *fallback;
        void *userdata;
        int (*authenticate)(const HttpCredentials *c, ApiCaller *ret, void *userdata);
        http_on_answer_t on_answer;
        char *certificate_pem, *key_pem;
        LIST_HEAD(HttpExchange, exchanges);
        LIST_HEAD(HttpConnection, connections);
        sd_event_source *sweep_source;
        bool stopping; /* answers 503, ends streams */
        bool freeing;
};

/* ---- http-server.c ---- */

/* There is something to do for the library, in the next turn of the loop. */
void http_server_run_soon(HttpServer *s);
/* For what is expected next; USEC_INFINITY: nothing, it is our turn. */
void http_connection_expect_within(struct MHD_Connection *connection, usec_t span);
/* What is sent is a stream of events, which has its own limit and somebody who may read it: it may be slow. */
void http_connection_set_stream(struct MHD_Connection *connection, bool is_stream);

/* ---- http.c: what the library calls, and what has to be done before it is stopped ---- */

void *http_exchange_on_uri(void *userdata, const char *uri, struct MHD_Connection *connection);
enum MHD_Result http_exchange_on_access(
                void *userdata,
                struct MHD_Connection *connection,
                const char *url,
                const char *method,
                const char *version,
                const char *data,
                size_t *data_size,
                void **context);
void http_exchange_on_completed(
                void *userdata,
                struct MHD_Connection *connection,
                void **context,
                enum MHD_RequestTerminationCode code);
/* Who waits for an answer gets 503; then all that sleep are woken. */
void http_exchanges_refuse(HttpServer *s);
void http_exchanges_wake(HttpServer *s);
