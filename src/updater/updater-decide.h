/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The state machine of all verbs in one pure function: what is to be done, seen from the two links, the record, the
 * boot and the clock, by whoever asks. Whoever acts upon it holds the lock, and asks again after each action until
 * there is nothing left to do: so each step may be interrupted anywhere, and whoever comes next goes on from there. */

#include "updater-links.h"
#include "updater-record.h"

typedef enum UpdaterVerb {
        UPDATER_SERVE,                                     /* at its start */
        UPDATER_APPLY,
        UPDATER_SETTLE,                                    /* what applied has ended, however it ended */
        UPDATER_ROLLBACK,                                  /* PID 1 says that the agent or the applying unit failed */
        UPDATER_RECOVER,                                   /* at boot, before the agent */
        UPDATER_ADOPT,
        _UPDATER_VERB_MAX,
} UpdaterVerb;

typedef enum UpdaterAction {
        ACTION_NOTHING,
        ACTION_APPLY,                                      /* begin the trial */
        ACTION_GO_BACK,                                    /* current := good, with the verdict given */
        ACTION_FINISH_COMMIT,                              /* good has moved: do what comes after that */
        ACTION_FINISH_ROLLBACK,                            /* current has moved back: do what comes after that */
        ACTION_CLOSE_FAILED,                               /* nothing was changed: say so and close */
        ACTION_DROP_RECORD,                                /* unreadable, or not of these links */
        ACTION_REPAIR,                                     /* a link is broken, or leads to nothing that can run */
        ACTION_REVIVE,                                     /* no transaction: see whether the agent needs help */
        ACTION_HAND_OVER,                                  /* left open: have PID 1 start the rollback unit */
        _UPDATER_ACTION_MAX,
} UpdaterAction;

const char *updater_action_to_string(UpdaterAction a);

typedef struct Situation {
        UpdaterVerb verb;
        const Links *links;
        bool current_usable, good_usable;
        const Transaction *transaction;                    /* NULL: none */
        bool record_damaged;
        const char *boot_id;                               /* this boot's */
        usec_t now_usec;                                   /* CLOCK_BOOTTIME */
        usec_t grace_usec;                                 /* beyond the deadline nobody watches a trial any more */
        bool agent_failed;                                 /* the unit is in the failed state, as far as known */
} Situation;

typedef struct Decision {
        UpdaterAction action;
        UpdateVerdict verdict;                             /* for GO_BACK, FINISH_ROLLBACK, CLOSE_FAILED */
} Decision;

Decision updater_decide(const Situation *s);
