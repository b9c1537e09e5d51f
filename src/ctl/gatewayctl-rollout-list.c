/* SPDX-License-Identifier: Apache-2.0 */

/* rollout list, rollout members: all pages of both. */

#include "alloc-util.h"
#include "gatewayctl-rollout.h"
#include "parse-util.h"
#include "string-util.h"

#define PAGE 1000U
#define PAGES_MAX 2000U

/* ---- pages ---- */

static int add_parameter(char ***parts, const char *key, const char *value) {
        _cleanup_free_ char *escaped = value ? url_escape(value) : NULL;

        if (!value)
                return 0;
        return escaped ? strv_consume(parts, strjoinf("&%s=%s", key, escaped)) : -ENOMEM;
}

/* path: with its parameters; key: of the list in each page. */
static CliExit read_pages(GatewayCtl *c, const char *path, const char *key, json_t **ret) {
        _cleanup_json_ json_t *all = json_array();
        _cleanup_free_ char *cursor = NULL;

        for (unsigned n = 0; all && n < PAGES_MAX; n++) {
                _cleanup_strv_free_ char **parts = NULL;
                _cleanup_json_ json_t *page = NULL;
                _cleanup_free_ char *whole = NULL;
                const char *next;
                CliExit code;

                if (strv_extend(&parts, path) >= 0 && add_parameter(&parts, "cursor", cursor) >= 0)
                        whole = strv_join(parts, "");
                code = whole ? api_call(c, "GET", whole, NULL, &page) :
                               cli_fail(CLI_ERROR, "Out of memory.");
                if (code != CLI_OK)
                        return code;
                if (json_array_extend(all, json_object_get(page, key)) < 0)
                        return cli_fail(CLI_ERROR, "The gateway's answer has no %s.", key);
                next = json_text(page, "next_cursor");
                if (isempty(next)) {
                        *ret = TAKE_PTR(all);
                        return CLI_OK;
                }
                if (free_and_strdup(&cursor, next) < 0)
                        break;
        }
        return cli_fail(CLI_ERROR, cursor ? "The list does not end." : "Out of memory.");
}

static CliExit print_list_json(const GatewayCtl *c, const char *key, json_t *list) {
        _cleanup_json_ json_t *v =
                        json_pack("{s:O, s:I}", key, list, "total", (json_int_t) json_array_size(list));

        return v ? print_json(c, v) : cli_fail(CLI_ERROR, "Out of memory.");
}

static void add_number(CliTable *t, json_t *o, const char *member) {
        uint64_t n;

        if (json_get_u64(o, member, &n) >= 0)
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, n);
        else
                cli_table_add(t, CLI_PLAIN, NULL);
}

/* ---- rollouts ---- */

static void add_rollout(const GatewayCtl *c, CliTable *t, json_t *rollout) {
        bool back = rollout_goes_back(rollout);
        RolloutNumbers n;

        rollout_numbers(rollout, &n);
        add_number(t, rollout, "id");
        cli_table_addf(t, CLI_PLAIN, "%s%s", back ? "back from " : "", json_text(rollout, "version"));
        cli_table_add(t, rollout_style(rollout), json_text(rollout, "state"));
        cli_table_add(t, CLI_PLAIN, json_text(rollout, "reason"));
        cli_table_addf(t, CLI_PLAIN, "%" PRIu64 "/%" PRIu64, n.succeeded, n.cohort);
        cli_table_addf(t, n.failed > 0 ? CLI_BAD : CLI_PLAIN, "%" PRIu64, n.failed);
        cli_table_addf(t, CLI_PLAIN, "%" PRIu64, n.in_flight);
        cli_table_add(t, CLI_PLAIN, json_text(rollout, "created"));
        if (c->output != OUTPUT_WIDE)
                return;
        add_number(t, rollout, "batch");
        cli_table_add(t, CLI_PLAIN, json_text(rollout, "updated"));
        cli_table_add(t, CLI_PLAIN, json_text(rollout, "finished"));
        add_number(t, rollout, "parent");
        cli_table_add(t, CLI_PLAIN, json_text(rollout, "actor"));
        cli_table_add(t, CLI_PLAIN, json_text(rollout, "description"));
}

