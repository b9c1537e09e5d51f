/* SPDX-License-Identifier: Apache-2.0 */

/* Lists of agents: thousands of random queries over a random fleet, answered by the database and by a model
 * that looks at every agent; on every way that the store may take to an answer. */

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "store-sqlite.h"
#include "string-util.h"
#include "tests.h"
#include "version.h"

#define FLEET 120U
#define QUERIES 3000U

static uint64_t seed = 1;

static unsigned draw(unsigned below) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        return (unsigned) ((seed >> 33) % below);
}

static const char *pick(const char *const *from, size_t n) {
        return from[draw((unsigned) n)];
}
#define PICK(...)                                                                                           \
        pick((const char *const[]){ __VA_ARGS__ }, ELEMENTSOF(((const char *const[]){ __VA_ARGS__ })))

/* ---- a fleet ---- */

static AgentRecord fleet[FLEET];

static char *copy(const char *s) {
        char *c = s ? strdup(s) : NULL;

        assert_se(!s || c);
        return c;
}

static void make_agent(AgentRecord *a, unsigned i) {
        *a = (AgentRecord){
                .id = strjoinf("%s%03u", PICK("a", "b.", "web", "Web-"), i),
                .state = (AgentState) draw(_AGENT_STATE_MAX),
                .version = copy(PICK(NULL, "1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0")),
                .enrolled = 1000 + draw(5),
                .last_seen = draw(4),
                .connected = draw(3),
        };
        a->facts.hostname =
                        draw(8) == 0 ? copy(PICK(NULL, "")) :
                                       strjoinf("%s%u", PICK("web", "WEB", "db-", "Zürich", "_", "wea\x7e"),
                                                draw(30));
        a->facts.os_id = copy(PICK(NULL, "", "debian", "ubuntu", "rhel"));
        a->facts.os_version_id = copy(PICK(NULL, "12", "22.04"));
        a->facts.architecture = copy(PICK("x86_64", "x86_64", "aarch64", NULL));
        a->facts.kernel = copy(PICK("6.1.0-31-amd64", "5.14.0-427+rt", ""));
        for (unsigned k = draw(5); k > 0; k--)
                assert_ok(
                                labels_set(&a->labels, PICK("env", "tier", "gpu", "example.com/rack"),
                                           PICK("production", "test", "x", "Y", "1")));
}

static void make_fleet(Store *s) {
        for (unsigned i = 0; i < FLEET; i++) {
                AgentRecord *a = &fleet[i];

                make_agent(a, i);
                assert_ok(s->ops->agent_put(s, a));
                assert_ok(s->ops->agent_put_labels(s, a->id, &a->labels));
                for (unsigned k = draw(3); k > 0; k--) {
                        _cleanup_free_ char *id = strjoinf("%u-%u", i, k);
                        InstructionRecord u = {
                                .id = id,
                                .agent = a->id,
                                .version = (char *) PICK("1.1.0", "1.2.0"),
                                .failed_phase = _UPDATE_PHASE_INVALID,
                                .phase = (UpdatePhase) draw(_UPDATE_PHASE_MAX),
                        };

                        assert_ok(free_and_strdup(&a->update_version, u.version));
                        a->update_phase = u.phase;
                        assert_ok(s->ops->instruction_put(s, &u));
                        if (update_phase_is_terminal(u.phase))
                                continue;
                        u.phase = k > 1 ? UPDATE_PHASE_FAILED : UPDATE_PHASE_STAGING;
                        assert_ok(s->ops->instruction_put(s, &u));
                        a->update_phase = u.phase;
                }
        }
}

static void drop_fleet(void) {
        for (unsigned i = 0; i < FLEET; i++)
                agent_record_done(&fleet[i]);
}

/* ---- queries ---- */

static char *random_requirement(void) {
        const char *key =
                        PICK("env", "tier", "gpu", "example.com/rack", "absent", "fact.os",
                             "fact.os_version", "fact.kernel", "fact.arch", "fact.hostname", "fact.version");
        const char *a =
                        PICK("production", "test", "x", "Y", "1", "debian", "12", "x86_64", "web1", "1.0.0",
                             "5.14.0-427");
        const char *b = PICK("production", "test", "2.0.0-rc.1", "ubuntu", "WEB2", "aarch64");

        switch (draw(7)) {
        case 0:
                return copy(key);
        case 1:
                return strjoinf("!%s", key);
        case 2:
                return strjoinf("%s!=%s", key, a);
        case 3:
                return strjoinf("%s in (%s,%s)", key, a, b);
        case 4:
                return strjoinf("%s notin (%s,%s)", key, a, b);
        default:
                return strjoinf("%s=%s", key, a);
        }
}

