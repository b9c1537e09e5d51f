/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The rollout commands of fleet-gatewayctl, and what they share: the options that make a strategy, how a
 * strategy, a plan and the state of a rollout are told to people, and waiting for an end. JSON is as
 * docs/api.md has it. */

#include "cli-table.h"
#include "gatewayctl.h"

/* Options of these commands alone; behind those of gatewayctl.c, see CliVerb.more. */
enum {
        OPTION_RELEASE = 64,
        OPTION_CANARY,
        OPTION_CANARY_AGENT,
        OPTION_CANARY_SUCCESS,
        OPTION_CANARY_SOAK,
        OPTION_CANARY_APPROVAL,
        OPTION_BATCH,
        OPTION_RAMP,
        OPTION_EVERY,
        OPTION_BATCH_SUCCESS,
        OPTION_BATCH_SOAK,
        OPTION_APPROVAL,
        OPTION_MAX_IN_FLIGHT,
        OPTION_MAX_FAILURES,
        OPTION_ATTEMPTS,
        OPTION_RETRY_PAUSE,
        OPTION_OFFLINE,
        OPTION_OFFLINE_WAIT,
        OPTION_INCLUDE_NEW_AGENTS,
        OPTION_SET_DESIRED,
        OPTION_EMERGENCY,
        OPTION_WINDOW,
        OPTION_STRATEGY_FILE,
        OPTION_DRY_RUN,
        OPTION_ACTIVE,
        OPTION_REASON,
        OPTION_WHY,
};

#define ROLLOUT_STRATEGY_OPTIONS                                                                            \
        (CLI_MORE(OPTION_CANARY) | CLI_MORE(OPTION_CANARY_AGENT) | CLI_MORE(OPTION_CANARY_SUCCESS) |        \
         CLI_MORE(OPTION_CANARY_SOAK) | CLI_MORE(OPTION_CANARY_APPROVAL) | CLI_MORE(OPTION_BATCH) |         \
         CLI_MORE(OPTION_RAMP) | CLI_MORE(OPTION_EVERY) | CLI_MORE(OPTION_BATCH_SUCCESS) |                  \
         CLI_MORE(OPTION_BATCH_SOAK) | CLI_MORE(OPTION_APPROVAL) | CLI_MORE(OPTION_MAX_IN_FLIGHT) |         \
         CLI_MORE(OPTION_MAX_FAILURES) | CLI_MORE(OPTION_ATTEMPTS) | CLI_MORE(OPTION_RETRY_PAUSE) |         \
         CLI_MORE(OPTION_OFFLINE) | CLI_MORE(OPTION_OFFLINE_WAIT) | CLI_MORE(OPTION_EMERGENCY) |            \
         CLI_MORE(OPTION_WINDOW) | CLI_MORE(OPTION_STRATEGY_FILE) | CLI_MORE(OPTION_DRY_RUN))

/* ---- options (gatewayctl-rollout-options.c) ---- */

/* Takes one of the above: 0, or a negative errno with a sentence in *reterr_why (static). */
int rollout_option(GatewayCtl *c, unsigned id, const char *value, const char **reterr_why);
/* Was anything said of the strategy, in a file or by options? */
bool rollout_strategy_is_said(const GatewayCtl *c);
/* What --strategy-file= says (or, without one, the base, which may be NULL), overridden by single options.
 * *ret: NULL when nothing was said. */
CliExit rollout_strategy_read(const GatewayCtl *c, json_t *base, json_t **ret);
/* For GatewayCtl.blame. */
const char *rollout_blame(const GatewayCtl *c, const char *pointer);

/* "Mon..Fri 22:00 6h Europe/Berlin" as a window of the strategy; -EINVAL. (gatewayctl-rollout-window.c) */
int rollout_window_parse(const char *text, json_t **ret);
char *rollout_window_text(json_t *window); /* the same for people; NULL: out of memory */

/* ---- for people ---- */

/* gatewayctl-rollout-words.c: a strategy as lines of a table of fields. */
int rollout_strategy_words(CliTable *t, json_t *strategy);

/* gatewayctl-rollout-plan.c: what a dry run answered. */
CliExit rollout_plan_print(const GatewayCtl *c, json_t *plan, FILE *f);

/* gatewayctl-rollout-text.c */
static inline uint64_t rollout_number(json_t *o, const char *member) { /* 0 when it is not there */
        uint64_t n = 0;

        (void) json_get_u64(o, member, &n);
        return n;
}
typedef struct RolloutNumbers {
        uint64_t cohort, succeeded, failed, in_flight, pending, skipped, cancelled;
        uint64_t failed_outright, rolled_back, timed_out; /* which make up failed */
} RolloutNumbers;
void rollout_numbers(json_t *rollout, RolloutNumbers *ret);
bool rollout_goes_back(json_t *rollout);      /* or a plan */
bool rollout_stopped_itself(json_t *rollout); /* paused, and not by a person */
CliStyle rollout_style(json_t *rollout);
char *rollout_state_text(json_t *rollout);  /* "running, batch 2"; all of these: NULL on lack of memory */
char *rollout_reason_text(json_t *rollout); /* a sentence, with what failures have in common */
char *
rollout_counts_text(json_t *rollout);      /* "325 of 812 updated, 3 failed (2 rolled-back), 12 in flight" */
char *rollout_target_text(json_t *target); /* "env=staging", "group web", "all agents", "3 agents" */
char *
rollout_next_text(json_t *rollout, usec_t t); /* "in 5min 3s"; "" when nothing is known to happen by time */
/* "[######x>>-----]  40%", in colour if f takes it: updated, failed, in flight, to come. */
char *rollout_bar_text(json_t *rollout, unsigned width, FILE *f);

/* ---- asking ---- */

CliExit rollout_check_id(const char *text); /* one that could be a rollout's */
CliExit rollout_read(GatewayCtl *c, const char *id, json_t **ret);
/* A rollout that was answered, in the form that was asked for; as a table it is this sentence. */
CliExit rollout_answer(const GatewayCtl *c, json_t *rollout, const char *sentence);

/* ---- waiting (gatewayctl-rollout-watch.c) ---- */

/* Until it ends, stops by itself, or the time is up; shows how it goes on standard error, and what became of
 * it in the form that was asked for. aborted_is_good: its end was asked for. */
CliExit rollout_wait(GatewayCtl *c, const char *id, bool aborted_is_good);
