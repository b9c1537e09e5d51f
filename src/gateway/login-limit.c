/* SPDX-License-Identifier: Apache-2.0 */
#include "login-limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "alloc-util.h"
#include "string-util.h"

/* A minute at most for a name: a guess a minute is nothing against twelve characters, and who is kept out by
 * somebody else's guesses is kept out for a minute. */
const LoginLimitRules login_limit_names = {
        .burst = 5,
        .refill = USEC_PER_MINUTE,
        .pause = 2 * USEC_PER_SEC,
        .pause_max = USEC_PER_MINUTE,
};

/* More room for an address, which may be a whole site's. */
const LoginLimitRules login_limit_addresses = {
        .burst = 20,
        .refill = 15 * USEC_PER_SEC,
        .pause = 2 * USEC_PER_SEC,
        .pause_max = 5 * USEC_PER_MINUTE,
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
        Table names, addresses;
};

static void bucket_destroy(void *value) {
        free(value);
}

int login_limit_new(LoginLimit **ret, const LoginLimitRules *names, const LoginLimitRules *addresses) {
        _cleanup_(login_limit_freep) LoginLimit *l = new0(LoginLimit, 1);
        int r;

        if (!l)
                return -ENOMEM;
        l->names.rules = names;
        l->addresses.rules = addresses;
        r = hashmap_new(&l->names.buckets, bucket_destroy);
        if (r >= 0)
                r = hashmap_new(&l->addresses.buckets, bucket_destroy);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

LoginLimit *login_limit_free(LoginLimit *l) {
        if (!l)
                return NULL;
        hashmap_free(l->names.buckets);
        hashmap_free(l->addresses.buckets);
        free(l);
        return NULL;
}

size_t login_limit_size(const LoginLimit *l) {
        return hashmap_size(l->names.buckets) + hashmap_size(l->addresses.buckets);
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

        b->told = false;
        b->level++;
        if (b->level < rules->burst)
                return;
        over = MIN(b->level - rules->burst, 20U);
        pause = MIN(rules->pause << over, rules->pause_max);
        b->not_before = usec_add(now, pause);
        /* what can make no difference any more need not take longer to go away either */
        b->level = MIN(b->level, rules->burst + 20U);
}

int login_limit_try(
                LoginLimit *l,
                const char *name,
                const char *address,
                usec_t now,
                usec_t *ret_wait,
                bool *ret_begins) {

        Bucket *n, *a;
        usec_t until;
        int r;

        r = table_get(&l->names, name, now, &n);
        if (r >= 0)
                r = table_get(&l->addresses, address, now, &a);
        if (r < 0)
                return r;
        until = MAX(n->not_before, a->not_before);
        if (until > now) {
                Bucket *b = n->not_before >= a->not_before ? n : a;

                *ret_wait = until - now;
                *ret_begins = !b->told;
                b->told = true;
                return 1;
        }
        bucket_count(l->names.rules, n, now);
        bucket_count(l->addresses.rules, a, now);
        *ret_wait = 0;
        *ret_begins = false;
        return 0;
}

void login_limit_success(LoginLimit *l, const char *name, const char *address) {
        Bucket *a = hashmap_get(l->addresses.buckets, address);

        free(hashmap_remove(l->names.buckets, name));
        if (!a)
                return;
        if (a->level > 0)
                a->level--;
        if (a->level < l->addresses.rules->burst)
                a->not_before = 0;
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
