/* SPDX-License-Identifier: Apache-2.0 */
#include "login-limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "alloc-util.h"
#include "string-util.h"

/* A minute at most for a name: a guess a minute is nothing against twelve characters, and who is kept out by
 * somebody else's guesses from the same network is kept out for a minute. */
static const LoginLimitRules pair_rules = {
        .burst = 5,
        .refill = USEC_PER_MINUTE,
        .pause = 2 * USEC_PER_SEC,
        .pause_max = USEC_PER_MINUTE,
};

/* Ten networks that guess as fast as they may do not fill it in the first minutes; filled, it is six guesses a minute. */
static const LoginLimitRules name_rules = {
        .burst = 50,
        .refill = 10 * USEC_PER_SEC,
        .pause = USEC_PER_SEC,
        .pause_max = 10 * USEC_PER_SEC,
};

/* More room for an address, which may be a whole site's. */
static const LoginLimitRules address_rules = {
        .burst = 20,
        .refill = 15 * USEC_PER_SEC,
        .pause = 2 * USEC_PER_SEC,
        .pause_max = 5 * USEC_PER_MINUTE,
};

/* Half of a core, at 60 ms for each hash. */
static const LoginLimitRules all_rules = {
        .burst = 30,
        .refill = 125 * USEC_PER_MSEC,
        .pause = 125 * USEC_PER_MSEC,
        .pause_max = USEC_PER_SEC,
};

typedef struct Bucket {
        unsigned level; /* attempts, as of .since */
        usec_t since;
        usec_t not_before; /* of the next attempt */
        bool told;         /* that it must wait */
} Bucket;

typedef struct Table {
        const LoginLimitRules *rules;
        Hashmap *buckets;
} Table;

struct LoginLimit {
        Table pairs, names, addresses;
        Bucket all;
        Hashmap *known; /* by pair: usec_t, when it came in last */
};

static void value_free(void *value) {
        free(value);
}

static int table_init(Table *t, const LoginLimitRules *rules) {
        t->rules = rules;
        return hashmap_new(&t->buckets, value_free);
}

int login_limit_new(LoginLimit **ret) {
        _cleanup_(login_limit_freep) LoginLimit *l = new0(LoginLimit, 1);
        int r;

        if (!l)
                return -ENOMEM;
        r = table_init(&l->pairs, &pair_rules);
        if (r >= 0)
                r = table_init(&l->names, &name_rules);
        if (r >= 0)
                r = table_init(&l->addresses, &address_rules);
        if (r >= 0)
                r = hashmap_new(&l->known, value_free);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

LoginLimit *login_limit_free(LoginLimit *l) {
        if (!l)
                return NULL;
        hashmap_free(l->pairs.buckets);
        hashmap_free(l->names.buckets);
        hashmap_free(l->addresses.buckets);
        hashmap_free(l->known);
        free(l);
        return NULL;
}

size_t login_limit_size(const LoginLimit *l) {
        return hashmap_size(l->pairs.buckets) + hashmap_size(l->names.buckets) +
               hashmap_size(l->addresses.buckets) + hashmap_size(l->known);
}

/* The network first: there is no space in it, whatever is in the name. */
static char *pair_key(const char *name, const char *address) {
        return strjoinf("%s %s", address, name);
}

static void bucket_drain(const LoginLimitRules *rules, Bucket *b, usec_t now) {
        usec_t n = usec_sub(now, b->since) / rules->refill;

        if (n >= b->level) {
                b->level = 0;
                b->since = now;
        } else {
                b->level -= (unsigned) n;
                b->since += n * rules->refill;
        }
}

/* The emptiest goes, empty ones all at once. */
static void table_make_room(Table *t, usec_t now) {
        const char *key, *emptiest = NULL;
        unsigned level = UINT32_MAX;
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(t->buckets, &cursor, &key, &value)) {
                Bucket *b = value;

                bucket_drain(t->rules, b, now);
                if (b->level == 0 && b->not_before <= now)
                        free(hashmap_remove(t->buckets, key));
                else if (b->level < level) {
                        level = b->level;
                        emptiest = key;
                }
        }
        if (hashmap_size(t->buckets) >= LOGIN_LIMIT_ENTRIES_MAX && emptiest)
                free(hashmap_remove(t->buckets, emptiest));
}

static int table_get(Table *t, const char *key, usec_t now, Bucket **ret) {
        Bucket *b = hashmap_get(t->buckets, key);
        int r;

        if (!b) {
                if (hashmap_size(t->buckets) >= LOGIN_LIMIT_ENTRIES_MAX)
                        table_make_room(t, now);
                b = new0(Bucket, 1);
                if (!b)
                        return -ENOMEM;
                b->since = now;
                r = hashmap_put(t->buckets, key, b);
                if (r < 0) {
                        free(b);
                        return r;
                }
        }
        bucket_drain(t->rules, b, now);
        *ret = b;
        return 0;
}

static void bucket_count(const LoginLimitRules *rules, Bucket *b, usec_t now) {
        usec_t pause;
        unsigned over;

        b->level++;
        if (b->level < rules->burst)
                return;
        over = MIN(b->level - rules->burst, 20U);
        pause = MIN(rules->pause << over, rules->pause_max);
        b->not_before = usec_add(now, pause);
        /* what can make no difference any more need not take longer to go away either */
        b->level = MIN(b->level, rules->burst + 20U);
}

