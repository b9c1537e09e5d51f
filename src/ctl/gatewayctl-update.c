/* SPDX-License-Identifier: Apache-2.0 */

/* update: sets the desired version of one agent, of those that a selector matches, or of all; --wait until
 * it is over. How far it is says the gateway's "reason" of each agent, which is always the truth of now; the
 * events only make it quick, and show the way. */

#include "alloc-util.h"
#include "cli-table.h"
#include "event-stream.h"
#include "event-util.h"
#include "progress.h"
#include "string-util.h"
#include "version.h"

#define LOOK_INTERVAL (2 * USEC_PER_SEC)
#define LOOK_SOON (200 * USEC_PER_MSEC)

typedef struct Wait {
        GatewayCtl *c;
        Progress *progress;
        const char *agent;
        uint64_t desired; /* id of what we asked for */
        sd_event_source *look_timer, *end_timer;
        bool look, timed_out, ended;
        CliExit code;
        json_t *agents;                               /* as seen last */
        unsigned n_done, n_pending, n_failed, n_kept; /* kept: pinned and the like, nothing will happen */
} Wait;

/* ---- asking ---- */

static CliExit build_body(GatewayCtl *c, const char *agent, json_t *body) {
        CliExit code;
        int r;

        code = target_add(c, agent, body);
        if (code != CLI_OK)
                return code;
        if (!c->version)
                return cli_fail(CLI_USAGE, "Say which version: --version=1.2.3.");
        if (!version_is_valid(c->version))
                return cli_fail(CLI_USAGE, "\"%s\" is not a version such as 1.2.3.", c->version);

        r = json_set_string(body, "version", c->version);
        if (r >= 0 && c->retry)
                r = json_set_bool(body, "retry", true);
        if (r >= 0 && c->allow_empty)
                r = json_set_bool(body, "allow_empty", true);
        return r < 0 ? cli_fail(CLI_ERROR, "Out of memory.") : CLI_OK;
}

static void say_started(const GatewayCtl *c, json_t *answer) {
        uint64_t matched = 0, online = 0, up_to_date = 0;

        (void) json_get_u64(answer, "matched", &matched);
        (void) json_get_u64(answer, "online", &online);
        (void) json_get_u64(answer, "up_to_date", &up_to_date);
        if (c->wait)
                cli_note("Version %s is desired for %" PRIu64 " %s: %" PRIu64 " online, %" PRIu64
                         " up to date.",
                         c->version, matched, matched == 1 ? "agent" : "agents", online, up_to_date);
        else
                cli_print("Version %s is desired for %" PRIu64 " %s: %" PRIu64 " online, %" PRIu64
                          " up to date.",
                          c->version, matched, matched == 1 ? "agent" : "agents", online, up_to_date);
        if (matched == 0)
                cli_note("No agent matches now; those that match later will get it.");
}

/* ---- waiting ---- */

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        w->look = true;
        return 0;
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        w->timed_out = true;
        return 0;
}

static void look_after(Wait *w, usec_t t) {
        if (event_timer_arm(w->c->event, &w->look_timer, t, on_look, w, "look") < 0)
                w->look = true;
}

static void on_open(bool resumed, void *userdata) {
}

static void on_event(const char *event, const char *id, json_t *data, void *userdata) {
        Wait *w = userdata;
        uint64_t desired = 0;

        if (streq(event, "update")) {
                if (json_get_u64(data, "desired", &desired) < 0 || desired != w->desired)
                        return;
                progress_event(w->progress, event, data);
        }
        if (!streq(event, "update") || json_is_true(json_object_get(data, "terminal")))
                look_after(w, LOOK_SOON);
}

static void on_fatal(CliExit code, void *userdata) {
        Wait *w = userdata;

        w->ended = true;
        w->code = code;
}

static const EventStreamHandlers handlers = { .on_open = on_open,
                                              .on_event = on_event,
                                              .on_fatal = on_fatal };

static void judge(Wait *w, json_t *agent) {
        const char *reason = json_text(agent, "reason");
        uint64_t desired = 0;

        (void) json_get_u64(json_object_get(agent, "desired"), "id", &desired);
        if (desired != w->desired)
                w->n_kept++; /* something more specific holds for it */
        else if (streq(reason, "up-to-date"))
                w->n_done++;
        else if (streq(reason, "failed") || streq(reason, "gave-up") || streq(reason, "went-back"))
                w->n_failed++;
        else if (streq(reason, "updating") || streq(reason, "due") || streq(reason, "offline") ||
                 streq(reason, "waiting"))
                w->n_pending++;
        else
                w->n_kept++;
}

