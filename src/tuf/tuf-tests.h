/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For test programs alone: a repository in memory, made with real keys. Everything asserts. */

#include "tests.h"
#include "tuf-bytes.h"
#include "tuf-signer.h"

#define TEST_NOW (UINT64_C(1893456000) * USEC_PER_SEC) /* 2030-01-01T00:00:00Z */
#define TEST_KEYS 8U

typedef struct TestText {
        char *data;
        size_t size;
} TestText;

typedef struct TestRepo {
        TufSecretKey *keys[TEST_KEYS];
        /* who signs what, as indexes of keys; by default key N alone for role N */
        struct {
                unsigned keys[4];
                size_t n;
                uint64_t threshold;
        } roles[_TUF_ROLE_MAX];
        uint64_t versions[_TUF_ROLE_MAX]; /* of what is made next */
        usec_t expires[_TUF_ROLE_MAX];
        json_t *targets; /* envelope whose targets go into the next targets file */
        TestText texts[_TUF_ROLE_MAX]; /* what was made last */
        TufBytes *bytes; /* the whole repository, see test_repo_publish() */
} TestRepo;

void test_repo_init(TestRepo *t);
void test_repo_done(TestRepo *t);

/* Makes texts[role] from the settings (snapshot from texts[targets], timestamp from texts[snapshot]). */
void test_repo_make(TestRepo *t, TufRole role);
/* All four. */
void test_repo_make_all(TestRepo *t);
/* Version + 1 and make, from targets (or from the role given) upwards to timestamp. */
void test_repo_bump(TestRepo *t, TufRole from);
/* Puts what was made last into bytes; roots pile up, the rest is replaced. */
void test_repo_publish(TestRepo *t);

/* The parsed text, to be changed; and a changed envelope signed again by the role's keys, as texts[role]. */
json_t *test_repo_envelope(const TestRepo *t, TufRole role);
void test_repo_set(TestRepo *t, TufRole role, json_t *envelope /* taken */);
void test_repo_add_target(TestRepo *t, const char *path, const char *content, json_t *custom /* taken */);
/* agent and updater of a version, well formed. */
void test_repo_add_release(TestRepo *t, const char *version, const char *arch);
