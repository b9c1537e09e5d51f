/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-world.h"

#include "alloc-util.h"
#include "string-util.h"

uint64_t world_draw(World *w, uint64_t n) {
        w->random ^= w->random << 13;
        w->random ^= w->random >> 7;
        w->random ^= w->random << 17;
        return n > 0 ? w->random % n : 0;
}

bool world_chance(World *w, unsigned percent) {
        return world_draw(w, 100) < percent;
}

void world_describe(const World *w) {
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

void world_make_spec(World *w) {
        RolloutSpec *s = &w->f.spec;

        s->canary.amount = (RolloutAmount){ .is_share = world_chance(w, 30),
                                            .value = (uint32_t) world_draw(w, 8) };
        if (s->canary.amount.is_share)
                s->canary.amount.value *= 500;
        s->canary.success = world_chance(w, 50) ? ROLLOUT_SHARE_ALL : (uint32_t) world_draw(w, 10001);
        s->canary.soak = world_chance(w, 50) ? world_draw(w, 30 * MINUTE) : 0;
        s->canary.approval = world_chance(w, 20);
        s->batch.amount = (RolloutAmount){ .is_share = world_chance(w, 30),
                                           .value = 1 + (uint32_t) world_draw(w, 30) };
        if (s->batch.amount.is_share)
                s->batch.amount.value *= 100;
        s->batch.n_ramp = world_chance(w, 30) ? world_draw(w, 4) : 0;
        for (size_t i = 0; i < s->batch.n_ramp; i++)
                s->batch.ramp[i] = 1 + (uint32_t) world_draw(w, 10);
        s->batch.period = world_chance(w, 70) ? world_draw(w, 30 * MINUTE) : 0;
        s->batch.success = world_chance(w, 50) ? (uint32_t) world_draw(w, 10001) : 0;
        s->batch.soak = world_chance(w, 20) ? world_draw(w, 10 * MINUTE) : 0;
        s->batch.approval = world_chance(w, 10);
        s->max_in_flight = 1 + (uint32_t) world_draw(w, 40);
        s->max_failures = (RolloutAmount){ .is_share = world_chance(w, 50),
                                           .value = (uint32_t) world_draw(w, 20) };
        if (s->max_failures.is_share)
                s->max_failures.value *= 250;
        s->attempts = 1 + (uint32_t) world_draw(w, 4);
        s->retry_pause = world_draw(w, 5 * MINUTE);
        s->offline = world_chance(w, 30) ? ROLLOUT_OFFLINE_SKIP : ROLLOUT_OFFLINE_WAIT;
        s->offline_wait = world_draw(w, 2 * USEC_PER_DAY);
        s->emergency = world_chance(w, 10);
        if (world_chance(w, 25)) {
                static const char *const zones[] = { "UTC", "Europe/Berlin", "America/St_Johns" };

                s->windows = new0(RolloutWindow, 2);
                s->n_windows = 1 + world_draw(w, 2);
                for (size_t i = 0; i < s->n_windows; i++) {
                        s->windows[i].days = (uint8_t) (1 + world_draw(w, 127));
                        s->windows[i].start = (unsigned) world_draw(w, 1440);
                        s->windows[i].length = ROLLOUT_WINDOW_LENGTH_MIN + world_draw(w, 12 * USEC_PER_HOUR);
                        assert_ok(timezone_load(zones[world_draw(w, 3)], &s->windows[i].zone));
                }
        }
}

void world_make_machines(World *w) {
        TestFleet *f = &w->f;
        unsigned away = world_chance(w, 50) ? 20 : 0;

        f->n_traits[ROLLOUT_TRAIT_OS] = 1 + world_draw(w, 3);
        f->n_traits[ROLLOUT_TRAIT_KERNEL] = 1 + world_draw(w, 12);
        w->flaky = world_chance(w, 40);
        for (size_t i = 0; i < f->n; i++) {
                f->members[i].traits[ROLLOUT_TRAIT_OS] =
                                (uint32_t) world_draw(w, f->n_traits[ROLLOUT_TRAIT_OS]);
                f->members[i].traits[ROLLOUT_TRAIT_KERNEL] =
                                (uint32_t) world_draw(w, f->n_traits[ROLLOUT_TRAIT_KERNEL]);
                f->views[i].online = !world_chance(w, away);
                if (world_chance(w, 5))
                        f->views[i].version = "1.1.0";
                if (world_chance(w, 3))
                        f->views[i].pinned = true, f->views[i].pinned_version = "1.0.0";
                if (world_chance(w, 3))
                        f->views[i].arch = "riscv64";
                if (world_chance(w, 3) && !f->views[i].online)
                        f->views[i].version = NULL;
                f->views[i].busy = world_chance(w, 6);
        }
        if (world_chance(w, 25)) { /* a stepping stone, or a chain of two */
                static char *archs[] = { (char *) "x86_64", NULL };
                bool two = world_chance(w, 40);

                f->releases[1].requires = two ? "1.0.7" : "1.0.5";
                f->releases[2] = (ReleaseInfo){ .version = "1.0.5", .archs = archs };
                f->releases[3] = (ReleaseInfo){ .version = "1.0.7", .archs = archs, .requires = "1.0.5" };
                f->n_releases = two ? 4 : 3;
        }
}

usec_t world_next_event(const World *w) {
        usec_t t = USEC_INFINITY;

        for (size_t i = 0; i < w->f.n; i++) {
                t = MIN(t, w->machines[i].flips);
                t = MIN(t, w->machines[i].ends);
                t = MIN(t, w->machines[i].frees);
                t = MIN(t, w->machines[i].given);
        }
        return t;
}

static void move_event(usec_t *t, int64_t by) {
        if (*t != USEC_INFINITY && *t != 0)
                *t += (usec_t) by;
}

/* Somebody sets the gateway's clock. What happens to machines does not care; when they were seen last was
 * written by the old one. Or its machine is restarted, and the clock is another afterwards: back, the
 * rollout's clock may only lose by that; ahead, nobody can tell it from time that passed. */
static void set_clock(World *w) {
        int64_t by = (int64_t) (2 * SEC) +
                     (int64_t) world_draw(w, world_chance(w, 50) ? 2 * USEC_PER_DAY : 20 * MINUTE);
        bool restart = world_chance(w, 30);

        if (world_chance(w, 50))
                by = -by;
        w->f.now += (usec_t) by;
        w->last_now += (usec_t) by;
        w->f.booted = restart ? w->f.now : w->f.booted + (usec_t) by;
        w->f.boot += restart;
        if (restart && by > 0) {
                w->leapt = true;
                if (w->f.progress.state != ROLLOUT_STATE_PAUSED)
                        w->unpaused += (usec_t) by;
        }
        for (size_t i = 0; i < w->f.n; i++) {
                move_event(&w->machines[i].flips, by);
                move_event(&w->machines[i].ends, by);
                move_event(&w->machines[i].frees, by);
                move_event(&w->machines[i].given, by);
        }
}

void world_begin_instruction(World *w, size_t i) {
        unsigned sum = 0, hit;
        Fate fate = 0;

        for (Fate k = 0; k < _FATE_MAX; k++)
                sum += w->weights[k];
        hit = (unsigned) world_draw(w, sum);
        while (hit >= w->weights[fate])
                hit -= w->weights[fate++];
        w->machines[i].fate = fate;
        w->machines[i].tried = true;
        w->settled[i] = false;
        w->machines[i].before = w->f.views[i].version;
        w->machines[i].ends = w->f.now + (fate >= FATE_SAYS_NOTHING ? LEASE : 1 + world_draw(w, 5 * MINUTE));
}

static void end_instruction(World *w, size_t i) {
        RolloutView *v = w->f.views + i;
        Machine *m = w->machines + i;

        m->ends = USEC_INFINITY;
        m->ended = w->elapsed;
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
        case FATE_GOES_ON:
                v->phase = UPDATE_PHASE_TIMED_OUT;
                m->was_late = true;
                m->fate = m->fate == FATE_GOES_ON ? FATE_REVIVES : FATE_SUCCEEDS;
                m->ends = w->f.now + 1 + world_draw(w, USEC_PER_HOUR);
                break;
        case FATE_ON_TRIAL:
                v->phase = UPDATE_PHASE_TIMED_OUT;
                v->version = v->instruction_version;
                m->was_late = true;
                m->fate = world_chance(w, 50) ? FATE_SUCCEEDS : FATE_TRIAL_FAILS;
                m->ends = w->f.now + 1 + world_draw(w, USEC_PER_HOUR);
                break;
        case FATE_TRIAL_FAILS:
                v->phase = UPDATE_PHASE_ROLLED_BACK;
                v->verdict = UPDATE_VERDICT_CRASHED;
                v->version = m->before;
                break;
        case FATE_REVIVES:
                v->phase = UPDATE_PHASE_DOWNLOADING;
                m->fate = world_chance(w, 50) ? FATE_SUCCEEDS :
                          world_chance(w, 50) ? FATE_ROLLS_BACK :
                                                FATE_SAYS_NOTHING;
                m->ends = w->f.now + 1 + world_draw(w, 5 * MINUTE);
                break;
        default:
                v->phase = UPDATE_PHASE_TIMED_OUT;
                m->was_late = true;
        }
}

