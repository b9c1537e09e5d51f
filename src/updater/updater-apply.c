/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-apply.h"

#include "alloc-util.h"
#include "bus-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "updater-mend.h"
#include "updater-transaction.h"
#include "updater-transient.h"
#include "updater-watch.h"

#define LOCK_PATIENCE (10 * USEC_PER_SEC)
#define LAUNCH_PATIENCE (10 * USEC_PER_SEC)
#define UPDATER_STOP_PATIENCE (30 * USEC_PER_SEC)         /* it may be in the middle of a call */
#define UPDATER_ANSWER_PATIENCE (10 * USEC_PER_SEC)

typedef struct Apply {
        Updater *updater;
        Transaction *transaction;
        sd_event *event;
        sd_bus *bus;
        Watch *watch;
        sd_event_source *look_source;
        sd_bus_slot *probe_slot, *job_slot;
        char *probe_job;
        Trial trial;
        Observation seen;
        bool decided;
        TrialStep verdict;
} Apply;

static void apply_done(Apply *a) {
        transaction_free(a->transaction);
        watch_free(a->watch);
        sd_event_source_disable_unref(a->look_source);
        sd_bus_slot_unref(a->probe_slot);
        sd_bus_slot_unref(a->job_slot);
        sd_bus_flush_close_unref(a->bus);
        sd_event_unref(a->event);
        free(a->probe_job);
}

int backstop_arm(Updater *u, usec_t deadline_usec) {
        TimerUnit t = {
                .description = "Takes over when the trial of a new version of the fleet agent hangs",
                .after_usec = usec_add(
                                usec_sub(deadline_usec, now(CLOCK_BOOTTIME)), updater_conf_backstop(&u->conf)),
        };

        int r = units_stop(u->units, FLEET_BACKSTOP_TIMER, LAUNCH_PATIENCE);
        if (r < 0)
                log_debug_errno(r, "Failed to stop " FLEET_BACKSTOP_TIMER ", going on: %m");
        r = units_start_transient(u->units, FLEET_BACKSTOP_TIMER, fill_timer_unit, &t, LAUNCH_PATIENCE);
        return r < 0 ? log_error_errno(r, "Failed to start " FLEET_BACKSTOP_TIMER ": %m") : 0;
}

int apply_launch(Updater *u, usec_t deadline_usec) {
        usec_t rest = usec_sub(deadline_usec, now(CLOCK_BOOTTIME));
        ApplyUnit a = {
                .bin_path = u->root->bin_path,
                .state_path = u->root->state_path,
                /* an extension, and the backstop comes first in any case */
                .runtime_max_usec = rest + u->conf.confirm_timeout_usec + 2 * updater_conf_backstop(&u->conf),
        };

        if (!u->units)
                return log_error_errno(-ENOTCONN, "Cannot reach PID 1.");
        int r = backstop_arm(u, deadline_usec);
        if (r < 0)
                return r;
        r = units_start_transient(u->units, FLEET_UPDATE_UNIT, fill_apply_unit, &a, 0);
        return r < 0 ? log_error_errno(r, "Failed to start " FLEET_UPDATE_UNIT ": %m") : 0;
}

static void apply_decide(Apply *a, TrialStep step) {
        if (a->decided)
                return;
        a->decided = true;
        a->verdict = step;
        (void) sd_event_exit(a->event, 0);
}

static void apply_judge(Apply *a);

static int on_probe_job(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        const char *path, *unit, *result;
        Apply *a = userdata;
        uint32_t id;

        int r = sd_bus_message_read(m, "uoss", &id, &path, &unit, &result);
        if (r < 0 || !streq_ptr(path, a->probe_job) || a->trial.probe != TRIAL_PROBE_RUNNING)
                return 0;
        a->trial.probe = streq(result, "done") ? TRIAL_PROBE_REACHED : TRIAL_PROBE_UNREACHED;
        log_info("The previous version %s the gateway.",
                 a->trial.probe == TRIAL_PROBE_REACHED ? "can reach" : "cannot reach");
        apply_judge(a);
        return 0;
}

static int on_probe_started(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        Apply *a = userdata;
        const char *path;

        const sd_bus_error *e = sd_bus_message_get_error(m);
        int r = e ? -EIO : sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = free_and_strdup(&a->probe_job, path);
        if (r < 0 && a->trial.probe == TRIAL_PROBE_RUNNING) {
                log_warning("Failed to ask the previous version for the gateway: %s", bus_error_text(e, r));
                a->trial.probe = TRIAL_PROBE_FAILED;
        }
        return 0;
}

