/* SPDX-License-Identifier: Apache-2.0 */

#include "string-util.h"
#include "tests.h"
#include "updater-decide.h"

#define THIS_BOOT "11111111111111111111111111111111"
#define OLD_BOOT "22222222222222222222222222222222"
#define DEADLINE (1000 * USEC_PER_SEC)
#define GRACE (90 * USEC_PER_SEC)

typedef struct Case {
        const char *what;
        UpdaterVerb verb;
        const char *current, *good;
        bool current_broken, good_broken;
        /* the record; to NULL: none */
        const char *from, *to;
        UpdatePhase phase;
        bool staged;
        const char *boot, *this_boot;                      /* this_boot NULL: THIS_BOOT */
        UpdateVerdict recorded;
        bool damaged, agent_failed;
        usec_t now;
        UpdaterAction action;
        UpdateVerdict verdict;
} Case;

#define A "1.0.0"
#define B "1.1.0"
#define STAGING UPDATE_PHASE_STAGING
#define RESTARTING UPDATE_PHASE_RESTARTING
#define CONFIRMING UPDATE_PHASE_CONFIRMING
#define BACK UPDATE_PHASE_ROLLING_BACK
#define INTERRUPTED UPDATE_VERDICT_INTERRUPTED
#define CRASHED UPDATE_VERDICT_CRASHED

