/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite-filter.h"

#include <limits.h>

#include "alloc-util.h"
#include "string-util.h"

static const struct {
        const char *index, *expression;
} orders[_AGENT_SORT_MAX] = {
        [AGENT_SORT_ID] = { "sqlite_autoindex_agents_1", "a.id" },
        [AGENT_SORT_HOSTNAME] = { "agents_by_hostname", "coalesce(a.hostname, '') COLLATE NOCASE" },
        [AGENT_SORT_STATE] = { "agents_by_state", "a.state" },
        [AGENT_SORT_VERSION] = { "agents_by_version", "a.version_key" },
        [AGENT_SORT_LAST_SEEN] = { "agents_by_last_seen", "a.last_seen" },
        [AGENT_SORT_CONNECTED] = { "agents_by_connected", "a.connected" },
        [AGENT_SORT_ENROLLED] = { "agents_by_enrolled", "a.enrolled" },
        [AGENT_SORT_UPDATE] = { "agents_by_update", "a.update_phase" },
        [AGENT_SORT_OS] = { "agents_by_os", "coalesce(a.os_id, '')" },
        [AGENT_SORT_ARCH] = { "agents_by_arch", "coalesce(a.architecture, '')" },
        [AGENT_SORT_KERNEL] = { "agents_by_kernel", "coalesce(a.kernel, '')" },
};

/* ---- how many ---- */

static int count_planned(Store *s, const FilterPlan *p, uint64_t *ret) {
        _cleanup_sql_ SqlBuilder b = {};

        if (p->only && p->start == FILTER_START_AGENTS) {
                filter_add_count_without(&b, p->only);
                return query_built_u64(s, &b, ret);
        }
        sql_add(&b, "SELECT count(*)");
        filter_add(&b, p, /* counting= */ true);
        return query_built_u64(s, &b, ret);
}

int sqlite_agents_count(Store *s, const AgentQuery *q, uint64_t *ret) {
        FilterPlan plan;
        int r;

        r = filter_plan(s, q, &plan);
        return r < 0 ? r : count_planned(s, &plan, ret);
}

/* ---- one page ---- */

typedef struct Page {
        AgentRecord *agents;
        size_t n, n_allocated;
        uint64_t limit;
} Page;

static void page_clear(Page *p) {
        for (size_t i = 0; i < p->n; i++)
                agent_record_done(&p->agents[i]);
        p->n = 0;
}

static void page_done(Page *p) {
        page_clear(p);
        free(p->agents);
}

static int page_read(Store *s, const SqlBuilder *b, Page *p) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin_built(&q, s, b);
        while ((r = query_row(&q)) > 0) {
                r = ARRAY_GROW(p->agents, p->n_allocated, p->n + 1);
                if (r < 0)
                        return r;
                p->agents[p->n] = (AgentRecord){};
                r = sqlite_agent_read(&q, &p->agents[p->n++]);
                if (r < 0)
                        return r;
        }
        return r;
}

static void add_key(SqlBuilder *b, AgentSort sort, const AgentPosition *p) {
        if (sort == AGENT_SORT_ID)
                sql_add_text(b, p->id);
        else if (agent_sort_is_number(sort))
                sql_add_u64(b, p->number);
        else
                sql_add_text(b, p->text);
}

/* The part of the order in which it lies behind the position: with the same key a later id, or a later key.
 */
static void add_behind(SqlBuilder *b, const AgentQuery *q, bool same_key) {
        const char *compare = q->descending ? " < " : " > ";

        sql_add(b, orders[q->sort].expression);
        sql_add(b, same_key ? " = " : compare);
        add_key(b, q->sort, q->after);
        if (!same_key)
                return;
        sql_add(b, " AND a.id");
        sql_add(b, compare);
        sql_add_text(b, q->after->id);
}

/* prefix "+": not by an index. */
static void add_order(
                SqlBuilder *b,
                const AgentQuery *q,
                const char *prefix,
                bool same_key,
                uint64_t limit,
                uint64_t offset) {
        const char *direction = q->descending ? " DESC" : "";

        sql_add(b, " ORDER BY ");
        if (q->sort != AGENT_SORT_ID && !same_key) {
                sql_add(b, prefix);
                sql_add(b, orders[q->sort].expression);
                sql_add(b, direction);
                sql_add(b, ", ");
        }
        sql_add(b, "a.id");
        sql_add(b, direction);
        sql_add(b, " LIMIT ");
        sql_add_u64(b, limit);
        if (offset == 0)
                return;
        sql_add(b, " OFFSET ");
        sql_add_u64(b, offset);
}

