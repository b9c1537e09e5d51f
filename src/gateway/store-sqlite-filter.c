/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite-filter.h"

#include "string-util.h"
#include "version.h"

#define LABELS_WEIGHED_MAX 8U
#define TERMS_INLINE_MAX 8U

#define HOSTNAME "coalesce(a.hostname, '') COLLATE NOCASE"
/* Text that begins with a term lies between it and this: no UTF-8 holds the byte. */
#define BEHIND " || CAST(x'FF' AS TEXT)"

static const struct {
        const char *fact, *column;
} facts[] = {
        { "os", "a.os_id" },      { "os_version", "a.os_version_id" }, { "arch", "a.architecture" },
        { "kernel", "a.kernel" }, { "hostname", "a.hostname" },        { "version", "a.version" },
};

/* NULL: it is no fact but a label. */
static const char *fact_column(const char *key) {
        const char *fact = startswith(key, SELECTOR_FACT_PREFIX);

        for (size_t i = 0; fact && i < ELEMENTSOF(facts); i++)
                if (streq(facts[i].fact, fact))
                        return facts[i].column;
        return NULL;
}

/* ---- conditions ---- */

static void add_texts(SqlBuilder *b, char *const *values) {
        sql_add(b, "(");
        for (char *const *v = values; *v; v++) {
                if (v > values)
                        sql_add(b, ", ");
                sql_add_text(b, *v);
        }
        sql_add(b, ")");
}

/* What a machine does not say is NULL or empty, and is absent for a selector. */
static void add_fact(SqlBuilder *b, const char *column, const SelectorRequirement *q) {
        bool negated = q->op == SELECTOR_NOT_EXISTS || q->op == SELECTOR_NOT_IN;

        sql_add(b, " AND coalesce(");
        sql_add(b, column);
        sql_add(b, ", '')");
        switch (q->op) {
        case SELECTOR_EXISTS:
        case SELECTOR_NOT_EXISTS:
                sql_add(b, negated ? " = ''" : " <> ''");
                break;
        case SELECTOR_IN:
        case SELECTOR_NOT_IN:
                sql_add(b, negated ? " NOT IN " : " IN ");
                add_texts(b, q->values);
        }
}

static void add_label(SqlBuilder *b, const char *id, const SelectorRequirement *q) {
        bool negated = q->op == SELECTOR_NOT_EXISTS || q->op == SELECTOR_NOT_IN;

        sql_add(b, negated ? " AND NOT EXISTS" : " AND EXISTS");
        sql_add(b, " (SELECT 1 FROM agent_labels l WHERE l.agent = ");
        sql_add(b, id);
        sql_add(b, " AND l.key = ");
        sql_add_text(b, q->key);
        if (q->op == SELECTOR_IN || q->op == SELECTOR_NOT_IN) {
                sql_add(b, " AND l.value IN ");
                add_texts(b, q->values);
        }
        sql_add(b, ")");
}

static void add_selector(SqlBuilder *b, const FilterPlan *p, const char *id, const Selector *s) {
        const SelectorRequirement *q;
        size_t n;

        q = selector_requirements(s, &n);
        for (size_t i = 0; i < n; i++) {
                const char *column = fact_column(q[i].key);

                if (column)
                        add_fact(b, column, &q[i]);
                else if (p->start != FILTER_START_LABEL || p->label != &q[i])
                        add_label(b, id, &q[i]);
        }
}

static void add_states(SqlBuilder *b, unsigned states) {
        const char *gap = " AND a.state IN (";

        for (unsigned i = 0; i < _AGENT_STATE_MAX; i++)
                if (states & 1U << i) {
                        sql_add(b, gap);
                        sql_add_u64(b, i);
                        gap = ", ";
                }
        sql_add(b, ")");
}

static void add_versions(SqlBuilder *b, const TextList *versions) {
        sql_add(b, " AND a.version_key IN (");
        for (size_t i = 0; i < versions->n; i++) {
                char key[VERSION_KEY_MAX];
                char *copy;

                sql_add(b, i > 0 ? ", " : "");
                copy = strdup(isempty(versions->items[i]) ? "" : version_sort_key(versions->items[i], key));
                if (strv_consume(&b->owned, copy) < 0) {
                        b->error = -ENOMEM;
                        return;
                }
                sql_add_text(b, copy);
        }
        sql_add(b, ")");
}

static void add_phases(SqlBuilder *b, uint32_t phases) {
        const char *gap = " AND a.update_phase IN (";

        for (unsigned i = 0; i < 32; i++)
                if (phases & UINT32_C(1) << i) {
                        const char *phase = i == AGENT_QUERY_NO_UPDATE ?
                                                            "" :
                                                            update_phase_to_string((UpdatePhase) i);

                        sql_add(b, gap);
                        sql_add_text(b, strempty(phase));
                        gap = ", ";
                }
        sql_add(b, ")");
}

