/* SPDX-License-Identifier: Apache-2.0 */

/* fleet-gatewayctl: the operators' command line, over the gateway's HTTPS interface. See
 * fleet-gatewayctl(1). */

#include "gatewayctl.h"

#include <signal.h>

#include "crypto.h"
#include "daemon.h"
#include "gatewayctl-rollout.h"
#include "hex.h"
#include "parse-util.h"
#include "string-util.h"

enum {
        OPTION_GATEWAY,
        OPTION_CA,
        OPTION_TOKEN_FILE,
        OPTION_OUTPUT,
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_SELECTOR,
        OPTION_ALL,
        OPTION_VERSION,
        OPTION_RETRY,
        OPTION_WAIT,
        OPTION_TIMEOUT,
        OPTION_YES,
        OPTION_USES,
        OPTION_EXPIRES_IN,
        OPTION_LABEL,
        OPTION_DESCRIPTION,
        OPTION_ALLOW_EMPTY,
        OPTION_AGENT,
        OPTION_ROLE,
        OPTION_ACTOR,
        OPTION_ACTION,
        OPTION_TARGET,
        OPTION_SINCE,
        OPTION_UNTIL,
        OPTION_LINES,
        OPTION_FOLLOW,
        OPTION_FROM_FILE,
        OPTION_HEAD,
        OPTION_GROUP,
        OPTION_STATE,
        OPTION_VERSION_IS,
        OPTION_UPDATE_IS,
        OPTION_MATCH,
        OPTION_SORT,
        OPTION_DISPLAY_NAME,
        OPTION_PASSWORD_FILE,
        OPTION_SCOPE,
        OPTION_OWN,
        OPTION_FORCE,
        OPTION_DATABASE_ONLY,
        OPTION_STATE_DIRECTORY,
        OPTION_HEAD_FILE,
};

static int set_output(GatewayCtl *c, const char *value, const char **reterr_why) {
        *reterr_why = "it must be table, wide, json, yaml or name";
        c->yaml = streq(value, "yaml");
        if (streq(value, "table"))
                c->output = OUTPUT_TABLE;
        else if (streq(value, "wide"))
                c->output = OUTPUT_WIDE;
        else if (streq(value, "name"))
                c->output = OUTPUT_NAME;
        else if (streq(value, "json") || c->yaml) {
                c->output = OUTPUT_JSON;
                c->json = CLI_JSON_PRETTY;
        } else
                return -EINVAL;
        return 0;
}

static int set_json(GatewayCtl *c, const char *value, const char **reterr_why) {
        CliJson j = cli_json_from_string(value);

        *reterr_why = "it must be short, pretty or off";
        if (j < 0)
                return -EINVAL;
        c->yaml = false;
        if (j != CLI_JSON_OFF) {
                c->output = OUTPUT_JSON;
                c->json = j;
        } else if (c->output == OUTPUT_JSON)
                c->output = OUTPUT_TABLE;
        return 0;
}

static int set_text(const char **target, const char *value, const char **reterr_why) {
        *reterr_why = "it must not be empty";
        if (isempty(value))
                return -EINVAL;
        *target = value;
        return 0;
}

static int set_copy(char **target, const char *value, const char **reterr_why) {
        const char *ignored;
        int r;

        r = set_text(&ignored, value, reterr_why);
        return r < 0 ? r : MIN(free_and_strdup(target, value), 0);
}

static int set_when(usec_t *target, const char *value, const char **reterr_why) {
        *reterr_why = "a time such as 2026-11-24T12:34:56Z, or a span before now such as 2h, is expected";
        return audit_parse_when(value, target);
}

