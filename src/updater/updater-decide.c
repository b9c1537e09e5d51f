/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-decide.h"

#include "string-util.h"

static const char *const action_table[_UPDATER_ACTION_MAX] = {
        [ACTION_NOTHING] = "nothing",
        [ACTION_APPLY] = "apply",
        [ACTION_GO_BACK] = "go-back",
        [ACTION_FINISH_COMMIT] = "finish-commit",
        [ACTION_FINISH_ROLLBACK] = "finish-rollback",
        [ACTION_CLOSE_FAILED] = "close-failed",
        [ACTION_DROP_RECORD] = "drop-record",
        [ACTION_REPAIR] = "repair",
        [ACTION_REVIVE] = "revive",
        [ACTION_HAND_OVER] = "hand-over",
};

const char *updater_action_to_string(UpdaterAction a) {
        return a >= 0 && a < _UPDATER_ACTION_MAX ? action_table[a] : NULL;
}

/* Verbs that exist to mend things; the others must leave a trial that is going on alone. */
static bool mends(UpdaterVerb v) {
        return IN_SET(v, UPDATER_SETTLE, UPDATER_ROLLBACK, UPDATER_RECOVER);
}

/* An unknown boot is not the same as another unknown one. */
static bool of_this_boot(const Situation *s) {
        return !isempty(s->boot_id) && streq(s->transaction->boot_id, s->boot_id);
}

/* Nobody watches the trial any more: whoever asks holds the lock, and neither those who apply nor PID 1's timer are to
 * be expected. Also false for what has only just begun. */
static bool is_stale(const Situation *s) {
        const Transaction *t = s->transaction;
        return !t || !of_this_boot(s) || s->now_usec > usec_add(t->deadline_usec, s->grace_usec);
}

static UpdateVerdict verdict_of(const Situation *s) {
        if (s->transaction && s->transaction->verdict != UPDATE_VERDICT_NONE)
                return s->transaction->verdict;
        /* the machine restarted, or whoever applied was stopped; only what failed in this boot can be blamed */
        if (s->verb == UPDATER_ROLLBACK && s->agent_failed && s->transaction && of_this_boot(s))
                return UPDATE_VERDICT_CRASHED;
        return UPDATE_VERDICT_INTERRUPTED;
}

static Decision decide_open(const Situation *s) {
        if (s->verb == UPDATER_APPLY || mends(s->verb))
                return (Decision) { ACTION_GO_BACK, verdict_of(s) };
        return (Decision) { is_stale(s) ? ACTION_HAND_OVER : ACTION_NOTHING };
}

/* The links agree, and there is a record. */
static Decision decide_closed(const Situation *s) {
        const Transaction *t = s->transaction;

        if (streq(t->to, s->links->current))
                return (Decision) { ACTION_FINISH_COMMIT };
        if (!streq(t->from, s->links->current))
                return (Decision) { ACTION_DROP_RECORD };

        if (t->phase == UPDATE_PHASE_STAGING && t->verdict == UPDATE_VERDICT_NONE) {
                bool fresh = t->staged && of_this_boot(s) && s->now_usec < t->deadline_usec;

                if (s->verb == UPDATER_APPLY && fresh)
                        return (Decision) { ACTION_APPLY };
                /* between whoever staged and whoever applies, which is about to start */
                if (IN_SET(s->verb, UPDATER_SERVE, UPDATER_ADOPT) && fresh)
                        return (Decision) { ACTION_NOTHING };
        }

        if (t->phase == UPDATE_PHASE_STAGING)
                return (Decision) { ACTION_CLOSE_FAILED, verdict_of(s) };
        /* the agent may have to be restarted, which is not for everybody to do */
        if (IN_SET(s->verb, UPDATER_SERVE, UPDATER_ADOPT))
                return (Decision) { ACTION_HAND_OVER };
        return (Decision) { ACTION_FINISH_ROLLBACK, verdict_of(s) };
}

Decision updater_decide(const Situation *s) {
        const Links *l = s->links;

        /* Broken links come first: nothing else can be done with them. A broken current alone is mended by going
         * back, if there is somewhere to go back to. */
        if (!l->good || !s->good_usable || (!l->current && !s->transaction))
                return (Decision) { mends(s->verb) ? ACTION_REPAIR : ACTION_NOTHING };

        if (links_differ(l))
                return decide_open(s);
        if (s->record_damaged)
                return (Decision) { ACTION_DROP_RECORD };
        if (s->transaction)
                return decide_closed(s);
        return (Decision) { s->verb == UPDATER_ROLLBACK ? ACTION_REVIVE : ACTION_NOTHING };
}
