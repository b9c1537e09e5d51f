/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an operator asked a rollout to be: its strategy. As JSON in requests and in the store, as a structure
 * everywhere else. Shares are kept in hundredths of a percent. */

#include "json.h"
#include "rollout-window.h"

#define ROLLOUT_SHARE_ALL 10000U /* 100 % */
#define ROLLOUT_RAMP_MAX 16U
#define ROLLOUT_CANARY_IDS_MAX 1000U
#define ROLLOUT_BATCH_MAX 1000000U
#define ROLLOUT_PERIOD_MAX (30 * USEC_PER_DAY)
#define ROLLOUT_OFFLINE_WAIT_MAX (365 * USEC_PER_DAY)
#define ROLLOUT_ATTEMPTS_MAX 10U

/* A number of agents, absolute or as a share of the cohort, rounded up. */
typedef struct RolloutAmount {
        bool is_share;
        uint32_t value;
} RolloutAmount;

typedef enum RolloutOffline {
        ROLLOUT_OFFLINE_WAIT, /* updated when they come back, under the same limits */
        ROLLOUT_OFFLINE_SKIP,
} RolloutOffline;

typedef struct RolloutSpec {
        struct {
                RolloutAmount amount; /* how many are drawn; value 0: none */
                uint32_t at_most;     /* cap of a share; 0: none */
                char **ids;           /* or exactly these */
                uint32_t success;     /* share that must succeed before the first batch */
                usec_t soak;
                bool approval;
        } canary;
        struct {
                RolloutAmount amount;            /* N per period */
                uint32_t ramp[ROLLOUT_RAMP_MAX]; /* sizes of the first batches instead */
                size_t n_ramp;
                usec_t period;
                uint32_t success; /* share of a batch that must succeed before the next; 0: do not wait */
                usec_t soak;
                bool approval;
        } batch;
        uint32_t max_in_flight;     /* 0: not said */
        RolloutAmount max_failures; /* more than this stops it; a share is one of those admitted */
        uint32_t attempts;          /* of one agent, for reasons that may pass */
        usec_t retry_pause;         /* before the second; doubled each time */
        RolloutOffline offline;
        usec_t offline_wait; /* how long it stays open for them when all others are done */
        bool include_new_agents;
        bool set_desired; /* at its end its version becomes what the target shall run */
        bool emergency;   /* no windows, no soak, no approval */
        RolloutWindow *windows;
        size_t n_windows;
} RolloutSpec;

void rollout_spec_done(RolloutSpec *s);

/* What is not said: ten canaries or a tenth, whatever is less; then 50 every ten minutes; it stops at more
 * than 5 %. back: whoever goes back is in a hurry, so no canaries and no periods. */
void rollout_spec_defaults(RolloutSpec *ret, bool back);

/* An object as docs/openapi.yaml has it under "strategy", over the defaults. -EINVAL with a pointer below
 * the object and a sentence, both allocated. */
int rollout_spec_parse(
                json_t *object, bool back, RolloutSpec *ret, char **reterr_pointer, char **reterr_detail);
/* Everything said, so that a later change of the defaults changes no rollout that exists. NULL: out of
 * memory. */
json_t *rollout_spec_format(const RolloutSpec *s);

uint64_t rollout_amount_of(const RolloutAmount *a, uint64_t whole);
uint64_t rollout_canaries(const RolloutSpec *s, uint64_t cohort);
/* Size of batch 1, 2 and so on. */
uint64_t rollout_batch_size(const RolloutSpec *s, uint32_t batch, uint64_t cohort);

/* rollout-check.c. Makes numbers of what depends on the size of the cohort, then refuses what could never
 * get on, or not within a year: -EINVAL with a pointer below the strategy (static) and a sentence
 * (allocated). */
int rollout_spec_settle(RolloutSpec *s, uint64_t cohort, const char **reterr_pointer, char **reterr_detail);
