/* SPDX-License-Identifier: Apache-2.0 */

/* Requests to the gateway's REST interface, one at a time, and what its errors mean for an exit status. */

#include <ctype.h>
#include <signal.h>

#include "alloc-util.h"
#include "cli-table.h"
#include "cli-yaml.h"
#include "crypto.h"
#include "event-util.h"
#include "gatewayctl.h"
#include "hex.h"
#include "string-util.h"

#define CALL_TIMEOUT (5 * USEC_PER_MINUTE) /* an import is verified within this */
#define CONNECT_TIMEOUT (10 * USEC_PER_SEC)
#define ANSWER_MAX MIB(64)
#define REPEAT_PAUSE USEC_PER_SEC
#define REPEATS_MAX 5U      /* of a request whose answer was lost */
#define REPEATS_BUSY_MAX 60U /* while the gateway still works on it */

char *url_escape(const char *s) {
        static const char digits[] = "0123456789ABCDEF";
        char *out, *p;

        p = out = calloc(strlen(s) + 1, 3);
        if (!out)
                return NULL;
        for (; *s; s++) {
                unsigned char c = (unsigned char) *s;

                if ((c < 0x80 && isalnum(c)) || strchr("-._~", c))
                        *p++ = (char) c;
                else {
                        *p++ = '%';
                        *p++ = digits[c >> 4];
                        *p++ = digits[c & 15];
                }
        }
        return out;
}

bool agent_id_is_plain(const char *s) {
        return filename_is_plain(s) && strlen(s) <= 64;
}

CliExit print_json(const GatewayCtl *c, json_t *v) {
        int r = c->yaml ? cli_yaml_print(v) : cli_json_print(v, c->json);

        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the answer: %s", strerror(-r)) : CLI_OK;
}

CliExit api_open(GatewayCtl *c) {
        CliExit code;
        int r;

        if (c->http)
                return CLI_OK;
        code = gatewayctl_configure(c);
        if (code != CLI_OK)
                return code;
        r = sd_event_new(&c->event);
        if (r >= 0)
                r = http_client_new(&c->http, c->event, "fleet-gatewayctl");
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot start: %s", strerror(-r)) : CLI_OK;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        GatewayCtl *c = userdata;

        c->signal = (int) info->ssi_signo;
        return 0;
}

int api_catch_signals(GatewayCtl *c) {
        sigset_t mask;
        int r;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        r = sd_event_add_signal(c->event, NULL, SIGINT, on_signal, c);
        return r < 0 ? r : sd_event_add_signal(c->event, NULL, SIGTERM, on_signal, c);
}

int api_url(const GatewayCtl *c, const char *path, char **ret) {
        *ret = strjoinf("%s%s", c->gateway, path);
        return *ret ? 0 : -ENOMEM;
}

int api_headers(const GatewayCtl *c, const char *more, char ***ret) {
        _cleanup_strv_free_ char **headers = NULL;
        char *authorization;
        int r;

        authorization = strjoinf("Authorization: Bearer %s", c->token);
        r = authorization ? strv_consume(&headers, authorization) : -ENOMEM;
        if (r >= 0 && more)
                r = strv_extend(&headers, more);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(headers);
        return 0;
}

static CliExit exit_from_status(unsigned status, const char *type) {
        switch (status) {
        case 400:
        case 413:
                return CLI_USAGE;
        case 401:
        case 403:
                return CLI_AUTH;
        case 404:
                return CLI_NOT_FOUND;
        case 409:
        case 412:
        case 428:
                return CLI_CONFLICT;
        case 422:
                return endswith(type, ":unknown-version") ? CLI_NOT_FOUND : CLI_ERROR;
        default:
                return CLI_ERROR;
        }
}