static const Case cases[] = {
        /* at rest */
        { "serve at rest", UPDATER_SERVE, A, A, .action = ACTION_NOTHING },
        { "apply at rest", UPDATER_APPLY, A, A, .action = ACTION_NOTHING },
        { "settle at rest", UPDATER_SETTLE, A, A, .action = ACTION_NOTHING },
        { "recover at rest", UPDATER_RECOVER, A, A, .action = ACTION_NOTHING },
        { "rollback at rest", UPDATER_ROLLBACK, A, A, .action = ACTION_REVIVE },

        /* staging was cut off */
        { "serve after a death in staging", UPDATER_SERVE, A, A, .from = A, .to = B, .phase = STAGING, .boot = THIS_BOOT, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "recover after a reboot in staging", UPDATER_RECOVER, A, A, .from = A, .to = B, .phase = STAGING, .boot = OLD_BOOT, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "apply finds nothing staged", UPDATER_APPLY, A, A, .from = A, .to = B, .phase = STAGING, .boot = THIS_BOOT, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "what the self-test said is kept", UPDATER_SERVE, A, A, .from = A, .to = B, .phase = STAGING, .boot = THIS_BOOT, .recorded = UPDATE_VERDICT_SELF_TEST_FAILED, .action = ACTION_CLOSE_FAILED, .verdict = UPDATE_VERDICT_SELF_TEST_FAILED },

        /* staged, the trial is about to begin */
        { "apply", UPDATER_APPLY, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = THIS_BOOT, .action = ACTION_APPLY },
        { "serve leaves it to apply", UPDATER_SERVE, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = THIS_BOOT, .action = ACTION_NOTHING },
        { "adopt leaves it to apply", UPDATER_ADOPT, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = THIS_BOOT, .action = ACTION_NOTHING },
        { "apply too late", UPDATER_APPLY, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = THIS_BOOT, .now = DEADLINE, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "apply in another boot", UPDATER_APPLY, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = OLD_BOOT, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "settle: apply never began", UPDATER_SETTLE, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = THIS_BOOT, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "rollback: apply never began", UPDATER_ROLLBACK, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = THIS_BOOT, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "serve after the deadline: nobody came", UPDATER_SERVE, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = THIS_BOOT, .now = DEADLINE, .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },

        /* killed between the record and the link */
        { "settle before the swap", UPDATER_SETTLE, A, A, .from = A, .to = B, .phase = RESTARTING, .staged = true, .boot = THIS_BOOT, .action = ACTION_FINISH_ROLLBACK, .verdict = INTERRUPTED },
        { "apply again before the swap", UPDATER_APPLY, A, A, .from = A, .to = B, .phase = RESTARTING, .staged = true, .boot = THIS_BOOT, .action = ACTION_FINISH_ROLLBACK, .verdict = INTERRUPTED },

        /* on trial */
        { "serve leaves a trial alone", UPDATER_SERVE, B, A, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .action = ACTION_NOTHING },
        { "adopt leaves a trial alone", UPDATER_ADOPT, B, A, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .action = ACTION_NOTHING },
        { "serve until PID 1's timer has come", UPDATER_SERVE, B, A, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .now = DEADLINE + GRACE, .action = ACTION_NOTHING },
        { "serve: the timer did not come", UPDATER_SERVE, B, A, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .now = DEADLINE + GRACE + 1, .action = ACTION_HAND_OVER },
        { "serve: a trial of another boot", UPDATER_SERVE, B, A, .from = A, .to = B, .phase = CONFIRMING, .boot = OLD_BOOT, .action = ACTION_HAND_OVER },
        { "serve: the record is lost", UPDATER_SERVE, B, A, .action = ACTION_HAND_OVER },
        { "serve: the record is damaged", UPDATER_SERVE, B, A, .damaged = true, .action = ACTION_HAND_OVER },
        { "adopt: a trial of another boot", UPDATER_ADOPT, B, A, .from = A, .to = B, .phase = RESTARTING, .boot = OLD_BOOT, .action = ACTION_HAND_OVER },
        { "two boots that cannot be told are not one", UPDATER_APPLY, A, A, .from = A, .to = B, .phase = STAGING, .staged = true, .boot = "", .this_boot = "", .action = ACTION_CLOSE_FAILED, .verdict = INTERRUPTED },
        { "nor is anybody blamed then", UPDATER_ROLLBACK, B, A, .from = A, .to = B, .phase = RESTARTING, .boot = "", .this_boot = "", .agent_failed = true, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "settle goes back", UPDATER_SETTLE, B, A, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "backstop goes back", UPDATER_ROLLBACK, B, A, .from = A, .to = B, .phase = RESTARTING, .boot = THIS_BOOT, .now = DEADLINE, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "the agent's failure is to blame", UPDATER_ROLLBACK, B, A, .from = A, .to = B, .phase = RESTARTING, .boot = THIS_BOOT, .agent_failed = true, .action = ACTION_GO_BACK, .verdict = CRASHED },
        { "but not for another boot's trial", UPDATER_ROLLBACK, B, A, .from = A, .to = B, .phase = RESTARTING, .boot = OLD_BOOT, .agent_failed = true, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "recover goes back", UPDATER_RECOVER, B, A, .from = A, .to = B, .phase = CONFIRMING, .boot = OLD_BOOT, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "a second apply goes back", UPDATER_APPLY, B, A, .from = A, .to = B, .phase = RESTARTING, .boot = THIS_BOOT, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "a verdict that was reached is kept", UPDATER_RECOVER, B, A, .from = A, .to = B, .phase = BACK, .boot = OLD_BOOT, .recorded = UPDATE_VERDICT_WATCHDOG, .action = ACTION_GO_BACK, .verdict = UPDATE_VERDICT_WATCHDOG },
        { "the record is lost", UPDATER_RECOVER, B, A, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "the record is damaged", UPDATER_RECOVER, B, A, .damaged = true, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "the trial's files are gone", UPDATER_SETTLE, B, A, .current_broken = true, .from = A, .to = B, .phase = RESTARTING, .boot = THIS_BOOT, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },
        { "current is gone in mid-trial", UPDATER_RECOVER, NULL, A, .from = A, .to = B, .phase = RESTARTING, .boot = OLD_BOOT, .action = ACTION_GO_BACK, .verdict = INTERRUPTED },

        /* good has moved */
        { "settle after the commit", UPDATER_SETTLE, B, B, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .action = ACTION_FINISH_COMMIT },
        { "recover after the commit", UPDATER_RECOVER, B, B, .from = A, .to = B, .phase = CONFIRMING, .boot = OLD_BOOT, .action = ACTION_FINISH_COMMIT },
        { "serve after the commit", UPDATER_SERVE, B, B, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .action = ACTION_FINISH_COMMIT },
        { "rollback after the commit", UPDATER_ROLLBACK, B, B, .from = A, .to = B, .phase = CONFIRMING, .boot = THIS_BOOT, .agent_failed = true, .action = ACTION_FINISH_COMMIT },

        /* current has moved back */
        { "settle after the way back", UPDATER_SETTLE, A, A, .from = A, .to = B, .phase = BACK, .boot = THIS_BOOT, .recorded = CRASHED, .action = ACTION_FINISH_ROLLBACK, .verdict = CRASHED },
        { "recover after the way back", UPDATER_RECOVER, A, A, .from = A, .to = B, .phase = BACK, .boot = OLD_BOOT, .recorded = CRASHED, .action = ACTION_FINISH_ROLLBACK, .verdict = CRASHED },

        { "serve does not know whether the agent was restarted", UPDATER_SERVE, A, A, .from = A, .to = B, .phase = BACK, .boot = THIS_BOOT, .recorded = CRASHED, .action = ACTION_HAND_OVER },
        { "serve before the swap", UPDATER_SERVE, A, A, .from = A, .to = B, .phase = RESTARTING, .boot = THIS_BOOT, .action = ACTION_HAND_OVER },

        /* a record that does not belong to the links */
        { "links changed by hand", UPDATER_RECOVER, "3.0.0", "3.0.0", .from = A, .to = B, .phase = CONFIRMING, .boot = OLD_BOOT, .action = ACTION_DROP_RECORD },
        { "damaged, nothing open", UPDATER_SERVE, A, A, .damaged = true, .action = ACTION_DROP_RECORD },

        /* broken links */
        { "no links", UPDATER_RECOVER, NULL, NULL, .good_broken = true, .action = ACTION_REPAIR },
        { "no good", UPDATER_RECOVER, A, NULL, .good_broken = true, .action = ACTION_REPAIR },
        { "no current", UPDATER_ROLLBACK, NULL, A, .action = ACTION_REPAIR },
        { "good's files are gone in mid-trial", UPDATER_ROLLBACK, B, A, .good_broken = true, .from = A, .to = B, .phase = RESTARTING, .boot = THIS_BOOT, .action = ACTION_REPAIR },
        { "both are one, and its files are gone", UPDATER_ROLLBACK, A, A, .current_broken = true, .good_broken = true, .action = ACTION_REPAIR },
        { "serve does not repair", UPDATER_SERVE, NULL, NULL, .good_broken = true, .action = ACTION_NOTHING },
        { "apply does not repair", UPDATER_APPLY, A, NULL, .good_broken = true, .action = ACTION_NOTHING },
};

