/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout.h"
#include "string-util.h"

typedef struct Name {
        const char *name, *text;
} Name;

static const Name kinds[_ROLLOUT_KIND_MAX] = {
        [ROLLOUT_KIND_UPDATE] = { "update", NULL },
        [ROLLOUT_KIND_ROLLBACK] = { "rollback", NULL },
};

static const Name states[_ROLLOUT_STATE_MAX] = {
        [ROLLOUT_STATE_RUNNING] = { "running", NULL },   [ROLLOUT_STATE_PAUSED] = { "paused", NULL },
        [ROLLOUT_STATE_ABORTING] = { "aborting", NULL }, [ROLLOUT_STATE_COMPLETED] = { "completed", NULL },
        [ROLLOUT_STATE_ABORTED] = { "aborted", NULL },
};

static const Name reasons[_ROLLOUT_REASON_MAX] = {
        [ROLLOUT_REASON_UPDATING] = { "updating", "Agents are being updated." },
        [ROLLOUT_REASON_FINISHING] = { "finishing",
                                       "Every agent has had its turn; the last ones are being updated." },
        [ROLLOUT_REASON_IN_FLIGHT_LIMIT] = { "in-flight-limit",
                                             "As many agents are being updated as may be at once; the next follows "
                                             "when one of them has ended." },
        [ROLLOUT_REASON_BATCH_IN_FLIGHT] = { "batch-in-flight",
                                             "The agents of this batch must end before the next batch begins." },
        [ROLLOUT_REASON_NEXT_BATCH] = { "next-batch", "The next batch begins when the period is over." },
        [ROLLOUT_REASON_SOAKING] = { "soaking",
                                     "What was updated is watched for a while before it goes on." },
        [ROLLOUT_REASON_OUTSIDE_WINDOW] = { "outside-window", "It is outside of the maintenance windows." },
        [ROLLOUT_REASON_AWAITING_APPROVAL] = { "awaiting-approval",
                                               "Somebody must approve before the next batch begins." },
        [ROLLOUT_REASON_WAITING_FOR_OFFLINE] = { "waiting-for-offline",
                                                 "Only agents that are offline are left; they are updated when they "
                                                 "come back." },
        [ROLLOUT_REASON_RETRY_PAUSE] = { "retry-pause",
                                         "Agents whose update did not succeed for a reason that may pass are tried "
                                         "again after a pause." },
        [ROLLOUT_REASON_OPERATOR] = { "operator", "Somebody asked for it." },
        [ROLLOUT_REASON_MAX_FAILURES] = { "max-failures",
                                          "More updates failed than the rollout allows. Look at the failures, then "
                                          "resume it or abort it." },
        [ROLLOUT_REASON_SUCCESS_THRESHOLD] = { "success-threshold",
                                               "Too few updates of this batch succeeded to go on. Look at the failures, "
                                               "then resume it or abort it." },
        [ROLLOUT_REASON_CORRELATED_FAILURES] = { "correlated-failures",
                                                 "The failures have something in common. Look at them, then resume it "
                                                 "or abort it." },
        [ROLLOUT_REASON_SOAK_FAILED] = { "soak-failed",
                                         "Agents that had been updated went away or went back while they were watched. "
                                         "Look at them, then resume it or abort it." },
        [ROLLOUT_REASON_RELEASE_GONE] = { "release-gone",
                                          "The release is in the registry no more. Import it again and resume, or "
                                          "abort." },
        [ROLLOUT_REASON_STEP_FAILED] = { "step-failed",
                                         "The gateway cannot work on this rollout; all others go on. Remove what is in "
                                         "the way and resume it, or abort it." },
        [ROLLOUT_REASON_DONE] = { "done", "Nothing is left to do." },
};

static const Name member_states[_MEMBER_STATE_MAX] = {
        [MEMBER_STATE_PENDING] = { "pending", NULL },
        [MEMBER_STATE_IN_FLIGHT] = { "in-flight", NULL },
        [MEMBER_STATE_SUCCEEDED] = { "succeeded", NULL },
        [MEMBER_STATE_FAILED] = { "failed", NULL },
        [MEMBER_STATE_ROLLED_BACK] = { "rolled-back", NULL },
        [MEMBER_STATE_TIMED_OUT] = { "timed-out", NULL },
        [MEMBER_STATE_SKIPPED] = { "skipped", NULL },
        [MEMBER_STATE_CANCELLED] = { "cancelled", NULL },
        [MEMBER_STATE_EXCLUDED] = { "excluded", NULL },
};

