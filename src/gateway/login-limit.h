/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How often somebody may guess. Each attempt fills four buckets, which empty with time: that of the name as tried from
 * this network, that of the network, that of the name as tried from everywhere, and that of everything. While none is
 * full there is no wait; beyond, each further attempt doubles the pause until the next, up to a bound.
 *
 * Nobody may keep a person out: the strict bucket is that of name and network together, so that guesses from one network
 * are no matter in another. The name's own is much looser; there, when many networks guess at once, the turn is whoever's
 * comes first after the pause, so everybody is told when to come back, and who comes back earlier waits longer. And who
 * has come in from a network before is bound by the first bucket alone.
 *
 * Attempts are counted when they begin, before anything is computed, so that many at once do not slip through; success
 * takes the first bucket away, and its own from the others: who has one good password must not have it buy guesses at
 * others. Bounded tables; when one is full the emptiest bucket is given up, so that made-up names do not wash away the
 * one that is being guessed at. Pure: time is a parameter (any clock that does not go back).
 */

#include "hashmap.h"
#include "time-util.h"

#define LOGIN_LIMIT_ENTRIES_MAX 4096U
#define LOGIN_LIMIT_KNOWN_TIME (30 * USEC_PER_DAY)

typedef struct LoginLimitRules {
        unsigned burst;          /* attempts without a wait */
        usec_t refill;           /* time in which one of them comes back */
        usec_t pause, pause_max; /* the first wait; the longest */
} LoginLimitRules;

typedef struct LoginLimit LoginLimit;

int login_limit_new(LoginLimit **ret);
LoginLimit *login_limit_free(LoginLimit *l);
DEFINE_POINTER_CLEANUP(LoginLimit, login_limit_free);

/* May one attempt begin now? 0: yes, and it is counted; > 0: not yet, with the time to wait, and it counts only if it
 * came before the time that the last one was told; -ENOMEM. *ret_begins: this is the first refusal since one was let
 * through. */
int login_limit_try(
                LoginLimit *l,
                const char *name,
                const char *address,
                usec_t now,
                usec_t *ret_wait,
                bool *ret_begins);
/* It was right. -ENOMEM: so much the worse for its next attempts. */
int login_limit_success(LoginLimit *l, const char *name, const char *address, usec_t now);
/* Has this name come in from there, not too long ago? */
bool login_limit_knows(const LoginLimit *l, const char *name, const char *address, usec_t now);
size_t login_limit_size(const LoginLimit *l);

/* What addresses are counted by: the network of an IPv6 host, which has more addresses than anybody could
 * count. */
#define LOGIN_ADDRESS_MAX 48U
void login_limit_network(const char *address, char ret[static LOGIN_ADDRESS_MAX]);
