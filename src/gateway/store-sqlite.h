/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside of the SQLite store: the connection, its cached statements, and binding and reading in order of the
 * question marks and columns. An error sticks in the Query and comes out of query_row() or query_read(), so
 * that the lines between need no checks. Statements are static strings, cached by address, but for those
 * that depend on what somebody asked for (store-sqlite-builder.h); values are always bound. */

#include <sqlite3.h>

#include "store.h"

#define SQLITE_STATEMENTS_MAX 256U

/* What reading lists may cost, in rows and in steps of SQLite's machine, before it is done another way. */
typedef struct SqliteListLimits {
        uint64_t few;        /* rows that may all be looked at */
        uint64_t sort;       /* agents that fit and are sorted at once */
        unsigned walk_steps; /* along the index of an order, for each agent of a page */
} SqliteListLimits;

typedef struct SqliteStore {
        Store base;
        sqlite3 *db;
        SqliteListLimits list_limits;
        struct {
                const char *sql;
                sqlite3_stmt *stmt;
        } statements[SQLITE_STATEMENTS_MAX];
        size_t n_statements;
} SqliteStore;

static inline SqliteStore *SQLITE_STORE(Store *s) {
        return container_of(s, SqliteStore, base);
}

typedef struct Query {
        SqliteStore *store;
        sqlite3_stmt *stmt;
        bool once; /* not of the cache */
        int next_value, next_column;
        int error;
} Query;

void query_begin(Query *q, Store *s, const char *sql);
/* A text that was made at run time: prepared for this query, gone with it. NULL: nothing is prepared. */
void query_begin_once(Query *q, Store *s, const char *sql);
void query_end(Query *q);
#define _cleanup_query_ _cleanup_(query_end)

void query_text(Query *q, const char *value);            /* NULL is stored as NULL */
void query_u64(Query *q, uint64_t value);                /* above 2^63-1: -ERANGE */

int query_row(Query *q);                                 /* 1: a row, 0: no more, <0 */
int query_run(Query *q); /* to the end; the number of rows that were changed */
int query_run_one(Query *q);                             /* 0, or -ENOENT when nothing was changed */

void query_get_text(Query *q, char **ret); /* the next column; replaces *ret; NULL stays NULL */
const char *query_peek_text(Query *q);     /* the next column until the next row; NULL is "" */
uint64_t query_get_u64(Query *q);
int query_read(Query *q);                                /* 0, or what went wrong in the query_get_*() */

int sqlite_error(SqliteStore *s, int code, const char *what);   /* as errno; logs at debug */
int sqlite_run(SqliteStore *s, const char *sql);                /* several statements, no values */

/* store-schema.c */
int store_schema_update(SqliteStore *s);
/* For the test of the migrations: stops at this version. */
int store_schema_update_to(SqliteStore *s, uint64_t version);
uint64_t store_schema_version(void);

/* store-sqlite-agents.c: the columns of the table "agents" that make a record, and one row of them; without
 * the labels. */
extern const char sqlite_agent_columns[];
int sqlite_agent_read(Query *q, AgentRecord *a);
int sqlite_agent_read_labels(Store *s, AgentRecord *a);
int sqlite_agents_fill_version_keys(SqliteStore *s);

/* The operations, by subject */
int sqlite_stats(Store *s, usec_t now, StoreStats *ret);
int sqlite_agent_get(Store *s, const char *id, AgentRecord *ret);
int sqlite_agent_put(Store *s, const AgentRecord *a);
int sqlite_agent_put_labels(Store *s, const char *id, const Labels *labels);
int sqlite_agent_seen(Store *s, const char *id, usec_t when, usec_t metadata_expires);
int sqlite_agent_moved(Store *s, const char *id, const char *from, const char *to);
int sqlite_agent_delete(Store *s, const char *id);
int sqlite_agents_each(Store *s, store_agent_t callback, void *userdata);
int sqlite_agents_all_offline(Store *s);
int sqlite_agents_page(
                Store *s, const AgentQuery *q, store_agent_t callback, void *userdata, uint64_t *ret_total);
