/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-set.h"

#include "alloc-util.h"
#include "crypto.h"
#include "string-util.h"
#include "version.h"

#define SPEC_TEXT_MAX MIB(2)

static void trait_values_done(TraitValues *t) {
        hashmap_free(t->numbers);
        for (size_t i = 0; i < t->n; i++)
                free(t->names[i]);
        free(t->names);
        *t = (TraitValues){};
}

void rollout_set_done(RolloutSet *set) {
        rollout_record_done(&set->record);
        rollout_spec_done(&set->spec);
        target_done(&set->target);
        free(set->unreadable);
        for (size_t i = 0; i < set->n; i++)
                rollout_member_record_done(&set->records[i]);
        free(set->records);
        free(set->members);
        free(set->views);
        for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++)
                trait_values_done(&set->traits[t]);
        *set = (RolloutSet){};
}

/* ---- members ---- */

static int trait_number(TraitValues *t, const char *value, uint32_t *ret) {
        void *known;
        int r;

        value = strempty(value);
        if (!t->numbers) {
                r = hashmap_new(&t->numbers, NULL);
                if (r < 0)
                        return r;
        }
        known = hashmap_get(t->numbers, value);
        if (!known) {
                r = ARRAY_GROW(t->names, t->n_allocated, t->n + 1);
                if (r < 0)
                        return r;
                t->names[t->n] = strdup(value);
                if (!t->names[t->n])
                        return -ENOMEM;
                known = (void *) ++t->n;
                r = hashmap_put(t->numbers, value, known);
                if (r < 0)
                        return r;
        }
        *ret = (uint32_t) ((uintptr_t) known - 1);
        return 0;
}

static int record_traits(RolloutSet *set, const RolloutMemberRecord *record, RolloutMember *m) {
        const char *values[_ROLLOUT_TRAIT_MAX] = {
                [ROLLOUT_TRAIT_OS] = record->os,
                [ROLLOUT_TRAIT_KERNEL] = record->kernel,
                [ROLLOUT_TRAIT_ARCH] = record->arch,
        };
        int r = 0;

        for (RolloutTrait t = 0; r >= 0 && t < _ROLLOUT_TRAIT_MAX; t++)
                r = trait_number(&set->traits[t], values[t], &m->traits[t]);
        return r;
}

int rollout_set_add(RolloutSet *set, RolloutMemberRecord *m) {
        RolloutMemberRecord *record;
        int r;

        r = ARRAY_GROW(set->records, set->n_records_allocated, set->n + 1);
        if (r >= 0)
                r = ARRAY_GROW(set->members, set->n_members_allocated, set->n + 1);
        if (r >= 0)
                r = ARRAY_GROW(set->views, set->n_views_allocated, set->n + 1);
        if (r >= 0)
                r = record_traits(set, m, &m->member);
        if (r < 0)
                return r;
        record = &set->records[set->n];
        *record = TAKE_GENERIC(*m, RolloutMemberRecord, (RolloutMemberRecord){});
        rollout_member_record_link(record);
        set->members[set->n] = record->member;
        set->views[set->n] = record->view;
        set->n++;
        return 0;
}

/* A plan has sorted members and views; each of them knows its agent's text, which is the record's. */
int rollout_set_follow_order(RolloutSet *set) {
        _cleanup_free_ RolloutMemberRecord *sorted = new0(RolloutMemberRecord, set->n);
        Hashmap *places = NULL;
        int r;

        if (!sorted)
                return -ENOMEM;
        r = hashmap_new(&places, NULL);
        for (size_t i = 0; r >= 0 && i < set->n; i++)
                r = hashmap_put(places, set->members[i].agent, (void *) (i + 1));
        for (size_t i = 0; r >= 0 && i < set->n; i++)
                sorted[(uintptr_t) hashmap_get(places, set->records[i].agent) - 1] = set->records[i];
        if (r >= 0 && set->n > 0)
                memcpy(set->records, sorted, set->n * sizeof(*sorted));
        hashmap_free(places);
        return r < 0 ? r : 0;
}

/* ---- what else is desired ---- */

static DesiredKind target_desired_kind(const Target *t) {
        return t->kind == TARGET_IDS ? DESIRED_KIND_AGENT :
               t->kind == TARGET_ALL ? DESIRED_KIND_ALL :
                                       DESIRED_KIND_SELECTOR;
}

/* A machine that goes back must not be brought forward again by what is still desired. */
static MemberReason desired_against_rollback(const Fleet *f, const AgentRecord *a, const char *goal) {
        DesiredChoice c = desired_choose(a, f->rows, f->n_rows);

        return c.row && version_compare(c.row->record.version, goal) > 0 ? MEMBER_REASON_OVERRIDDEN :
                                                                           MEMBER_REASON_NONE;
}

MemberReason
rollout_set_desired(const RolloutSet *set, const Fleet *f, const AgentRecord *a, const char *goal) {
        DesiredKind kind = target_desired_kind(&set->target);
        MemberReason reason = MEMBER_REASON_NONE;

        if (set->record.kind == ROLLOUT_KIND_ROLLBACK)
                return desired_against_rollback(f, a, goal);
        if (kind == DESIRED_KIND_AGENT)
                return MEMBER_REASON_NONE; /* nothing is more specific, and what is newer replaces what is
                                              older */
        for (size_t i = 0; i < f->n_rows; i++) {
                const DesiredRow *row = f->rows + i;

                if (row->record.kind > kind || row->record.kind == DESIRED_KIND_ALL ||
                    streq(row->record.version, goal))
                        continue;
                if (row->record.kind == DESIRED_KIND_AGENT ?
                                    !streq(row->record.target, a->id) :
                                    !selector_matches(row->selector, agent_record_lookup, (void *) a))
                        continue;
                if (row->record.kind < kind)
                        return MEMBER_REASON_OVERRIDDEN;
                reason = MEMBER_REASON_CONFLICT;
        }
        return reason;
}

