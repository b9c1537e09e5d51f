/* SPDX-License-Identifier: Apache-2.0 */

/* watch [AGENT]: the gateway's events, as lines or as one JSON object a line, until interrupted. */

#include "cli-table.h"
#include "cli-yaml.h"
#include "event-stream.h"
#include "event-util.h"
#include "parse-util.h"
#include "progress.h"
#include "string-util.h"

typedef struct Watch {
        GatewayCtl *c;
        Progress *progress;
        bool opened;
        bool read_names; /* events may have been missed, or this is the beginning */
        bool ended;
        CliExit code;
} Watch;

static void on_event(const char *event, const char *id, json_t *data, void *userdata) {
        _cleanup_json_ json_t *line = NULL;
        Watch *w = userdata;
        uint64_t n;

        if (w->c->output != OUTPUT_JSON) {
                if (streq(event, "reset")) {
                        cli_note("Events were missed; \"agent list\" shows how things are now.");
                        w->read_names = true;
                }
                progress_event(w->progress, event, data);
                return;
        }
        line = json_pack("{s:s, s:O}", "event", event, "data", data);
        if (line && !isempty(id))
                (void) (parse_u64(id, &n) >= 0 ? json_set_u64(line, "id", n) :
                                                 json_set_string(line, "id", id));
        if (line && w->c->yaml) {
                puts("---");
                (void) cli_yaml_print(line);
        } else if (line)
                (void) cli_json_print(line, CLI_JSON_SHORT);
        (void) fflush(stdout);
}

/* Without an id to go on from, what happened meanwhile is lost, and readers have to know. */
static void on_open(bool resumed, void *userdata) {
        _cleanup_json_ json_t *nothing = NULL;
        Watch *w = userdata;

        if (w->opened && !resumed) {
                nothing = json_object();
                if (nothing)
                        on_event("reset", "", nothing, w);
        }
        w->opened = true;
}

static void on_fatal(CliExit code, void *userdata) {
        Watch *w = userdata;

        w->ended = true;
        w->code = code;
}

static const EventStreamHandlers handlers = { .on_open = on_open,
                                              .on_event = on_event,
                                              .on_fatal = on_fatal };

static CliExit read_names(Watch *w) {
        _cleanup_json_ json_t *agents = NULL;
        CliExit code;

        w->read_names = false;
        if (w->c->output == OUTPUT_JSON)
                return CLI_OK;
        code = agents_read(w->c, /* narrow= */ false, /* ids= */ NULL, &agents);
        if (code == CLI_OK)
                progress_learn(w->progress, agents);
        return code;
}

static CliExit check_agent(GatewayCtl *c, const char *id) {
        _cleanup_free_ char *path = NULL;

        if (!agent_id_is_plain(id))
                return cli_fail(CLI_USAGE,
                                "\"%s\" cannot be an agent's id. \"agent list -o name\" shows them.", id);
        path = strjoinf("/api/v1/agents/%s", id);
        return path ? api_call(c, "GET", path, NULL, NULL) : cli_fail(CLI_ERROR, "Out of memory.");
}

CliExit gatewayctl_watch(char *const *arguments, void *userdata) {
        _cleanup_(event_stream_freep) EventStream *stream = NULL;
        _cleanup_(progress_freep) Progress *progress = NULL;
        Watch w = { .c = userdata, .read_names = true };
        CliExit code = CLI_OK;

        if (progress_new(&progress, stdout) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        w.progress = progress;
        if (arguments[0])
                code = check_agent(w.c, arguments[0]);
        if (code == CLI_OK)
                code = read_names(&w);
        if (code == CLI_OK)
                code = event_stream_new(
                                &stream, w.c, "agent,update,desired,release", arguments[0], &handlers, &w);

        while (code == CLI_OK && !w.ended) {
                int r = sd_event_run(w.c->event, UINT64_MAX);

                if (r < 0)
                        code = cli_fail(CLI_ERROR, "The loop has ended: %s", strerror(-r));
                else if (ferror(stdout))
                        code = CLI_ERROR;
                else if (w.read_names && !w.ended)
                        (void) read_names(&w); /* a name that is missing shows as an id */
        }
        return w.ended ? w.code : code;
}
