/* SPDX-License-Identifier: Apache-2.0 */

/* fleet-simulate: plays the agents of thousands of machines over the real protocol. See fleet-simulate(1).
 */

#include <stdio.h>
#include <sys/stat.h>

#include "agent-conf.h"
#include "cli.h"
#include "crypto.h"
#include "daemon.h"
#include "event-util.h"
#include "join-token.h"
#include "log.h"
#include "parse-util.h"
#include "sim-draw.h"
#include "sim-fate.h"
#include "sim-fleet.h"
#include "string-util.h"
#include "version.h"

#define AGENTS_MAX 100000U

enum {
        OPTION_GATEWAY,
        OPTION_CONFIG,
        OPTION_STATE,
        OPTION_TOKEN,
        OPTION_AGENTS,
        OPTION_FIRST,
        OPTION_SEED,
        OPTION_AGENT_VERSION,
        OPTION_RATE,
        OPTION_ARCH,
        OPTION_PINNED,
        OPTION_TIME,
        OPTION_FAIL,
        OPTION_NEVER,
        OPTION_SLOW,
        OPTION_FLAPPING,
        OPTION_OFFLINE,
        OPTION_RELEASE_FAULT,
        OPTION_FAULT_WHERE,
        OPTION_CONFIRM_TIMEOUT,
        OPTION_PASSIVE,
        OPTION_FLOOD,
        OPTION_LOG,
        OPTION_UNTIL,
        OPTION_PLAN,
        OPTION_QUIET,
};

typedef struct Simulate {
        SimPlan plan;
        SimFleetOptions fleet;
        const char *gateway, *config;
        const char *planned_version; /* of --plan=, else NULL */
} Simulate;

static int parse_unsigned(const char *value, uint32_t low, uint32_t high, uint32_t *ret) {
        uint32_t n;
        int r = parse_u32(value, &n);
        if (r < 0 || n < low || n > high)
                return -EINVAL;
        *ret = n;
        return 0;
}

static int parse_rate(const char *value, unsigned *ret) {
        const char *end = endswith(value, "/s");
        _cleanup_free_ char *number = strndup(value, end ? (size_t) (end - value) : strlen(value));
        if (!number)
                return -ENOMEM;
        return parse_unsigned(number, 0, 1000000, ret);
}

static int parse_version(const char *value, const char **ret) {
        if (!version_is_valid(value))
                return -EINVAL;
        *ret = value;
        return 0;
}

/* Machines, times and failures. */
static int on_plan_option(unsigned id, const char *value, SimPlan *p, const char **reterr_why) {
        switch (id) {
        case OPTION_SEED:
                *reterr_why = "it is a number";
                return parse_u64(value, &p->seed);
        case OPTION_ARCH:
                return sim_parse_share(value, &p->other_arch, reterr_why);
        case OPTION_PINNED:
                return sim_parse_share(value, &p->pinned, reterr_why);
        case OPTION_TIME:
                return sim_plan_set_time(p, value, reterr_why);
        case OPTION_FAIL:
                return sim_plan_set_fail(p, value, reterr_why);
        case OPTION_NEVER:
                return sim_parse_share(value, &p->never_returns, reterr_why);
        case OPTION_SLOW:
                return sim_plan_set_slow(p, value, reterr_why);
        case OPTION_FLAPPING:
                return sim_plan_set_flapping(p, value, reterr_why);
        case OPTION_OFFLINE:
                return sim_plan_set_offline(p, value, reterr_why);
        case OPTION_RELEASE_FAULT:
                return sim_plan_add_release_fault(p, value, reterr_why);
        case OPTION_FAULT_WHERE:
                return sim_plan_add_fault_where(p, value, reterr_why);
        case OPTION_CONFIRM_TIMEOUT:
                *reterr_why = "it is a time such as 180s or 3min";
                return parse_sec(value, &p->confirm_timeout);
        default:
                return -EINVAL;
        }
}

