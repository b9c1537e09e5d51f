/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"
#include "string-util.h"

/* One pass over an index or over the table of agents each; for a fleet of ten thousand that is some
 * milliseconds, so whoever asks often keeps the answer for a while. */

static int count_agents(Store *s, StoreStats *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT state, COUNT(*) FROM agents GROUP BY state");
        while ((r = query_row(&q)) > 0) {
                uint64_t state = query_get_u64(&q), n = query_get_u64(&q);

                r = query_read(&q);
                if (r < 0)
                        return r;
                if (state >= _AGENT_STATE_MAX)
                        return -EUCLEAN;
                ret->agents[state] = n;
        }
        return r;
}

/* Rows of a name and its number, the most frequent first. */
static int count_names(Store *s, const char *sql, StoreCounts *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, sql);
        while ((r = query_row(&q)) > 0) {
                _cleanup_free_ char *name = NULL;
                uint64_t n;

                query_get_text(&q, &name);
                n = query_get_u64(&q);
                r = query_read(&q);
                if (r >= 0)
                        r = store_counts_add(ret, name, n);
                if (r < 0)
                        return r;
        }
        return r;
}

static int count_one(Query *q, uint64_t *ret) {
        int r = query_row(q);

        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret = query_get_u64(q);
        return query_read(q);
}

static int count_in_flight(Store *s, usec_t now, StoreStats *ret) {
        _cleanup_query_ Query q = {}, late = {};
        int r;

        query_begin(&q, s, "SELECT COUNT(*) FROM instructions WHERE terminal = 0");
        r = count_one(&q, &ret->in_flight);
        if (r < 0)
                return r;
        query_begin(&late, s, "SELECT COUNT(*) FROM instructions WHERE terminal = 0 AND deadline < ?");
        query_u64(&late, usec_sub(now, STORE_STATS_GRACE));
        return count_one(&late, &ret->overdue);
}

/* The counts by state that are kept beside a rollout hold everybody whom it was planned with or who joined
 * later: as many members must be there, none in a state that is not counted. */
static int count_miscounted(Store *s, StoreStats *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT COUNT(*) FROM rollouts AS r WHERE active = 1 AND json_valid(counts) AND ("
                    "  (SELECT SUM(value) FROM json_each(counts) WHERE key <> 'admitted') <>"
                    "    (SELECT COUNT(*) FROM rollout_members WHERE rollout = r.id)"
                    "  OR EXISTS (SELECT 1 FROM rollout_members WHERE rollout = r.id AND state NOT IN"
                    "    (SELECT key FROM json_each(counts) WHERE key <> 'admitted')))");
        return count_one(&q, &ret->miscounted);
}

/* Members that hold their agent although the rollout has ended, and those in flight without an instruction
 * that could still end; those of a rollout that is parked wait for a person. */
static int count_orphans(Store *s, usec_t now, StoreStats *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT COUNT(*) FROM rollout_members AS m"
                    "  LEFT JOIN rollouts AS r ON r.id = m.rollout"
                    "  LEFT JOIN instructions AS i ON m.state = 'in-flight' AND i.id = m.instruction"
                    "  WHERE m.active = 1 AND (r.active = 0 OR"
                    "    (m.state = 'in-flight' AND r.reason IS NOT 'step-failed' AND m.updated < ? AND (i.id IS NULL OR"
                    "      (i.terminal = 1 AND i.finished < ?))))");
        query_u64(&q, usec_sub(now, STORE_STATS_GRACE));
        query_u64(&q, usec_sub(now, STORE_STATS_GRACE));
        return count_one(&q, &ret->orphans);
}

int sqlite_stats(Store *s, usec_t now, StoreStats *ret) {
        int r;

        r = count_agents(s, ret);
        if (r >= 0)
                r = count_names(s,
                                "SELECT version, COUNT(*) AS n FROM agents WHERE version IS NOT NULL "
                                "GROUP BY version ORDER BY n DESC, version",
                                &ret->versions);
        if (r >= 0)
                r = count_in_flight(s, now, ret);
        if (r >= 0)
                r = count_names(s,
                                "SELECT state, COUNT(*) AS n FROM rollouts "
                                "GROUP BY state ORDER BY n DESC, state",
                                &ret->rollouts);
        if (r >= 0)
                r = count_names(s,
                                "SELECT reason, COUNT(*) AS n FROM rollouts WHERE active = 1 "
                                "GROUP BY reason ORDER BY n DESC, reason",
                                &ret->reasons);
        if (r >= 0)
                r = count_names(s,
                                "SELECT m.state, COUNT(*) AS n FROM rollouts AS r "
                                "JOIN rollout_members AS m ON m.rollout = r.id WHERE r.active = 1 "
                                "GROUP BY m.state ORDER BY n DESC, m.state",
                                &ret->members);
        if (r >= 0)
                r = count_miscounted(s, ret);
        if (r >= 0)
                r = count_orphans(s, now, ret);
        return r < 0 ? r : 0;
}