static const Name member_reasons[_MEMBER_REASON_MAX] = {
        [MEMBER_REASON_NONE] = { "", "" },
        [MEMBER_REASON_UP_TO_DATE] = { "up-to-date", "It runs this version already." },
        [MEMBER_REASON_ALREADY_NEWER] = { "already-newer",
                                          "It runs a newer version; updates only go forward." },
        [MEMBER_REASON_ALREADY_OLDER] = { "already-older", "It has gone back further already." },
        [MEMBER_REASON_PINNED] = { "pinned",
                                   "The machine's owner holds it at another version (fleet-agentctl unpin), or lets nobody send it back (RemoteRollback=)." },
        [MEMBER_REASON_ARCH_MISSING] = { "arch-missing", "The release has no build for its architecture." },
        [MEMBER_REASON_NOT_RELEASED] = { "not-released", "The version is in no imported release." },
        [MEMBER_REASON_REQUIRES_MISSING] = { "requires-missing",
                                             "A version that must be installed before is in no imported release "
                                             "for it." },
        [MEMBER_REASON_OFFLINE] = { "offline", "It is offline." },
        [MEMBER_REASON_OTHER_ROLLOUT] = { "other-rollout", "Its turn in another rollout has not ended." },
        [MEMBER_REASON_OVERRIDDEN] = { "overridden",
                                       "Another version is desired for it by something more specific." },
        [MEMBER_REASON_CONFLICT] = { "conflict", "Another version is desired for it by another selector." },
        [MEMBER_REASON_VERSION_GONE] = { "version-gone",
                                         "The machine does not keep that version any more." },
        [MEMBER_REASON_BELOW_FLOOR] = { "below-floor",
                                        "What it runs forbids to go back to a version that old." },
        [MEMBER_REASON_REMOVED] = { "removed", "The agent was removed from the gateway." },
        [MEMBER_REASON_ABORTED] = { "aborted", "The rollout was aborted before its turn." },
        [MEMBER_REASON_VERDICT] = { "verdict", "" },
};

static const char *const traits[_ROLLOUT_TRAIT_MAX] = {
        [ROLLOUT_TRAIT_OS] = "os",
        [ROLLOUT_TRAIT_KERNEL] = "kernel",
        [ROLLOUT_TRAIT_ARCH] = "arch",
};

static int name_find(const Name *names, int n, const char *s) {
        for (int i = 0; s && i < n; i++)
                if (streq(names[i].name, s))
                        return i;
        return -EINVAL;
}

#define NAME_OF(table, max, v) ((v) >= 0 && (v) < (max) ? (table)[v].name : NULL)

const char *rollout_kind_to_string(RolloutKind k) {
        return NAME_OF(kinds, _ROLLOUT_KIND_MAX, k);
}

RolloutKind rollout_kind_from_string(const char *s) {
        return (RolloutKind) name_find(kinds, _ROLLOUT_KIND_MAX, s);
}

const char *rollout_state_to_string(RolloutState s) {
        return NAME_OF(states, _ROLLOUT_STATE_MAX, s);
}

RolloutState rollout_state_from_string(const char *s) {
        return (RolloutState) name_find(states, _ROLLOUT_STATE_MAX, s);
}

bool rollout_state_is_terminal(RolloutState s) {
        return IN_SET(s, ROLLOUT_STATE_COMPLETED, ROLLOUT_STATE_ABORTED);
}

const char *rollout_reason_to_string(RolloutReason r) {
        return NAME_OF(reasons, _ROLLOUT_REASON_MAX, r);
}

RolloutReason rollout_reason_from_string(const char *s) {
        return (RolloutReason) name_find(reasons, _ROLLOUT_REASON_MAX, s);
}

const char *rollout_reason_explain(RolloutReason r) {
        return r >= 0 && r < _ROLLOUT_REASON_MAX ? reasons[r].text : NULL;
}

const char *member_state_to_string(MemberState s) {
        return NAME_OF(member_states, _MEMBER_STATE_MAX, s);
}

MemberState member_state_from_string(const char *s) {
        return (MemberState) name_find(member_states, _MEMBER_STATE_MAX, s);
}

bool member_state_is_active(MemberState s) {
        return IN_SET(s, MEMBER_STATE_PENDING, MEMBER_STATE_IN_FLIGHT);
}

bool member_state_is_failure(MemberState s) {
        return IN_SET(s, MEMBER_STATE_FAILED, MEMBER_STATE_ROLLED_BACK, MEMBER_STATE_TIMED_OUT);
}

const char *member_reason_to_string(MemberReason r) {
        return NAME_OF(member_reasons, _MEMBER_REASON_MAX, r);
}

MemberReason member_reason_from_string(const char *s) {
        return (MemberReason) name_find(member_reasons, _MEMBER_REASON_MAX, s);
}

const char *member_reason_explain(MemberReason r) {
        return r >= 0 && r < _MEMBER_REASON_MAX ? member_reasons[r].text : NULL;
}

const char *rollout_trait_to_string(RolloutTrait t) {
        return t >= 0 && t < _ROLLOUT_TRAIT_MAX ? traits[t] : NULL;
}
