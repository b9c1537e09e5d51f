/* SPDX-License-Identifier: Apache-2.0 */

#include "http-client.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"
#include "list.h"
#include "parse-util.h"
#include "string-util.h"

#define CONNECT_TIMEOUT_DEFAULT (30 * USEC_PER_SEC)
#define LOW_SPEED_TIME_DEFAULT (60 * USEC_PER_SEC)
#define LOW_SPEED_BYTES 1024L
#define OTHER_BODY_MAX KIB(64)
#define HEADERS_MAX KIB(64)
#define URL_MAX 4096U
#define CONNECTIONS_MAX 16L
#define SPEED_BURST (100 * USEC_PER_MSEC)

/* curl calls us from within its own functions and must not be called back from there. Whatever is freed
 * meanwhile only waits: "depth" counts how deep we are in a call, and the outermost one reaps on its way
 * out. */
struct HttpClient {
        sd_event *event;
        CURLM *multi;
        char *user_agent;
        usec_t idle;               /* 0: for ever */
        uint64_t received;
        sd_event_source *timer, *idle_timer;
        LIST_HEAD(HttpRequest, requests);
        unsigned depth;
        bool freed;
};

struct HttpRequest {
        HttpClient *client; /* NULL once the client is gone */
        CURL *easy;
        struct curl_slist *headers;
        void *body_copy;
        char error_buffer[CURL_ERROR_SIZE];

        http_on_data_t on_data;
        http_on_finish_t on_finish;
        void *userdata;
        uint64_t resume_from, max_size, speed_limit;
        usec_t next_chunk; /* when the speed limit allows another chunk */
        sd_event_source *pause_timer;

        bool attached; /* the easy handle is in the multi handle */
        bool freed;    /* by its owner, from within curl */
        bool begun;    /* the status line has been judged */
        bool cut;      /* enough of the body of an error has been seen */
        int error;     /* why one of our callbacks stopped the transfer */
        unsigned status;
        uint64_t offset, received;
        uint64_t headers_size;

        uint8_t *answer;
        size_t answer_size, answer_allocated;
        LIST_FIELDS(HttpRequest, requests);
};

static void client_leave(HttpClient *c);
static void client_arm_idle(HttpClient *c);
static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata);

