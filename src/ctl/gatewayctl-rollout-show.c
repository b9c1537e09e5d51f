/* SPDX-License-Identifier: Apache-2.0 */

/* rollout show: one rollout, what it waits for, its batches and the causes of failures. */

#include <unistd.h>

#include "alloc-util.h"
#include "gatewayctl-rollout.h"
#include "string-util.h"

#define BAR_WIDTH 40U

static void add_time(CliTable *t, const char *name, json_t *o, const char *member) {
        char text[CLI_TIME_MAX];
        usec_t when;

        if (rfc3339_parse(json_text(o, member), &when) >= 0)
                cli_table_field(t, name, CLI_PLAIN, cli_format_time(when, now(CLOCK_REALTIME), text));
}

/* ---- fields ---- */

static int add_what(CliTable *t, json_t *rollout) {
        bool back = rollout_goes_back(rollout);
        _cleanup_free_ char *id = strjoinf("%" PRIu64, rollout_number(rollout, "id")),
                            *parent = strjoinf("%" PRIu64, rollout_number(rollout, "parent")),
                            *target = rollout_target_text(json_object_get(rollout, "target"));

        if (!id || !parent || !target)
                return -ENOMEM;
        cli_table_field(t, "Rollout", CLI_BOLD, id);
        cli_table_field(t, back ? "Back from" : "Release", CLI_BOLD, json_text(rollout, "version"));
        if (back)
                cli_table_field(t, "Of rollout", CLI_PLAIN, parent);
        cli_table_field(t, "Description", CLI_PLAIN, json_text(rollout, "description"));
        cli_table_field(t, "Target", CLI_PLAIN, target);
        return 0;
}

static int add_state(CliTable *t, json_t *rollout) {
        _cleanup_free_ char *state = rollout_state_text(rollout), *reason = rollout_reason_text(rollout),
                            *next = rollout_next_text(rollout, now(CLOCK_REALTIME)),
                            *counts = rollout_counts_text(rollout);

        if (!state || !reason || !next || !counts)
                return -ENOMEM;
        cli_table_field(t, "State", rollout_style(rollout), state);
        cli_table_field(t, "Why", CLI_PLAIN, reason);
        cli_table_field(t, "Next", CLI_PLAIN, next);
        add_time(t, "Paused since", rollout, "paused_since");
        cli_table_field(t, "Agents", CLI_PLAIN, counts);
        return 0;
}

static int add_more(CliTable *t, json_t *rollout) {
        json_t *preview = json_object_get(rollout, "preview");
        uint64_t excluded = rollout_number(json_object_get(rollout, "counts"), "excluded");
        _cleanup_free_ char *left_out = strjoinf("%" PRIu64, excluded);

        if (!left_out)
                return -ENOMEM;
        cli_table_field(t, "Left out", CLI_PLAIN, excluded > 0 ? left_out : NULL);
        add_time(t, json_is_true(json_object_get(preview, "approximate")) ? "Ends about" : "Ends", preview,
                 "ends");
        add_time(t, "Created", rollout, "created");
        cli_table_field(t, "By", CLI_PLAIN, json_text(rollout, "actor"));
        add_time(t, "Finished", rollout, "finished");
        return rollout_strategy_words(t, json_object_get(rollout, "strategy"));
}

static int print_fields(json_t *rollout) {
        _cleanup_free_ char *bar = rollout_bar_text(rollout, BAR_WIDTH, stdout);
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        int r = bar ? cli_table_new_fields(&t) : -ENOMEM;

        if (r >= 0)
                r = add_what(t, rollout);
        if (r >= 0)
                r = add_state(t, rollout);
        if (r >= 0)
                r = add_more(t, rollout);
        if (r >= 0)
                r = cli_table_print(t, true);
        if (r >= 0)
                printf("\n%s\n", bar); /* a cell would escape its colours */
        return r;
}

/* ---- tables ---- */

static int print_batches(const GatewayCtl *c, json_t *rollout) {
        const char *columns[] = { "BATCH",  "ADMITTED",  rollout_goes_back(rollout) ? "BACK" : "UPDATED",
                                  "FAILED", "IN FLIGHT", NULL };
        json_t *batches = json_object_get(rollout, "batches");
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *batch;
        size_t i;
        int r;

        if (json_array_size(batches) == 0)
                return 0;
        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(batches, i, batch) {
                uint64_t number = rollout_number(batch, "batch"), failed = rollout_number(batch, "failed");

                if (number == 0)
                        cli_table_add(t, CLI_PLAIN, "canaries");
                else
                        cli_table_addf(t, CLI_PLAIN, "%" PRIu64, number);
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, rollout_number(batch, "admitted"));
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, rollout_number(batch, "succeeded"));
                cli_table_addf(t, failed > 0 ? CLI_BAD : CLI_PLAIN, "%" PRIu64, failed);
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, rollout_number(batch, "in_flight"));
        }
        putchar('\n');
        return cli_table_print(t, !c->no_legend);
}

static int print_causes(const GatewayCtl *c, json_t *causes) {
        static const char *const columns[] = { "FAILED", "STATE", "REASON", "WHY", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *cause;
        size_t i;
        int r;

        if (json_array_size(causes) == 0)
                return 0;
        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(causes, i, cause) {
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, rollout_number(cause, "count"));
                cli_table_add(t, CLI_BAD, json_text(cause, "state"));
                cli_table_add(t, CLI_PLAIN, json_text(cause, "reason"));
                cli_table_add(t, CLI_PLAIN, json_text(cause, "reason_text"));
        }
        putchar('\n');
        return cli_table_print(t, !c->no_legend);
}

CliExit gatewayctl_rollout_show(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *rollout = NULL;
        CliExit code;
        int r;

        code = rollout_check_id(arguments[0]);
        if (code == CLI_OK)
                code = rollout_read(c, arguments[0], &rollout);
        if (code != CLI_OK)
                return code;
        if (IN_SET(c->output, OUTPUT_JSON, OUTPUT_NAME))
                return rollout_answer(c, rollout, "");
        r = print_fields(rollout);
        if (r >= 0)
                r = print_batches(c, rollout);
        if (r >= 0)
                r = print_causes(c, json_object_get(rollout, "causes"));
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the rollout: %s", strerror(-r)) : CLI_OK;
}
