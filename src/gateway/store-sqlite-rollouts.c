/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#include "string-util.h"

#define ROLLOUT_COLUMNS                                                                                                  \
        "kind, parent, version, description, spec, state, active, reason, detail, batch, batch_opened, settled, "        \
        "waiting_since, waited, approved, waived, paused_since, paused_total, boot, booted, clock_set, next_look, "      \
        "counts, "                                                                                                       \
        "created, started, updated, finished, actor, revision"

#define WAIVED_THRESHOLD 1U
/* USEC_INFINITY as it is kept: the largest number that a column holds */
#define NEVER ((uint64_t) INT64_MAX)

static usec_t get_time(Query *q) {
        uint64_t t = query_get_u64(q);

        return t == NEVER ? USEC_INFINITY : t;
}

static void put_time(Query *q, usec_t t) {
        query_u64(q, MIN(t, NEVER));
}

/* One row with words that nobody knows must not hide all others: it is read as one that waits for a person, and
 * says so. */
static int rollout_read(Query *q, RolloutRecord *r) {
        _cleanup_free_ char *kind = NULL, *state = NULL, *reason = NULL, *counts = NULL;
        RolloutProgress *p = &r->progress;
        uint64_t waived;
        bool active;
        int k;

        r->id = query_get_u64(q);
        query_get_text(q, &kind);
        r->parent = query_get_u64(q);
        query_get_text(q, &r->version);
        query_get_text(q, &r->description);
        query_get_text(q, &r->spec);
        query_get_text(q, &state);
        active = query_get_u64(q);
        query_get_text(q, &reason);
        query_get_text(q, &r->detail);
        p->batch = (uint32_t) query_get_u64(q);
        p->batch_opened = query_get_u64(q);
        p->settled = query_get_u64(q);
        p->waiting_since = query_get_u64(q);
        p->waited = query_get_u64(q);
        p->approved = query_get_u64(q);
        waived = query_get_u64(q);
        p->paused_since = query_get_u64(q);
        p->paused_total = query_get_u64(q);
        p->boot = query_get_u64(q);
        p->booted = query_get_u64(q);
        p->clock_set = query_get_u64(q);
        p->next_look = get_time(q);
        query_get_text(q, &counts);
        r->created = query_get_u64(q);
        p->started = query_get_u64(q);
        r->updated = query_get_u64(q);
        r->finished = query_get_u64(q);
        query_get_text(q, &r->actor);
        r->revision = query_get_u64(q);
        k = query_read(q);
        if (k < 0)
                return k;

        p->threshold_waived = waived & WAIVED_THRESHOLD;
        r->kind = rollout_kind_from_string(kind);
        p->state = rollout_state_from_string(state);
        p->reason = rollout_reason_from_string(reason);
        if (!r->version || !r->spec || !counts)
                return -EUCLEAN;
        r->damaged = r->kind < 0 || p->state < 0 || p->reason < 0;
        if (r->kind < 0)
                r->kind = ROLLOUT_KIND_UPDATE;
        if (r->damaged && active)
                p->state = ROLLOUT_STATE_PAUSED;
        else if (p->state < 0)
                p->state = ROLLOUT_STATE_ABORTED;
        if (p->reason < 0)
                p->reason = ROLLOUT_REASON_STEP_FAILED;
        k = rollout_counts_parse(counts, &r->counts);
        return k == -EUCLEAN ? 0 : k; /* each step counts anew */
}

int sqlite_rollout_get(Store *s, uint64_t id, RolloutRecord *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT id, " ROLLOUT_COLUMNS " FROM rollouts WHERE id = ?");
        query_u64(&q, id);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return rollout_read(&q, ret);
}