static void apply_probe(Apply *a) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        ProbeUnit p = { .bin_path = a->updater->root->bin_path, .timeout_usec = trial_probe_time(&a->trial) };

        log_info("Not connected yet; asking the previous version whether it reaches the gateway.");
        a->probe_slot = sd_bus_slot_unref(a->probe_slot);
        (void) units_reset_failed(a->updater->units, FLEET_PROBE_UNIT); /* of an earlier trial */
        int r = unit_transient_message(a->bus, &m, FLEET_PROBE_UNIT, fill_probe_unit, &p);
        if (r >= 0)
                r = sd_bus_call_async(a->bus, &a->probe_slot, m, on_probe_started, a, 0);
        if (r < 0) {
                log_warning_errno(r, "Failed to ask the previous version for the gateway: %m");
                a->trial.probe = TRIAL_PROBE_FAILED;
        }
}

static void apply_extend(Apply *a) {
        char text[TIMESPAN_MAX];

        log_notice("The gateway is draining or overloaded and said so; allowing %s more.",
                   timespan_format(a->trial.timeout_usec, text));
        a->transaction->extended = true;
        a->transaction->deadline_usec = a->trial.deadline_usec;
        int r = transaction_save(a->updater->root, a->transaction);
        if (r < 0)
                log_warning_errno(r, "Failed to write down the new deadline, going on: %m");
        (void) backstop_arm(a->updater, a->trial.deadline_usec);
}

static int on_look_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Apply *a = userdata;

        watch_look(a->watch);
        apply_judge(a); /* the deadline does not wait for an answer */
        return 0;
}

static void apply_confirming(Apply *a) {
        if (!trial_is_soaking(&a->trial) || a->transaction->phase != UPDATE_PHASE_RESTARTING)
                return;
        a->transaction->phase = UPDATE_PHASE_CONFIRMING;
        int r = transaction_save(a->updater->root, a->transaction);
        if (r < 0)
                log_warning_errno(r, "Failed to write down the phase of the transaction, going on: %m");
}

static void apply_judge(Apply *a) {
        if (a->decided)
                return;
        usec_t now_usec = now(CLOCK_BOOTTIME);
        TrialStep s = trial_step(&a->trial, &a->seen, now_usec);

        apply_confirming(a);
        switch (s.action) {
        case TRIAL_COMMIT:
        case TRIAL_GO_BACK:
                apply_decide(a, s);
                return;
        case TRIAL_PROBE:
                apply_probe(a);
                break;
        case TRIAL_EXTEND:
                apply_extend(a);
                break;
        case TRIAL_WAIT:
                break;
        }
        usec_t after = s.action == TRIAL_WAIT ? usec_sub(s.next_usec, now_usec) : 10 * USEC_PER_MSEC;
        int r = event_timer_arm(a->event, &a->look_source, after, on_look_time, a, "trial-look");
        if (r < 0) {
                log_error_errno(r, "Failed to wait: %m");
                apply_decide(a, (TrialStep) {
                        .action = TRIAL_GO_BACK, .verdict = UPDATE_VERDICT_INTERNAL, .message = "The updater cannot wait." });
        }
}

static void on_observation(Watch *w, const Observation *o, void *userdata) {
        Apply *a = userdata;

        a->seen = *o;
        apply_judge(a);
}

static int on_bus_lost(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        apply_decide(userdata, (TrialStep) {
                .action = TRIAL_GO_BACK, .verdict = UPDATE_VERDICT_INTERNAL,
                .message = "The system bus went away while the new version was on trial." });
        return 0;
}

