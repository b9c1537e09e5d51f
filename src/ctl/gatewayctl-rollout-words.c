/* SPDX-License-Identifier: Apache-2.0 */

/* A strategy in words. Of an answer everything is said; of what somebody wrote only what is there. */

#include "gatewayctl-rollout.h"
#include "string-util.h"

/* "5%", "2.5%" or "50"; NULL when neither is said, or on lack of memory. */
static char *amount_text(json_t *o, const char *count) {
        json_t *percent = json_object_get(o, "percent");
        uint64_t n;

        if (json_is_number(percent))
                return strjoinf("%g%%", json_number_value(percent));
        return json_get_u64(o, count, &n) >= 0 ? strjoinf("%" PRIu64, n) : NULL;
}

static const char *span_text(json_t *o, const char *member, char buf[static TIMESPAN_MAX]) {
        uint64_t seconds = 0;

        (void) json_get_u64(o, member, &seconds);
        return timespan_format(seconds * USEC_PER_SEC, buf);
}

static bool span_is_said(json_t *o, const char *member) {
        uint64_t seconds = 0;

        return json_get_u64(o, member, &seconds) >= 0 && seconds > 0;
}

static bool is_true(json_t *o, const char *member) {
        return json_is_true(json_object_get(o, member));
}

/* The parts of a sentence, joined by commas; frees them. */
static int add_sentence(CliTable *t, const char *name, char **parts, int r) {
        _cleanup_free_ char *text = r >= 0 && parts ? strv_join(parts, ", ") : NULL;

        strv_free(parts);
        if (r >= 0 && text)
                cli_table_field(t, name, CLI_PLAIN, text);
        return r;
}

static double share_of(json_t *o, const char *member) {
        json_t *v = json_object_get(o, member);

        return json_is_number(v) ? json_number_value(v) : 0;
}

/* ---- canaries ---- */

static char *canary_number(json_t *canary) {
        size_t named = json_array_size(json_object_get(canary, "ids"));

        return named > 0 ? strjoinf("%zu that %s named", named, named == 1 ? "is" : "are") :
                           amount_text(canary, "count");
}

static int add_canaries(CliTable *t, json_t *canary) {
        _cleanup_free_ char *number = canary_number(canary);
        char **parts = NULL, span[TIMESPAN_MAX];
        double share = share_of(canary, "success_percent");
        int r = 0;

        if (number && streq(number, "0")) {
                cli_table_field(t, "Canaries", CLI_PLAIN, "none");
                return 0;
        }
        if (number)
                r = strv_extend(&parts, number);
        if (r >= 0 && share >= 100)
                r = strv_extend(&parts, "all of which must succeed");
        else if (r >= 0 && share > 0)
                r = strv_consume(&parts, strjoinf("%g%% of which must succeed", share));
        if (r >= 0 && span_is_said(canary, "soak_sec"))
                r =
                                strv_consume(&parts, strjoinf("then watched for %s",
                                                              span_text(canary, "soak_sec", span)));
        if (r >= 0 && is_true(canary, "approval"))
                r = strv_extend(&parts, "then somebody must approve");
        return add_sentence(t, "Canaries", parts, r);
}

/* ---- batches ---- */

/* "5, 10, 20, then 50" */
static char *batch_number(json_t *batch) {
        _cleanup_free_ char *size = amount_text(batch, "size"), *joined = NULL;
        _cleanup_strv_free_ char **sizes = NULL;
        json_t *v;
        size_t i;

        json_array_foreach(json_object_get(batch, "ramp"), i, v) if (
                        strv_consume(&sizes, strjoinf("%" JSON_INTEGER_FORMAT, json_integer_value(v))) <
                        0) return NULL;
        joined = sizes ? strv_join(sizes, ", ") : NULL;
        if (!sizes)
                return TAKE_PTR(size);
        return joined ? strjoinf("%s%s%s", joined, size ? ", then " : "", strempty(size)) : NULL;
}

