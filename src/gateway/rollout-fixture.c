/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-fixture.h"

#include "alloc-util.h"

static char *archs[] = { (char *) "x86_64", NULL };

void fleet_init(TestFleet *f, size_t n) {
        *f = (TestFleet){ .n = n, .now = MORNING, .booted = MORNING - USEC_PER_DAY, .seed = 7, .boot = 1, .n_traits = { 2, 4, 1 } };
        rollout_spec_defaults(&f->spec, /* back= */ false);
        f->spec.canary.amount = (RolloutAmount){};
        f->spec.canary.soak = 0;
        f->spec.batch.amount = (RolloutAmount){ .value = ROLLOUT_BATCH_MAX };
        f->spec.batch.period = 0;
        f->spec.batch.success = 0;
        f->spec.max_in_flight = ROLLOUT_BATCH_MAX;
        f->spec.max_failures = (RolloutAmount){ .value = ROLLOUT_BATCH_MAX };
        f->spec.attempts = 1;
        f->releases[0] = (ReleaseInfo){ .version = "1.0.0", .archs = archs };
        f->releases[1] = (ReleaseInfo){ .version = "1.1.0", .archs = archs };
        f->n_releases = 2;
        f->ids = calloc(n ?: 1, sizeof(*f->ids));
        f->members = new0(RolloutMember, n);
        f->views = new0(RolloutView, n);
        assert_se(f->ids && f->members && f->views);
        for (size_t i = 0; i < n; i++) {
                (void) snprintf(f->ids[i], sizeof(f->ids[i]), "a%06zu", i);
                f->members[i] = (RolloutMember){ .agent = f->ids[i],
                                                 .goal = "1.1.0",
                                                 .traits = { (uint32_t) (i % 2), (uint32_t) (i % 4), 0 } };
                f->views[i] = (RolloutView){ .exists = true,
                                             .online = true,
                                             .version = "1.0.0",
                                             .arch = "x86_64",
                                             .last_seen = MORNING };
        }
}

void fleet_clear(TestFleet *f) {
        rollout_spec_done(&f->spec);
        free(f->ids);
        free(f->members);
        free(f->views);
}

RolloutInput fleet_input(TestFleet *f) {
        RolloutInput in = { .spec = &f->spec,
                            .kind = f->kind,
                            .seed = f->seed,
                            .releases = f->releases,
                            .n_releases = f->n_releases,
                            .members = f->members,
                            .views = f->views,
                            .n = f->n,
                            .now = f->now,
                            .boot = f->boot,
                            .booted = f->booted };

        memcpy(in.n_traits, f->n_traits, sizeof(in.n_traits));
        return in;
}

int fleet_plan(TestFleet *f, const char **reterr_canary) {
        RolloutInput in = fleet_input(f);

        return rollout_plan(&in, f->views, &f->progress, reterr_canary);
}

void fleet_step_at(TestFleet *f, usec_t now) {
        RolloutInput in;

        f->now = now;
        for (size_t i = 0; i < f->n; i++) /* as after writing */
                f->members[i].changed = false;
        in = fleet_input(f);
        assert_ok(rollout_step(&f->progress, &in, &f->outcome));
        for (size_t i = 0; i < f->n; i++)
                if (f->members[i].instruct) {
                        f->views[i].has_instruction = true;
                        f->views[i].phase = UPDATE_PHASE_OFFERED;
                        f->views[i].verdict = UPDATE_VERDICT_NONE;
                        f->views[i].instruction_version = f->members[i].instruct;
                }
}

static void end_one(TestFleet *f, size_t i, UpdatePhase phase, UpdateVerdict verdict) {
        f->views[i].phase = phase;
        f->views[i].verdict = verdict;
        f->views[i].finished = f->now;
        if (phase == UPDATE_PHASE_SUCCEEDED) {
                f->views[i].previous_version = f->views[i].version;
                f->views[i].version = f->views[i].instruction_version;
        }
}

void fleet_end(TestFleet *f, size_t i, UpdatePhase phase, UpdateVerdict verdict) {
        end_one(f, i, phase, verdict);
        fleet_step(f);
}

void fleet_resume(TestFleet *f) {
        RolloutInput in = fleet_input(f);

        assert_ok(rollout_resume(&f->progress, &in));
}

void fleet_succeed(TestFleet *f) {
        for (size_t i = 0; i < f->n; i++)
                if (f->members[i].state == MEMBER_STATE_IN_FLIGHT)
                        end_one(f, i, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE);
        fleet_step(f);
}

uint64_t fleet_count(const TestFleet *f, MemberState state) {
        uint64_t n = 0;

        for (size_t i = 0; i < f->n; i++)
                n += f->members[i].state == state;
        return n;
}

void fleet_expect(
                const TestFleet *f,
                RolloutState state,
                RolloutReason reason,
                uint64_t pending,
                uint64_t in_flight) {

        if (f->progress.state == state && f->progress.reason == reason &&
            fleet_count(f, PENDING) == pending && fleet_count(f, IN_FLIGHT) == in_flight)
                return;
        fprintf(stderr,
                "%s, %s, %" PRIu64 " pending, %" PRIu64 " in flight; expected %s, %s, %" PRIu64 ", %" PRIu64
                "\n",
                rollout_state_to_string(f->progress.state), rollout_reason_to_string(f->progress.reason),
                fleet_count(f, PENDING), fleet_count(f, IN_FLIGHT), rollout_state_to_string(state),
                rollout_reason_to_string(reason), pending, in_flight);
        abort();
}
size_t fleet_first(const TestFleet *f, MemberState state) {
        for (size_t i = 0; i < f->n; i++)
                if (f->members[i].state == state)
                        return i;
        abort();
}

void fleet_fail_one(TestFleet *f) {
        fleet_end(f, fleet_first(f, IN_FLIGHT), UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED);
}