static void add_select(SqlBuilder *b) {
        sql_add(b, "SELECT ");
        sql_add(b, sqlite_agent_columns);
}

/* All that fit, sorted. */
static int page_sort(Store *s, const FilterPlan *plan, Page *p) {
        const AgentQuery *q = plan->query;
        _cleanup_sql_ SqlBuilder b = {};

        add_select(&b);
        filter_add(&b, plan, /* counting= */ false);
        if (q->after) {
                sql_add(&b, " AND (");
                add_behind(&b, q, /* same_key= */ false);
                if (q->sort != AGENT_SORT_ID) {
                        sql_add(&b, " OR (");
                        add_behind(&b, q, /* same_key= */ true);
                        sql_add(&b, ")");
                }
                sql_add(&b, ")");
        }
        add_order(&b, q, "+", /* same_key= */ false, p->limit, q->after ? 0 : q->offset);
        return page_read(s, &b, p);
}

void sqlite_lists_add_walk(SqlBuilder *b, const AgentQuery *q, bool same_key, uint64_t limit) {
        FilterPlan all = { .query = q, .start = FILTER_START_AGENTS };

        add_select(b);
        sql_add(b, " FROM agents a INDEXED BY ");
        sql_add(b, orders[q->sort].index);
        sql_add(b, " WHERE 1");
        if (q->after) {
                sql_add(b, " AND ");
                add_behind(b, q, same_key);
        }
        filter_add_conditions(b, &all);
        add_order(b, q, "", same_key, limit, 0);
}

static int page_walk_part(Store *s, const AgentQuery *q, Page *p, bool same_key) {
        _cleanup_sql_ SqlBuilder b = {};

        sqlite_lists_add_walk(&b, q, same_key, p->limit - p->n);
        return page_read(s, &b, p);
}

static int stop(void *userdata) {
        return 1;
}

/* Along the index of the order until the page is full: quick unless those that fit are rare where it walks,
 * which nobody knows beforehand. 1: done; 0: too far. */
static int page_walk(Store *s, const AgentQuery *q, Page *p) {
        uint64_t steps = SQLITE_STORE(s)->list_limits.walk_steps * p->limit;
        sqlite3 *db = SQLITE_STORE(s)->db;
        int r = 0;

        sqlite3_progress_handler(db, (int) MIN(steps, (uint64_t) INT_MAX), stop, NULL);
        if (q->after && q->sort != AGENT_SORT_ID)
                r = page_walk_part(s, q, p, /* same_key= */ true);
        if (r >= 0 && p->n < p->limit)
                r = page_walk_part(s, q, p, /* same_key= */ false);
        sqlite3_progress_handler(db, 0, NULL, NULL);
        if (r == -EINTR) {
                page_clear(p);
                return 0;
        }
        return r < 0 ? r : 1;
}

/* Who stands at the end of what is skipped, along the index of the order, which knows key and id: then the page begins
 * behind them as it does behind a cursor. -ENOENT: there are not so many. */
static int find_offset(Store *s, const AgentQuery *q, AgentPosition *ret) {
        FilterPlan all = { .query = q, .start = FILTER_START_AGENTS };
        _cleanup_sql_ SqlBuilder b = {};
        _cleanup_query_ Query row = {};
        int r;

        sql_add(&b, "SELECT a.id, ");
        sql_add(&b, orders[q->sort].expression);
        sql_add(&b, " FROM agents a INDEXED BY ");
        sql_add(&b, orders[q->sort].index);
        sql_add(&b, " WHERE 1");
        filter_add_conditions(&b, &all);
        add_order(&b, q, "", /* same_key= */ false, 1, q->offset - 1);
        query_begin_built(&row, s, &b);
        r = query_row(&row);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        query_get_text(&row, &ret->id);
        if (agent_sort_is_number(q->sort))
                ret->number = query_get_u64(&row);
        else
                query_get_text(&row, &ret->text);
        return query_read(&row);
}

