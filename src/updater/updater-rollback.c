/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-rollback.h"

#include "fd-util.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "updater-mend.h"
#include "updater-revive.h"

#define LOCK_PATIENCE (10 * USEC_PER_SEC)
#define SETTLE_PATIENCE USEC_PER_SEC
#define STOP_PATIENCE (75 * USEC_PER_SEC)                  /* settle runs while it stops */

/* The lock, or -EBUSY; without a state directory it goes on without. */
static int lock_or_go_on(Updater *u, usec_t patience, int *ret_lock) {
        int r = updater_root_lock(u->root, patience, ret_lock);
        if (r < 0 && r != -EBUSY)
                log_warning_errno(r, "Cannot take the updater's lock, going on without: %m");
        return r == -EBUSY ? r : 0;
}

/* PID 1 does not look again at a failed transient unit whose OnFailure= was still at work: it would stay, and with it
 * "degraded", until the next update. Only what is in the failed state, as a reset also clears the result of a unit
 * that is about to get there, and then nothing is started upon its failure. */
static void forget_failed(Updater *u) {
        static const char *const units[] = { FLEET_UPDATE_UNIT, FLEET_SELF_TEST_UNIT, FLEET_PROBE_UNIT };

        for (size_t i = 0; u->units && i < ELEMENTSOF(units); i++) {
                _cleanup_free_ char *state = NULL;

                int r = units_active_state(u->units, units[i], &state);
                if (r >= 0 && streq(state, "failed"))
                        r = units_reset_failed(u->units, units[i]);
                if (r < 0)
                        log_debug_errno(r, "Failed to reset %s, ignoring: %m", units[i]);
        }
}

static bool trial_goes_on(Updater *u) {
        _cleanup_free_ char *state = NULL;

        return u->units && units_active_state(u->units, FLEET_UPDATE_UNIT, &state) >= 0 && streq(state, "active");
}

int updater_settle(Updater *u) {
        _cleanup_close_ int lock = -EBADF;

        forget_failed(u);

        /* Whoever ran in this unit is dead and has let go. So if the lock is taken, somebody else is at work, or just
         * has a look. A trial that goes on is no look; it may even wait for this unit to stop. */
        if (lock_or_go_on(u, 0, &lock) < 0 &&
            (trial_goes_on(u) || lock_or_go_on(u, SETTLE_PATIENCE, &lock) < 0))
                return log_info("Somebody else is at it already."), 0;
        return updater_mend(u, UPDATER_SETTLE);
}

int updater_recover(Updater *u) {
        _cleanup_close_ int lock = -EBADF;

        if (lock_or_go_on(u, LOCK_PATIENCE, &lock) < 0)
                return log_info("Somebody else is at it already."), 0;
        return updater_mend(u, UPDATER_RECOVER);
}

/* A version is being staged, which has nothing to do with why the agent failed, and whoever stages may be waiting for
 * this unit to end: PID 1 keeps a transient unit that has failed for as long as its OnFailure= is at work. */
static bool is_staging(const Situation *s) {
        return !links_differ(s->links) && (!s->transaction || s->transaction->phase == UPDATE_PHASE_STAGING);
}

/* Somebody has held the lock for longer than anything that goes well takes. 1: go on with what *ret_lock says (which
 * may be nothing). 0: they are to be left alone. */
static int take_over(Updater *u, const Situation *s, int *ret_lock) {
        if (!s->agent_failed && s->transaction && s->now_usec < s->transaction->deadline_usec)
                return log_info("A trial is going on and has time left."), 0;

        log_warning("The trial does not come to an end; stopping " FLEET_UPDATE_UNIT ".");
        int r = u->units ? units_stop(u->units, FLEET_UPDATE_UNIT, STOP_PATIENCE) : -ENOTCONN;
        if (r < 0)
                log_error_errno(r, "Failed to stop " FLEET_UPDATE_UNIT ", going on: %m");
        if (lock_or_go_on(u, LOCK_PATIENCE, ret_lock) < 0) /* whoever it is cannot be stopped, nor do anything */
                log_error("The updater's lock is still taken, going on without it.");
        return 1;
}

/* The lock is taken: by an updater that is staging, or by one that is at this very work. */
static int contend(Updater *u, usec_t patience, int *ret_lock) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_links_ Links links = {};
        char boot_id[TRANSACTION_ID_MAX];
        Situation s;

        int r = updater_look(u, UPDATER_ROLLBACK, &links, &t, boot_id, &s);
        if (r < 0)
                return r;
        if (is_staging(&s)) {
                r = updater_revive_only_start(u);
                return r < 0 ? r : 0;
        }
        if (patience > 0)
                return lock_or_go_on(u, patience, ret_lock) < 0 ? contend(u, 0, ret_lock) : 1;
        return take_over(u, &s, ret_lock);
}

int updater_rollback(Updater *u) {
        _cleanup_close_ int lock = -EBADF;
        int r;

        if (rollback_was_done(u))
                return 0;
        if (lock_or_go_on(u, 0, &lock) < 0) {
                r = contend(u, LOCK_PATIENCE, &lock);
                if (r <= 0)
                        return r;
        }
        r = updater_mend(u, UPDATER_ROLLBACK);
        if (r >= 0)
                rollback_mark_done(u);
        return r;
}
