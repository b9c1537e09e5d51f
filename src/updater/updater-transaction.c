/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-transaction.h"

#include "fs-util.h"
#include "log.h"
#include "messages.h"
#include "names.h"
#include "string-util.h"
#include "updater-agent.h"
#include "updater-denylist.h"
#include "updater-links.h"
#include "updater-mark.h"
#include "updater-policy.h"

#define CALL_PATIENCE (10 * USEC_PER_SEC)

static void stop_backstop(Updater *u) {
        int r = u->units ? units_stop(u->units, FLEET_BACKSTOP_TIMER, CALL_PATIENCE) : 0;
        if (r < 0)
                log_debug_errno(r, "Failed to stop " FLEET_BACKSTOP_TIMER ", ignoring: %m");
}

static void record_phase(Updater *u, Transaction *t, UpdatePhase phase) {
        t->phase = phase;
        int r = transaction_save(u->root, t);
        if (r < 0)
                log_warning_errno(r, "Failed to write down the phase of the transaction, going on: %m");
}

int transaction_swap(Updater *u, Transaction *t) {
        int r;

        /* Intent first. Afterwards the links tell whether it happened. */
        t->phase = UPDATE_PHASE_RESTARTING;
        t->attempts++;
        r = transaction_save(u->root, t);
        if (r < 0)
                return log_error_errno(r, "Failed to write the transaction's record: %m");
        r = link_prepare_back(u->root->bin_fd, t->from);
        if (r < 0)
                return log_error_errno(r, "Failed to prepare the way back: %m");
        r = link_prepare_commit(u->root->bin_fd, t->to);
        if (r < 0)
                return log_error_errno(r, "Failed to prepare the commit: %m");
        r = link_set(u->root->bin_fd, FLEET_LINK_CURRENT, t->to);
        if (r < 0)
                return log_error_errno(r, "Failed to switch %s/current: %m", u->root->bin_path);

        log_event(LOG_NOTICE, FLEET_MESSAGE_SWAPPED_STR,
                  "MESSAGE=Switched from version %s to %s, which is now on trial.", t->from, t->to,
                  "FLEET_VERSION=%s", t->to, "FLEET_TRANSACTION=%s", t->id, NULL);
        return 0;
}

static int remember_strike(Updater *u, const Transaction *t) {
        _cleanup_(denylist_freep) Denylist *d = NULL;

        if (!t->digest[0] || t->kind == TRANSACTION_ROLLBACK || !update_verdict_blames_release(t->verdict))
                return 0;
        int r = denylist_load(u->root, &d);
        if (r < 0)
                return r;
        r = denylist_strike(d, t->digest, t->id, now(CLOCK_REALTIME));
        if (r <= 0)
                return r;
        return denylist_save(u->root, d);
}

static int remove_version(Updater *u, const char *version) {
        _cleanup_free_ char *directory = version_directory(version);
        return directory ? tree_remove_at(u->root->bin_fd, directory) : -ENOMEM;
}

static void clean_up(Updater *u) {
        int r = leftovers_remove(u->root->bin_fd);
        if (r >= 0 && u->root->state_fd >= 0)
                r = leftovers_remove(u->root->state_fd);
        if (r < 0)
                log_warning_errno(r, "Failed to remove temporary files, going on: %m");
}

/* What was put in place and never tried, unless something else may still need it. */
static void remove_untried(Updater *u, const Transaction *t) {
        _cleanup_free_ char *previous = NULL;
        _cleanup_links_ Links l = {};

        if (!t->staged || t->kind == TRANSACTION_ROLLBACK || links_read(u->root->bin_fd, &l) < 0 ||
            previous_load(u->root, &previous) < 0 || streq_ptr(t->to, l.current) || streq_ptr(t->to, l.good) ||
            streq_ptr(t->to, previous))
                return;
        int r = remove_version(u, t->to);
        if (r < 0)
                log_warning_errno(r, "Failed to remove version %s, going on: %m", t->to);
}

/* The result, then the record: whoever finds the record still there says the same again. */
static int close_record(Updater *u, Transaction *t, UpdatePhase phase) {
        clean_up(u);
        int r = result_save(u->root, t, phase);
        if (r < 0)
                return log_error_errno(r, "Failed to write the transaction's result: %m");
        r = transaction_remove(u->root);
        if (r < 0)
                return log_error_errno(r, "Failed to close the transaction: %m");
        return 0;
}

int transaction_finish_rollback(Updater *u, Transaction *t, UpdateVerdict verdict, const char *message) {
        int r;

        if (t->verdict == UPDATE_VERDICT_NONE) {
                r = transaction_set_verdict(t, verdict, message);
                if (r < 0)
                        return r;
        }

        /* first, since it makes room: what was on trial here is of no use any more */
        links_forget_prepared(u->root->bin_fd);
        if (t->kind != TRANSACTION_ROLLBACK) {
                r = remove_version(u, t->to);
                if (r < 0)
                        log_warning_errno(r, "Failed to remove version %s, going on: %m", t->to);
        }

        r = remember_strike(u, t);
        if (r < 0)
                log_warning_errno(r, "Failed to put version %s onto the denylist, going on: %m", t->to);
        r = close_record(u, t, UPDATE_PHASE_ROLLED_BACK);
        stop_backstop(u);

        log_event(LOG_WARNING, FLEET_MESSAGE_ROLLED_BACK_STR,
                  "MESSAGE=Went back from version %s to %s: %s", t->to, t->from,
                  t->message ?: update_verdict_explain(t->verdict), "FLEET_VERSION=%s", t->from,
                  "FLEET_VERDICT=%s", update_verdict_to_string(t->verdict), "FLEET_TRANSACTION=%s", t->id, NULL);
        return r;
}

