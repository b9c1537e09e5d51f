/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "rollout.h"
#include "string-util.h"
#include "version.h"

/* ---- who can take part ---- */

static MemberReason
judge_path(const RolloutInput *in, const RolloutMember *m, const RolloutView *v, const char **ret_hop) {
        switch (release_path_next(in->releases, in->n_releases, v->version, v->arch, m->goal, ret_hop)) {
        case RELEASE_PATH_OK:
                return MEMBER_REASON_NONE;
        case RELEASE_PATH_NOT_RELEASED:
                return MEMBER_REASON_NOT_RELEASED;
        case RELEASE_PATH_ARCH_MISSING:
                return MEMBER_REASON_ARCH_MISSING;
        default:
                return MEMBER_REASON_REQUIRES_MISSING;
        }
}

static MemberReason judge_rollback(const RolloutInput *in, const RolloutMember *m, const RolloutView *v) {
        const ReleaseInfo *running = release_find(in->releases, in->n_releases, v->version);

        if (!streq_ptr(v->previous_version, m->goal))
                return MEMBER_REASON_VERSION_GONE;
        if (running && running->floor && version_compare(m->goal, running->floor) < 0)
                return MEMBER_REASON_BELOW_FLOOR;
        return MEMBER_REASON_NONE;
}

MemberReason
rollout_judge(const RolloutInput *in, const RolloutMember *m, const RolloutView *v, const char **ret_hop) {
        bool back = in->kind == ROLLOUT_KIND_ROLLBACK;
        int c;

        *ret_hop = NULL;
        if (!v->exists)
                return MEMBER_REASON_REMOVED;
        if (v->desired != MEMBER_REASON_NONE)
                return v->desired;
        if (!v->version) /* it has never said Hello */
                return MEMBER_REASON_NONE;
        c = version_compare(v->version, m->goal);
        if (c == 0)
                return MEMBER_REASON_UP_TO_DATE;
        if (!back && c > 0)
                return MEMBER_REASON_ALREADY_NEWER;
        if (back && c < 0)
                return MEMBER_REASON_ALREADY_OLDER;
        if (v->pinned && !streq_ptr(v->pinned_version, m->goal))
                return MEMBER_REASON_PINNED;
        if (back) {
                *ret_hop = m->goal;
                return judge_rollback(in, m, v);
        }
        return judge_path(in, m, v, ret_hop);
}

static void member_classify(const RolloutInput *in, RolloutMember *m, const RolloutView *v) {
        const char *hop;

        m->reason = rollout_judge(in, m, v, &hop);
        if (m->reason == MEMBER_REASON_NONE && v->in_other_rollout)
                m->reason = MEMBER_REASON_OTHER_ROLLOUT;
        if (m->reason == MEMBER_REASON_NONE && !v->online && in->spec->offline == ROLLOUT_OFFLINE_SKIP)
                m->reason = MEMBER_REASON_OFFLINE;
        m->state = m->reason == MEMBER_REASON_NONE ? MEMBER_STATE_PENDING : MEMBER_STATE_EXCLUDED;
        m->verdict = UPDATE_VERDICT_NONE;
        m->canary = m->retry = false;
        m->batch = ROLLOUT_BATCH_NONE;
        m->updated = in->now;
        m->changed = true;
}

/* ---- order ---- */

/* Where an agent stands says nothing about it: names of one rack or one role must not end up in one batch.
 * FNV-1a with the finaliser of SplitMix64. */
static uint64_t order_key(uint64_t seed, const char *agent) {
        uint64_t h = UINT64_C(14695981039346656037) ^ seed * UINT64_C(0x9e3779b97f4a7c15);

        for (; *agent; agent++)
                h = (h ^ (uint8_t) *agent) * UINT64_C(1099511628211);
        h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
        return h ^ h >> 31;
}

typedef struct Entry {
        size_t index;
        const RolloutMember *member;
        uint64_t key;
} Entry;

static int entry_compare_key(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        if (x->key != y->key)
                return x->key < y->key ? -1 : 1;
        return strcmp(x->member->agent, y->member->agent);
}

