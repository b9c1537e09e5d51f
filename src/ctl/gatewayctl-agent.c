/* SPDX-License-Identifier: Apache-2.0 */

/* agent list, agent show, and what other verbs show of an agent. */

#include "alloc-util.h"
#include "cli-table.h"
#include "gatewayctl.h"
#include "phase.h"
#include "string-util.h"

#define PAGE 1000U
#define PAGES_MAX 2000U

/* "&key=value", escaped, or nothing. */
static int add_parameter(char ***parts, const char *key, const char *value) {
        _cleanup_free_ char *escaped = NULL;

        if (!value)
                return 0;
        escaped = url_escape(value);
        return escaped ? strv_consume(parts, strjoinf("&%s=%s", key, escaped)) : -ENOMEM;
}

static char *agents_path(const GatewayCtl *c, bool narrow, const char *ids, const char *cursor) {
        _cleanup_strv_free_ char **parts = NULL;
        int r;

        r =
                        strv_consume(&parts, strjoinf("/api/v1/agents?limit=%u&fields=%s", PAGE,
                                                      narrow ? "narrow" : "full"));
        if (r >= 0)
                r = add_parameter(&parts, "selector", c->selector);
        if (r >= 0)
                r = add_parameter(&parts, "group", c->group);
        if (r >= 0)
                r = add_parameter(&parts, "state", c->state);
        if (r >= 0)
                r = add_parameter(&parts, "version", c->version_is);
        if (r >= 0)
                r = add_parameter(&parts, "update", c->update_is);
        if (r >= 0)
                r = add_parameter(&parts, "q", c->match);
        if (r >= 0)
                r = add_parameter(&parts, "id", ids);
        if (r >= 0)
                r = add_parameter(&parts, "sort", c->sort);
        if (r >= 0)
                r = add_parameter(&parts, "cursor", cursor);
        return r < 0 ? NULL : strv_join(parts, "");
}

CliExit agents_read(GatewayCtl *c, bool narrow, const char *ids, json_t **ret) {
        _cleanup_json_ json_t *all = json_array();
        _cleanup_free_ char *cursor = NULL;

        /* the gateway decides how many pages there are; that is no reason to go on for ever */
        for (unsigned n = 0; n < PAGES_MAX; n++) {
                _cleanup_json_ json_t *page = NULL;
                _cleanup_free_ char *path = NULL;
                const char *next;
                CliExit code;

                path = agents_path(c, narrow, ids, cursor);
                if (!path || !all)
                        return cli_fail(CLI_ERROR, "Out of memory.");
                code = api_call(c, "GET", path, NULL, &page);
                if (code != CLI_OK)
                        return code;
                if (json_array_extend(all, json_object_get(page, "agents")) < 0)
                        return cli_fail(CLI_ERROR, "The gateway's answer has no list of agents.");
                next = json_text(page, "next_cursor");
                if (isempty(next)) {
                        *ret = TAKE_PTR(all);
                        return CLI_OK;
                }
                if (free_and_strdup(&cursor, next) < 0)
                        return cli_fail(CLI_ERROR, "Out of memory.");
        }
        return cli_fail(CLI_ERROR, "The list of agents does not end.");
}

const char *agent_name(json_t *agent) {
        const char *host = json_text(json_object_get(agent, "facts"), "hostname");

        return isempty(host) ? json_text(agent, "id") : host;
}

CliStyle update_style(json_t *update) {
        UpdatePhase p = update_phase_from_string(json_text(update, "phase"));

        if (!update_phase_is_terminal(p))
                return CLI_BUSY;
        return p == UPDATE_PHASE_SUCCEEDED ? CLI_GOOD : CLI_BAD;
}

char *update_line(json_t *update) {
        const char *title = json_text(update, "title"), *verdict = json_text(update, "verdict");
        const char *from = json_text(update, "from_version");
        char one[CLI_BYTES_MAX], two[CLI_BYTES_MAX];
        _cleanup_free_ char *more = NULL;
        uint64_t done, total;

        if (isempty(title))
                title = update_phase_title(update_phase_from_string(json_text(update, "phase"))) ?: "?";
        if (json_get_u64(update, "bytes_done", &done) >= 0 &&
            json_get_u64(update, "bytes_total", &total) >= 0 && total > 0)
                more = strjoinf(" %u%% (%s of %s)", (unsigned) (MIN(done, total) * 100 / total),
                                cli_format_bytes(done, one), cli_format_bytes(total, two));
        else if (!isempty(verdict))
                more = strjoinf(": %s", verdict);
        return strjoinf("%s%s%s  %s%s", from, isempty(from) ? "" : " -> ", json_text(update, "version"),
                        title, strempty(more));
}

