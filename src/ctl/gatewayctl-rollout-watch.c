/* SPDX-License-Identifier: Apache-2.0 */

/* rollout watch, and --wait of the commands that let one go on. Events say what changes; the rollout is read
 * whole when the stream begins, after each break of it, and now and then, since progress is not repeated. */

#include "alloc-util.h"
#include "cli-yaml.h"
#include "event-stream.h"
#include "event-util.h"
#include "gatewayctl-rollout-progress.h"
#include "parse-util.h"
#include "string-util.h"

#define LOOK_INTERVAL (30 * USEC_PER_SEC)

typedef struct Watch {
        GatewayCtl *c;
        const char *id;
        uint64_t number;
        bool events;               /* each as JSON, for programs; else for people */
        RolloutProgress *progress; /* NULL with events */
        json_t *rollout;           /* as it was seen last */
        unsigned n_events;
        bool look, timed_out, ended, over;
        CliExit code; /* when it ended */
        sd_event_source *look_timer, *end_timer;
} Watch;

/* ---- what is seen ---- */

static void print_event(const Watch *w, const char *id, json_t *data) {
        _cleanup_json_ json_t *line = json_pack("{s:s, s:O}", "event", "rollout", "data", data);
        uint64_t n;

        if (line && parse_u64(id, &n) >= 0)
                (void) json_set_u64(line, "id", n);
        if (line && w->c->yaml) {
                puts("---");
                (void) cli_yaml_print(line);
        } else if (line)
                (void) cli_json_print(line, CLI_JSON_SHORT);
        (void) fflush(stdout);
}

static void see(Watch *w, json_t *rollout, const char *event_id) {
        if (w->rollout != rollout) {
                json_decref(w->rollout);
                w->rollout = json_incref(rollout);
        }
        if (w->events)
                print_event(w, event_id, rollout);
        else if (w->progress)
                rollout_progress_show(w->progress, rollout);
}

static void on_event(const char *event, const char *id, json_t *data, void *userdata) {
        Watch *w = userdata;

        if (w->over)
                return;
        if (streq(event, "reset"))
                w->look = true;
        else if (streq(event, "rollout") && rollout_number(data, "id") == w->number) {
                w->n_events++;
                see(w, data, id);
        }
}

static void on_open(bool resumed, void *userdata) {
        Watch *w = userdata;

        if (w->progress)
                rollout_progress_lost(w->progress, NULL);
        w->look = true;
}

static void on_lost(const char *why, void *userdata) {
        Watch *w = userdata;

        if (w->progress)
                rollout_progress_lost(w->progress, why);
}

static void on_fatal(CliExit code, void *userdata) {
        Watch *w = userdata;

        w->ended = true;
        w->code = code;
}

static const EventStreamHandlers handlers = {
        .on_open = on_open, .on_event = on_event, .on_lost = on_lost, .on_fatal = on_fatal
};

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        ((Watch *) userdata)->look = true;
        return 0;
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata) {
        ((Watch *) userdata)->timed_out = true;
        return 0;
}

/* In what events tell; the whole has more, such as a preview that moves with the time. */
static bool is_same(json_t *a, json_t *b) {
        static const char *const members[] = {
                "state", "reason", "batch", "counts", "next_look", "revision"
        };

        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                json_t *x = json_object_get(a, members[i]), *y = json_object_get(b, members[i]);

                if (x != y && !(x && y && json_equal(x, y)))
                        return false;
        }
        return true;
}

/* An event that came while it was read is newer than what was read. */
static CliExit look(Watch *w) {
        _cleanup_json_ json_t *rollout = NULL;
        unsigned n = w->n_events;
        CliExit code;

        w->look = false;
        code = rollout_read(w->c, w->id, &rollout);
        if (code != CLI_OK)
                return code;
        if (n == w->n_events && !(w->rollout && is_same(rollout, w->rollout)))
                see(w, rollout, "");
        if (event_timer_arm(w->c->event, &w->look_timer, LOOK_INTERVAL, on_look, w, "look") < 0)
                return cli_fail(CLI_ERROR, "Cannot set a timer.");
        return CLI_OK;
}

/* ---- the end ---- */

static bool is_over(json_t *rollout) {
        return json_is_true(json_object_get(rollout, "terminal")) || rollout_stopped_itself(rollout);
}

/* Members that came to the version in another way before their turn are as good as the rest. */
static CliExit count_up_to_date(Watch *w, uint64_t *ret) {
        _cleanup_free_ char *path = strjoinf(
                        "/api/v1/rollouts/%s/members?limit=1&state=skipped&reason=up-to-date", w->id);
        _cleanup_json_ json_t *page = NULL;
        CliExit code;

        code = path ? api_call(w->c, "GET", path, NULL, &page) : cli_fail(CLI_ERROR, "Out of memory.");
        *ret = rollout_number(page, "total");
        return code;
}

static CliExit judge(Watch *w, json_t *rollout, bool aborted_is_good) {
        const char *state = json_text(rollout, "state");
        uint64_t up_to_date = 0;
        RolloutNumbers n;

        rollout_numbers(rollout, &n);
        if (streq(state, "aborted") && aborted_is_good)
                return CLI_OK;
        if (!streq(state, "completed"))
                return CLI_FAILED;
        if (n.succeeded < n.cohort && n.succeeded + n.skipped == n.cohort) {
                CliExit code = count_up_to_date(w, &up_to_date);

                if (code != CLI_OK)
                        return code;
        }
        return n.succeeded + up_to_date == n.cohort ? CLI_OK : CLI_FAILED;
}

