/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite-filter.h"

#include "string-util.h"

/* A table of this connection alone (store-sqlite.c makes it): the agents whose labels one operation changes.
 */
#define CHANGED "temp.relabelled"

static int run(Store *s, const char *sql) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, sql);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

/* Those of the target for which at least one of the changes is one. */
static int collect_changed(Store *s, const AgentQuery *q, const Label *changes, size_t n) {
        _cleanup_sql_ SqlBuilder b = {};
        _cleanup_query_ Query insert = {};
        FilterPlan plan;
        const char *id;
        int r;

        r = filter_plan_by_id(s, q, &plan);
        if (r < 0)
                return r;
        if (plan.start == FILTER_START_FACETS)       /* by id, as the labels lie */
                plan.start = FILTER_START_AGENTS;
        id = filter_id(&plan, /* counting= */ true);
        sql_add(&b, "INSERT INTO " CHANGED " SELECT ");
        sql_add(&b, id);
        filter_add(&b, &plan, /* counting= */ true);
        sql_add(&b, " AND (0");
        for (size_t i = 0; i < n; i++) {
                bool remove = isempty(changes[i].value);

                sql_add(&b, remove ? " OR EXISTS" : " OR NOT EXISTS");
                sql_add(&b, " (SELECT 1 FROM agent_labels c WHERE c.agent = ");
                sql_add(&b, id);
                sql_add(&b, " AND c.key = ");
                sql_add_text(&b, changes[i].key);
                if (!remove) {
                        sql_add(&b, " AND c.value = ");
                        sql_add_text(&b, changes[i].value);
                }
                sql_add(&b, ")");
        }
        sql_add(&b, ")");
        query_begin_built(&insert, s, &b);
        r = query_run(&insert);
        return r < 0 ? r : 0;
}

static int change_label(Store *s, const Label *change) {
        _cleanup_query_ Query q = {};
        int r;

        if (isempty(change->value)) {
                query_begin(&q, s,
                            "DELETE FROM agent_labels WHERE key = ? AND agent IN (SELECT id FROM " CHANGED
                            ")");
                query_text(&q, change->key);
        } else {
                query_begin(&q, s,
                            "INSERT INTO agent_labels (agent, key, value) SELECT id, ?, ? FROM " CHANGED
                            " WHERE true ON CONFLICT (agent, key) DO UPDATE SET value = excluded.value");
                query_text(&q, change->key);
                query_text(&q, change->value);
        }
        r = query_run(&q);
        return r < 0 ? r : 0;
}

/* One that has too many labels now, as *ret; NULL: none has. */
static int find_overfull(Store *s, char **ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT id FROM " CHANGED
                    " WHERE (SELECT count(*) FROM agent_labels l WHERE l.agent = id) > ? ORDER BY id LIMIT 1");
        query_u64(&q, LABELS_MAX);
        r = query_row(&q);
        if (r <= 0)
                return r;
        query_get_text(&q, ret);
        return query_read(&q);
}

static int tell_changed(Store *s, uint64_t limit, store_id_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT id FROM " CHANGED " ORDER BY id LIMIT ?");
        query_u64(&q, limit);
        while ((r = query_row(&q)) > 0) {
                r = callback(query_peek_text(&q), userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

static int count_changed(Store *s, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT count(*) FROM " CHANGED);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret = query_get_u64(&q);
        return query_read(&q);
}

int sqlite_agents_relabel(Store *s, const AgentQuery *q, const StoreRelabel *change) {
        int r;

        r = run(s, "DELETE FROM " CHANGED);
        if (r >= 0)
                r = collect_changed(s, q, change->changes, change->n);
        for (size_t i = 0; r >= 0 && i < change->n; i++)
                r = change_label(s, &change->changes[i]);
        if (r >= 0)
                r = run(s, "UPDATE agents SET revision = revision + 1 WHERE id IN (SELECT id FROM " CHANGED
                           ")");
        if (r >= 0)
                r = find_overfull(s, change->reterr_overfull);
        if (r >= 0 && *change->reterr_overfull)
                return -E2BIG;
        if (r >= 0)
                r = count_changed(s, change->ret_changed);
        if (r >= 0)
                r = tell_changed(s, change->tell, change->callback, change->userdata);
        return r;
}

/* ---- which there are ---- */

static int each_value(Query *q, store_value_t callback, void *userdata) {
        int r;

        while ((r = query_row(q)) > 0) {
                const char *value = query_peek_text(q);
                uint64_t n = query_get_u64(q);

                r = query_read(q);
                if (r >= 0)
                        r = callback(value, n, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_label_keys(Store *s, uint64_t limit, store_value_t callback, void *userdata) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "SELECT key, count(*) FROM agent_labels GROUP BY key ORDER BY key LIMIT ?");
        query_u64(&q, limit);
        return each_value(&q, callback, userdata);
}

int sqlite_label_values(Store *s, const char *key, uint64_t limit, store_value_t callback, void *userdata) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT value, count(*) FROM agent_labels WHERE key = ? GROUP BY value ORDER BY value LIMIT ?");
        query_text(&q, key);
        query_u64(&q, limit);
        return each_value(&q, callback, userdata);
}

int sqlite_agents_values(
                Store *s, const AgentQuery *query, const char *key, store_value_t callback, void *userdata) {

        _cleanup_sql_ SqlBuilder b = {};
        _cleanup_query_ Query q = {};
        FilterPlan plan;
        const char *id;
        int r;

        r = filter_plan_by_id(s, query, &plan);
        if (r < 0)
                return r;
        if (plan.labels_only && !query->selectors[0] && !query->selectors[1]) /* of all agents */
                return sqlite_label_values(s, key, INT64_MAX, callback, userdata);
        id = filter_id(&plan, /* counting= */ true);
        sql_add(&b, "SELECT v.value, 1 FROM (SELECT ");
        sql_add(&b, id);
        sql_add(&b, " AS id");
        filter_add(&b, &plan, /* counting= */ true);
        sql_add(&b, ") f CROSS JOIN agent_labels v ON v.agent = f.id AND v.key = ");
        sql_add_text(&b, key);
        query_begin_built(&q, s, &b);
        return each_value(&q, callback, userdata);
}