/* The ids of agents with a host name or an id that begins with one of many terms, by the indexes. */
static void add_terms_select(SqlBuilder *b, const TextList *terms) {
        sql_add(b, "SELECT a.id AS agent FROM json_each(");
        sql_add_array(b, terms);
        sql_add(b, ") t CROSS JOIN agents a INDEXED BY agents_by_hostname WHERE " HOSTNAME
                   " >= t.value AND " HOSTNAME " < t.value" BEHIND " UNION SELECT a.id FROM json_each(");
        sql_add_array(b, terms);
        sql_add(b, ") t CROSS JOIN agents a WHERE a.id >= t.value AND a.id < t.value" BEHIND);
}

static void add_term(SqlBuilder *b, const char *term) {
        sql_add(b, "(" HOSTNAME " >= ");
        sql_add_text(b, term);
        sql_add(b, " AND " HOSTNAME " < ");
        sql_add_text(b, term);
        sql_add(b, BEHIND ") OR (a.id >= ");
        sql_add_text(b, term);
        sql_add(b, " AND a.id < ");
        sql_add_text(b, term);
        sql_add(b, BEHIND ")");
}

static void add_terms(SqlBuilder *b, const TextList *terms) {
        if (terms->n > TERMS_INLINE_MAX) {
                sql_add(b, " AND a.id IN (");
                add_terms_select(b, terms);
                sql_add(b, ")");
                return;
        }
        sql_add(b, " AND (");
        for (size_t i = 0; i < terms->n; i++) {
                sql_add(b, i > 0 ? " OR " : "");
                add_term(b, terms->items[i]);
        }
        sql_add(b, ")");
}

static bool is_set(const TextList *l) {
        return l && l->n > 0;
}

const char *filter_id(const FilterPlan *p, bool counting) {
        return counting && p->start == FILTER_START_LABEL && p->labels_only ? "d.agent" : "a.id";
}

static void add_conditions(SqlBuilder *b, const FilterPlan *p, const char *id) {
        const AgentQuery *q = p->query;

        for (size_t i = 0; i < ELEMENTSOF(q->selectors); i++)
                if (q->selectors[i])
                        add_selector(b, p, id, q->selectors[i]);
        if (q->ids && p->start != FILTER_START_IDS) {
                sql_add(b, " AND a.id IN (SELECT value FROM json_each(");
                sql_add_array(b, q->ids);
                sql_add(b, "))");
        }
        if (q->states != 0)
                add_states(b, q->states);
        if (is_set(q->versions))
                add_versions(b, q->versions);
        if (q->phases != 0)
                add_phases(b, q->phases);
        if (is_set(q->terms) && p->start != FILTER_START_TERMS)
                add_terms(b, q->terms);
}

void filter_add_conditions(SqlBuilder *b, const FilterPlan *p) {
        add_conditions(b, p, "a.id");
}

/* ---- where it begins ---- */

static void add_label_start(SqlBuilder *b, const SelectorRequirement *q) {
        sql_add(b, " WHERE d.key = ");
        sql_add_text(b, q->key);
        if (q->op == SELECTOR_IN || q->op == SELECTOR_NOT_IN) {
                sql_add(b, " AND d.value IN ");
                add_texts(b, q->values);
        }
}

/* An index that holds what is asked, of many agents. */
static bool is_wide_column(const FilterPlan *p) {
        return !p->few && IN_SET(p->start, FILTER_START_FACETS, FILTER_START_STATES, FILTER_START_VERSIONS,
                                 FILTER_START_PHASES);
}

static void add_start(SqlBuilder *b, const FilterPlan *p, bool joined, bool counting) {
        static const char *const indexes[] = {
                /* the primary key; without that, SQLite likes indexes that are far slower here */
                [FILTER_START_AGENTS] = " FROM agents a INDEXED BY sqlite_autoindex_agents_1 WHERE 1",
                [FILTER_START_FACETS] = " FROM agents a INDEXED BY agents_facets WHERE 1",
                [FILTER_START_STATES] = " FROM agents a INDEXED BY agents_by_state WHERE 1",
                [FILTER_START_VERSIONS] = " FROM agents a INDEXED BY agents_by_version WHERE 1",
                [FILTER_START_PHASES] = " FROM agents a INDEXED BY agents_by_update WHERE 1",
        };
        FilterStart start = p->start;

        if (!counting && is_wide_column(p)) /* whole rows lie by id */
                start = FILTER_START_AGENTS;
        switch (start) {
        case FILTER_START_IDS:
                sql_add(b, " FROM (SELECT value AS agent FROM json_each(");
                sql_add_array(b, p->query->ids);
                sql_add(b, ")) j CROSS JOIN agents a ON a.id = j.agent WHERE 1");
                break;
        case FILTER_START_TERMS:
                sql_add(b, " FROM (");
                add_terms_select(b, p->query->terms);
                sql_add(b, ") c CROSS JOIN agents a ON a.id = c.agent WHERE 1");
                break;
        case FILTER_START_LABEL:
                sql_add(b, " FROM agent_labels d");
                sql_add(b, joined ? " CROSS JOIN agents a ON a.id = d.agent" : "");
                add_label_start(b, p->label);
                break;
        default:
                sql_add(b, indexes[start]);
        }
}

