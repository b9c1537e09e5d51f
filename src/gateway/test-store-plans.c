/* SPDX-License-Identifier: Apache-2.0 */

/* The ways that the store takes to lists of agents, as SQLite explains them, so that a list does not become
 * slow unnoticed. */

#include "store-sqlite-filter.h"
#include "string-util.h"
#include "tests.h"

/* What SQLite says of a statement must hold each of the words, and none of the others. */
static void check_plan(Store *s, const SqlBuilder *b, const char *const *words, const char *const *others) {
        _cleanup_free_ char *sql = strjoinf("EXPLAIN QUERY PLAN %s", b->text);
        SqlBuilder explain = *b;
        _cleanup_strv_free_ char **steps = NULL;
        _cleanup_free_ char *plan = NULL;
        _cleanup_query_ Query q = {};

        assert_se(sql);
        explain.text = sql;
        query_begin_built(&q, s, &explain);
        while (query_row(&q) > 0)
                assert_ok(strv_consume(
                                &steps, strjoinf("%s;", (const char *) sqlite3_column_text(q.stmt, 3))));
        assert_ok(query_read(&q));
        plan = strv_join(steps, " ");
        assert_se(plan);
        for (; *words; words++)
                if (!strstr(plan, *words)) {
                        fprintf(stderr, "%s\nis done without %s: %s\n", b->text, *words, plan);
                        abort();
                }
        for (; *others; others++)
                if (strstr(plan, *others)) {
                        fprintf(stderr, "%s\nis done with %s: %s\n", b->text, *others, plan);
                        abort();
                }
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_WORDS ((const char *const[]){ NULL })

static void
check_count_plan(Store *s, const AgentQuery *q, const char *const *words, const char *const *others) {
        _cleanup_sql_ SqlBuilder b = {};
        FilterPlan plan;

        assert_ok(filter_plan(s, q, &plan));
        sql_add(&b, "SELECT count(*)");
        filter_add(&b, &plan, /* counting= */ true);
        check_plan(s, &b, words, others);
}

/* One is many already, for a store that takes none for few. */
static void put_agent(Store *s) {
        AgentRecord a = { .id = (char *) "one", .state = AGENT_STATE_ONLINE, .version = (char *) "1.0.0" };

        a.facts.hostname = (char *) "web1";
        assert_ok(labels_set(&a.labels, "env", "test"));
        assert_ok(s->ops->agent_put(s, &a));
        assert_ok(s->ops->agent_put_labels(s, "one", &a.labels));
        labels_done(&a.labels);
}

static void test_plans(Store *s) {
        _cleanup_(selector_freep) Selector *env = NULL, *not_env = NULL, *no_gpu = NULL, *any_env = NULL;
        _cleanup_(text_list_done) TextList versions = {}, many = {};
        AgentQuery q = {};

        SQLITE_STORE(s)->list_limits.few = 0;
        assert_ok(selector_parse("env=test", &env, NULL));
        assert_ok(selector_parse("env!=test", &not_env, NULL));
        assert_ok(selector_parse("!gpu", &no_gpu, NULL));
        assert_ok(selector_parse("env in (test,other)", &any_env, NULL));
        assert_ok(text_list_add(&versions, "1.0.0"));
        for (unsigned i = 0; i < 20; i++) {
                _cleanup_free_ char *term = strjoinf("web%u", i);

                assert_ok(text_list_add(&many, term));
        }

        check_count_plan(s, &q, WORDS("COVERING INDEX agents_"), NO_WORDS);
        q.selectors[0] = env; /* of labels alone: the table of agents is not read */
        check_count_plan(
                        s, &q, WORDS("SEARCH d USING COVERING INDEX agent_labels_by_key"),
                        WORDS(" a ", "SCAN"));
        q.states = 1U << AGENT_STATE_ONLINE;
        check_count_plan(
                        s, &q, WORDS("SEARCH d USING COVERING INDEX agent_labels_by_key", "SEARCH a USING"),
                        WORDS("SCAN"));
        q.versions = &versions;
        q.selectors[0] = NULL;
        check_count_plan(
                        s, &q,
                        WORDS("SEARCH a USING COVERING INDEX agents_facets (state=? AND version_key=?)"),
                        WORDS("SCAN"));
        q = (AgentQuery){ .selectors = { not_env, no_gpu } };
        check_count_plan(s, &q, WORDS("SCAN a;", "SEARCH l USING PRIMARY KEY"), NO_WORDS);
        q = (AgentQuery){ .selectors = { any_env } };
        check_count_plan(
                        s, &q, WORDS("SEARCH d USING COVERING INDEX agent_labels_by_key"),
                        WORDS(" a ", "SCAN"));
        q = (AgentQuery){ .phases = 1U << UPDATE_PHASE_FAILED | 1U << AGENT_QUERY_NO_UPDATE };
        check_count_plan(
                        s, &q, WORDS("SEARCH a USING COVERING INDEX agents_by_update (update_phase=?)"),
                        NO_WORDS);
        q = (AgentQuery){ .terms = &many };
        check_count_plan(
                        s, &q,
                        WORDS("SEARCH a USING INDEX agents_by_hostname", "SEARCH a USING PRIMARY KEY"),
                        NO_WORDS);
        SQLITE_STORE(s)->list_limits.few = 5000;
}

/* Every order has an index along which a page is read, from any position, without sorting. */
static void test_orders(Store *s) {
        AgentPosition after = { .text = (char *) "m", .id = (char *) "m", .number = 3 };

        for (AgentSort sort = 0; sort < _AGENT_SORT_MAX; sort++)
                for (unsigned i = 0; i < 6; i++) {
                        AgentQuery q = { .sort = sort, .descending = i % 2, .after = i < 2 ? NULL : &after };
                        _cleanup_sql_ SqlBuilder b = {};

                        sqlite_lists_add_walk(&b, &q, /* same_key= */ i > 3 && sort != AGENT_SORT_ID, 10);
                        check_plan(s, &b, q.after ? WORDS("SEARCH a USING") : WORDS("SCAN a"),
                                   WORDS("TEMP B-TREE"));
                }
}

int main(void) {
        _cleanup_(store_closep) Store *s = NULL;

        assert_ok(store_sqlite_open(":memory:", &s));
        put_agent(s);
        test_plans(s);
        test_orders(s);
        return 0;
}