static CliExit fail_network(const GatewayCtl *c, int error, const char *message) {
        switch (error) {
        case -EKEYREJECTED:
                return cli_fail(CLI_ERROR,
                                "The certificate of %s is not to be trusted: %s. Is %s the gateway's CA?",
                                c->gateway, message,
                                c->ca_pem ? c->ca_path : "one of the system's authorities");
        case -ECONNREFUSED:
        case -EHOSTUNREACH:
        case -ENETUNREACH:
                return cli_fail(CLI_ERROR,
                                "The gateway at %s cannot be reached: %s. Is fleet-gateway.service running there, and is "
                                "the address right (--gateway=, FLEET_GATEWAY)?",
                                c->gateway, message);
        default:
                return cli_fail(CLI_ERROR, "The request to %s failed: %s", c->gateway, message);
        }
}

/* The option that the member of the request came from which is to blame; NULL: none. */
static const char *blame(const GatewayCtl *c, json_t *problem) {
        const char *pointer = json_text(json_array_get(json_object_get(problem, "errors"), 0), "pointer");

        return c->blame && !isempty(pointer) ? c->blame(c, pointer) : NULL;
}

CliExit
api_fail(const GatewayCtl *c,
         int error,
         unsigned status,
         const char *message,
         const void *body,
         size_t size) {
        _cleanup_json_ json_t *problem = NULL;
        const char *detail, *title, *id, *blamed;
        CliExit code;

        if (error < 0)
                return fail_network(c, error, message);
        (void) json_parse(body, size, KIB(64), &problem, NULL);
        code = exit_from_status(status, json_text(problem, "type"));
        title = json_text(problem, "title");
        detail = json_text(problem, "detail");
        id = json_text(problem, "request_id");
        blamed = blame(c, problem);
        if (blamed && !isempty(detail))
                return cli_fail(code, "%s: %s", blamed, detail);
        if (isempty(title) && isempty(detail))
                return cli_fail(code, "The gateway at %s answered %u. Is that fleet-agent's gateway?",
                                c->gateway, status);
        return cli_fail(code, "%s%s%s%s%s%s", title,
                        isempty(title) || isempty(detail) || endswith(title, ".") ? "" : ".",
                        isempty(title) || isempty(detail) ? "" : " ", detail,
                        status >= 500 && !isempty(id) ? " Request id: " : "", status >= 500 ? id : "");
}

/* ---- one request ---- */

typedef struct Answer {
        bool finished;
        int error;
        unsigned status;
        char *message;
        HttpRequest *request;
} Answer;

static void on_finish(HttpRequest *r, int error, unsigned status, const char *message, void *userdata) {
        Answer *a = userdata;

        a->finished = true;
        a->error = error;
        a->status = status;
        a->message = strdup(message);
}

static void answer_done(Answer *a) {
        http_request_free(a->request);
        free(a->message);
}

static CliExit api_run(GatewayCtl *c, HttpOptions *o, const char *path, char *const *more, Answer *ret) {
        _cleanup_strv_free_ char **headers = NULL;
        _cleanup_free_ char *url = NULL;
        CliExit code;
        int r;

        code = api_open(c);
        if (code != CLI_OK)
                return code;
        r = api_url(c, path, &url);
        if (r >= 0)
                r = api_headers(c, NULL, &headers);
        STRV_FOREACH(m, more)
        if (r >= 0)
                r = strv_extend(&headers, *m);
        if (r >= 0) {
                o->url = url;
                o->headers = headers;
                o->ca_pem = c->ca_pem;
                o->max_size = ANSWER_MAX;
                o->timeout = CALL_TIMEOUT;
                o->connect_timeout = CONNECT_TIMEOUT;
                o->low_speed_time = USEC_INFINITY; /* the timeout above counts */
                o->on_finish = on_finish;
                o->userdata = ret;
                r = http_request_start(c->http, o, &ret->request);
        }
        while (r >= 0 && !ret->finished && !c->signal)
                r = sd_event_run(c->event, UINT64_MAX);
        if (headers)
                memory_wipe(headers[0], strlen(headers[0]));
        if (r < 0)
                return cli_fail(CLI_ERROR, "The request to %s cannot be made: %s", c->gateway, strerror(-r));
        return ret->finished ? CLI_OK : CLI_ERROR;
}

