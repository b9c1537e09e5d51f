/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For test-rollout-property.c: a random world around a TestFleet. Machines that come, go and end their
 * updates one way or the other, early or late; another rollout; releases that go; clocks that are set;
 * agents that come later. Everything follows from the seed. */

#include "rollout-fixture.h"
#include "rollout-internal.h"

#define LEASE (15 * MINUTE)
#define MEMBERS_MAX 120U
#define NEWCOMERS_MAX 10U
#define ADMISSIONS_MAX 4096U

typedef enum Fate {
        FATE_SUCCEEDS,
        FATE_ROLLS_BACK,
        FATE_FAILS_FOR_NOW, /* for a reason that may pass */
        FATE_SAYS_NOTHING,  /* the lease ends */
        FATE_SAYS_IT_LATE,  /* the lease ends, and then it had succeeded */
        FATE_GOES_ON,       /* the lease ends, and then it goes on and ends one way or the other */
        FATE_ON_TRIAL,      /* the lease ends while it runs the version, which it keeps or not */
        _FATE_MAX,
        FATE_TRIAL_FAILS = _FATE_MAX,
        FATE_REVIVES,
} Fate;

typedef struct Machine {
        usec_t flips;       /* goes away or comes back; USEC_INFINITY: stays */
        usec_t ends;        /* of its instruction; USEC_INFINITY: none */
        usec_t frees;       /* the update that did not come from here ends; USEC_INFINITY: there is none */
        usec_t given;       /* the other rollout is done with it; USEC_INFINITY: does not have it */
        usec_t ended;       /* when its lease or its update ended last, by our own count */
        const char *before; /* what it goes back to */
        Fate fate;
        bool was_at_it; /* before the step */
        bool was_late;  /* a lease has ended */
        bool tried;
} Machine;

typedef struct Admission {
        uint32_t member, batch;
        usec_t clock; /* the rollout's, by our own counting */
} Admission;

typedef struct World {
        TestFleet f;
        uint64_t random, seed;
        Machine machines[MEMBERS_MAX + NEWCOMERS_MAX];
        Admission admissions[ADMISSIONS_MAX];
        size_t n_admissions;
        unsigned weights[_FATE_MAX];
        bool flaky; /* machines come and go */
        unsigned steps, approvals, batches_begun, waivers;
        usec_t unpaused, last_now; /* our own count of the rollout's clock */
        usec_t elapsed;            /* and of what passed, whatever the wall clock was set to */
        bool leapt;    /* the wall clock went ahead in a restart: time that did not pass counts */
        size_t n_all;  /* those who come later behind the others */
        size_t n_gone; /* releases that are in the registry no more, behind the others */
        MemberState was[MEMBERS_MAX + NEWCOMERS_MAX];
        usec_t canaries_ended;                     /* on it */
        bool settled[MEMBERS_MAX + NEWCOMERS_MAX]; /* had ended when a person let it go on */
        bool retried;
} World;

#define check(w, expr)                                                                                      \
        do {                                                                                                \
                if (!(expr)) {                                                                              \
                        fprintf(stderr, "seed %" PRIu64 ", step %u: '%s' does not hold\n", (w)->seed,       \
                                (w)->steps, #expr);                                                         \
                        world_describe(w);                                                                  \
                        abort();                                                                            \
                }                                                                                           \
        } while (false)

uint64_t world_draw(World *w, uint64_t n);
bool world_chance(World *w, unsigned percent);
void world_describe(const World *w);

void world_make_spec(World *w);
void world_make_machines(World *w);
/* Of those who are there now, as a plan is settled. */
void world_settle_amounts(World *w);

/* When the next thing happens by itself; USEC_INFINITY: nothing will. */
usec_t world_next_event(const World *w);
void world_begin_instruction(World *w, size_t i);
/* What is due by now happens. */
void world_advance_machines(World *w);
/* What else may happen, by kind: the clock is set; another rollout takes agents; somebody comes; a release
 * goes. */
void world_goes_on(World *w, const bool kinds[static 4]);
void world_change_releases(World *w);
