/* SPDX-License-Identifier: Apache-2.0 */

/* What lists of agents are made of: the columns that others keep up to date, labels given to many at once,
 * groups, and answers that are kept. */

#include <fcntl.h>

#include "fs-util.h"
#include "store-sqlite.h"
#include "string-util.h"
#include "tests.h"

static int collect_text(const char *id, void *userdata) {
        return text_list_add(userdata, id);
}

static int collect_id(AgentRecord *a, void *userdata) {
        return text_list_add(userdata, a->id);
}

static void
check_update(Store *s, const char *id, uint64_t revision, UpdatePhase phase, const char *version) {
        _cleanup_(agent_record_done) AgentRecord a = {};

        assert_ok(s->ops->agent_get(s, id, &a));
        assert_se(a.revision == revision && streq_ptr(a.update_version, version));
        assert_se(!version || a.update_phase == phase);
}

static void test_columns(Store *s) {
        AgentRecord a = { .id = (char *) "columns", .connected = 7, .address = (char *) "192.0.2.1:9" };
        InstructionRecord one = { .id = (char *) "c1",
                                  .agent = (char *) "columns",
                                  .version = (char *) "1.0.0",
                                  .failed_phase = _UPDATE_PHASE_INVALID,
                                  .phase = UPDATE_PHASE_OFFERED };
        InstructionRecord two = one;
        _cleanup_(agent_record_done) AgentRecord back = {};
        _cleanup_(labels_done) Labels labels = {};

        assert_ok(s->ops->agent_put(s, &a));
        assert_ok(s->ops->agent_get(s, "columns", &back));
        assert_se(back.connected == 7 && streq(back.address, "192.0.2.1:9"));
        check_update(s, "columns", 1, UPDATE_PHASE_QUEUED, NULL);
        assert_ok(s->ops->instruction_put(s, &one));
        check_update(s, "columns", 1, UPDATE_PHASE_OFFERED, "1.0.0");
        one.phase = UPDATE_PHASE_TIMED_OUT;
        assert_ok(s->ops->instruction_put(s, &one));
        two.id = (char *) "c2";
        two.version = (char *) "1.1.0";
        assert_ok(s->ops->instruction_put(s, &two));
        check_update(s, "columns", 1, UPDATE_PHASE_OFFERED, "1.1.0");
        one.phase = UPDATE_PHASE_SUCCEEDED; /* the truth about the older one comes late */
        assert_ok(s->ops->instruction_put(s, &one));
        check_update(s, "columns", 1, UPDATE_PHASE_OFFERED, "1.1.0");

        assert_ok(s->ops->agent_put(s, &a)); /* a Hello changes neither */
        assert_ok(s->ops->agent_seen(s, "columns", 9, 9));
        check_update(s, "columns", 1, UPDATE_PHASE_OFFERED, "1.1.0");
        assert_ok(labels_set(&labels, "env", "x"));
        assert_ok(s->ops->agent_put_labels(s, "columns", &labels));
        check_update(s, "columns", 2, UPDATE_PHASE_OFFERED, "1.1.0");
        assert_ok(s->ops->agent_delete(s, "columns"));
}

/* An agent from before there were keys is where its version belongs. */
static void test_old_versions(const char *path) {
        _cleanup_(text_list_done) TextList versions = {}, seen = {};
        _cleanup_(store_closep) Store *s = NULL;

        assert_ok(store_sqlite_open(path, &s));
        for (const char *id = "abc"; *id; id++) {
                char name[2] = { *id, 0 };

                assert_ok(s->ops->agent_put(
                                s, &(AgentRecord){ .id = name,
                                                   .version =
                                                                   (char *) (*id == 'a' ? "1.10.0" :
                                                                             *id == 'b' ? "1.9.0" :
                                                                                          NULL) }));
        }
        assert_ok(sqlite_run(SQLITE_STORE(s), "UPDATE agents SET version_key = ''"));
        s = store_close(s);
        assert_ok(store_sqlite_open(path, &s));
        assert_ok(text_list_add(&versions, "1.10.0"));
        assert_ok(s->ops->agents_page(
                        s, &(AgentQuery){ .versions = &versions, .limit = 9 }, collect_id, &seen, NULL));
        assert_ok(s->ops->agents_page(
                        s, &(AgentQuery){ .sort = AGENT_SORT_VERSION, .limit = 9 }, collect_id, &seen,
                        NULL));
        assert_se(seen.n == 4);
        assert_streq(seen.items[0], "a");
        assert_streq(seen.items[1], "c");
        assert_streq(seen.items[2], "b");
        assert_streq(seen.items[3], "a");
}