static CliStyle state_style(const char *state) {
        return streq(state, "online") ? CLI_GOOD : streq(state, "offline") ? CLI_BAD : CLI_DIM;
}

/* Why it is not where it should be: the running update, or the gateway's reason. */
static const char *agent_note(json_t *agent, CliStyle *ret_style) {
        const char *reason = json_text(agent, "reason");
        json_t *update = json_object_get(agent, "update");

        *ret_style = CLI_PLAIN;
        if (streq(reason, "updating") && update) {
                *ret_style = update_style(update);
                return json_text(update, "title");
        }
        if (isempty(reason) || streq(reason, "none-desired"))
                return NULL;
        *ret_style = streq(reason, "up-to-date") ? CLI_GOOD :
                     streq(reason, "failed") || streq(reason, "gave-up") || streq(reason, "held") ||
                                     streq(reason, "conflict") ?
                                                   CLI_BAD :
                                                   CLI_BUSY;
        return reason;
}

char *labels_text(json_t *labels) {
        _cleanup_strv_free_ char **items = NULL;
        const char *key;
        json_t *value;

        json_object_foreach(labels, key, value) {
                char *item = strjoinf("%s=%s", key, strempty(json_string_value(value)));
                if (!item || strv_consume(&items, item) < 0)
                        return NULL;
        }
        return items ? strv_join(items, ",") : strdup("");
}

static void add_agent_row(const GatewayCtl *c, CliTable *t, json_t *agent) {
        const char *state = json_text(agent, "state"), *note;
        json_t *facts = json_object_get(agent, "facts");
        _cleanup_free_ char *labels = NULL;
        CliStyle style;

        cli_table_add(t, CLI_PLAIN, json_text(agent, "id"));
        cli_table_add(t, CLI_PLAIN, json_text(facts, "hostname"));
        cli_table_add(t, state_style(state), state);
        cli_table_add(t, CLI_PLAIN, json_text(agent, "version"));
        cli_table_add(t, CLI_PLAIN, json_text(json_object_get(agent, "desired"), "version"));
        note = agent_note(agent, &style);
        cli_table_add(t, style, note);
        if (c->output != OUTPUT_WIDE)
                return;
        labels = labels_text(json_object_get(agent, "labels"));
        cli_table_add(t, CLI_PLAIN, json_text(facts, "os_name"));
        cli_table_add(t, CLI_PLAIN, json_text(facts, "arch"));
        cli_table_add(t, CLI_PLAIN, json_text(facts, "kernel"));
        cli_table_add(t, CLI_PLAIN, json_text(agent, "last_seen"));
        cli_table_add(t, CLI_PLAIN, labels);
}

