/* SPDX-License-Identifier: Apache-2.0 */

#include "progress.h"

#include <time.h>

#include "alloc-util.h"
#include "string-util.h"

#define SEEN_MAX 10000U

struct Progress {
        FILE *f;
        json_t *names; /* agent id -> host name */
        json_t *seen;  /* update id -> what was shown last */
};

int progress_new(Progress **ret, FILE *f) {
        _cleanup_(progress_freep) Progress *p = new0(Progress, 1);

        if (!p)
                return -ENOMEM;
        p->f = f;
        p->names = json_object();
        p->seen = json_object();
        if (!p->names || !p->seen)
                return -ENOMEM;
        *ret = TAKE_PTR(p);
        return 0;
}

Progress *progress_free(Progress *p) {
        if (!p)
                return NULL;
        json_decref(p->names);
        json_decref(p->seen);
        free(p);
        return NULL;
}

static void learn_one(Progress *p, json_t *agent) {
        const char *id = json_text(agent, "id"),
                   *host = json_text(json_object_get(agent, "facts"), "hostname");

        if (!isempty(id) && !isempty(host))
                (void) json_object_set_new(p->names, id, json_string(host));
}

void progress_learn(Progress *p, json_t *agents) {
        json_t *agent;
        size_t i;

        json_array_foreach(agents, i, agent)
                learn_one(p, agent);
}

static void print_line(Progress *p, const char *id, CliStyle style, const char *text) {
        const char *name = json_text(p->names, id);
        _cleanup_free_ char *safe_name = string_escape(isempty(name) ? id : name);
        _cleanup_free_ char *safe = string_escape(text);
        time_t seconds = (time_t) (now(CLOCK_REALTIME) / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&seconds, &tm))
                tm = (struct tm){ 0 };
        fprintf(p->f, "%02d:%02d:%02d  %-16s  %s%s%s\n", tm.tm_hour, tm.tm_min, tm.tm_sec,
                strempty(safe_name), cli_on(style, p->f), strempty(safe), cli_off(style, p->f));
        (void) fflush(p->f);
}

/* True the first time an update is in this phase, or has come another tenth further. */
static bool is_news(Progress *p, json_t *update) {
        _cleanup_free_ char *now_shown = NULL;
        uint64_t done = 0, total = 0;

        (void) json_get_u64(update, "bytes_done", &done);
        (void) json_get_u64(update, "bytes_total", &total);
        now_shown = strjoinf("%s %u", json_text(update, "phase"),
                             total > 0 ? (unsigned) (MIN(done, total) * 10 / total) : 0);
        if (!now_shown || streq(json_text(p->seen, json_text(update, "id")), now_shown))
                return false;
        if (json_object_size(p->seen) > SEEN_MAX) /* forgetting costs a repeated line at most */
                json_object_clear(p->seen);
        (void) json_object_set_new(p->seen, json_text(update, "id"), json_string(now_shown));
        return true;
}

static void show_update(Progress *p, json_t *update) {
        _cleanup_free_ char *line = NULL;
        const char *why;

        if (!is_news(p, update))
                return;
        line = update_line(update);
        if (!line)
                return;
        print_line(p, json_text(update, "agent"), update_style(update), line);
        why = isempty(json_text(update, "message")) ? json_text(update, "verdict_text") :
                                                      json_text(update, "message");
        if (json_is_true(json_object_get(update, "terminal")) && !isempty(why) &&
            update_style(update) == CLI_BAD)
                print_line(p, json_text(update, "agent"), CLI_PLAIN, why);
}

static void show_agent(Progress *p, json_t *agent) {
        const char *change = json_text(agent, "change"), *state = json_text(agent, "state");
        _cleanup_free_ char *line = NULL;

        learn_one(p, agent);
        line = strjoinf("%s%s%s", isempty(change) ? state : change,
                        isempty(json_text(agent, "version")) ? "" : " ", json_text(agent, "version"));
        print_line(p, json_text(agent, "id"),
                   streq(change, "online") ? CLI_GOOD :
                   streq(change, "offline") || streq(change, "removed") || streq(change, "clone-suspected") ?
                                             CLI_BAD :
                                             CLI_PLAIN,
                   strempty(line));
}

void progress_event(Progress *p, const char *event, json_t *data) {
        _cleanup_free_ char *line = NULL;

        if (streq(event, "update"))
                show_update(p, data);
        else if (streq(event, "agent"))
                show_agent(p, data);
        else if (streq(event, "release")) {
                line = strjoinf("release %s imported", json_text(data, "version"));
                print_line(p, "gateway", CLI_PLAIN, strempty(line));
        } else if (streq(event, "desired")) {
                const char *what = streq(json_text(data, "by"), "agent")    ? json_text(data, "agent") :
                                   streq(json_text(data, "by"), "selector") ? json_text(data, "selector") :
                                                                              "all";

                if (json_is_true(json_object_get(data, "deleted")))
                        line = strdup("a desired version was withdrawn");
                else
                        line = strjoinf("version %s is desired for %s", json_text(data, "version"), what);
                print_line(p, "gateway", CLI_PLAIN, strempty(line));
        }
}