void world_advance_machines(World *w) {
        for (size_t i = 0; i < w->f.n; i++) {
                Machine *m = w->machines + i;
                RolloutView *v = w->f.views + i;

                if (m->flips <= w->f.now) {
                        v->online = !v->online;
                        v->last_seen = w->f.now;
                        if (!v->version)
                                v->version = "1.0.0";
                        m->flips = w->flaky && world_chance(w, 60) ?
                                                   w->f.now + 1 + world_draw(w, 3 * USEC_PER_HOUR) :
                                                   USEC_INFINITY;
                }
                if (m->frees <= w->f.now) {
                        v->busy = false;
                        m->frees = USEC_INFINITY;
                }
                if (m->ends <= w->f.now)
                        end_instruction(w, i);
                if (m->given <= w->f.now) { /* with the version or without */
                        v->in_other_rollout = v->busy = false;
                        m->given = USEC_INFINITY;
                        if (world_chance(w, 30) && v->online)
                                v->version = w->f.members[i].goal;
                }
                if (v->online)
                        v->last_seen = w->f.now;
        }
        for (size_t i = 0; i < w->f.n; i++)
                if (w->f.members[i].canary && member_state_is_active(w->f.members[i].state))
                        w->canaries_ended = w->unpaused;
}

/* Another rollout takes an agent that is nobody's any more: then this one's instruction is not gone on with.
 */