static CliExit print_agents(const GatewayCtl *c, json_t *agents) {
        static const char *const columns[] = { "ID", "HOST", "STATE", "VERSION", "DESIRED", "UPDATE", NULL };
        static const char *const wide[] = { "ID", "HOST", "STATE",  "VERSION",   "DESIRED", "UPDATE",
                                            "OS", "ARCH", "KERNEL", "LAST SEEN", "LABELS",  NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *agent;
        size_t i;
        int r;

        if (c->output == OUTPUT_NAME) {
                json_array_foreach(agents, i, agent) cli_print("%s", json_text(agent, "id"));
                return CLI_OK;
        }
        r = cli_table_new(&t, c->output == OUTPUT_WIDE ? wide : columns);
        if (r >= 0) {
                json_array_foreach(agents, i, agent) add_agent_row(c, t, agent);
                r = cli_table_print(t, !c->no_legend);
        }
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the agents: %s", strerror(-r)) : CLI_OK;
}

CliExit gatewayctl_agent_list(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *agents = NULL, *answer = NULL;
        CliExit code;

        code = agents_read(c, /* narrow= */ c->output == OUTPUT_NAME, /* ids= */ NULL, &agents);
        if (code != CLI_OK)
                return code;
        if (c->output != OUTPUT_JSON)
                return print_agents(c, agents);
        answer = json_pack("{s:O, s:I}", "agents", agents, "total", (json_int_t) json_array_size(agents));
        return answer ? print_json(c, answer) : cli_fail(CLI_ERROR, "Out of memory.");
}

static void add_time(CliTable *t, const char *name, json_t *object, const char *key) {
        char text[CLI_TIME_MAX];
        usec_t when;

        if (rfc3339_parse(json_text(object, key), &when) >= 0)
                cli_table_field(t, name, CLI_PLAIN, cli_format_time(when, now(CLOCK_REALTIME), text));
}

static void add_agent_fields(CliTable *t, json_t *agent) {
        json_t *facts = json_object_get(agent, "facts"), *desired = json_object_get(agent, "desired");
        _cleanup_free_ char *labels = labels_text(json_object_get(agent, "labels")), *wanted = NULL;
        CliStyle style;

        cli_table_field(t, "Agent", CLI_BOLD, json_text(agent, "id"));
        cli_table_field(t, "Host", CLI_PLAIN, json_text(facts, "hostname"));
        cli_table_field(t, "State", state_style(json_text(agent, "state")), json_text(agent, "state"));
        cli_table_field(t, "Version", CLI_BOLD, json_text(agent, "version"));
        if (desired)
                wanted = strjoinf("%s (by %s)", json_text(desired, "version"), json_text(desired, "by"));
        cli_table_field(t, "Desired", CLI_PLAIN, wanted);
        cli_table_field(t, "Update", CLI_PLAIN, agent_note(agent, &style));
        cli_table_field(t, "Reason", CLI_PLAIN, json_text(agent, "reason_text"));
        add_time(t, "Next attempt", agent, "next_attempt");
        cli_table_field(t, "Previous version", CLI_PLAIN, json_text(agent, "previous_version"));
        cli_table_field(t, "Pinned", CLI_BUSY, json_text(agent, "pinned_version"));
        if (json_is_true(json_object_get(agent, "clone_suspected")))
                cli_table_field(t, "Warning", CLI_BAD, "two machines use this id in turn");
        cli_table_field(t, "Labels", CLI_PLAIN, labels);
        cli_table_field(t, "System", CLI_PLAIN, json_text(facts, "os_name"));
        cli_table_field(t, "Kernel", CLI_PLAIN, json_text(facts, "kernel"));
        cli_table_field(t, "Architecture", CLI_PLAIN, json_text(facts, "arch"));
        add_time(t, "Metadata expires", agent, "metadata_expires");
        add_time(t, "Enrolled", agent, "enrolled");
        add_time(t, "Connected", agent, "connected");
        cli_table_field(t, "Address", CLI_PLAIN, json_text(agent, "address"));
        add_time(t, "Last seen", agent, "last_seen");
}

static int print_updates(const GatewayCtl *c, json_t *updates) {
        static const char *const columns[] = {
                "CREATED", "FROM", "TO", "PHASE", "VERDICT", "MESSAGE", NULL
        };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *u;
        size_t i;
        int r;

        if (json_array_size(updates) == 0)
                return 0;
        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(updates, i, u) {
                cli_table_add(t, CLI_PLAIN, json_text(u, "created"));
                cli_table_add(t, CLI_PLAIN, json_text(u, "from_version"));
                cli_table_add(t, CLI_PLAIN, json_text(u, "version"));
                cli_table_add(t, update_style(u), json_text(u, "title"));
                cli_table_add(t, CLI_PLAIN, json_text(u, "verdict"));
                cli_table_add(t, CLI_PLAIN,
                              isempty(json_text(u, "message")) ? json_text(u, "verdict_text") :
                                                                 json_text(u, "message"));
        }
        putchar('\n');
        return cli_table_print(t, !c->no_legend);
}

CliExit gatewayctl_agent_show(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        _cleanup_json_ json_t *agent = NULL;
        _cleanup_free_ char *path = NULL;
        CliExit code;
        int r;

        if (!agent_id_is_plain(arguments[0]))
                return cli_fail(CLI_USAGE,
                                "\"%s\" cannot be an agent's id. \"agent list -o name\" shows them.",
                                arguments[0]);
        path = strjoinf("/api/v1/agents/%s", arguments[0]);
        code = path ? api_call(c, "GET", path, NULL, &agent) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, agent);
        if (c->output == OUTPUT_NAME) {
                cli_print("%s", json_text(agent, "id"));
                return CLI_OK;
        }

        r = cli_table_new_fields(&t);
        if (r >= 0) {
                add_agent_fields(t, agent);
                r = cli_table_print(t, true);
        }
        if (r >= 0)
                r = print_updates(c, json_object_get(agent, "updates"));
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the agent: %s", strerror(-r)) : CLI_OK;
}