static int on_option(unsigned id, const char *value, void *userdata, const char **reterr_why) {
        Simulate *s = userdata;
        SimFleetOptions *o = &s->fleet;

        switch (id) {
        case OPTION_GATEWAY:
                s->gateway = value;
                return 0;
        case OPTION_CONFIG:
                s->config = value;
                return 0;
        case OPTION_STATE:
                o->state_directory = value;
                return 0;
        case OPTION_TOKEN:
                o->join_token_file = value;
                return 0;
        case OPTION_AGENTS:
                *reterr_why = "it is a number from 1 to " STRINGIFY(AGENTS_MAX);
                return parse_unsigned(value, 1, AGENTS_MAX, &o->n);
        case OPTION_FIRST:
                *reterr_why = "it is a number";
                return parse_unsigned(value, 0, UINT32_MAX / 2, &o->first);
        case OPTION_AGENT_VERSION:
                *reterr_why = "not a version such as 1.0.0";
                return parse_version(value, &o->first_version);
        case OPTION_RATE:
                *reterr_why = "it is a number a second such as 100/s, or 0 for all at once";
                return parse_rate(value, &o->connect_rate);
        case OPTION_FLOOD:
                *reterr_why = "it is a number a second such as 10000/s";
                return parse_rate(value, &o->heartbeat_flood);
        case OPTION_PASSIVE:
                o->passive = true;
                return 0;
        case OPTION_QUIET:
                o->quiet = true;
                return 0;
        case OPTION_LOG:
                o->log_path = value;
                return 0;
        case OPTION_UNTIL:
                *reterr_why = "it is stopped, connected or idle";
                o->until = sim_until_from_string(value);
                return o->until < 0 ? -EINVAL : 0;
        case OPTION_PLAN:
                *reterr_why = "not a version such as 1.1.0";
                return parse_version(value, &s->planned_version);
        default:
                return on_plan_option(id, value, &s->plan, reterr_why);
        }
}

static const CliOption options[] = {
        { OPTION_GATEWAY, 'g', "gateway", "HOST[:PORT]", "The gateway, where its ports are the usual ones" },
        { OPTION_CONFIG, 'c', "config", "FILE", "Or an agent.conf(5) for all agents" },
        { OPTION_STATE, 's', "state-directory", "DIR", "Where the machines are kept" },
        { OPTION_TOKEN, 0, "join-token-file", "FILE", "Join token of machines that are new" },
        { OPTION_AGENTS, 'n', "agents", "N", "How many machines (1)" },
        { OPTION_FIRST, 0, "first", "N", "Number of the first one (0)" },
        { OPTION_SEED, 0, "seed", "N", "What machines and fates are drawn from (1)" },
        { OPTION_AGENT_VERSION, 0, "agent-version", "VERSION", "What runs on a new machine" },
        { OPTION_RATE, 0, "connect-rate", "N/s", "How fast agents are started; 0: all at once (200/s)" },
        { OPTION_ARCH, 0, "arch-mix", "SHARE", "Of aarch64 among the machines (0)" },
        { OPTION_PINNED, 0, "pinned", "SHARE", "Of machines held at their version (0)" },
        { OPTION_TIME, 0, "time", "PHASE:TIME", "How long a phase takes: restarting:2s, staging:1s..3s" },
        { OPTION_FAIL, 0, "fail", "PHASE:SHARE", "Of updates that fail in this phase: staging:0.5%" },
        { OPTION_NEVER, 0, "never-returns", "SHARE", "Of updates after whose restart nothing comes back" },
        { OPTION_SLOW, 0, "slow", "SHARE:FACTOR", "Of machines on which everything takes longer" },
        { OPTION_FLAPPING, 0, "flapping", "SHARE:TIME", "Of machines whose connection is cut so often" },
        { OPTION_OFFLINE, 0, "offline", "SHARE:TIME", "Of machines that are away at times, up to so long" },
        { OPTION_RELEASE_FAULT, 0, "release-fault", "VERSION:SHARE", "A release that is bad on these" },
        { OPTION_FAULT_WHERE, 0, "fault-where", "VERSION:FACT=VALUE:SHARE", "The same where a fact is so" },
        { OPTION_CONFIRM_TIMEOUT, 0, "confirm-timeout", "TIME", "Of a trial without a connection (3min)" },
        { OPTION_PASSIVE, 0, "passive", NULL, "Note instructions, and do nothing about them" },
        { OPTION_FLOOD, 0, "heartbeat-flood", "N/s", "Heartbeats besides the regular ones, all together" },
        { OPTION_LOG, 0, "log", "FILE", "What happens, a JSON object a line, appended" },
        { OPTION_UNTIL, 0, "until", "WHAT", "End when all are connected, or idle after updates" },
        { OPTION_PLAN, 0, "plan", "VERSION", "Only show the machines and how this update will go" },
        { OPTION_QUIET, 'q', "quiet", NULL, "No progress on standard error" },
        { 0 },
};