static int on_option(unsigned id, const char *value, void *userdata, const char **reterr_why) {
        GatewayCtl *c = userdata;

        if (id >= OPTION_RELEASE)
                return rollout_option(c, id, value, reterr_why);
        switch (id) {
        case OPTION_GATEWAY:
                return set_copy(&c->gateway, value, reterr_why);
        case OPTION_CA:
                return set_copy(&c->ca_path, value, reterr_why);
        case OPTION_TOKEN_FILE:
                return set_copy(&c->token_path, value, reterr_why);
        case OPTION_OUTPUT:
                return set_output(c, value, reterr_why);
        case OPTION_JSON:
                return set_json(c, value, reterr_why);
        case OPTION_NO_LEGEND:
                c->no_legend = true;
                return 0;
        case OPTION_SELECTOR:
                return set_text(&c->selector, value, reterr_why);
        case OPTION_ALL:
                c->all = true;
                return 0;
        case OPTION_VERSION:
                return set_text(&c->version, value, reterr_why);
        case OPTION_RETRY:
                c->retry = true;
                return 0;
        case OPTION_WAIT:
                c->wait = true;
                return 0;
        case OPTION_TIMEOUT:
                *reterr_why = "not a time span such as 90, 30s or 5min";
                c->has_timeout = true;
                return parse_sec(value, &c->timeout);
        case OPTION_YES:
                c->yes = true;
                return 0;
        case OPTION_USES:
                *reterr_why = "a number from 1 to 100000 is expected";
                return parse_u32(value, &c->uses) < 0 || c->uses < 1 || c->uses > 100000 ? -EINVAL : 0;
        case OPTION_EXPIRES_IN:
                *reterr_why = "a time span such as 12h or 30d is expected";
                c->has_expires_in = true;
                return parse_sec(value, &c->expires_in) < 0 || c->expires_in > 3650 * USEC_PER_DAY ?
                                       -EINVAL :
                                       0;
        case OPTION_LABEL:
                return strv_extend(&c->labels, value);
        case OPTION_DESCRIPTION:
                return set_text(&c->description, value, reterr_why);
        case OPTION_ROLE:
                *reterr_why = "it must be viewer, operator or admin";
                c->role = value;
                return streq(value, "viewer") || streq(value, "operator") || streq(value, "admin") ? 0 :
                                                                                                     -EINVAL;
        case OPTION_AGENT:
                return set_text(&c->agent, value, reterr_why) < 0 ? -EINVAL : strv_extend(&c->agents, value);
        case OPTION_GROUP:
                return set_text(&c->group, value, reterr_why);
        case OPTION_STATE:
                return set_text(&c->state, value, reterr_why);
        case OPTION_VERSION_IS:
                return set_text(&c->version_is, value, reterr_why);
        case OPTION_UPDATE_IS:
                return set_text(&c->update_is, value, reterr_why);
        case OPTION_MATCH:
                return set_text(&c->match, value, reterr_why);
        case OPTION_SORT:
                return set_text(&c->sort, value, reterr_why);
        case OPTION_ALLOW_EMPTY:
                c->allow_empty = true;
                return 0;
        case OPTION_ACTOR:
                return set_text(&c->audit.actor, value, reterr_why);
        case OPTION_ACTION:
                return set_text(&c->audit.action, value, reterr_why);
        case OPTION_TARGET:
                return set_text(&c->audit.target, value, reterr_why);
        case OPTION_SINCE:
                return set_when(&c->audit.since, value, reterr_why);
        case OPTION_UNTIL:
                return set_when(&c->audit.until, value, reterr_why);
        case OPTION_LINES:
                *reterr_why = "a number is expected, 0 for all";
                c->audit.has_lines = true;
                return parse_u32(value, &c->audit.lines);
        case OPTION_FOLLOW:
                c->audit.follow = true;
                return 0;
        case OPTION_FROM_FILE:
                return set_text(&c->audit.from_file, value, reterr_why);
        case OPTION_DISPLAY_NAME:
                return set_text(&c->display_name, value, reterr_why);
        case OPTION_PASSWORD_FILE:
                return set_text(&c->password_file, value, reterr_why);
        case OPTION_SCOPE:
                return strv_extend(&c->scopes, value);
        case OPTION_OWN:
                c->own = true;
                return 0;
        case OPTION_FORCE:
                c->backup.force = true;
                return 0;
        case OPTION_DATABASE_ONLY:
                c->backup.database_only = true;
                return 0;
        case OPTION_STATE_DIRECTORY:
                return set_text(&c->backup.state_directory, value, reterr_why);
        case OPTION_HEAD_FILE:
                return set_text(&c->audit.head_file, value, reterr_why);
        case OPTION_HEAD:
                *reterr_why = "64 hexadecimal digits are expected";
                c->audit.head = value;
                return hex_is_valid(value, 32) ? 0 : -EINVAL;
        default:
                return -EINVAL;
        }
}

#define BIT(o) CLI_BIT(OPTION_##o)
#define MORE(o) CLI_MORE(OPTION_##o)

