/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-trial.h"

#define DEATHS_MAX 3U                                      /* a single crash may be bad luck */
#define SLEPT (10 * USEC_PER_SEC)                          /* looks are a second apart */
#define PROBE_TIME_MAX (15 * USEC_PER_SEC)

bool trial_is_soaking(const Trial *t) {
        return t->soak_since_usec > 0;
}

usec_t trial_probe_time(const Trial *t) {
        return MIN(PROBE_TIME_MAX, t->timeout_usec / 4);
}

static TrialStep go_back(UpdateVerdict verdict, const char *message) {
        return (TrialStep) { .action = TRIAL_GO_BACK, .verdict = verdict, .message = message };
}

/* How often the new version has died, by whichever of two counts is higher: PID 1's counter begins anew with a
 * restart by hand, and a process that lives shorter than an observation takes is never seen. */
static void count_deaths(Trial *t, const Observation *o) {
        if (o->unit == TRIAL_UNIT_UNKNOWN)
                return;
        if (!t->based) {
                t->base_restarts = o->n_restarts;
                t->based = true;
        }
        uint32_t restarts = o->n_restarts >= t->base_restarts ? o->n_restarts - t->base_restarts : o->n_restarts;

        t->n_deaths = MAX(t->n_deaths, restarts);
        if (o->main_pid > 0 && o->main_pid != t->old_pid)
                t->last_pid = o->main_pid;
}

static bool is_healthy(const Trial *t, const Observation *o) {
        if (o->unit != TRIAL_UNIT_ACTIVE || o->main_pid == 0 || o->main_pid == t->old_pid)
                return false;
        if (t->need_connection)
                return o->owner_pid == o->main_pid && o->version_is_target && o->connected;
        /* a machine without a gateway: it has to run, and to be what it says */
        return o->owner_pid == 0 || (o->owner_pid == o->main_pid && o->version_is_target);
}

static void follow_soak(Trial *t, const Observation *o, usec_t now_usec) {
        if (trial_is_soaking(t))
                t->soaked_usec = now_usec;
        if (!is_healthy(t, o)) {
                t->soak_since_usec = 0;
                return;
        }
        if (trial_is_soaking(t) && t->soak_pid == o->main_pid && t->soak_restarts == o->n_restarts &&
            t->soak_sessions == o->sessions)
                return;

        /* also after a crash or a reconnect: from the beginning */
        t->soak_since_usec = now_usec;
        t->soak_pid = o->main_pid;
        t->soak_restarts = o->n_restarts;
        t->soak_sessions = o->sessions;
}

static TrialStep deadline_passed(const Trial *t, const Observation *o, bool slept) {
        if (slept)
                return go_back(
                                UPDATE_VERDICT_INTERRUPTED, "The deadline passed while nobody could watch the new version.");
        if (o->unit == TRIAL_UNIT_UNKNOWN)
                return go_back(UPDATE_VERDICT_INTERRUPTED, "PID 1 did not tell how the new version fares.");
        if (o->unit == TRIAL_UNIT_INACTIVE)
                return go_back(UPDATE_VERDICT_INTERRUPTED, "The agent was stopped while the new version was on trial.");
        if (o->unit != TRIAL_UNIT_ACTIVE)
                return go_back(UPDATE_VERDICT_CRASHED, "The new version was not ready before the deadline.");
        /* connected now, or until so shortly ago that the old version was not asked: as likely the gateway's doing */
        if (is_healthy(t, o) || (t->need_connection && t->probe == TRIAL_PROBE_NONE && t->soaked_usec > 0))
                return go_back(
                                UPDATE_VERDICT_INTERRUPTED,
                                "The connection was made and lost again, so that the soak did not end before the deadline.");
        if (t->probe == TRIAL_PROBE_UNREACHED || t->probe == TRIAL_PROBE_RUNNING)
                return go_back(
                                UPDATE_VERDICT_GATEWAY_UNREACHABLE,
                                "The gateway could not be reached before the deadline, by the old version either.");
        if (o->owner_pid == 0)
                return go_back(UPDATE_VERDICT_NOT_CONNECTED, "The new version did not answer on the bus before the deadline.");
        if (o->owner_pid != o->main_pid)
                return go_back(
                                UPDATE_VERDICT_NOT_CONNECTED,
                                "The agent's bus name belongs to another process than the new version.");
        if (!o->version_is_target)
                return go_back(UPDATE_VERDICT_NOT_CONNECTED, "What runs says that it is another version.");
        if (t->probe == TRIAL_PROBE_FAILED)
                return go_back(
                                UPDATE_VERDICT_NOT_CONNECTED,
                                "The new version did not stay connected before the deadline; the old one could not be asked to try.");
        return go_back(
                        UPDATE_VERDICT_NOT_CONNECTED,
                        "The new version did not get and keep a connection before the deadline; the old one could.");
}