static int page_fill(Store *s, const FilterPlan *plan, uint64_t total, Page *p) {
        _cleanup_(agent_position_done) AgentPosition position = {};
        AgentQuery q = *plan->query;
        FilterPlan behind = *plan;
        int r = 0;

        if (total == 0 || (!q.after && q.offset >= total))
                return 0;
        if (plan->few || total <= SQLITE_STORE(s)->list_limits.sort)
                return page_sort(s, plan, p);
        if (!q.after && q.offset > 0) {
                r = find_offset(s, &q, &position);
                if (r < 0)
                        return r == -ENOENT ? 0 : r;
                q.after = &position;
        }
        behind.query = &q;
        r = page_walk(s, &q, p);
        return r != 0 ? r : page_sort(s, &behind, p);
}

int sqlite_agents_page(
                Store *s, const AgentQuery *q, store_agent_t callback, void *userdata, uint64_t *ret_total) {

        _cleanup_(page_done) Page page = { .limit = q->limit };
        uint64_t total = UINT64_MAX; /* who does not want to know it must not pay for it */
        FilterPlan plan;
        int r;

        r = filter_plan(s, q, &plan);
        if (r >= 0 && ret_total)
                r = count_planned(s, &plan, &total);
        if (r >= 0)
                r = page_fill(s, &plan, total, &page);
        for (size_t i = 0; r >= 0 && i < page.n; i++) {
                r = sqlite_agent_read_labels(s, &page.agents[i]);
                if (r >= 0)
                        r = callback(&page.agents[i], userdata);
                if (r > 0)
                        break;
        }
        if (r < 0)
                return r;
        if (ret_total)
                *ret_total = total;
        return 0;
}

/* ---- ids, and what they have in common ---- */

int sqlite_agents_ids(Store *s, const AgentQuery *q, store_id_t callback, void *userdata) {
        _cleanup_sql_ SqlBuilder b = {};
        _cleanup_query_ Query ids = {};
        FilterPlan plan;
        int r;

        r = filter_plan_by_id(s, q, &plan);
        if (r < 0)
                return r;
        sql_add(&b, "SELECT ");
        sql_add(&b, filter_id(&plan, /* counting= */ true));
        filter_add(&b, &plan, /* counting= */ true);
        sql_add(&b, " ORDER BY 1");
        query_begin_built(&ids, s, &b);
        while ((r = query_row(&ids)) > 0) {
                const char *id = query_peek_text(&ids);

                r = callback(id, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

#define FACET_COLUMNS "a.state, a.version, a.update_phase, a.os_id, a.architecture"

/* In the index that holds them all they lie together and can be counted in passing; otherwise it is cheaper
 * to have them counted by the caller than to sort them here. */
int sqlite_agents_facets(Store *s, const AgentQuery *q, store_facet_t callback, void *userdata) {
        _cleanup_sql_ SqlBuilder b = {};
        _cleanup_query_ Query rows = {};
        FilterPlan plan;
        int r;

        r = filter_plan_facets(s, q, &plan);
        if (r < 0)
                return r;
        if (plan.start == FILTER_START_FACETS) {
                sql_add(&b, "SELECT count(*), " FACET_COLUMNS);
                filter_add(&b, &plan, /* counting= */ true);
                sql_add(&b,
                        " GROUP BY a.state, a.version_key, a.version, a.update_phase, a.os_id, a.architecture");
        } else {
                sql_add(&b, "SELECT 1, " FACET_COLUMNS);
                filter_add(&b, &plan, /* counting= */ true);
        }
        query_begin_built(&rows, s, &b);
        while ((r = query_row(&rows)) > 0) {
                AgentFacet f = { .n = query_get_u64(&rows) };
                uint64_t state = query_get_u64(&rows);

                f.version = query_peek_text(&rows);
                f.phase = query_peek_text(&rows);
                f.os = query_peek_text(&rows);
                f.arch = query_peek_text(&rows);
                r = state < _AGENT_STATE_MAX ? query_read(&rows) : -EUCLEAN;
                f.state = (AgentState) state;
                if (r >= 0)
                        r = callback(&f, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}