void filter_add(SqlBuilder *b, const FilterPlan *p, bool counting) {
        const char *id = filter_id(p, counting);

        add_start(b, p, /* joined= */ streq(id, "a.id"), counting);
        add_conditions(b, p, id);
}

void filter_add_count_without(SqlBuilder *b, const SelectorRequirement *q) {
        sql_add(b, "SELECT (SELECT count(*) FROM agents) - (SELECT count(*) FROM agent_labels d");
        add_label_start(b, q);
        sql_add(b, ")");
}

/* ---- deciding ---- */

static uint64_t few(Store *s) {
        return SQLITE_STORE(s)->list_limits.few;
}

/* How many rows there are, or that they are more than a few. */
static int bounded_count(Store *s, SqlBuilder *b, uint64_t *ret) {
        sql_add(b, " LIMIT ");
        sql_add_u64(b, few(s) + 1);
        sql_add(b, ")");
        return query_built_u64(s, b, ret);
}

static int weigh_label(Store *s, const SelectorRequirement *q, uint64_t *ret) {
        _cleanup_sql_ SqlBuilder b = {};

        sql_add(&b, "SELECT count(*) FROM (SELECT 1 FROM agent_labels d");
        add_label_start(&b, q);
        return bounded_count(s, &b, ret);
}

static int weigh_column(Store *s, const FilterPlan *p, FilterStart start, uint64_t *ret) {
        FilterPlan alone = { .query = p->query, .start = start };
        _cleanup_sql_ SqlBuilder b = {};

        sql_add(&b, "SELECT count(*) FROM (SELECT 1");
        add_start(&b, &alone, /* joined= */ false, /* counting= */ true);
        if (start == FILTER_START_STATES)
                add_states(&b, p->query->states);
        else if (start == FILTER_START_VERSIONS)
                add_versions(&b, p->query->versions);
        else
                add_phases(&b, p->query->phases);
        return bounded_count(s, &b, ret);
}

static int weigh_terms(Store *s, const AgentQuery *q, uint64_t *ret) {
        *ret = 0;
        for (size_t i = 0; i < q->terms->n; i++) {
                _cleanup_sql_ SqlBuilder host = {}, id = {};
                uint64_t n = 0, m = 0;
                int r;

                sql_add(&host,
                        "SELECT count(*) FROM (SELECT 1 FROM agents a INDEXED BY agents_by_hostname WHERE " HOSTNAME
                        " >= ");
                sql_add_text(&host, q->terms->items[i]);
                sql_add(&host, " AND " HOSTNAME " < ");
                sql_add_text(&host, q->terms->items[i]);
                sql_add(&host, BEHIND);
                r = bounded_count(s, &host, &n);
                if (r < 0)
                        return r;
                sql_add(&id, "SELECT count(*) FROM (SELECT 1 FROM agents a WHERE a.id >= ");
                sql_add_text(&id, q->terms->items[i]);
                sql_add(&id, " AND a.id < ");
                sql_add_text(&id, q->terms->items[i]);
                sql_add(&id, BEHIND);
                r = bounded_count(s, &id, &m);
                if (r < 0)
                        return r;
                *ret += n + m;
        }
        return 0;
}

typedef struct Best {
        FilterPlan *plan;
        uint64_t rows; /* the fewest so far */
} Best;

static void consider(Best *best, FilterStart start, const SelectorRequirement *label, uint64_t rows) {
        if (rows >= best->rows)
                return;
        best->rows = rows;
        best->plan->start = start;
        best->plan->label = label;
        best->plan->few = true;
}

/* A label that many have is still a better beginning than all agents, if it is one value: those lie side by
 * side in its index, by id. */
static int
consider_labels(Store *s, Best *best, const Selector *selector, const SelectorRequirement **ret_wide) {
        const SelectorRequirement *q;
        size_t n, weighed = 0;

        q = selector_requirements(selector, &n);
        for (size_t i = 0; i < n && weighed < LABELS_WEIGHED_MAX; i++) {
                uint64_t rows = 0;
                int r;

                if (fact_column(q[i].key) || !IN_SET(q[i].op, SELECTOR_IN, SELECTOR_EXISTS))
                        continue;
                weighed++;
                r = weigh_label(s, &q[i], &rows);
                if (r < 0)
                        return r;
                consider(best, FILTER_START_LABEL, &q[i], rows);
                if (q[i].op == SELECTOR_IN && !q[i].values[1])
                        *ret_wide = &q[i];
        }
        return 0;
}

