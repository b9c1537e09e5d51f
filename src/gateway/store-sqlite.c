/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#include "alloc-util.h"
#include "log.h"

static void sqlite_close(Store *store) {
        SqliteStore *s = SQLITE_STORE(store);

        for (size_t i = 0; i < s->n_statements; i++)
                (void) sqlite3_finalize(s->statements[i].stmt);
        (void) sqlite3_close_v2(s->db);
        free(s);
}

static int sqlite_begin(Store *s) {
        return sqlite_run(SQLITE_STORE(s), "BEGIN IMMEDIATE");
}

static int sqlite_commit(Store *s) {
        return sqlite_run(SQLITE_STORE(s), "COMMIT");
}

/* A failed COMMIT may or may not have ended the transaction. */
static void sqlite_rollback(Store *s) {
        if (!sqlite3_get_autocommit(SQLITE_STORE(s)->db))
                (void) sqlite_run(SQLITE_STORE(s), "ROLLBACK");
}

static int sqlite_savepoint(Store *s) {
        return sqlite_run(SQLITE_STORE(s), "SAVEPOINT job");
}

static int sqlite_savepoint_release(Store *s) {
        return sqlite_run(SQLITE_STORE(s), "RELEASE job");
}

/* Going back to a savepoint leaves it open. */
static int sqlite_savepoint_rollback(Store *s) {
        return sqlite_run(SQLITE_STORE(s), "ROLLBACK TO job; RELEASE job");
}

static int sqlite_touch(Store *s, usec_t when) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "INSERT INTO health (id, checked) VALUES (1, ?) "
                           "ON CONFLICT (id) DO UPDATE SET checked = excluded.checked");
        query_u64(&q, when);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