static const CliVerb verbs[] = {
        { "agent list", NULL, 0, 0,
          BIT(SELECTOR) | BIT(GROUP) | BIT(STATE) | BIT(VERSION_IS) | BIT(UPDATE_IS) | BIT(MATCH) | BIT(SORT) |
                          BIT(NO_LEGEND),
          gatewayctl_agent_list, "Agents and their state" },
        { "agent show", "ID", 1, 1, BIT(NO_LEGEND), gatewayctl_agent_show,
          "One agent and its last updates" },
        { "agent label", "[ID] KEY=VALUE|KEY-...", 1, 65, BIT(SELECTOR) | BIT(GROUP) | BIT(ALL) | BIT(YES),
          gatewayctl_agent_label, "Set labels of agents, or take them away" },
        { "agent remove", "ID", 1, 1, BIT(YES), gatewayctl_agent_remove,
          "Forget an agent and refuse its certificate" },
        { "label list", "[KEY]", 0, 1, BIT(NO_LEGEND), gatewayctl_label_list, "Labels, their values, and how many have them" },
        { "group list", NULL, 0, 0, BIT(NO_LEGEND), gatewayctl_group_list, "Groups, and how many agents are in them" },
        { "group show", "NAME", 1, 1, BIT(NO_LEGEND), gatewayctl_group_show, "One group and its versions" },
        { "group create", "NAME", 1, 1, BIT(SELECTOR) | BIT(DESCRIPTION), gatewayctl_group_create,
          "Give a selector a name" },
        { "group set", "NAME", 1, 1, BIT(SELECTOR) | BIT(DESCRIPTION), gatewayctl_group_set,
          "Change what a group means" },
        { "group remove", "NAME", 1, 1, 0, gatewayctl_group_remove, "Forget a group; its agents stay" },
        { "release list", NULL, 0, 0, BIT(NO_LEGEND), gatewayctl_release_list,
          "Releases in the registry" },
        { "release import", "DIRECTORY", 1, 1, 0, gatewayctl_release_import,
          "Send a published repository; the gateway verifies it" },
        { "token create", NULL, 0, 0, BIT(USES) | BIT(EXPIRES_IN) | BIT(LABEL) | BIT(DESCRIPTION) | BIT(AGENT),
          gatewayctl_token_create, "Make a join token for new machines" },
        { "token list", NULL, 0, 0, BIT(NO_LEGEND), gatewayctl_token_list, "Join tokens and what is left of them" },
        { "token delete", "ID", 1, 1, 0, gatewayctl_token_delete, "Make a join token worthless" },
        { "api-token create", NULL, 0, 0,
          BIT(ROLE) | BIT(SCOPE) | BIT(EXPIRES_IN) | BIT(DESCRIPTION) | BIT(OWN), gatewayctl_api_token_create,
          "Make a token for a person or a program" },
        { "api-token list", NULL, 0, 0, BIT(NO_LEGEND) | BIT(OWN), gatewayctl_api_token_list, "API tokens" },
        { "api-token delete", "ID", 1, 1, BIT(OWN), gatewayctl_api_token_delete,
          "Make an API token worthless" },
        { "user list", NULL, 0, 0, BIT(NO_LEGEND), gatewayctl_user_list, "Who may sign in, and as what" },
        { "user show", "NAME", 1, 1, 0, gatewayctl_user_show, "One user" },
        { "user create", "NAME", 1, 1, BIT(ROLE) | BIT(DISPLAY_NAME) | BIT(PASSWORD_FILE),
          gatewayctl_user_create, "Make a user" },
        { "user set-role", "NAME ROLE", 2, 2, 0, gatewayctl_user_set_role, "Give another role, at once" },
        { "user set-password", "NAME", 1, 1, BIT(PASSWORD_FILE), gatewayctl_user_set_password,
          "Give another password; all sessions end" },
        { "user disable", "NAME", 1, 1, 0, gatewayctl_user_disable,
          "Let nobody in by this name; all sessions end" },
        { "user enable", "NAME", 1, 1, 0, gatewayctl_user_enable, "Let the user in again" },
        { "user remove", "NAME", 1, 1, BIT(YES), gatewayctl_user_remove,
          "Remove a user, with sessions and API tokens" },
        { "desired list", NULL, 0, 0, BIT(NO_LEGEND), gatewayctl_desired_list, "Which versions are desired, and where" },
        { "desired delete", "ID", 1, 1, 0, gatewayctl_desired_delete,
          "Desire it no longer; nothing is rolled back" },
        { "update", "[AGENT]", 0, 1,
          BIT(SELECTOR) | BIT(GROUP) | BIT(ALL) | BIT(VERSION) | BIT(RETRY) | BIT(WAIT) | BIT(TIMEOUT) | BIT(YES) |
                          BIT(ALLOW_EMPTY),
          gatewayctl_update, "Set the desired version of an agent, a selection, or all" },
        { "rollout create", NULL, 0, 0,
          BIT(SELECTOR) | BIT(GROUP) | BIT(AGENT) | BIT(ALL) | BIT(DESCRIPTION) | BIT(WAIT) | BIT(TIMEOUT) | BIT(YES) |
                          BIT(NO_LEGEND),
          gatewayctl_rollout_create, "Bring agents to a release, step by step",
          ROLLOUT_STRATEGY_OPTIONS | MORE(RELEASE) | MORE(INCLUDE_NEW_AGENTS) | MORE(SET_DESIRED) },
        { "rollout list", NULL, 0, 0, BIT(STATE) | BIT(NO_LEGEND), gatewayctl_rollout_list, "Rollouts, newest first",
          MORE(ACTIVE) | MORE(RELEASE) },
        { "rollout show", "ID", 1, 1, BIT(NO_LEGEND), gatewayctl_rollout_show,
          "One rollout: how far it is, and what happens next" },
        { "rollout members", "ID", 1, 1, BIT(STATE) | BIT(NO_LEGEND), gatewayctl_rollout_members,
          "The agents of a rollout, and how it went with each", MORE(REASON) | MORE(BATCH) },
        { "rollout watch", "ID", 1, 1, BIT(TIMEOUT), gatewayctl_rollout_watch, "Show how it goes, until it ends" },
        { "rollout pause", "ID", 1, 1, 0, gatewayctl_rollout_pause, "Admit nobody for now; who is in flight goes on",
          MORE(WHY) },
        { "rollout resume", "ID", 1, 1, BIT(WAIT) | BIT(TIMEOUT), gatewayctl_rollout_resume, "Let it go on", MORE(WHY) },
        { "rollout abort", "ID", 1, 1, BIT(WAIT) | BIT(TIMEOUT), gatewayctl_rollout_abort,
          "End it once who is in flight has ended", MORE(WHY) },
        { "rollout approve", "ID", 1, 1, BIT(WAIT) | BIT(TIMEOUT), gatewayctl_rollout_approve,
          "Let the next batch begin", MORE(WHY) },
        { "rollout retry-failed", "ID", 1, 1, BIT(WAIT) | BIT(TIMEOUT), gatewayctl_rollout_retry_failed,
          "Another turn for the agents that failed", MORE(WHY) },
        { "rollout roll-back", "ID", 1, 1, BIT(DESCRIPTION) | BIT(WAIT) | BIT(TIMEOUT) | BIT(YES) | BIT(NO_LEGEND),
          gatewayctl_rollout_roll_back, "Bring the agents that it updated back to what they ran",
          ROLLOUT_STRATEGY_OPTIONS | MORE(WHY) },
        { "audit list", NULL, 0, 0,
          BIT(ACTOR) | BIT(ACTION) | BIT(TARGET) | BIT(SINCE) | BIT(UNTIL) | BIT(LINES) | BIT(NO_LEGEND),
          gatewayctl_audit_list, "What was changed, by whom, newest first" },
        { "audit tail", NULL, 0, 0, BIT(LINES) | BIT(FOLLOW), gatewayctl_audit_tail,
          "The last entries of the audit log, and those to come" },
        { "audit verify", NULL, 0, 0, BIT(FROM_FILE) | BIT(HEAD) | BIT(HEAD_FILE), gatewayctl_audit_verify,
          "Was anything changed in the audit log, or taken out of it?" },
        { "audit export", NULL, 0, 0, 0, gatewayctl_audit_export, "The whole audit log, an entry a line" },
        { "backup", "FILE", 1, 1, BIT(FORCE) | BIT(DATABASE_ONLY) | BIT(STATE_DIRECTORY), gatewayctl_backup,
          "Save what the gateway alone has; - for standard output" },
        { "watch", "[AGENT]", 0, 1, 0, gatewayctl_watch, "A line for each event, until interrupted" },
        { 0 },
};