int sqlite_agents_count(Store *s, const AgentQuery *q, uint64_t *ret);
int sqlite_agents_ids(Store *s, const AgentQuery *q, store_id_t callback, void *userdata);
int sqlite_agents_facets(Store *s, const AgentQuery *q, store_facet_t callback, void *userdata);
int sqlite_agents_values(
                Store *s, const AgentQuery *query, const char *key, store_value_t callback, void *userdata);
int sqlite_agents_relabel(Store *s, const AgentQuery *q, const StoreRelabel *change);
int sqlite_label_keys(Store *s, uint64_t limit, store_value_t callback, void *userdata);
int sqlite_label_values(Store *s, const char *key, uint64_t limit, store_value_t callback, void *userdata);
int sqlite_group_get(Store *s, const char *name, GroupRecord *ret);
int sqlite_group_put(Store *s, const GroupRecord *g);
int sqlite_group_delete(Store *s, const char *name);
int sqlite_groups_count(Store *s, uint64_t *ret);
int sqlite_groups_each(Store *s, const char *after, uint64_t limit, store_group_t callback, void *userdata);
int sqlite_group_rollout(Store *s, const char *name, uint64_t *ret);
int sqlite_answer_get(Store *s, const char *actor, const char *key, AnswerRecord *ret);
int sqlite_answer_put(Store *s, const char *actor, const char *key, const AnswerRecord *a);
int sqlite_answers_prune(Store *s, usec_t before, const char *actor, uint64_t keep);
int sqlite_join_token_get(Store *s, const char *id, JoinToken *ret);
int sqlite_join_token_put(Store *s, const JoinToken *t);
int sqlite_join_token_used(Store *s, const char *id, const char *agent, const char *key_hash);
int sqlite_join_token_put_used(Store *s, const char *id, const char *agent, const char *key_hash);
int sqlite_join_token_delete(Store *s, const char *id);
int sqlite_join_tokens_each(Store *s, store_join_token_t callback, void *userdata);
int sqlite_api_token_get(Store *s, const char *id, ApiToken *ret);
int sqlite_api_token_put(Store *s, const ApiToken *t);
int sqlite_api_token_seen(Store *s, const char *id, usec_t when);
int sqlite_api_token_delete(Store *s, const char *id);
int sqlite_api_tokens_delete_of(Store *s, const char *owner, uint64_t *ret_n);
int sqlite_api_tokens_each(Store *s, store_api_token_t callback, void *userdata);
int sqlite_release_put(Store *s, const ReleaseRecord *r);
int sqlite_release_delete(Store *s, const char *version);
int sqlite_releases_each(Store *s, store_release_t callback, void *userdata);
int sqlite_artifact_put(Store *s, const ArtifactRecord *a);
int sqlite_release_failures_each(Store *s, store_release_failures_t callback, void *userdata);
int sqlite_artifacts_each(Store *s, store_artifact_t callback, void *userdata);
int sqlite_desired_get(Store *s, uint64_t id, DesiredRecord *ret);
int sqlite_desired_find(Store *s, DesiredKind kind, const char *target, DesiredRecord *ret);
int sqlite_desired_put(Store *s, DesiredRecord *d);
int sqlite_desired_delete(Store *s, uint64_t id);
int sqlite_desired_each(Store *s, store_desired_t callback, void *userdata);
int sqlite_instruction_get(Store *s, const char *id, InstructionRecord *ret);
int sqlite_instruction_put(Store *s, InstructionRecord *i);
int sqlite_instruction_outstanding(Store *s, const char *agent, InstructionRecord *ret);
int sqlite_instruction_latest(Store *s, const char *agent, InstructionRecord *ret);
int sqlite_instruction_last_for(
                Store *s, const char *agent, uint64_t desired, uint64_t generation, InstructionRecord *ret);