static int add_batches(CliTable *t, json_t *batch) {
        _cleanup_free_ char *number = batch_number(batch);
        char **parts = NULL, span[TIMESPAN_MAX];
        double share = share_of(batch, "success_percent");
        int r = 0;

        if (number && span_is_said(batch, "every_sec"))
                r =
                                strv_consume(&parts, strjoinf("%s every %s", number,
                                                              span_text(batch, "every_sec", span)));
        else if (number)
                r = strv_consume(&parts, strjoinf("%s, one after the other", number));
        if (r >= 0 && share > 0)
                r = strv_consume(&parts, strjoinf("%g%% of each must succeed before the next", share));
        if (r >= 0 && span_is_said(batch, "soak_sec"))
                r =
                                strv_consume(&parts, strjoinf("each is watched for %s",
                                                              span_text(batch, "soak_sec", span)));
        if (r >= 0 && is_true(batch, "approval"))
                r = strv_extend(&parts, "somebody must approve each");
        return add_sentence(t, "Batches", parts, r);
}

/* ---- the rest ---- */

static int add_limits(CliTable *t, json_t *s) {
        _cleanup_free_ char *failures = amount_text(json_object_get(s, "max_failures"), "count"),
                            *text = NULL;
        uint64_t in_flight;

        if (json_get_u64(s, "max_in_flight", &in_flight) >= 0) {
                text = strjoinf("%" PRIu64 " at most", in_flight);
                cli_table_field(t, "At once", CLI_PLAIN, text);
        }
        if (!failures)
                return 0;
        _cleanup_free_ char *limit = streq(failures, "0") ? strdup("at the first failure") :
                                                            strjoinf("at more than %s failures", failures);
        cli_table_field(t, "Stops itself", CLI_PLAIN, limit);
        return limit ? 0 : -ENOMEM;
}

static int add_attempts(CliTable *t, json_t *s) {
        _cleanup_free_ char *text = NULL;
        char span[TIMESPAN_MAX];
        uint64_t n;

        if (json_get_u64(s, "attempts", &n) < 0)
                return 0;
        text = n <= 1 ? strdup("one for each agent") :
                        strjoinf("%" PRIu64 " for each agent where the reason may pass, %s after the first",
                                 n, span_text(s, "retry_pause_sec", span));
        cli_table_field(t, "Attempts", CLI_PLAIN, text);
        return text ? 0 : -ENOMEM;
}

static int add_offline(CliTable *t, json_t *s) {
        const char *offline = json_text(s, "offline");
        _cleanup_free_ char *text = NULL;
        char span[TIMESPAN_MAX];

        if (streq(offline, "skip"))
                text = strdup("skipped when their turn comes");
        else if (streq(offline, "wait"))
                text = strjoinf("updated when they come back, within %s after all others",
                                span_text(s, "offline_wait_sec", span));
        else
                return 0;
        cli_table_field(t, "Offline", CLI_PLAIN, text);
        return text ? 0 : -ENOMEM;
}

static int add_windows(CliTable *t, json_t *s) {
        json_t *window;
        size_t i;

        json_array_foreach(json_object_get(s, "windows"), i, window) {
                _cleanup_free_ char *text = rollout_window_text(window);

                if (!text)
                        return -ENOMEM;
                cli_table_field(t, i == 0 ? "Windows" : "and", CLI_PLAIN, text);
        }
        return 0;
}

int rollout_strategy_words(CliTable *t, json_t *s) {
        int r;

        r = add_canaries(t, json_object_get(s, "canary"));
        if (r >= 0)
                r = add_batches(t, json_object_get(s, "batch"));
        if (r >= 0)
                r = add_limits(t, s);
        if (r >= 0)
                r = add_attempts(t, s);
        if (r >= 0)
                r = add_offline(t, s);
        if (r >= 0)
                r = add_windows(t, s);
        if (is_true(s, "include_new_agents"))
                cli_table_field(t, "Newcomers", CLI_PLAIN, "agents that match later take part");
        if (is_true(s, "set_desired"))
                cli_table_field(t, "At its end", CLI_PLAIN, "the version becomes what the target shall run");
        if (is_true(s, "emergency"))
                cli_table_field(t, "Emergency", CLI_BAD,
                                "no windows, nothing is watched, nobody is asked to approve");
        return r;
}
