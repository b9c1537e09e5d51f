/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A rollout: which agents come to a version, in which order, how fast, and when it stops by itself. Pure: no
 * I/O, no clock, no randomness; the same input gives the same plan, and the preview runs the very functions
 * that the engine runs.
 *
 * rollout_plan() takes the agents that the target matches, leaves out who cannot take part, draws the
 * canaries and puts the others in order. rollout_step() looks at members, at what is known of their agents
 * and at the time, and says who is admitted now, what state follows, why, and when to look again. Everything
 * that limits is in there: the cap on those in flight, the number per period, canaries before batches,
 * thresholds, soak, windows, gates.
 *
 * Two clocks: "now" is CLOCK_REALTIME; periods, soaks and waits are counted on the rollout's own clock, which
 * stands still while it is paused, so that an hour of pause does not end an hour of soak. Setting the wall
 * clock moves it neither way: each step sees by how much the time of the machine's boot has moved with it
 * (rollout-clock.c). Only what was set while the gateway's machine restarted cannot be told from time that
 * passed; then the own clock at least never goes back and never stands. Windows are kept by the wall clock. */

#include "phase.h"
#include "release-path.h"
#include "rollout-spec.h"

/* ---- names ---- */

typedef enum RolloutKind {
        ROLLOUT_KIND_UPDATE,   /* forward */
        ROLLOUT_KIND_ROLLBACK, /* each member back to the version before (rollout_way_back()) */
        _ROLLOUT_KIND_MAX,
        _ROLLOUT_KIND_INVALID = -EINVAL,
} RolloutKind;
const char *rollout_kind_to_string(RolloutKind k);
RolloutKind rollout_kind_from_string(const char *s);

typedef enum RolloutState {
        ROLLOUT_STATE_RUNNING,
        ROLLOUT_STATE_PAUSED,   /* by a person, or by itself for the sake of those who wait; only a person lets
                                 * it go on */
        ROLLOUT_STATE_ABORTING, /* nothing new; what is in flight finishes */
        ROLLOUT_STATE_COMPLETED,
        ROLLOUT_STATE_ABORTED,
        _ROLLOUT_STATE_MAX,
        _ROLLOUT_STATE_INVALID = -EINVAL,
} RolloutState;
const char *rollout_state_to_string(RolloutState s);
RolloutState rollout_state_from_string(const char *s);
bool rollout_state_is_terminal(RolloutState s);

/* Why it is in this state, or what it waits for. */
typedef enum RolloutReason {
        ROLLOUT_REASON_UPDATING,
        ROLLOUT_REASON_FINISHING, /* everybody was admitted */
        ROLLOUT_REASON_IN_FLIGHT_LIMIT,
        ROLLOUT_REASON_BATCH_IN_FLIGHT, /* the batch must settle before the next begins */
        ROLLOUT_REASON_NEXT_BATCH,      /* the period is not over */
        ROLLOUT_REASON_SOAKING,
        ROLLOUT_REASON_OUTSIDE_WINDOW,
        ROLLOUT_REASON_AWAITING_APPROVAL,
        ROLLOUT_REASON_WAITING_FOR_OFFLINE,
        ROLLOUT_REASON_RETRY_PAUSE,
        ROLLOUT_REASON_OPERATOR,     /* paused or aborted by a person */
        ROLLOUT_REASON_MAX_FAILURES, /* paused by itself, as are those below; completed: it would have been, had
                                      * anybody been left to be spared */
        ROLLOUT_REASON_SUCCESS_THRESHOLD,
        ROLLOUT_REASON_CORRELATED_FAILURES, /* likewise */
        ROLLOUT_REASON_SOAK_FAILED,
        ROLLOUT_REASON_RELEASE_GONE, /* the goal, or for several what they need to come to it */
        ROLLOUT_REASON_STEP_FAILED, /* the gateway cannot work on it: rollout-park.h */
        ROLLOUT_REASON_DONE,
        _ROLLOUT_REASON_MAX,
        _ROLLOUT_REASON_INVALID = -EINVAL,
} RolloutReason;
const char *rollout_reason_to_string(RolloutReason r);
RolloutReason rollout_reason_from_string(const char *s);
const char *rollout_reason_explain(RolloutReason r); /* a sentence for people */

