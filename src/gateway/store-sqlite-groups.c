/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#include "string-util.h"

#define GROUP_COLUMNS "name, selector, description, created, updated, revision"

static int group_read(Query *q, GroupRecord *g) {
        query_get_text(q, &g->name);
        query_get_text(q, &g->selector);
        query_get_text(q, &g->description);
        g->created = query_get_u64(q);
        g->updated = query_get_u64(q);
        g->revision = query_get_u64(q);
        return query_read(q);
}

int sqlite_group_get(Store *s, const char *name, GroupRecord *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " GROUP_COLUMNS " FROM groups WHERE name = ?");
        query_text(&q, name);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return group_read(&q, ret);
}

int sqlite_group_put(Store *s, const GroupRecord *g) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "INSERT INTO groups (" GROUP_COLUMNS ") VALUES (?,?,?,?,?,?) "
                    "ON CONFLICT (name) DO UPDATE SET selector = excluded.selector, "
                    "description = excluded.description, updated = excluded.updated, "
                    "revision = excluded.revision");
        query_text(&q, g->name);
        query_text(&q, g->selector);
        query_text(&q, g->description);
        query_u64(&q, g->created);
        query_u64(&q, g->updated);
        query_u64(&q, g->revision);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_group_delete(Store *s, const char *name) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "DELETE FROM groups WHERE name = ?");
        query_text(&q, name);
        return query_run_one(&q);
}

int sqlite_groups_count(Store *s, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT count(*) FROM groups");
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret = query_get_u64(&q);
        return query_read(&q);
}

int sqlite_groups_each(Store *s, const char *after, uint64_t limit, store_group_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " GROUP_COLUMNS " FROM groups WHERE name > ? ORDER BY name LIMIT ?");
        query_text(&q, strempty(after));
        query_u64(&q, limit);
        while ((r = query_row(&q)) > 0) {
                _cleanup_(group_record_done) GroupRecord g = {};

                r = group_read(&q, &g);
                if (r >= 0)
                        r = callback(&g, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_group_rollout(Store *s, const char *name, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT id FROM rollouts WHERE active = 1 AND "
                    "CASE WHEN json_valid(spec) THEN json_extract(spec, '$.target.group') END = ? "
                    "ORDER BY id LIMIT 1");
        query_text(&q, name);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret = query_get_u64(&q);
        return query_read(&q);
}