static void test_table(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const Case *c = cases + i;
                Links links = { (char *) c->current, (char *) c->good };
                Transaction t = {
                        .from = (char *) c->from, .to = (char *) c->to, .phase = c->phase, .staged = c->staged,
                        .verdict = c->recorded, .deadline_usec = DEADLINE,
                };
                if (c->boot)
                        strcpy(t.boot_id, c->boot);
                Situation s = {
                        .verb = c->verb, .links = &links, .current_usable = !c->current_broken,
                        .good_usable = !c->good_broken, .transaction = c->to ? &t : NULL,
                        .record_damaged = c->damaged, .boot_id = c->this_boot ?: THIS_BOOT, .now_usec = c->now ?: 1,
                        .grace_usec = GRACE, .agent_failed = c->agent_failed,
                };
                Decision d = updater_decide(&s);

                if (d.action != c->action || d.verdict != c->verdict) {
                        fprintf(stderr, "%s: %s with %s, expected %s with %s\n", c->what,
                                updater_action_to_string(d.action), update_verdict_to_string(d.verdict),
                                updater_action_to_string(c->action), update_verdict_to_string(c->verdict));
                        abort();
                }
        }
}

/* Whatever the situation: a trial never lasts beyond a verb that mends, and nothing but them moves a link. */
static void test_all_combinations(void) {
        const char *const versions[] = { NULL, A, B, "3.0.0" };

        for (unsigned n = 0; n < 4 * 4 * 3 * 2 * 4 * _UPDATER_VERB_MAX * 2; n++) {
                unsigned k = n;
                Links links = { (char *) versions[k % 4], NULL };
                k /= 4;
                links.good = (char *) versions[k % 4];
                k /= 4;
                bool has_record = k % 3 > 0, damaged = k % 3 == 2;
                k /= 3;
                bool staged = k % 2;
                k /= 2;
                const UpdatePhase phases[] = { STAGING, RESTARTING, CONFIRMING, BACK };
                Transaction t = { .from = (char *) A, .to = (char *) B, .phase = phases[k % 4], .staged = staged, .deadline_usec = DEADLINE };
                k /= 4;
                UpdaterVerb verb = k % _UPDATER_VERB_MAX;
                k /= _UPDATER_VERB_MAX;
                memcpy(t.boot_id, k % 2 ? THIS_BOOT : OLD_BOOT, sizeof(t.boot_id));

                Situation s = {
                        .verb = verb, .links = &links, .current_usable = links.current, .good_usable = links.good,
                        .transaction = has_record && !damaged ? &t : NULL, .record_damaged = damaged,
                        .boot_id = THIS_BOOT, .now_usec = 1,
                };
                Decision d = updater_decide(&s);
                bool mends = IN_SET(verb, UPDATER_SETTLE, UPDATER_ROLLBACK, UPDATER_RECOVER);

                if (mends && links_differ(&links))
                        assert_se(IN_SET(d.action, ACTION_GO_BACK, ACTION_REPAIR));
                if (IN_SET(d.action, ACTION_GO_BACK, ACTION_REPAIR))
                        assert_se(mends || verb == UPDATER_APPLY);
                if (d.action == ACTION_GO_BACK)
                        assert_se(links.good && d.verdict != UPDATE_VERDICT_NONE);
                if (d.action == ACTION_FINISH_COMMIT)
                        assert_se(streq(links.good, t.to) && streq(links.current, t.to));
                if (IN_SET(d.action, ACTION_FINISH_ROLLBACK, ACTION_CLOSE_FAILED))
                        assert_se(streq(links.good, t.from) && streq(links.current, t.from));
                if (d.action == ACTION_APPLY)
                        assert_se(verb == UPDATER_APPLY && staged && !links_differ(&links));
        }
}

int main(void) {
        test_table();
        test_all_combinations();
        return 0;
}