int sqlite_rollout_put(Store *s, RolloutRecord *r) {
        _cleanup_query_ Query q = {};
        _cleanup_free_ char *counts = rollout_counts_format(&r->counts);
        const RolloutProgress *p = &r->progress;
        int k;

        if (!counts)
                return -ENOMEM;
        if (r->id == 0)
                query_begin(&q, s,
                            "INSERT INTO rollouts (" ROLLOUT_COLUMNS
                            ", phase) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
        else
                query_begin(&q, s,
                            "UPDATE rollouts SET kind = ?, parent = ?, version = ?, description = ?, spec = ?, state = ?, "
                            "active = ?, reason = ?, detail = ?, batch = ?, batch_opened = ?, settled = ?, "
                            "waiting_since = ?, waited = ?, approved = ?, waived = ?, paused_since = ?, paused_total = ?, "
                            "boot = ?, booted = ?, clock_set = ?, next_look = ?, counts = ?, created = ?, started = ?, "
                            "updated = ?, finished = ?, actor = ?, revision = ?, phase = ? WHERE id = ?");
        query_text(&q, rollout_kind_to_string(r->kind));
        query_u64(&q, r->parent);
        query_text(&q, r->version);
        query_text(&q, r->description);
        query_text(&q, r->spec);
        query_text(&q, rollout_state_to_string(p->state));
        query_u64(&q, !rollout_state_is_terminal(p->state));
        query_text(&q, rollout_reason_to_string(p->reason));
        query_text(&q, r->detail);
        query_u64(&q, p->batch);
        query_u64(&q, p->batch_opened);
        query_u64(&q, p->settled);
        query_u64(&q, p->waiting_since);
        query_u64(&q, p->waited);
        query_u64(&q, p->approved);
        query_u64(&q, p->threshold_waived ? WAIVED_THRESHOLD : 0);
        query_u64(&q, p->paused_since);
        query_u64(&q, p->paused_total);
        query_u64(&q, p->boot);
        query_u64(&q, p->booted);
        query_u64(&q, p->clock_set);
        put_time(&q, p->next_look);
        query_text(&q, counts);
        query_u64(&q, r->created);
        query_u64(&q, p->started);
        query_u64(&q, r->updated);
        query_u64(&q, r->finished);
        query_text(&q, r->actor);
        query_u64(&q, r->revision);
        query_text(&q, p->batch == ROLLOUT_BATCH_CANARY ? "canary" : "batch");
        if (r->id > 0)
                query_u64(&q, r->id);
        k = query_run_one(&q);
        if (k >= 0 && r->id == 0)
                r->id = (uint64_t) sqlite3_last_insert_rowid(SQLITE_STORE(s)->db);
        return k;
}

static int rollouts_iterate(Query *q, store_rollout_t callback, void *userdata) {
        int r;

        while ((r = query_row(q)) > 0) {
                _cleanup_(rollout_record_done) RolloutRecord record = {};

                r = rollout_read(q, &record);
                if (r >= 0)
                        r = callback(&record, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_rollouts_each(Store *s, const RolloutFilter *f, store_rollout_t callback, void *userdata) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT id, " ROLLOUT_COLUMNS
                    " FROM rollouts WHERE (?1 = 0 OR active = 1) AND (?2 = 0 OR id < ?2) "
                    "AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR version = ?4) ORDER BY id DESC LIMIT ?5");
        query_u64(&q, f->active);
        query_u64(&q, f->before);
        query_text(&q, f->state >= 0 ? rollout_state_to_string(f->state) : NULL);
        query_text(&q, f->version);
        query_u64(&q, f->limit > 0 ? f->limit : NEVER);
        return rollouts_iterate(&q, callback, userdata);
}

int sqlite_rollouts_count(Store *s, const RolloutFilter *f, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT count(*) FROM rollouts WHERE (?1 = 0 OR active = 1) AND (?2 IS NULL OR state = ?2) "
                    "AND (?3 IS NULL OR version = ?3)");
        query_u64(&q, f->active);
        query_text(&q, f->state >= 0 ? rollout_state_to_string(f->state) : NULL);
        query_text(&q, f->version);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret = query_get_u64(&q);
        return query_read(&q);
}

int sqlite_rollouts_due(Store *s, usec_t now, store_number_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT id FROM rollouts WHERE active = 1 AND next_look <= ? ORDER BY id");
        put_time(&q, now);
        while ((r = query_row(&q)) > 0) {
                uint64_t id = query_get_u64(&q);

                r = query_read(&q);
                if (r >= 0)
                        r = callback(id, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_rollout_next_look(Store *s, usec_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT next_look FROM rollouts WHERE active = 1 ORDER BY next_look LIMIT 1");
        r = query_row(&q);
        if (r < 0)
                return r;
        *ret = r > 0 ? get_time(&q) : USEC_INFINITY;
        return query_read(&q);
}

/* ---- one that cannot be read or stepped ---- */

int sqlite_rollout_park(Store *s, uint64_t id, const char *detail, usec_t now) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "UPDATE rollouts SET state = ?, reason = ?, detail = ?, next_look = ?, updated = ?5, "
                    "paused_since = CASE paused_since WHEN 0 THEN ?5 ELSE paused_since END WHERE id = ?6");
        query_text(&q, rollout_state_to_string(ROLLOUT_STATE_PAUSED));
        query_text(&q, rollout_reason_to_string(ROLLOUT_REASON_STEP_FAILED));
        query_text(&q, detail);
        put_time(&q, USEC_INFINITY);
        query_u64(&q, now);
        query_u64(&q, id);
        return query_run_one(&q);
}

/* state NULL: whatever has not ended, or is no state at all. */
static int members_end(Store *s, uint64_t rollout, const char *state, const RolloutMember *end, usec_t now) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "UPDATE rollout_members SET state = ?1, reason = ?2, active = 0, updated = ?3 WHERE rollout = ?4 AND "
                    "(state = ?5 OR (?5 IS NULL AND (active = 1 OR state NOT IN ('succeeded', 'failed', 'rolled-back', "
                    "'timed-out', 'skipped', 'cancelled', 'excluded'))))");
        query_text(&q, member_state_to_string(end->state));
        query_text(&q, member_reason_to_string(end->reason));
        query_u64(&q, now);
        query_u64(&q, rollout);
        query_text(&q, state);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

static int members_count(Store *s, uint64_t rollout, RolloutCounts *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT state, count(*), sum(batch < ?1), sum(batch < ?1 AND seen = 0) FROM rollout_members "
                    "WHERE rollout = ?2 GROUP BY state");
        query_u64(&q, ROLLOUT_BATCH_NONE);
        query_u64(&q, rollout);
        while ((r = query_row(&q)) > 0) {
                _cleanup_free_ char *name = NULL;
                uint64_t n, admitted, counted;
                MemberState state;

                query_get_text(&q, &name);
                n = query_get_u64(&q);
                admitted = query_get_u64(&q);
                counted = query_get_u64(&q);
                r = query_read(&q);
                if (r < 0)
                        return r;
                state = member_state_from_string(name);
                if (state < 0)
                        return -EUCLEAN;
                ret->n[state] = n;
                ret->admitted += admitted;
                ret->counted_admitted += counted;
                ret->counted_failures += member_state_is_failure(state) ? counted : 0;
        }
        return r;
}

