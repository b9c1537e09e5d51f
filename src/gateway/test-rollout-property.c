/* SPDX-License-Identifier: Apache-2.0 */

/* Thousands of random fleets, strategies, failures and operators; after every step what must always hold is
 * computed anew, from what was seen from outside. FLEET_TEST_SEED=N repeats one run, FLEET_TEST_RUNS=N makes
 * more or less of them. */

#include "alloc-util.h"
#include "rollout-fixture.h"
#include "string-util.h"

#define LEASE (15 * MINUTE)
#define MEMBERS_MAX 120U
#define ADMISSIONS_MAX 4096U
#define EVENTS_MAX 20000U

typedef enum Fate {
        FATE_SUCCEEDS,
        FATE_ROLLS_BACK,
        FATE_FAILS_FOR_NOW, /* for a reason that may pass */
        FATE_SAYS_NOTHING,  /* the lease ends */
        FATE_SAYS_IT_LATE,  /* the lease ends, and then it had succeeded */
        _FATE_MAX,
} Fate;

typedef struct Machine {
        usec_t flips; /* goes away or comes back; USEC_INFINITY: stays */
        usec_t ends;  /* of its instruction; USEC_INFINITY: none */
        usec_t frees; /* the update that did not come from here ends; USEC_INFINITY: there is none */
        Fate fate;
        bool was_late; /* a lease has ended */
        bool tried;
} Machine;

typedef struct Admission {
        uint32_t member, batch;
        usec_t clock; /* the rollout's, by our own counting */
} Admission;

typedef struct World {
        TestFleet f;
        uint64_t random, seed;
        Machine machines[MEMBERS_MAX];
        Admission admissions[ADMISSIONS_MAX];
        size_t n_admissions;
        unsigned weights[_FATE_MAX];
        bool flaky; /* machines come and go */
        unsigned steps, approvals, batches_begun, waivers;
        usec_t unpaused, last_now; /* our own count of the rollout's clock */
        usec_t canaries_ended;     /* on it */
        bool settled[MEMBERS_MAX]; /* had ended when a person let it go on */
        bool retried;
} World;

static uint64_t draw(World *w, uint64_t n) {
        w->random ^= w->random << 13;
        w->random ^= w->random >> 7;
        w->random ^= w->random << 17;
        return n > 0 ? w->random % n : 0;
}

static bool chance(World *w, unsigned percent) {
        return draw(w, 100) < percent;
}

static void describe(const World *w) {
        const RolloutProgress *p = &w->f.progress;

        fprintf(stderr,
                "%s, %s, batch %u, opened %" PRIu64 ", clock %" PRIu64 ", next look in %" PRIi64 " s\n",
                rollout_state_to_string(p->state), rollout_reason_to_string(p->reason), p->batch,
                p->batch_opened, w->unpaused,
                p->next_look == USEC_INFINITY ? -1 : (int64_t) ((p->next_look - w->f.now) / SEC));
        for (MemberState s = 0; s < _MEMBER_STATE_MAX; s++)
                fprintf(stderr, "  %" PRIu64 " %s\n", w->f.outcome.counts.n[s], member_state_to_string(s));
        for (size_t i = 0; i < w->f.n; i++)
                if (member_state_is_active(w->f.members[i].state))
                        fprintf(stderr, "  %s %s%s%s ends %" PRIi64 " %s\n", w->f.members[i].agent,
                                member_state_to_string(w->f.members[i].state),
                                w->f.members[i].canary ? " canary" : "",
                                w->f.views[i].online ? " online" : "", (int64_t) w->machines[i].ends,
                                update_phase_to_string(w->f.views[i].phase));
}