static Selector *random_selector(void) {
        _cleanup_strv_free_ char **parts = NULL;
        _cleanup_free_ char *text = NULL, *why = NULL;
        Selector *s = NULL;

        for (unsigned n = 1 + draw(3); n > 0; n--)
                assert_ok(strv_consume(&parts, random_requirement()));
        text = strv_join(parts, ",");
        assert_se(text);
        if (selector_parse(text, &s, &why) < 0) {
                fprintf(stderr, "%s: %s\n", text, why);
                abort();
        }
        return s;
}

typedef struct Drawn {
        AgentQuery query;
        Selector *selectors[AGENT_QUERY_SELECTORS_MAX];
        TextList ids, versions, terms;
        AgentPosition after;
} Drawn;

static void drawn_done(Drawn *d) {
        selector_free(d->selectors[0]);
        selector_free(d->selectors[1]);
        text_list_done(&d->ids);
        text_list_done(&d->versions);
        text_list_done(&d->terms);
        agent_position_done(&d->after);
}

static void draw_sets(Drawn *d) {
        if (draw(6) == 0) {
                for (unsigned n = draw(20); n > 0; n--)
                        assert_ok(text_list_add(&d->ids, draw(5) ? fleet[draw(FLEET)].id : "nobody"));
                text_list_make_set(&d->ids);
                d->query.ids = &d->ids;
        }
        if (draw(4) == 0) {
                for (unsigned n = 1 + draw(3); n > 0; n--)
                        assert_ok(text_list_add(
                                        &d->versions, PICK("", "1.0.0", "1.10.0", "2.0.0-rc.1", "9.9.9")));
                text_list_make_set(&d->versions);
                d->query.versions = &d->versions;
        }
        if (draw(5) == 0) {
                for (unsigned n = 1 + draw(draw(3) ? 3 : 14); n > 0; n--)
                        assert_ok(text_list_add(
                                        &d->terms,
                                        draw(5) ? PICK("w", "We", "web1", "WEA~", "Zür", "db-2", "b.0", "_", "zz") :
                                                  fleet[draw(FLEET)].id));
                text_list_make_set(&d->terms);
                d->query.terms = &d->terms;
        }
}

static void draw_query(Drawn *d) {
        *d = (Drawn){ .query = { .limit = 1 + draw(FLEET / 2) } };
        for (unsigned i = 0; i < AGENT_QUERY_SELECTORS_MAX; i++)
                if (draw(2) == 0)
                        d->query.selectors[i] = d->selectors[i] = random_selector();
        if (draw(4) == 0)
                d->query.states = 1 + draw((1 << _AGENT_STATE_MAX) - 1);
        if (draw(4) == 0)
                d->query.phases = (draw(2) ? 1U << AGENT_QUERY_NO_UPDATE : 0) |
                                  1U << draw(_UPDATE_PHASE_MAX) | 1U << UPDATE_PHASE_FAILED;
        draw_sets(d);
        d->query.sort = (AgentSort) draw(_AGENT_SORT_MAX);
        d->query.descending = draw(2);
}

/* ---- the model ---- */

static AgentSort model_sort;
static bool model_descending;

static int model_compare(const void *a, const void *b) {
        const AgentRecord *one = *(AgentRecord *const *) a, *two = *(AgentRecord *const *) b;
        _cleanup_(agent_position_done) AgentPosition p = {}, q = {};
        int c;

        assert_ok(agent_position_of(one, model_sort, &p));
        assert_ok(agent_position_of(two, model_sort, &q));
        if (agent_sort_is_number(model_sort))
                c = p.number < q.number ? -1 : p.number > q.number;
        else if (model_sort == AGENT_SORT_HOSTNAME)
                c = strcasecmp(p.text, q.text);
        else if (model_sort == AGENT_SORT_VERSION && one->version && two->version)
                c = version_compare(one->version, two->version);
        else
                c = strcmp(p.text, q.text);
        if (c == 0)
                c = strcmp(one->id, two->id);
        return model_descending ? -c : c;
}

static size_t model_run(const AgentQuery *q, AgentRecord *ret[static FLEET]) {
        size_t n = 0;

        for (unsigned i = 0; i < FLEET; i++)
                if (agent_query_matches(q, &fleet[i]))
                        ret[n++] = &fleet[i];
        model_sort = q->sort;
        model_descending = q->descending;
        qsort(ret, n, sizeof(AgentRecord *), model_compare);
        return n;
}

/* ---- both ---- */

typedef struct Expected {
        AgentRecord **agents;
        size_t n, seen, limit;
        AgentPosition last;
        AgentSort sort;
} Expected;