int sqlite_rollout_let_go(Store *s, uint64_t id, usec_t now) {
        static const RolloutMember cancelled = { .state = MEMBER_STATE_CANCELLED,
                                                 .reason = MEMBER_REASON_ABORTED },
                                   lost = { .state = MEMBER_STATE_TIMED_OUT,
                                            .reason = MEMBER_REASON_VERDICT };
        _cleanup_query_ Query q = {};
        _cleanup_free_ char *text = NULL;
        RolloutCounts counts = {};
        int r;

        r = members_end(s, id, member_state_to_string(MEMBER_STATE_PENDING), &cancelled, now);
        if (r >= 0)
                r = members_end(s, id, NULL, &lost, now);
        if (r >= 0)
                r = members_count(s, id, &counts);
        if (r < 0)
                return r;
        text = rollout_counts_format(&counts);
        if (!text)
                return -ENOMEM;
        query_begin(&q, s,
                    "UPDATE rollouts SET state = ?, active = 0, reason = ?, counts = ?, next_look = ?, updated = ?5, "
                    "finished = ?5, paused_since = 0, revision = revision + 1 WHERE id = ?6");
        query_text(&q, rollout_state_to_string(ROLLOUT_STATE_ABORTED));
        query_text(&q, rollout_reason_to_string(ROLLOUT_REASON_OPERATOR));
        query_text(&q, text);
        put_time(&q, USEC_INFINITY);
        query_u64(&q, now);
        query_u64(&q, id);
        return query_run_one(&q);
}

/* ---- members ---- */

#define MEMBER_COLUMNS                                                                                                   \
        "m.agent, m.position, m.state, m.reason, m.canary, m.batch, m.goal, m.from_version, m.instruction, m.attempts, " \
        "m.retry, m.seen, m.excused, m.admitted, m.not_before, m.updated, m.hostname, m.os, m.kernel, m.arch"
#define VIEW_COLUMNS                                                                                                     \
        "a.id IS NOT NULL, coalesce(a.state, 0), a.version, a.architecture, a.previous_version, coalesce(a.pinned, 0), " \
        "a.pinned_version, coalesce(a.last_seen, 0), i.number IS NOT NULL, i.phase, i.verdict, i.version, "              \
        "coalesce(i.finished, 0), "                                                                                      \
        "EXISTS (SELECT 1 FROM instructions o WHERE o.agent = m.agent AND o.terminal = 0 AND "                           \
        "(m.instruction IS NULL OR o.id <> m.instruction)), "                                                            \
        "EXISTS (SELECT 1 FROM rollout_members x WHERE x.agent = m.agent AND x.active = 1 AND x.rollout <> m.rollout)"