static void bucket_give_back(const LoginLimitRules *rules, Bucket *b) {
        if (!b)
                return;
        if (b->level > 0)
                b->level--;
        if (b->level < rules->burst)
                b->not_before = 0;
}

/* ---- who came in before ---- */

static bool is_known(const LoginLimit *l, const char *pair, usec_t now) {
        const usec_t *when = hashmap_get(l->known, pair);

        return when && usec_sub(now, *when) < LOGIN_LIMIT_KNOWN_TIME;
}

bool login_limit_knows(const LoginLimit *l, const char *name, const char *address, usec_t now) {
        _cleanup_free_ char *pair = pair_key(name, address);

        return pair && is_known(l, pair, now);
}

static void forget_oldest(LoginLimit *l) {
        const char *key, *oldest = NULL;
        usec_t when = USEC_INFINITY;
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(l->known, &cursor, &key, &value))
                if (*(usec_t *) value < when) {
                        when = *(usec_t *) value;
                        oldest = key;
                }
        if (oldest)
                free(hashmap_remove(l->known, oldest));
}

static int know(LoginLimit *l, const char *pair, usec_t now) {
        usec_t *when = hashmap_get(l->known, pair);
        int r;

        if (!when) {
                if (hashmap_size(l->known) >= LOGIN_LIMIT_ENTRIES_MAX)
                        forget_oldest(l);
                when = new0(usec_t, 1);
                if (!when)
                        return -ENOMEM;
                r = hashmap_put(l->known, pair, when);
                if (r < 0) {
                        free(when);
                        return r;
                }
        }
        *when = now;
        return 0;
}

int login_limit_success(LoginLimit *l, const char *name, const char *address, usec_t now) {
        _cleanup_free_ char *pair = pair_key(name, address);

        if (!pair)
                return -ENOMEM;
        free(hashmap_remove(l->pairs.buckets, pair));
        bucket_give_back(l->names.rules, hashmap_get(l->names.buckets, name));
        bucket_give_back(l->addresses.rules, hashmap_get(l->addresses.buckets, address));
        return know(l, pair, now);
}

/* ---- attempts ---- */

typedef struct Attempt {
        Bucket *buckets[4]; /* the pair's first; who is known has that one alone */
        const LoginLimitRules *rules[4];
        size_t n;
} Attempt;

static int attempt_add(Attempt *a, Table *t, const char *key, usec_t now) {
        int r;

        r = table_get(t, key, now, &a->buckets[a->n]);
        if (r >= 0)
                a->rules[a->n++] = t->rules;
        return r;
}

static int attempt_find(Attempt *a, LoginLimit *l, const char *name, const char *address, usec_t now) {
        _cleanup_free_ char *pair = pair_key(name, address);
        int r;

        r = pair ? attempt_add(a, &l->pairs, pair, now) : -ENOMEM;
        if (r < 0 || is_known(l, pair, now))
                return r;
        r = attempt_add(a, &l->names, name, now);
        if (r >= 0)
                r = attempt_add(a, &l->addresses, address, now);
        if (r < 0)
                return r;
        bucket_drain(&all_rules, &l->all, now);
        a->buckets[a->n] = &l->all;
        a->rules[a->n++] = &all_rules;
        return 0;
}

/* Who was told to wait and did not waits longer; who did has its turn as early as anybody. */
static void attempt_refuse(Attempt *a, Bucket *latest, usec_t now) {
        if (a->buckets[0]->told && a->buckets[0]->not_before > now)
                bucket_count(a->rules[0], a->buckets[0], now);
        a->buckets[0]->not_before = MAX(a->buckets[0]->not_before, latest->not_before);
}

int login_limit_try(
                LoginLimit *l,
                const char *name,
                const char *address,
                usec_t now,
                usec_t *ret_wait,
                bool *ret_begins) {

        Attempt a = {};
        Bucket *latest;
        int r;

        r = attempt_find(&a, l, name, address, now);
        if (r < 0)
                return r;
        latest = a.buckets[0];
        for (size_t i = 1; i < a.n; i++)
                if (a.buckets[i]->not_before > latest->not_before)
                        latest = a.buckets[i];
        if (latest->not_before > now) {
                attempt_refuse(&a, latest, now);
                *ret_wait = a.buckets[0]->not_before - now;
                *ret_begins = !a.buckets[0]->told;
                a.buckets[0]->told = true;
                return 1;
        }
        for (size_t i = 0; i < a.n; i++)
                bucket_count(a.rules[i], a.buckets[i], now);
        a.buckets[0]->told = false;
        *ret_wait = 0;
        *ret_begins = false;
        return 0;
}

void login_limit_network(const char *address, char ret[static LOGIN_ADDRESS_MAX]) {
        struct in6_addr a;

        if (inet_pton(AF_INET6, address, &a) == 1) {
                memset(&a.s6_addr[8], 0, 8);
                if (inet_ntop(AF_INET6, &a, ret, LOGIN_ADDRESS_MAX))
                        return;
        }
        (void) snprintf(ret, LOGIN_ADDRESS_MAX, "%s", address);
}
