/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <getopt.h>
#include <stdio.h>

#include "agent-conf.h"
#include "agent-probe.h"
#include "agent-selftest.h"
#include "agent-service.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "version.h"

typedef enum Mode {
        MODE_SERVICE,
        MODE_SELF_TEST,
        MODE_PROBE,
        MODE_DUMP,
} Mode;

static void help(void) {
        puts("agent [OPTION...]\n\n"
             "The fleet-agent service. fleet-agent.service starts it; people use fleet-agentctl.\n\n"
             "  -h --help                   Show this and exit\n"
             "     --version                Show the version and exit\n"
             "     --config=PATH            Configuration instead of " FLEET_AGENT_CONF "\n"
             "     --state-directory=PATH   State instead of " FLEET_AGENT_STATE_DIR "\n"
             "     --no-bus                 Do without the system bus: no updates, for tests\n"
             "     --self-test              Check that this binary can run here, and exit\n"
             "     --probe-gateway          Ask the gateway whether a session could be opened, and exit\n"
             "     --dump-config            Show the configuration as it is understood, and exit\n\n"
             "See fleet-agent.service(8) and agent.conf(5).");
}

static int dump(const char *config) {
        _cleanup_free_ char *text = NULL;
        AgentConf conf;
        int r = agent_conf_load(&conf, config);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s: %m", config);
        r = agent_conf_dump(&conf, &text);
        agent_conf_done(&conf);
        if (r < 0)
                return log_oom();
        (void) fputs(text, stdout);
        return 0;
}

/* 1: go on; 0: done; negative: wrong usage. */
static int parse_argv(int argc, char *argv[], AgentServiceOptions *options, Mode *mode) {
        enum {
                ARG_VERSION = 0x100,
                ARG_CONFIG,
                ARG_STATE,
                ARG_NO_BUS,
                ARG_SELF_TEST,
                ARG_PROBE,
                ARG_DUMP,
        };
        static const struct option long_options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "config", required_argument, NULL, ARG_CONFIG },
                { "state-directory", required_argument, NULL, ARG_STATE },
                { "no-bus", no_argument, NULL, ARG_NO_BUS },
                { "self-test", no_argument, NULL, ARG_SELF_TEST },
                { "probe-gateway", no_argument, NULL, ARG_PROBE },
                { "dump-config", no_argument, NULL, ARG_DUMP },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        help();
                        return 0;
                case ARG_VERSION:
                        puts(fleet_version);
                        return 0;
                case ARG_CONFIG:
                        options->config = optarg;
                        break;
                case ARG_STATE:
                        options->state_directory = optarg;
                        break;
                case ARG_NO_BUS:
                        options->no_bus = true;
                        break;
                case ARG_SELF_TEST:
                        *mode = MODE_SELF_TEST;
                        break;
                case ARG_PROBE:
                        *mode = MODE_PROBE;
                        break;
                case ARG_DUMP:
                        *mode = MODE_DUMP;
                        break;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "agent: '%s' is no option; see --help\n", argv[optind]);
                return -EINVAL;
        }
        return 1;
}

int agent_run(int argc, char *argv[]) {
        AgentServiceOptions options = {
                .config = FLEET_AGENT_CONF,
                .state_directory = getenv("STATE_DIRECTORY") ?: FLEET_AGENT_STATE_DIR,
        };
        Mode mode = MODE_SERVICE;

        log_setup("fleet-agent");
        int r = parse_argv(argc, argv, &options, &mode);
        if (r < 0)
                return 2;
        if (r == 0)
                return EXIT_SUCCESS;
        switch (mode) {
        case MODE_SELF_TEST:
                r = agent_self_test();
                break;
        case MODE_PROBE:
                r = agent_probe(options.config, options.state_directory);
                break;
        case MODE_DUMP:
                r = dump(options.config);
                break;
        default:
                r = agent_service_run(&options);
        }
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