#define check(w, expr)                                                                                      \
        do {                                                                                                \
                if (!(expr)) {                                                                              \
                        fprintf(stderr, "seed %" PRIu64 ", step %u: '%s' does not hold\n", (w)->seed,       \
                                (w)->steps, #expr);                                                         \
                        describe(w);                                                                        \
                        abort();                                                                            \
                }                                                                                           \
        } while (false)

/* ---- making ---- */

static void make_spec(World *w) {
        RolloutSpec *s = &w->f.spec;

        s->canary.amount = (RolloutAmount){ .is_share = chance(w, 30), .value = (uint32_t) draw(w, 8) };
        if (s->canary.amount.is_share)
                s->canary.amount.value *= 500;
        s->canary.success = chance(w, 50) ? ROLLOUT_SHARE_ALL : (uint32_t) draw(w, 10001);
        s->canary.soak = chance(w, 50) ? draw(w, 30 * MINUTE) : 0;
        s->canary.approval = chance(w, 20);
        s->batch.amount = (RolloutAmount){ .is_share = chance(w, 30), .value = 1 + (uint32_t) draw(w, 30) };
        if (s->batch.amount.is_share)
                s->batch.amount.value *= 100;
        s->batch.n_ramp = chance(w, 30) ? draw(w, 4) : 0;
        for (size_t i = 0; i < s->batch.n_ramp; i++)
                s->batch.ramp[i] = 1 + (uint32_t) draw(w, 10);
        s->batch.period = chance(w, 70) ? draw(w, 30 * MINUTE) : 0;
        s->batch.success = chance(w, 50) ? (uint32_t) draw(w, 10001) : 0;
        s->batch.soak = chance(w, 20) ? draw(w, 10 * MINUTE) : 0;
        s->batch.approval = chance(w, 10);
        s->max_in_flight = 1 + (uint32_t) draw(w, 40);
        s->max_failures = (RolloutAmount){ .is_share = chance(w, 50), .value = (uint32_t) draw(w, 20) };
        if (s->max_failures.is_share)
                s->max_failures.value *= 250;
        s->attempts = 1 + (uint32_t) draw(w, 4);
        s->retry_pause = draw(w, 5 * MINUTE);
        s->offline = chance(w, 30) ? ROLLOUT_OFFLINE_SKIP : ROLLOUT_OFFLINE_WAIT;
        s->offline_wait = draw(w, 2 * USEC_PER_DAY);
        s->emergency = chance(w, 10);
        if (chance(w, 25)) {
                static const char *const zones[] = { "UTC", "Europe/Berlin", "America/St_Johns" };

                s->windows = new0(RolloutWindow, 2);
                s->n_windows = 1 + draw(w, 2);
                for (size_t i = 0; i < s->n_windows; i++) {
                        s->windows[i].days = (uint8_t) (1 + draw(w, 127));
                        s->windows[i].start = (unsigned) draw(w, 1440);
                        s->windows[i].length = ROLLOUT_WINDOW_LENGTH_MIN + draw(w, 12 * USEC_PER_HOUR);
                        assert_ok(timezone_load(zones[draw(w, 3)], &s->windows[i].zone));
                }
        }
}

static void make_machines(World *w) {
        TestFleet *f = &w->f;
        unsigned away = chance(w, 50) ? 20 : 0;

        f->n_traits[ROLLOUT_TRAIT_OS] = 1 + draw(w, 3);
        f->n_traits[ROLLOUT_TRAIT_KERNEL] = 1 + draw(w, 12);
        w->flaky = chance(w, 40);
        for (size_t i = 0; i < f->n; i++) {
                f->members[i].traits[ROLLOUT_TRAIT_OS] = (uint32_t) draw(w, f->n_traits[ROLLOUT_TRAIT_OS]);
                f->members[i].traits[ROLLOUT_TRAIT_KERNEL] =
                                (uint32_t) draw(w, f->n_traits[ROLLOUT_TRAIT_KERNEL]);
                f->views[i].online = !chance(w, away);
                if (chance(w, 5))
                        f->views[i].version = "1.1.0";
                if (chance(w, 3))
                        f->views[i].pinned = true, f->views[i].pinned_version = "1.0.0";
                if (chance(w, 3))
                        f->views[i].arch = "riscv64";
                if (chance(w, 3) && !f->views[i].online)
                        f->views[i].version = NULL;
                f->views[i].busy = chance(w, 6);
        }
        if (chance(w, 25)) {
                static char *archs[] = { (char *) "x86_64", NULL };

                f->releases[1].requires = "1.0.5";
                f->releases[2] = (ReleaseInfo){ .version = "1.0.5", .archs = archs };
                f->n_releases = 3;
        }
}

/* The plan is a function of its input, and of who is in it, not of the order in which they are named. */
static void check_plan(World *w) {
        TestFleet *f = &w->f;
        _cleanup_free_ RolloutMember *members = memdup(f->members, f->n * sizeof(RolloutMember));
        _cleanup_free_ RolloutView *views = memdup(f->views, f->n * sizeof(RolloutView));
        RolloutInput in = fleet_input(f);
        RolloutProgress p;

        assert_se(members && views);
        for (size_t i = f->n; i > 1; i--) { /* shuffled */
                size_t j = draw(w, i);
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
        bool counted[MEMBERS_MAX] = {};

        check(w, m->state == MEMBER_STATE_IN_FLIGHT && v->exists && v->online && v->version && !v->busy);
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
                 * since */
                check(w, !member_state_is_active(m->state) || m->batch != ROLLOUT_BATCH_CANARY ||
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

static usec_t next_event(const World *w) {
        usec_t t = USEC_INFINITY;

        for (size_t i = 0; i < w->f.n; i++) {
                t = MIN(t, w->machines[i].flips);
                t = MIN(t, w->machines[i].ends);
                t = MIN(t, w->machines[i].frees);
        }
        return t;
}

/* ---- time ---- */

static void advance(World *w, usec_t now) {
        if (w->f.progress.state != ROLLOUT_STATE_PAUSED)
                w->unpaused += now - w->last_now;
        w->last_now = now;
        w->f.now = now;
}

static void begin_instruction(World *w, size_t i) {
        unsigned sum = 0, hit;
        Fate fate = 0;

        for (Fate k = 0; k < _FATE_MAX; k++)
                sum += w->weights[k];
        hit = (unsigned) draw(w, sum);
        while (hit >= w->weights[fate])
                hit -= w->weights[fate++];
        w->machines[i].fate = fate;
        w->machines[i].tried = true;
        w->settled[i] = false;
        w->machines[i].ends = w->f.now + (fate >= FATE_SAYS_NOTHING ? LEASE : 1 + draw(w, 5 * MINUTE));
}

static void step(World *w) {
        TestFleet *f = &w->f;
        bool was_running = f->progress.state == ROLLOUT_STATE_RUNNING;
        uint32_t was_batch = f->progress.batch;
        uint64_t n = 0;
        usec_t clock;

        check(w, w->steps++ < EVENTS_MAX);
        fleet_step(f);
        clock = w->unpaused;
        check_sums(w);
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
                                begin_instruction(w, i);
                                n++;
                        }
                check(w, n == f->outcome.admitted_now);
        }
        if (f->progress.state == ROLLOUT_STATE_RUNNING) {
                check(w, f->progress.next_look > f->now);
                check(w, fleet_count(f, MEMBER_STATE_PENDING) + fleet_count(f, MEMBER_STATE_IN_FLIGHT) > 0 ||
                                         f->progress.next_look != USEC_INFINITY);
                /* something will happen: nothing waits for nothing */
                check(w, f->progress.next_look != USEC_INFINITY || next_event(w) != USEC_INFINITY ||
                                         f->progress.reason == ROLLOUT_REASON_AWAITING_APPROVAL);
        }
        if (f->progress.state == ROLLOUT_STATE_COMPLETED)
                check(w, fleet_count(f, MEMBER_STATE_PENDING) + fleet_count(f, MEMBER_STATE_IN_FLIGHT) == 0);
}

/* A look before the time that the step named, without any event, finds nothing to do. */
static void look_early(World *w, usec_t until) {
        TestFleet *f = &w->f;
        usec_t t = f->now + draw(w, until - f->now);

        if (f->progress.state != ROLLOUT_STATE_RUNNING || t <= f->now)
                return;
        advance(w, t);
        step(w);
        check(w, f->outcome.admitted_now == 0);
}

/* ---- machines and people ---- */

static void end_instruction(World *w, size_t i) {
        RolloutView *v = w->f.views + i;
        Machine *m = w->machines + i;

        m->ends = USEC_INFINITY;
        v->finished = w->f.now;
        v->verdict = UPDATE_VERDICT_NONE;
        switch (m->fate) {
        case FATE_SUCCEEDS:
                v->phase = UPDATE_PHASE_SUCCEEDED;
                v->version = v->instruction_version;
                break;
        case FATE_ROLLS_BACK:
                v->phase = UPDATE_PHASE_ROLLED_BACK;
                v->verdict = UPDATE_VERDICT_CRASHED;
                break;
        case FATE_FAILS_FOR_NOW:
                v->phase = UPDATE_PHASE_FAILED;
                v->verdict = UPDATE_VERDICT_DOWNLOAD_FAILED;
                break;
        case FATE_SAYS_IT_LATE:
                v->phase = UPDATE_PHASE_TIMED_OUT;
                m->was_late = true;
                m->fate = FATE_SUCCEEDS;
                m->ends = w->f.now + 1 + draw(w, USEC_PER_HOUR);
                break;
        default:
                v->phase = UPDATE_PHASE_TIMED_OUT;
                m->was_late = true;
        }
}

static void machine_events(World *w) {
        for (size_t i = 0; i < w->f.n; i++) {
                Machine *m = w->machines + i;
                RolloutView *v = w->f.views + i;

                if (m->flips <= w->f.now) {
                        v->online = !v->online;
                        v->last_seen = w->f.now;
                        if (!v->version)
                                v->version = "1.0.0";
                        m->flips = w->flaky && chance(w, 60) ? w->f.now + 1 + draw(w, 3 * USEC_PER_HOUR) :
                                                               USEC_INFINITY;
                }
                if (m->frees <= w->f.now) {
                        v->busy = false;
                        m->frees = USEC_INFINITY;
                }
                if (m->ends <= w->f.now) {
                        /* a late word about an instruction that was followed by another is no word any more
                         */
                        if (v->phase == UPDATE_PHASE_TIMED_OUT &&
                            w->f.members[i].state == MEMBER_STATE_PENDING)
                                m->ends = USEC_INFINITY;
                        else
                                end_instruction(w, i);
                }
                if (v->online)
                        v->last_seen = w->f.now;
        }
        for (size_t i = 0; i < w->f.n; i++)
                if (w->f.members[i].canary && member_state_is_active(w->f.members[i].state))
                        w->canaries_ended = w->unpaused;
}

/* What has ended by now is nobody's business any more. */
static void settle(World *w) {
        for (size_t i = 0; i < w->f.n; i++)
                w->settled[i] = w->machines[i].tried && !member_state_is_active(w->f.members[i].state);
}

static void resume(World *w) {
        if (w->f.progress.reason != ROLLOUT_REASON_OPERATOR) {
                w->waivers++;
                settle(w);
        }
        fleet_resume(&w->f);
}

static void retry(World *w) {
        RolloutInput in = fleet_input(&w->f);

        if (rollout_retry_failed(&w->f.progress, &in) <= 0)
                return;
        w->retried = true;
        settle(w);
        for (size_t i = 0; i < w->f.n; i++) /* what was said before is forgotten */
                if (w->f.members[i].state == MEMBER_STATE_PENDING)
                        w->machines[i].ends = USEC_INFINITY;
}

static void person(World *w) {
        RolloutProgress *p = &w->f.progress;

        if (p->state == ROLLOUT_STATE_RUNNING && p->reason == ROLLOUT_REASON_AWAITING_APPROVAL) {
                assert_ok(rollout_approve(p));
                w->approvals++;
        } else if (p->state == ROLLOUT_STATE_PAUSED) {
                if (chance(w, 10))
                        assert_ok(rollout_abort(p, w->f.now));
                else if (chance(w, 20))
                        retry(w);
                else
                        resume(w);
        } else if (p->state == ROLLOUT_STATE_RUNNING && chance(w, 3))
                assert_ok(rollout_pause(p, w->f.now));
        else if (p->state == ROLLOUT_STATE_RUNNING && chance(w, 1))
                assert_ok(rollout_abort(p, w->f.now));
        else
                return;
        step(w);
}

static void run(uint64_t seed) {
        World *w = new0(World, 1);
        TestFleet *f = &w->f;
        usec_t limit = MORNING + 400 * USEC_PER_DAY;

        assert_se(w);
        w->seed = seed;
        w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        for (unsigned i = 0; i < 8; i++)
                (void) draw(w, 1);
        fleet_init(f, 1 + draw(w, MEMBERS_MAX));
        f->seed = seed;
        make_spec(w);
        make_machines(w);
        w->weights[FATE_SUCCEEDS] = 100;
        for (Fate k = FATE_ROLLS_BACK; k < _FATE_MAX; k++)
                w->weights[k] = chance(w, 50) ? (unsigned) draw(w, chance(w, 20) ? 200 : 10) : 0;
        check_plan(w);
        for (size_t i = 0; i < f->n; i++) /* the plan has put them into an order */
                w->machines[i] = (Machine){
                        .flips = !f->views[i].online && chance(w, 70) ? f->now + 1 + draw(w, USEC_PER_DAY) :
                                 w->flaky && chance(w, 30)            ? f->now + 1 + draw(w, USEC_PER_HOUR) :
                                                                        USEC_INFINITY,
                        .ends = USEC_INFINITY,
                        .frees = f->views[i].busy ? f->now + 1 + draw(w, USEC_PER_HOUR) : USEC_INFINITY,
                };
        w->last_now = f->now;
        w->unpaused = 1;
        step(w);
        while (!rollout_state_is_terminal(f->progress.state)) {
                usec_t next = MIN(next_event(w), f->progress.next_look);

                check(w, f->now < limit); /* every path ends */
                if (next != USEC_INFINITY && chance(w, 20))
                        look_early(w, next);
                if (next == USEC_INFINITY || chance(w, 5))
                        advance(w, f->now + draw(w, USEC_PER_HOUR));
                else
                        advance(w, MAX(next, f->now));
                machine_events(w);
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
