/* SPDX-License-Identifier: Apache-2.0 */

/* agent label, label list. */

#include "alloc-util.h"
#include "cli-table.h"
#include "gatewayctl.h"
#include "selector.h"
#include "string-util.h"

/* "env=production" sets, "env-" takes away. */
static CliExit add_change(json_t *labels, const char *text) {
        const char *equals = strchr(text, '=');
        size_t n = equals ? (size_t) (equals - text) : strlen(text);
        _cleanup_free_ char *key = NULL;

        if (!equals && (n < 2 || text[n - 1] != '-'))
                return cli_fail(CLI_USAGE,
                                "\"%s\" must be KEY=VALUE, or KEY- to take a label away (an agent's id comes first, "
                                "and alone).",
                                text);
        key = strndup(text, equals ? n : n - 1);
        if (!key)
                return cli_fail(CLI_ERROR, "Out of memory.");
        if (!label_key_is_valid(key) ||
            (equals && (isempty(equals + 1) || !label_value_is_valid(equals + 1))))
                return cli_fail(CLI_USAGE,
                                "\"%s\": keys and values are made of letters, digits, '-', '_' and '.'; \"%s-\" takes "
                                "a label away.",
                                text, key);
        if (json_object_get(labels, key))
                return cli_fail(CLI_USAGE, "\"%s\" is given twice.", key);
        if (json_set_string(labels, key, equals ? equals + 1 : "") < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        return CLI_OK;
}

static CliExit add_changes(char *const *changes, json_t *body) {
        json_t *labels = json_object();

        if (json_set_take(body, "labels", labels) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        if (!*changes)
                return cli_fail(CLI_USAGE, "Say which labels: KEY=VALUE, or KEY- to take one away.");
        STRV_FOREACH(change, changes) {
                CliExit code = add_change(labels, *change);

                if (code != CLI_OK)
                        return code;
        }
        return CLI_OK;
}

static CliExit print_changed(const GatewayCtl *c, json_t *answer) {
        uint64_t matched = 0, changed = 0;

        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        if (c->output == OUTPUT_NAME)
                return CLI_OK;
        (void) json_get_u64(answer, "matched", &matched);
        (void) json_get_u64(answer, "changed", &changed);
        cli_print("%" PRIu64 " of %" PRIu64 " %s changed.", changed, matched,
                  matched == 1 ? "agent" : "agents");
        return CLI_OK;
}

CliExit gatewayctl_agent_label(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        bool many = c->selector || c->group || c->all;
        const char *agent = many ? NULL : arguments[0];
        char *const *changes = many ? arguments : arguments + 1;
        _cleanup_json_ json_t *body = json_object(), *answer = NULL;
        _cleanup_free_ char *what = NULL;
        CliExit code;

        code = body ? target_add(c, agent, body) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code == CLI_OK)
                code = add_changes(changes, body);
        if (code != CLI_OK)
                return code;
        what = strv_join(changes, " ");
        if (!what)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = target_confirm(c, agent, body, "Label", what);
        if (code == CLI_OK)
                code = api_post(c, "/api/v1/agents/labels", body, &answer);
        return code == CLI_OK ? print_changed(c, answer) : code;
}

/* ---- which there are ---- */

static int print_labels(const GatewayCtl *c, json_t *keys) {
        static const char *const columns[] = { "KEY", "VALUE", "AGENTS", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *key, *value;
        size_t i, k;
        int r;

        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(keys, i, key) {
                json_array_foreach(json_object_get(key, "values"), k, value) {
                        uint64_t n = 0;

                        (void) json_get_u64(value, "count", &n);
                        cli_table_add(t, CLI_PLAIN, json_text(key, "key"));
                        cli_table_add(t, CLI_PLAIN, json_text(value, "value"));
                        cli_table_addf(t, CLI_PLAIN, "%" PRIu64, n);
                }
                if (json_is_true(json_object_get(key, "more"))) {
                        cli_table_add(t, CLI_PLAIN, json_text(key, "key"));
                        cli_table_add(t, CLI_DIM, "... and more");
                        cli_table_add(t, CLI_PLAIN, NULL);
                }
        }
        return cli_table_print(t, !c->no_legend);
}

CliExit gatewayctl_label_list(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_free_ char *key = NULL, *path = NULL;
        _cleanup_json_ json_t *answer = NULL;
        json_t *keys, *item;
        CliExit code;
        size_t i;
        int r;

        key = arguments[0] ? url_escape(arguments[0]) : NULL;
        if (!arguments[0] || key)
                path = strjoinf("/api/v1/labels%s%s", key ? "?key=" : "", strempty(key));
        code = path ? api_call(c, "GET", path, NULL, &answer) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        keys = json_object_get(answer, "labels");
        if (c->output == OUTPUT_NAME) {
                json_array_foreach(keys, i, item) cli_print("%s", json_text(item, "key"));
                return CLI_OK;
        }
        r = print_labels(c, keys);
        if (r >= 0 && json_is_true(json_object_get(answer, "more")))
                cli_note("There are more labels than are shown.");
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the labels: %s", strerror(-r)) : CLI_OK;
}