typedef enum MemberState {
        MEMBER_STATE_PENDING,   /* its turn has not come */
        MEMBER_STATE_IN_FLIGHT, /* it has an instruction */
        MEMBER_STATE_SUCCEEDED,
        MEMBER_STATE_FAILED,
        MEMBER_STATE_ROLLED_BACK,
        MEMBER_STATE_TIMED_OUT, /* holds no place; what it says when it returns still counts. Without a reason:
                                 * it goes on after all */
        MEMBER_STATE_SKIPPED,   /* could not take part any more when its turn came */
        MEMBER_STATE_CANCELLED, /* the rollout was aborted before its turn */
        MEMBER_STATE_EXCLUDED,  /* could not take part from the beginning: not of the cohort */
        _MEMBER_STATE_MAX,
        _MEMBER_STATE_INVALID = -EINVAL,
} MemberState;
const char *member_state_to_string(MemberState s);
MemberState member_state_from_string(const char *s);
/* Waits or is in flight: belongs to this rollout and to no other. */
bool member_state_is_active(MemberState s);
bool member_state_is_failure(MemberState s);

typedef enum MemberReason {
        MEMBER_REASON_NONE,
        MEMBER_REASON_UP_TO_DATE,
        MEMBER_REASON_ALREADY_NEWER,
        MEMBER_REASON_ALREADY_OLDER, /* of a rollback: it has gone back further */
        MEMBER_REASON_PINNED,
        MEMBER_REASON_ARCH_MISSING,
        MEMBER_REASON_NOT_RELEASED,
        MEMBER_REASON_REQUIRES_MISSING, /* a stepping stone is in no release for it */
        MEMBER_REASON_OFFLINE,
        MEMBER_REASON_OTHER_ROLLOUT,
        MEMBER_REASON_OVERRIDDEN,   /* something more specific desires another version */
        MEMBER_REASON_CONFLICT,     /* another selector desires another version */
        MEMBER_REASON_VERSION_GONE, /* of a rollback: the machine does not keep that version */
        MEMBER_REASON_BELOW_FLOOR,  /* of a rollback: the release forbids to run anything older */
        MEMBER_REASON_REMOVED,
        MEMBER_REASON_ABORTED,
        MEMBER_REASON_VERDICT, /* it failed: the verdict says why */
        _MEMBER_REASON_MAX,
        _MEMBER_REASON_INVALID = -EINVAL,
} MemberReason;
const char *member_reason_to_string(MemberReason r);
MemberReason member_reason_from_string(const char *s);
const char *member_reason_explain(MemberReason r);

/* ---- what is known ---- */

/* What machines may have in common when a release fails on them, and what canaries are drawn across. */
typedef enum RolloutTrait {
        ROLLOUT_TRAIT_OS,
        ROLLOUT_TRAIT_KERNEL,
        ROLLOUT_TRAIT_ARCH,
        _ROLLOUT_TRAIT_MAX,
} RolloutTrait;
const char *rollout_trait_to_string(RolloutTrait t);

#define ROLLOUT_BATCH_CANARY 0U
#define ROLLOUT_BATCH_NONE UINT32_MAX