static int entry_compare_turn(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        if (x->member->canary != y->member->canary)
                return x->member->canary ? -1 : 1;
        return entry_compare_key(a, b);
}

static int entry_compare_agent(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        return strcmp(x->member->agent, y->member->agent);
}

/* Machines that have everything in common stand together, in their order. */
static int entry_compare_traits(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++)
                if (x->member->traits[t] != y->member->traits[t])
                        return x->member->traits[t] < y->member->traits[t] ? -1 : 1;
        return entry_compare_key(a, b);
}

static Entry *entries_new(const RolloutInput *in) {
        Entry *e = new0(Entry, in->n);

        for (size_t i = 0; e && i < in->n; i++)
                e[i] = (Entry){ .index = i,
                                .member = in->members + i,
                                .key = order_key(in->seed, in->members[i].agent) };
        return e;
}

/* ---- canaries ---- */

/* Machines of one kind. */
typedef struct Stratum {
        size_t first, n; /* in the sorted pool */
        size_t drawn;
} Stratum;

typedef struct Draw {
        const RolloutInput *in;
        Entry *pool;
        size_t n;
        Stratum *strata;
        size_t n_strata;
        bool *seen[_ROLLOUT_TRAIT_MAX];
} Draw;

static void draw_done(Draw *d) {
        free(d->pool);
        free(d->strata);
        for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++)
                free(d->seen[t]);
}

static bool same_traits(const RolloutMember *a, const RolloutMember *b) {
        return memcmp(a->traits, b->traits, sizeof(a->traits)) == 0;
}

/* The pool: of those who wait, who could begin now, or who could not. */
static int draw_fill(Draw *d, const RolloutInput *in, bool ready) {
        _cleanup_free_ Entry *all = entries_new(in);

        free(d->pool);
        free(d->strata);
        *d = (Draw){ .in = in, .seen = { d->seen[0], d->seen[1], d->seen[2] } };
        d->pool = new0(Entry, in->n);
        d->strata = new0(Stratum, in->n);
        if (!all || !d->pool || !d->strata)
                return -ENOMEM;
        for (size_t i = 0; i < in->n; i++)
                if (in->members[i].state == MEMBER_STATE_PENDING && !in->members[i].canary &&
                    (in->views[i].online && !in->views[i].busy) == ready)
                        d->pool[d->n++] = all[i];
        qsort(d->pool, d->n, sizeof(Entry), entry_compare_traits);
        for (size_t i = 0; i < d->n; i++) {
                if (i == 0 || !same_traits(d->pool[i].member, d->pool[i - 1].member))
                        d->strata[d->n_strata++].first = i;
                d->strata[d->n_strata - 1].n++;
        }
        return 0;
}

static unsigned stratum_news(const Draw *d, const Stratum *s) {
        const RolloutMember *m = d->pool[s->first].member;
        unsigned n = 0;

        for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++)
                n += !d->seen[t][m->traits[t]];
        return n;
}

/* First what brings the most that no canary has yet, the more common before the rarer; then each kind in
 * proportion. */
static Stratum *draw_choose(const Draw *d) {
        Stratum *best = NULL;
        unsigned best_news = 0;

        for (size_t i = 0; i < d->n_strata; i++) {
                Stratum *s = d->strata + i;
                unsigned news = stratum_news(d, s);

                if (s->drawn == s->n)
                        continue;
                if (!best || news > best_news ||
                    (news == best_news && s->n * (best->drawn + 1) > best->n * (s->drawn + 1))) {
                        best = s;
                        best_news = news;
                }
        }
        return best;
}

static uint64_t draw_run(Draw *d, uint64_t wanted) {
        uint64_t drawn = 0;
        Stratum *s;

        while (drawn < wanted && (s = draw_choose(d))) {
                RolloutMember *m = d->in->members + d->pool[s->first + s->drawn++].index;

                for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++)
                        d->seen[t][m->traits[t]] = true;
                m->canary = true;
                drawn++;
        }
        return drawn;
}

