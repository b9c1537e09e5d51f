/* SPDX-License-Identifier: Apache-2.0 */
#include "desired-state.h"

#include "string-util.h"
#include "version.h"

/* So many failures stop a version that is desired for many, if they are more than one in so many. */
#define HELD_AFTER 3U
#define HELD_SHARE 20U
#define LIMIT_PAUSE (5 * USEC_PER_SEC)

static const struct {
        const char *name, *text;
} reason_table[_DESIRED_REASON_MAX] = {
        [DESIRED_REASON_NONE_DESIRED] = { "none-desired", "No version is desired for this agent." },
        [DESIRED_REASON_UP_TO_DATE] = { "up-to-date", "The agent runs the desired version." },
        [DESIRED_REASON_UPDATING] = { "updating", "An update is under way." },
        [DESIRED_REASON_DUE] = { "due", "The instruction follows at once." },
        [DESIRED_REASON_OFFLINE] = { "offline", "The agent is offline; it is updated when it connects." },
        [DESIRED_REASON_WAITING] = { "waiting",
                                     "The last attempt did not succeed for a reason that may pass; it is tried "
                                     "again." },
        [DESIRED_REASON_FAILED] = { "failed",
                                    "The release failed on this machine; it is sent again only when you ask for a "
                                    "retry." },
        [DESIRED_REASON_GAVE_UP] = { "gave-up",
                                     "Several attempts did not succeed; it is sent again only when you ask for a "
                                     "retry." },
        [DESIRED_REASON_WENT_BACK] = { "went-back",
                                       "The machine had this version and left it; it is sent again only when you ask for a "
                                       "retry." },
        [DESIRED_REASON_PINNED] = { "pinned",
                                    "The machine's owner holds the present version (fleet-agentctl unpin)." },
        [DESIRED_REASON_ALREADY_NEWER] = { "already-newer",
                                           "The agent runs a newer version; updates only go forward." },
        [DESIRED_REASON_ARCH_MISSING] = { "arch-missing",
                                          "The release has no build for this machine's architecture." },
        [DESIRED_REASON_NOT_RELEASED] = { "not-released",
                                          "The version is in no imported release any more." },
        [DESIRED_REASON_REQUIRES_MISSING] = { "requires-missing",
                                              "A version that must be installed before is in no imported release for it." },
        [DESIRED_REASON_IN_ROLLOUT] = { "in-rollout", "A rollout decides when it is updated." },
        [DESIRED_REASON_LIMIT] = { "limit",
                                   "As many agents are being updated without a rollout as may be at once; it follows." },
        [DESIRED_REASON_HELD] = { "held",
                                  "The version failed on too many agents and is sent to no others; it goes on when you ask for a "
                                  "retry." },
        [DESIRED_REASON_CONFLICT] = { "conflict",
                                      "Two selectors that match this agent name different versions; neither is "
                                      "taken." },
};

const char *desired_reason_to_string(DesiredReason r) {
        return r < _DESIRED_REASON_MAX ? reason_table[r].name : NULL;
}

const char *desired_reason_explain(DesiredReason r) {
        return r < _DESIRED_REASON_MAX ? reason_table[r].text : NULL;
}

static bool row_matches(const DesiredRow *row, const AgentRecord *agent) {
        switch (row->record.kind) {
        case DESIRED_KIND_AGENT:
                return streq(row->record.target, agent->id);
        case DESIRED_KIND_SELECTOR:
                return row->selector && selector_matches(row->selector, agent_record_lookup, (void *) agent);
        case DESIRED_KIND_ALL:
                return true;
        default:
                return false;
        }
}

DesiredChoice desired_choose(const AgentRecord *agent, const DesiredRow *rows, size_t n_rows) {
        DesiredChoice c = {};

        for (size_t i = 0; i < n_rows; i++) {
                const DesiredRow *row = rows + i;

                if (!row_matches(row, agent))
                        continue;
                if (!c.row || row->record.kind < c.row->record.kind)
                        c = (DesiredChoice){ .row = row };
                else if (row->record.kind == c.row->record.kind) {
                        if (!streq(row->record.version, c.row->record.version))
                                c.conflict = true;
                        else if (row->record.updated > c.row->record.updated)
                                c.row = row; /* the same wish twice: the later one, whose retry counts */
                }
        }
        if (c.conflict)
                c.row = NULL;
        return c;
}

bool desired_is_worth_another_try(UpdatePhase phase, UpdateVerdict verdict) {
        if (IN_SET(phase, UPDATE_PHASE_TIMED_OUT, UPDATE_PHASE_CANCELLED))
                return true;
        return IN_SET(verdict, UPDATE_VERDICT_NONE, UPDATE_VERDICT_DOWNLOAD_FAILED,
                      UPDATE_VERDICT_METADATA_EXPIRED, UPDATE_VERDICT_NOT_FOUND, UPDATE_VERDICT_PINNED,
                      UPDATE_VERDICT_DISK_FULL, UPDATE_VERDICT_BUSY, UPDATE_VERDICT_GATEWAY_UNREACHABLE,
                      UPDATE_VERDICT_INTERRUPTED, UPDATE_VERDICT_INTERNAL);
}

static usec_t pause_after(const DesiredPolicy *p, uint64_t attempt) {
        usec_t pause = p->pause;

        for (uint64_t i = 1; i < attempt && pause < p->pause_max; i++)
                pause = usec_add(pause, pause);
        return MIN(pause, p->pause_max);
}

