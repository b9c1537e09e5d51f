/* SPDX-License-Identifier: Apache-2.0 */
#include "desired-state.h"

#include <stdio.h>

#include "string-util.h"
#include "tests.h"

#define T0 (1000 * USEC_PER_SEC)

static const DesiredPolicy policy = { .attempts_max = 3,
                                      .pause = 10 * USEC_PER_SEC,
                                      .pause_max = 30 * USEC_PER_SEC };
static char *const intel[] = { (char *) "x86_64", NULL }, *const both[] = { (char *) "x86_64",
                                                                            (char *) "aarch64", NULL };
static const ReleaseInfo releases[] = {
        { .version = "1.0.0", .archs = intel },
        { .version = "1.1.0", .archs = intel },
        { .version = "1.2.0", .archs = both },
        { .version = "2.0.0", .archs = both, .requires = "1.2.0" },
        { .version = "3.0.0", .archs = both, .requires = "2.5.0" },
};

typedef struct Case {
        const char *name;
        const char *running; /* default "1.0.0" */
        const char *arch;    /* default "x86_64" */
        const char *desired; /* NULL: no row */
        bool offline, pinned, conflict, retry;
        /* the outstanding one */
        const char *outstanding;
        UpdatePhase outstanding_phase;
        bool cancel_requested;
        /* the last one of the row and generation */
        bool has_last;
        UpdatePhase last_phase;
        UpdateVerdict last_verdict;
        uint64_t last_attempt; /* default 1 */
        usec_t last_age;
        bool last_before_enrolment;
        const char *last_version; /* default: the desired one */
        const char *from;         /* of the outstanding one */
        uint64_t rollout;         /* of the outstanding one */
        bool in_rollout;
        const char *next; /* expected version; default: the desired one */
        DesiredAction action;
        DesiredReason reason;
        uint64_t attempt;
        usec_t wait; /* from T0 */
} Case;

#define NOTHING(r) .action = DESIRED_ACTION_NOTHING, .reason = DESIRED_REASON_##r
#define INSTRUCT(n) .action = DESIRED_ACTION_INSTRUCT, .reason = DESIRED_REASON_DUE, .attempt = (n)
#define LAST(p, v, age)                                                                                     \
        .has_last = true, .last_phase = UPDATE_PHASE_##p, .last_verdict = UPDATE_VERDICT_##v,               \
        .last_age = (age)

