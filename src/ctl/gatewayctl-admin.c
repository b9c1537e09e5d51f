/* SPDX-License-Identifier: Apache-2.0 */

/* What is done seldom: taking back what is desired, removing agents, tokens for people and programs. */

#include "cli-table.h"
#include "gatewayctl.h"
#include "string-util.h"

/* A list of the gateway as names, JSON or a table of its members; "id" may be a number. */
typedef struct ListForm {
        const char *path, *key;
        const char *const *titles, *const *members;
} ListForm;

static void add_member(CliTable *t, json_t *item, const char *member) {
        json_t *v = json_object_get(item, member);

        if (json_is_integer(v))
                cli_table_addf(t, CLI_PLAIN, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        else
                cli_table_add(t, CLI_PLAIN, json_text(item, member));
}

static int print_list(const GatewayCtl *c, const ListForm *f, json_t *list) {
        static const char *const name[] = { "ID", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        bool names = c->output == OUTPUT_NAME;
        json_t *item;
        size_t i;
        int r;

        r = cli_table_new(&t, names ? name : f->titles);
        if (r < 0)
                return r;
        json_array_foreach(list, i, item)
                for (const char *const *m = f->members; *m && !(names && m > f->members); m++)
                        add_member(t, item, *m);
        return cli_table_print(t, !names && !c->no_legend);
}

static CliExit show_list(GatewayCtl *c, const ListForm *f) {
        _cleanup_json_ json_t *answer = NULL;
        CliExit code;
        int r;

        code = api_call(c, "GET", f->path, NULL, &answer);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        r = print_list(c, f, json_object_get(answer, f->key));
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the list: %s", strerror(-r)) : CLI_OK;
}

CliExit gatewayctl_agent_remove(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        int r;

        if (!agent_id_is_plain(arguments[0]))
                return cli_fail(CLI_USAGE,
                                "\"%s\" cannot be an agent's id. \"agent list -o name\" shows them.",
                                arguments[0]);
        if (!c->yes) {
                r = cli_confirm("Remove agent %s? Its certificate is refused from then on.", arguments[0]);
                if (r == -ENOTTY)
                        return cli_fail(CLI_USAGE, "Say --yes where nobody can be asked.");
                if (r < 0)
                        return cli_fail(CLI_ERROR, "Cannot ask: %s", strerror(-r));
                if (r == 0)
                        return cli_fail(CLI_USAGE, "Nothing was changed.");
        }
        return api_delete(c, "/api/v1/agents", arguments[0]);
}

CliExit gatewayctl_desired_list(char *const *arguments, void *userdata) {
        static const char *const titles[] = { "ID",       "BY", "AGENT", "SELECTOR", "VERSION",
                                              "SET LAST", "BY", NULL };
        static const char *const members[] = { "id",      "by",      "agent", "selector",
                                               "version", "updated", "actor", NULL };

        return show_list(userdata, &(ListForm){ "/api/v1/desired", "desired", titles, members });
}

CliExit gatewayctl_desired_delete(char *const *arguments, void *userdata) {
        return api_delete(userdata, "/api/v1/desired", arguments[0]);
}

CliExit gatewayctl_api_token_create(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object(), *answer = NULL;
        CliExit code;
        int r;

        if (!c->role)
                return cli_fail(CLI_USAGE, "Say what it may do: --role=viewer, operator or admin.");
        r = body ? json_set_string(body, "role", c->role) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(body, "description", c->description);
        if (r >= 0 && c->expires_in > 0)
                r = json_set_u64(body, "expires_in_sec", (c->expires_in + USEC_PER_SEC - 1) / USEC_PER_SEC);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_call(c, "POST", "/api/v1/api-tokens", body, &answer);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        if (c->output == OUTPUT_NAME) {
                cli_print("%s", json_text(answer, "id"));
                return CLI_OK;
        }
        cli_note("API token %s with the role %s%s%s. It is shown this once.", json_text(answer, "id"),
                 json_text(answer, "role"), isempty(json_text(answer, "expires")) ? "" : ", until ",
                 json_text(answer, "expires"));
        cli_print("%s", json_text(answer, "token"));
        return CLI_OK;
}

CliExit gatewayctl_api_token_list(char *const *arguments, void *userdata) {
        static const char *const titles[] = { "ID", "ROLE", "CREATED", "EXPIRES", "DESCRIPTION", NULL };
        static const char *const members[] = { "id", "role", "created", "expires", "description", NULL };

        return show_list(userdata, &(ListForm){ "/api/v1/api-tokens", "api_tokens", titles, members });
}

CliExit gatewayctl_api_token_delete(char *const *arguments, void *userdata) {
        return api_delete(userdata, "/api/v1/api-tokens", arguments[0]);
}