typedef struct DesiredScan {
        RolloutSet *set;
        const Fleet *fleet;
        Hashmap *places; /* agent → index + 1 */
} DesiredScan;

static int scan_agent(AgentRecord *a, void *userdata) {
        DesiredScan *scan = userdata;
        uintptr_t place = (uintptr_t) hashmap_get(scan->places, a->id);

        if (place > 0)
                scan->set->views[place - 1].desired = rollout_set_desired(
                                scan->set, scan->fleet, a, scan->set->members[place - 1].goal);
        return 0;
}

/* Labels are read only where a selector may have something to say. */
static int load_desired(RolloutSet *set, Store *s, const Fleet *f) {
        DesiredScan scan = { .set = set, .fleet = f };
        int r;

        if (f->n_rows == 0 || rollout_state_is_terminal(set->record.progress.state))
                return 0;
        r = hashmap_new(&scan.places, NULL);
        for (size_t i = 0; r >= 0 && i < set->n; i++)
                if (set->members[i].state == MEMBER_STATE_PENDING)
                        r = hashmap_put(scan.places, set->members[i].agent, (void *) (i + 1));
        if (r >= 0 && hashmap_size(scan.places) > 0)
                r = s->ops->agents_each(s, scan_agent, &scan);
        hashmap_free(scan.places);
        return r < 0 ? r : 0;
}

/* ---- reading and writing ---- */

static int read_target(RolloutSet *set, json_t *o, char **reterr) {
        RequestError error = {};
        int r;

        r = target_parse(json_object_get(o, "target"), &set->target, &error);
        if (r == -EINVAL) {
                target_done(&set->target);
                *reterr = TAKE_PTR(error.detail);
        }
        request_error_done(&error);
        return r;
}

static int read_strategy(RolloutSet *set, json_t *o, char **reterr) {
        _cleanup_free_ char *pointer = NULL, *detail = NULL;
        RolloutSpec spec = {};
        int r;

        r = rollout_spec_parse(
                        json_object_get(o, "strategy"), set->record.kind == ROLLOUT_KIND_ROLLBACK, &spec,
                        &pointer, &detail);
        if (r == -EINVAL && detail)
                *reterr = strjoinf("%s: %s", pointer, detail);
        if (r < 0)
                return r;
        rollout_spec_done(&set->spec);
        set->spec = spec;
        return 0;
}

int rollout_set_read_spec(RolloutSet *set) {
        _cleanup_json_ json_t *o = NULL;
        _cleanup_free_ char *why = NULL;
        int r;

        rollout_spec_defaults(&set->spec, set->record.kind == ROLLOUT_KIND_ROLLBACK);
        r = set->record.damaged ? -EUCLEAN :
                                  json_parse(set->record.spec, strlen(set->record.spec), SPEC_TEXT_MAX, &o, NULL);
        if (r >= 0)
                r = read_target(set, o, &why);
        if (r >= 0)
                r = read_strategy(set, o, &why);
        if (r >= 0 || r == -ENOMEM)
                return r;
        if (!why)
                why = strdup("What the database has about it is damaged, or was written by a newer fleet-gatewayd.");
        if (!why)
                return -ENOMEM;
        free(set->unreadable);
        set->unreadable = TAKE_PTR(why);
        return 0;
}

int rollout_set_write_spec(RolloutSet *set) {
        _cleanup_json_ json_t *o = json_object();
        json_t *target = target_view(&set->target), *strategy = rollout_spec_format(&set->spec);
        int r;

        if (!o || !target || !strategy) {
                json_decref(target);
                json_decref(strategy);
                return -ENOMEM;
        }
        r = json_set_take(o, "target", target);
        if (r < 0) {
                json_decref(strategy);
                return r;
        }
        r = json_set_take(o, "strategy", strategy);
        if (r < 0)
                return r;
        free(set->record.spec);
        set->record.spec = json_format(o, /* pretty= */ false);
        return set->record.spec ? 0 : -ENOMEM;
}

static int take_member(RolloutMemberRecord *m, void *userdata) {
        return rollout_set_add(userdata, m);
}

int rollout_set_load(Store *s, uint64_t id, const Fleet *f, RolloutSet *ret) {
        int r;

        r = s->ops->rollout_get(s, id, &ret->record);
        if (r >= 0)
                r = rollout_set_read_spec(ret);
        if (r >= 0)
                r = s->ops->rollout_members_each(s, id, take_member, ret);
        return r < 0 || ret->unreadable ? r : load_desired(ret, s, f);
}

uint64_t rollout_set_seed(const RolloutSet *set) {
        _cleanup_free_ char *target = NULL, *text = NULL;
        uint8_t hash[SHA256_SIZE];
        uint64_t seed = 0;

        if (target_format(&set->target, &target) < 0)
                return 0;
        text = strjoinf("%s %s", set->record.version, target);
        if (!text)
                return 0;
        sha256_bytes(text, strlen(text), hash);
        for (size_t i = 0; i < sizeof(seed); i++)
                seed = seed << 8 | hash[i];
        return seed;
}

RolloutInput rollout_set_input(RolloutSet *set, const Fleet *f, usec_t now) {
        RolloutInput in = {
                .spec = &set->spec,
                .kind = set->record.kind,
                .seed = rollout_set_seed(set),
                .releases = f->releases,
                .n_releases = f->n_releases,
                .members = set->members,
                .views = set->views,
                .n = set->n,
                .now = now,
        };

        for (RolloutTrait t = 0; t < _ROLLOUT_TRAIT_MAX; t++)
                in.n_traits[t] = set->traits[t].n;
        return in;
}