static CliExit api_check(GatewayCtl *c, const Answer *a) {
        const void *body;
        size_t size;

        if (a->error == 0 && a->status >= 200 && a->status < 300)
                return CLI_OK;
        body = http_request_body(a->request, &size);
        return api_fail(c, a->error, a->status, strempty(a->message), body, size);
}

static CliExit answer_parse(const Answer *a, json_t **ret) {
        _cleanup_free_ char *why = NULL;
        const void *body;
        size_t size;
        int r;

        body = http_request_body(a->request, &size);
        r = json_parse(body, size, ANSWER_MAX, ret, &why);
        if (r < 0)
                return cli_fail(CLI_ERROR, "The gateway's answer is no JSON: %s", why ?: strerror(-r));
        return CLI_OK;
}

CliExit api_call(GatewayCtl *c, const char *method, const char *path, json_t *body, json_t **ret) {
        return api_call_with(c, method, path, NULL, body, ret, NULL);
}

/* What goes along with it. NULL-terminated, or NULL. */
static int more_headers(const char *header, bool has_body, char ***ret) {
        int r = 0;

        if (has_body)
                r = strv_extend(ret, "Content-Type: application/json");
        if (r >= 0 && header)
                r = strv_extend(ret, header);
        return r;
}

CliExit
api_call_with(GatewayCtl *c,
              const char *method,
              const char *path,
              const char *header,
              json_t *body,
              json_t **ret,
              char **ret_etag) {

        _cleanup_strv_free_ char **headers = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_(answer_done) Answer a = { 0 };
        HttpOptions o = { .method = method };
        CliExit code;

        if (body) {
                text = json_format(body, false);
                if (!text)
                        return cli_fail(CLI_ERROR, "Out of memory.");
                o.body = text;
                o.body_size = strlen(text);
        }
        if (more_headers(header, !!body, &headers) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_run(c, &o, path, headers, &a);
        if (text)
                memory_wipe(text, strlen(text));     /* there may be a password in it */
        if (code == CLI_OK)
                code = api_check(c, &a);
        if (code == CLI_OK && ret_etag) {
                const char *etag = http_request_header(a.request, "ETag");

                *ret_etag = etag ? strdup(etag) : NULL;
        }
        return code == CLI_OK && ret ? answer_parse(&a, ret) : code;
}

/* ---- one that may be repeated ---- */

static bool answer_is_busy(const Answer *a) {
        _cleanup_json_ json_t *problem = NULL;
        const void *body;
        size_t size;

        if (a->error < 0 || a->status != 409)
                return false;
        body = http_request_body(a->request, &size);
        (void) json_parse(body, size, KIB(64), &problem, NULL);
        return endswith(json_text(problem, "type"), ":idempotency-busy");
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata) {
        *(bool *) userdata = true;
        return 0;
}

static CliExit pause_before_repeat(GatewayCtl *c) {
        sd_event_source *timer = NULL;
        bool over = false;
        int r;

        r = event_timer_arm(c->event, &timer, REPEAT_PAUSE, on_pause_over, &over, "repeat");
        while (r >= 0 && !over && !c->signal)
                r = sd_event_run(c->event, UINT64_MAX);
        sd_event_source_disable_unref(timer);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot wait: %s", strerror(-r)) : c->signal ? CLI_ERROR : CLI_OK;
}

/* Was it sent, and is nothing known of what became of it? */
static bool answer_is_lost(const Answer *a) {
        return IN_SET(a->error, -ECONNRESET, -ETIMEDOUT, -EPIPE, -EIO);
}

/* Is there anything to wait for? n: requests so far. */
static bool may_repeat(const Answer *a, bool lost, unsigned n) {
        if (!lost || n >= REPEATS_BUSY_MAX)
                return false;
        /* it may be away for a moment, to be started again */
        return a->error < 0 ? n <= REPEATS_MAX : answer_is_busy(a);
}

static CliExit post_repeatedly(
                GatewayCtl *c, const char *path, char *const *headers, const char *text, json_t **ret) {
        bool lost = false;

        for (unsigned n = 1;; n++) {
                HttpOptions o = { .method = "POST", .body = text, .body_size = strlen(text) };
                _cleanup_(answer_done) Answer a = { 0 };
                CliExit code;

                code = api_run(c, &o, path, headers, &a);
                if (code != CLI_OK)
                        return code;
                if (!lost && answer_is_lost(&a))
                        cli_note("The connection broke before the answer came; asking again, which does "
                                 "nothing twice.");
                lost = lost || answer_is_lost(&a);
                if (!may_repeat(&a, lost, n)) {
                        code = api_check(c, &a);
                        if (a.error < 0 && lost)
                                cli_note("Whether it was done is not known: look before you ask again.");
                        return code == CLI_OK && ret ? answer_parse(&a, ret) : code;
                }
                code = pause_before_repeat(c);
                if (code != CLI_OK)
                        return code;
        }
}

CliExit api_post(GatewayCtl *c, const char *path, json_t *body, json_t **ret) {
        return api_post_with(c, path, NULL, body, ret);
}

CliExit api_post_with(GatewayCtl *c, const char *path, const char *header, json_t *body, json_t **ret) {
        _cleanup_strv_free_ char **headers = NULL;
        _cleanup_free_ char *text = json_format(body, false), *key = NULL;
        uint8_t random[16];
        char hex[2 * sizeof(random) + 1];

        random_bytes(random, sizeof(random));
        hex_encode(random, sizeof(random), hex);
        key = strjoinf("Idempotency-Key: %s", hex);
        if (!text || !key || more_headers(key, /* has_body= */ true, &headers) < 0 ||
            (header && strv_extend(&headers, header) < 0))
                return cli_fail(CLI_ERROR, "Out of memory.");
        return post_repeatedly(c, path, headers, text, ret);
}

CliExit api_get_text(GatewayCtl *c, const char *path, const char *header, char **ret, size_t *ret_size) {
        HttpOptions o = { .method = "GET" };
        _cleanup_(answer_done) Answer a = { 0 };
        const void *body;
        CliExit code;

        code = api_run(c, &o, path, (char *[]){ (char *) header, NULL }, &a);
        if (code == CLI_OK)
                code = api_check(c, &a);
        if (code != CLI_OK)
                return code;
        body = http_request_body(a.request, ret_size);
        *ret = memdup_suffix0(body, *ret_size);
        return *ret ? CLI_OK : cli_fail(CLI_ERROR, "Out of memory.");
}

CliExit api_delete(GatewayCtl *c, const char *path, const char *argument) {
        _cleanup_free_ char *escaped = url_escape(argument), *whole = NULL;

        whole = escaped ? strjoinf("%s/%s", path, escaped) : NULL;
        return whole ? api_call(c, "DELETE", whole, NULL, NULL) : cli_fail(CLI_ERROR, "Out of memory.");
}

CliExit api_put(GatewayCtl *c, const char *path, const void *data, size_t size) {
        HttpOptions o = { .method = "PUT", .body = data, .body_size = size, .body_borrowed = true };
        _cleanup_(answer_done) Answer a = { 0 };
        CliExit code;

        code = api_run(c, &o, path, (char *[]){ (char *) "Content-Type: application/octet-stream", NULL },
                       &a);
        return code == CLI_OK ? api_check(c, &a) : code;
}

CliExit api_exists(GatewayCtl *c, const char *path, bool *ret) {
        HttpOptions o = { .method = "HEAD" };
        _cleanup_(answer_done) Answer a = { 0 };
        CliExit code;

        code = api_run(c, &o, path, NULL, &a);
        if (code != CLI_OK)
                return code;
        *ret = a.error == 0 && a.status == 200;
        return a.error == 0 && IN_SET(a.status, 200, 404) ? CLI_OK : api_check(c, &a);
}
