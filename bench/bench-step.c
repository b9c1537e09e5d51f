/* SPDX-License-Identifier: Apache-2.0 */

/* bench-step AGENTS: how long the pure core of a rollout takes for so many machines: the plan, the steps by
 * what they do, and a whole rollout with a canary of ten and ten batches. One line of JSON with microseconds,
 * medians of several runs, and with the memory that it has needed at most, the machines included. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "parse-util.h"
#include "rollout-fixture.h"

#define RUNS 9U
#define AGENTS_MAX 1000000U
#define STEPS_MAX 100U

typedef struct Times {
        usec_t plan, admit, watch, whole;
        unsigned steps;
} Times;

static int compare(const void *a, const void *b) {
        usec_t x = *(const usec_t *) a, y = *(const usec_t *) b;
        return x < y ? -1 : x > y;
}

static usec_t median(usec_t *values, size_t n) {
        qsort(values, n, sizeof(*values), compare);
        return values[n / 2];
}

/* The step alone: what the fixture does to the machines afterwards is not the rollout's. */
static usec_t step(TestFleet *f) {
        RolloutInput in = fleet_input(f);
        usec_t started = now(CLOCK_MONOTONIC);

        assert_ok(rollout_step(&f->progress, &in, &f->outcome));
        usec_t took = now(CLOCK_MONOTONIC) - started;
        for (size_t i = 0; i < f->n; i++)
                if (f->members[i].instruct) {
                        f->views[i].has_instruction = true;
                        f->views[i].phase = UPDATE_PHASE_OFFERED;
                        f->views[i].instruction_version = f->members[i].instruct;
                }
        return took;
}

static void succeed(TestFleet *f) {
        for (size_t i = 0; i < f->n; i++)
                if (f->members[i].state == MEMBER_STATE_IN_FLIGHT) {
                        f->views[i].phase = UPDATE_PHASE_SUCCEEDED;
                        f->views[i].finished = f->now;
                        f->views[i].version = f->views[i].instruction_version;
                }
}

static void run_once(size_t n, Times *ret) {
        _cleanup_fleet_ TestFleet f = {};
        Times t = {};

        fleet_init(&f, n);
        f.spec.canary.amount = (RolloutAmount) { .value = MIN(n, (size_t) 10) };
        f.spec.batch.amount = (RolloutAmount) { .is_share = true, .value = ROLLOUT_SHARE_ALL / 10 };
        f.spec.batch.success = ROLLOUT_SHARE_ALL;
        usec_t started = now(CLOCK_MONOTONIC);
        assert_ok(fleet_plan(&f, NULL));
        t.plan = now(CLOCK_MONOTONIC) - started;
        while (!rollout_state_is_terminal(f.progress.state)) {
                assert_se(++t.steps < STEPS_MAX);
                f.now += USEC_PER_SEC;
                usec_t admit = step(&f), watch = step(&f);
                t.whole += admit + watch;
                if (f.outcome.counts.n[MEMBER_STATE_IN_FLIGHT] > 10) {
                        t.admit = MAX(t.admit, admit);
                        t.watch = MAX(t.watch, watch);
                }
                succeed(&f);
        }
        assert_se(fleet_count(&f, SUCCEEDED) == n);
        *ret = t;
}

/* Of this program: getrusage() would begin with what the process was before exec. */
static uint64_t peak_kib(void) {
        _cleanup_free_ void *text = NULL;
        size_t size;

        assert_ok(file_read_at(AT_FDCWD, "/proc/self/status", KIB(16), &text, &size));
        const char *line = strstr(text, "\nVmHWM:");
        assert_se(line);
        return strtoull(line + strlen("\nVmHWM:"), NULL, 10);
}

int main(int argc, char *argv[]) {
        usec_t plan[RUNS], admit[RUNS], watch[RUNS], whole[RUNS];
        uint64_t before = peak_kib();
        uint32_t n;
        Times t = {};

        if (argc != 2 || parse_u32(argv[1], &n) < 0 || n < 1 || n > AGENTS_MAX) {
                fprintf(stderr, "bench-step AGENTS: a number from 1 to %u\n", AGENTS_MAX);
                return 2;
        }
        for (size_t i = 0; i < RUNS; i++) {
                run_once(n, &t);
                plan[i] = t.plan;
                admit[i] = t.admit;
                watch[i] = t.watch;
                whole[i] = t.whole;
        }
        printf("{\"agents\":%u,\"plan_us\":" USEC_FMT ",\"admit_us\":" USEC_FMT ",\"watch_us\":" USEC_FMT
               ",\"whole_us\":" USEC_FMT ",\"steps\":%u,\"memory_kib\":%" PRIu64 "}\n",
               n, median(plan, RUNS), median(admit, RUNS), median(watch, RUNS), median(whole, RUNS),
               2 * t.steps, peak_kib() - before);
        return EXIT_SUCCESS;
}