static char *end_sentence(json_t *rollout) {
        _cleanup_free_ char *counts = rollout_counts_text(rollout), *reason = rollout_reason_text(rollout);
        bool by_itself = rollout_stopped_itself(rollout);

        if (!counts || !reason)
                return NULL;
        return strjoinf("Rollout %" PRIu64 " is %s%s: %s.%s%s", rollout_number(rollout, "id"),
                        json_text(rollout, "state"), by_itself ? ", by itself" : "", counts,
                        by_itself ? " " : "", by_itself ? reason : "");
}

static void note_causes(json_t *rollout) {
        json_t *cause;
        size_t i;

        json_array_foreach(json_object_get(rollout, "causes"), i, cause)
                        cli_note("%" PRIu64 " %s%s%s %s", rollout_number(cause, "count"),
                                 json_text(cause, "state"), json_object_get(cause, "reason") ? ": " : "",
                                 json_text(cause, "reason"), json_text(cause, "reason_text"));
        if (i > 0)
                cli_note("\"fleet-gatewayctl rollout members %" PRIu64
                         " --state=failed,rolled-back,timed-out\" names them.",
                         rollout_number(rollout, "id"));
}

/* What became of it, read once more for the batches and causes that no event has. */
static CliExit report(Watch *w, bool aborted_is_good) {
        _cleanup_json_ json_t *rollout = NULL;
        _cleanup_free_ char *sentence = NULL;
        CliExit code, k;

        w->over = true;
        w->progress = rollout_progress_free(w->progress);
        code = rollout_read(w->c, w->id, &rollout);
        if (code != CLI_OK)
                return code;
        code = judge(w, rollout, aborted_is_good);
        if (w->events)
                return code;
        sentence = end_sentence(rollout);
        k = rollout_answer(w->c, rollout, sentence);
        note_causes(rollout);
        return k == CLI_OK ? code : k;
}

static CliExit leave(Watch *w) {
        w->progress = rollout_progress_free(w->progress);
        if (w->c->signal) {
                cli_note("Interrupted. Rollout %s goes on: \"fleet-gatewayctl rollout watch %s\" shows how, \"rollout pause %s\" "
                         "holds it.",
                         w->id, w->id, w->id);
                return CLI_ERROR;
        }
        return cli_fail(CLI_TIMEOUT,
                        "It is not over yet. Rollout %s goes on: \"fleet-gatewayctl rollout watch %s\" shows how, "
                        "\"rollout pause %s\" holds it.",
                        w->id, w->id, w->id);
}

/* ---- the loop ---- */

static CliExit watch_loop(Watch *w, bool aborted_is_good) {
        w->look = true;
        for (;;) {
                CliExit code;
                int r;

                if (w->look) {
                        code = look(w);
                        if (code != CLI_OK && !w->c->signal)
                                return code;
                }
                if (w->c->signal)
                        return leave(w);
                if (w->rollout && is_over(w->rollout))
                        return report(w, aborted_is_good);
                if (w->timed_out)
                        return leave(w);
                if (w->ended)
                        return w->code;
                if (ferror(stdout))
                        return CLI_ERROR;
                r = sd_event_run(w->c->event, UINT64_MAX);
                if (r < 0)
                        return cli_fail(CLI_ERROR, "The loop has ended: %s", strerror(-r));
        }
}

static CliExit watch_run(Watch *w, FILE *f, bool aborted_is_good) {
        _cleanup_(event_stream_freep) EventStream *stream = NULL;
        CliExit code;
        int r;

        code = api_open(w->c);
        if (code != CLI_OK)
                return code;
        r = api_catch_signals(w->c); /* they end the waiting, not the rollout, and that is to be said */
        if (r >= 0 && !w->events)
                r = rollout_progress_new(&w->progress, w->c->event, f);
        if (r >= 0 && w->c->has_timeout && w->c->timeout > 0)
                r = event_timer_arm(w->c->event, &w->end_timer, w->c->timeout, on_end, w, "timeout");
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot wait: %s", strerror(-r));
        code = event_stream_new(&stream, w->c, "rollout", NULL, &handlers, w);
        return code == CLI_OK ? watch_loop(w, aborted_is_good) : code;
}

static CliExit watch(Watch *w, FILE *f, bool aborted_is_good) {
        CliExit code;

        if (parse_u64(w->id, &w->number) < 0)
                return rollout_check_id(w->id);
        code = watch_run(w, f, aborted_is_good);
        rollout_progress_free(w->progress);
        sd_event_source_disable_unref(w->look_timer);
        sd_event_source_disable_unref(w->end_timer);
        json_decref(w->rollout);
        return code;
}

CliExit rollout_wait(GatewayCtl *c, const char *id, bool aborted_is_good) {
        return watch(&(Watch){ .c = c, .id = id }, stderr, aborted_is_good);
}

CliExit gatewayctl_rollout_watch(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        CliExit code;

        code = rollout_check_id(arguments[0]);
        return code == CLI_OK ? watch(&(Watch){ .c = c,
                                                .id = arguments[0],
                                                .events = c->output == OUTPUT_JSON },
                                      stdout,
                                      /* aborted_is_good= */ false) :
                                code;
}