typedef struct RolloutMember {
        const char *agent; /* borrowed, as are all texts here */
        const char *goal;  /* the version it shall come to */
        const char *from;  /* what it ran when it was first admitted; NULL before */
        MemberState state;
        MemberReason reason;
        UpdateVerdict verdict; /* with MEMBER_REASON_VERDICT */
        bool canary;
        bool retry;     /* an operator asked for another attempt */
        bool seen;      /* had ended when somebody resumed or retried: counts for no limit any more */
        bool excused;   /* has what failures had in common that stopped it: no evidence for that any more */
        uint32_t batch; /* in which it was admitted last; ROLLOUT_BATCH_NONE: never */
        uint32_t attempts;
        uint32_t position;                   /* order of admission */
        usec_t admitted;                     /* last admission, on the rollout's clock */
        usec_t not_before, updated;          /* CLOCK_REALTIME */
        uint32_t traits[_ROLLOUT_TRAIT_MAX]; /* each value has a number below n_traits[] */

        /* said by the step */
        bool changed;
        const char *instruct; /* admitted now: send it to this version, a stepping stone or the goal */
} RolloutMember;

/* The agent behind a member, and its last instruction for this rollout. */
typedef struct RolloutView {
        bool exists;
        bool online; /* and it has said what it runs */
        usec_t last_seen;
        const char *version; /* NULL: not known yet */
        const char *arch;    /* NULL: not known yet */
        const char *previous_version;
        bool pinned;
        const char *pinned_version;
        MemberReason desired;  /* NONE, OVERRIDDEN or CONFLICT: what else is desired for it */
        bool in_other_rollout; /* waits or is in flight there: it is never taken back from there */
        bool busy;             /* at an update that did not come from here */

        bool has_instruction;
        UpdatePhase phase;
        UpdateVerdict verdict;
        const char *instruction_version;
        usec_t finished;
} RolloutView;

typedef struct RolloutCounts {
        uint64_t n[_MEMBER_STATE_MAX];
        uint64_t admitted; /* ever */
        uint64_t failures; /* failed, rolled back, timed out */
        uint64_t cohort;   /* all but the excluded */
        uint64_t counted_admitted, counted_failures; /* of those two, what nobody has seen: for the limits */
} RolloutCounts;

void rollout_count(const RolloutMember *members, size_t n, RolloutCounts *ret);

/* How far it is; kept by the store. Times in here are on the rollout's clock unless said otherwise. */
typedef struct RolloutProgress {
        RolloutState state;
        RolloutReason reason;
        uint32_t batch;        /* ROLLOUT_BATCH_CANARY, then 1 and so on */
        usec_t batch_opened;   /* first admission in it; 0: none yet */
        usec_t settled;        /* all of it had ended; 0: not yet */
        usec_t waiting_since;  /* only agents that are away are left; 0: not so */
        usec_t waited;         /* how long that was so before, with nothing but closed windows in between */
        bool approved;         /* the gate after this batch */
        bool threshold_waived; /* resumed after the success threshold of this batch was missed */
        usec_t started;                        /* CLOCK_REALTIME */
        usec_t paused_since, paused_total;     /* CLOCK_REALTIME and its span */
        usec_t next_look;                      /* CLOCK_REALTIME; USEC_INFINITY: when something happens */
        uint64_t boot;                         /* by which the times in CLOCK_REALTIME were written: as the input's */
        usec_t booted;
        usec_t clock_set; /* CLOCK_REALTIME: when that changed last; nobody is away for longer */
} RolloutProgress;

/* ---- plan ---- */

typedef struct RolloutInput {
        const RolloutSpec *spec;
        RolloutKind kind;
        uint64_t seed; /* of the order: the rollout's id */
        const ReleaseInfo *releases;
        size_t n_releases;
        RolloutMember *members;   /* in order of position */
        const RolloutView *views; /* one for each member */
        size_t n;
        size_t n_traits[_ROLLOUT_TRAIT_MAX];
        usec_t now; /* CLOCK_REALTIME */
        uint64_t boot; /* names this boot of the gateway's machine */
        usec_t booted; /* CLOCK_REALTIME: when that was, by the wall clock as it is set now */
} RolloutInput;

/* Fills in the members' state, reason, canary and position from their goal, traits and views, and the
 * progress of a rollout that begins now; sorts members and views (which must be writable for that) by
 * position. -ENOMEM; -ESRCH: an explicit canary is not of the cohort, whose id is in *reterr_canary. */
