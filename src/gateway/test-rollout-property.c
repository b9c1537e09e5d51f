/* SPDX-License-Identifier: Apache-2.0 */

/* Thousands of random fleets, strategies, failures, clocks and operators, and another rollout that takes
 * agents; after every step what must always hold is computed anew, from what was seen from outside.
 * FLEET_TEST_SEED=N repeats one run, FLEET_TEST_RUNS=N makes more or less of them. */

#include "alloc-util.h"
#include "rollout-world.h"
#include "string-util.h"

#define EVENTS_MAX 20000U

/* The plan is a function of its input, and of who is in it, not of the order in which they are named. */
static void check_plan(World *w) {
        TestFleet *f = &w->f;
        _cleanup_free_ RolloutMember *members = memdup(f->members, f->n * sizeof(RolloutMember));
        _cleanup_free_ RolloutView *views = memdup(f->views, f->n * sizeof(RolloutView));
        RolloutInput in = fleet_input(f);
        RolloutProgress p;

        assert_se(members && views);
        for (size_t i = f->n; i > 1; i--) { /* shuffled */
                size_t j = world_draw(w, i);
                RolloutMember m = members[i - 1];
                RolloutView v = views[i - 1];

                members[i - 1] = members[j];
                views[i - 1] = views[j];
                members[j] = m;
                views[j] = v;
        }
        assert_ok(fleet_plan(f, NULL));
        in.members = members;
        in.views = views;
        assert_ok(rollout_plan(&in, views, &p, NULL));
        for (size_t i = 0; i < f->n; i++)
                check(w, streq(members[i].agent, f->members[i].agent) &&
                                         members[i].canary == f->members[i].canary &&
                                         members[i].state == f->members[i].state &&
                                         members[i].position == i);
}

/* ---- what must always hold ---- */

static uint64_t size_of_batch(const World *w, uint32_t batch) {
        uint64_t cohort = w->f.n - fleet_count(&w->f, MEMBER_STATE_EXCLUDED);

        return rollout_batch_size(&w->f.spec, batch, cohort);
}

static void check_admission(World *w, size_t i, usec_t clock) {
        TestFleet *f = &w->f;
        const RolloutMember *m = f->members + i;
        const RolloutView *v = f->views + i;
        usec_t until;
        uint64_t within = 1;
        bool counted[MEMBERS_MAX + NEWCOMERS_MAX] = {};

        check(w, m->state == MEMBER_STATE_IN_FLIGHT && v->exists && v->online && v->version && !v->busy);
        check(w, !w->machines[i].was_at_it); /* one instruction at a time */
        check(w, !streq(v->version, m->goal) && !streq_ptr(v->arch, "riscv64") && !v->pinned);
        check(w, m->attempts <= f->spec.attempts);
        check(w,
              f->spec.emergency || rollout_windows_open(f->spec.windows, f->spec.n_windows, f->now, &until));
        if (m->batch == ROLLOUT_BATCH_CANARY)
                check(w, m->canary);
        else {
                /* never more agents in any period than the batch has, however batches meet */
                uint64_t largest = size_of_batch(w, m->batch);

                counted[i] = true;
                for (size_t k = w->n_admissions; k-- > 0;) {
                        const Admission *a = w->admissions + k;

                        if (a->batch == ROLLOUT_BATCH_CANARY || clock - a->clock >= f->spec.batch.period)
                                break;
                        within += !counted[a->member];
                        counted[a->member] = true;
                        largest = MAX(largest, size_of_batch(w, a->batch));
                }
                check(w, f->spec.batch.period == 0 || within <= largest);
        }
        check(w, w->n_admissions < ADMISSIONS_MAX);
        w->admissions[w->n_admissions++] = (Admission){ (uint32_t) i, m->batch, clock };
}

