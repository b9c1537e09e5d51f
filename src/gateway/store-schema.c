/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#include <stdio.h>

#include "log.h"

/* Step n takes a database from version n to n + 1; a step that was released is never changed, only followed.
 * Phases and verdicts are kept by name, so that the order of an enumeration may change. */
static const char *const steps[] = {
        /* 1: agents, tokens, releases, desired versions, instructions, events */
        "CREATE TABLE agents ("
        "  id TEXT NOT NULL PRIMARY KEY, state INTEGER NOT NULL,"
        "  version TEXT, previous_version TEXT, session_token TEXT,"
        "  token_misses INTEGER NOT NULL, clone_suspected INTEGER NOT NULL,"
        "  transaction_id TEXT, config_revision TEXT, metadata_expires INTEGER NOT NULL,"
        "  pinned INTEGER NOT NULL, pinned_version TEXT,"
        "  enrolled INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
        "  hostname TEXT, os_id TEXT, os_version_id TEXT, os_pretty_name TEXT,"
        "  kernel TEXT, architecture TEXT, boot_id TEXT, packaging INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE agent_labels ("
        "  agent TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
        "  key TEXT NOT NULL, value TEXT NOT NULL,"
        "  PRIMARY KEY (agent, key)) WITHOUT ROWID;"
        "CREATE TABLE join_tokens ("
        "  id TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL,"
        "  uses INTEGER NOT NULL, uses_left INTEGER NOT NULL,"
        "  created INTEGER NOT NULL, expires INTEGER NOT NULL, description TEXT) WITHOUT ROWID;"
        "CREATE TABLE join_token_labels ("
        "  token TEXT NOT NULL REFERENCES join_tokens(id) ON DELETE CASCADE,"
        "  key TEXT NOT NULL, value TEXT NOT NULL,"
        "  PRIMARY KEY (token, key)) WITHOUT ROWID;"
        "CREATE TABLE api_tokens ("
        "  id TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL, role TEXT NOT NULL,"
        "  created INTEGER NOT NULL, expires INTEGER NOT NULL, description TEXT) WITHOUT ROWID;"
        "CREATE TABLE releases ("
        "  version TEXT NOT NULL PRIMARY KEY, product TEXT NOT NULL, imported INTEGER NOT NULL,"
        "  floor TEXT, requires TEXT, severity TEXT, requires_packaging INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE artifacts ("
        "  path TEXT NOT NULL PRIMARY KEY,"
        "  version TEXT NOT NULL REFERENCES releases(version) ON DELETE CASCADE,"
        "  arch TEXT NOT NULL, os TEXT NOT NULL,"
        "  length INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX artifacts_by_version ON artifacts(version);"
        "CREATE TABLE desired ("
        "  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, target TEXT NOT NULL,"
        "  version TEXT NOT NULL, generation INTEGER NOT NULL, retry INTEGER NOT NULL,"
        "  created INTEGER NOT NULL, updated INTEGER NOT NULL, actor TEXT,"
        "  UNIQUE (kind, target));"
        "CREATE TABLE instructions ("
        "  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
        "  agent TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
        "  desired INTEGER NOT NULL, generation INTEGER NOT NULL, attempt INTEGER NOT NULL,"
        "  version TEXT NOT NULL, from_version TEXT,"
        "  phase TEXT NOT NULL, terminal INTEGER NOT NULL,"
        "  verdict TEXT, failed_phase TEXT, message TEXT,"
        "  retry INTEGER NOT NULL, cancel_requested INTEGER NOT NULL, sequence INTEGER NOT NULL,"
        "  bytes_done INTEGER NOT NULL, bytes_total INTEGER NOT NULL, created INTEGER NOT NULL,"
        "  updated INTEGER NOT NULL, deadline INTEGER NOT NULL, finished INTEGER NOT NULL);"
        /* one machine does one thing at a time, whatever the code above believes */
        "CREATE UNIQUE INDEX instructions_outstanding ON instructions(agent) WHERE terminal = 0;"
        "CREATE INDEX instructions_by_deadline ON instructions(deadline) WHERE terminal = 0;"
        "CREATE INDEX instructions_by_agent ON instructions(agent, number);"
        "CREATE INDEX instructions_by_desired ON instructions(desired, number);"
        "CREATE TABLE events ("
        "  id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, topic TEXT NOT NULL,"
        "  agent TEXT, data TEXT NOT NULL);",
        /* 2: one row that is written to see whether anything can be */
        "CREATE TABLE health ("
        "  id INTEGER PRIMARY KEY CHECK (id = 1), checked INTEGER NOT NULL);",
        /* 3: who has used a join token, so that a machine that did not get the answer may ask again */
        "CREATE TABLE join_token_uses ("
        "  token TEXT NOT NULL REFERENCES join_tokens(id) ON DELETE CASCADE,"
        "  agent TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE, key_hash TEXT NOT NULL,"
        "  PRIMARY KEY (token, agent, key_hash)) WITHOUT ROWID;"
        "CREATE INDEX join_token_uses_by_agent ON join_token_uses(agent);",
        /* 4: with which key an agent speaks, and which may follow; a token for one agent alone */
        "ALTER TABLE agents ADD COLUMN key_hash TEXT;"
        "ALTER TABLE agents ADD COLUMN next_key_hash TEXT;"
        "ALTER TABLE join_tokens ADD COLUMN agent TEXT;",
        /* 5: what lists of agents are sorted and filtered by; the newest update of each agent, beside it. The
         * version's key sorts as SemVer does (version_sort_key()). One index for each order that a list may
         * have, and one that holds all that is counted by, so that counting does not read whole rows. */
        "ALTER TABLE agents ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;"
        "ALTER TABLE agents ADD COLUMN version_key TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE agents ADD COLUMN connected INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE agents ADD COLUMN address TEXT;"
        "ALTER TABLE agents ADD COLUMN update_number INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE agents ADD COLUMN update_phase TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE agents ADD COLUMN update_version TEXT;"
        "UPDATE agents SET (update_number, update_phase, update_version) ="
        "  (SELECT number, phase, version FROM instructions WHERE agent = agents.id ORDER BY number DESC LIMIT 1)"
        "  WHERE EXISTS (SELECT 1 FROM instructions WHERE agent = agents.id);"
        "CREATE INDEX agents_by_state ON agents(state, id);"
        "CREATE INDEX agents_by_version ON agents(version_key, id);"
        "CREATE INDEX agents_by_last_seen ON agents(last_seen, id);"
        "CREATE INDEX agents_by_connected ON agents(connected, id);"
        "CREATE INDEX agents_by_enrolled ON agents(enrolled, id);"
        "CREATE INDEX agents_by_hostname ON agents(coalesce(hostname, '') COLLATE NOCASE, id);"
        "CREATE INDEX agents_by_os ON agents(coalesce(os_id, ''), id);"
        "CREATE INDEX agents_by_arch ON agents(coalesce(architecture, ''), id);"
        "CREATE INDEX agents_by_kernel ON agents(coalesce(kernel, ''), id);"
        "CREATE INDEX agents_by_update ON agents(update_phase, id);"
        "CREATE INDEX agents_facets ON agents"
        "  (state, version_key, version, update_phase, os_id, architecture, kernel, os_version_id, hostname);"
        "CREATE INDEX agent_labels_by_key ON agent_labels(key, value, agent);",
        /* 6: groups are selectors with a name */
        "CREATE TABLE groups ("
        "  name TEXT NOT NULL PRIMARY KEY, selector TEXT NOT NULL, description TEXT,"
        "  created INTEGER NOT NULL, updated INTEGER NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;",
        /* 7: rollouts, their members, and which instruction came from which; when an instruction reached a
         * phase. A member that waits or is under way belongs to one rollout alone, whatever the code above
         * believes. Members outlive their agents, so that the sum over their states never changes. */
        "CREATE TABLE rollouts ("
        "  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent INTEGER NOT NULL,"
        "  version TEXT NOT NULL, description TEXT, spec TEXT NOT NULL,"
        "  state TEXT NOT NULL, active INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT,"
        "  phase TEXT NOT NULL, batch INTEGER NOT NULL, batch_opened INTEGER NOT NULL,"
        "  settled INTEGER NOT NULL, waiting_since INTEGER NOT NULL,"
        "  approved INTEGER NOT NULL, waived INTEGER NOT NULL,"
        "  paused_since INTEGER NOT NULL, paused_total INTEGER NOT NULL,"
        "  failures_base INTEGER NOT NULL, admitted_base INTEGER NOT NULL,"
        "  next_look INTEGER NOT NULL, counts TEXT NOT NULL,"
        "  created INTEGER NOT NULL, started INTEGER NOT NULL, updated INTEGER NOT NULL, finished INTEGER NOT NULL,"
        "  actor TEXT, revision INTEGER NOT NULL);"
        "CREATE INDEX rollouts_active ON rollouts(next_look) WHERE active = 1;"
        "CREATE TABLE rollout_members ("
        "  rollout INTEGER NOT NULL REFERENCES rollouts(id) ON DELETE CASCADE,"
        "  agent TEXT NOT NULL, position INTEGER NOT NULL,"
        "  state TEXT NOT NULL, active INTEGER NOT NULL, reason TEXT NOT NULL,"
        "  canary INTEGER NOT NULL, batch INTEGER NOT NULL,"
        "  goal TEXT NOT NULL, from_version TEXT NOT NULL,"
        "  instruction TEXT, attempts INTEGER NOT NULL, retry INTEGER NOT NULL,"
        "  admitted INTEGER NOT NULL, not_before INTEGER NOT NULL, updated INTEGER NOT NULL,"
        "  hostname TEXT, os TEXT, kernel TEXT, arch TEXT,"
        "  PRIMARY KEY (rollout, agent)) WITHOUT ROWID;"
        "CREATE UNIQUE INDEX rollout_members_active ON rollout_members(agent) WHERE active = 1;"
        "CREATE INDEX rollout_members_by_agent ON rollout_members(agent, rollout);"
        "CREATE INDEX rollout_members_by_state ON rollout_members(rollout, state, agent);"
        "CREATE INDEX rollout_members_by_instruction ON rollout_members(instruction);"
        "ALTER TABLE instructions ADD COLUMN rollout INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE instructions ADD COLUMN kind TEXT NOT NULL DEFAULT 'update';"
        "CREATE INDEX instructions_by_rollout ON instructions(rollout, number) WHERE rollout > 0;"
        "CREATE TABLE instruction_phases ("
        "  number INTEGER NOT NULL REFERENCES instructions(number) ON DELETE CASCADE,"
        "  phase TEXT NOT NULL, time INTEGER NOT NULL,"
        "  PRIMARY KEY (number, phase)) WITHOUT ROWID;",
        /* 8: people and their sessions; what a token may be used for; what was done, by whom: append-only and
         * chained (audit.h); answers to requests that may be repeated; single values */
        "CREATE TABLE users ("
        "  name TEXT NOT NULL PRIMARY KEY, display_name TEXT, role TEXT NOT NULL, password_hash TEXT,"
        "  disabled INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,"
        "  last_login INTEGER NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE sessions ("
        "  id TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL,"
        "  user TEXT NOT NULL REFERENCES users(name) ON DELETE CASCADE,"
        "  csrf TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, last_used INTEGER NOT NULL,"
        "  address TEXT, user_agent TEXT) WITHOUT ROWID;"
        "CREATE INDEX sessions_by_user ON sessions(user);"
        "ALTER TABLE api_tokens ADD COLUMN scopes TEXT;"
        "ALTER TABLE api_tokens ADD COLUMN owner TEXT;"
        "ALTER TABLE api_tokens ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;"
        "CREATE TABLE audit ("
        "  seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,"
        "  target TEXT NOT NULL, text TEXT NOT NULL, hash TEXT NOT NULL);"
        "CREATE INDEX audit_by_actor ON audit(actor, seq);"
        "CREATE INDEX audit_by_action ON audit(action, seq);"
        "CREATE INDEX audit_by_target ON audit(target, seq);"
        "CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
        "CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
        "CREATE TABLE idempotency ("
        "  actor TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,"
        "  status INTEGER NOT NULL, body TEXT, created INTEGER NOT NULL,"
        "  PRIMARY KEY (actor, key)) WITHOUT ROWID;"
        "CREATE INDEX idempotency_by_age ON idempotency(created);"
        "CREATE TABLE settings (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
        /* 9: by which token a token was made, as it goes with that one; of older ones the audit log knows */
        "ALTER TABLE api_tokens ADD COLUMN parent TEXT;"
        "UPDATE api_tokens SET parent = (SELECT substr(actor, length('token:') + 1) FROM audit"
        "  WHERE action = 'api-token.create' AND target = 'api-token:' || api_tokens.id AND actor GLOB 'token:*');"
        "CREATE INDEX api_tokens_by_parent ON api_tokens(parent) WHERE parent IS NOT NULL;",
        /* 10: which members' ends were seen by whoever resumed a rollout, and which are no evidence any more, one
         * by one instead of as sums (of a rollout that was resumed before this step nothing counts as seen: it
         * may stop once more); by which setting of the wall clock a rollout's times were written */
        "ALTER TABLE rollouts DROP COLUMN failures_base;"
        "ALTER TABLE rollouts DROP COLUMN admitted_base;"
        "ALTER TABLE rollouts ADD COLUMN boot INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE rollouts ADD COLUMN booted INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE rollouts ADD COLUMN clock_set INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE rollout_members ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE rollout_members ADD COLUMN excused INTEGER NOT NULL DEFAULT 0;",
        /* 11: how long agents that are away were waited for before windows were closed */
        "ALTER TABLE rollouts ADD COLUMN waited INTEGER NOT NULL DEFAULT 0;",
};

