/* SPDX-License-Identifier: Apache-2.0 */

/* What a rollout would do: who takes part and who does not, the canaries, the batches with their time. */

#include "alloc-util.h"
#include "gatewayctl-rollout.h"
#include "string-util.h"

#define ROWS_MAX 20U /* without -o wide */
#define EXAMPLES_SHOWN 3U

static size_t rows_shown(const GatewayCtl *c, size_t n) {
        return c->output == OUTPUT_WIDE ? n : MIN(n, (size_t) ROWS_MAX);
}

static int print_table(const GatewayCtl *c, CliTable *t, size_t n, uint64_t all, FILE *f) {
        int r;

        fputc('\n', f);
        r = cli_table_print_to(t, !c->no_legend, f);
        if (r >= 0 && all > n)
                fprintf(f, "... and %" PRIu64 " more\n", all - n);
        return r;
}

/* ---- head ---- */

static char *whom_text(json_t *plan) {
        json_t *target = json_object_get(plan, "target");
        uint64_t cohort = rollout_number(plan, "cohort"), matched = rollout_number(plan, "matched");
        _cleanup_free_ char *whom = rollout_target_text(target);

        if (!whom)
                return NULL;
        if (rollout_goes_back(plan)) /* who matches its target now is not asked */
                return strjoinf("%" PRIu64 " of the %" PRIu64 " that the rollout updated", cohort, matched);
        return strjoinf("%" PRIu64 " of the %" PRIu64 " that match (%s)", cohort, matched, whom);
}

static int print_head(json_t *plan, FILE *f) {
        bool back = rollout_goes_back(plan);
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        _cleanup_free_ char *whom = whom_text(plan);
        int r = whom ? cli_table_new_fields(&t) : -ENOMEM;

        if (r < 0)
                return r;
        cli_table_field(t, back ? "Back from" : "Release", CLI_BOLD, json_text(plan, "version"));
        cli_table_field(t, "Agents", CLI_BOLD, whom);
        r = rollout_strategy_words(t, json_object_get(plan, "strategy"));
        return r < 0 ? r : cli_table_print_to(t, true, f);
}

/* ---- who ---- */

static char *examples_text(json_t *list) {
        _cleanup_strv_free_ char **ids = NULL;
        json_t *id;
        size_t i;

        json_array_foreach(list, i, id) if (
                        i < EXAMPLES_SHOWN &&
                        strv_extend(&ids, strempty(json_string_value(id))) < 0) return NULL;
        return ids ? strv_join(ids, " ") : strdup("");
}

static int print_excluded(const GatewayCtl *c, json_t *excluded, FILE *f) {
        static const char *const columns[] = { "LEFT OUT", "REASON", "WHY", "FOR EXAMPLE", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *item;
        size_t i;
        int r;

        if (json_array_size(excluded) == 0)
                return 0;
        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(excluded, i, item) {
                _cleanup_free_ char *examples = examples_text(json_object_get(item, "examples"));

                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, rollout_number(item, "count"));
                cli_table_add(t, CLI_PLAIN, json_text(item, "reason"));
                cli_table_add(t, CLI_PLAIN, json_text(item, "reason_text"));
                cli_table_add(t, CLI_DIM, examples);
        }
        return print_table(c, t, i, i, f);
}

static int print_canaries(const GatewayCtl *c, json_t *canaries, FILE *f) {
        static const char *const columns[] = { "CANARY", "HOST", "OS", "KERNEL", "ARCH", NULL };
        size_t n = rows_shown(c, json_array_size(canaries));
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        int r;

        if (n == 0)
                return 0;
        r = cli_table_new(&t, columns);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                json_t *canary = json_array_get(canaries, i);

                cli_table_add(t, CLI_PLAIN, json_text(canary, "agent"));
                cli_table_add(t, CLI_PLAIN, json_text(canary, "hostname"));
                cli_table_add(t, CLI_PLAIN, json_text(canary, "os"));
                cli_table_add(t, CLI_PLAIN, json_text(canary, "kernel"));
                cli_table_add(t, CLI_PLAIN, json_text(canary, "arch"));
        }
        return r < 0 ? r : print_table(c, t, n, json_array_size(canaries), f);
}

/* ---- when ---- */

static void add_time(CliTable *t, json_t *o, const char *member) {
        char text[CLI_TIME_MAX];
        usec_t when = 0;

        (void) rfc3339_parse(json_text(o, member), &when);
        cli_table_add(t, CLI_PLAIN, cli_format_time(when, now(CLOCK_REALTIME), text));
}

static int print_batches(const GatewayCtl *c, json_t *preview, FILE *f) {
        static const char *const columns[] = { "BATCH", "AGENTS", "BEGINS", NULL };
        json_t *batches = json_object_get(preview, "batches");
        size_t n = rows_shown(c, json_array_size(batches));
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        int r;

        if (n == 0)
                return 0;
        r = cli_table_new(&t, columns);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                json_t *batch = json_array_get(batches, i);
                uint64_t number = rollout_number(batch, "batch");

                if (number == 0)
                        cli_table_add(t, CLI_PLAIN, "canaries");
                else
                        cli_table_addf(t, CLI_PLAIN, "%" PRIu64, number);
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, rollout_number(batch, "agents"));
                add_time(t, batch, "begins");
        }
        return r < 0 ? r :
                       print_table(c, t, n, MAX(rollout_number(preview, "batches_total"), (uint64_t) n), f);
}

static void print_end(json_t *plan, json_t *preview, FILE *f) {
        uint64_t offline = rollout_number(preview, "waiting_offline");
        char end[CLI_TIME_MAX], takes[TIMESPAN_MAX];
        usec_t when = 0;

        (void) rfc3339_parse(json_text(preview, "ends"), &when);
        fprintf(f, "\nEnds %s%s, if every update takes %s and succeeds.\n",
                json_is_true(json_object_get(preview, "approximate")) ? "about " : "",
                cli_format_time(when, now(CLOCK_REALTIME), end),
                timespan_format(rollout_number(plan, "update_takes_sec") * USEC_PER_SEC, takes));
        if (json_is_true(json_object_get(preview, "approvals")))
                fprintf(f, "Waiting for approvals is not in these times.\n");
        if (offline > 0)
                fprintf(f, "%" PRIu64 " %s offline now, and updated when they come back.\n", offline,
                        offline == 1 ? "agent is" : "agents are");
}

CliExit rollout_plan_print(const GatewayCtl *c, json_t *plan, FILE *f) {
        json_t *preview = json_object_get(plan, "preview");
        int r;

        r = print_head(plan, f);
        if (r >= 0)
                r = print_excluded(c, json_object_get(plan, "excluded"), f);
        if (r >= 0)
                r = print_canaries(c, json_object_get(plan, "canaries"), f);
        if (r >= 0)
                r = print_batches(c, preview, f);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot print the plan: %s", strerror(-r));
        print_end(plan, preview, f);
        return CLI_OK;
}