/* Canaries before batches: all of them ended, well enough, long enough ago, and were approved. */
static void check_first_batch(World *w, usec_t clock) {
        TestFleet *f = &w->f;
        uint64_t well = 0, badly = 0, canaries = 0;

        for (size_t i = 0; i < f->n; i++) {
                const RolloutMember *m = f->members + i;

                if (!m->canary)
                        continue;
                canaries++;
                /* but for one whose lease had ended, which then counts as a failure, and which came back
                 * since; and one for which a person asked for another turn */
                check(w, !member_state_is_active(m->state) || m->batch != ROLLOUT_BATCH_CANARY || m->retry ||
                                         w->machines[i].was_late);
                check(w, m->batch != ROLLOUT_BATCH_NONE || m->state == MEMBER_STATE_SKIPPED);
                well += m->state == MEMBER_STATE_SUCCEEDED;
                badly += member_state_is_failure(m->state);
        }
        check(w, w->waivers > 0 || w->retried ||
                                 well * ROLLOUT_SHARE_ALL >= (well + badly) * f->spec.canary.success);
        if (canaries > 0 && !f->spec.emergency && w->waivers == 0 && !w->retried)
                check(w, clock >= w->canaries_ended + f->spec.canary.soak);
}

static void check_batches(World *w) {
        TestFleet *f = &w->f;
        bool gate = !f->spec.emergency;
        unsigned gates = 0;

        if (w->n_admissions == 0)
                return;
        for (size_t k = 1; k < w->n_admissions; k++) {
                const Admission *a = w->admissions + k, *before = a - 1;

                check(w, a->batch >= before->batch && a->clock >= before->clock);
                if (a->batch != before->batch && before->batch != ROLLOUT_BATCH_CANARY) {
                        size_t first = k - 1;

                        while (first > 0 && w->admissions[first - 1].batch == before->batch)
                                first--;
                        check(w, a->clock - w->admissions[first].clock >= f->spec.batch.period);
                }
                if (a->batch != before->batch)
                        gates += gate && (before->batch == ROLLOUT_BATCH_CANARY ? f->spec.canary.approval :
                                                                                  f->spec.batch.approval);
        }
        check(w, gates <= w->approvals);
}

static void check_sums(World *w) {
        TestFleet *f = &w->f;
        uint64_t sum = 0;
        RolloutCounts c;

        rollout_count(f->members, f->n, &c);
        for (MemberState s = 0; s < _MEMBER_STATE_MAX; s++) {
                check(w, c.n[s] == f->outcome.counts.n[s]);
                sum += c.n[s];
        }
        check(w, sum == f->n);
        check(w, c.n[MEMBER_STATE_IN_FLIGHT] <= f->spec.max_in_flight);
}

static bool is_over_limit(const World *w) {
        const RolloutAmount *max = &w->f.spec.max_failures;
        uint64_t failures = 0, admitted = 0;

        for (size_t i = 0; i < w->f.n; i++)
                if (!w->settled[i]) {
                        failures += member_state_is_failure(w->f.members[i].state);
                        admitted += w->machines[i].tried;
                }
        return max->is_share ? failures * ROLLOUT_SHARE_ALL > admitted * max->value : failures > max->value;
}

/* ---- time ---- */

static void advance(World *w, usec_t now) {
        if (w->f.progress.state != ROLLOUT_STATE_PAUSED)
                w->unpaused += now - w->last_now;
        w->elapsed += now - w->last_now;
        w->last_now = now;
        w->f.now = now;
}

static bool somebody_goes_on(const World *w) {
        for (size_t i = 0; i < w->f.n; i++)
                if (w->f.members[i].state == MEMBER_STATE_TIMED_OUT && view_goes_on(w->f.views + i))
                        return true;
        return false;
}

/* What may not become of a member in one step, whatever else it does. */
static void check_members(World *w) {
        TestFleet *f = &w->f;
        unsigned missing = 0;

        for (size_t i = 0; i < f->n; i++) {
                const RolloutMember *m = f->members + i;
                const RolloutView *v = f->views + i;

                check(w, !v->in_other_rollout || !member_state_is_active(m->state));
                if (m->state == w->was[i])
                        continue;
                missing += m->state == MEMBER_STATE_SKIPPED &&
                           IN_SET(m->reason, MEMBER_REASON_REQUIRES_MISSING, MEMBER_REASON_ARCH_MISSING);
                /* at its word, or when it has run the goal for long enough */
                if (m->state == MEMBER_STATE_SUCCEEDED)
                        check(w, (v->phase == UPDATE_PHASE_SUCCEEDED &&
                                  streq(v->instruction_version, m->goal)) ||
                                                 w->leapt ||
                                                 (streq_ptr(v->version, m->goal) &&
                                                  w->elapsed - w->machines[i].ended >= ROLLOUT_TRIAL));
                if (w->was[i] == MEMBER_STATE_SUCCEEDED) {
                        check(w,
                              m->state == MEMBER_STATE_ROLLED_BACK && v->phase == UPDATE_PHASE_ROLLED_BACK);
                        w->settled[i] = false; /* nobody had seen that */
                }
        }
        check(w, missing <= 1);
}