static const CliOption options[] = {
        { OPTION_GATEWAY, 0, "gateway", "URL", "The gateway (https://localhost:8443)" },
        { OPTION_CA, 0, "ca", "FILE", "Its CA certificate, in PEM" },
        { OPTION_TOKEN_FILE, 0, "token-file", "FILE", "Token to show it" },
        { OPTION_OUTPUT, 'o', "output", "FORM", "table, wide, json, yaml or name" },
        { OPTION_JSON, 0, "json", "MODE", "Output as JSON: short, pretty or off" },
        { OPTION_NO_LEGEND, 0, "no-legend", NULL, "No titles above tables" },
        { OPTION_SELECTOR, 'l', "selector", "SELECTOR", "Agents with these labels: env=staging,!legacy" },
        { OPTION_GROUP, 0, "group", "NAME", "Agents of this group" },
        { OPTION_STATE, 0, "state", "STATES", "Agents that are online, offline or never (seen); rollouts or members in it" },
        { OPTION_VERSION_IS, 0, "version-is", "VERSIONS", "Agents that run one of these versions, or none" },
        { OPTION_UPDATE_IS, 0, "update-is", "PHASES", "Agents whose newest update is there, or none" },
        { OPTION_MATCH, 'm', "match", "NAMES", "Agents whose host name or id begins like one of these" },
        { OPTION_SORT, 0, "sort", "[-]KEY", "id, hostname, state, version, last_seen, ...; - turns it round" },
        { OPTION_ALL, 0, "all", NULL, "Every agent" },
        { OPTION_VERSION, 0, "version", "VERSION", "The version that shall run" },
        { OPTION_RETRY, 0, "retry", NULL, "Also where this version has failed before" },
        { OPTION_WAIT, 'w', "wait", NULL, "Show how it goes, until all have ended" },
        { OPTION_TIMEOUT, 0, "timeout", "TIME", "Stop waiting after this time (update: 30min)" },
        { OPTION_YES, 'y', "yes", NULL, "Do not ask" },
        { OPTION_ALLOW_EMPTY, 0, "allow-empty", NULL, "Also when no agent matches the selector now" },
        { OPTION_USES, 0, "uses", "N", "For so many machines (1)" },
        { OPTION_EXPIRES_IN, 0, "expires-in", "TIME", "Valid for so long (join tokens 1d, API tokens 90d)" },
        { OPTION_LABEL, 0, "label", "KEY=VALUE", "Label for machines that join with it; repeatable" },
        { OPTION_ROLE, 0, "role", "ROLE", "What token or user may do: viewer, operator or admin" },
        { OPTION_SCOPE, 0, "scope", "AREAS", "For these areas alone: agents,events; repeatable" },
        { OPTION_OWN, 0, "own", NULL, "Your own API tokens, without being an admin" },
        { OPTION_DISPLAY_NAME, 0, "display-name", "TEXT", "How the user is called" },
        { OPTION_PASSWORD_FILE, 0, "password-file", "FILE", "The password is its first line; - for standard input" },
        { OPTION_AGENT, 0, "agent", "ID", "For the machine with this id alone; rollout create: ID,..., repeatable" },
        { OPTION_ACTOR, 0, "actor", "NAME", "By this actor: user:alice, token:*" },
        { OPTION_ACTION, 0, "action", "NAME", "This action: desired.set, user.*" },
        { OPTION_TARGET, 0, "target", "NAME", "On this target: agent:ID, user:*" },
        { OPTION_SINCE, 0, "since", "WHEN", "Not before: 2026-11-24T12:34:56Z, or 2h for two hours ago" },
        { OPTION_UNTIL, 0, "until", "WHEN", "Before" },
        { OPTION_LINES, 'n', "lines", "N", "At most so many, 0 for all (list: 100, tail: 10)" },
        { OPTION_FOLLOW, 'f', "follow", NULL, "Go on with what comes, until interrupted" },
        { OPTION_FROM_FILE, 0, "from-file", "FILE", "Verify what audit export wrote" },
        { OPTION_HEAD, 0, "head", "HASH", "There must be an entry with this hash" },
        { OPTION_HEAD_FILE, 0, "head-file", "FILE", "The same, with the hash that it noted there before" },
        { OPTION_DESCRIPTION, 0, "description", "TEXT", "What it is for" },
        { OPTION_FORCE, 0, "force", NULL, "Replace the file if it is there" },
        { OPTION_DATABASE_ONLY, 0, "database-only", NULL, "Without the CA and its key" },
        { OPTION_STATE_DIRECTORY, 0, "state-directory", "DIR", "Of the gateway (/var/lib/fleet-gateway)" },
        { OPTION_RELEASE, 0, "release", "VERSION", "The release of the rollout" },
        { OPTION_CANARY, 0, "canary", "N|N%", "So many agents first, drawn across systems (10%, at most 10)" },
        { OPTION_CANARY_AGENT, 0, "canary-agent", "ID,...", "These agents first; repeatable" },
        { OPTION_CANARY_SUCCESS, 0, "canary-success", "P%", "Share of the canaries that must succeed (100%)" },
        { OPTION_CANARY_SOAK, 0, "canary-soak", "TIME", "Watch the canaries for so long (1min)" },
        { OPTION_CANARY_APPROVAL, 0, "canary-approval", NULL, "Somebody must approve after the canaries" },
        { OPTION_BATCH, 0, "batch", "N|N%", "So many in each period (50); members: of this batch, 0 for canaries" },
        { OPTION_RAMP, 0, "ramp", "N,...", "Sizes of the first batches instead" },
        { OPTION_EVERY, 0, "every", "TIME", "The period (10min)" },
        { OPTION_BATCH_SUCCESS, 0, "batch-success", "P%", "Share of a batch that must succeed before the next (90%)" },
        { OPTION_BATCH_SOAK, 0, "batch-soak", "TIME", "Watch each batch for so long (0)" },
        { OPTION_APPROVAL, 0, "approval", NULL, "Somebody must approve each batch" },
        { OPTION_MAX_IN_FLIGHT, 0, "max-in-flight", "N", "At most so many at once (the size of a batch)" },
        { OPTION_MAX_FAILURES, 0, "max-failures", "N|N%", "It stops itself at more than these (5%)" },
        { OPTION_ATTEMPTS, 0, "attempts", "N", "Of one agent, where the reason may pass (3)" },
        { OPTION_RETRY_PAUSE, 0, "retry-pause", "TIME", "Before the second attempt (1min)" },
        { OPTION_OFFLINE, 0, "offline", "wait|skip", "What becomes of agents that are offline (wait)" },
        { OPTION_OFFLINE_WAIT, 0, "offline-wait", "TIME", "How long they are waited for in the end (7d)" },
        { OPTION_INCLUDE_NEW_AGENTS, 0, "include-new-agents", NULL, "Agents that match later take part" },
        { OPTION_SET_DESIRED, 0, "set-desired", NULL, "At its end the version becomes what the target shall run" },
        { OPTION_EMERGENCY, 0, "emergency", NULL, "No windows, no watching, no approvals" },
        { OPTION_WINDOW, 0, "window", "WINDOW", "Only then: \"Mon..Fri 22:00 6h Europe/Berlin\"; repeatable" },
        { OPTION_STRATEGY_FILE, 0, "strategy-file", "FILE", "All of that as JSON; - for standard input" },
        { OPTION_DRY_RUN, 0, "dry-run", NULL, "Show what would happen, and do nothing" },
        { OPTION_ACTIVE, 0, "active", NULL, "Rollouts that have not ended" },
        { OPTION_REASON, 0, "reason", "REASON", "Members for which it went so: crashed, pinned, ..." },
        { OPTION_WHY, 0, "why", "TEXT", "What the audit log shall say about it" },
        { 0 },
};

