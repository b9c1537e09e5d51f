/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-revive.h"

#include "hex.h"
#include "log.h"
#include "messages.h"
#include "names.h"
#include "state-file.h"
#include "string-util.h"
#include "updater-agent.h"
#include "updater-denylist.h"
#include "updater-links.h"
#include "updater-mark.h"
#include "updater-package.h"
#include "updater-policy.h"
#include "updater-record.h"
#include "updater-repair.h"
#include "updater-transient.h"

#define REVIVE_NAME "revive"
#define PAUSE_FIRST (5 * USEC_PER_SEC)
#define PAUSE_MAX (10 * USEC_PER_MINUTE)
#define FORGET_AFTER USEC_PER_HOUR
#define ATTEMPTS_BEFORE_ANOTHER 3U
#define TIMER_PATIENCE (5 * USEC_PER_SEC)

usec_t revive_pause(unsigned attempts) {
        if (attempts == 0)
                return 0;
        return MIN(PAUSE_FIRST << MIN(attempts - 1, 16U), PAUSE_MAX);
}

typedef struct Attempts {
        uint64_t n;
        usec_t last_usec;                                  /* CLOCK_BOOTTIME */
} Attempts;

static Attempts attempts_load(Updater *u, usec_t now_usec) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        Attempts a = {};

        if (u->root->runtime_fd < 0 || state_file_load_at(u->root->runtime_fd, REVIVE_NAME, &s) < 0 ||
            state_file_get_u64(s, "attempts", &a.n) < 0 || state_file_get_u64(s, "last_usec", &a.last_usec) < 0 ||
            a.last_usec > now_usec || now_usec - a.last_usec > FORGET_AFTER)
                return (Attempts) {};
        return a;
}

static void attempts_save(Updater *u, const Attempts *a) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        int r = u->root->runtime_fd < 0 ? -EBADF : state_file_new(&s);
        if (r >= 0)
                r = state_file_set_u64(s, "attempts", a->n);
        if (r >= 0)
                r = state_file_set_u64(s, "last_usec", a->last_usec);
        if (r >= 0)
                r = state_file_save_at(s, u->root->runtime_fd, REVIVE_NAME, 0600);
        if (r < 0)
                log_warning_errno(r, "Failed to count the attempts to start the agent, going on: %m");
}

/* Has PID 1 look again after a while; one that waits already is replaced only if asked for. A timer is active also
 * while what it has started runs, which may be this process: such a one does not fire again. */
static int arm_retry(Updater *u, usec_t after_usec, bool replace) {
        TimerUnit t = { .description = "Another attempt to start the fleet agent", .after_usec = after_usec };
        _cleanup_free_ char *state = NULL;

        int r = units_sub_state(u->units, FLEET_RETRY_TIMER, &state);
        if (r >= 0 && streq(state, "waiting") && !replace)
                return 0;
        if (r < 0 || !streq(state, "dead")) {
                r = units_stop(u->units, FLEET_RETRY_TIMER, TIMER_PATIENCE);
                if (r < 0)
                        log_debug_errno(r, "Failed to stop " FLEET_RETRY_TIMER ", going on: %m");
        }
        r = units_start_transient(u->units, FLEET_RETRY_TIMER, fill_timer_unit, &t, TIMER_PATIENCE);
        return r < 0 ? log_error_errno(r, "Failed to start " FLEET_RETRY_TIMER ": %m") : 0;
}

/* PID 1 forgets an OnFailure= that comes while this runs, and what a timer starts meanwhile. So one that looks again
 * is there in any case: should this be cut off, after the time it may take; else after pause_usec. */
static int bring_up_and_look_again(Updater *u, usec_t pause_usec) {
        (void) arm_retry(u, usec_add(pause_usec, AGENT_BRING_UP_TIME_MAX), /* replace= */ true);
        int r = agent_bring_up(u, /* restart= */ false);
        int k = arm_retry(u, pause_usec, /* replace= */ true);
        return r < 0 ? r : k;
}

/* So that a gateway that still wants this version does not bring it back at once. */
static void blame(Updater *u, const char *version) {
        char agent[SHA256_HEX_MAX], updater[SHA256_HEX_MAX], digest[SHA256_HEX_MAX], id[TRANSACTION_ID_MAX] = "";
        _cleanup_(denylist_freep) Denylist *d = NULL;
        uint8_t random[16];

        random_bytes(random, sizeof(random));
        hex_encode(random, sizeof(random), id);
        int r = version_file_digest(u->root->bin_fd, version, "agent", agent);
        if (r >= 0)
                r = version_file_digest(u->root->bin_fd, version, "updater", updater);
        if (r >= 0)
                r = release_digest_hex(agent, updater, digest);
        if (r >= 0)
                r = denylist_load(u->root, &d);
        if (r >= 0)
                r = denylist_strike(d, digest, id, now(CLOCK_REALTIME));
        if (r >= 0)
                r = denylist_save(u->root, d);
        if (r < 0)
                log_warning_errno(r, "Failed to put version %s onto the denylist, going on: %m", version);
}