static const StoreOps sqlite_ops = {
        .name = "sqlite",
        .close = sqlite_close,
        .begin = sqlite_begin,
        .commit = sqlite_commit,
        .rollback = sqlite_rollback,
        .savepoint = sqlite_savepoint,
        .savepoint_release = sqlite_savepoint_release,
        .savepoint_rollback = sqlite_savepoint_rollback,
        .touch = sqlite_touch,
        .stats = sqlite_stats,
        .agent_get = sqlite_agent_get,
        .agent_put = sqlite_agent_put,
        .agent_put_labels = sqlite_agent_put_labels,
        .agent_seen = sqlite_agent_seen,
        .agent_moved = sqlite_agent_moved,
        .agent_delete = sqlite_agent_delete,
        .agents_each = sqlite_agents_each,
        .agents_all_offline = sqlite_agents_all_offline,
        .agents_page = sqlite_agents_page,
        .agents_count = sqlite_agents_count,
        .agents_ids = sqlite_agents_ids,
        .agents_facets = sqlite_agents_facets,
        .agents_values = sqlite_agents_values,
        .agents_relabel = sqlite_agents_relabel,
        .label_keys = sqlite_label_keys,
        .label_values = sqlite_label_values,
        .group_get = sqlite_group_get,
        .group_put = sqlite_group_put,
        .group_delete = sqlite_group_delete,
        .groups_count = sqlite_groups_count,
        .groups_each = sqlite_groups_each,
        .group_rollout = sqlite_group_rollout,
        .answer_get = sqlite_answer_get,
        .answer_put = sqlite_answer_put,
        .answers_prune = sqlite_answers_prune,
        .join_token_get = sqlite_join_token_get,
        .join_token_put = sqlite_join_token_put,
        .join_token_used = sqlite_join_token_used,
        .join_token_put_used = sqlite_join_token_put_used,
        .join_token_delete = sqlite_join_token_delete,
        .join_tokens_each = sqlite_join_tokens_each,
        .api_token_get = sqlite_api_token_get,
        .api_token_put = sqlite_api_token_put,
        .api_token_seen = sqlite_api_token_seen,
        .api_token_delete = sqlite_api_token_delete,
        .api_tokens_delete_of = sqlite_api_tokens_delete_of,
        .api_tokens_each = sqlite_api_tokens_each,
        .release_put = sqlite_release_put,
        .release_delete = sqlite_release_delete,
        .releases_each = sqlite_releases_each,
        .artifact_put = sqlite_artifact_put,
        .release_failures_each = sqlite_release_failures_each,
        .artifacts_each = sqlite_artifacts_each,
        .desired_get = sqlite_desired_get,
        .desired_find = sqlite_desired_find,
        .desired_put = sqlite_desired_put,
        .desired_delete = sqlite_desired_delete,
        .desired_each = sqlite_desired_each,
        .instruction_get = sqlite_instruction_get,
        .instruction_put = sqlite_instruction_put,
        .instruction_outstanding = sqlite_instruction_outstanding,
        .instruction_latest = sqlite_instruction_latest,
        .instruction_last_for = sqlite_instruction_last_for,
        .instructions_each = sqlite_instructions_each,
        .instructions_cap_deadline = sqlite_instructions_cap_deadline,
        .instructions_prune = sqlite_instructions_prune,
        .instruction_next_deadline = sqlite_instruction_next_deadline,
        .instruction_phase_put = sqlite_instruction_phase_put,
        .instruction_phases_each = sqlite_instruction_phases_each,
        .instruction_phase_medians = sqlite_instruction_phase_medians,
        .instructions_standing = sqlite_instructions_standing,
        .instructions_duration = sqlite_instructions_duration,
        .desired_tally = sqlite_desired_tally,
        .rollout_get = sqlite_rollout_get,
        .rollout_put = sqlite_rollout_put,
        .rollouts_each = sqlite_rollouts_each,
        .rollouts_count = sqlite_rollouts_count,
        .rollouts_due = sqlite_rollouts_due,
        .rollout_next_look = sqlite_rollout_next_look,
        .rollout_park = sqlite_rollout_park,
        .rollout_let_go = sqlite_rollout_let_go,
        .rollout_members_each = sqlite_rollout_members_each,
        .rollout_members_page = sqlite_rollout_members_page,
        .rollout_member_put = sqlite_rollout_member_put,
        .rollout_membership = sqlite_rollout_membership,
        .event_put = sqlite_event_put,
        .events_each = sqlite_events_each,
        .events_last = sqlite_events_last,
        .events_prune = sqlite_events_prune,
        .user_get = sqlite_user_get,
        .user_put = sqlite_user_put,
        .user_delete = sqlite_user_delete,
        .users_each = sqlite_users_each,
        .session_put = sqlite_session_put,
        .session_seen = sqlite_session_seen,
        .session_delete = sqlite_session_delete,
        .sessions_each = sqlite_sessions_each,
        .sessions_delete_of = sqlite_sessions_delete_of,
        .sessions_prune = sqlite_sessions_prune,
        .setting_get = sqlite_setting_get,
        .setting_put = sqlite_setting_put,
        .setting_delete = sqlite_setting_delete,
        .audit_put = sqlite_audit_put,
        .audit_last = sqlite_audit_last,
        .audit_each = sqlite_audit_each,
        .backup_size = sqlite_backup_size,
        .backup_begin = sqlite_backup_begin,
};

int store_sqlite_open(const char *path, Store **ret) {
        _cleanup_(store_closep) Store *store = NULL;
        SqliteStore *s;
        int r;

        s = new0(SqliteStore, 1);
        if (!s)
                return -ENOMEM;
        s->base.ops = &sqlite_ops;
        s->list_limits = (SqliteListLimits){ .few = 5000, .sort = 400, .walk_steps = 500 };
        store = &s->base;

        r = sqlite3_open_v2(
                        path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                        SQLITE_OPEN_EXRESCODE,
                        NULL);
        if (r != SQLITE_OK)
                return sqlite_error(s, r, path);
        (void) sqlite3_busy_timeout(s->db, 5000); /* an online backup or a person with the sqlite3 shell */
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);

        /* An acknowledgement promises that power may fail now: FULL, because WAL with NORMAL would not keep
         * that. */
        r = sqlite_run(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
        if (r < 0)
                return r;
        r = store_schema_update(s);
        if (r >= 0)
                r = sqlite_agents_fill_version_keys(s);
        if (r >= 0) /* store-sqlite-labels.c's; what is temporary stays in memory, as there may be no place
                       for files */
                r = sqlite_run(s, "PRAGMA temp_store = MEMORY; CREATE TEMP TABLE relabelled "
                                  "(id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID");
        if (r < 0)
                return r;

        *ret = TAKE_PTR(store);
        return 0;
}
