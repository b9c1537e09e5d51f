/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-adopt.h"

#include "fd-util.h"
#include "log.h"
#include "messages.h"
#include "names.h"
#include "string-util.h"
#include "updater-agent.h"
#include "updater-apply.h"
#include "updater-mend.h"
#include "updater-package.h"
#include "updater-policy.h"
#include "updater-repair.h"
#include "updater-transaction.h"
#include "updater-transient.h"
#include "version.h"

#define LOCK_PATIENCE (30 * USEC_PER_SEC)

static int adopt_first(Updater *u) {
        _cleanup_free_ char *version = NULL;

        int r = package_copy(u, /* force= */ true, &version);
        if (r < 0)
                return log_error_errno(r, "Failed to copy the packaged version into %s: %m", u->root->bin_path);
        r = updater_force_version(u, version);
        if (r < 0)
                return r;
        log_event(LOG_NOTICE, FLEET_MESSAGE_STAGED_STR, "MESSAGE=Version %s is in place and will run.", version,
                  "FLEET_VERSION=%s", version, NULL);
        return 0;
}

static bool agent_is_running(Updater *u) {
        _cleanup_free_ char *state = NULL;

        return u->units && units_active_state(u->units, FLEET_AGENT_UNIT, &state) >= 0 &&
                !streq(state, "inactive");
}

static int adopt_self_test(Updater *u, const Stage *stage, const char *version) {
        SelfTestUnit t = { .directory = stage_path(stage), .version = version };

        int r = units_start_transient(
                        u->units, FLEET_SELF_TEST_UNIT, fill_self_test_unit, &t, 3 * SELF_TEST_TIMEOUT);
        if (r == -EPROTO)
                return log_error_errno(r, "The packaged version did not pass its self-test on this machine; see the journal of " FLEET_SELF_TEST_UNIT ".");
        return r < 0 ? log_error_errno(r, "Failed to run " FLEET_SELF_TEST_UNIT ": %m") : 0;
}

/* Nothing runs that could be watched: the links move, and whoever starts the agent finds the new version. */
static int adopt_stopped(Updater *u, Stage *stage, const Links *links, const char *version) {
        int r = stage_publish(stage);
        if (r < 0)
                return log_error_errno(r, "Failed to put version %s in place: %m", version);
        r = previous_save(u->root, links->good);
        if (r < 0)
                log_warning_errno(r, "Failed to write down the previous version, going on: %m");
        r = updater_force_version(u, version);
        if (r < 0)
                return r;
        log_info("The agent does not run; version %s is in place for its next start.", version);
        r = versions_prune(
                        u->root->bin_fd, (char *const[]) { links->good, (char *) version, NULL }, u->conf.keep_versions);
        if (r < 0)
                log_warning_errno(r, "Failed to remove old versions, going on: %m");
        return 0;
}

static int adopt_transaction(Updater *u, Stage *stage, const Links *links, const char *version) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        int r;

        r = transaction_new(&t, u->root, TRANSACTION_ADOPT, links->current, version, NULL);
        if (r < 0)
                return log_oom();
        /* a machine without a gateway before the upgrade will have none after it: then running is enough */
        t->need_connection = agent_is_connected();
        stage_digest(stage, t->digest);
        r = stage_publish(stage);
        if (r < 0)
                return log_error_errno(r, "Failed to put version %s in place: %m", version);

        t->staged = true;
        t->deadline_usec = usec_add(now(CLOCK_BOOTTIME), u->conf.confirm_timeout_usec);
        r = transaction_save(u->root, t);
        if (r < 0)
                return log_error_errno(r, "Failed to write the transaction's record: %m");
        r = apply_launch(u, t->deadline_usec);
        if (r < 0)
                return transaction_close_failed(u, t, UPDATE_VERDICT_INTERNAL, "PID 1 did not start the trial."), r;
        log_notice("Version %s is being tried in the background; \"journalctl -u " FLEET_UPDATE_UNIT "\" tells how it goes.",
                   version);
        return 0;
}

static int adopt_newer(Updater *u, const Links *links) {
        _cleanup_free_ char *version = NULL, *packaged = NULL, *pin = NULL, *floor = NULL;
        _cleanup_(stage_freep) Stage *stage = NULL;
        int r;

        r = package_version_load(u->root, &packaged);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s/VERSION: %m", u->root->package_path);
        if (version_compare(packaged, links->current) <= 0) {
                log_info("Version %s runs; the packaged %s is not newer.", links->current, packaged);
                return 0;
        }
        r = pin_load(u->root, &pin);
        if (r < 0 || (pin && !streq(pin, packaged))) {
                log_notice("The machine's owner holds its version; the packaged %s is not used.", packaged);
                return 0;
        }
        r = floor_load(u->root, &floor);
        if (r < 0)
                return log_error_errno(r, "Cannot read the floor: %m");
        if (!floor_allows(floor, packaged)) {
                log_notice("The packaged version %s is below the floor %s and is not used.", packaged, floor);
                return 0;
        }

        r = package_stage(u, &stage, &version);
        if (r < 0)
                return log_error_errno(r, "Failed to stage the packaged version: %m");
        do
                r = stage_step(stage);
        while (r > 0);
        if (r < 0)
                return log_error_errno(r, "Failed to copy the packaged version: %m");

        if (u->units) { /* else an image is being built, on a machine that may be of another kind */
                r = adopt_self_test(u, stage, version);
                if (r < 0)
                        return r;
        }
        if (!agent_is_running(u))
                return adopt_stopped(u, stage, links, version);
        return adopt_transaction(u, stage, links, version);
}

int updater_adopt(Updater *u) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_links_ Links links = {};
        _cleanup_close_ int lock = -EBADF;
        char boot_id[TRANSACTION_ID_MAX];
        Situation s;

        int r = updater_root_lock(u->root, LOCK_PATIENCE, &lock);
        if (r == -EBUSY) {
                log_notice("An update is going on; nothing was done. Run \"updater adopt\" again when it is over.");
                return r;
        }
        if (r < 0)
                return log_error_errno(r, "Cannot take the updater's lock: %m");

        (void) updater_mend(u, UPDATER_ADOPT); /* ends of what was cut off; what is still there then is seen below */
        r = updater_look(u, UPDATER_ADOPT, &links, &t, boot_id, &s);
        if (r < 0)
                return r;
        if (!links.current && !links.good)
                return adopt_first(u);
        if (!s.good_usable || !links.current)
                return updater_repair(u, &links, /* current_failed= */ false, /* restart_agent= */ false);
        if (links_differ(&links) || t || s.record_damaged) {
                log_notice("An update is open; nothing was done. Run \"updater adopt\" again when it is over.");
                return -EBUSY;
        }
        return adopt_newer(u, &links);
}
