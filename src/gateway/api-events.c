/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"
#include "parse-util.h"
#include "pki-cert.h"
#include "string-util.h"

static void events_on_wakeup(void *userdata) {
        http_stream_wakeup(userdata);
}

/* A stream lives no longer than the token or the session that opened it: looked at with every event, and every heartbeat. */
static ssize_t events_pull(HttpExchange *x, char *buffer, size_t size, void *userdata) {
        Gateway *g = userdata;

        if (!auth_is_valid(g->auth, http_exchange_caller(x), now(CLOCK_REALTIME)))
                return -EKEYEXPIRED;
        return (ssize_t) event_subscriber_pull(http_exchange_get_context(x), buffer, size);
}

/* The area that shows the same things when they are asked for. */
static ApiArea topic_area(const char *topic) {
        static const struct {
                const char *topic;
                ApiArea area;
        } areas[] = {
                { "agent", API_AREA_AGENTS },     { "labels", API_AREA_AGENTS },
                { "group", API_AREA_AGENTS },     { "update", API_AREA_ROLLOUTS },
                { "desired", API_AREA_ROLLOUTS }, { "rollout", API_AREA_ROLLOUTS },
                { "release", API_AREA_RELEASES },
        };

        for (size_t i = 0; i < ELEMENTSOF(areas); i++)
                if (streq(areas[i].topic, topic))
                        return areas[i].area;
        return API_AREA_AUDIT; /* one that was forgotten here is for few, rather than for all */
}

/* A token for events alone opens no other area by the back door: what it is not made for is left out, or refused when it
 * was asked for by name. */
static int events_allowed(HttpExchange *x, char ***topics) {
        ApiScopes scopes = http_exchange_caller(x)->scopes;
        bool by_name = *topics;
        char **allowed = NULL;
        int r = 0;

        for (char *const *t = by_name ? *topics : (char *const *) event_topics; r >= 0 && *t; t++)
                if (api_scopes_include(scopes, topic_area(*t)))
                        r = strv_extend(&allowed, *t);
                else if (by_name)
                        r = -EACCES;
        if (r >= 0 && !allowed)
                r = -EACCES;
        if (r == -EACCES)
                http_reply_problem(
                                x, HTTP_PROBLEM_FORBIDDEN, "?topics",
                                "The token is not made for what these events are about: they need its scope, too.");
        strv_free(r < 0 ? allowed : *topics);
        if (r >= 0)
                *topics = allowed;
        return MIN(r, 0);
}

static int events_topics(HttpExchange *x, char ***ret) {
        const char *text = http_exchange_parameter(x, "topics");
        _cleanup_strv_free_ char **topics = NULL;
        _cleanup_free_ char *list = NULL;
        bool good;
        int r;

        if (!text)
                return 0;
        r = strv_split(text, ",", &topics);
        if (r < 0)
                return r;
        good = strv_length(topics) > 0; /* none would be all */
        STRV_FOREACH(t, topics)
        good = good && strv_contains((char *const *) event_topics, *t);
        if (good) {
                *ret = TAKE_PTR(topics);
                return 0;
        }
        list = strv_join((char *const *) event_topics, ", ");
        api_refuse_parameter(
                        x, "topics", "topics= must name some of these, separated by commas: %s.",
                        strempty(list));
        return -EINVAL;
}

/* A proxy must hold nothing back. */
static void set_headers(HttpExchange *x) {
        http_reply_header(x, "Cache-Control", "no-store");
        http_reply_header(x, "X-Accel-Buffering", "no");
}

void api_events(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;
        const char *agent = http_exchange_parameter(x, "agent"),
                   *last = http_exchange_header(x, "Last-Event-ID");
        _cleanup_strv_free_ char **topics = NULL;
        _cleanup_free_ char *owner = NULL;
        EventSubscriber *subscriber;
        uint64_t last_id = 0;
        int r;

        r = events_topics(x, &topics);
        if (r >= 0)
                r = events_allowed(x, &topics);
        if (r < 0) {
                if (!http_exchange_is_answered(x))
                        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        if (agent && !pki_agent_id_is_valid(agent)) {
                api_refuse_parameter(x, "agent", "agent= is no agent id.");
                return;
        }
        if (!isempty(last) && parse_u64(last, &last_id) < 0)
                last_id = UINT64_MAX;        /* of something else: reset */
        if (http_exchange_is_head(x)) {
                set_headers(x);
                http_reply_data(x, 200, "text/event-stream", NULL, 0);
                return;
        }
        r = api_caller_owner(http_exchange_caller(x), &owner);
        if (r >= 0)
                r = event_ring_subscribe(
                                g->events, owner, topics, agent, last_id, events_on_wakeup, x, &subscriber);
        if (r < 0) {
                http_reply_problem(
                                x,
                                IN_SET(r, -ENOBUFS, -EDQUOT) ? HTTP_PROBLEM_TOO_MANY : HTTP_PROBLEM_INTERNAL,
                                NULL, "%s",
                                r == -EDQUOT  ? "You have too many event streams now." :
                                r == -ENOBUFS ? "There are too many event streams now." :
                                                "Out of memory.");
                return;
        }
        http_exchange_set_context(x, subscriber);
        set_headers(x);
        http_reply_stream(x, "text/event-stream", events_pull, g);
}

void api_events_end(HttpExchange *x, void *userdata) {
        event_subscriber_free(http_exchange_get_context(x));
}