static int expect_agent(AgentRecord *a, void *userdata) {
        Expected *e = userdata;
        const AgentRecord *m;

        assert_se(e->seen < e->n);
        m = e->agents[e->seen++];
        assert_streq(a->id, m->id);
        assert_se(a->labels.n == m->labels.n && a->state == m->state && a->last_seen == m->last_seen);
        assert_se(streq_ptr(a->update_version, m->update_version));
        assert_se(!a->update_version || a->update_phase == m->update_phase);
        for (size_t i = 0; i < a->labels.n; i++)
                assert_se(streq(a->labels.items[i].key, m->labels.items[i].key) &&
                          streq(a->labels.items[i].value, m->labels.items[i].value));
        agent_position_done(&e->last);
        assert_ok(agent_position_of(a, e->sort, &e->last));
        return 0;
}

/* Every page of it, in the order of the model. */
static void check_pages(Store *s, Drawn *d, AgentRecord *agents[], size_t n) {
        Expected e = { .agents = agents, .n = n, .sort = d->query.sort };
        size_t before;

        do {
                uint64_t total = 0;

                before = e.seen;
                assert_ok(s->ops->agents_page(s, &d->query, expect_agent, &e, &total));
                assert_se(total == n);
                assert_se(e.seen - before == MIN((size_t) d->query.limit, n - before));
                agent_position_done(&d->after);
                d->after = TAKE_GENERIC(e.last, AgentPosition, (AgentPosition){});
                d->query.after = &d->after;
        } while (e.seen < n);
        d->query.after = NULL;
}

/* A page that begins somewhere, as a scroll bar asks for it. */
static void check_offset(Store *s, Drawn *d, AgentRecord *agents[], size_t n) {
        size_t offset = draw((unsigned) n + 3);
        Expected e = { .agents = agents + MIN(offset, n), .n = n - MIN(offset, n), .sort = d->query.sort };
        uint64_t total = 0;

        d->query.offset = offset;
        assert_ok(s->ops->agents_page(s, &d->query, expect_agent, &e, &total));
        assert_se(total == n);
        assert_se(e.seen == MIN((size_t) d->query.limit, e.n));
        agent_position_done(&e.last);
        d->query.offset = 0;
}

static int compare_ids(const void *a, const void *b) {
        return strcmp((*(AgentRecord *const *) a)->id, (*(AgentRecord *const *) b)->id);
}

static int expect_id(const char *id, void *userdata) {
        Expected *e = userdata;

        assert_se(e->seen < e->n);
        assert_streq(id, e->agents[e->seen++]->id);
        return 0;
}

static int count_facet(const AgentFacet *f, void *userdata) {
        uint64_t *counts = userdata;

        counts[0] += f->n;
        counts[1] += f->state == AGENT_STATE_ONLINE ? f->n : 0;
        counts[2] += streq(f->version, "1.10.0") ? f->n : 0;
        counts[3] += streq(f->phase, "failed") ? f->n : 0;
        counts[4] += streq(f->os, "") ? f->n : 0;
        counts[5] += streq(f->arch, "x86_64") ? f->n : 0;
        return 0;
}

static int count_value(const char *value, uint64_t n, void *userdata) {
        uint64_t *counts = userdata;

        counts[0] += n;
        counts[1] += streq(value, "test") ? n : 0;
        return 0;
}

static void check_counts(Store *s, const AgentQuery *q, AgentRecord *agents[], size_t n) {
        uint64_t facets[6] = {}, expected[6] = { n }, values[2] = {}, labelled[2] = {}, total;
        Expected e = { .agents = agents, .n = n };

        assert_ok(s->ops->agents_count(s, q, &total));
        assert_se(total == n);
        for (size_t i = 0; i < n; i++) {
                const AgentRecord *a = agents[i];
                const char *env = labels_get(&a->labels, "env");

                expected[1] += a->state == AGENT_STATE_ONLINE;
                expected[2] += streq_ptr(a->version, "1.10.0");
                expected[3] += a->update_version && a->update_phase == UPDATE_PHASE_FAILED;
                expected[4] += isempty(a->facts.os_id);
                expected[5] += streq_ptr(a->facts.architecture, "x86_64");
                labelled[0] += env != NULL;
                labelled[1] += streq_ptr(env, "test");
        }
        assert_ok(s->ops->agents_facets(s, q, count_facet, facets));
        assert_se(memcmp(facets, expected, sizeof(facets)) == 0);
        assert_ok(s->ops->agents_values(s, q, "env", count_value, values));
        assert_se(memcmp(values, labelled, sizeof(values)) == 0);

        qsort(agents, n, sizeof(AgentRecord *), compare_ids);
        assert_ok(s->ops->agents_ids(s, q, expect_id, &e));
        assert_se(e.seen == n);
}

