/* SPDX-License-Identifier: Apache-2.0 */

/* How far a rollout is, in words and as a bar. */

#include "gatewayctl-rollout.h"

#include "alloc-util.h"
#include "parse-util.h"
#include "string-util.h"

void rollout_numbers(json_t *rollout, RolloutNumbers *ret) {
        json_t *counts = json_object_get(rollout, "counts");

        *ret = (RolloutNumbers){
                .cohort = rollout_number(rollout, "cohort"),
                .succeeded = rollout_number(counts, "succeeded"),
                .failed_outright = rollout_number(counts, "failed"),
                .rolled_back = rollout_number(counts, "rolled-back"),
                .timed_out = rollout_number(counts, "timed-out"),
                .in_flight = rollout_number(counts, "in-flight"),
                .pending = rollout_number(counts, "pending"),
                .skipped = rollout_number(counts, "skipped"),
                .cancelled = rollout_number(counts, "cancelled"),
        };
        ret->failed = ret->failed_outright + ret->rolled_back + ret->timed_out;
}

bool rollout_goes_back(json_t *rollout) {
        return streq(json_text(rollout, "kind"), "rollback");
}

bool rollout_stopped_itself(json_t *rollout) {
        return streq(json_text(rollout, "state"), "paused") &&
               !streq(json_text(rollout, "reason"), "operator");
}

CliStyle rollout_style(json_t *rollout) {
        const char *state = json_text(rollout, "state");
        RolloutNumbers n;

        rollout_numbers(rollout, &n);
        if (streq(state, "completed"))
                return n.succeeded == n.cohort ? CLI_GOOD : CLI_BAD;
        return streq(state, "aborted") || rollout_stopped_itself(rollout) ? CLI_BAD : CLI_BUSY;
}

char *rollout_state_text(json_t *rollout) {
        const char *state = json_text(rollout, "state");
        uint64_t batch = 0;

        (void) json_get_u64(rollout, "batch", &batch);
        if (streq(state, "completed") || streq(state, "aborted") || !json_object_get(rollout, "batch"))
                return strdup(state);
        if (batch == 0)
                return strjoinf("%s, canaries", state);
        return strjoinf("%s, batch %" PRIu64, state, batch);
}

char *rollout_reason_text(json_t *rollout) {
        const char *text = json_text(rollout, "reason_text"), *detail = json_text(rollout, "reason_detail");

        return strjoinf("%s%s%s%s", isempty(text) ? json_text(rollout, "reason") : text,
                        isempty(detail) ? "" : " (", detail, isempty(detail) ? "" : ")");
}

static int add_count(char ***parts, uint64_t n, const char *what) {
        return n == 0 ? 0 : strv_consume(parts, strjoinf("%" PRIu64 " %s", n, what));
}

/* "3 failed (2 rolled-back, 1 timed-out)" */
static int add_failures(char ***parts, const RolloutNumbers *n) {
        _cleanup_strv_free_ char **kinds = NULL;
        _cleanup_free_ char *joined = NULL;
        int r;

        if (n->rolled_back == 0 && n->timed_out == 0)
                return add_count(parts, n->failed, "failed");
        r = add_count(&kinds, n->rolled_back, "rolled-back");
        if (r >= 0)
                r = add_count(&kinds, n->timed_out, "timed-out");
        joined = r >= 0 ? strv_join(kinds, ", ") : NULL;
        return joined ? strv_consume(parts, strjoinf("%" PRIu64 " failed (%s)", n->failed, joined)) :
                        -ENOMEM;
}

char *rollout_counts_text(json_t *rollout) {
        _cleanup_strv_free_ char **parts = NULL;
        RolloutNumbers n;
        int r;

        rollout_numbers(rollout, &n);
        r =
                        strv_consume(&parts, strjoinf("%" PRIu64 " of %" PRIu64 " %s", n.succeeded, n.cohort,
                                                      rollout_goes_back(rollout) ? "back" : "updated"));
        if (r >= 0)
                r = add_failures(&parts, &n);
        if (r >= 0)
                r = add_count(&parts, n.in_flight, "in flight");
        if (r >= 0)
                r = add_count(&parts, n.pending, "to come");
        if (r >= 0)
                r = add_count(&parts, n.skipped, "skipped");
        if (r >= 0)
                r = add_count(&parts, n.cancelled, "cancelled");
        return r < 0 ? NULL : strv_join(parts, ", ");
}

