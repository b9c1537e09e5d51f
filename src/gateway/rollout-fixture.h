/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For tests: a fleet in memory, whose machines do what the test says, and a rollout over it. */

#include "rollout.h"
#include "tests.h"

#define SEC USEC_PER_SEC
#define MINUTE USEC_PER_MINUTE
/* 2026-11-25 10:00 UTC, a Wednesday */
#define MORNING (UINT64_C(1795600800) * USEC_PER_SEC)

typedef struct TestFleet {
        RolloutSpec spec;
        RolloutKind kind;
        ReleaseInfo releases[8];
        size_t n_releases;
        size_t n, n_traits[_ROLLOUT_TRAIT_MAX];
        char (*ids)[24];
        RolloutMember *members;
        RolloutView *views;
        RolloutProgress progress;
        RolloutOutcome outcome;
        usec_t now, booted;
        uint64_t seed, boot;
} TestFleet;

/* So many machines that run 1.0.0 and are online, of four kernels; their goal is 1.1.0. The spec: one batch
 * of all, no canaries, no waits, to be changed before fleet_plan(). */
void fleet_init(TestFleet *f, size_t n);
void fleet_clear(TestFleet *f);
#define _cleanup_fleet_ _cleanup_(fleet_clear)

int fleet_plan(TestFleet *f, const char **reterr_canary);
/* Steps at this time; instructions of those who are admitted begin. */
void fleet_step_at(TestFleet *f, usec_t now);
static inline void fleet_step(TestFleet *f) {
        fleet_step_at(f, f->now);
}
/* The instruction of this member ends like this (and is stepped over). */
void fleet_end(TestFleet *f, size_t i, UpdatePhase phase, UpdateVerdict verdict);
/* A person resumes it; not stepped over. */
void fleet_resume(TestFleet *f);
/* All that are in flight succeed. */
void fleet_succeed(TestFleet *f);
uint64_t fleet_count(const TestFleet *f, MemberState state);
RolloutInput fleet_input(TestFleet *f);

#define PENDING MEMBER_STATE_PENDING
#define IN_FLIGHT MEMBER_STATE_IN_FLIGHT
#define SUCCEEDED MEMBER_STATE_SUCCEEDED

/* Aborts, with what it is instead. */
void fleet_expect(
                const TestFleet *f,
                RolloutState state,
                RolloutReason reason,
                uint64_t pending,
                uint64_t in_flight);
#define expect_running(f, reason, pending, in_flight)                                                       \
        fleet_expect((f), ROLLOUT_STATE_RUNNING, ROLLOUT_REASON_##reason, (pending), (in_flight))
#define expect_paused(f, reason, pending, in_flight)                                                        \
        fleet_expect((f), ROLLOUT_STATE_PAUSED, ROLLOUT_REASON_##reason, (pending), (in_flight))
#define expect_completed(f) fleet_expect((f), ROLLOUT_STATE_COMPLETED, ROLLOUT_REASON_DONE, 0, 0)

/* The first member in that state; aborts if there is none. */
size_t fleet_first(const TestFleet *f, MemberState state);
void fleet_fail_one(TestFleet *f);
