/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

#include "string-util.h"
#include "version.h"

#define AGENT_COLUMNS                                                                                       \
        "id, state, version, previous_version, session_token, token_misses, clone_suspected, "              \
        "transaction_id, config_revision, metadata_expires, pinned, pinned_version, enrolled, last_seen, "  \
        "hostname, os_id, "                                                                                 \
        "os_version_id, os_pretty_name, kernel, architecture, boot_id, packaging, "                         \
        "key_hash, next_key_hash, connected, address"
#define AGENT_COLUMNS_READ AGENT_COLUMNS ", revision, update_phase, update_version"

const char sqlite_agent_columns[] = AGENT_COLUMNS_READ;

int sqlite_agent_read(Query *q, AgentRecord *a) {
        _cleanup_free_ char *phase = NULL;
        uint64_t state;

        query_get_text(q, &a->id);
        state = query_get_u64(q);
        query_get_text(q, &a->version);
        query_get_text(q, &a->previous_version);
        query_get_text(q, &a->session_token);
        a->token_misses = query_get_u64(q);
        a->clone_suspected = query_get_u64(q);
        query_get_text(q, &a->transaction_id);
        query_get_text(q, &a->config_revision);
        a->metadata_expires = query_get_u64(q);
        a->pinned = query_get_u64(q);
        query_get_text(q, &a->pinned_version);
        a->enrolled = query_get_u64(q);
        a->last_seen = query_get_u64(q);
        query_get_text(q, &a->facts.hostname);
        query_get_text(q, &a->facts.os_id);
        query_get_text(q, &a->facts.os_version_id);
        query_get_text(q, &a->facts.os_pretty_name);
        query_get_text(q, &a->facts.kernel);
        query_get_text(q, &a->facts.architecture);
        query_get_text(q, &a->facts.boot_id);
        a->facts.packaging = query_get_u64(q);
        query_get_text(q, &a->key_hash);
        query_get_text(q, &a->next_key_hash);
        a->connected = query_get_u64(q);
        query_get_text(q, &a->address);
        a->revision = query_get_u64(q);
        query_get_text(q, &phase);
        query_get_text(q, &a->update_version);

        if (state >= _AGENT_STATE_MAX)
                return -EUCLEAN;
        a->state = (AgentState) state;
        a->update_phase = update_phase_from_string(strempty(phase));
        return query_read(q);
}

static int label_read(Query *q, Labels *labels) {
        _cleanup_free_ char *key = NULL, *value = NULL;
        int r;

        query_get_text(q, &key);
        query_get_text(q, &value);
        r = query_read(q);
        return r < 0 ? r : labels_set(labels, key, value);
}

int sqlite_agent_read_labels(Store *s, AgentRecord *a) {
        _cleanup_query_ Query l = {};
        int r;

        query_begin(&l, s, "SELECT key, value FROM agent_labels WHERE agent = ? ORDER BY key");
        query_text(&l, a->id);
        while ((r = query_row(&l)) > 0) {
                r = label_read(&l, &a->labels);
                if (r < 0)
                        return r;
        }
        return r;
}

int sqlite_agent_get(Store *s, const char *id, AgentRecord *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "SELECT " AGENT_COLUMNS_READ " FROM agents WHERE id = ?");
        query_text(&q, id);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        r = sqlite_agent_read(&q, ret);
        return r < 0 ? r : sqlite_agent_read_labels(s, ret);
}

/* What cannot be told apart has no place in the order: before all. */
static const char *version_key(const char *version, char buf[static VERSION_KEY_MAX]) {
        return version_is_valid(version) ? version_sort_key(version, buf) : "";
}

