/* SPDX-License-Identifier: Apache-2.0 */

/* Started by test-http-client.py, which is the server. */

#include "http-client.h"

#include <fcntl.h>
#include <stdio.h>

#include "event-util.h"
#include "fs-util.h"
#include "string-util.h"
#include "tests.h"

#define BODY_SIZE 200000U

static const char *port_ok, *port_closed, *port_silent;
static char *ca, *other_ca;
static sd_event *event;
static HttpClient *client;

typedef struct Result {
        bool finished;
        int error;
        unsigned status;
        char message[512];
        uint8_t body[BODY_SIZE];
        size_t size;
        uint64_t offset;
        int refuse;                 /* what on_data answers */
        HttpRequest **free_on_data; /* freed from within on_data */
        bool free_on_finish, free_client_on_finish;
        HttpRequest *request;
} Result;

static uint8_t body_byte(size_t i) {
        return (uint8_t) (i * 7 + i / 256);
}

static int on_data(HttpRequest *r, const void *data, size_t size, void *userdata) {
        Result *x = userdata;

        assert_se(!x->finished);
        if (x->refuse < 0)
                return x->refuse;
        x->offset = http_request_offset(r);
        assert_se(x->offset + x->size + size <= BODY_SIZE);
        memcpy(x->body + x->offset + x->size, data, size);
        x->size += size;
        if (x->free_on_data)
                *x->free_on_data = http_request_free(*x->free_on_data);
        return 0;
}

static void on_finish(HttpRequest *r, int error, unsigned status, const char *message, void *userdata) {
        Result *x = userdata;

        assert_se(!x->finished);
        assert_se(message && string_is_safe(message, 4096));
        x->finished = true;
        x->error = error;
        x->status = status;
        snprintf(x->message, sizeof(x->message), "%s", message);
        if (x->free_on_finish)
                x->request = http_request_free(r);
        if (x->free_client_on_finish)
                client = http_client_free(client);
}

static Result *start(HttpOptions o, const char *port, const char *path) {
        Result *x = calloc(1, sizeof(*x));
        char url[256];

        assert_se(x);
        snprintf(url, sizeof(url), "https://localhost:%s%s", port, path);
        o.url = url;
        o.ca_pem = o.ca_pem ?: o.insecure ? NULL : ca;
        o.max_size = o.max_size ?: 10 * MIB(1);
        o.on_finish = on_finish;
        o.userdata = x;
        assert_ok(http_request_start(client, &o, &x->request));
        assert_se(!x->finished);
        return x;
}

static void wait_for(const Result *x) {
        usec_t end = now(CLOCK_BOOTTIME) + 30 * USEC_PER_SEC;

        while (!x->finished) {
                assert_ok(sd_event_run(event, 100 * USEC_PER_MSEC));
                assert_se(now(CLOCK_BOOTTIME) < end);
        }
}

static void run_for(usec_t t) {
        for (usec_t end = now(CLOCK_BOOTTIME) + t; now(CLOCK_BOOTTIME) < end;)
                assert_ok(sd_event_run(event, 10 * USEC_PER_MSEC));
}

static Result *done(Result *x) {
        x->request = http_request_free(x->request);
        free(x);
        return NULL;
}

static Result *run(HttpOptions o, const char *port, const char *path) {
        Result *x = start(o, port, path);
        wait_for(x);
        return x;
}

static void assert_body(const uint8_t *p, size_t from, size_t to) {
        for (size_t i = from; i < to; i++)
                assert_se(p[i] == body_byte(i));
}

static void test_ok(void) {
        Result *x = run((HttpOptions){ .on_data = on_data }, port_ok, "/ok");
        assert_error(x->error, 0);
        assert_se(x->status == 200 && x->size == BODY_SIZE && x->offset == 0);
        assert_body(x->body, 0, BODY_SIZE);
        assert_streq(http_request_header(x->request, "x-test"), "yes");
        assert_se(!http_request_header(x->request, "X-None"));
        done(x);

        x = run((HttpOptions){ .max_size = BODY_SIZE }, port_ok, "/ok");
        size_t size;
        const uint8_t *body = http_request_body(x->request, &size);
        assert_error(x->error, 0);
        assert_se(size == BODY_SIZE && body[size] == 0);
        assert_body(body, 0, BODY_SIZE);
        done(x);

        x = run((HttpOptions){ .method = "HEAD" }, port_ok, "/ok");
        assert_error(x->error, 0);
        (void) http_request_body(x->request, &size);
        assert_se(x->status == 200 && size == 0);
        assert_streq(http_request_header(x->request, "Content-Length"), "200000");
        done(x);
}

