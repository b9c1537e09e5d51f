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
