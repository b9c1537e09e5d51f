/* SPDX-License-Identifier: Apache-2.0 */

/* fleet-gatewayd: reads the command line and the configuration, runs the loop. */

#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "crypto.h"
#include "daemon.h"
#include "event-util.h"
#include "gateway.h"
#include "log.h"
#include "string-util.h"
#include "version.h"

static const char *arg_config = GATEWAY_CONF;
static const char *arg_state_directory;

static int help(void) {
        printf("fleet-gatewayd [OPTION...]\n\n"
               "The gateway of a fleet: streams to agents, registry of releases, HTTPS interface.\n\n"
               "     --config=FILE            Configuration (" GATEWAY_CONF ")\n"
               "     --state-directory=DIR    Where everything is kept (" GATEWAY_STATE_DIR ")\n"
               "     --version                Show the version\n"
               "  -h --help                   Show this help\n\n"
               "See fleet-gatewayd(8) and gateway.conf(5).\n");
        return 0;
}

/* > 0: go on; 0: done; negative: wrong usage. */
static int parse_argv(int argc, char *argv[]) {
        enum {
                ARG_CONFIG = 0x100,
                ARG_STATE_DIRECTORY,
                ARG_VERSION,
        };
        static const struct option options[] = {
                { "config", required_argument, NULL, ARG_CONFIG },
                { "state-directory", required_argument, NULL, ARG_STATE_DIRECTORY },
                { "version", no_argument, NULL, ARG_VERSION },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case ARG_CONFIG:
                        arg_config = optarg;
                        break;
                case ARG_STATE_DIRECTORY:
                        arg_state_directory = optarg;
                        break;
                case ARG_VERSION:
                        printf("fleet-gatewayd %s\n", fleet_version);
                        return 0;
                case 'h':
                        return help();
                default:
                        return -EINVAL;
                }
        if (optind < argc)
                return log_error_errno(
                                -EINVAL, "fleet-gatewayd takes no arguments, only options; see --help.");
        return 1;
}

/* One descriptor for each agent, and more. */
static void raise_limits(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                (void) log_warning_errno(
                                negative_errno(), "Failed to raise the limit of open files, ignoring: %m");
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Gateway **g = userdata;

        if (*g)
                gateway_stop(*g, 0);
        else
                (void) sd_event_exit(sd_event_source_get_event(source), 0);
        return 0;
}

static int run(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(gateway_freep) Gateway *g = NULL;
        GatewayConf conf;
        int r;

        r = gateway_conf_load(&conf, arg_config);
        if (r >= 0 && arg_state_directory)
                r = free_and_strdup(&conf.state_directory, arg_state_directory);
        if (r < 0) {
                gateway_conf_done(&conf);
                return log_oom();
        }
        log_set_max_level(conf.log_level);
        r = event_setup_daemon_with(&event, on_terminate, &g);
        if (r < 0) {
                gateway_conf_done(&conf);
                return log_error_errno(r, "Failed to set up the event loop: %m");
        }
        r = gateway_new(&g, event, &conf);
        if (r < 0)
                return r;
        r = gateway_start(g);
        if (r < 0)
                return log_error_errno(r, "Failed to start: %m");
        return sd_event_loop(event);
}

int main(int argc, char *argv[]) {
        int r;

        log_setup("fleet-gatewayd");
        r = parse_argv(argc, argv);
        if (r <= 0)
                return r < 0 ? 2 : EXIT_SUCCESS;
        (void) umask(0077);
        r = daemon_protect_memory();
        if (r < 0)
                (void) log_warning_errno(r, "Failed to forbid core dumps, ignoring: %m");
        r = crypto_init();
        if (r < 0)
                return log_error_errno(r, "Failed to initialise the cryptographic library."), EXIT_FAILURE;
        raise_limits();
        r = run();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