static void test_status(void) {
        Result *x = run((HttpOptions){ .on_data = on_data }, port_ok, "/missing");
        size_t size;
        assert_error(x->error, 0);
        assert_se(x->status == 404 && x->size == 0);
        assert_streq((const char *) http_request_body(x->request, &size), "{\"title\":\"not here\"}");
        done(x);

        x = run((HttpOptions){ 0 }, port_ok, "/missing-endless");
        assert_error(x->error, 0);
        (void) http_request_body(x->request, &size);
        assert_se(x->status == 404 && size == KIB(64));
        done(x);

        x = run((HttpOptions){ .on_data = on_data }, port_ok, "/redirect");
        assert_error(x->error, 0);
        assert_se(x->status == 302 && x->size == 0 && strstr(x->message, "redirect"));
        assert_streq(http_request_header(x->request, "Location"), "/ok");
        done(x);

        /* compression is neither asked for nor undone */
        x = run((HttpOptions){ 0 }, port_ok, "/gzip");
        assert_error(x->error, 0);
        assert_streq((const char *) http_request_body(x->request, NULL), "not really gzip");
        done(x);
}

static void test_methods(void) {
        char *headers[] = { (char *) "Content-Type: application/json", (char *) "X-Give: this", NULL };
        char *bad[] = { (char *) "X-Bad: a\r\nX-Smuggled: b", NULL };
        static char big[2 * 1024 * 1024];
        HttpRequest *r = NULL;

        Result *x = run((HttpOptions){ .method = "POST", .body = "{}", .body_size = 2, .headers = headers },
                        port_ok, "/e");
        assert_error(x->error, 0);
        assert_streq((const char *) http_request_body(x->request, NULL), "POST application/json this 2 {}");
        done(x);

        x = run((HttpOptions){ .method = "POST" }, port_ok, "/e");
        assert_streq((const char *) http_request_body(x->request, NULL), "POST None None 0 ");
        done(x);

        x = run((HttpOptions){ .method = "DELETE" }, port_ok, "/e");
        assert_streq((const char *) http_request_body(x->request, NULL), "DELETE None None 0 ");
        done(x);

        memset(big, 'b', sizeof(big));
        x = run((HttpOptions){ .method = "PUT",
                               .body = big,
                               .body_size = sizeof(big),
                               .body_borrowed = true },
                port_ok, "/e");
        assert_error(x->error, 0);
        assert_se(startswith(http_request_body(x->request, NULL), "PUT None None 2097152 bbb"));
        done(x);

        HttpOptions o = {
                .url = "https://localhost/", .headers = bad, .max_size = 1, .on_finish = on_finish
        };
        assert_error(http_request_start(client, &o, &r), EINVAL);
        o = (HttpOptions){ .url = "https://localhost/", .on_finish = on_finish };
        assert_error(http_request_start(client, &o, &r), EINVAL);
        o = (HttpOptions){ .url = "http://localhost/", .max_size = 1, .on_finish = on_finish };
        assert_error(http_request_start(client, &o, &r), EPROTONOSUPPORT);
        o = (HttpOptions){ .url = "file:///etc/passwd", .max_size = 1, .on_finish = on_finish };
        assert_error(http_request_start(client, &o, &r), EPROTONOSUPPORT);
        assert_se(!r);
}

static void test_resume(void) {
        Result *x = run((HttpOptions){ .on_data = on_data, .resume_from = 150001, .max_size = BODY_SIZE },
                        port_ok, "/range");
        assert_error(x->error, 0);
        assert_se(x->status == 206 && x->offset == 150001 && x->size == BODY_SIZE - 150001);
        assert_body(x->body, 150001, BODY_SIZE);
        done(x);

        /* the server starts over */
        x = run((HttpOptions){ .on_data = on_data, .resume_from = 150001, .max_size = BODY_SIZE }, port_ok,
                "/ok");
        assert_error(x->error, 0);
        assert_se(x->status == 200 && x->offset == 0 && x->size == BODY_SIZE);
        assert_body(x->body, 0, BODY_SIZE);
        done(x);

        x = run((HttpOptions){ .on_data = on_data, .resume_from = BODY_SIZE }, port_ok, "/range");
        assert_error(x->error, 0);
        assert_se(x->status == 416 && x->size == 0);
        done(x);

        /* another range than the one asked for, and one that nobody asked for */
        x = run((HttpOptions){ .on_data = on_data, .resume_from = 1000 }, port_ok, "/range-wrong");
        assert_error(x->error, EBADMSG);
        assert_se(x->size == 0);
        done(x);
        x = run((HttpOptions){ .on_data = on_data }, port_ok, "/range-wrong");
        assert_error(x->error, EBADMSG);
        done(x);

        /* what was skipped counts */
        x = run((HttpOptions){ .on_data = on_data, .resume_from = 150001, .max_size = BODY_SIZE - 1 },
                port_ok, "/range");
        assert_error(x->error, EFBIG);
        assert_se(x->size == 0);
        done(x);
}

