/* SPDX-License-Identifier: Apache-2.0 */

/* rollout create, rollout roll-back: the plan first, which is all that --dry-run wants, then the question,
 * then the rollout itself. */

#include <unistd.h>

#include "alloc-util.h"
#include "gatewayctl-rollout.h"
#include "string-util.h"
#include "version.h"

static CliExit out_of_memory(void) {
        return cli_fail(CLI_ERROR, "Out of memory.");
}

/* ---- what is asked for ---- */

static int add_ids(char *const *agents, json_t *target) {
        json_t *list = json_array();
        int r = json_set_take(target, "ids", list);

        STRV_FOREACH(text, agents) {
                _cleanup_strv_free_ char **ids = NULL;

                if (r >= 0)
                        r = strv_split(*text, ",", &ids);
                STRV_FOREACH(id, ids)
                if (r >= 0 && json_array_append_new(list, json_string(*id)) < 0)
                        r = -ENOMEM;
        }
        return r;
}

static CliExit add_target(const GatewayCtl *c, json_t *body) {
        unsigned n = !!c->agents + !!c->selector + !!c->group + c->all;
        json_t *target = json_object();
        int r = json_set_take(body, "target", target);

        if (n != 1)
                return cli_fail(CLI_USAGE,
                                "Name exactly one target: --selector=, --group=, --agent= or --all.");
        if (r >= 0 && c->agents)
                r = add_ids(c->agents, target);
        if (r >= 0)
                r = json_set_string(target, "selector", c->selector);
        if (r >= 0)
                r = json_set_string(target, "group", c->group);
        if (r >= 0 && c->all)
                r = json_set_bool(target, "all", true);
        return r < 0 ? out_of_memory() : CLI_OK;
}

static CliExit add_strategy(const GatewayCtl *c, json_t *base, json_t *body) {
        json_t *strategy;
        CliExit code;

        code = rollout_strategy_read(c, base, &strategy);
        if (code != CLI_OK || !strategy)
                return code;
        return json_set_take(body, "strategy", strategy) < 0 ? out_of_memory() : CLI_OK;
}

/* ---- the plan ---- */

static CliExit read_plan(GatewayCtl *c, const char *path, json_t *body, json_t **ret) {
        _cleanup_json_ json_t *tried = json_copy(body);

        if (!tried || json_set_bool(tried, "dry_run", true) < 0)
                return out_of_memory();
        return api_call(c, "POST", path, tried, ret);
}

static CliExit show_plan(GatewayCtl *c, const char *path, json_t *body) {
        _cleanup_json_ json_t *plan = NULL;
        json_t *canary;
        CliExit code;
        size_t i;

        code = read_plan(c, path, body, &plan);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, plan);
        if (c->output != OUTPUT_NAME)
                return rollout_plan_print(c, plan, stdout);
        json_array_foreach(json_object_get(plan, "canaries"), i, canary)
                        cli_print("%s", json_text(canary, "agent"));
        return CLI_OK;
}

/* ---- the question ---- */

/* What the person agrees to goes along, so that the gateway refuses when it is somebody else meanwhile. A
 * rollout that goes back is for those whom its parent names, and takes no such thing. */
static int bind_to_plan(json_t *body, json_t *plan) {
        const char *digest = json_text(plan, "digest");
        int r;

        if (isempty(digest))
                return 0;
        r = json_set_u64(body, "expected_count", rollout_number(plan, "matched"));
        return r < 0 ? r : json_set_string(body, "expected_digest", digest);
}

