/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#include "string-util.h"

#define DESIRED_COLUMNS "id, kind, target, version, generation, retry, created, updated, actor"
#define INSTRUCTION_COLUMNS \
        "number, id, agent, desired, generation, attempt, version, from_version, phase, verdict, " \
        "failed_phase, message, retry, cancel_requested, sequence, bytes_done, bytes_total, created, " \
        "updated, deadline, finished, rollout, kind"

static int desired_read(Query *q, DesiredRecord *d) {
        _cleanup_free_ char *kind = NULL;
        int r;

        d->id = query_get_u64(q);
        query_get_text(q, &kind);
        query_get_text(q, &d->target);
        query_get_text(q, &d->version);
        d->generation = query_get_u64(q);
        d->retry = query_get_u64(q);
        d->created = query_get_u64(q);
        d->updated = query_get_u64(q);
        query_get_text(q, &d->actor);
        r = query_read(q);
        if (r < 0)
                return r;
        for (d->kind = 0; d->kind < _DESIRED_KIND_MAX; d->kind++)
                if (streq_ptr(desired_kind_to_string(d->kind), kind))
                        return 0;
        return -EUCLEAN;
}

static int desired_read_one(Query *q, DesiredRecord *d) {
        int r = query_row(q);

        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return desired_read(q, d);
}

int sqlite_desired_get(Store *s, uint64_t id, DesiredRecord *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "SELECT " DESIRED_COLUMNS " FROM desired WHERE id = ?");
        query_u64(&q, id);
        return desired_read_one(&q, ret);
}

int sqlite_desired_find(Store *s, DesiredKind kind, const char *target, DesiredRecord *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "SELECT " DESIRED_COLUMNS " FROM desired WHERE kind = ? AND target = ?");
        query_text(&q, desired_kind_to_string(kind));
        query_text(&q, target);
        return desired_read_one(&q, ret);
}

int sqlite_desired_put(Store *s, DesiredRecord *d) {
        _cleanup_query_ Query q = {};
        int r;

        if (d->id == 0)
                query_begin(&q, s,
                            "INSERT INTO desired (version, generation, retry, created, updated, actor, "
                            "kind, target) "
                            "VALUES (?,?,?,?,?,?,?,?)");
        else
                query_begin(&q, s,
                            "UPDATE desired SET version = ?, generation = ?, retry = ?, created = ?, "
                            "updated = ?, actor = ? WHERE id = ?");
        query_text(&q, d->version);
        query_u64(&q, d->generation);
        query_u64(&q, d->retry);
        query_u64(&q, d->created);
        query_u64(&q, d->updated);
        query_text(&q, d->actor);
        if (d->id == 0) {
                query_text(&q, desired_kind_to_string(d->kind));
                query_text(&q, d->target);
        } else
                query_u64(&q, d->id);
        r = query_run_one(&q);
        if (r >= 0 && d->id == 0)
                d->id = (uint64_t) sqlite3_last_insert_rowid(SQLITE_STORE(s)->db);
        return r;
}

int sqlite_desired_delete(Store *s, uint64_t id) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "DELETE FROM desired WHERE id = ?");
        query_u64(&q, id);
        return query_run_one(&q);
}