static const Case cases[] = {
        { "nothing desired", NOTHING(NONE_DESIRED) },
        { "up to date", .desired = "1.0.0", NOTHING(UP_TO_DATE) },
        { "update", .desired = "1.1.0", INSTRUCT(1) },
        { "update with retry", .desired = "1.1.0", .retry = true, INSTRUCT(1) },
        { "offline", .desired = "1.1.0", .offline = true, NOTHING(OFFLINE) },
        { "never connected", .running = "", .desired = "1.1.0", .offline = true, NOTHING(OFFLINE) },
        { "only forward", .running = "1.2.0", .desired = "1.1.0", NOTHING(ALREADY_NEWER) },
        { "unknown version", .desired = "1.3.0", NOTHING(NOT_RELEASED) },
        { "no build for it", .arch = "aarch64", .desired = "1.1.0", NOTHING(ARCH_MISSING) },
        { "a stepping stone", .desired = "2.0.0", .next = "1.2.0", INSTRUCT(1) },
        { "beyond the stepping stone", .running = "1.2.0", .desired = "2.0.0", .last_version = "1.2.0",
          LAST(SUCCEEDED, NONE, USEC_PER_SEC), INSTRUCT(1) },
        { "it left the stepping stone", .running = "1.1.0", .desired = "2.0.0", .last_version = "1.2.0",
          LAST(SUCCEEDED, NONE, USEC_PER_SEC), NOTHING(WENT_BACK) },
        { "a stepping stone is missing", .desired = "3.0.0", NOTHING(REQUIRES_MISSING) },
        { "at the stepping stone", .desired = "2.0.0", .outstanding = "1.2.0", .from = "1.0.0",
          .outstanding_phase = UPDATE_PHASE_DOWNLOADING, .action = DESIRED_ACTION_REPEAT,
          .reason = DESIRED_REASON_UPDATING },
        { "a turn in a rollout", .desired = "1.1.0", .in_rollout = true, NOTHING(IN_ROLLOUT) },
        { "sent by a rollout", .desired = "1.1.0", .in_rollout = true, .outstanding = "1.2.0", .rollout = 7,
          .outstanding_phase = UPDATE_PHASE_OFFERED, .action = DESIRED_ACTION_REPEAT,
          .reason = DESIRED_REASON_UPDATING },
        { "a build for it", .arch = "aarch64", .desired = "1.2.0", INSTRUCT(1) },
        { "pinned", .desired = "1.1.0", .pinned = true, NOTHING(PINNED) },
        { "pinned at the desired one", .running = "1.1.0", .desired = "1.1.0", .pinned = true,
          NOTHING(UP_TO_DATE) },
        { "conflict", .conflict = true, NOTHING(CONFLICT) },

        { "under way", .desired = "1.1.0", .outstanding = "1.1.0",
          .outstanding_phase = UPDATE_PHASE_DOWNLOADING, .action = DESIRED_ACTION_REPEAT,
          .reason = DESIRED_REASON_UPDATING },
        { "another version is wanted", .desired = "1.2.0", .outstanding = "1.1.0",
          .outstanding_phase = UPDATE_PHASE_STAGING, .action = DESIRED_ACTION_CANCEL,
          .reason = DESIRED_REASON_UPDATING },
        { "too late to withdraw", .desired = "1.2.0", .outstanding = "1.1.0",
          .outstanding_phase = UPDATE_PHASE_RESTARTING, .action = DESIRED_ACTION_REPEAT,
          .reason = DESIRED_REASON_UPDATING },
        { "nothing is wanted any more", .outstanding = "1.1.0", .outstanding_phase = UPDATE_PHASE_OFFERED,
          .action = DESIRED_ACTION_CANCEL, .reason = DESIRED_REASON_UPDATING },
        { "withdrawn and wanted again", .desired = "1.1.0", .outstanding = "1.1.0",
          .outstanding_phase = UPDATE_PHASE_OFFERED, .cancel_requested = true,
          .action = DESIRED_ACTION_CANCEL, .reason = DESIRED_REASON_UPDATING },
        { "a conflict stops nothing", .conflict = true, .outstanding = "1.1.0",
          .outstanding_phase = UPDATE_PHASE_OFFERED, .action = DESIRED_ACTION_REPEAT,
          .reason = DESIRED_REASON_UPDATING },

        { "crashed: not again", .desired = "1.1.0", LAST(ROLLED_BACK, CRASHED, USEC_PER_DAY),
          NOTHING(FAILED) },
        { "hung: not again", .desired = "1.1.0", LAST(ROLLED_BACK, WATCHDOG, USEC_PER_DAY),
          NOTHING(FAILED) },
        { "did not connect: not again", .desired = "1.1.0", LAST(ROLLED_BACK, NOT_CONNECTED, USEC_PER_DAY),
          NOTHING(FAILED) },
        { "bad signature: not again", .desired = "1.1.0", LAST(FAILED, VERIFICATION_FAILED, USEC_PER_DAY),
          NOTHING(FAILED) },
        { "denylisted: not again", .desired = "1.1.0", LAST(FAILED, DENYLISTED, USEC_PER_DAY),
          NOTHING(FAILED) },
        { "operator went back", .desired = "1.1.0", LAST(ROLLED_BACK, OPERATOR, USEC_PER_DAY),
          NOTHING(FAILED) },
        { "had it and left it", .desired = "1.1.0", LAST(SUCCEEDED, NONE, USEC_PER_DAY),
          NOTHING(WENT_BACK) },
        { "enrolled anew", .desired = "1.1.0", LAST(SUCCEEDED, NONE, USEC_PER_DAY),
          .last_before_enrolment = true, INSTRUCT(1) },

        { "gateway away: wait", .desired = "1.1.0", LAST(ROLLED_BACK, GATEWAY_UNREACHABLE, 0),
          NOTHING(WAITING), .attempt = 2, .wait = 10 * USEC_PER_SEC },
        { "gateway away: again", .desired = "1.1.0",
          LAST(ROLLED_BACK, GATEWAY_UNREACHABLE, 10 * USEC_PER_SEC), INSTRUCT(2), .wait = 0 },
        { "interrupted: the pause grows", .desired = "1.1.0",
          LAST(ROLLED_BACK, INTERRUPTED, 10 * USEC_PER_SEC), .last_attempt = 2, NOTHING(WAITING),
          .attempt = 3, .wait = 10 * USEC_PER_SEC },
        { "not for ever", .desired = "1.1.0", LAST(ROLLED_BACK, INTERRUPTED, USEC_PER_DAY),
          .last_attempt = 3, NOTHING(GAVE_UP) },
        { "timed out: again", .desired = "1.1.0", LAST(TIMED_OUT, NONE, USEC_PER_DAY), INSTRUCT(2) },
        { "due, but offline", .desired = "1.1.0", .offline = true, LAST(TIMED_OUT, NONE, USEC_PER_DAY),
          NOTHING(OFFLINE) },
};

