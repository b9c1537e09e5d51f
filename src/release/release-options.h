/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The command line of fleet-release: which options there are, and which verb takes which, is one table. */

#include "time-util.h"
#include "tuf-metadata.h"

#define RELEASE_EXIT_USAGE 2

typedef enum Verb {
        VERB_KEY,
        VERB_INIT,
        VERB_ROTATE,
        VERB_ADD,
        VERB_RENEW,
        VERB_SIGN,
        VERB_REVIEW,
        VERB_PUBLISH,
        VERB_TIMESTAMP,
        VERB_VERIFY,
        VERB_LIST,
        _VERB_MAX,
        _VERB_INVALID = -EINVAL,
} Verb;

typedef struct Options {
        Verb verb;
        char **arguments; /* after the verb */
        const char *repo; /* texts belong to argv */
        bool yes, help, unprotected;
        char **keys, **passphrase_files;
        char **role_keys[_TUF_ROLE_MAX];
        uint64_t thresholds[_TUF_ROLE_MAX]; /* 0: not given */
        usec_t role_expires[_TUF_ROLE_MAX], expires; /* from now; 0: not given */
        const char *version, *arch, *os, *product, *requires, *floor, *severity, *root;
        uint64_t requires_packaging;
} Options;

void options_done(Options *o);
/* 0, RELEASE_EXIT_USAGE (after a message), or negative. */
int options_parse(int argc, char *argv[], Options *ret);
const char *verb_to_string(Verb v);

/* The verbs: 0, RELEASE_EXIT_USAGE or a negative errno, all after a message. */
int verb_key(const Options *o);
int verb_init(const Options *o);
int verb_rotate(const Options *o);
int verb_add(const Options *o);
int verb_renew(const Options *o);
int verb_sign(const Options *o);
int verb_review(const Options *o);
int verb_publish(const Options *o);
int verb_timestamp(const Options *o);
int verb_verify(const Options *o);
int verb_list(const Options *o);

/* When a role expires that is signed now: its own option, then --expires, then the role's default. Whole
 * seconds, rounded up. */
usec_t options_expiry(const Options *o, TufRole role);
/* Asks on a terminal; without one (a script) or with --yes the answer is yes. false: not wanted. */
bool options_confirm(const Options *o, const char *question);