char *rollout_next_text(json_t *rollout, usec_t t) {
        static const struct {
                const char *reason, *what;
        } waits[] = {
                { "next-batch", "the next batch begins" },   { "soaking", "it goes on, if all is well," },
                { "outside-window", "the window opens" },    { "retry-pause", "the next attempt is made" },
                { "waiting-for-offline", "it looks again" },
        };
        char span[TIMESPAN_MAX];
        usec_t next;

        if (streq(json_text(rollout, "reason"), "awaiting-approval"))
                return strjoinf("when somebody approves: fleet-gatewayctl rollout approve %" PRIu64,
                                rollout_number(rollout, "id"));
        if (rfc3339_parse(json_text(rollout, "next_look"), &next) < 0)
                return strdup("");
        for (size_t i = 0; i < ELEMENTSOF(waits); i++)
                if (streq(waits[i].reason, json_text(rollout, "reason"))) {
                        usec_t left = usec_sub(next, t);

                        return left < USEC_PER_SEC ?
                                               strjoinf("%s now", waits[i].what) :
                                               strjoinf("%s in %s", waits[i].what,
                                                        timespan_format(left - left % USEC_PER_SEC, span));
                }
        return strdup("");
}

char *rollout_target_text(json_t *target) {
        size_t n = json_array_size(json_object_get(target, "ids"));

        if (json_is_true(json_object_get(target, "all")))
                return strdup("all agents");
        if (json_object_get(target, "group"))
                return strjoinf("group %s", json_text(target, "group"));
        if (json_object_get(target, "agent") || n == 1)
                return strjoinf("agent %s", n == 1 ? strempty(json_string_value(json_array_get(
                                                                     json_object_get(target, "ids"), 0))) :
                                                     json_text(target, "agent"));
        return n > 0 ? strjoinf("%zu agents", n) : strdup(json_text(target, "selector"));
}

/* ---- the bar ---- */

typedef struct Segment {
        uint64_t n;
        char sign;
        CliStyle style;
} Segment;

/* So many of the width, at least one where there is any. */
static unsigned segment_width(const Segment *s, uint64_t whole, unsigned width) {
        return s->n == 0 || whole == 0 ? 0 : MAX((unsigned) (s->n * width / whole), 1U);
}

static void put_segment(FILE *out, const Segment *s, unsigned width, FILE *f) {
        fputs(cli_on(s->style, f), out);
        for (unsigned i = 0; i < width; i++)
                fputc(s->sign, out);
        fputs(cli_off(s->style, f), out);
}

char *rollout_bar_text(json_t *rollout, unsigned width, FILE *f) {
        RolloutNumbers n;
        char *text = NULL;
        unsigned left = width;
        size_t size;
        FILE *out;

        rollout_numbers(rollout, &n);
        out = open_memstream(&text, &size);
        if (!out)
                return NULL;
        const Segment segments[] = { { n.succeeded, '#', CLI_GOOD },
                                     { n.failed, 'x', CLI_BAD },
                                     { n.skipped + n.cancelled, '=', CLI_DIM },
                                     { n.in_flight, '>', CLI_BUSY } };
        uint64_t ended = n.succeeded + n.failed + n.skipped + n.cancelled;

        fputc('[', out);
        for (size_t i = 0; i < ELEMENTSOF(segments); i++) {
                unsigned w = MIN(segment_width(segments + i, n.cohort, width), left);

                put_segment(out, segments + i, w, f);
                left -= w;
        }
        put_segment(out, &(Segment){ .sign = '-', .style = CLI_DIM }, left, f);
        fprintf(out, "] %3u%%", n.cohort > 0 ? (unsigned) (ended * 100 / n.cohort) : 0);
        if (fclose(out) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

/* ---- one rollout of the gateway ---- */

CliExit rollout_check_id(const char *text) {
        uint64_t id;

        if (parse_u64(text, &id) >= 0 && id > 0 && id <= INT64_MAX)
                return CLI_OK;
        return cli_fail(CLI_USAGE, "\"%s\" cannot be a rollout's number. \"rollout list\" shows them.",
                        text);
}

CliExit rollout_read(GatewayCtl *c, const char *id, json_t **ret) {
        _cleanup_free_ char *path = strjoinf("/api/v1/rollouts/%s", id);

        return path ? api_call(c, "GET", path, NULL, ret) : cli_fail(CLI_ERROR, "Out of memory.");
}

CliExit rollout_answer(const GatewayCtl *c, json_t *rollout, const char *sentence) {
        if (c->output == OUTPUT_JSON)
                return print_json(c, rollout);
        if (c->output == OUTPUT_NAME)
                cli_print("%" PRIu64, rollout_number(rollout, "id"));
        else
                cli_print("%s", strempty(sentence));
        return sentence ? CLI_OK : cli_fail(CLI_ERROR, "Out of memory.");
}
