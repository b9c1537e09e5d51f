/* SPDX-License-Identifier: Apache-2.0 */

/* Open addressing with linear probing; removal shifts back, so there are no tombstones. Hash: SipHash-2-4
 * (Aumasson and Bernstein, 2012), keyed per process. */

#include "hashmap.h"

#include <string.h>

#include "alloc-util.h"
#include "time-util.h"

typedef struct Entry {
        char *key; /* NULL: free */
        void *value;
        uint64_t hash;
} Entry;

struct Hashmap {
        Entry *entries;
        size_t n_entries, n_buckets; /* n_buckets: power of two */
        hashmap_free_value_t free_value;
        uint64_t k0, k1;
};

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[static 4]) {
        v[0] += v[1];
        v[1] = ROTL(v[1], 13) ^ v[0];
        v[0] = ROTL(v[0], 32);
        v[2] += v[3];
        v[3] = ROTL(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = ROTL(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = ROTL(v[1], 17) ^ v[2];
        v[2] = ROTL(v[2], 32);
}

static uint64_t siphash24(const char *s, uint64_t k0, uint64_t k1) {
        uint64_t v[4] = {
                k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
                k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL,
        };
        size_t size = strlen(s), i;

        for (i = 0; i + 8 <= size; i += 8) {
                uint64_t m = 0;
                for (unsigned b = 0; b < 8; b++)
                        m |= (uint64_t) (uint8_t) s[i + b] << (8 * b);
                v[3] ^= m;
                sip_round(v);
                sip_round(v);
                v[0] ^= m;
        }
        uint64_t m = (uint64_t) size << 56;
        for (unsigned b = 0; i + b < size; b++)
                m |= (uint64_t) (uint8_t) s[i + b] << (8 * b);
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
        v[2] ^= 0xff;
        for (unsigned b = 0; b < 4; b++)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int hashmap_new(Hashmap **ret, hashmap_free_value_t free_value) {
        Hashmap *h = new0(Hashmap, 1);
        if (!h)
                return -ENOMEM;
        h->free_value = free_value;
        h->k0 = random_u64();
        h->k1 = random_u64();
        *ret = h;
        return 0;
}

Hashmap *hashmap_free(Hashmap *h) {
        if (!h)
                return NULL;
        for (size_t i = 0; i < h->n_buckets; i++)
                if (h->entries[i].key) {
                        free(h->entries[i].key);
                        if (h->free_value)
                                h->free_value(h->entries[i].value);
                }
        free(h->entries);
        free(h);
        return NULL;
}

static Entry *find(Hashmap *h, const char *key, uint64_t hash) {
        if (h->n_buckets == 0)
                return NULL;
        for (size_t i = hash & (h->n_buckets - 1); h->entries[i].key; i = (i + 1) & (h->n_buckets - 1))
                if (h->entries[i].hash == hash && strcmp(h->entries[i].key, key) == 0)
                        return h->entries + i;
        return NULL;
}

static void insert(Entry *entries, size_t n_buckets, Entry e) {
        size_t i = e.hash & (n_buckets - 1);
        while (entries[i].key)
                i = (i + 1) & (n_buckets - 1);
        entries[i] = e;
}

static int grow(Hashmap *h) {
        if ((h->n_entries + 1) * 4 <= h->n_buckets * 3)
                return 0;

        size_t n = h->n_buckets ? h->n_buckets * 2 : 16;
        Entry *entries = new0(Entry, n);
        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < h->n_buckets; i++)
                if (h->entries[i].key)
                        insert(entries, n, h->entries[i]);
        free(h->entries);
        h->entries = entries;
        h->n_buckets = n;
        return 0;
}

void *hashmap_get(Hashmap *h, const char *key) {
        Entry *e = find(h, key, siphash24(key, h->k0, h->k1));
        return e ? e->value : NULL;
}

int hashmap_put(Hashmap *h, const char *key, void *value) {
        uint64_t hash = siphash24(key, h->k0, h->k1);
        if (find(h, key, hash))
                return -EEXIST;

        int r = grow(h);
        if (r < 0)
                return r;
        char *copy = strdup(key);
        if (!copy)
                return -ENOMEM;
        insert(h->entries, h->n_buckets, (Entry) { .key = copy, .value = value, .hash = hash });
        h->n_entries++;
        return 0;
}

int hashmap_replace(Hashmap *h, const char *key, void *value) {
        Entry *e = find(h, key, siphash24(key, h->k0, h->k1));
        if (!e)
                return hashmap_put(h, key, value);
        if (h->free_value && e->value != value)
                h->free_value(e->value);
        e->value = value;
        return 1;
}

void *hashmap_remove(Hashmap *h, const char *key) {
        Entry *e = find(h, key, siphash24(key, h->k0, h->k1));
        if (!e)
                return NULL;

        void *value = e->value;
        free(e->key);
        size_t mask = h->n_buckets - 1, hole = (size_t) (e - h->entries);
        h->entries[hole] = (Entry) {};
        for (size_t i = (hole + 1) & mask; h->entries[i].key; i = (i + 1) & mask) {
                size_t home = h->entries[i].hash & mask;
                /* may the entry at i move to the hole? yes unless its home lies cyclically in (hole, i] */
                if (((i - home) & mask) < ((i - hole) & mask))
                        continue;
                h->entries[hole] = h->entries[i];
                h->entries[i] = (Entry) {};
                hole = i;
        }
        h->n_entries--;
        return value;
}

size_t hashmap_size(const Hashmap *h) {
        return h->n_entries;
}

bool hashmap_iterate(Hashmap *h, size_t *cursor, const char **ret_key, void **ret_value) {
        /* Downwards, cyclically, from a free bucket: removing the current entry then only moves entries that have
         * been visited, as no run of full buckets crosses the start. The cursor holds the start in its upper half
         * and the steps left plus one in its lower half. */
        if (h->n_buckets == 0)
                return false;
        if (*cursor == 0) {
                size_t start = 0;
                while (h->entries[start].key)
                        start++;
                *cursor = start << 32 | h->n_buckets;
        }

        size_t start = *cursor >> 32, left = *cursor & UINT32_MAX;
        while (left > 1) {
                left--;
                Entry *e = h->entries + ((start + left) & (h->n_buckets - 1));
                if (e->key) {
                        *cursor = start << 32 | left;
                        if (ret_key)
                                *ret_key = e->key;
                        if (ret_value)
                                *ret_value = e->value;
                        return true;
                }
        }
        *cursor = start << 32 | 1;
        return false;
}
