/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What should be done about one agent now. Pure: no I/O, no clock, nothing is changed; time and everything
 * known are parameters. First desired_choose() finds the row that counts (agent over selector over all),
 * then the caller looks up the last instruction that came from that row and generation, then
 * desired_decide() says what to do and why.
 *
 * The rules that keep a fleet from looping: a release that failed on a machine is sent there again only for
 * another generation (an operator's retry, another version); what was nobody's fault is tried again with
 * growing pauses and not for ever; a machine that had the version and left it is left alone. */

#include "record.h"
#include "release-path.h"
#include "selector.h"

typedef struct DesiredRow {
        DesiredRecord record;
        Selector *selector; /* of DESIRED_KIND_SELECTOR */
} DesiredRow;

typedef struct DesiredPolicy {
        uint64_t attempts_max;   /* of one generation */
        usec_t pause, pause_max; /* before the second attempt; doubled each time */
} DesiredPolicy;

typedef enum DesiredReason {
        DESIRED_REASON_NONE_DESIRED,
        DESIRED_REASON_UP_TO_DATE,
        DESIRED_REASON_UPDATING,
        DESIRED_REASON_DUE,
        DESIRED_REASON_OFFLINE,
        DESIRED_REASON_WAITING,
        DESIRED_REASON_FAILED,
        DESIRED_REASON_GAVE_UP,
        DESIRED_REASON_WENT_BACK,
        DESIRED_REASON_PINNED,
        DESIRED_REASON_ALREADY_NEWER,
        DESIRED_REASON_ARCH_MISSING,
        DESIRED_REASON_NOT_RELEASED,
        DESIRED_REASON_REQUIRES_MISSING,
        DESIRED_REASON_IN_ROLLOUT, /* which decides alone, as long as the agent has a turn in it */
        DESIRED_REASON_LIMIT,      /* as many at once as may be without a rollout */
        DESIRED_REASON_HELD,       /* it failed on too many */
        DESIRED_REASON_CONFLICT,
        _DESIRED_REASON_MAX,
} DesiredReason;

const char *desired_reason_to_string(DesiredReason r); /* "up-to-date" */
const char *desired_reason_explain(DesiredReason r);   /* a sentence for people */

typedef struct DesiredChoice {
        const DesiredRow *row; /* NULL: nothing is desired, or a conflict */
        bool conflict;         /* two selectors want different versions */
} DesiredChoice;

DesiredChoice desired_choose(const AgentRecord *agent, const DesiredRow *rows, size_t n_rows);

typedef enum DesiredAction {
        DESIRED_ACTION_NOTHING,
        DESIRED_ACTION_INSTRUCT, /* a new instruction */
        DESIRED_ACTION_REPEAT,   /* the outstanding one stands: send it again after a reconnection */
        DESIRED_ACTION_CANCEL,   /* withdraw the outstanding one */
} DesiredAction;

typedef struct DesiredInput {
        const AgentRecord *agent;
        bool connected;
        DesiredChoice choice;
        bool in_rollout;
        const ReleaseInfo *releases;
        size_t n_releases;
        const InstructionRecord *outstanding; /* NULL: none */
        const InstructionRecord *last;        /* of the chosen row and generation; NULL: none */
        const DesiredPolicy *policy;
        usec_t now;
} DesiredInput;

typedef struct DesiredDecision {
        DesiredAction action;
        DesiredReason reason;
        uint64_t attempt;    /* INSTRUCT */
        const char *version; /* INSTRUCT: what comes first on the way to the desired one */
        bool retry;
        usec_t not_before; /* WAITING: decide again then */
} DesiredDecision;

DesiredDecision desired_decide(const DesiredInput *in);

/* A version that is desired for many is sent to a few at a time, and to no more once it has failed on
 * several: whoever wants it done faster, or in another way, makes a rollout. */
typedef struct DesiredLoad {
        uint64_t standing, standing_max; /* under way now, of all such versions; how many may be */
        uint64_t sent, failed;           /* of this row's generation: agents */
} DesiredLoad;
/* INSTRUCT, or NOTHING and why. */
DesiredDecision desired_limit(DesiredDecision d, DesiredKind kind, const DesiredLoad *load, usec_t now);

/* Was it nobody's fault that an update ended like this, so that it may go well the next time? */
bool desired_is_worth_another_try(UpdatePhase phase, UpdateVerdict verdict);