uint64_t store_schema_version(void) {
        return ELEMENTSOF(steps);
}

static int schema_version_read(SqliteStore *s, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, &s->base, "PRAGMA user_version");
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret = query_get_u64(&q);
        return query_read(&q);
}

static int schema_step(SqliteStore *s, uint64_t from) {
        char pragma[64];
        int r;

        (void) snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %u", (unsigned) from + 1);
        r = sqlite_run(s, "BEGIN EXCLUSIVE");
        if (r < 0)
                return r;
        r = sqlite_run(s, steps[from]);
        if (r >= 0)
                r = sqlite_run(s, pragma);
        if (r >= 0)
                r = sqlite_run(s, "COMMIT");
        if (r < 0)
                (void) sqlite_run(s, "ROLLBACK");
        return r;
}

int store_schema_update_to(SqliteStore *s, uint64_t version) {
        uint64_t have;
        int r;

        r = schema_version_read(s, &have);
        if (r < 0)
                return r;
        if (have > ELEMENTSOF(steps))
                return log_error_errno(
                                -EUCLEAN,
                                "The database has schema %" PRIu64 ", this gateway knows up to %zu: it was "
                                "written by a newer fleet-gatewayd. Install that, or restore a backup.",
                                have, ELEMENTSOF(steps));
        for (; have < version; have++) {
                r = schema_step(s, have);
                if (r < 0)
                        return log_error_errno(
                                        r, "Failed to bring the database to schema %" PRIu64 ": %m",
                                        have + 1);
        }
        return 0;
}

int store_schema_update(SqliteStore *s) {
        return store_schema_update_to(s, ELEMENTSOF(steps));
}