/* ---- --plan= ---- */

static int add_fate(json_t *o, const SimFate *f) {
        int r = json_set_string(o, "fate", sim_end_to_string(f->end));
        if (r >= 0 && f->end == SIM_END_FAILS) {
                r = json_set_string(o, "phase", update_phase_to_string(f->phase));
                if (r >= 0)
                        r = json_set_string(o, "verdict", update_verdict_to_string(f->verdict));
        }
        return r;
}

static int add_machine(json_t *o, const SimMachine *m) {
        static const char *const facts[] = { "hostname", "os", "os_version", "kernel", "arch" };
        int r = json_set_u64(o, "number", m->number);

        if (r >= 0)
                r = json_set_string(o, "id", m->id);
        for (size_t i = 0; i < ELEMENTSOF(facts) && r >= 0; i++)
                r = json_set_string(o, facts[i], sim_machine_fact(m, facts[i]));
        if (r >= 0)
                r = json_set_u64(o, "packaging", m->facts.packaging);
        if (r >= 0)
                r = json_set_bool(o, "pinned", m->pinned);
        if (r >= 0)
                r = json_set_bool(o, "slow", m->slow);
        if (r >= 0)
                r = json_set_bool(o, "flapping", m->flapping);
        return r < 0 ? r : json_set_bool(o, "offline", m->offline);
}

static int show_machine(const Simulate *s, uint32_t number) {
        _cleanup_json_ json_t *o = json_object();
        SimMachine m;

        int r = o ? sim_machine_init(&m, &s->plan, number) : -ENOMEM;
        if (r < 0)
                return r;
        SimFate f = sim_fate(&s->plan, &m, s->planned_version, /* attempt= */ 1);
        r = add_machine(o, &m);
        if (r >= 0)
                r = add_fate(o, &f);
        sim_machine_done(&m);
        _cleanup_free_ char *text = r >= 0 ? json_format(o, /* pretty= */ false) : NULL;
        if (!text)
                return r < 0 ? r : -ENOMEM;
        puts(text);
        return 0;
}

static CliExit show_plan(const Simulate *s) {
        for (uint32_t i = 0; i < s->fleet.n; i++)
                if (show_machine(s, s->fleet.first + i) < 0)
                        return cli_fail(CLI_ERROR, "Out of memory.");
        return CLI_OK;
}

/* ---- running ---- */

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        SimFleet **fleet = userdata;
        return *fleet ? sim_fleet_stop(*fleet) : sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_report(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        SimFleet **fleet = userdata;
        if (*fleet)
                (void) sim_fleet_report(*fleet);
        return 0;
}