/* Another version in the place of one that does not stay up, if there is one that may run. */
static int take_another(Updater *u, const char *current) {
        _cleanup_free_ char *version = NULL, *floor = NULL;
        int r;

        r = package_copy(u, /* force= */ false, &version);
        if (r < 0)
                log_warning_errno(r, "The packaged version cannot take the place of %s: %m", current);
        if (r < 0 || streq(version, current)) {
                free(version);
                version = NULL;
                (void) floor_load(u->root, &floor);
                r = previous_load(u->root, &version);
                if (r < 0)
                        return r;
                if (!version || streq(version, current) || !floor_allows(floor, version) ||
                    !version_is_usable(u->root->bin_fd, version))
                        return log_warning_errno(
                                        -ENOENT, "There is no other version that may run here; trying %s again.", current);
        }

        blame(u, current);
        r = updater_force_version(u, version);
        if (r < 0)
                return r;
        log_event(LOG_WARNING, FLEET_MESSAGE_RECOVERED_STR,
                  "MESSAGE=Version %s did not stay up; version %s takes its place.", current, version,
                  "FLEET_VERSION=%s", version, NULL);
        return 0;
}

int updater_revive_only_start(Updater *u) {
        _cleanup_free_ char *state = NULL;

        if (!u->units)
                return -ENOTCONN;
        int r = units_active_state(u->units, FLEET_AGENT_UNIT, &state);
        if (r < 0)
                return log_error_errno(r, "Failed to ask for the state of " FLEET_AGENT_UNIT ": %m");
        return agent_needs_start(u->root, state) ? bring_up_and_look_again(u, PAUSE_FIRST) : 0;
}

static void mend_socket(Updater *u) {
        _cleanup_free_ char *state = NULL;

        if (units_active_state(u->units, FLEET_AGENT_SOCKET_UNIT, &state) < 0 || !streq(state, "failed"))
                return;
        log_notice(FLEET_AGENT_SOCKET_UNIT " has failed, starting it again.");
        (void) units_reset_failed(u->units, FLEET_AGENT_SOCKET_UNIT);
        int r = units_start(u->units, FLEET_AGENT_SOCKET_UNIT, TIMER_PATIENCE);
        if (r < 0)
                log_warning_errno(r, "Failed to start " FLEET_AGENT_SOCKET_UNIT ", going on: %m");
}

int updater_revive(Updater *u, const char *current) {
        _cleanup_free_ char *state = NULL;
        usec_t now_usec = now(CLOCK_BOOTTIME);
        char text[TIMESPAN_MAX];

        if (!u->units)
                return log_error_errno(-ENOTCONN, "Cannot reach PID 1.");
        int r = units_active_state(u->units, FLEET_AGENT_UNIT, &state);
        if (r < 0)
                return log_error_errno(r, "Failed to ask for the state of " FLEET_AGENT_UNIT ": %m");

        Attempts a = attempts_load(u, now_usec);
        if (!agent_needs_start(u->root, state)) {
                if (streq(state, "active")) {
                        mark_clear(u->root, MARK_BRING_UP);
                        mend_socket(u);
                } else if (streq(state, "activating")) /* see whether it arrives: its next failure may go unheard */
                        return arm_retry(u, MAX(revive_pause((unsigned) MIN(a.n, 32U)), PAUSE_FIRST), false);
                return 0;
        }

        usec_t due = usec_add(a.last_usec, revive_pause((unsigned) MIN(a.n, 32U)));
        if (now_usec < due) {
                log_info("The agent has failed again; next attempt in %s.", timespan_format(due - now_usec, text));
                return arm_retry(u, due - now_usec, /* replace= */ true); /* one that was cut off has a later one */
        }

        a = (Attempts) { .n = a.n + 1, .last_usec = now_usec };
        attempts_save(u, &a);
        log_notice("The agent has failed; attempt %lu to bring it back.", (unsigned long) a.n);
        if (a.n % ATTEMPTS_BEFORE_ANOTHER == 0)
                (void) take_another(u, current);
        r = bring_up_and_look_again(u, revive_pause((unsigned) MIN(a.n, 32U)));
        log_event(LOG_NOTICE, FLEET_MESSAGE_RECOVERED_STR, "MESSAGE=The agent had failed and was started again.",
                  "FLEET_VERSION=%s", current, NULL);
        return r;
}

bool rollback_was_done(Updater *u) {
        const char *invocation = getenv("INVOCATION_ID");
        return invocation && mark_is(u->root, MARK_ROLLBACK_DONE, invocation);
}

void rollback_mark_done(Updater *u) {
        const char *invocation = getenv("INVOCATION_ID");
        if (invocation)
                mark_set(u->root, MARK_ROLLBACK_DONE, invocation);
}