static int print_rollouts(const GatewayCtl *c, json_t *rollouts) {
        static const char *const columns[] = { "ID",     "RELEASE",   "STATE",   "REASON", "UPDATED",
                                               "FAILED", "IN FLIGHT", "CREATED", NULL };
        static const char *const wide[] = { "ID",       "RELEASE",   "STATE",   "REASON",      "UPDATED",
                                            "FAILED",   "IN FLIGHT", "CREATED", "BATCH",       "CHANGED",
                                            "FINISHED", "PARENT",    "BY",      "DESCRIPTION", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *rollout;
        size_t i;
        int r;

        r = cli_table_new(&t, c->output == OUTPUT_WIDE ? wide : columns);
        if (r < 0)
                return r;
        json_array_foreach(rollouts, i, rollout) add_rollout(c, t, rollout);
        return cli_table_print(t, !c->no_legend);
}

CliExit gatewayctl_rollout_list(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_strv_free_ char **parts = NULL;
        _cleanup_json_ json_t *rollouts = NULL;
        _cleanup_free_ char *path = NULL;
        json_t *rollout;
        CliExit code;
        size_t i;
        int r;

        r = strv_consume(&parts, strjoinf("/api/v1/rollouts?limit=%u", PAGE));
        if (r >= 0)
                r = add_parameter(&parts, "state", c->state);
        if (r >= 0)
                r = add_parameter(&parts, "active", c->rollout.active ? "true" : NULL);
        if (r >= 0)
                r = add_parameter(&parts, "version", c->rollout.release);
        path = r >= 0 ? strv_join(parts, "") : NULL;
        code = path ? read_pages(c, path, "rollouts", &rollouts) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_list_json(c, "rollouts", rollouts);
        if (c->output == OUTPUT_NAME) {
                json_array_foreach(rollouts, i, rollout) cli_print(
                                "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(rollout, "id")));
                return CLI_OK;
        }
        r = print_rollouts(c, rollouts);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the rollouts: %s", strerror(-r)) : CLI_OK;
}

/* ---- members ---- */

static CliStyle member_style(const char *state) {
        if (streq(state, "succeeded"))
                return CLI_GOOD;
        if (streq(state, "failed") || streq(state, "rolled-back") || streq(state, "timed-out"))
                return CLI_BAD;
        return streq(state, "in-flight") ? CLI_BUSY : CLI_DIM;
}

/* What it is doing now, or why it is where it is. */
static const char *member_note(json_t *member) {
        if (streq(json_text(member, "state"), "in-flight"))
                return json_text(member, "phase");
        return json_text(member, "reason");
}

static void add_member(const GatewayCtl *c, CliTable *t, json_t *member) {
        const char *state = json_text(member, "state");
        uint64_t batch = 0;

        cli_table_add(t, CLI_PLAIN, json_text(member, "agent"));
        cli_table_add(t, CLI_PLAIN, json_text(member, "hostname"));
        cli_table_add(t, member_style(state), state);
        cli_table_add(t, CLI_PLAIN, member_note(member));
        if (json_get_u64(member, "batch", &batch) >= 0 && batch == 0)
                cli_table_add(t, CLI_PLAIN, "canary");
        else
                add_number(t, member, "batch");
        cli_table_add(t, CLI_PLAIN, json_text(member, "version"));
        add_number(t, member, "attempts");
        if (c->output != OUTPUT_WIDE)
                return;
        cli_table_add(t, CLI_PLAIN, json_text(member, "from"));
        cli_table_add(t, CLI_PLAIN, json_text(member, "goal"));
        cli_table_add(t, CLI_PLAIN, yes_no(json_is_true(json_object_get(member, "online"))));
        cli_table_add(t, CLI_PLAIN, json_text(member, "os"));
        cli_table_add(t, CLI_PLAIN, json_text(member, "kernel"));
        cli_table_add(t, CLI_PLAIN, json_text(member, "arch"));
        cli_table_add(t, CLI_PLAIN, json_text(member, "updated"));
        cli_table_add(t, CLI_PLAIN, json_text(member, "reason_text"));
}

static int print_members(const GatewayCtl *c, json_t *members) {
        static const char *const columns[] = { "AGENT", "HOST",    "STATE",    "NOTE",
                                               "BATCH", "VERSION", "ATTEMPTS", NULL };
        static const char *const wide[] = { "AGENT",    "HOST",    "STATE", "NOTE",   "BATCH", "VERSION",
                                            "ATTEMPTS", "FROM",    "GOAL",  "ONLINE", "OS",    "KERNEL",
                                            "ARCH",     "CHANGED", "WHY",   NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *member;
        size_t i;
        int r;

        r = cli_table_new(&t, c->output == OUTPUT_WIDE ? wide : columns);
        if (r < 0)
                return r;
        json_array_foreach(members, i, member) add_member(c, t, member);
        return cli_table_print(t, !c->no_legend);
}

static CliExit read_members_in(GatewayCtl *c, const char *id, const char *state, json_t *all) {
        _cleanup_strv_free_ char **parts = NULL;
        _cleanup_json_ json_t *members = NULL;
        _cleanup_free_ char *path = NULL;
        CliExit code;
        int r;

        r = strv_consume(&parts, strjoinf("/api/v1/rollouts/%s/members?limit=%u", id, PAGE));
        if (r >= 0)
                r = add_parameter(&parts, "state", state);
        if (r >= 0)
                r = add_parameter(&parts, "reason", c->rollout.reason);
        if (r >= 0)
                r = add_parameter(&parts, "batch", c->rollout.batch);
        path = r >= 0 ? strv_join(parts, "") : NULL;
        code = path ? read_pages(c, path, "members", &members) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code == CLI_OK && json_array_extend(all, members) < 0)
                code = cli_fail(CLI_ERROR, "Out of memory.");
        return code;
}

/* The gateway knows one state at a time; several are put one behind the other. */
static CliExit read_members(GatewayCtl *c, const char *id, json_t *all) {
        _cleanup_strv_free_ char **states = NULL;
        CliExit code = CLI_OK;
        uint64_t batch;

        if (c->rollout.batch && parse_u64(c->rollout.batch, &batch) < 0)
                return cli_fail(CLI_USAGE,
                                "--batch=%s: the number of a batch is expected, 0 for the canaries.",
                                c->rollout.batch);
        if (!c->state)
                return read_members_in(c, id, NULL, all);
        if (strv_split(c->state, ",", &states) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        if (!states[0])
                return cli_fail(CLI_USAGE, "--state=%s names no state.", c->state);
        STRV_FOREACH(state, states)
        if (code == CLI_OK)
                code = read_members_in(c, id, *state, all);
        return code;
}

CliExit gatewayctl_rollout_members(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *members = json_array();
        json_t *member;
        CliExit code;
        size_t i;
        int r;

        if (!members)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = rollout_check_id(arguments[0]);
        if (code == CLI_OK)
                code = read_members(c, arguments[0], members);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_list_json(c, "members", members);
        if (c->output == OUTPUT_NAME) {
                json_array_foreach(members, i, member) cli_print("%s", json_text(member, "agent"));
                return CLI_OK;
        }
        r = print_members(c, members);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the members: %s", strerror(-r)) : CLI_OK;
}