/* Before the first thread is made: all of them inherit the mask. */
static int setup_event(sd_event **ret, SimFleet **fleet) {
        sigset_t mask;

        if (sigemptyset(&mask) < 0 || sigaddset(&mask, SIGUSR1) < 0 ||
            sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return negative_errno();
        int r = event_setup_daemon_with(ret, on_terminate, fleet);
        return r < 0 ? r : sd_event_add_signal(*ret, NULL, SIGUSR1, on_report, fleet);
}

static int load_configuration(const Simulate *s, AgentConf *ret) {
        if (s->config)
                return agent_conf_load(ret, s->config);
        _cleanup_free_ char *text = strjoinf("[Gateway]\nAddress=%s\n", s->gateway);
        return text ? agent_conf_parse(ret, "--gateway", text, strlen(text)) : -ENOMEM;
}

static CliExit run_fleet(const Simulate *s, const AgentConf *conf) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(sim_fleet_freep) SimFleet *fleet = NULL;
        SimFleetOptions o = s->fleet;

        int r = setup_event(&event, &fleet);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot set up the event loop: %s.", strerror(-r));
        o.event = event;
        o.conf = conf;
        o.plan = &s->plan;
        r = sim_fleet_new(&fleet, &o);
        if (r >= 0)
                r = sim_fleet_start(fleet);
        if (r >= 0)
                r = sd_event_loop(event);
        return r < 0 ? CLI_ERROR : CLI_OK;
}

static CliExit check_token(const char *path) {
        _cleanup_(join_token_freep) JoinToken *token = NULL;
        const char *why = "it is empty";

        if (!path) /* the credential may be absent: machines that are enrolled need none */
                return CLI_OK;
        int r = join_token_load(path, &token, &why);
        if (r == -EBADMSG)
                return cli_fail(CLI_ERROR, "The join token in %s cannot be used: %s.", path, why);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot read the join token in %s: %s.", path, strerror(-r)) :
                       CLI_OK;
}

static CliExit run(void *userdata) {
        Simulate *s = userdata;
        AgentConf conf = { 0 };
        const char *why;

        if (sim_plan_check(&s->plan, &why) < 0)
                return cli_fail(CLI_USAGE, "%s.", why);
        if (s->planned_version)
                return show_plan(s);
        if (!s->gateway == !s->config)
                return cli_fail(CLI_USAGE, "Say which gateway: either --gateway= or --config=.");
        if (!s->fleet.state_directory)
                return cli_fail(CLI_USAGE, "Say where the machines are to be kept: --state-directory=.");
        CliExit code = check_token(s->fleet.join_token_file);
        if (code != CLI_OK)
                return code;
        int r = load_configuration(s, &conf);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read the configuration: %s.", strerror(-r));
        if (!conf.address)
                code = cli_fail(CLI_USAGE, "No gateway is named: %s holds no usable Address=.",
                                s->config ?: "--gateway=");
        else
                code = run_fleet(s, &conf);
        agent_conf_done(&conf);
        return code;
}

static const CliProgram program = {
        .name = "fleet-simulate",
        .summary = "Plays the agents of thousands of machines over the real protocol, for demonstrations,\n"
                   "tests and benchmarks.",
        .options = options,
        .on_option = on_option,
        .run = run,
        .footer = "SHARE is 0.002 or 0.2%; PHASE is downloading, verifying, staging, restarting,\n"
                  "confirming or rolling-back. The report is one JSON object on standard output, at\n"
                  "the end and on SIGUSR1. See fleet-simulate(1).\n",
};

int main(int argc, char *argv[]) {
        Simulate s = {
                .plan = sim_plan_default(),
                .fleet = { .n = 1, .first_version = fleet_version, .connect_rate = 200 },
        };

        /* what agents have to say is told by the fleet, once and with their number; FLEET_LOG_LEVEL= shows
         * all */
        log_set_max_level(LOG_CRIT);
        (void) umask(0077);
        if (crypto_init() < 0)
                return cli_fail(CLI_ERROR, "The cryptographic library does not work on this machine.");
        if (daemon_protect_memory() < 0)
                cli_note("Cannot protect this process against core dumps, ignoring.");
        int code = cli_main(&program, argc, argv, &s);
        sim_plan_done(&s.plan);
        return code;
}
