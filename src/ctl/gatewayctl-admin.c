/* SPDX-License-Identifier: Apache-2.0 */

/* What is done seldom: taking back what is desired, removing agents, tokens for people and programs. */

#include <stdarg.h>
#include <stdio.h>

#include "cli-table.h"
#include "gatewayctl.h"
#include "string-util.h"

static char *texts_join(json_t *list) {
        _cleanup_strv_free_ char **texts = NULL;
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                if (strv_extend(&texts, strempty(json_string_value(item))) < 0)
                        return NULL;
        return texts ? strv_join(texts, ",") : strdup("");
}

static void add_member(CliTable *t, json_t *item, const char *member) {
        json_t *v = json_object_get(item, member);
        _cleanup_free_ char *list = json_is_array(v) ? texts_join(v) : NULL;

        if (list)
                cli_table_add(t, CLI_PLAIN, list);
        else if (json_is_boolean(v))
                cli_table_add(t, CLI_PLAIN, yes_no(json_is_true(v)));
        else if (json_is_integer(v))
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

CliExit list_show(GatewayCtl *c, const ListForm *f) {
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

CliExit confirm_or_fail(const GatewayCtl *c, const char *format, ...) {
        char *question;
        va_list ap;
        int r;

        if (c->yes)
                return CLI_OK;
        va_start(ap, format);
        r = vasprintf(&question, format, ap);
        va_end(ap);
        if (r >= 0) {
                r = cli_confirm("%s", question);
                free(question);
        }
        if (r == -ENOTTY)
                return cli_fail(CLI_USAGE, "Say --yes where nobody can be asked.");
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot ask: %s", strerror(-r));
        return r > 0 ? CLI_OK : cli_fail(CLI_USAGE, "Nothing was changed.");
}

CliExit gatewayctl_agent_remove(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        CliExit code;

        if (!agent_id_is_plain(arguments[0]))
                return cli_fail(CLI_USAGE,
                                "\"%s\" cannot be an agent's id. \"agent list -o name\" shows them.",
                                arguments[0]);
        code = confirm_or_fail(c, "Remove agent %s? Its certificate is refused from then on.", arguments[0]);
        if (code != CLI_OK)
                return code;
        return api_delete(c, "/api/v1/agents", arguments[0]);
}

CliExit gatewayctl_desired_list(char *const *arguments, void *userdata) {
        static const char *const titles[] = { "ID",       "BY", "AGENT", "SELECTOR", "VERSION",
                                              "SET LAST", "BY", NULL };
        static const char *const members[] = { "id",      "by",      "agent", "selector",
                                               "version", "updated", "actor", NULL };

        return list_show(userdata, &(ListForm){ "/api/v1/desired", "desired", titles, members });
}

CliExit gatewayctl_desired_delete(char *const *arguments, void *userdata) {
        return api_delete(userdata, "/api/v1/desired", arguments[0]);
}

/* ---- API tokens ---- */

static const char *tokens_path(const GatewayCtl *c) {
        return c->own ? "/api/v1/me/tokens" : "/api/v1/api-tokens";
}

/* "--scope=agents,events --scope=audit" */
static int add_scopes(const GatewayCtl *c, json_t *body) {
        json_t *list = json_array();
        int r;

        r = json_set_take(body, "scopes", list);
        STRV_FOREACH(s, c->scopes) {
                _cleanup_strv_free_ char **names = NULL;

                if (r >= 0)
                        r = strv_split(*s, ",", &names);
                STRV_FOREACH(n, names)
                        if (r >= 0 && json_array_append_new(list, json_string(*n)) < 0)
                                r = -ENOMEM;
        }
        return r;
}

static int token_body(const GatewayCtl *c, json_t *body) {
        int r;

        r = body ? json_set_string(body, "role", c->role) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(body, "description", c->description);
        if (r >= 0 && c->scopes)
                r = add_scopes(c, body);
        if (r >= 0 && c->has_expires_in)
                r = json_set_u64(body, "expires_in_sec", (c->expires_in + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return r;
}

CliExit gatewayctl_api_token_create(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object(), *answer = NULL;
        const char *expires;
        CliExit code;

        if (!c->role)
                return cli_fail(CLI_USAGE, "Say what it may do: --role=viewer, operator or admin.");
        if (c->has_expires_in && c->expires_in > 0 && c->expires_in < USEC_PER_MINUTE)
                return cli_fail(CLI_USAGE, "--expires-in=: from 1min to 10 years, or 0 for never.");
        if (token_body(c, body) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_call(c, "POST", tokens_path(c), body, &answer);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        if (c->output == OUTPUT_NAME) {
                cli_print("%s", json_text(answer, "id"));
                return CLI_OK;
        }
        expires = json_text(answer, "expires");
        cli_note("API token %s with the role %s, %s%s. It is shown this once.", json_text(answer, "id"),
                 json_text(answer, "role"), isempty(expires) ? "without an end" : "until ", expires);
        cli_print("%s", json_text(answer, "token"));
        return CLI_OK;
}

CliExit gatewayctl_api_token_list(char *const *arguments, void *userdata) {
        static const char *const titles[] = { "ID",      "ROLE",  "SCOPES", "OWNER", "LAST USED",
                                              "EXPIRES", "DESCRIPTION", NULL };
        static const char *const members[] = { "id",      "role",  "scopes", "owner", "last_used",
                                               "expires", "description", NULL };

        return list_show(userdata, &(ListForm){ tokens_path(userdata), "api_tokens", titles, members });
}

CliExit gatewayctl_api_token_delete(char *const *arguments, void *userdata) {
        return api_delete(userdata, tokens_path(userdata), arguments[0]);
}
