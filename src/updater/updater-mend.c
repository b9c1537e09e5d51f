/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-mend.h"

#include "log.h"
#include "names.h"
#include "string-util.h"
#include "updater-repair.h"
#include "updater-revive.h"
#include "updater-agent.h"
#include "updater-transaction.h"

#define STEPS_MAX 6U

int updater_look(
                Updater *u, UpdaterVerb verb, Links *links, Transaction **ret_transaction,
                char boot_id[static TRANSACTION_ID_MAX], Situation *ret) {

        _cleanup_(transaction_freep) Transaction *t = NULL;
        bool damaged = false, failed = false;
        int r;

        r = links_read(u->root->bin_fd, links);
        if (r < 0)
                return log_error_errno(r, "Failed to read the links in %s: %m", u->root->bin_path);
        r = transaction_load(u->root, &t);
        if (r == -ENOMEM)
                return log_oom();
        if (r < 0 && r != -ENOENT) {
                log_warning_errno(r, "The record of the transaction cannot be read, going by the links: %m");
                damaged = true;
        }
        if (verb == UPDATER_ROLLBACK && u->units) {
                _cleanup_free_ char *state = NULL;

                r = units_active_state(u->units, FLEET_AGENT_UNIT, &state);
                if (r < 0)
                        log_warning_errno(r, "Failed to ask for the state of " FLEET_AGENT_UNIT ", going on: %m");
                failed = r >= 0 && streq(state, "failed");
        }
        boot_id_read(u->root, boot_id);

        *ret = (Situation) {
                .verb = verb,
                .links = links,
                .current_usable = version_is_usable(u->root->bin_fd, links->current),
                .good_usable = version_is_usable(u->root->bin_fd, links->good),
                .transaction = t,
                .record_damaged = damaged,
                .boot_id = boot_id,
                .now_usec = now(CLOCK_BOOTTIME),
                .grace_usec = updater_conf_backstop(&u->conf),
                .agent_failed = failed,
        };
        *ret_transaction = TAKE_PTR(t);
        return 0;
}

static int drop_record(Updater *u, Transaction *t) {
        log_warning("The record of the transaction does not belong to the links as they are; closing it.");
        if (t) { /* whoever asked for it is owed an end */
                int r = transaction_set_verdict(
                                t, UPDATE_VERDICT_INTERRUPTED, "The links were changed while the update was open.");
                if (r < 0)
                        return log_oom();
                r = result_save(u->root, t, UPDATE_PHASE_ROLLED_BACK);
                if (r < 0)
                        log_warning_errno(r, "Failed to write the transaction's result, going on: %m");
        }
        int r = transaction_remove(u->root);
        return r < 0 ? log_error_errno(r, "Failed to close the transaction: %m") : 0;
}

static const char *why(const Situation *s, UpdateVerdict verdict) {
        if (s->transaction && s->transaction->message)
                return s->transaction->message;
        if (verdict == UPDATE_VERDICT_CRASHED)
                return "The agent's unit failed while the new version was on trial.";
        if (s->verb == UPDATER_RECOVER || (s->transaction && !streq(s->transaction->boot_id, s->boot_id)))
                return "The machine restarted before the update was confirmed.";
        return "The update was stopped before it was confirmed.";
}

/* The rollback unit may restart the agent, and comes again when it fails; so it is not started while it is at it. */
static int hand_over(Updater *u) {
        _cleanup_free_ char *state = NULL;

        if (!u->units)
                return log_error_errno(-ENOTCONN, "Cannot reach PID 1 to start " FLEET_ROLLBACK_UNIT ".");
        int r = units_active_state(u->units, FLEET_ROLLBACK_UNIT, &state);
        if (r >= 0 && !streq(state, "inactive") && !streq(state, "failed"))
                return 0;
        log_notice("A transaction was left open; starting " FLEET_ROLLBACK_UNIT ".");
        r = units_start(u->units, FLEET_ROLLBACK_UNIT, 0);
        return r < 0 ? log_error_errno(r, "Failed to start " FLEET_ROLLBACK_UNIT ": %m") : 0;
}

static int act(Updater *u, const Situation *s, Transaction *t, const Decision *d) {
        /* at boot the agent has not started yet; and a start of serve must not end the agent that asked for it */
        bool restart = IN_SET(s->verb, UPDATER_SETTLE, UPDATER_ROLLBACK);
        int r;

        switch (d->action) {
        case ACTION_GO_BACK:
                return transaction_go_back(
                                u, t, s->links->current, s->links->good, d->verdict, why(s, d->verdict), restart);
        case ACTION_FINISH_COMMIT:
                return transaction_finish_commit(u, t);
        case ACTION_FINISH_ROLLBACK:
                if (restart) {
                        r = transaction_bring_back(u, t);
                        if (r < 0)
                                return r;
                }
                return transaction_finish_rollback(u, t, d->verdict, why(s, d->verdict));
        case ACTION_CLOSE_FAILED:
                return transaction_close_failed(u, t, d->verdict, why(s, d->verdict));
        case ACTION_DROP_RECORD:
                return drop_record(u, t);
        case ACTION_REPAIR:
                return updater_repair(u, s->links, s->agent_failed, restart);
        case ACTION_REVIVE:
                return updater_revive(u, s->links->current);
        case ACTION_HAND_OVER:
                return hand_over(u);
        default:
                return 0;
        }
}

int updater_mend(Updater *u, UpdaterVerb verb) {
        for (unsigned i = 0; i < STEPS_MAX; i++) {
                _cleanup_(transaction_freep) Transaction *t = NULL;
                char boot_id[TRANSACTION_ID_MAX];
                _cleanup_links_ Links links = {};
                Situation s;
                int r;

                r = updater_look(u, verb, &links, &t, boot_id, &s);
                if (r < 0)
                        return r;
                Decision d = updater_decide(&s);
                log_debug("current %s, good %s, transaction %s: %s", strna(links.current), strna(links.good),
                          t ? t->id : "none", updater_action_to_string(d.action));
                if (IN_SET(d.action, ACTION_NOTHING, ACTION_APPLY))
                        return 0;
                r = act(u, &s, t, &d);
                /* an agent that has failed does not wait until there is room to write down how the update ended */
                if (r < 0 && verb == UPDATER_ROLLBACK && !links_differ(&links) &&
                    IN_SET(d.action, ACTION_FINISH_COMMIT, ACTION_FINISH_ROLLBACK, ACTION_CLOSE_FAILED,
                           ACTION_DROP_RECORD))
                        (void) updater_revive(u, links.current);
                if (r < 0 || IN_SET(d.action, ACTION_REVIVE, ACTION_HAND_OVER))
                        return r;
        }
        return log_error_errno(-ELOOP, "The updater's state does not come to rest; please report this.");
}
