/* SPDX-License-Identifier: Apache-2.0 */

/* Join tokens. create prints the token alone on standard output, so that it can be put straight into a file; the
 * gateway keeps a hash only, so nothing shows it again. */

#include "cli-table.h"
#include "gatewayctl.h"
#include "selector.h"
#include "string-util.h"

static CliExit add_labels(const GatewayCtl *c, json_t *body) {
        json_t *labels = json_object();

        if (json_set_take(body, "labels", labels) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        STRV_FOREACH(l, c->labels) {
                const char *equals = strchr(*l, '=');
                _cleanup_free_ char *key = equals ? strndup(*l, (size_t) (equals - *l)) : NULL;

                if (!key || !label_key_is_valid(key) || !label_value_is_valid(equals + 1) ||
                    startswith(key, SELECTOR_FACT_PREFIX))
                        return cli_fail(CLI_USAGE,
                                        "--label=%s: it must be KEY=VALUE, of letters, digits, '-', '_' and '.'.",
                                        *l);
                if (json_object_get(labels, key))
                        return cli_fail(CLI_USAGE, "--label=%s: \"%s\" is given twice.", *l, key);
                if (json_set_string(labels, key, equals + 1) < 0)
                        return cli_fail(CLI_ERROR, "Out of memory.");
        }
        return CLI_OK;
}

CliExit gatewayctl_token_create(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object(), *answer = NULL;
        uint64_t uses = 0;
        CliExit code = CLI_OK;
        int r;

        if (c->has_expires_in && (c->expires_in < USEC_PER_MINUTE || c->expires_in > 30 * USEC_PER_DAY))
                return cli_fail(CLI_USAGE, "--expires-in=: a time span from 1min to 30d is expected.");
        r = body ? json_set_string(body, "description", c->description) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(body, "agent", c->agent);
        if (r >= 0 && c->uses > 0)
                r = json_set_u64(body, "uses", c->uses);
        if (r >= 0 && c->has_expires_in)
                r = json_set_u64(body, "expires_in_sec", (c->expires_in + USEC_PER_SEC - 1) / USEC_PER_SEC);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        if (c->labels)
                code = add_labels(c, body);
        if (code == CLI_OK)
                code = api_call(c, "POST", "/api/v1/join-tokens", body, &answer);
        if (code != CLI_OK)
                return code;

        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        if (c->output == OUTPUT_NAME) {
                cli_print("%s", json_text(answer, "id"));
                return CLI_OK;
        }
        (void) json_get_u64(answer, "uses", &uses);
        cli_note("Join token %s, for %" PRIu64 " %s, until %s. It is shown this once.",
                 json_text(answer, "id"), uses, uses == 1 ? "machine" : "machines",
                 json_text(answer, "expires"));
        cli_print("%s", json_text(answer, "token"));
        return CLI_OK;
}

static int print_tokens(const GatewayCtl *c, json_t *tokens) {
        static const char *const columns[] = { "ID", "LEFT", "OF", "EXPIRES", "LABELS", "DESCRIPTION", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *token;
        size_t i;
        int r;

        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(tokens, i, token) {
                _cleanup_free_ char *labels = labels_text(json_object_get(token, "labels"));
                uint64_t uses = 0, left = 0;

                (void) json_get_u64(token, "uses", &uses);
                (void) json_get_u64(token, "uses_left", &left);
                cli_table_add(t, CLI_PLAIN, json_text(token, "id"));
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, left);
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, uses);
                cli_table_add(t, CLI_PLAIN, json_text(token, "expires"));
                cli_table_add(t, CLI_PLAIN, labels);
                cli_table_add(t, CLI_PLAIN, json_text(token, "description"));
        }
        return cli_table_print(t, !c->no_legend);
}

CliExit gatewayctl_token_list(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *answer = NULL;
        json_t *tokens, *token;
        CliExit code;
        size_t i;
        int r;

        code = api_call(c, "GET", "/api/v1/join-tokens", NULL, &answer);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        tokens = json_object_get(answer, "join_tokens");
        if (c->output == OUTPUT_NAME) {
                json_array_foreach(tokens, i, token)
                        cli_print("%s", json_text(token, "id"));
                return CLI_OK;
        }
        r = print_tokens(c, tokens);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the join tokens: %s", strerror(-r)) : CLI_OK;
}

CliExit gatewayctl_token_delete(char *const *arguments, void *userdata) {
        return api_delete(userdata, "/api/v1/join-tokens", arguments[0]);
}