static int apply_open(Apply *a) {
        int r;

        r = event_setup_daemon(&a->event);
        if (r < 0)
                return r;
        r = sd_bus_open_system(&a->bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(a->bus, a->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        a->trial.old_pid = watch_main_pid(a->bus);

        r = sd_bus_match_signal(
                        a->bus, NULL, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                        "Disconnected", on_bus_lost, a);
        if (r < 0)
                return r;
        r = sd_bus_match_signal(
                        a->bus, &a->job_slot, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                        "org.freedesktop.systemd1.Manager", "JobRemoved", on_probe_job, a);
        if (r < 0)
                return r;
        return watch_new(&a->watch, a->bus, a->transaction->to, on_observation, a);
}

/* The old one is in the way of the new one, which is not to blame for that. *ret_patience: how long the new one may take
 * to answer. */
static int stop_old_updater(Apply *a, usec_t *ret_patience) {
        int r = units_stop(a->updater->units, FLEET_UPDATER_UNIT, UPDATER_STOP_PATIENCE);
        /* -EPROTO: somebody's call has put a start job in its place, which begins when the old one has stopped */
        *ret_patience = r == -EPROTO ? UPDATER_STOP_PATIENCE : UPDATER_ANSWER_PATIENCE;
        if (r < 0 && r != -EPROTO)
                return log_error_errno(r, "Failed to stop " FLEET_UPDATER_UNIT ": %m");
        (void) units_reset_failed(a->updater->units, FLEET_UPDATER_UNIT);
        return 0;
}

/* The new updater has to answer a real activation before it becomes the one that mends things. */
static bool new_updater_answers(Apply *a, usec_t patience) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *get = NULL, *reply = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL; /* the loop's is closed when the loop has ended */
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *version;

        int r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                        bus, &get, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                        "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(get, "ss", FLEET_UPDATER_BUS_INTERFACE, "Version");
        if (r >= 0)
                r = sd_bus_call(bus, get, patience, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "v", "s", &version);
        if (r < 0) {
                log_warning("The new updater does not answer on the bus: %s", bus_error_text(&error, r));
                return false;
        }
        if (!streq(version, a->transaction->to)) {
                log_warning("The updater that answers on the bus is version %s instead of %s.", version, a->transaction->to);
                return false;
        }
        return true;
}

static int apply_back(Apply *a, UpdateVerdict verdict, const char *message) {
        Transaction *t = a->transaction;
        return transaction_go_back(a->updater, t, t->to, t->from, verdict, message, /* restart_agent= */ true);
}

static int apply_trial(Apply *a) {
        usec_t patience = UPDATER_ANSWER_PATIENCE;
        Updater *u = a->updater;
        int r;

        r = units_reset_failed(u->units, FLEET_AGENT_UNIT); /* so that the trial has the whole start limit */
        if (r < 0)
                log_warning_errno(r, "Failed to reset the failed state of " FLEET_AGENT_UNIT ", going on: %m");
        r = units_restart(u->units, FLEET_AGENT_UNIT, 0);
        if (r < 0) {
                log_error_errno(r, "Failed to restart " FLEET_AGENT_UNIT ": %m");
                return apply_back(a, UPDATE_VERDICT_INTERNAL, "PID 1 did not restart the agent.");
        }

        watch_look(a->watch);
        apply_judge(a); /* the deadline runs whether or not there is something to see */
        r = sd_event_loop(a->event);
        if (r < 0)
                return apply_back(a, UPDATE_VERDICT_INTERNAL, "The updater's event loop failed.");
        if (!a->decided) {
                log_warning("Told to stop while version %s is on trial.", a->transaction->to);
                return -EINTR; /* settle goes back */
        }

        if (a->verdict.action == TRIAL_GO_BACK)
                return apply_back(a, a->verdict.verdict, a->verdict.message);
        r = stop_old_updater(a, &patience);
        if (r < 0)
                return apply_back(a, UPDATE_VERDICT_INTERNAL, "The old updater could not be stopped.");
        if (!new_updater_answers(a, patience))
                return apply_back(a, UPDATE_VERDICT_UPDATER_FAILED, "The new updater does not answer on the bus as it should.");
        return transaction_commit(u, a->transaction);
}

int updater_apply(Updater *u) {
        _cleanup_(apply_done) Apply a = { .updater = u };
        _cleanup_links_ Links links = {};
        _cleanup_close_ int lock = -EBADF;
        char boot_id[TRANSACTION_ID_MAX];
        Situation s;
        int r;

        r = updater_root_lock(u->root, LOCK_PATIENCE, &lock);
        if (r < 0)
                return log_error_errno(r, "Cannot take the updater's lock: %m");
        r = updater_look(u, UPDATER_APPLY, &links, &a.transaction, boot_id, &s);
        if (r < 0)
                return r;
        Decision d = updater_decide(&s);
        if (d.action == ACTION_NOTHING)
                return log_info("There is no transaction to apply."), 0;
        if (d.action != ACTION_APPLY)
                return updater_mend(u, UPDATER_SETTLE);
        if (!u->units)
                return log_error_errno(-ENOTCONN, "Cannot reach PID 1.");

        Transaction *t = a.transaction;
        a.trial = (Trial) {
                .timeout_usec = u->conf.confirm_timeout_usec,
                .soak_usec = u->conf.soak_usec,
                .deadline_usec = t->deadline_usec,
                .need_connection = t->need_connection,
        };
        r = apply_open(&a);
        if (r < 0) {
                log_error_errno(r, "Cannot watch a trial: %m");
                return transaction_close_failed(u, t, UPDATE_VERDICT_INTERNAL, "The trial could not be watched over the system bus.");
        }
        r = transaction_swap(u, t);
        if (r < 0) {
                (void) transaction_set_verdict(
                                t, errno_is_disk_space(r) ? UPDATE_VERDICT_DISK_FULL : UPDATE_VERDICT_INTERNAL,
                                "The link to the new version could not be made.");
                (void) transaction_save(u->root, t);
                return updater_mend(u, UPDATER_SETTLE);
        }
        return apply_trial(&a);
}
