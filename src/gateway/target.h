/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whom an action is for: these ids, what a selector or a group matches, or all. The one place where that is
 * read, written, counted and compared with what a person saw. Nothing is a target by accident: one must be
 * named, and only one; all must be said; an empty list or selector is refused.
 *
 * A group means its selector at the moment of the action: target_resolve(). */

#include "request-body.h"
#include "store.h"

typedef enum TargetKind {
        TARGET_IDS,
        TARGET_SELECTOR,
        TARGET_GROUP,
        TARGET_ALL,
} TargetKind;

typedef struct Target {
        TargetKind kind;
        const char *pointer; /* to the member that named it, for refusals */
        TextList ids;        /* a set */
        Selector *selector;  /* a group's once it is resolved */
        char *group;
} Target;
void target_done(Target *t);

#define TARGET_BODY_MAX MIB(1) /* of a request with as many ids as there may be */

/* The members of a body that name one, for request_check_members(): "agent" is an id alone, "ids" are
 * several. */
#define TARGET_MEMBERS "agent", "ids", "selector", "group", "all"
int target_parse(json_t *body, Target *ret, RequestError *reterr);

/* One text for one meaning: "ids:a,b", "selector:env=x", "group:web", "all". */
int target_format(const Target *t, char **ret);
/* An object that target_parse() reads back to the same. NULL on lack of memory. */
json_t *target_view(const Target *t);
/* For people: "agent a", "3 agents", "env=x", "group web", "all agents". NULL on lack of memory. */
char *target_describe(const Target *t);

/* ---- in a job, on the worker's thread ---- */

/* Looks up the group; refuses one that is not there, and ids of agents that are not. */
int target_resolve(Target *t, Store *s, RequestError *reterr);
/* What follows is for a resolved one. The query borrows from it. */
void target_query(const Target *t, AgentQuery *ret);
bool target_matches(const Target *t, const AgentRecord *a);
int target_ids(const Target *t, Store *s, TextList *ret); /* sorted */

#define TARGET_DIGEST_MAX 65U
typedef struct TargetSize {
        uint64_t count;
        char digest[TARGET_DIGEST_MAX]; /* SHA-256 over the sorted ids, each with a newline; hex */
} TargetSize;
int target_measure(const Target *t, Store *s, TargetSize *ret);

/* What the person saw, "expected_count" and "expected_digest", both optional. */
#define TARGET_EXPECTATION_MEMBERS "expected_count", "expected_digest"
typedef struct TargetExpectation {
        bool has_count, has_digest;
        uint64_t count;
        char digest[TARGET_DIGEST_MAX];
} TargetExpectation;
int target_expectation_parse(json_t *body, TargetExpectation *ret, RequestError *reterr);
/* Refuses with both counts when it is not so any more. ret may be NULL. */
int target_check(
                const Target *t,
                Store *s,
                const TargetExpectation *expected,
                TargetSize *ret,
                RequestError *reterr);
