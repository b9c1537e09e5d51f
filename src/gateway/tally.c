/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include "alloc-util.h"
#include "hashmap.h"
#include "string-util.h"

typedef struct Count {
        char *value;
        uint64_t n;
} Count;

struct Tally {
        Hashmap *counts; /* value → Count */
        Count *last;     /* the same often comes again */
};

static void count_destroy(void *value) {
        Count *c = value;

        free(c->value);
        free(c);
}

int tally_new(Tally **ret) {
        _cleanup_(tally_freep) Tally *t = new0(Tally, 1);
        int r;

        if (!t)
                return -ENOMEM;
        r = hashmap_new(&t->counts, count_destroy);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

Tally *tally_free(Tally *t) {
        if (!t)
                return NULL;
        hashmap_free(t->counts);
        free(t);
        return NULL;
}

int tally_add(Tally *t, const char *value, uint64_t n) {
        Count *c = t->last;
        int r;

        if (!c || !streq(c->value, value))
                c = hashmap_get(t->counts, value);
        if (!c) {
                c = new0(Count, 1);
                if (!c)
                        return -ENOMEM;
                c->value = strdup(value);
                r = c->value ? hashmap_put(t->counts, value, c) : -ENOMEM;
                if (r < 0) {
                        count_destroy(c);
                        return r;
                }
        }
        c->n += n;
        t->last = c;
        return 0;
}

static int compare_counts(const void *a, const void *b) {
        const Count *one = *(Count *const *) a, *two = *(Count *const *) b;

        if (one->n != two->n)
                return one->n > two->n ? -1 : 1;
        return strcmp(one->value, two->value);
}

static int add_count(json_t *values, const Count *c) {
        json_t *o = json_object();

        if (!o || json_set_string(o, "value", c->value) < 0 || json_set_u64(o, "count", c->n) < 0) {
                json_decref(o);
                return -ENOMEM;
        }
        return json_array_append_new(values, o) < 0 ? -ENOMEM : 0;
}

/* All but "" in order; returns how many. */
static size_t sort_counts(Tally *t, Count **ret, uint64_t *ret_none) {
        size_t cursor = 0, n = 0;
        const char *value;
        void *count;

        *ret_none = 0;
        while (hashmap_iterate(t->counts, &cursor, &value, &count))
                if (isempty(value))
                        *ret_none = ((Count *) count)->n;
                else
                        ret[n++] = count;
        if (n > 0)
                qsort(ret, n, sizeof(Count *), compare_counts);
        return n;
}

json_t *tally_view(Tally *t, size_t max) {
        _cleanup_json_ json_t *o = json_object();
        _cleanup_free_ Count **counts = new0(Count *, hashmap_size(t->counts));
        uint64_t none, other = 0;
        json_t *values = json_array();
        size_t n;
        int r;

        if (!o || !counts || !values) {
                json_decref(values);
                return NULL;
        }
        r = json_set_take(o, "values", values);
        n = sort_counts(t, counts, &none);
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (i < max)
                        r = add_count(values, counts[i]);
                else
                        other += counts[i]->n;
        if (r >= 0 && none > 0)
                r = json_set_u64(o, "none", none);
        if (r >= 0 && other > 0)
                r = json_set_u64(o, "other", other);
        return r < 0 ? NULL : TAKE_PTR(o);
}