static void run_case(const Case *c) {
        AgentRecord agent = {
                .id = (char *) "a",
                .version = (char *) (c->running ?: "1.0.0"),
                .pinned = c->pinned,
                .facts.architecture = (char *) (c->arch ?: "x86_64"),
        };
        DesiredRow row = { .record = { .id = 1,
                                       .kind = DESIRED_KIND_ALL,
                                       .version = (char *) c->desired,
                                       .retry = c->retry } };
        usec_t t = T0 + 10 * USEC_PER_DAY;
        InstructionRecord outstanding = {
                .version = (char *) c->outstanding,
                .phase = c->outstanding_phase,
                .cancel_requested = c->cancel_requested,
                .from_version = (char *) c->from,
                .rollout = c->rollout,
        };
        InstructionRecord last = {
                .version = (char *) (c->last_version ?: c->desired),
                .phase = c->last_phase,
                .verdict = c->last_verdict,
                .attempt = c->last_attempt ?: 1,
                .created = t - c->last_age - 1,
                .finished = t - c->last_age,
        };
        DesiredInput in = {
                .agent = &agent,
                .connected = !c->offline,
                .choice = { .row = c->desired ? &row : NULL, .conflict = c->conflict },
                .in_rollout = c->in_rollout,
                .releases = releases,
                .n_releases = ELEMENTSOF(releases),
                .outstanding = c->outstanding ? &outstanding : NULL,
                .last = c->has_last ? &last : NULL,
                .policy = &policy,
                .now = t,
        };
        DesiredDecision d;

        if (c->last_before_enrolment)
                agent.enrolled = t - 1;
        d = desired_decide(&in);
        if (d.action != c->action || d.reason != c->reason || d.attempt != c->attempt) {
                fprintf(stderr, "%s: action %d reason %s attempt %lu\n", c->name, (int) d.action,
                        desired_reason_to_string(d.reason), (unsigned long) d.attempt);
                assert_se(false);
        }
        if (d.reason == DESIRED_REASON_WAITING)
                assert_se(d.not_before == t + c->wait);
        if (d.action == DESIRED_ACTION_INSTRUCT)
                assert_se(d.retry == c->retry && streq(d.version, c->next ?: c->desired));
}

