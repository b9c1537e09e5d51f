/* SPDX-License-Identifier: Apache-2.0 */

/* fleet-agentctl: what runs on this machine, over the system bus. See fleet-agentctl(1). */

#include "agentctl.h"

#include "bus-util.h"
#include "parse-util.h"

enum {
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_NO_WAIT,
        OPTION_TIMEOUT,
};

static int on_option(unsigned id, const char *value, void *userdata, const char **reterr_why) {
        AgentCtl *c = userdata;

        switch (id) {
        case OPTION_JSON:
                *reterr_why = "it must be short, pretty or off";
                c->json = cli_json_from_string(value);
                return c->json < 0 ? -EINVAL : 0;
        case OPTION_NO_LEGEND:
                c->no_legend = true;
                return 0;
        case OPTION_NO_WAIT:
                c->no_wait = true;
                return 0;
        case OPTION_TIMEOUT:
                *reterr_why = "not a time span such as 90, 30s or 5min";
                return parse_sec(value, &c->timeout);
        default:
                return -EINVAL;
        }
}

static const CliVerb verbs[] = {
        { "status", NULL, 0, 0, 0, agentctl_status, "Agent, gateway, update, last result" },
        { "versions", NULL, 0, 0, CLI_BIT(OPTION_NO_LEGEND), agentctl_versions,
          "Versions present on this machine" },
        { "check-update", NULL, 0, 0, 0, agentctl_check_update,
          "Fetch the signed metadata and say what is there" },
        { "rollback", "[VERSION]", 0, 1, CLI_BIT(OPTION_NO_WAIT) | CLI_BIT(OPTION_TIMEOUT),
          agentctl_rollback, "Go back to the previous or to a named version" },
        { "pin", "VERSION", 1, 1, 0, agentctl_pin, "Hold this machine at a version" },
        { "unpin", NULL, 0, 0, 0, agentctl_unpin, "Take updates again" },
        { "watch", NULL, 0, 0, 0, agentctl_watch, "A line for each change, until interrupted" },
        { 0 },
};

static const CliOption options[] = {
        { OPTION_JSON, 0, "json", "MODE", "Output as JSON: short, pretty or off" },
        { OPTION_NO_LEGEND, 0, "no-legend", NULL, "No titles above tables" },
        { OPTION_NO_WAIT, 0, "no-wait", NULL, "Return as soon as it has begun" },
        { OPTION_TIMEOUT, 0, "timeout", "TIME", "Stop waiting after this time (10min)" },
        { 0 },
};

static const CliProgram program = {
        .name = "fleet-agentctl",
        .summary = "Looks at the fleet agent of this machine, and steers its updates.",
        .verbs = verbs,
        .options = options,
        .common = CLI_BIT(OPTION_JSON),
        .on_option = on_option,
};

int main(int argc, char *argv[]) {
        AgentCtl c = { .timeout = 10 * USEC_PER_MINUTE };
        int code;

        code = cli_main(&program, argc, argv, &c);
        sd_bus_flush_close_unref(c.bus);
        return code;
}