int rollout_plan(RolloutInput *in, RolloutView *views, RolloutProgress *ret, const char **reterr_canary);

/* New members while it runs, by the same rules: those before n_old are left alone. */
int rollout_plan_more(RolloutInput *in, size_t n_old);

/* A new agent joins when it is known what it runs, no other rollout has it, and it is there or may be waited
 * for: a reason that passes excludes nobody for good. Until then it is looked at again. */
bool rollout_may_join(const RolloutSpec *spec, const RolloutView *v);

/* Where a machine goes when it goes back: to the version that it ran before the one that is taken back, which
 * is the one that it keeps; after a stepping stone that is the stone. One that runs something else is held
 * against what it came from. */
const char *rollout_way_back(const char *taken_back, const char *from, const RolloutView *v);

/* May this member take part now, and what would it be sent? NONE, or why not. *ret_hop is NULL for a machine
 * of which nothing is known yet. */
MemberReason
rollout_judge(const RolloutInput *in, const RolloutMember *m, const RolloutView *v, const char **ret_hop);

/* ---- step ---- */

typedef struct RolloutOutcome {
        RolloutCounts counts; /* after the step */
        uint64_t admitted_now;
        RolloutTrait correlated_trait; /* with ROLLOUT_REASON_CORRELATED_FAILURES: what they have in common
                                        */
        uint32_t correlated_value;
} RolloutOutcome;

int rollout_step(RolloutProgress *p, const RolloutInput *in, RolloutOutcome *ret);

/* The rollout's own clock at this moment; never 0. */
usec_t rollout_clock(const RolloutProgress *p, usec_t now);
/* Part of every step: makes up for a wall clock that was set since the last. */
void rollout_follow_clock(RolloutProgress *p, const RolloutInput *in);

/* ---- what people do ---- */

/* 0, or -EBUSY: its state does not allow that. A step follows each of them. */
int rollout_pause(RolloutProgress *p, usec_t now);
/* After failures had stopped it only what ends from now on counts: of what had ended, each member is marked as
 * seen, so that good news about it, which may yet come, pay for no failure of others. After release-gone those
 * are skipped for whom a stepping stone or a build is still missing; it stops again when the goal itself is. */
int rollout_resume(RolloutProgress *p, RolloutInput *in);
int rollout_abort(RolloutProgress *p, usec_t now);
int rollout_approve(RolloutProgress *p);
/* Those that failed, rolled back or timed out wait for another turn. The number of them; -EBUSY while it is
 * being aborted; -ENOENT: there is nobody. One that is in another rollout meanwhile (in_other_rollout), or
 * goes on with its update after its lease had ended, is left alone. */
int rollout_retry_failed(RolloutProgress *p, RolloutInput *in);

/* ---- preview ---- */

typedef struct RolloutPreviewBatch {
        uint32_t batch;
        usec_t begins; /* CLOCK_REALTIME */
        uint64_t agents;
} RolloutPreviewBatch;

typedef struct RolloutPreview {
        RolloutPreviewBatch *batches;
        size_t n, n_allocated;
        usec_t ends;              /* CLOCK_REALTIME, with everybody who is online now */
        uint64_t waiting_offline; /* who are left then */
        bool approvals;           /* waits for people were counted as nothing */
        bool approximate; /* the end was computed from the rate, being far away; or how long an update takes is
                           * not known yet */
} RolloutPreview;
void rollout_preview_done(RolloutPreview *p);

/* Plays a planned rollout to its end, if every update takes that long and succeeds. Works on copies. */
int rollout_preview(
                const RolloutProgress *p, const RolloutInput *in, usec_t update_takes, RolloutPreview *ret);

/* rollout-check.c. Refuses a planned rollout that would not end within a year even if everybody were there:
 * -EINVAL as rollout_spec_settle(). */
int rollout_check_end(
                const RolloutProgress *p,
                const RolloutInput *in,
                usec_t update_takes,
                const char **reterr_pointer,
                char **reterr_detail);