static CliExit confirm(GatewayCtl *c, const char *path, json_t *body) {
        _cleanup_json_ json_t *plan = NULL;
        CliExit code;
        uint64_t n;
        int r;

        if (c->yes)
                return CLI_OK;
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return cli_fail(CLI_USAGE,
                                "Say --yes where nobody can be asked, or --dry-run to see what would happen.");
        code = read_plan(c, path, body, &plan);
        if (code == CLI_OK)
                code = rollout_plan_print(c, plan, stderr);
        if (code != CLI_OK)
                return code;
        n = rollout_number(plan, "cohort");
        r = cli_confirm("Begin, for %" PRIu64 " %s?", n, n == 1 ? "agent" : "agents");
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot ask: %s", strerror(-r));
        if (r == 0)
                return cli_fail(CLI_USAGE, "Nothing was changed.");
        return bind_to_plan(body, plan) < 0 ? out_of_memory() : CLI_OK;
}

/* ---- making ---- */

static char *begun_text(json_t *rollout) {
        bool back = rollout_goes_back(rollout);
        uint64_t cohort = rollout_number(rollout, "cohort"),
                 excluded = rollout_number(json_object_get(rollout, "counts"), "excluded");

        return strjoinf("Rollout %" PRIu64 " has begun: %s%s for %" PRIu64 " %s, %" PRIu64 " left out.",
                        rollout_number(rollout, "id"), back ? "back from " : "",
                        json_text(rollout, "version"), cohort, cohort == 1 ? "agent" : "agents", excluded);
}

static CliExit make(GatewayCtl *c, const char *path, json_t *body) {
        _cleanup_free_ char *sentence = NULL, *id = NULL;
        _cleanup_json_ json_t *rollout = NULL;
        CliExit code;

        if (c->rollout.dry_run)
                return show_plan(c, path, body);
        code = confirm(c, path, body);
        if (code == CLI_OK)
                code = api_post(c, path, body, &rollout);
        if (code != CLI_OK)
                return code;
        sentence = begun_text(rollout);
        id = strjoinf("%" PRIu64, rollout_number(rollout, "id"));
        if (!sentence || !id)
                return out_of_memory();
        if (!c->wait)
                return rollout_answer(c, rollout, sentence);
        cli_note("%s", sentence);
        return rollout_wait(c, id, /* aborted_is_good= */ false);
}

CliExit gatewayctl_rollout_create(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object();
        CliExit code;

        c->blame = rollout_blame;
        if (!c->rollout.release)
                return cli_fail(CLI_USAGE, "Say which release: --release=1.2.3.");
        if (!version_is_valid(c->rollout.release))
                return cli_fail(CLI_USAGE, "--release=%s is not a version such as 1.2.3.",
                                c->rollout.release);
        if (!body || json_set_string(body, "version", c->rollout.release) < 0 ||
            json_set_string(body, "description", c->description) < 0)
                return out_of_memory();
        code = add_target(c, body);
        if (code == CLI_OK)
                code = add_strategy(c, NULL, body);
        return code == CLI_OK ? make(c, "/api/v1/rollouts", body) : code;
}

/* Without a strategy the gateway goes back all at once. What single options say is said of that, not of the
 * careful strategy that is the default for going forward. */
static CliExit add_strategy_back(GatewayCtl *c, const char *path, json_t *body) {
        _cleanup_json_ json_t *plan = NULL;
        CliExit code;

        if (!rollout_strategy_is_said(c))
                return CLI_OK;
        if (c->rollout.strategy_file)
                return add_strategy(c, NULL, body);
        code = read_plan(c, path, body, &plan);
        return code == CLI_OK ? add_strategy(c, json_object_get(plan, "strategy"), body) : code;
}

CliExit gatewayctl_rollout_roll_back(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object();
        _cleanup_free_ char *path = NULL;
        CliExit code;

        c->blame = rollout_blame;
        code = rollout_check_id(arguments[0]);
        if (code != CLI_OK)
                return code;
        path = strjoinf("/api/v1/rollouts/%s/roll-back", arguments[0]);
        if (!body || !path || json_set_string(body, "description", c->description ?: c->rollout.why) < 0)
                return out_of_memory();
        code = add_strategy_back(c, path, body);
        return code == CLI_OK ? make(c, path, body) : code;
}