#define MEMBER_FROM                                                                                         \
        " FROM rollout_members m LEFT JOIN agents a ON a.id = m.agent LEFT JOIN instructions i ON i.id = m.instruction "

/* An admission of no batch, in a column that knows no such number. */
static uint32_t batch_from(uint64_t v) {
        return v >= ROLLOUT_BATCH_NONE ? ROLLOUT_BATCH_NONE : (uint32_t) v;
}

static int member_state_read(RolloutMember *m, const char *state, const char *reason) {
        m->state = member_state_from_string(state);
        if (m->state < 0)
                return -EUCLEAN;
        m->reason = member_reason_from_string(strempty(reason));
        m->verdict = UPDATE_VERDICT_NONE;
        if (m->reason >= 0 && m->reason != MEMBER_REASON_VERDICT)
                return 0;
        /* a failure's reason is its verdict; a lease that ended has none */
        m->verdict = update_verdict_from_string(reason);
        if (m->verdict < 0)
                m->verdict = m->reason == MEMBER_REASON_VERDICT ? UPDATE_VERDICT_NONE :
                                                                  UPDATE_VERDICT_INTERNAL;
        m->reason = MEMBER_REASON_VERDICT;
        return 0;
}

static const char *member_reason_text(const RolloutMember *m) {
        if (m->reason == MEMBER_REASON_VERDICT && m->verdict != UPDATE_VERDICT_NONE)
                return update_verdict_to_string(m->verdict);
        return member_reason_to_string(m->reason);
}

static int member_read(Query *q, RolloutMemberRecord *r) {
        _cleanup_free_ char *state = NULL, *reason = NULL, *phase = NULL, *verdict = NULL;
        RolloutMember *m = &r->member;
        RolloutView *v = &r->view;
        int k;

        query_get_text(q, &r->agent);
        m->position = (uint32_t) query_get_u64(q);
        query_get_text(q, &state);
        query_get_text(q, &reason);
        m->canary = query_get_u64(q);
        m->batch = batch_from(query_get_u64(q));
        query_get_text(q, &r->goal);
        query_get_text(q, &r->from);
        query_get_text(q, &r->instruction);
        m->attempts = (uint32_t) query_get_u64(q);
        m->retry = query_get_u64(q);
        m->seen = query_get_u64(q);
        m->excused = query_get_u64(q);
        m->admitted = query_get_u64(q);
        m->not_before = query_get_u64(q);
        m->updated = query_get_u64(q);
        query_get_text(q, &r->hostname);
        query_get_text(q, &r->os);
        query_get_text(q, &r->kernel);
        query_get_text(q, &r->arch);
        v->exists = query_get_u64(q);
        v->online = query_get_u64(q) == AGENT_STATE_ONLINE;
        query_get_text(q, &r->seen.version);
        query_get_text(q, &r->seen.arch);
        query_get_text(q, &r->seen.previous_version);
        v->pinned = query_get_u64(q);
        query_get_text(q, &r->seen.pinned_version);
        v->last_seen = query_get_u64(q);
        v->has_instruction = query_get_u64(q);
        query_get_text(q, &phase);
        query_get_text(q, &verdict);
        query_get_text(q, &r->seen.instruction_version);
        v->finished = query_get_u64(q);
        v->busy = query_get_u64(q);
        v->in_other_rollout = query_get_u64(q);
        k = query_read(q);
        if (k < 0)
                return k;

        v->phase = phase ? update_phase_from_string(phase) : UPDATE_PHASE_QUEUED;
        v->verdict = verdict ? update_verdict_from_string(verdict) : UPDATE_VERDICT_NONE;
        if (v->verdict < 0)
                v->verdict = UPDATE_VERDICT_INTERNAL;
        if (v->phase < 0 || !r->goal)
                return -EUCLEAN;
        v->online = v->online && !isempty(r->seen.version);
        rollout_member_record_link(r);
        return member_state_read(m, state, reason);
}