static const char *request_header(const HttpRequest *r, const char *name) {
        struct curl_header *h;

        if (!r->easy || curl_easy_header(r->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
                return NULL;
        return h->value;
}

/* "bytes 100-199/200": the part must begin where we asked, or bytes would be glued together wrongly. */
static int content_range_check(const HttpRequest *r) {
        const char *value = request_header(r, "Content-Range");
        char first[32];
        uint64_t from;

        if (r->resume_from == 0 || !value || strncasecmp(value, "bytes ", 6) != 0)
                return -EBADMSG;
        value += strspn(value + 6, " ") + 6;

        size_t n = strspn(value, "0123456789");
        if (n == 0 || n >= sizeof(first) || value[n] != '-')
                return -EBADMSG;
        memcpy(first, value, n);
        first[n] = '\0';
        if (parse_u64(first, &from) < 0 || from != r->resume_from)
                return -EBADMSG;
        return 0;
}

static int request_begin_body(HttpRequest *r) {
        curl_off_t length = -1;
        long status = 0;

        (void) curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
        r->status = (unsigned) status;
        r->begun = true;

        if (r->status == 206) {
                int k = content_range_check(r);
                if (k < 0)
                        return k;
                r->offset = r->resume_from;
                if (r->offset > r->max_size)
                        return -EFBIG;
        }
        if (!IN_SET(r->status, 200, 206))
                return 0;
        /* refuse before the first byte when the server is honest about the size */
        (void) curl_easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        if (length > 0 && (uint64_t) length > r->max_size - r->offset)
                return -EFBIG;
        return 0;
}

static int request_collect(HttpRequest *r, const void *data, size_t size) {
        size_t total;

        if (size_add_overflow(r->answer_size, size, &total) || size_add_overflow(total, 1, &total))
                return -EFBIG;
        int k = ARRAY_GROW(r->answer, r->answer_allocated, total);
        if (k < 0)
                return k;
        memcpy(r->answer + r->answer_size, data, size);
        r->answer_size += size;
        r->answer[r->answer_size] = '\0';
        return 0;
}

static int request_take(HttpRequest *r, const void *data, size_t size) {
        if (r->freed)
                return -ECANCELED;
        if (!r->begun) {
                int k = request_begin_body(r);
                if (k < 0)
                        return k;
        }

        if (!IN_SET(r->status, 200, 206)) {
                size_t room = OTHER_BODY_MAX - r->answer_size;
                int k = request_collect(r, data, MIN(size, room));
                if (k < 0)
                        return k;
                if (size > room) {
                        r->cut = true;
                        return -ECANCELED;
                }
                return 0;
        }

        if (size > r->max_size - r->offset - r->received)
                return -EFBIG;
        r->received += size;
        r->client->received += size;
        return r->on_data ? r->on_data(r, data, size, r->userdata) : request_collect(r, data, size);
}

/* A chunk takes as long as it would at the limit; a late one may catch up by BURST. (curl has a limit of its
 * own, which lets several times as much through where the network is much faster.) Returns 1 if the chunk
 * has to wait. */
static int request_throttle(HttpRequest *r, size_t size) {
        usec_t t = now(CLOCK_BOOTTIME);

        if (r->speed_limit == 0)
                return 0;
        if (t < r->next_chunk) {
                int k = event_timer_arm(r->client->event, &r->pause_timer, r->next_chunk - t,
                                        on_pause_over, r, "http-pause");
                return k < 0 ? k : 1;
        }
        r->next_chunk = MAX(r->next_chunk, usec_sub(t, SPEED_BURST)) + size * USEC_PER_SEC / r->speed_limit;
        return 0;
}

static size_t on_write(char *data, size_t size, size_t n, void *userdata) {
        HttpRequest *r = userdata;

        int k = request_throttle(r, size * n);
        if (k > 0)
                return CURL_WRITEFUNC_PAUSE;
        if (k == 0)
                k = request_take(r, data, size * n);
        if (k < 0) {
                r->error = k;
                return CURL_WRITEFUNC_ERROR;
        }
        return size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata) {
        HttpRequest *r = userdata;

        r->headers_size += size * n;
        if (r->headers_size > HEADERS_MAX) {
                r->error = -EFBIG;
                return CURL_WRITEFUNC_ERROR;
        }
        return size * n;
}

static int error_from_os(const HttpRequest *r, int otherwise) {
        long e = 0;

        (void) curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &e);
        if (IN_SET((int) e, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ECONNRESET, ETIMEDOUT, EACCES, EPERM))
                return -(int) e;
        return otherwise;
}

static int error_from_curl(const HttpRequest *r, CURLcode code) {
        switch ((int) code) {
        case CURLE_OK:
                return 0;
        case CURLE_OPERATION_TIMEDOUT:
                return -ETIMEDOUT;
        case CURLE_COULDNT_CONNECT:
                return error_from_os(r, -ECONNREFUSED);
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
                return -EHOSTUNREACH;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_CERTPROBLEM:
                return -EKEYREJECTED;
        case CURLE_SSL_CONNECT_ERROR:
                return error_from_os(r, -EPROTO);
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_PARTIAL_FILE:
                return -ECONNRESET;
        case CURLE_UNSUPPORTED_PROTOCOL:
                return -EPROTONOSUPPORT;
        case CURLE_URL_MALFORMAT:
                return -EINVAL;
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        default:
                return -EIO;
        }
}

/* What to say: our own reason first, then curl's. The text may quote the peer, so it is made fit for a
 * terminal. */
static char *request_message(const HttpRequest *r, int error, CURLcode code) {
        const char *text;

        if (error == 0 && r->status >= 300 && r->status < 400 && r->status != 304)
                return strjoinf("The server answered %u; redirects are not followed.", r->status);
        if (error == 0)
                return strjoinf("The server answered %u.", r->status);
        if (r->error == -EFBIG && r->headers_size > HEADERS_MAX)
                return strjoinf("The headers of the answer are larger than %u bytes.",
                                (unsigned) HEADERS_MAX);
        if (r->error == -EFBIG)
                return strjoinf("The answer is larger than the %" PRIu64 " bytes that are allowed.",
                                r->max_size);
        if (r->error == -EBADMSG && r->received == 0 && r->status == 206)
                return strjoinf("The server sent another range than the one asked for.");
        if (r->error < 0)
                return strjoinf("The transfer was stopped: %s", strerror(-r->error));

        text = r->error_buffer[0] ? r->error_buffer : curl_easy_strerror(code);
        return string_escape(text);
}

static void request_finish(HttpRequest *r, CURLcode code) {
        _cleanup_free_ char *message = NULL;
        long status = 0;
        int error;

        (void) curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
        r->status = (unsigned) status;
        /* an answer without a body has not been judged yet */
        if (code == CURLE_OK && !r->begun)
                r->error = request_begin_body(r);

        error = r->cut ? 0 : r->error < 0 ? r->error : error_from_curl(r, code);
        message = request_message(r, error, code);

        (void) curl_multi_remove_handle(r->client->multi, r->easy);
        r->attached = false;
        /* the request, and even the client, may be gone when this returns */
        r->on_finish(r, error, r->status, message ?: "Out of memory.", r->userdata);
}

static void client_finish_requests(HttpClient *c) {
        CURLMsg *m;
        int left;

        while (!c->freed && (m = curl_multi_info_read(c->multi, &left))) {
                CURLcode code = m->data.result;
                HttpRequest *r = NULL;

                if (m->msg != CURLMSG_DONE)
                        continue;
                (void) curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **) &r);
                if (r && !r->freed)
                        request_finish(r, code);
                else if (r) {
                        (void) curl_multi_remove_handle(c->multi, r->easy);
                        r->attached = false;
                }
        }
}