/* ---- relabelling ---- */

static void make_labelled(Store *s) {
        for (unsigned i = 0; i < 9; i++) {
                char id[2] = { (char) ('a' + i), 0 };
                _cleanup_(labels_done) Labels labels = {};

                assert_ok(labels_set(&labels, "kept", "1"));
                if (i % 2 == 0)
                        assert_ok(labels_set(&labels, "tier", i == 4 ? "db" : "web"));
                if (i % 4 == 0)
                        assert_ok(labels_set(&labels, "gpu", "1"));
                assert_ok(s->ops->agent_put(s, &(AgentRecord){ .id = id }));
                assert_ok(s->ops->agent_put_labels(s, id, &labels));
        }
}

static void check_labels(Store *s, const char *id, uint64_t revision, const char *env, const char *gpu) {
        _cleanup_(agent_record_done) AgentRecord a = {};

        assert_ok(s->ops->agent_get(s, id, &a));
        assert_se(a.revision == revision && streq_ptr(labels_get(&a.labels, "env"), env));
        assert_se(streq_ptr(labels_get(&a.labels, "gpu"), gpu) && streq(labels_get(&a.labels, "kept"), "1"));
}

static void test_relabel(Store *s) {
        const Label changes[] = { { (char *) "env", (char *) "moved" }, { (char *) "gpu", (char *) "" } };
        _cleanup_(selector_freep) Selector *tier = NULL;
        _cleanup_(text_list_done) TextList told = {};
        _cleanup_free_ char *overfull = NULL;
        uint64_t changed;
        AgentQuery q = {};
        const StoreRelabel change = { .changes = changes,
                                      .n = 2,
                                      .tell = 3,
                                      .callback = collect_text,
                                      .userdata = &told,
                                      .ret_changed = &changed,
                                      .reterr_overfull = &overfull };

        make_labelled(s);
        assert_ok(selector_parse("tier", &tier, NULL));
        q.selectors[0] = tier;
        assert_ok(s->ops->agents_relabel(s, &q, &change));
        assert_se(changed == 5 && told.n == 3 && streq(told.items[0], "a") && streq(told.items[2], "e"));
        check_labels(s, "a", 3, "moved", NULL); /* one revision for being made, with labels */
        check_labels(s, "g", 3, "moved", NULL);
        check_labels(s, "b", 2, NULL, NULL);
        assert_ok(s->ops->agents_relabel(s, &q, &change)); /* again: nobody changes */
        assert_se(changed == 0);
        check_labels(s, "a", 3, "moved", NULL);
}

/* One that is full spoils it for all. */
static void test_overfull(Store *s) {
        const Label one_more[] = { { (char *) "one.more", (char *) "1" } };
        _cleanup_(selector_freep) Selector *selector = NULL;
        _cleanup_free_ char *overfull = NULL;
        _cleanup_(labels_done) Labels full = {};
        uint64_t changed, n;
        int r;

        for (unsigned i = 0; i < LABELS_MAX; i++) {
                _cleanup_free_ char *key = strjoinf("k%u", i);

                assert_ok(labels_set(&full, key, "1"));
        }
        assert_ok(s->ops->agent_put_labels(s, "c", &full));
        assert_ok(s->ops->begin(s));
        r = s->ops->agents_relabel(
                        s, &(AgentQuery){},
                        &(StoreRelabel){ .changes = one_more,
                                         .n = 1,
                                         .callback = collect_text,
                                         .ret_changed = &changed,
                                         .reterr_overfull = &overfull });
        assert_error(r, E2BIG);
        assert_streq(overfull, "c");
        s->ops->rollback(s);
        assert_ok(selector_parse("one.more", &selector, NULL));
        assert_ok(s->ops->agents_count(s, &(AgentQuery){ .selectors = { selector } }, &n));
        assert_se(n == 0);
}