static usec_t next_look(const Trial *t, usec_t now_usec) {
        usec_t next = usec_add(now_usec, USEC_PER_SEC); /* signals come earlier; this is for those that do not */

        if (trial_is_soaking(t))
                next = MIN(next, usec_add(t->soak_since_usec, t->soak_usec));
        if (t->deadline_usec > now_usec)
                next = MIN(next, t->deadline_usec);
        return next;
}

TrialStep trial_step(Trial *t, const Observation *o, usec_t now_usec) {
        /* nobody looked for so long: the machine slept, or this process was stopped */
        bool slept = t->last_step_usec > 0 && usec_sub(now_usec, t->last_step_usec) > SLEPT;

        t->last_step_usec = now_usec;
        count_deaths(t, o);
        follow_soak(t, o, now_usec);

        bool died = o->unit == TRIAL_UNIT_FAILED || o->unit == TRIAL_UNIT_DIED;
        if (died && o->watchdog)
                return go_back(UPDATE_VERDICT_WATCHDOG, "The new version hung and was killed by the watchdog.");
        if (died && o->exec_failed)
                return go_back(UPDATE_VERDICT_CRASHED, "The new version cannot be executed on this machine.");
        if (o->unit == TRIAL_UNIT_FAILED || t->n_deaths >= DEATHS_MAX)
                return go_back(UPDATE_VERDICT_CRASHED, "The new version kept exiting.");

        if (trial_is_soaking(t)) {
                if (now_usec >= usec_add(t->soak_since_usec, t->soak_usec))
                        return (TrialStep) { .action = TRIAL_COMMIT };
                /* one soak that began in time may go on beyond the deadline, another one may not begin */
                if (now_usec < t->deadline_usec || t->soak_since_usec < t->deadline_usec)
                        return (TrialStep) { .action = TRIAL_WAIT, .next_usec = next_look(t, now_usec) };
        }

        if (o->drain_seen && o->owner_pid > 0 && o->owner_pid == o->main_pid && !t->extended) {
                t->extended = true;
                t->deadline_usec = usec_add(t->deadline_usec, t->timeout_usec);
                t->probe = TRIAL_PROBE_NONE;
                return (TrialStep) { .action = TRIAL_EXTEND };
        }
        if (now_usec >= t->deadline_usec)
                return deadline_passed(t, o, slept);
        if (t->need_connection && t->probe == TRIAL_PROBE_NONE && !trial_is_soaking(t) &&
            now_usec >= usec_sub(t->deadline_usec, trial_probe_time(t))) {
                t->probe = TRIAL_PROBE_RUNNING;
                return (TrialStep) { .action = TRIAL_PROBE };
        }

        usec_t next = next_look(t, now_usec);
        usec_t probe_at = usec_sub(t->deadline_usec, trial_probe_time(t));
        if (probe_at > now_usec)
                next = MIN(next, probe_at);
        return (TrialStep) { .action = TRIAL_WAIT, .next_usec = next };
}
