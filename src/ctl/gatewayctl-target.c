/* SPDX-License-Identifier: Apache-2.0 */

/* Whom an action is for, and the question before it. */

#include "gatewayctl.h"
#include "string-util.h"

CliExit target_add(const GatewayCtl *c, const char *agent, json_t *body) {
        unsigned n = !!agent + !!c->selector + !!c->group + c->all;
        int r;

        if (n != 1)
                return cli_fail(CLI_USAGE,
                                "Name exactly one target: an agent's id, --selector=, --group=, or --all.");
        if (agent && !agent_id_is_plain(agent))
                return cli_fail(CLI_USAGE,
                                "\"%s\" cannot be an agent's id. \"agent list -o name\" shows them.", agent);
        r = json_set_string(body, "agent", agent);
        if (r >= 0)
                r = json_set_string(body, "selector", c->selector);
        if (r >= 0)
                r = json_set_string(body, "group", c->group);
        if (r >= 0 && c->all)
                r = json_set_bool(body, "all", true);
        return r < 0 ? cli_fail(CLI_ERROR, "Out of memory.") : CLI_OK;
}

/* The gateway counts, by the very target that the action will name. */
static CliExit count_target(GatewayCtl *c, json_t **ret) {
        _cleanup_json_ json_t *body = json_object();
        uint64_t n;
        CliExit code;

        code = body ? target_add(c, NULL, body) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code == CLI_OK)
                code = api_call(c, "POST", "/api/v1/agents/match", body, ret);
        if (code == CLI_OK && (json_get_u64(*ret, "count", &n) < 0 || isempty(json_text(*ret, "digest"))))
                code = cli_fail(CLI_ERROR, "The gateway does not say how many agents there are.");
        return code;
}

static int ask(const GatewayCtl *c, uint64_t n, const char *selector, const char *doing, const char *what) {
        const char *agents = n == 1 ? "agent" : "agents";

        if (c->all)
                return cli_confirm("%s all %" PRIu64 " %s %s?", doing, n, agents, what);
        if (c->group)
                return cli_confirm(
                                "%s %" PRIu64 " %s (group %s: %s) %s?", doing, n, agents, c->group, selector,
                                what);
        return cli_confirm("%s %" PRIu64 " %s (%s) %s?", doing, n, agents, c->selector, what);
}

/* A slip in a selector can mean the whole fleet, so it is asked as --all is. */
CliExit target_confirm(GatewayCtl *c, const char *agent, json_t *body, const char *doing, const char *what) {
        _cleanup_json_ json_t *seen = NULL;
        uint64_t n = 0;
        CliExit code;
        int r;

        if (c->yes || agent)
                return CLI_OK;
        code = count_target(c, &seen);
        if (code != CLI_OK)
                return code;
        (void) json_get_u64(seen, "count", &n);
        r = ask(c, n, json_text(seen, "selector"), doing, what);
        if (r == -ENOTTY)
                return cli_fail(CLI_USAGE,
                                "%s changes %" PRIu64 " agents now: say --yes where nobody can be asked.",
                                c->all   ? "--all" :
                                c->group ? "--group=" :
                                           "--selector=",
                                n);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot ask: %s", strerror(-r));
        if (r == 0)
                return cli_fail(CLI_USAGE, "Nothing was changed.");
        if (json_set_u64(body, "expected_count", n) < 0 ||
            json_set_string(body, "expected_digest", json_text(seen, "digest")) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        return CLI_OK;
}