typedef struct Asked {
        size_t labels, facts; /* requirements of either kind */
        const SelectorRequirement *last;
} Asked;

static void look_at_selector(Asked *a, const Selector *s) {
        const SelectorRequirement *q;
        size_t n;

        q = selector_requirements(s, &n);
        for (size_t i = 0; i < n; i++) {
                if (fact_column(q[i].key))
                        a->facts++;
                else
                        a->labels++;
                a->last = &q[i];
        }
}

static int consider_columns(Store *s, Best *best, const AgentQuery *q) {
        const struct {
                FilterStart start;
                bool is_set;
        } columns[] = {
                { FILTER_START_STATES, q->states != 0 },
                { FILTER_START_VERSIONS, is_set(q->versions) },
                { FILTER_START_PHASES, q->phases != 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(columns); i++) {
                uint64_t rows;
                int r;

                if (!columns[i].is_set)
                        continue;
                r = weigh_column(s, best->plan, columns[i].start, &rows);
                if (r < 0)
                        return r;
                consider(best, columns[i].start, NULL, rows);
        }
        return 0;
}

/* Of one column alone its own index knows all. */
static FilterStart only_column(const AgentQuery *q) {
        bool states = q->states != 0, versions = is_set(q->versions), phases = q->phases != 0;

        if (states + versions + phases != 1)
                return FILTER_START_FACETS;
        return states ? FILTER_START_STATES : versions ? FILTER_START_VERSIONS : FILTER_START_PHASES;
}

/* Everything that could be begun with. */
static int weigh_all(
                Store *s, const AgentQuery *q, Best *best, Asked *asked, const SelectorRequirement **ret_wide) {

        uint64_t rows;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(q->selectors); i++) {
                if (!q->selectors[i])
                        continue;
                look_at_selector(asked, q->selectors[i]);
                r = consider_labels(s, best, q->selectors[i], ret_wide);
                if (r < 0)
                        return r;
        }
        r = consider_columns(s, best, q);
        if (r >= 0 && is_set(q->terms) && q->terms->n <= TERMS_INLINE_MAX) {
                r = weigh_terms(s, q, &rows);
                if (r >= 0)
                        consider(best, FILTER_START_TERMS, NULL, rows);
        }
        if (r >= 0 && q->ids)
                consider(best, FILTER_START_IDS, NULL, MIN((uint64_t) q->ids->n, few(s)));
        return r;
}

/* Nothing narrows it down. */
static void choose_wide(FilterPlan *p, const Asked *asked, const SelectorRequirement *wide) {
        const AgentQuery *q = p->query;

        if (is_set(q->terms) && q->terms->n > TERMS_INLINE_MAX) {
                p->start = FILTER_START_TERMS;
                p->few = true; /* by what people paste */
        } else if (p->only && IN_SET(p->only->op, SELECTOR_IN, SELECTOR_EXISTS)) {
                p->start = FILTER_START_LABEL;
                p->label = p->only;
        } else if (wide) {
                p->start = FILTER_START_LABEL;
                p->label = wide;
        } else if (asked->labels > 0)
                p->start = FILTER_START_AGENTS;
        else
                p->start = asked->facts > 0 || is_set(q->terms) ? FILTER_START_FACETS : only_column(q);
}

int filter_plan(Store *s, const AgentQuery *q, FilterPlan *ret) {
        Best best = { .plan = ret, .rows = few(s) + 1 };
        const SelectorRequirement *wide = NULL;
        Asked asked = {};
        int r;

        *ret = (FilterPlan){ .query = q };
        r = weigh_all(s, q, &best, &asked, &wide);
        if (r < 0)
                return r;
        ret->labels_only = asked.facts == 0 && !q->ids && q->states == 0 && !is_set(q->versions) &&
                           q->phases == 0 && !is_set(q->terms);
        ret->only = ret->labels_only && asked.labels == 1 ? asked.last : NULL;
        if (!ret->few)
                choose_wide(ret, &asked, wide);
        return 0;
}

int filter_plan_by_id(Store *s, const AgentQuery *q, FilterPlan *ret) {
        int r;

        r = filter_plan(s, q, ret);
        if (r >= 0 && is_wide_column(ret))
                ret->start = FILTER_START_AGENTS;
        return r;
}

int filter_plan_facets(Store *s, const AgentQuery *q, FilterPlan *ret) {
        int r;

        r = filter_plan(s, q, ret);
        if (r >= 0 && is_wide_column(ret))
                ret->start = FILTER_START_FACETS;
        ret->labels_only = false; /* the row itself is asked for */
        return r;
}
