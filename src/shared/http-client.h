/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* HTTPS requests on sd-event: the one owner of libcurl, in a static library of its own (meson: http_client), so that
 * the updater cannot link it. HTTPS only, no redirects, no compression, TLS 1.2 and above; proxy environment variables
 * as curl knows them. Callbacks run on the loop. A request belongs to its caller until http_request_free(), which
 * cancels it when it is still running (no callback after that); freeing it within its own on_finish is allowed. */

#include <systemd/sd-event.h>

#include "macro.h"
#include "time-util.h"

typedef struct HttpClient HttpClient;
typedef struct HttpRequest HttpRequest;

/* A chunk of the body of a 200 or 206; a negative errno ends the request with it. */
typedef int (*http_on_data_t)(HttpRequest *r, const void *data, size_t size, void *userdata);
/* error: 0, or negative errno: -EFBIG above max_size, -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -EKEYREJECTED (TLS
 * verification), -ECONNRESET, -ECANCELED by on_data's own error code otherwise. status: the HTTP status, 0 if none.
 * A redirect is an answer like any other (status 3xx, error 0). A 206 for another range than the one asked: -EBADMSG.
 * message: for people, never NULL, fit for a terminal. The body of answers other than 200/206 is kept to 64 KiB: http_request_body(). */
typedef void (*http_on_finish_t)(HttpRequest *r, int error, unsigned status, const char *message, void *userdata);

typedef struct HttpOptions {
        const char *method;            /* NULL: GET */
        const char *url;
        char *const *headers;          /* "Name: value" */
        const void *body;              /* copied, unless body_borrowed: then it must outlive the request */
        size_t body_size;
        bool body_borrowed;
        const char *ca_pem;            /* trust these alone; NULL: the system's */
        bool insecure;                 /* no verification at all: only to fetch what is then compared with a pin */
        uint64_t resume_from;          /* Range: bytes=N-; a server that answers 200 restarts: see http_request_offset() */
        uint64_t max_size;             /* of the whole resource, what resume_from skipped included; required */
        uint64_t speed_limit;          /* bytes a second, 0: none */
        usec_t timeout;                /* whole request; 0: none */
        usec_t connect_timeout;        /* 0: 30 s */
        usec_t low_speed_time;         /* abort (-ETIMEDOUT) when slower than 1 KiB/s for so long; whole seconds, rounded
                                        * up; 0: 60 s; USEC_INFINITY: never (event streams) */
        http_on_data_t on_data;        /* NULL: the body is collected, http_request_body() */
        http_on_finish_t on_finish;
        void *userdata;
} HttpOptions;

int http_client_new(HttpClient **ret, sd_event *event, const char *user_agent);
HttpClient *http_client_free(HttpClient *c);
DEFINE_POINTER_CLEANUP(HttpClient, http_client_free);

/* Connections that were not used for so long are closed, and what the library holds is given back; 0: never. For
 * processes with very many clients: each would keep three descriptors. */
void http_client_set_idle(HttpClient *c, usec_t idle);
uint64_t http_client_received(const HttpClient *c);                        /* bytes of bodies so far */

/* -EPROTONOSUPPORT: not an https:// URL. -EINVAL: no max_size, no on_finish, malformed URL or header. No callback is
 * made from within this call. */
int http_request_start(HttpClient *c, const HttpOptions *options, HttpRequest **ret);
HttpRequest *http_request_free(HttpRequest *r);
DEFINE_POINTER_CLEANUP(HttpRequest, http_request_free);

/* Where the body really begins: resume_from after a 206, 0 after a 200. Valid from the first on_data on. */
uint64_t http_request_offset(const HttpRequest *r);
const void *http_request_body(const HttpRequest *r, size_t *ret_size);
const char *http_request_header(const HttpRequest *r, const char *name);   /* of the answer; NULL if absent */