static const CliProgram program = {
        .name = "fleet-gatewayctl",
        .summary = "Shows and steers a fleet of agents through its gateway.",
        .verbs = verbs,
        .options = options,
        .common = BIT(GATEWAY) | BIT(CA) | BIT(TOKEN_FILE) | BIT(OUTPUT) | BIT(JSON),
        .footer = "Environment: FLEET_GATEWAY, FLEET_CA, FLEET_TOKEN_FILE, FLEET_TOKEN. Tokens are never taken from the\n"
                  "command line. On the gateway's own machine root needs none of these.\n",
        .on_option = on_option,
};

int main(int argc, char *argv[]) {
        GatewayCtl c = { .timeout = 30 * USEC_PER_MINUTE };
        sigset_t mask;
        int code;

        if (daemon_protect_memory() < 0 || crypto_init() < 0)
                return CLI_ERROR;
        code = cli_main(&program, argc, argv, &c);
        gatewayctl_done(&c);
        if (c.signal) {              /* so that who started us sees that it was interrupted */
                (void) fflush(NULL);
                (void) signal(c.signal, SIG_DFL);
                (void) raise(c.signal);
                (void) sigemptyset(&mask);
                (void) sigaddset(&mask, c.signal);
                (void) sigprocmask(SIG_UNBLOCK, &mask, NULL);
        }
        return code;
}