int sqlite_agent_put(Store *s, const AgentRecord *a) {
        char key[VERSION_KEY_MAX];
        _cleanup_query_ Query q = {};
        int r;

        /* not REPLACE, which would delete the row first and with it what refers to it */
        query_begin(&q, s,
                    "INSERT INTO agents (" AGENT_COLUMNS
                    ", version_key) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
                    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, version = excluded.version, "
                    "previous_version = excluded.previous_version, session_token = excluded.session_token, "
                    "token_misses = excluded.token_misses, clone_suspected = excluded.clone_suspected, "
                    "transaction_id = excluded.transaction_id, config_revision = excluded.config_revision, "
                    "metadata_expires = excluded.metadata_expires, pinned = excluded.pinned, "
                    "pinned_version = excluded.pinned_version, enrolled = excluded.enrolled, "
                    "last_seen = excluded.last_seen, hostname = excluded.hostname, os_id = excluded.os_id, "
                    "os_version_id = excluded.os_version_id, os_pretty_name = excluded.os_pretty_name, "
                    "kernel = excluded.kernel, architecture = excluded.architecture, boot_id = "
                    "excluded.boot_id, "
                    "packaging = excluded.packaging, key_hash = excluded.key_hash, "
                    "next_key_hash = excluded.next_key_hash, connected = excluded.connected, "
                    "address = excluded.address, version_key = excluded.version_key");
        query_text(&q, a->id);
        query_u64(&q, (uint64_t) a->state);
        query_text(&q, a->version);
        query_text(&q, a->previous_version);
        query_text(&q, a->session_token);
        query_u64(&q, a->token_misses);
        query_u64(&q, a->clone_suspected);
        query_text(&q, a->transaction_id);
        query_text(&q, a->config_revision);
        query_u64(&q, a->metadata_expires);
        query_u64(&q, a->pinned);
        query_text(&q, a->pinned_version);
        query_u64(&q, a->enrolled);
        query_u64(&q, a->last_seen);
        query_text(&q, a->facts.hostname);
        query_text(&q, a->facts.os_id);
        query_text(&q, a->facts.os_version_id);
        query_text(&q, a->facts.os_pretty_name);
        query_text(&q, a->facts.kernel);
        query_text(&q, a->facts.architecture);
        query_text(&q, a->facts.boot_id);
        query_u64(&q, a->facts.packaging);
        query_text(&q, a->key_hash);
        query_text(&q, a->next_key_hash);
        query_u64(&q, a->connected);
        query_text(&q, a->address);
        query_text(&q, version_key(a->version, key));
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_agent_put_labels(Store *s, const char *id, const Labels *labels) {
        _cleanup_query_ Query d = {};
        int r;

        query_begin(&d, s, "DELETE FROM agent_labels WHERE agent = ?");
        query_text(&d, id);
        r = query_run(&d);
        for (size_t i = 0; r >= 0 && i < labels->n; i++) {
                _cleanup_query_ Query q = {};

                query_begin(&q, s, "INSERT INTO agent_labels (agent, key, value) VALUES (?, ?, ?)");
                query_text(&q, id);
                query_text(&q, labels->items[i].key);
                query_text(&q, labels->items[i].value);
                r = query_run(&q);
        }
        if (r >= 0) {
                _cleanup_query_ Query q = {};

                query_begin(&q, s, "UPDATE agents SET revision = revision + 1 WHERE id = ?");
                query_text(&q, id);
                r = query_run_one(&q);
        }
        return r < 0 ? r : 0;
}

/* The next agent after *id without a key, which becomes its id. 1, or 0: there is none. */
static int find_without_key(SqliteStore *s, char **id, char **version) {
        _cleanup_free_ char *after = TAKE_PTR(*id);
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, &s->base,
                    "SELECT id, version FROM agents WHERE version_key = '' AND id > ? AND version IS NOT NULL "
                    "ORDER BY id LIMIT 1");
        query_text(&q, strempty(after));
        r = query_row(&q);
        if (r <= 0)
                return r;
        query_get_text(&q, id);
        query_get_text(&q, version);
        r = query_read(&q);
        return r < 0 ? r : 1;
}

static int fill_version_key(SqliteStore *s, const char *id, const char *version) {
        char key[VERSION_KEY_MAX];
        _cleanup_query_ Query q = {};

        query_begin(&q, &s->base, "UPDATE agents SET version_key = ? WHERE id = ?");
        query_text(&q, version_key(version, key));
        query_text(&q, id);
        return query_run_one(&q);
}

/* Of those that a step of the schema could not compute. */
int sqlite_agents_fill_version_keys(SqliteStore *s) {
        _cleanup_free_ char *id = NULL, *version = NULL;
        int r, found;

        found = find_without_key(s, &id, &version);
        if (found <= 0)
                return found;
        r = sqlite_run(s, "BEGIN IMMEDIATE");
        while (r >= 0 && found > 0) {
                r = fill_version_key(s, id, version);
                found = find_without_key(s, &id, &version);
        }
        if (r >= 0)
                r = found;
        return r < 0 ? r : sqlite_run(s, "COMMIT");
}

int sqlite_agent_seen(Store *s, const char *id, usec_t when, usec_t metadata_expires) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "UPDATE agents SET last_seen = ?, metadata_expires = ? WHERE id = ?");
        query_u64(&q, when);
        query_u64(&q, metadata_expires);
        query_text(&q, id);
        return query_run_one(&q);
}

int sqlite_agent_moved(Store *s, const char *id, const char *from, const char *to) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "UPDATE agents SET previous_version = ? WHERE id = ? AND version = ?");
        query_text(&q, from);
        query_text(&q, id);
        query_text(&q, to);
        return query_run(&q);
}

int sqlite_agent_delete(Store *s, const char *id) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "DELETE FROM agents WHERE id = ?");
        query_text(&q, id);
        return query_run_one(&q);
}

/* Both tables are read in the same order and merged, so that a large fleet costs two scans and not one query
 * each. */
int sqlite_agents_each(Store *s, store_agent_t callback, void *userdata) {
        _cleanup_query_ Query q = {}, l = {};
        _cleanup_free_ char *owner = NULL;
        bool more;
        int r, c;

        query_begin(&q, s, "SELECT " AGENT_COLUMNS_READ " FROM agents ORDER BY id");
        query_begin(&l, s, "SELECT agent, key, value FROM agent_labels ORDER BY agent, key");
        r = query_row(&l);
        if (r < 0)
                return r;
        more = r > 0;
        if (more)
                query_get_text(&l, &owner);

        while ((r = query_row(&q)) > 0) {
                _cleanup_(agent_record_done) AgentRecord a = {};

                r = sqlite_agent_read(&q, &a);
                if (r < 0)
                        return r;
                while (more && (c = strcmp(owner, a.id)) <= 0) {
                        if (c == 0) {
                                r = label_read(&l, &a.labels);
                                if (r < 0)
                                        return r;
                        }
                        r = query_row(&l);
                        if (r < 0)
                                return r;
                        more = r > 0;
                        if (more)
                                query_get_text(&l, &owner);
                        r = query_read(&l);
                        if (r < 0)
                                return r;
                }
                r = callback(&a, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_agents_all_offline(Store *s) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s, "UPDATE agents SET state = ? WHERE state = ?");
        query_u64(&q, AGENT_STATE_OFFLINE);
        query_u64(&q, AGENT_STATE_ONLINE);
        r = query_run(&q);
        return r < 0 ? r : 0;
}