static DesiredDecision nothing(DesiredReason reason) {
        return (DesiredDecision){ .action = DESIRED_ACTION_NOTHING, .reason = reason };
}

/* Is it, or something on the way to it, what is desired? */
static bool is_wanted(const DesiredInput *in, const InstructionRecord *o) {
        const char *next = NULL;

        if (o->rollout > 0 || in->choice.conflict)
                return true; /* whoever sent it takes it back; and nobody knows what is wanted */
        if (!in->choice.row)
                return false;
        if (streq(in->choice.row->record.version, o->version))
                return true;
        return !isempty(o->from_version) && version_is_valid(o->from_version) &&
               release_path_next(
                               in->releases, in->n_releases, o->from_version, in->agent->facts.architecture,
                               in->choice.row->record.version, &next) == RELEASE_PATH_OK &&
               streq(next, o->version);
}

static DesiredDecision decide_outstanding(const DesiredInput *in) {
        const InstructionRecord *o = in->outstanding;
        DesiredDecision d = { .action = DESIRED_ACTION_REPEAT, .reason = DESIRED_REASON_UPDATING };

        /* Beyond the restart the machine finishes or goes back by itself; then this is asked again. */
        if ((!is_wanted(in, o) || o->cancel_requested) && o->phase < UPDATE_PHASE_RESTARTING)
                d.action = DESIRED_ACTION_CANCEL;
        return d;
}

/* The last instruction brought it to a stepping stone, and the way goes on from there. */
static bool is_on_the_way(const DesiredInput *in) {
        return in->last->phase == UPDATE_PHASE_SUCCEEDED &&
               !streq(in->last->version, in->choice.row->record.version) &&
               version_compare(in->agent->version, in->last->version) >= 0;
}

static DesiredDecision decide_after(const DesiredInput *in) {
        const InstructionRecord *last = in->last;
        DesiredDecision d = { .action = DESIRED_ACTION_NOTHING, .reason = DESIRED_REASON_WAITING };

        if (is_on_the_way(in))
                return (DesiredDecision){ .action = DESIRED_ACTION_INSTRUCT, .attempt = 1 };
        if (last->phase == UPDATE_PHASE_SUCCEEDED)
                return nothing(DESIRED_REASON_WENT_BACK);
        if (!desired_is_worth_another_try(last->phase, last->verdict))
                return nothing(DESIRED_REASON_FAILED);
        if (last->attempt >= in->policy->attempts_max)
                return nothing(DESIRED_REASON_GAVE_UP);
        d.not_before = usec_add(last->finished, pause_after(in->policy, last->attempt));
        d.attempt = last->attempt + 1;
        if (in->now >= d.not_before)
                d.action = DESIRED_ACTION_INSTRUCT;
        return d;
}

static DesiredReason path_reason(ReleasePath path) {
        switch (path) {
        case RELEASE_PATH_ARCH_MISSING:
                return DESIRED_REASON_ARCH_MISSING;
        case RELEASE_PATH_REQUIRES_MISSING:
                return DESIRED_REASON_REQUIRES_MISSING;
        default:
                return DESIRED_REASON_NOT_RELEASED;
        }
}

DesiredDecision desired_decide(const DesiredInput *in) {
        const DesiredRow *row = in->choice.row;
        DesiredDecision d = { .action = DESIRED_ACTION_INSTRUCT, .attempt = 1 };
        const char *next = NULL;
        ReleasePath path;
        int c;

        if (in->outstanding)
                return decide_outstanding(in);
        if (in->in_rollout)
                return nothing(DESIRED_REASON_IN_ROLLOUT);
        if (in->choice.conflict)
                return nothing(DESIRED_REASON_CONFLICT);
        if (!row)
                return nothing(DESIRED_REASON_NONE_DESIRED);
        if (isempty(in->agent->version) || !version_is_valid(in->agent->version))
                return nothing(in->connected ? DESIRED_REASON_NOT_RELEASED : DESIRED_REASON_OFFLINE);

        c = version_compare(in->agent->version, row->record.version);
        if (c == 0)
                return nothing(DESIRED_REASON_UP_TO_DATE);
        if (c > 0)
                return nothing(DESIRED_REASON_ALREADY_NEWER);
        path = release_path_next(
                        in->releases, in->n_releases, in->agent->version,
                        strempty(in->agent->facts.architecture), row->record.version, &next);
        if (path != RELEASE_PATH_OK)
                return nothing(path_reason(path));
        if (in->agent->pinned)
                return nothing(DESIRED_REASON_PINNED);

        /* What happened before the machine was enrolled anew happened to another installation. */
        if (in->last && in->last->created >= in->agent->enrolled)
                d = decide_after(in);
        if (d.action != DESIRED_ACTION_INSTRUCT)
                return d;
        if (!in->connected)
                return nothing(DESIRED_REASON_OFFLINE);
        d.reason = DESIRED_REASON_DUE;
        d.retry = row->record.retry;
        d.version = next;
        return d;
}

DesiredDecision desired_limit(DesiredDecision d, DesiredKind kind, const DesiredLoad *load, usec_t now) {
        if (d.action != DESIRED_ACTION_INSTRUCT || kind == DESIRED_KIND_AGENT)
                return d;
        if (load->failed >= HELD_AFTER && load->failed * HELD_SHARE > load->sent)
                return nothing(DESIRED_REASON_HELD);
        if (load->standing >= load->standing_max) {
                d = nothing(DESIRED_REASON_LIMIT);
                d.not_before = usec_add(now, LIMIT_PAUSE);
        }
        return d;
}