static void test_random_queries(Store *s) {
        static const SqliteListLimits ways[] = {
                { .few = 5000, .sort = 400, .walk_steps = 500 }, /* as in production: all are few */
                { .few = 0, .sort = 0, .walk_steps = 20000 },    /* none are, and every page is walked to */
                { .few = 0, .sort = 0, .walk_steps = 1 },        /* none, and each walk gives up */
                { .few = 12, .sort = 5, .walk_steps = 100 },
        };
        unsigned empty = 0;

        for (unsigned i = 0; i < QUERIES; i++) {
                _cleanup_(drawn_done) Drawn d = {};
                AgentRecord *agents[FLEET];
                size_t n;

                draw_query(&d);
                n = model_run(&d.query, agents);
                empty += n == 0;
                SQLITE_STORE(s)->list_limits = ways[i % ELEMENTSOF(ways)];
                check_pages(s, &d, agents, n);
                check_offset(s, &d, agents, n);
                check_counts(s, &d.query, agents, n);
        }
        assert_se(empty < QUERIES * 3 / 4); /* or nothing was tested */
        SQLITE_STORE(s)->list_limits = ways[0];
}

/* The rule of Kubernetes, said once in plain words. */
static void test_missing_key(Store *s) {
        static const char *const all[] = { "absent!=x", "absent notin (x,y)", "!absent", "fact.os!=none" };
        uint64_t n;

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                _cleanup_(selector_freep) Selector *selector = NULL;

                assert_ok(selector_parse(all[i], &selector, NULL));
                assert_ok(s->ops->agents_count(s, &(AgentQuery){ .selectors = { selector } }, &n));
                assert_se(n == FLEET);
        }
}

/* ---- while agents come and go ---- */

typedef struct Seen {
        TextList ids;
        AgentPosition last;
} Seen;

static int see_agent(AgentRecord *a, void *userdata) {
        Seen *s = userdata;

        agent_position_done(&s->last);
        assert_ok(agent_position_of(a, AGENT_SORT_HOSTNAME, &s->last));
        return text_list_add(&s->ids, a->id);
}

static void delete_agent(Store *s, const char *id) {
        int r = s->ops->agent_delete(s, id);

        assert_se(r == 0 || r == -ENOENT);
}

/* Between two pages agents are enrolled and removed on both sides of the position, its own agent among them:
 * those that stay are seen, each once. */
static void test_coming_and_going(Store *s) {
        AgentQuery q = { .sort = AGENT_SORT_HOSTNAME, .limit = 7 };
        _cleanup_(text_list_done) TextList stay = {};
        unsigned round = 0;
        Seen seen = {};
        size_t before;

        for (unsigned i = 0; i < FLEET; i++)
                if (i % 3 > 0)
                        assert_ok(text_list_add(&stay, fleet[i].id));
        text_list_make_set(&stay);
        do {
                _cleanup_(agent_position_done) AgentPosition after =
                                TAKE_GENERIC(seen.last, AgentPosition, (AgentPosition){});
                _cleanup_free_ char *id = strjoinf("new%u", round);
                AgentRecord new = { .id = id };

                q.after = round > 0 ? &after : NULL;
                before = seen.ids.n;
                assert_ok(s->ops->agents_page(s, &q, see_agent, &seen, NULL));
                new.facts.hostname = (char *) PICK("aaa", "web1", "zzz");
                assert_ok(s->ops->agent_put(s, &new));
                if (round * 3 < FLEET)
                        delete_agent(s, fleet[round * 3].id);
                if (seen.last.id && !text_list_contains(&stay, seen.last.id))
                        delete_agent(s, seen.last.id);
                round++;
        } while (seen.ids.n > before);

        for (size_t i = 0; i < stay.n; i++) {
                unsigned n = 0;

                for (size_t k = 0; k < seen.ids.n; k++)
                        n += streq(seen.ids.items[k], stay.items[i]);
                assert_se(n == 1);
        }
        text_list_done(&seen.ids);
}

int main(void) {
        char template[] = "/tmp/test-store-lists-XXXXXX";
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_free_ char *path = NULL;
        const char *directory;

        directory = mkdtemp(template);
        assert_se(directory);
        path = strjoinf("%s/store.db", directory);
        assert_ok(store_sqlite_open(path, &s));
        assert_ok(sqlite_run(SQLITE_STORE(s), "PRAGMA synchronous = OFF"));
        make_fleet(s);
        test_random_queries(s);
        test_missing_key(s);
        test_coming_and_going(s);
        drop_fleet();
        s = store_close(s);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return 0;
}