static void test_limits(void) {
        Result *x = run((HttpOptions){ .on_data = on_data, .max_size = BODY_SIZE - 1 }, port_ok, "/ok");
        assert_error(x->error, EFBIG);
        assert_se(x->size == 0);
        done(x);

        /* without a length it is noticed on the way */
        x = run((HttpOptions){ .on_data = on_data, .max_size = BODY_SIZE }, port_ok, "/endless");
        assert_error(x->error, EFBIG);
        assert_se(x->size <= BODY_SIZE);
        done(x);

        x = run((HttpOptions){ 0 }, port_ok, "/headers");
        assert_error(x->error, EFBIG);
        done(x);

        x = run((HttpOptions){ .on_data = on_data }, port_ok, "/short");
        assert_error(x->error, ECONNRESET);
        done(x);

        usec_t begin = now(CLOCK_BOOTTIME);
        x = run((HttpOptions){ .on_data = on_data, .speed_limit = 100000 }, port_ok, "/ok");
        assert_error(x->error, 0);
        assert_body(x->body, 0, BODY_SIZE);
        usec_t took = now(CLOCK_BOOTTIME) - begin;
        assert_se(took > 1500 * USEC_PER_MSEC && took < 10 * USEC_PER_SEC);
        done(x);
}

static void test_times(void) {
        usec_t begin = now(CLOCK_BOOTTIME);
        Result *x = run((HttpOptions){ .timeout = 300 * USEC_PER_MSEC }, port_ok, "/stall");
        assert_error(x->error, ETIMEDOUT);
        assert_se(now(CLOCK_BOOTTIME) - begin < 5 * USEC_PER_SEC);
        done(x);

        begin = now(CLOCK_BOOTTIME);
        x = run((HttpOptions){ .on_data = on_data, .low_speed_time = USEC_PER_SEC }, port_ok, "/stall");
        assert_error(x->error, ETIMEDOUT);
        assert_se(x->size == 100);
        assert_se(now(CLOCK_BOOTTIME) - begin < 10 * USEC_PER_SEC);
        done(x);

        /* an event stream may be slow */
        x = start((HttpOptions){ .on_data = on_data, .low_speed_time = USEC_INFINITY }, port_ok, "/trickle");
        run_for(2500 * USEC_PER_MSEC);
        assert_se(!x->finished && x->size > 15);
        done(x);

        begin = now(CLOCK_BOOTTIME);
        x = run((HttpOptions){ .connect_timeout = 300 * USEC_PER_MSEC }, port_silent, "/ok");
        assert_error(x->error, ETIMEDOUT);
        assert_se(now(CLOCK_BOOTTIME) - begin < 5 * USEC_PER_SEC);
        done(x);
}

static void test_trust(void) {
        Result *x = run((HttpOptions){ .ca_pem = other_ca }, port_ok, "/ok");
        assert_error(x->error, EKEYREJECTED);
        assert_se(x->status == 0);
        done(x);

        x = run((HttpOptions){ .ca_pem = "" }, port_ok, "/ok");
        assert_error(x->error, EKEYREJECTED);
        done(x);

        /* also after others on the same connection pool were satisfied */
        x = run((HttpOptions){ .insecure = true }, port_ok, "/ok");
        assert_error(x->error, 0);
        done(x);
        x = run((HttpOptions){ .ca_pem = other_ca }, port_ok, "/ok");
        assert_error(x->error, EKEYREJECTED);
        done(x);

        x = run((HttpOptions){ 0 }, port_closed, "/ok");
        assert_error(x->error, ECONNREFUSED);
        done(x);
}

