/* SPDX-License-Identifier: Apache-2.0 */

/* update: sets the desired version of one agent, of those that a selector matches, or of all. */

#include "gatewayctl.h"
#include "string-util.h"
#include "version.h"

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

CliExit gatewayctl_update(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object(), *answer = NULL;
        uint64_t desired;
        CliExit code;

        code = body ? build_body(c, arguments[0], body) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code == CLI_OK) {
                _cleanup_free_ char *what = strjoinf("to version %s", c->version);

                code = target_confirm(c, arguments[0], body, "Update", strempty(what));
        }
        if (code == CLI_OK)
                code = api_post(c, "/api/v1/updates", body, &answer);
        if (code != CLI_OK)
                return code;

        if (c->output == OUTPUT_TABLE || c->output == OUTPUT_WIDE)
                say_started(c, answer);
        if (!c->wait)
                return c->output == OUTPUT_JSON ? print_json(c, answer) : CLI_OK;

        if (json_get_u64(json_object_get(answer, "desired"), "id", &desired) < 0)
                return cli_fail(CLI_ERROR, "The gateway's answer does not say what is desired.");
        return update_wait(c, arguments[0], desired);
}