static int draw_canaries(RolloutInput *in, uint64_t wanted) {
        _cleanup_(draw_done) Draw d = {};
        int r;

        for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++) {
                d.seen[t] = new0(bool, in->n_traits[t]);
                if (!d.seen[t])
                        return -ENOMEM;
        }
        r = draw_fill(&d, in, /* ready= */ true);
        if (r < 0)
                return r;
        wanted -= draw_run(&d, wanted);
        if (wanted == 0)
                return 0;
        r = draw_fill(&d, in, /* ready= */ false);
        if (r >= 0)
                (void) draw_run(&d, wanted);
        return r;
}

static int name_canaries(RolloutInput *in, const char **reterr_canary) {
        _cleanup_free_ Entry *e = entries_new(in);

        if (!e)
                return -ENOMEM;
        qsort(e, in->n, sizeof(Entry), entry_compare_agent);
        STRV_FOREACH(id, in->spec->canary.ids) {
                const RolloutMember wanted = { .agent = *id };
                const Entry key = { .member = &wanted }, *found;

                found = bsearch(&key, e, in->n, sizeof(Entry), entry_compare_agent);
                if (!found || found->member->state != MEMBER_STATE_PENDING) {
                        *reterr_canary = *id;
                        return -ESRCH;
                }
                in->members[found->index].canary = true;
        }
        return 0;
}

/* ---- the plan ---- */

static int put_in_order(RolloutInput *in, RolloutView *views) {
        _cleanup_free_ RolloutMember *members = memdup(in->members, in->n * sizeof(RolloutMember));
        _cleanup_free_ RolloutView *old_views = memdup(views, in->n * sizeof(RolloutView));
        _cleanup_free_ Entry *e = entries_new(in);

        if (!members || !old_views || !e)
                return -ENOMEM;
        qsort(e, in->n, sizeof(Entry), entry_compare_turn);
        for (size_t i = 0; i < in->n; i++) {
                size_t from = e[i].index;

                in->members[i] = members[from];
                in->members[i].position = (uint32_t) i;
                views[i] = old_views[from];
        }
        return 0;
}

int rollout_plan(RolloutInput *in, RolloutView *views, RolloutProgress *ret, const char **reterr_canary) {
        RolloutCounts counts;
        int r;

        for (size_t i = 0; i < in->n; i++)
                member_classify(in, in->members + i, views + i);
        rollout_count(in->members, in->n, &counts);
        r = in->spec->canary.ids ? name_canaries(in, reterr_canary) :
                                   draw_canaries(in, rollout_canaries(in->spec, counts.cohort));
        if (r >= 0)
                r = put_in_order(in, views);
        if (r < 0)
                return r;
        *ret = (RolloutProgress){
                .state = ROLLOUT_STATE_RUNNING,
                .reason = ROLLOUT_REASON_UPDATING,
                .batch = in->n > 0 && in->members[0].canary ? ROLLOUT_BATCH_CANARY : 1,
                .started = in->now,
                .next_look = in->now,
                .boot = in->boot,
                .booted = in->booted,
        };
        return 0;
}

bool rollout_may_join(const RolloutSpec *spec, const RolloutView *v) {
        return v->version && !v->in_other_rollout && (v->online || spec->offline == ROLLOUT_OFFLINE_WAIT);
}

const char *rollout_way_back(const char *taken_back, const char *from, const RolloutView *v) {
        if (streq_ptr(v->version, taken_back) && v->previous_version &&
            version_compare(v->previous_version, taken_back) < 0)
                return v->previous_version;
        return from;
}

int rollout_plan_more(RolloutInput *in, size_t n_old) {
        RolloutInput more = *in;
        _cleanup_free_ Entry *e = NULL;
        uint32_t position = n_old > 0 ? in->members[n_old - 1].position + 1 : 0;

        more.members += n_old;
        more.n -= n_old;
        e = entries_new(&more);
        if (!e)
                return -ENOMEM;
        for (size_t i = 0; i < more.n; i++)
                member_classify(in, more.members + i, in->views + n_old + i);
        qsort(e, more.n, sizeof(Entry), entry_compare_key);
        for (size_t i = 0; i < more.n; i++)
                more.members[e[i].index].position = position++;
        return 0;
}