static int members_iterate(Query *q, store_rollout_member_t callback, void *userdata) {
        int r;

        while ((r = query_row(q)) > 0) {
                _cleanup_(rollout_member_record_done) RolloutMemberRecord record = {};

                r = member_read(q, &record);
                if (r >= 0)
                        r = callback(&record, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_rollout_members_each(
                Store *s, uint64_t rollout, store_rollout_member_t callback, void *userdata) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT " MEMBER_COLUMNS ", " VIEW_COLUMNS MEMBER_FROM
                    "WHERE m.rollout = ? ORDER BY m.position");
        query_u64(&q, rollout);
        return members_iterate(&q, callback, userdata);
}

int sqlite_rollout_members_page(
                Store *s,
                const RolloutMemberFilter *f,
                store_rollout_member_t callback,
                void *userdata,
                uint64_t *ret_total) {

        _cleanup_query_ Query q = {}, n = {};
        int r;

        query_begin(&n, s,
                    "SELECT count(*) FROM rollout_members WHERE rollout = ?1 AND (?2 IS NULL OR state = ?2) "
                    "AND (?3 IS NULL OR reason = ?3) AND (?4 = 0 OR batch = ?5)");
        query_begin(&q, s,
                    "SELECT " MEMBER_COLUMNS ", " VIEW_COLUMNS MEMBER_FROM
                    "WHERE m.rollout = ?1 AND (?2 IS NULL OR m.state = ?2) AND (?3 IS NULL OR m.reason = ?3) "
                    "AND (?4 = 0 OR m.batch = ?5) AND m.position >= ?6 ORDER BY m.position LIMIT ?7 OFFSET ?8");
        for (unsigned i = 0; i < 2; i++) {
                Query *both = i == 0 ? &n : &q;

                query_u64(both, f->rollout);
                query_text(both, f->state >= 0 ? member_state_to_string(f->state) : NULL);
                query_text(both, f->reason);
                query_u64(both, f->has_batch);
                query_u64(both, f->batch);
        }
        query_u64(&q, f->from_position);
        query_u64(&q, f->limit);
        query_u64(&q, f->offset);
        r = query_row(&n);
        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret_total = query_get_u64(&n);
        r = query_read(&n);
        return r < 0 ? r : members_iterate(&q, callback, userdata);
}

int sqlite_rollout_member_put(Store *s, uint64_t rollout, const RolloutMemberRecord *r) {
        _cleanup_query_ Query q = {};
        const RolloutMember *m = &r->member;
        int k;

        query_begin(&q, s,
                    "INSERT INTO rollout_members (rollout, agent, position, state, active, reason, canary, batch, goal, "
                    "from_version, instruction, attempts, retry, seen, excused, admitted, not_before, updated, hostname, os, kernel, arch) "
                    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (rollout, agent) DO UPDATE SET "
                    "position = excluded.position, state = excluded.state, active = excluded.active, "
                    "reason = excluded.reason, canary = excluded.canary, batch = excluded.batch, "
                    "from_version = excluded.from_version, instruction = excluded.instruction, "
                    "attempts = excluded.attempts, retry = excluded.retry, seen = excluded.seen, excused = excluded.excused, admitted = excluded.admitted, "
                    "not_before = excluded.not_before, updated = excluded.updated");
        query_u64(&q, rollout);
        query_text(&q, r->agent);
        query_u64(&q, m->position);
        query_text(&q, member_state_to_string(m->state));
        query_u64(&q, member_state_is_active(m->state));
        query_text(&q, member_reason_text(m));
        query_u64(&q, m->canary);
        query_u64(&q, m->batch);
        query_text(&q, r->goal);
        query_text(&q, strempty(m->from));
        query_text(&q, r->instruction);
        query_u64(&q, m->attempts);
        query_u64(&q, m->retry);
        query_u64(&q, m->seen);
        query_u64(&q, m->excused);
        query_u64(&q, m->admitted);
        query_u64(&q, m->not_before);
        query_u64(&q, m->updated);
        query_text(&q, r->hostname);
        query_text(&q, r->os);
        query_text(&q, r->kernel);
        query_text(&q, r->arch);
        k = query_run(&q);
        return k < 0 ? k : 0;
}

int sqlite_rollout_membership(Store *s, const char *agent, RolloutMembership *ret) {
        _cleanup_query_ Query q = {};
        _cleanup_free_ char *rollout_state = NULL, *state = NULL;
        int r;

        query_begin(&q, s,
                    "SELECT r.id, r.state, m.state, m.goal FROM rollout_members m JOIN rollouts r ON r.id = m.rollout "
                    "WHERE m.agent = ? AND m.active = 1");
        query_text(&q, agent);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        ret->rollout = query_get_u64(&q);
        query_get_text(&q, &rollout_state);
        query_get_text(&q, &state);
        query_get_text(&q, &ret->version);
        r = query_read(&q);
        if (r < 0)
                return r;
        ret->rollout_state = rollout_state_from_string(rollout_state);
        ret->state = member_state_from_string(state);
        if (ret->rollout_state < 0 || ret->state < 0) { /* it holds the agent, and waits for a person */
                ret->rollout_state = ROLLOUT_STATE_PAUSED;
                ret->state = MEMBER_STATE_PENDING;
        }
        return 0;
}