static void test_limit(void) {
        static const struct {
                DesiredKind kind;
                DesiredLoad load;
                DesiredReason reason;
        } limits[] = {
                { DESIRED_KIND_ALL, { 0, 20, 0, 0 }, DESIRED_REASON_DUE },
                { DESIRED_KIND_ALL, { 19, 20, 0, 0 }, DESIRED_REASON_DUE },
                { DESIRED_KIND_ALL, { 20, 20, 0, 0 }, DESIRED_REASON_LIMIT },
                { DESIRED_KIND_SELECTOR, { 20, 20, 0, 0 }, DESIRED_REASON_LIMIT },
                { DESIRED_KIND_AGENT, { 20, 20, 10, 10 }, DESIRED_REASON_DUE },
                { DESIRED_KIND_ALL, { 0, 20, 3, 2 }, DESIRED_REASON_DUE },
                { DESIRED_KIND_ALL, { 0, 20, 3, 3 }, DESIRED_REASON_HELD },
                { DESIRED_KIND_ALL, { 0, 20, 59, 3 }, DESIRED_REASON_HELD },
                { DESIRED_KIND_ALL, { 0, 20, 60, 3 }, DESIRED_REASON_DUE },
        };
        const DesiredDecision due = { .action = DESIRED_ACTION_INSTRUCT, .reason = DESIRED_REASON_DUE };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                DesiredDecision d = desired_limit(due, limits[i].kind, &limits[i].load, T0);

                assert_se(d.reason == limits[i].reason);
                assert_se((d.action == DESIRED_ACTION_INSTRUCT) == (d.reason == DESIRED_REASON_DUE));
                assert_se(d.not_before == (d.reason == DESIRED_REASON_LIMIT ? T0 + 5 * USEC_PER_SEC : 0));
        }
}

static void test_choose(void) {
        _cleanup_(selector_freep) Selector *web = NULL, *debian = NULL;
        _cleanup_(labels_done) Labels labels = {};
        AgentRecord a = { .id = (char *) "one", .facts.os_id = (char *) "debian" };
        DesiredChoice c;

        assert_se(selector_parse("tier=web", &web, NULL) == 0);
        assert_se(selector_parse("fact.os=debian", &debian, NULL) == 0);
        assert_se(labels_set(&labels, "tier", "web") == 0);
        a.labels = labels;

        DesiredRow rows[] = {
                { .record = { .id = 1,
                              .kind = DESIRED_KIND_ALL,
                              .target = (char *) "",
                              .version = (char *) "1.0.0" } },
                { .record = { .id = 2,
                              .kind = DESIRED_KIND_SELECTOR,
                              .version = (char *) "1.1.0",
                              .updated = 5 },
                  .selector = web },
                { .record = { .id = 3,
                              .kind = DESIRED_KIND_SELECTOR,
                              .version = (char *) "1.1.0",
                              .updated = 9 },
                  .selector = debian },
                { .record = { .id = 4,
                              .kind = DESIRED_KIND_AGENT,
                              .target = (char *) "one",
                              .version = (char *) "1.2.0" } },
        };

        c = desired_choose(&a, rows, 1);
        assert_se(c.row == &rows[0]);
        c = desired_choose(&a, rows, 3);
        assert_se(c.row == &rows[2] && !c.conflict); /* agreeing selectors: the later */
        c = desired_choose(&a, rows, 4);
        assert_se(c.row == &rows[3]); /* the more specific */

        rows[2].record.version = (char *) "1.2.0";
        c = desired_choose(&a, rows, 3);
        assert_se(!c.row && c.conflict);
        c = desired_choose(&a, rows, 4);
        assert_se(c.row == &rows[3] && !c.conflict); /* a conflict below does not matter */

        assert_se(labels_set(&labels, "tier", "") == 0);
        a.labels = labels;
        c = desired_choose(&a, rows, 2);
        assert_se(c.row == &rows[0]);
        a.id = (char *) "two";
        a.facts.os_id = NULL;
        c = desired_choose(&a, rows, 4);
        assert_se(c.row == &rows[0]);
        c = desired_choose(&a, rows + 1, 3);
        assert_se(!c.row && !c.conflict);
}

static void test_reasons(void) {
        for (DesiredReason r = 0; r < _DESIRED_REASON_MAX; r++)
                assert_se(desired_reason_to_string(r) && desired_reason_explain(r));
}

int main(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run_case(cases + i);
        test_limit();
        test_choose();
        test_reasons();
        return 0;
}