/* ---- groups, and answers that are kept ---- */

static int collect_group(GroupRecord *g, void *userdata) {
        return text_list_add(userdata, g->name);
}

static void test_groups(Store *s) {
        GroupRecord g = { .selector = (char *) "env=x", .created = 1, .updated = 1, .revision = 1 };
        _cleanup_(text_list_done) TextList names = {};
        _cleanup_(group_record_done) GroupRecord back = {};
        uint64_t n;

        assert_error(s->ops->group_get(s, "one", &back), ENOENT);
        for (const char *const *name = (const char *const[]){ "two", "one", "three", NULL }; *name; name++) {
                g.name = (char *) *name;
                assert_ok(s->ops->group_put(s, &g));
        }
        g.revision = 2;
        g.description = (char *) "anew";
        assert_ok(s->ops->group_put(s, &g));
        assert_ok(s->ops->group_get(s, "three", &back));
        assert_se(back.revision == 2 && streq(back.description, "anew") && streq(back.selector, "env=x"));
        assert_ok(s->ops->groups_count(s, &n));
        assert_se(n == 3);
        assert_ok(s->ops->groups_each(s, "one", 1, collect_group, &names));
        assert_se(names.n == 1 && streq(names.items[0], "three"));
        assert_error(s->ops->group_rollout(s, "one", &n), ENOENT);
        assert_ok(s->ops->group_delete(s, "one"));
        assert_error(s->ops->group_delete(s, "one"), ENOENT);
}

static void test_answers(Store *s) {
        AnswerRecord a = { .fingerprint = (char *) "f", .status = 202, .body = (char *) "{}" };
        _cleanup_(answer_record_done) AnswerRecord back = {};

        for (unsigned i = 0; i < 5; i++) {
                char key[8];

                (void) snprintf(key, sizeof(key), "k%u", i);
                a.created = 10 + i;
                assert_ok(s->ops->answer_put(s, i == 0 ? "other" : "me", key, &a));
        }
        assert_ok(s->ops->answers_prune(s, 5, "me", 2));
        assert_error(s->ops->answer_get(s, "me", "k2", &back), ENOENT);
        assert_ok(s->ops->answer_get(s, "me", "k3", &back));
        assert_se(back.status == 202 && streq(back.body, "{}") && streq(back.fingerprint, "f") &&
                  back.created == 13);
        answer_record_done(&back);
        assert_ok(s->ops->answer_get(s, "other", "k0", &back));
        answer_record_done(&back);
        assert_ok(s->ops->answers_prune(s, 14, "me", 2));
        assert_error(s->ops->answer_get(s, "me", "k3", &back), ENOENT);
        assert_ok(s->ops->answer_get(s, "me", "k4", &back));
        assert_error(s->ops->answer_get(s, "other", "k0", &back), ENOENT);
}

int main(void) {
        char template[] = "/tmp/test-store-labels-XXXXXX";
        _cleanup_free_ char *path = NULL, *old = NULL;
        _cleanup_(store_closep) Store *s = NULL;
        const char *directory;

        directory = mkdtemp(template);
        assert_se(directory);
        path = strjoinf("%s/store.db", directory);
        old = strjoinf("%s/old.db", directory);
        assert_se(path && old);
        assert_ok(store_sqlite_open(path, &s));
        assert_ok(sqlite_run(SQLITE_STORE(s), "PRAGMA synchronous = OFF"));
        test_columns(s);
        test_relabel(s);
        test_overfull(s);
        test_groups(s);
        test_answers(s);
        test_old_versions(old);
        s = store_close(s);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return 0;
}
