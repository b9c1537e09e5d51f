/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-fetch.h"

#include "alloc-util.h"
#include "event-util.h"
#include "string-util.h"

#define TIMEOUT_DEFAULT (5 * USEC_PER_MINUTE)
#define HTTP_OK 200U
#define HTTP_FORBIDDEN 403U
#define HTTP_NOT_FOUND 404U

struct TufFetch {
        sd_event *event;
        HttpClient *http;
        TufRefresh *refresh;
        HttpRequest *request;
        sd_event_source *finish_source;
        char *metadata_url, *ca_pem;
        usec_t deadline; /* CLOCK_BOOTTIME */
        tuf_fetch_on_finish_t on_finish;
        void *userdata;
};

static int on_deferred_finish(sd_event_source *s, void *userdata) {
        TufFetch *f = userdata;

        /* the callback may free f: nothing of it is touched afterwards */
        f->on_finish(f, tuf_refresh_error(f->refresh), tuf_refresh_outcome(f->refresh),
                     tuf_refresh_message(f->refresh), f->userdata);
        return 0;
}

/* Always from the loop, so that a callback never runs within tuf_fetch_start(). */
static int finish_later(TufFetch *f) {
        return event_defer_once(f->event, &f->finish_source, on_deferred_finish, f, "tuf-fetch-finish");
}

static void
on_request_finish(HttpRequest *request, int error, unsigned status, const char *message, void *userdata);

static int request_next(TufFetch *f) {
        _cleanup_free_ char *url = NULL;
        usec_t left = usec_sub(f->deadline, now(CLOCK_BOOTTIME));
        const char *name;
        size_t max;
        int r;

        if (tuf_refresh_next(f->refresh, &name, &max) <= 0)
                return finish_later(f);
        if (left == 0) {
                r = tuf_refresh_fail(f->refresh, TUF_TRANSPORT, "the refresh took too long");
                return r < 0 ? r : finish_later(f);
        }

        url = strjoinf("%s%s", f->metadata_url, name);
        if (!url)
                return -ENOMEM;
        HttpOptions options = {
                .url = url,
                .ca_pem = f->ca_pem,
                .max_size = MAX(max, (size_t) 1), /* a signed length of 0 is refused by what arrives */
                .timeout = left,
                .on_finish = on_request_finish,
                .userdata = f,
        };
        r = http_request_start(f->http, &options, &f->request);
        if (IN_SET(r, -EINVAL, -EPROTONOSUPPORT)) {
                r = tuf_refresh_fail(
                                f->refresh, TUF_TRANSPORT,
                                "the URL of the repository is no valid https:// URL");
                return r < 0 ? r : finish_later(f);
        }
        return r;
}

static void
on_request_finish(HttpRequest *request, int error, unsigned status, const char *message, void *userdata) {
        _cleanup_(http_request_freep) _unused_ HttpRequest *finished = request;
        TufFetch *f = userdata;
        const void *body;
        size_t size;
        int r;

        f->request = NULL;
        if (status == HTTP_NOT_FOUND || status == HTTP_FORBIDDEN)
                r = tuf_refresh_not_found(f->refresh);
        else if (error == -EFBIG)
                r = tuf_refresh_fail(f->refresh, TUF_TOO_LARGE, message);
        else if (error < 0)
                r = tuf_refresh_fail(f->refresh, TUF_TRANSPORT, message);
        else if (status != HTTP_OK) {
                _cleanup_free_ char *text = strjoinf("the server answered with status %u", status);
                r = tuf_refresh_fail(f->refresh, TUF_TRANSPORT, text ?: message);
        } else {
                body = http_request_body(request, &size);
                r = tuf_refresh_feed(f->refresh, body ?: "", size);
        }
        if (r >= 0)
                r = request_next(f);
        else if (tuf_refresh_is_finished(f->refresh))
                r = finish_later(f);
        /* without memory for an event source nobody else would ever tell the owner; f may be gone after that
         */
        if (r < 0)
                f->on_finish(f, r, TUF_FAILED, strerror(-r), f->userdata);
}

int tuf_fetch_start(const TufFetchOptions *options, TufFetch **ret) {
        _cleanup_(tuf_fetch_freep) TufFetch *f = NULL;
        int r;

        f = new0(TufFetch, 1);
        if (!f)
                return -ENOMEM;
        f->event = sd_event_ref(options->event);
        f->http = options->http;
        f->on_finish = options->on_finish;
        f->userdata = options->userdata;
        f->deadline = usec_add(now(CLOCK_BOOTTIME), options->timeout_usec ?: TIMEOUT_DEFAULT);
        f->metadata_url = strjoinf(
                        "%s%s", options->metadata_url, endswith(options->metadata_url, "/") ? "" : "/");
        if (!f->metadata_url)
                return -ENOMEM;
        r = free_and_strdup(&f->ca_pem, options->ca_pem);
        if (r < 0)
                return r;

        TufRefreshOptions refresh_options = {
                .store = options->store,
                .trusted_root = options->trusted_root,
                .trusted_root_size = options->trusted_root_size,
                .now_usec = options->now_usec,
        };
        r = tuf_refresh_new(&refresh_options, &f->refresh);
        if (r < 0)
                return r;
        r = request_next(f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

TufFetch *tuf_fetch_free(TufFetch *f) {
        if (f) {
                http_request_free(f->request);
                sd_event_source_disable_unref(f->finish_source);
                sd_event_unref(f->event);
                tuf_refresh_free(f->refresh);
                free(f->metadata_url);
                free(f->ca_pem);
                free(f);
        }
        return NULL;
}

const TufRefresh *tuf_fetch_refresh(const TufFetch *f) {
        return f->refresh;
}

int tuf_fetch_target_url(const char *targets_url, const TufTarget *target, char **ret) {
        _cleanup_free_ char *path = NULL;

        int r = tuf_target_file_path(target, &path);
        if (r < 0)
                return r;
        char *url = strjoinf("%s%s%s", targets_url, endswith(targets_url, "/") ? "" : "/", path);
        if (!url)
                return -ENOMEM;
        *ret = url;
        return 0;
}