static void other_rollout(World *w) {
        for (size_t i = 0; i < w->f.n; i++) {
                Machine *m = w->machines + i;
                RolloutView *v = w->f.views + i;

                if (!m->tried || member_state_is_active(w->f.members[i].state) || v->in_other_rollout ||
                    v->busy || !update_phase_is_terminal(v->phase) || !world_chance(w, 20))
                        continue;
                v->in_other_rollout = v->busy = true;
                m->given = w->f.now + 1 + world_draw(w, 3 * USEC_PER_HOUR);
                if (m->fate == FATE_REVIVES)
                        m->ends = USEC_INFINITY;
        }
}

/* A release other than the machines' own goes, as the last, or all that went come again. */
void world_change_releases(World *w) {
        TestFleet *f = &w->f;

        if (w->n_gone > 0) {
                f->n_releases += w->n_gone;
                w->n_gone = 0;
        } else if (f->n_releases > 1) {
                size_t i = 1 + world_draw(w, f->n_releases - 1);
                ReleaseInfo gone = f->releases[i];

                f->releases[i] = f->releases[--f->n_releases];
                f->releases[f->n_releases] = gone;
                w->n_gone = 1;
        }
}

static void newcomer(World *w) {
        TestFleet *f = &w->f;
        RolloutView *v = f->views + f->n;
        RolloutInput in;

        if (f->n == w->n_all || f->progress.state != ROLLOUT_STATE_RUNNING)
                return;
        v->online = world_chance(w, 70);
        v->version = v->online || world_chance(w, 50) ? "1.0.0" : NULL;
        v->in_other_rollout = world_chance(w, 20);
        v->last_seen = f->now;
        if (!rollout_may_join(&f->spec, v))
                return;
        w->machines[f->n] = (Machine){ .flips = v->online ? USEC_INFINITY :
                                                            f->now + 1 + world_draw(w, USEC_PER_DAY),
                                       .ends = USEC_INFINITY,
                                       .frees = USEC_INFINITY,
                                       .given = USEC_INFINITY };
        f->n++;
        in = fleet_input(f);
        assert_ok(rollout_plan_more(&in, f->n - 1));
        check(w, !IN_SET(f->members[f->n - 1].reason, MEMBER_REASON_OFFLINE, MEMBER_REASON_OTHER_ROLLOUT));
}

/* In one of three runs each: what else goes on in the world. */
void world_goes_on(World *w, const bool kinds[static 4]) {
        if (kinds[0] && world_chance(w, 5))
                set_clock(w);
        if (kinds[1])
                other_rollout(w);
        if (kinds[2] && world_chance(w, 5))
                newcomer(w);
        if (kinds[3] && world_chance(w, 2))
                world_change_releases(w);
}

/* Of those who are there now, as a plan is settled. */
void world_settle_amounts(World *w) {
        RolloutSpec *s = &w->f.spec;
        uint64_t cohort = w->f.n - fleet_count(&w->f, MEMBER_STATE_EXCLUDED);

        s->canary.amount = (RolloutAmount){ .value = (uint32_t) rollout_canaries(s, cohort) };
        s->batch.amount = (RolloutAmount){ .value = (uint32_t) rollout_batch_size(s, UINT32_MAX, cohort) };
}