static void test_cancel(void) {
        /* between two chunks */
        Result *x = start((HttpOptions){ .on_data = on_data, .speed_limit = 50000 }, port_ok, "/ok");
        usec_t end = now(CLOCK_BOOTTIME) + 10 * USEC_PER_SEC;
        while (x->size == 0) {
                assert_ok(sd_event_run(event, 100 * USEC_PER_MSEC));
                assert_se(now(CLOCK_BOOTTIME) < end);
        }
        x->request = http_request_free(x->request);
        run_for(200 * USEC_PER_MSEC);
        assert_se(!x->finished && x->size < BODY_SIZE);
        done(x);

        /* by on_data's answer */
        x = start((HttpOptions){ .on_data = on_data }, port_ok, "/ok");
        x->refuse = -ENOSPC;
        wait_for(x);
        assert_error(x->error, ENOSPC);
        done(x);

        /* from within on_data: itself, and another one */
        x = start((HttpOptions){ .on_data = on_data }, port_ok, "/ok");
        x->free_on_data = &x->request;
        run_for(500 * USEC_PER_MSEC);
        assert_se(!x->finished && x->size > 0 && x->size < BODY_SIZE && !x->request);
        done(x);

        x = start((HttpOptions){ .on_data = on_data }, port_ok, "/ok");
        Result *y = start((HttpOptions){ .on_data = on_data, .speed_limit = 10000 }, port_ok, "/ok");
        x->free_on_data = &y->request;
        wait_for(x);
        run_for(200 * USEC_PER_MSEC);
        assert_error(x->error, 0);
        assert_se(!y->finished && !y->request);
        done(x);
        done(y);

        x = start((HttpOptions){ .on_data = on_data }, port_ok, "/ok");
        x->free_on_finish = true;
        wait_for(x);
        assert_error(x->error, 0);
        assert_se(!x->request);
        done(x);
}

static void test_client_gone(void) {
        Result *x = start((HttpOptions){ .on_data = on_data, .speed_limit = 10000 }, port_ok, "/ok");
        Result *y = start((HttpOptions){ .on_data = on_data }, port_ok, "/ok");

        y->free_client_on_finish = true;
        wait_for(y);
        assert_error(y->error, 0);
        run_for(200 * USEC_PER_MSEC);
        assert_se(!x->finished);
        done(x);
        done(y);
        assert_se(!client);
}

static char *read_text(const char *path) {
        void *text;
        size_t size;

        assert_ok(file_read_at(AT_FDCWD, path, MIB(1), &text, &size));
        return text;
}

static size_t open_descriptors(void) {
        _cleanup_strv_free_ char **names = NULL;
        assert_ok(dir_list_at(AT_FDCWD, "/proc/thread-self/fd", &names));
        return strv_length(names);
}

/* What nobody uses is given back, and made anew for who comes then. */
static void test_idle(void) {
        HttpClient *kept = client;

        run_for(50 * USEC_PER_MSEC); /* what earlier tests left */
        assert_ok(http_client_new(&client, event, "idle/1"));
        size_t before = open_descriptors();
        http_client_set_idle(client, 200 * USEC_PER_MSEC);
        assert_se(http_client_received(client) == 0);
        Result *x = run((HttpOptions){ .on_data = on_data }, port_ok, "/ok");
        assert_error(x->error, 0);
        assert_se(http_client_received(client) == BODY_SIZE);
        done(x);
        run_for(600 * USEC_PER_MSEC);
        assert_se(open_descriptors() < before); /* not even what an unused one holds */

        x = start((HttpOptions){}, port_silent, "/"); /* one that waits is not idle */
        run_for(500 * USEC_PER_MSEC);
        assert_se(!x->finished);
        done(x);
        x = run((HttpOptions){ .on_data = on_data }, port_ok, "/ok");
        assert_error(x->error, 0);
        assert_se(http_client_received(client) == 2 * BODY_SIZE);
        done(x);
        http_client_free(client);
        client = kept;
}

int main(int argc, char *argv[]) {
        assert_se(argc == 6);
        port_ok = argv[1];
        port_closed = argv[2];
        port_silent = argv[3];
        ca = read_text(argv[4]);
        other_ca = read_text(argv[5]);

        assert_ok(sd_event_default(&event));
        assert_ok(http_client_new(&client, event, "test-http-client"));
        test_ok();
        test_status();
        test_methods();
        test_resume();
        test_limits();
        test_times();
        test_trust();
        test_cancel();
        test_idle();
        test_client_gone();
        sd_event_unref(event);
        free(ca);
        free(other_ca);
        return 0;
}