static void client_action(HttpClient *c, curl_socket_t fd, int events) {
        int running;

        c->depth++;
        (void) curl_multi_socket_action(c->multi, fd, events, &running);
        client_finish_requests(c);
        client_leave(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        int events = 0;

        if (revents & (EPOLLIN | EPOLLHUP))
                events |= CURL_CSELECT_IN;
        if (revents & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (revents & EPOLLERR)
                events |= CURL_CSELECT_ERR;
        client_action(userdata, fd, events);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        client_action(userdata, CURL_SOCKET_TIMEOUT, 0);
        return 0;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata) {
        HttpRequest *r = userdata;
        HttpClient *c = r->client;

        if (!c || !r->attached)
                return 0;
        c->depth++;
        /* delivers the chunk that had to wait; what goes wrong with it is not reported in any other way */
        CURLcode code = curl_easy_pause(r->easy, CURLPAUSE_CONT);
        if (code != CURLE_OK && !r->freed)
                request_finish(r, code);
        client_finish_requests(c);
        client_leave(c);
        return 0;
}

static int on_curl_timer(CURLM *multi, long msec, void *userdata) {
        HttpClient *c = userdata;
        int r;

        if (msec < 0)
                r = event_timer_disarm(c->timer);
        else
                r = event_timer_arm(c->event, &c->timer, (usec_t) msec * USEC_PER_MSEC, on_timer, c,
                                    "http-timer");
        return r < 0 ? -1 : 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data) {
        HttpClient *c = userdata;
        sd_event_source *source = socket_data;
        uint32_t events;
        int r;

        if (what == CURL_POLL_REMOVE) {
                sd_event_source_disable_unref(source);
                return curl_multi_assign(c->multi, fd, NULL) == CURLM_OK ? 0 : -1;
        }

        events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
        if (source)
                return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;

        r = sd_event_add_io(c->event, &source, fd, events, on_io, c);
        if (r < 0)
                return -1;
        (void) sd_event_source_set_description(source, "http-socket");
        if (curl_multi_assign(c->multi, fd, source) != CURLM_OK) {
                sd_event_source_disable_unref(source);
                return -1;
        }
        return 0;
}

/* Not yet there, or given back while nobody needed it. */
static int client_open(HttpClient *c) {
        if (c->multi)
                return 0;
        c->multi = curl_multi_init();
        if (!c->multi)
                return -ENOMEM;
        if (curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
            curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK &&
            curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
            curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK &&
            curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX) == CURLM_OK)
                return 0;
        (void) curl_multi_cleanup(TAKE_PTR(c->multi));
        return -EIO;
}

static bool client_is_busy(const HttpClient *c) {
        LIST_FOREACH(requests, r, c->requests)
                if (r->attached)
                        return true;
        return false;
}

static void client_give_back(HttpClient *c) {
        if (!c->multi)
                return;
        if (c->depth > 0 || client_is_busy(c)) {
                client_arm_idle(c);
                return;
        }
        (void) curl_multi_cleanup(c->multi);
        c->multi = NULL;
        (void) event_timer_disarm(c->timer);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        client_give_back(userdata);
        return 0;
}

static void client_arm_idle(HttpClient *c) {
        if (c->idle > 0 && c->multi && !c->freed)
                (void) event_timer_arm(c->event, &c->idle_timer, c->idle, on_idle, c, "http-idle");
}

void http_client_set_idle(HttpClient *c, usec_t idle) {
        c->idle = idle;
        if (idle > 0)
                client_give_back(c);
}

uint64_t http_client_received(const HttpClient *c) {
        return c->received;
}

int http_client_new(HttpClient **ret, sd_event *event, const char *user_agent) {
        static bool initialized = false;
        _cleanup_(http_client_freep) HttpClient *c = NULL;

        if (!initialized) {
                if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                        return -EIO;
                initialized = true;
        }

        c = new0(HttpClient, 1);
        if (!c)
                return -ENOMEM;
        c->event = sd_event_ref(event);
        c->user_agent = strdup(user_agent);
        if (!c->user_agent)
                return -ENOMEM;
        int r = client_open(c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

static void request_detach(HttpRequest *r) {
        if (r->attached)
                (void) curl_multi_remove_handle(r->client->multi, r->easy);
        r->attached = false;
        if (r->client) {
                LIST_REMOVE(requests, r->client->requests, r);
                client_arm_idle(r->client);
        }
        r->client = NULL;
}

static HttpRequest *request_destroy(HttpRequest *r) {
        request_detach(r);
        if (r->easy)
                curl_easy_cleanup(r->easy);
        sd_event_source_disable_unref(r->pause_timer);
        curl_slist_free_all(r->headers);
        free(r->body_copy);
        free(r->answer);
        free(r);
        return NULL;
}

static HttpClient *client_destroy(HttpClient *c) {
        /* requests that their owners still hold go on existing, but nothing will come of them */
        LIST_FOREACH_SAFE(requests, r, c->requests) {
                if (r->freed)
                        request_destroy(r);
                else
                        request_detach(r);
        }
        if (c->multi)
                (void) curl_multi_cleanup(c->multi);
        sd_event_source_disable_unref(c->timer);
        sd_event_source_disable_unref(c->idle_timer);
        sd_event_unref(c->event);
        free(c->user_agent);
        free(c);
        return NULL;
}

static void client_leave(HttpClient *c) {
        if (--c->depth > 0)
                return;
        if (c->freed) {
                (void) client_destroy(c);
                return;
        }
        LIST_FOREACH_SAFE(requests, r, c->requests)
                if (r->freed)
                        request_destroy(r);
}

HttpClient *http_client_free(HttpClient *c) {
        if (!c)
                return NULL;
        if (c->depth == 0)
                return client_destroy(c);
        c->freed = true;
        return NULL;
}

HttpRequest *http_request_free(HttpRequest *r) {
        if (!r)
                return NULL;
        if (!r->client || r->client->depth == 0)
                return request_destroy(r);
        r->freed = true;
        return NULL;
}

static bool has_header(char *const *headers, const char *name) {
        size_t n = strlen(name);

        STRV_FOREACH(h, headers)
                if (strncasecmp(*h, name, n) == 0 && (*h)[n] == ':')
                        return true;
        return false;
}

static int request_add_header(HttpRequest *r, const char *header) {
        struct curl_slist *list;

        if (strpbrk(header, "\r\n"))
                return -EINVAL;
        list = curl_slist_append(r->headers, header);
        if (!list)
                return -ENOMEM;
        r->headers = list;
        return 0;
}

/* An empty value takes out what curl would send by itself. */
static int request_set_headers(HttpRequest *r, const HttpOptions *o) {
        int k;

        STRV_FOREACH(h, o->headers) {
                k = request_add_header(r, *h);
                if (k < 0)
                        return k;
        }
        if (!has_header(o->headers, "Content-Type")) {
                k = request_add_header(r, "Content-Type:");
                if (k < 0)
                        return k;
        }
        k = request_add_header(r, "Expect:");
        if (k < 0)
                return k;
        return curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers) == CURLE_OK ? 0 : -ENOMEM;
}

static int option_result(CURLcode code) {
        return code == CURLE_OK ? 0 : code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

#define SET(r, option, value)                                                                               \
        do {                                                                                                \
                int _k_ = option_result(curl_easy_setopt((r)->easy, (option), (value)));                    \
                if (_k_ < 0)                                                                                \
                        return _k_;                                                                         \
        } while (false)

static int request_set_method(HttpRequest *r, const HttpOptions *o) {
        const char *method = o->method ?: "GET";

        if (streq(method, "HEAD")) {
                SET(r, CURLOPT_NOBODY, 1L);
                return 0;
        }
        if (streq(method, "GET") && o->body_size == 0)
                return 0;
        if (o->body_size > 0 || !streq(method, "DELETE")) {
                const void *body = o->body;
                if (o->body_size > 0 && !o->body_borrowed) {
                        r->body_copy = memdup(o->body, o->body_size);
                        if (!r->body_copy)
                                return -ENOMEM;
                        body = r->body_copy;
                }
                SET(r, CURLOPT_POST, 1L);
                SET(r, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) o->body_size);
                SET(r, CURLOPT_POSTFIELDS, (const char *) (o->body_size > 0 ? body : ""));
        }
        SET(r, CURLOPT_CUSTOMREQUEST, method);
        return 0;
}

static int request_set_tls(HttpRequest *r, const HttpOptions *o) {
        SET(r, CURLOPT_PROTOCOLS_STR, "https");
        SET(r, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        SET(r, CURLOPT_SSL_VERIFYPEER, o->insecure ? 0L : 1L);
        SET(r, CURLOPT_SSL_VERIFYHOST, o->insecure ? 0L : 2L);
        if (o->ca_pem) {
                struct curl_blob blob = {
                        .data = (void *) o->ca_pem,
                        .len = strlen(o->ca_pem),
                        .flags = CURL_BLOB_COPY,
                };
                /* without these two the system's authorities would be trusted besides */
                SET(r, CURLOPT_CAINFO, (const char *) NULL);
                SET(r, CURLOPT_CAPATH, (const char *) NULL);
                SET(r, CURLOPT_CAINFO_BLOB, &blob);
        }
        return 0;
}

static long seconds_up(usec_t t) {
        return (long) MIN((t + USEC_PER_SEC - 1) / USEC_PER_SEC, (usec_t) INT_MAX);
}

static long milliseconds_up(usec_t t) {
        return (long) MIN((t + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (usec_t) INT_MAX);
}

static int request_set_limits(HttpRequest *r, const HttpOptions *o) {
        usec_t low_speed = o->low_speed_time ?: LOW_SPEED_TIME_DEFAULT;

        if (o->timeout > 0 && o->timeout != USEC_INFINITY)
                SET(r, CURLOPT_TIMEOUT_MS, milliseconds_up(o->timeout));
        SET(r, CURLOPT_CONNECTTIMEOUT_MS, milliseconds_up(o->connect_timeout ?: CONNECT_TIMEOUT_DEFAULT));
        if (low_speed != USEC_INFINITY) {
                SET(r, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
                SET(r, CURLOPT_LOW_SPEED_TIME, seconds_up(low_speed));
        }
        if (o->resume_from > 0) {
                /* not CURLOPT_RESUME_FROM: with that, curl itself fails when the server starts over */
                char range[32];
                snprintf(range, sizeof(range), "%" PRIu64 "-", o->resume_from);
                SET(r, CURLOPT_RANGE, range);
        }
        return 0;
}

static int request_set_options(HttpRequest *r, const HttpOptions *o) {
        int k;

        SET(r, CURLOPT_URL, o->url);
        SET(r, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
        SET(r, CURLOPT_USERAGENT, r->client->user_agent);
        SET(r, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        SET(r, CURLOPT_FOLLOWLOCATION, 0L);
        SET(r, CURLOPT_HTTP_CONTENT_DECODING, 0L);
        SET(r, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        SET(r, CURLOPT_TCP_KEEPALIVE, 1L);
        SET(r, CURLOPT_NOSIGNAL, 1L);
        /* names are resolved by a thread of curl's own, which touches nothing of ours; cancelling must not
         * wait for it */
        SET(r, CURLOPT_QUICK_EXIT, 1L);
        SET(r, CURLOPT_ERRORBUFFER, r->error_buffer);
        SET(r, CURLOPT_PRIVATE, (void *) r);
        SET(r, CURLOPT_WRITEFUNCTION, on_write);
        SET(r, CURLOPT_WRITEDATA, (void *) r);
        SET(r, CURLOPT_HEADERFUNCTION, on_header);
        SET(r, CURLOPT_HEADERDATA, (void *) r);

        k = request_set_tls(r, o);
        if (k >= 0)
                k = request_set_limits(r, o);
        if (k >= 0)
                k = request_set_method(r, o);
        if (k >= 0)
                k = request_set_headers(r, o);
        return k;
}

int http_request_start(HttpClient *c, const HttpOptions *o, HttpRequest **ret) {
        HttpRequest *r;
        int k;

        if (c->freed)
                return -ESHUTDOWN;
        if (!o->url || !o->on_finish || o->max_size == 0 || strlen(o->url) > URL_MAX)
                return -EINVAL;
        if (strncasecmp(o->url, "https://", 8) != 0)
                return -EPROTONOSUPPORT;

        k = client_open(c);
        if (k < 0)
                return k;
        r = new0(HttpRequest, 1);
        if (!r)
                return -ENOMEM;
        *r = (HttpRequest){
                .client = c,
                .on_data = o->on_data,
                .on_finish = o->on_finish,
                .userdata = o->userdata,
                .resume_from = o->resume_from,
                .max_size = o->max_size,
                .speed_limit = o->speed_limit,
        };
        LIST_APPEND(requests, c->requests, r);

        r->easy = curl_easy_init();
        k = r->easy ? request_set_options(r, o) : -ENOMEM;
        if (k < 0) {
                (void) request_destroy(r);
                return k;
        }
        /* this only arms the timer: nothing is called back before the loop comes round */
        if (curl_multi_add_handle(c->multi, r->easy) != CURLM_OK) {
                (void) request_destroy(r);
                return -EIO;
        }
        r->attached = true;
        *ret = r;
        return 0;
}

uint64_t http_request_offset(const HttpRequest *r) {
        return r->offset;
}

const void *http_request_body(const HttpRequest *r, size_t *ret_size) {
        if (ret_size)
                *ret_size = r->answer_size;
        return r->answer ?: (const uint8_t *) "";
}

const char *http_request_header(const HttpRequest *r, const char *name) {
        return request_header(r, name);
}