int sqlite_instructions_each(
                Store *s, const InstructionFilter *f, store_instruction_t callback, void *userdata);
int sqlite_instructions_cap_deadline(Store *s, usec_t latest);
int sqlite_instructions_prune(Store *s, const char *agent, uint64_t keep);
int sqlite_instruction_next_deadline(Store *s, usec_t *ret);
int sqlite_instruction_phase_put(Store *s, uint64_t number, UpdatePhase phase, usec_t time);
int sqlite_instruction_phases_each(Store *s, uint64_t number, store_phase_t callback, void *userdata);
int sqlite_instruction_phase_medians(Store *s, store_phase_median_t callback, void *userdata);
int sqlite_instructions_standing(Store *s, uint64_t *ret);
int sqlite_instructions_duration(Store *s, usec_t *ret);
int sqlite_desired_tally(
                Store *s, uint64_t desired, uint64_t generation, uint64_t *ret_sent, uint64_t *ret_failed);
int sqlite_rollout_get(Store *s, uint64_t id, RolloutRecord *ret);
int sqlite_rollout_put(Store *s, RolloutRecord *r);
int sqlite_rollouts_each(Store *s, const RolloutFilter *f, store_rollout_t callback, void *userdata);
int sqlite_rollouts_count(Store *s, const RolloutFilter *f, uint64_t *ret);
int sqlite_rollouts_due(Store *s, usec_t now, store_number_t callback, void *userdata);
int sqlite_rollout_park(Store *s, uint64_t id, const char *detail, usec_t now);
int sqlite_rollout_let_go(Store *s, uint64_t id, usec_t now);
int sqlite_rollout_next_look(Store *s, usec_t *ret);
int sqlite_rollout_members_each(Store *s, uint64_t rollout, store_rollout_member_t callback, void *userdata);
int sqlite_rollout_members_page(
                Store *s,
                const RolloutMemberFilter *f,
                store_rollout_member_t callback,
                void *userdata,
                uint64_t *ret_total);
int sqlite_rollout_member_put(Store *s, uint64_t rollout, const RolloutMemberRecord *r);
int sqlite_rollout_membership(Store *s, const char *agent, RolloutMembership *ret);
int sqlite_event_put(Store *s, EventRecord *e);
int sqlite_events_each(Store *s, uint64_t after, uint64_t limit, store_event_t callback, void *userdata);
int sqlite_events_last(Store *s, uint64_t *ret);
int sqlite_events_prune(Store *s, uint64_t keep);
int sqlite_user_get(Store *s, const char *name, UserRecord *ret);
int sqlite_user_put(Store *s, const UserRecord *u);
int sqlite_user_delete(Store *s, const char *name);
int sqlite_users_each(Store *s, store_user_t callback, void *userdata);
int sqlite_session_put(Store *s, const SessionRecord *e);
int sqlite_session_seen(Store *s, const char *id, usec_t when);
int sqlite_session_delete(Store *s, const char *id);
int sqlite_sessions_each(Store *s, store_session_t callback, void *userdata);
int sqlite_sessions_delete_of(Store *s, const char *user, const char *keep);
int sqlite_sessions_prune(Store *s, usec_t now, usec_t used_since);
int sqlite_setting_get(Store *s, const char *key, char **ret);
int sqlite_setting_put(Store *s, const char *key, const char *value);
int sqlite_setting_delete(Store *s, const char *key);
int sqlite_audit_put(Store *s, const AuditRecord *a);
int sqlite_audit_last(Store *s, uint64_t *ret_seq, char **ret_hash);
int sqlite_backup_size(Store *s, uint64_t *ret);
int sqlite_backup_begin(Store *s, const char *path, StoreBackup **ret);
int sqlite_audit_each(Store *s, const AuditFilter *f, store_audit_t callback, void *userdata);