/* It ends, and changes nothing. */
static void check_preview(World *w) {
        RolloutInput in = fleet_input(&w->f);
        RolloutPreview p = {};

        assert_ok(rollout_preview(&w->f.progress, &in, 1 + world_draw(w, 10 * MINUTE), &p));
        check(w, p.ends >= w->f.now);
        rollout_preview_done(&p);
}

static void step(World *w) {
        TestFleet *f = &w->f;
        bool was_running = f->progress.state == ROLLOUT_STATE_RUNNING;
        uint32_t was_batch = f->progress.batch;
        uint64_t n = 0;
        usec_t clock;

        check(w, w->steps++ < EVENTS_MAX);
        for (size_t i = 0; i < f->n; i++) {
                w->was[i] = f->members[i].state;
                w->machines[i].was_at_it = view_goes_on(f->views + i);
        }
        fleet_step(f);
        clock = w->unpaused;
        check_sums(w);
        check_members(w);
        if (f->outcome.admitted_now > 0) {
                check(w, was_running && !is_over_limit(w));
                /* one step may begin several batches, where nothing has to be waited for */
                for (uint32_t batch = was_batch; batch <= f->progress.batch; batch++)
                        for (size_t i = 0; i < f->n; i++) {
                                if (!f->members[i].instruct || f->members[i].batch != batch)
                                        continue;
                                if (batch != ROLLOUT_BATCH_CANARY &&
                                    (w->n_admissions == 0 ||
                                     w->admissions[w->n_admissions - 1].batch == ROLLOUT_BATCH_CANARY))
                                        check_first_batch(w, clock);
                                check_admission(w, i, clock);
                                world_begin_instruction(w, i);
                                n++;
                        }
                check(w, n == f->outcome.admitted_now);
        }
        if (f->progress.state == ROLLOUT_STATE_RUNNING) {
                check(w, f->progress.next_look > f->now);
                check(w, fleet_count(f, MEMBER_STATE_PENDING) + fleet_count(f, MEMBER_STATE_IN_FLIGHT) > 0 ||
                                         somebody_goes_on(w) || f->progress.next_look != USEC_INFINITY);
                /* something will happen: nothing waits for nothing */
                check(w, f->progress.next_look != USEC_INFINITY || world_next_event(w) != USEC_INFINITY ||
                                         f->progress.reason == ROLLOUT_REASON_AWAITING_APPROVAL);
        }
        if (f->progress.state == ROLLOUT_STATE_COMPLETED)
                check(w,
                      fleet_count(f, MEMBER_STATE_PENDING) + fleet_count(f, MEMBER_STATE_IN_FLIGHT) == 0 &&
                                      !somebody_goes_on(w));
        if (world_chance(w, 1))
                check_preview(w);
}

/* A look before the time that the step named, without any event, finds nothing to do. */
static void look_early(World *w, usec_t until) {
        TestFleet *f = &w->f;
        usec_t t = f->now + world_draw(w, until - f->now);

        if (f->progress.state != ROLLOUT_STATE_RUNNING || t <= f->now)
                return;
        advance(w, t);
        step(w);
        check(w, f->outcome.admitted_now == 0);
}

/* ---- people ---- */

/* What has ended by now is nobody's business any more. */
static void settle(World *w) {
        for (size_t i = 0; i < w->f.n; i++)
                w->settled[i] = w->settled[i] ||
                                (w->machines[i].tried && !member_state_is_active(w->f.members[i].state));
}

static void resume(World *w) {
        RolloutReason reason = w->f.progress.reason;

        if (!IN_SET(reason, ROLLOUT_REASON_OPERATOR, ROLLOUT_REASON_RELEASE_GONE)) {
                w->waivers++;
                settle(w);
        }
        fleet_resume(&w->f);
}

static void retry(World *w) {
        RolloutInput in = fleet_input(&w->f);
        bool failed[MEMBERS_MAX + NEWCOMERS_MAX];

        for (size_t i = 0; i < w->f.n; i++)
                failed[i] = member_state_is_failure(w->f.members[i].state);
        if (rollout_retry_failed(&w->f.progress, &in) <= 0)
                return;
        w->retried = true;
        settle(w);
        for (size_t i = 0; i < w->f.n; i++) /* what was said before is forgotten */
                if (w->f.members[i].state == MEMBER_STATE_PENDING) {
                        w->machines[i].ends = USEC_INFINITY;
                        w->settled[i] = w->settled[i] && !failed[i];
                }
}

