/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-fate.h"

#include "sim-draw.h"
#include "string-util.h"

/* What the real thing says when it ends in this phase: see updater-install.c and updater-trial.c. In the
 * first two phases the agent itself finds out, and says so. */
static const struct {
        UpdateVerdict verdict;
        const char *message;
} ends[_UPDATE_PHASE_MAX] = {
        [UPDATE_PHASE_DOWNLOADING] = { UPDATE_VERDICT_DOWNLOAD_FAILED, "" },
        [UPDATE_PHASE_VERIFYING] = { UPDATE_VERDICT_VERIFICATION_FAILED, "" },
        [UPDATE_PHASE_STAGING] = { UPDATE_VERDICT_SELF_TEST_FAILED,
                                   "The new binaries did not pass their self-test here (simulated)." },
        [UPDATE_PHASE_RESTARTING] = { UPDATE_VERDICT_CRASHED, "The new version kept exiting (simulated)." },
        [UPDATE_PHASE_CONFIRMING] = { UPDATE_VERDICT_WATCHDOG,
                                      "The new version hung and was killed by the watchdog (simulated)." },
};

static void fate_fail(SimFate *f, UpdatePhase phase) {
        f->end = SIM_END_FAILS;
        f->phase = phase;
        f->verdict = ends[phase].verdict;
        f->message = ends[phase].message;
}

/* The release is bad on this machine, and stays so: the attempt does not matter. */
static bool release_is_bad(const SimPlan *plan, const SimMachine *m, const char *version) {
        for (size_t i = 0; i < plan->n_faults; i++) {
                const SimReleaseFault *f = plan->faults + i;

                if (!streq(f->version, version) ||
                    (f->fact && !streq_ptr(sim_machine_fact(m, f->fact), f->value)))
                        continue;
                if (sim_draw_share(sim_draw(plan->seed, m->number, "release", version, i), f->share))
                        return true;
        }
        return false;
}

static void
fate_draw_end(SimFate *f, const SimPlan *plan, const SimMachine *m, const char *version, uint64_t attempt) {
        if (release_is_bad(plan, m, version)) {
                bool at_once = sim_draw(plan->seed, m->number, "release-phase", version, 0) & 1;
                fate_fail(f, at_once ? UPDATE_PHASE_RESTARTING : UPDATE_PHASE_CONFIRMING);
                f->release = true;
                return;
        }
        /* one draw for all of these, so that the shares are of all updates and exclude each other */
        uint32_t at = sim_draw_below(
                        sim_draw(plan->seed, m->number, "end", version, attempt), SIM_SHARE_ONE);
        if (at < plan->never_returns) {
                f->end = SIM_END_NEVER_RETURNS;
                return;
        }
        at -= plan->never_returns;
        for (UpdatePhase p = 0; p < _UPDATE_PHASE_MAX; p++) {
                if (at < plan->fails[p]) {
                        fate_fail(f, p);
                        return;
                }
                at -= plan->fails[p];
        }
}

SimFate sim_fate(const SimPlan *plan, const SimMachine *m, const char *version, uint64_t attempt) {
        SimFate f = { .end = SIM_END_SUCCEEDS, .phase = _UPDATE_PHASE_INVALID, .message = "" };

        fate_draw_end(&f, plan, m, version, attempt);
        for (UpdatePhase p = 0; p < _UPDATE_PHASE_MAX; p++) {
                uint64_t draw = sim_draw(plan->seed, m->number, update_phase_to_string(p), version, attempt);
                f.times[p] = sim_draw_span(draw, plan->times[p].low, plan->times[p].high);
                if (m->slow)
                        f.times[p] = f.times[p] * plan->slow_percent / 100;
        }
        return f;
}

void sim_fate_of_return(SimFate *f) {
        if (f->end == SIM_END_FAILS && f->phase < UPDATE_PHASE_RESTARTING)
                f->end = SIM_END_SUCCEEDS;
}

const char *sim_end_to_string(SimEnd e) {
        static const char *const names[_SIM_END_MAX] = {
                [SIM_END_SUCCEEDS] = "succeeds",
                [SIM_END_FAILS] = "fails",
                [SIM_END_NEVER_RETURNS] = "never-returns",
        };
        return e < _SIM_END_MAX ? names[e] : NULL;
}

void sim_absence(
                const SimPlan *plan,
                const SimMachine *m,
                uint64_t k,
                usec_t *ret_after,
                usec_t *ret_length) {
        *ret_after = sim_draw_span(
                        sim_draw(plan->seed, m->number, "absence-after", NULL, k), 0, plan->offline_max);
        *ret_length =
                        sim_draw_span(sim_draw(plan->seed, m->number, "absence-length", NULL, k),
                                      USEC_PER_SEC, plan->offline_max);
}

usec_t sim_flap(const SimPlan *plan, const SimMachine *m, uint64_t k) {
        usec_t period = plan->flapping_period;
        return sim_draw_span(
                        sim_draw(plan->seed, m->number, "flap", NULL, k), period / 2, period + period / 2);
}