int sqlite_desired_each(Store *s, store_desired_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " DESIRED_COLUMNS " FROM desired ORDER BY id");
        while ((r = query_row(&q)) > 0) {
                _cleanup_(desired_record_done) DesiredRecord d = {};

                r = desired_read(&q, &d);
                if (r >= 0)
                        r = callback(&d, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

static int instruction_read(Query *q, InstructionRecord *i) {
        _cleanup_free_ char *phase = NULL, *verdict = NULL, *failed = NULL, *kind = NULL;
        int r;

        i->number = query_get_u64(q);
        query_get_text(q, &i->id);
        query_get_text(q, &i->agent);
        i->desired = query_get_u64(q);
        i->generation = query_get_u64(q);
        i->attempt = query_get_u64(q);
        query_get_text(q, &i->version);
        query_get_text(q, &i->from_version);
        query_get_text(q, &phase);
        query_get_text(q, &verdict);
        query_get_text(q, &failed);
        query_get_text(q, &i->message);
        i->retry = query_get_u64(q);
        i->cancel_requested = query_get_u64(q);
        i->sequence = query_get_u64(q);
        i->bytes_done = query_get_u64(q);
        i->bytes_total = query_get_u64(q);
        i->created = query_get_u64(q);
        i->updated = query_get_u64(q);
        i->deadline = query_get_u64(q);
        i->finished = query_get_u64(q);
        i->rollout = query_get_u64(q);
        query_get_text(q, &kind);
        r = query_read(q);
        if (r < 0)
                return r;

        i->phase = update_phase_from_string(strempty(phase));
        if (i->phase < 0)
                return -EUCLEAN;
        i->verdict = verdict ? update_verdict_from_string(verdict) : UPDATE_VERDICT_NONE;
        if (i->verdict < 0)
                i->verdict = UPDATE_VERDICT_INTERNAL;    /* a newer agent's word */
        i->back = streq(strempty(kind), "rollback");
        i->failed_phase = failed ? update_phase_from_string(failed) : _UPDATE_PHASE_INVALID;
        return 0;
}

static int instruction_read_one(Query *q, InstructionRecord *i) {
        int r = query_row(q);

        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        return instruction_read(q, i);
}

int sqlite_instruction_get(Store *s, const char *id, InstructionRecord *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "SELECT " INSTRUCTION_COLUMNS " FROM instructions WHERE id = ?");
        query_text(&q, id);
        return instruction_read_one(&q, ret);
}

int sqlite_instruction_outstanding(Store *s, const char *agent, InstructionRecord *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT " INSTRUCTION_COLUMNS " FROM instructions WHERE agent = ? AND terminal = 0");
        query_text(&q, agent);
        return instruction_read_one(&q, ret);
}

int sqlite_instruction_latest(Store *s, const char *agent, InstructionRecord *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT " INSTRUCTION_COLUMNS
                    " FROM instructions WHERE agent = ? ORDER BY number DESC LIMIT 1");
        query_text(&q, agent);
        return instruction_read_one(&q, ret);
}

int sqlite_instruction_last_for(
                Store *s, const char *agent, uint64_t desired, uint64_t generation, InstructionRecord *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT " INSTRUCTION_COLUMNS
                    " FROM instructions WHERE agent = ? AND desired = ? AND generation = ? "
                    "ORDER BY number DESC LIMIT 1");
        query_text(&q, agent);
        query_u64(&q, desired);
        query_u64(&q, generation);
        return instruction_read_one(&q, ret);
}

static void instruction_bind(Query *q, const InstructionRecord *i) {
        query_text(q, update_phase_to_string(i->phase));
        query_u64(q, update_phase_is_terminal(i->phase));
        query_text(q, i->verdict == UPDATE_VERDICT_NONE ? NULL : update_verdict_to_string(i->verdict));
        query_text(q, update_phase_to_string(i->failed_phase));
        query_text(q, i->message);
        query_u64(q, i->cancel_requested);
        query_u64(q, i->sequence);
        query_u64(q, i->bytes_done);
        query_u64(q, i->bytes_total);
        query_u64(q, i->updated);
        query_u64(q, i->deadline);
        query_u64(q, i->finished);
        query_text(q, i->from_version);
}

/* Lists of agents show and count the newest one without looking for it. Progress within a phase writes
 * nothing here. */
