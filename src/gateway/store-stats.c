/* SPDX-License-Identifier: Apache-2.0 */
#include "store-stats.h"

#include "string-util.h"

int store_counts_add(StoreCounts *c, const char *name, uint64_t n) {
        if (c->n >= STORE_COUNTS_MAX) {
                c->others += n;
                return 0;
        }
        c->items[c->n].name = strdup(strempty(name));
        if (!c->items[c->n].name)
                return -ENOMEM;
        c->items[c->n++].n = n;
        return 0;
}

static void counts_done(StoreCounts *c) {
        for (size_t i = 0; i < c->n; i++)
                free(c->items[i].name);
        *c = (StoreCounts){};
}

void store_stats_done(StoreStats *s) {
        counts_done(&s->versions);
        counts_done(&s->rollouts);
        counts_done(&s->reasons);
        counts_done(&s->members);
        *s = (StoreStats){};
}