/* The service may be the one of the version that was on trial; or it could not be started, and the bus lets everybody
 * who asks for it wait until somebody starts it. */
static void restart_updater(Updater *u) {
        int r;

        if (!u->units)
                return;
        (void) units_reset_failed(u->units, FLEET_UPDATER_UNIT);
        r = units_restart(u->units, FLEET_UPDATER_UNIT, 0);
        if (r < 0)
                log_warning_errno(r, "Failed to restart " FLEET_UPDATER_UNIT ", going on: %m");
}

int transaction_bring_back(Updater *u, const Transaction *t) {
        if (mark_is(u->root, MARK_BROUGHT_BACK, t->id))
                return 0;
        int r = agent_bring_up(u, /* restart= */ true);
        if (r < 0)
                return r;
        mark_set(u->root, MARK_BROUGHT_BACK, t->id);
        return 0;
}

int transaction_go_back(
                Updater *u, Transaction *t, const char *current, const char *good, UpdateVerdict verdict,
                const char *message, bool restart_agent) {

        _cleanup_(transaction_freep) Transaction *lost = NULL;
        int r, k = 0;

        if (!t) {
                /* The record is gone; what follows still needs one. Who to blame is not known, nor which of the two is
                 * of use: the kind that removes and blames nothing. */
                r = transaction_new(&lost, u->root, TRANSACTION_ROLLBACK, good, current ?: good, NULL);
                if (r < 0)
                        return log_oom();
                lost->phase = UPDATE_PHASE_CONFIRMING;
                t = lost;
        }
        if (t->verdict == UPDATE_VERDICT_NONE) {
                r = transaction_set_verdict(t, verdict, message);
                if (r < 0)
                        return log_oom();
        }
        record_phase(u, t, UPDATE_PHASE_ROLLING_BACK);

        r = link_go_back(u->root->bin_fd, good);
        if (r < 0) /* a restart of whatever current is may still help, and the next one to come tries again */
                log_error_errno(r, "Failed to switch %s/current back to %s: %m", u->root->bin_path, good);
        if (restart_agent) {
                k = r < 0 ? agent_bring_up(u, /* restart= */ true) : transaction_bring_back(u, t);
                restart_updater(u);
        }
        if (r < 0)
                return r;
        if (k < 0) /* what was on trial may still run: whoever comes next restarts it, and closes the transaction */
                return k;

        /* without a reliable "from" the rest would remove or blame the wrong version */
        if (!streq(t->from, good) || streq(t->to, good)) {
                r = close_record(u, t, UPDATE_PHASE_ROLLED_BACK);
                stop_backstop(u);
                return r;
        }
        return transaction_finish_rollback(u, t, verdict, message);
}

int transaction_commit(Updater *u, Transaction *t) {
        int r = link_commit(u->root->bin_fd, t->to);
        if (r < 0)
                return log_error_errno(r, "Failed to switch %s/good: %m", u->root->bin_path);
        return transaction_finish_commit(u, t);
}

int transaction_finish_commit(Updater *u, Transaction *t) {
        int r;

        links_forget_prepared(u->root->bin_fd);
        r = versions_prune(u->root->bin_fd, (char *const[]) { t->from, t->to, NULL }, u->conf.keep_versions);
        if (r < 0)
                log_warning_errno(r, "Failed to remove old versions, going on: %m");

        if (t->floor) {
                r = floor_raise(u->root, t->floor);
                if (r < 0) /* the record stays, so that this is done again */
                        return log_error_errno(r, "Failed to raise the floor to %s: %m", t->floor);
        }
        r = previous_save(u->root, t->from);
        if (r < 0)
                log_warning_errno(r, "Failed to write down the previous version, going on: %m");

        /* an operator's way back ends well when the older version runs; the verdict tells it from an update */
        if (t->kind == TRANSACTION_ROLLBACK) {
                r = transaction_set_verdict(t, UPDATE_VERDICT_OPERATOR, "Went back to this version by request.");
                if (r < 0)
                        return log_oom();
        }
        r = close_record(u, t, UPDATE_PHASE_SUCCEEDED);
        if (r < 0)
                return r;
        stop_backstop(u);

        log_event(LOG_NOTICE, FLEET_MESSAGE_COMMITTED_STR,
                  "MESSAGE=Version %s has proved itself and replaces %s.", t->to, t->from, "FLEET_VERSION=%s", t->to,
                  "FLEET_TRANSACTION=%s", t->id, NULL);
        return 0;
}

int transaction_close_failed(Updater *u, Transaction *t, UpdateVerdict verdict, const char *message) {
        int r;

        if (t->verdict == UPDATE_VERDICT_NONE) {
                r = transaction_set_verdict(t, verdict, message);
                if (r < 0)
                        return log_oom();
        }
        links_forget_prepared(u->root->bin_fd);
        remove_untried(u, t);
        r = remember_strike(u, t);
        if (r < 0)
                log_warning_errno(r, "Failed to put version %s onto the denylist, going on: %m", t->to);
        r = close_record(u, t, UPDATE_PHASE_FAILED);
        stop_backstop(u);

        log_event(LOG_WARNING, FLEET_MESSAGE_UPDATE_REFUSED_STR,
                  "MESSAGE=Version %s was not installed: %s", t->to, t->message ?: update_verdict_explain(t->verdict),
                  "FLEET_VERSION=%s", t->to, "FLEET_VERDICT=%s", update_verdict_to_string(t->verdict),
                  "FLEET_TRANSACTION=%s", t->id, NULL);
        return r;
}