static void person(World *w) {
        RolloutProgress *p = &w->f.progress;

        if (p->state == ROLLOUT_STATE_RUNNING && p->reason == ROLLOUT_REASON_AWAITING_APPROVAL) {
                assert_ok(rollout_approve(p));
                w->approvals++;
        } else if (p->state == ROLLOUT_STATE_PAUSED) {
                if (w->n_gone > 0 && world_chance(w, 60))
                        world_change_releases(w);
                if (world_chance(w, 10))
                        assert_ok(rollout_abort(p, w->f.now));
                else if (world_chance(w, 20))
                        retry(w);
                else
                        resume(w);
        } else if (p->state == ROLLOUT_STATE_RUNNING && world_chance(w, 3))
                assert_ok(rollout_pause(p, w->f.now));
        else if (p->state == ROLLOUT_STATE_RUNNING && world_chance(w, 1))
                assert_ok(rollout_abort(p, w->f.now));
        else
                return;
        step(w);
}

static void run(uint64_t seed) {
        World *w = new0(World, 1);
        TestFleet *f = &w->f;
        bool kinds[4];

        assert_se(w);
        w->seed = seed;
        w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        for (unsigned i = 0; i < 8; i++)
                (void) world_draw(w, 1);
        w->n_all = 1 + world_draw(w, MEMBERS_MAX);
        fleet_init(f, w->n_all + NEWCOMERS_MAX);
        f->n = w->n_all;
        w->n_all = f->n + world_draw(w, NEWCOMERS_MAX + 1);
        f->seed = seed;
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                kinds[i] = world_chance(w, 33);
        world_make_spec(w);
        world_make_machines(w);
        w->weights[FATE_SUCCEEDS] = 100;
        for (Fate k = FATE_ROLLS_BACK; k < _FATE_MAX; k++)
                w->weights[k] = world_chance(w, 50) ?
                                                (unsigned) world_draw(w, world_chance(w, 20) ? 200 : 10) :
                                                0;
        check_plan(w);
        world_settle_amounts(w);
        for (size_t i = f->n; i < w->n_all; i++) /* by kinds that are there already */
                for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++)
                        f->members[i].traits[t] = (uint32_t) world_draw(w, f->n_traits[t]);
        for (size_t i = 0; i < f->n; i++) /* the plan has put them into an order */
                w->machines[i] = (Machine){
                        .flips = !f->views[i].online && world_chance(w, 70) ?
                                                 f->now + 1 + world_draw(w, USEC_PER_DAY) :
                                 w->flaky && world_chance(w, 30) ?
                                                 f->now + 1 + world_draw(w, USEC_PER_HOUR) :
                                                 USEC_INFINITY,
                        .ends = USEC_INFINITY,
                        .frees = f->views[i].busy ? f->now + 1 + world_draw(w, USEC_PER_HOUR) :
                                                    USEC_INFINITY,
                        .given = USEC_INFINITY,
                };
        w->last_now = f->now;
        w->unpaused = 1;
        step(w);
        while (!rollout_state_is_terminal(f->progress.state)) {
                usec_t next = MIN(world_next_event(w), f->progress.next_look);

                check(w, w->elapsed < 400 * USEC_PER_DAY); /* every path ends */
                if (next != USEC_INFINITY && world_chance(w, 20))
                        look_early(w, next);
                if (next == USEC_INFINITY || world_chance(w, 5))
                        advance(w, f->now + world_draw(w, USEC_PER_HOUR));
                else
                        advance(w, MAX(next, f->now));
                world_advance_machines(w);
                step(w);
                world_goes_on(w, kinds);
                step(w);
                person(w);
        }
        check_batches(w);
        fleet_clear(f);
        free(w);
}

int main(void) {
        const char *seed = getenv("FLEET_TEST_SEED"), *runs = getenv("FLEET_TEST_RUNS");
        uint64_t n = runs ? strtoull(runs, NULL, 10) : 4000;

        if (seed) {
                run(strtoull(seed, NULL, 10));
                return 0;
        }
        for (uint64_t i = 1; i <= n; i++)
                run(i);
        return 0;
}
