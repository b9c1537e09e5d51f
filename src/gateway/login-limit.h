/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How often somebody may guess: per name and per address, each with a bucket that every attempt fills and
 * that empties with time. While it is not full there is no wait; beyond, each further attempt doubles the
 * pause until the next, up to a bound, so that nobody can lock a person out for long. Attempts are counted
 * when they begin, before anything is computed, so that many at once do not slip through; success takes the
 * name's away, and its own from the address: who has one good password must not have it buy guesses at
 * others. Bounded tables; when one is full the emptiest bucket is given up, so that made-up names do not
 * wash away the one that is being guessed at. Pure: time is a parameter (any clock that does not go back).
 */

#include "hashmap.h"
#include "time-util.h"

#define LOGIN_LIMIT_ENTRIES_MAX 4096U

typedef struct LoginLimitRules {
        unsigned burst;          /* attempts without a wait */
        usec_t refill;           /* time in which one of them comes back */
        usec_t pause, pause_max; /* the first wait; the longest */
} LoginLimitRules;

extern const LoginLimitRules login_limit_names, login_limit_addresses;

typedef struct LoginLimit LoginLimit;

int login_limit_new(LoginLimit **ret, const LoginLimitRules *names, const LoginLimitRules *addresses);
LoginLimit *login_limit_free(LoginLimit *l);
DEFINE_POINTER_CLEANUP(LoginLimit, login_limit_free);

/* May one attempt begin now? 0: yes, and it is counted; > 0: not yet, with the time to wait, and it is not
 * counted; -ENOMEM. *ret_begins: this is the first refusal since one was let through. */
int login_limit_try(
                LoginLimit *l,
                const char *name,
                const char *address,
                usec_t now,
                usec_t *ret_wait,
                bool *ret_begins);
void login_limit_success(LoginLimit *l, const char *name, const char *address);
size_t login_limit_size(const LoginLimit *l);

/* What addresses are counted by: the network of an IPv6 host, which has more addresses than anybody could
 * count. */
#define LOGIN_ADDRESS_MAX 48U
void login_limit_network(const char *address, char ret[static LOGIN_ADDRESS_MAX]);
