/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside of the SQLite store: the connection, its cached statements, and binding and reading in order of the
 * question marks and columns. An error sticks in the Query and comes out of query_row() or query_read(), so
 * that the lines between need no checks. Statements are static strings, cached by address; values are always
 * bound. */

#include <sqlite3.h>

#include "store.h"

#define SQLITE_STATEMENTS_MAX 256U

typedef struct SqliteStore {
        Store base;
        sqlite3 *db;
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
        int next_value, next_column;
        int error;
} Query;

void query_begin(Query *q, Store *s, const char *sql);
void query_end(Query *q);
#define _cleanup_query_ _cleanup_(query_end)

void query_text(Query *q, const char *value);            /* NULL is stored as NULL */
void query_u64(Query *q, uint64_t value);                /* above 2^63-1: -ERANGE */

int query_row(Query *q);                                 /* 1: a row, 0: no more, <0 */
int query_run(Query *q); /* to the end; the number of rows that were changed */
int query_run_one(Query *q);                             /* 0, or -ENOENT when nothing was changed */

void query_get_text(Query *q, char **ret); /* the next column; replaces *ret; NULL stays NULL */
uint64_t query_get_u64(Query *q);
int query_read(Query *q);                                /* 0, or what went wrong in the query_get_*() */

int sqlite_error(SqliteStore *s, int code, const char *what);   /* as errno; logs at debug */
int sqlite_run(SqliteStore *s, const char *sql);                /* several statements, no values */

/* store-schema.c */
int store_schema_update(SqliteStore *s);
/* For the test of the migrations: stops at this version. */
int store_schema_update_to(SqliteStore *s, uint64_t version);
uint64_t store_schema_version(void);

/* The operations, by subject */
int sqlite_agent_get(Store *s, const char *id, AgentRecord *ret);
int sqlite_agent_put(Store *s, const AgentRecord *a);
int sqlite_agent_put_labels(Store *s, const char *id, const Labels *labels);
int sqlite_agent_seen(Store *s, const char *id, usec_t when, usec_t metadata_expires);
int sqlite_agent_delete(Store *s, const char *id);
int sqlite_agents_each(Store *s, store_agent_t callback, void *userdata);
int sqlite_agents_all_offline(Store *s);
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
int sqlite_audit_each(Store *s, const AuditFilter *f, store_audit_t callback, void *userdata);