static int instruction_note(Store *s, const InstructionRecord *i) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "UPDATE agents SET update_number = ?1, update_phase = ?2, update_version = ?3 WHERE id = ?4 "
                    "AND (update_number < ?1 OR (update_number = ?1 AND update_phase <> ?2))");
        query_u64(&q, i->number);
        query_text(&q, update_phase_to_string(i->phase));
        query_text(&q, i->version);
        query_text(&q, i->agent);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_instruction_put(Store *s, InstructionRecord *i) {
        _cleanup_query_ Query q = {};
        int r;

        if (i->number == 0)
                query_begin(&q, s,
                            "INSERT INTO instructions (phase, terminal, verdict, failed_phase, message, "
                            "cancel_requested, sequence, bytes_done, bytes_total, updated, deadline, "
                            "finished, from_version, id, agent, desired, generation, attempt, version, "
                            "retry, created, rollout, kind) "
                            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
        else
                query_begin(&q, s,
                            "UPDATE instructions SET phase = ?, terminal = ?, verdict = ?, "
                            "failed_phase = ?, message = ?, cancel_requested = ?, sequence = ?, "
                            "bytes_done = ?, bytes_total = ?, updated = ?, deadline = ?, finished = ?, "
                            "from_version = ? WHERE number = ?");
        instruction_bind(&q, i);
        if (i->number == 0) {
                query_text(&q, i->id);
                query_text(&q, i->agent);
                query_u64(&q, i->desired);
                query_u64(&q, i->generation);
                query_u64(&q, i->attempt);
                query_text(&q, i->version);
                query_u64(&q, i->retry);
                query_u64(&q, i->created);
                query_u64(&q, i->rollout);
                query_text(&q, i->back ? "rollback" : "update");
        } else
                query_u64(&q, i->number);
        r = query_run_one(&q);
        if (r >= 0 && i->number == 0)
                i->number = (uint64_t) sqlite3_last_insert_rowid(SQLITE_STORE(s)->db);
        return r < 0 ? r : instruction_note(s, i);
}

int sqlite_instructions_each(
                Store *s, const InstructionFilter *f, store_instruction_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        if (f->expired_before > 0) {
                query_begin(&q, s,
                            "SELECT " INSTRUCTION_COLUMNS
                            " FROM instructions WHERE terminal = 0 AND deadline < ? "
                            "ORDER BY deadline LIMIT ?");
                query_u64(&q, f->expired_before);
        } else {
                /* two texts, so that the one with an agent can use the index on agents */
                if (f->agent)
                        query_begin(&q, s,
                                    "SELECT " INSTRUCTION_COLUMNS " FROM instructions WHERE agent = ?1 AND "
                                    "(?2 = 0 OR desired = ?2) AND (?3 = 0 OR terminal = 0) "
                                    "ORDER BY number DESC LIMIT ?4");
                else
                        query_begin(&q, s,
                                    "SELECT " INSTRUCTION_COLUMNS " FROM instructions WHERE ?1 IS NULL AND "
                                    "(?2 = 0 OR desired = ?2) AND (?3 = 0 OR terminal = 0) "
                                    "ORDER BY number DESC LIMIT ?4");
                query_text(&q, f->agent);
                query_u64(&q, f->desired);
                query_u64(&q, f->active);
        }
        query_u64(&q, f->limit);
        while ((r = query_row(&q)) > 0) {
                _cleanup_(instruction_record_done) InstructionRecord i = {};

                r = instruction_read(&q, &i);
                if (r >= 0)
                        r = callback(&i, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_instructions_cap_deadline(Store *s, usec_t latest) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "UPDATE instructions SET deadline = ?1 WHERE terminal = 0 AND deadline > ?1");
        query_u64(&q, latest);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_instructions_prune(Store *s, const char *agent, uint64_t keep) {
        _cleanup_query_ Query q = {};
        int r;

        /* what is desired still counts its attempts, and a rollout shows how its members fared */
        query_begin(&q, s,
                    "DELETE FROM instructions WHERE agent = ?1 AND terminal = 1 AND number <= "
                    "(SELECT number FROM instructions WHERE agent = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2) "
                    "AND NOT EXISTS (SELECT 1 FROM desired WHERE desired.id = instructions.desired "
                    "AND desired.generation = instructions.generation) "
                    "AND NOT EXISTS (SELECT 1 FROM rollout_members WHERE instruction = instructions.id)");
        query_text(&q, agent);
        query_u64(&q, keep);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_instruction_next_deadline(Store *s, usec_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT deadline FROM instructions WHERE terminal = 0 ORDER BY deadline LIMIT 1");
        r = query_row(&q);
        if (r < 0)
                return r;
        *ret = r > 0 ? query_get_u64(&q) : USEC_INFINITY;
        return query_read(&q);
}

int sqlite_instruction_phase_put(Store *s, uint64_t number, UpdatePhase phase, usec_t time) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "INSERT INTO instruction_phases (number, phase, time) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
        query_u64(&q, number);
        query_text(&q, update_phase_to_string(phase));
        query_u64(&q, time);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_instruction_phases_each(Store *s, uint64_t number, store_phase_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT phase, time FROM instruction_phases WHERE number = ? ORDER BY time");
        query_u64(&q, number);
        while ((r = query_row(&q)) > 0) {
                _cleanup_free_ char *name = NULL;
                UpdatePhase phase;
                usec_t t;

                query_get_text(&q, &name);
                t = query_get_u64(&q);
                r = query_read(&q);
                if (r < 0)
                        return r;
                phase = update_phase_from_string(name);
                r = phase < 0 ? -EUCLEAN : callback(phase, t, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_instruction_phase_medians(Store *s, store_phase_median_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "WITH latest AS (SELECT number FROM instructions WHERE phase = 'succeeded' ORDER BY number DESC LIMIT 100), "
                    "spans AS (SELECT p.phase, lead(p.time) OVER (PARTITION BY p.number ORDER BY p.time) - p.time AS span "
                    "FROM latest JOIN instruction_phases p USING (number)), "
                    "ordered AS (SELECT phase, span, count(*) OVER (PARTITION BY phase) AS n, "
                    "row_number() OVER (PARTITION BY phase ORDER BY span) AS k FROM spans WHERE span IS NOT NULL) "
                    "SELECT phase, span, n FROM ordered WHERE k = (n + 1) / 2");
        while ((r = query_row(&q)) > 0) {
                _cleanup_free_ char *name = NULL;
                UpdatePhase phase;
                uint64_t n;
                usec_t t;

                query_get_text(&q, &name);
                t = query_get_u64(&q);
                n = query_get_u64(&q);
                r = query_read(&q);
                if (r < 0)
                        return r;
                phase = update_phase_from_string(name);
                r = phase < 0 ? -EUCLEAN : callback(phase, t, n, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

static int read_numbers(Query *q, uint64_t *first, uint64_t *second) {
        int r = query_row(q);

        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *first = query_get_u64(q);
        if (second)
                *second = query_get_u64(q);
        return query_read(q);
}

int sqlite_instructions_standing(Store *s, uint64_t *ret) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT count(*) FROM instructions i WHERE terminal = 0 AND rollout = 0 AND NOT EXISTS "
                    "(SELECT 1 FROM desired d WHERE d.id = i.desired AND d.kind = 'agent')");
        return read_numbers(&q, ret, NULL);
}

int sqlite_instructions_duration(Store *s, usec_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "WITH latest AS (SELECT max(finished - created, 0) AS span FROM instructions "
                    "WHERE phase = 'succeeded' ORDER BY number DESC LIMIT 100) "
                    "SELECT span FROM latest ORDER BY span LIMIT 1 OFFSET (SELECT count(*) / 2 FROM latest)");
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret = query_get_u64(&q);
        return query_read(&q);
}

int sqlite_desired_tally(
                Store *s, uint64_t desired, uint64_t generation, uint64_t *ret_sent, uint64_t *ret_failed) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s,
                    "SELECT count(DISTINCT agent), count(DISTINCT CASE WHEN phase IN ('rolled-back', 'failed', 'timed-out') "
                    "THEN agent END) FROM instructions WHERE desired = ? AND generation = ?");
        query_u64(&q, desired);
        query_u64(&q, generation);
        return read_numbers(&q, ret_sent, ret_failed);
}

int sqlite_event_put(Store *s, EventRecord *e) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "INSERT INTO events (time, topic, agent, data) VALUES (?,?,?,?)");
        query_u64(&q, e->time);
        query_text(&q, e->topic);
        query_text(&q, e->agent);
        query_text(&q, e->data);
        r = query_run_one(&q);
        if (r >= 0)
                e->id = (uint64_t) sqlite3_last_insert_rowid(SQLITE_STORE(s)->db);
        return r;
}

int sqlite_events_each(Store *s, uint64_t after, uint64_t limit, store_event_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT id, time, topic, agent, data FROM events WHERE id > ? ORDER BY id LIMIT ?");
        query_u64(&q, after);
        query_u64(&q, limit);
        while ((r = query_row(&q)) > 0) {
                _cleanup_(event_record_done) EventRecord e = {};

                e.id = query_get_u64(&q);
                e.time = query_get_u64(&q);
                query_get_text(&q, &e.topic);
                query_get_text(&q, &e.agent);
                query_get_text(&q, &e.data);
                r = query_read(&q);
                if (r >= 0)
                        r = callback(&e, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_events_last(Store *s, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        /* also after the newest was pruned */
        query_begin(&q, s, "SELECT seq FROM sqlite_sequence WHERE name = 'events'");
        r = query_row(&q);
        if (r < 0)
                return r;
        *ret = r > 0 ? query_get_u64(&q) : 0;
        return query_read(&q);
}

int sqlite_events_prune(Store *s, uint64_t keep) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?");
        query_u64(&q, keep);
        r = query_run(&q);
        return r < 0 ? r : 0;
}