/* One agent's own document has everything; the others come as a list. */
static CliExit look(Wait *w) {
        _cleanup_json_ json_t *agents = NULL;
        json_t *agent = NULL;
        CliExit code;
        size_t i;

        w->look = false;
        if (w->agent) {
                _cleanup_free_ char *path = strjoinf("/api/v1/agents/%s", w->agent);

                agents = json_array();
                code = path && agents ? api_call(w->c, "GET", path, NULL, &agent) :
                                        cli_fail(CLI_ERROR, "Out of memory.");
                if (code == CLI_OK && json_array_append_new(agents, agent) < 0)
                        code = cli_fail(CLI_ERROR, "Out of memory.");
        } else
                code = agents_read(w->c, /* narrow= */ false, &agents);
        if (code != CLI_OK)
                return code;

        w->n_done = w->n_pending = w->n_failed = w->n_kept = 0;
        json_array_foreach(agents, i, agent)
                judge(w, agent);
        progress_learn(w->progress, agents);
        json_decref(w->agents);
        w->agents = TAKE_PTR(agents);
        look_after(w, LOOK_INTERVAL);
        return CLI_OK;
}

static CliExit report(Wait *w) {
        json_t *agent;
        size_t i;

        if (w->c->output == OUTPUT_JSON) {
                _cleanup_json_ json_t *v = json_pack(
                                "{s:s, s:i, s:i, s:i, s:i, s:b}", "version", w->c->version, "up_to_date",
                                (int) w->n_done, "failed", (int) w->n_failed, "pending", (int) w->n_pending,
                                "kept", (int) w->n_kept, "timed_out", w->timed_out);

                if (!v || print_json(w->c, v) != CLI_OK)
                        return CLI_ERROR;
        } else {
                cli_print("%u up to date, %u failed, %u pending, %u not to be changed.", w->n_done,
                          w->n_failed, w->n_pending, w->n_kept);
                json_array_foreach(w->agents, i, agent)
                        if (!streq(json_text(agent, "reason"), "up-to-date"))
                                cli_note("%s: %s %s", agent_name(agent), json_text(agent, "reason"),
                                         json_text(agent, "reason_text"));
        }
        return w->timed_out ? cli_fail(CLI_TIMEOUT, "It is not over yet; the gateway goes on with it.") :
               w->n_failed + w->n_kept > 0 ? CLI_FAILED :
                                             CLI_OK;
}

static CliExit wait_loop(Wait *w) {
        CliExit code;
        int r;

        for (;;) {
                code = look(w);
                if (code != CLI_OK)
                        return code;
                if (w->n_pending == 0)
                        return report(w);
                while (!w->look && !w->timed_out && !w->ended) {
                        r = sd_event_run(w->c->event, UINT64_MAX);
                        if (r < 0)
                                return cli_fail(CLI_ERROR, "The loop has ended: %s", strerror(-r));
                }
                if (w->ended)
                        return w->code;
                if (w->timed_out)
                        return report(w);
        }
}

static CliExit wait_for_update(Wait *w) {
        _cleanup_(event_stream_freep) EventStream *stream = NULL;
        CliExit code;

        if (w->c->timeout > 0 &&
            event_timer_arm(w->c->event, &w->end_timer, w->c->timeout, on_end, w, "timeout") < 0)
                return cli_fail(CLI_ERROR, "Cannot set a timer.");
        code = event_stream_new(&stream, w->c, "agent,update", w->agent, &handlers, w);
        return code == CLI_OK ? wait_loop(w) : code;
}

CliExit gatewayctl_update(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object(), *answer = NULL;
        _cleanup_(progress_freep) Progress *progress = NULL;
        Wait w = { .c = c, .agent = arguments[0] };
        CliExit code;

        code = body ? build_body(c, arguments[0], body) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code == CLI_OK) {
                _cleanup_free_ char *what = strjoinf("to version %s", c->version);

                code = target_confirm(c, arguments[0], body, "Update", strempty(what));
        }
        if (code == CLI_OK)
                code = api_call(c, "POST", "/api/v1/updates", body, &answer);
        if (code != CLI_OK)
                return code;

        if (c->output == OUTPUT_TABLE || c->output == OUTPUT_WIDE)
                say_started(c, answer);
        if (!c->wait)
                return c->output == OUTPUT_JSON ? print_json(c, answer) : CLI_OK;

        if (json_get_u64(json_object_get(answer, "desired"), "id", &w.desired) < 0)
                return cli_fail(CLI_ERROR, "The gateway's answer does not say what is desired.");
        if (progress_new(&progress, stderr) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        w.progress = progress;
        code = wait_for_update(&w);
        sd_event_source_disable_unref(w.look_timer);
        sd_event_source_disable_unref(w.end_timer);
        json_decref(w.agents);
        return code;
}
