/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "fs-util.h"
#include "store-sqlite.h"
#include "string-util.h"
#include "tests.h"

#define NOW (100 * USEC_PER_HOUR)

static Store *store;

static void sql(const char *text) {
        assert_ok(sqlite_run(SQLITE_STORE(store), text));
}

static void put_agent(const char *id, AgentState state, const char *version) {
        AgentRecord a = { .id = (char *) id, .state = state, .version = (char *) version, .enrolled = 1 };

        assert_ok(store->ops->agent_put(store, &a));
}

static void
put_instruction(const char *id, const char *agent, UpdatePhase phase, usec_t deadline, usec_t finished) {
        InstructionRecord i = {
                .id = (char *) id,
                .agent = (char *) agent,
                .version = (char *) "2.0.0",
                .phase = phase,
                .failed_phase = _UPDATE_PHASE_INVALID,
                .deadline = deadline,
                .finished = finished,
        };

        assert_ok(store->ops->instruction_put(store, &i));
}

static void test_empty(void) {
        _cleanup_(store_stats_done) StoreStats s = {};

        assert_ok(store->ops->stats(store, NOW, &s));
        assert_se(s.agents[AGENT_STATE_ONLINE] == 0 && s.versions.n == 0 && s.in_flight == 0);
        assert_se(s.rollouts.n == 0 && s.members.n == 0 && s.overdue == 0 && s.miscounted == 0 &&
                  s.orphans == 0);
}

static void test_agents(void) {
        _cleanup_(store_stats_done) StoreStats s = {};

        for (unsigned i = 0; i < 100; i++) {
                char id[16], version[16];

                (void) snprintf(id, sizeof(id), "many-%03u", i);
                (void) snprintf(version, sizeof(version), "9.0.%u", i);
                put_agent(id, AGENT_STATE_OFFLINE, version);
        }
        for (unsigned i = 0; i < 5; i++) {
                char id[16];

                (void) snprintf(id, sizeof(id), "new-%u", i);
                put_agent(id, AGENT_STATE_ONLINE, "1.1.0");
                (void) snprintf(id, sizeof(id), "old-%u", i);
                if (i < 3)
                        put_agent(id, AGENT_STATE_ONLINE, "1.0.0");
        }
        put_agent("fresh", AGENT_STATE_NEVER, NULL);

        assert_ok(store->ops->stats(store, NOW, &s));
        assert_se(s.agents[AGENT_STATE_ONLINE] == 8 && s.agents[AGENT_STATE_OFFLINE] == 100 &&
                  s.agents[AGENT_STATE_NEVER] == 1);
        /* the most frequent have names, whatever the others are called */
        assert_se(s.versions.n == STORE_COUNTS_MAX && s.versions.others == 102 - STORE_COUNTS_MAX);
        assert_se(streq(s.versions.items[0].name, "1.1.0") && s.versions.items[0].n == 5);
        assert_se(streq(s.versions.items[1].name, "1.0.0") && s.versions.items[1].n == 3);
        assert_se(streq(s.versions.items[2].name, "9.0.0") && s.versions.items[2].n == 1);
}

static void test_instructions(void) {
        _cleanup_(store_stats_done) StoreStats s = {}, later = {};

        put_instruction("a", "new-0", UPDATE_PHASE_DOWNLOADING, NOW + 1, 0);
        put_instruction("b", "new-1", UPDATE_PHASE_QUEUED, NOW - 1, 0);
        put_instruction("c", "new-2", UPDATE_PHASE_SUCCEEDED, 1, 2);
        assert_ok(store->ops->stats(store, NOW, &s));
        assert_se(s.in_flight == 2 && s.overdue == 0); /* somebody will look at it in a moment */
        assert_ok(store->ops->stats(store, NOW + STORE_STATS_GRACE + 2, &later));
        assert_se(later.in_flight == 2 && later.overdue == 2);
}

/* A row with these columns, pairs of name and value; nothing in the others, whichever there are. */
static void put_row(const char *table, ...) _sentinel_;
static void put_row(const char *table, ...) {
        _cleanup_free_ char *columns = strdup(""), *text = NULL;
        const char *name, *value;
        sqlite3_stmt *stmt;
        va_list ap;

        va_start(ap, table);
        while ((name = va_arg(ap, const char *))) {
                char *longer;

                value = va_arg(ap, const char *);
                longer = strjoinf("%s WHEN '%s' THEN quote('%s')", columns, name, value);
                assert_se(longer);
                free(columns);
                columns = longer;
        }
        va_end(ap);
        text = strjoinf("SELECT 'INSERT INTO %s (' || group_concat(name) || ') VALUES (' || group_concat("
                        "CASE name%s ELSE CASE type WHEN 'INTEGER' THEN '0' ELSE quote('') END END) || ')' "
                        "FROM pragma_table_info('%s')",
                        table, columns, table);
        assert_se(text);
        assert_se(sqlite3_prepare_v2(SQLITE_STORE(store)->db, text, -1, &stmt, NULL) == SQLITE_OK);
        assert_se(sqlite3_step(stmt) == SQLITE_ROW);
        sql((const char *) sqlite3_column_text(stmt, 0));
        assert_se(sqlite3_finalize(stmt) == SQLITE_OK);
}

static void put_rollout(
                const char *id,
                const char *state,
                const char *active,
                const char *reason,
                const char *counts) {
        put_row("rollouts", "id", id, "state", state, "active", active, "reason", reason, "counts", counts,
                NULL);
}

static void put_member(
                const char *rollout,
                const char *agent,
                const char *state,
                const char *active,
                const char *instruction) {
        put_row("rollout_members", "rollout", rollout, "agent", agent, "state", state, "active", active,
                "instruction", instruction, "updated", "1", NULL);
}

/* One of each; the number of admissions is no state. */
#define COUNTS(in_flight) \
        "{\"admitted\":77,\"counted-admitted\":9,\"counted-failures\":5,\"excluded\":1,\"in-flight\":" in_flight ",\"pending\":1,\"succeeded\":1}"

static void check_found(uint64_t miscounted, uint64_t orphans) {
        _cleanup_(store_stats_done) StoreStats s = {};

        assert_ok(store->ops->stats(store, NOW, &s));
        if (s.miscounted != miscounted || s.orphans != orphans)
                fprintf(stderr, "%" PRIu64 " miscounted, %" PRIu64 " orphans\n", s.miscounted, s.orphans);
        assert_se(s.miscounted == miscounted && s.orphans == orphans);
}

static void test_rollouts(void) {
        _cleanup_(store_stats_done) StoreStats s = {};

        put_rollout("1", "running", "1", "updating", COUNTS("1"));
        put_rollout("2", "completed", "0", "done", COUNTS("99"));
        put_rollout("3", "paused", "1", "max-failures", "");
        put_rollout("4", "completed", "0", "done", "{}");
        put_member("1", "new-0", "in-flight", "1", "a");
        put_member("1", "new-1", "pending", "1", "");
        put_member("1", "new-2", "succeeded", "0", "c");
        put_member("1", "new-3", "excluded", "0", "");
        put_member("2", "new-0", "succeeded", "0", "x");
        put_member("3", "old-0", "pending", "1", "");

        assert_ok(store->ops->stats(store, NOW, &s));
        assert_se(s.rollouts.n == 3 && streq(s.rollouts.items[0].name, "completed") &&
                  s.rollouts.items[0].n == 2);
        assert_se(s.reasons.n == 2 && streq(s.reasons.items[0].name, "max-failures") &&
                  streq(s.reasons.items[1].name, "updating"));
        /* of those that have not ended: pending twice, each of the others once */
        assert_se(s.members.n == 4 && streq(s.members.items[0].name, "pending") &&
                  s.members.items[0].n == 2);
        assert_se(streq(s.members.items[2].name, "in-flight") && s.members.items[2].n == 1);
        check_found(0, 0);

        /* a member is lost: the cohort is not the sum any more */
        sql("DELETE FROM rollout_members WHERE rollout = 1 AND agent = 'new-2'");
        check_found(1, 0);
        put_member("1", "new-2", "succeeded", "0", "c");
        check_found(0, 0);
        /* there are too many, or one is in a state that nobody knows */
        put_member("1", "old-1", "pending", "1", "");
        check_found(1, 0);
        sql("DELETE FROM rollout_members WHERE rollout = 1 AND agent = 'old-1'");
        sql("UPDATE rollout_members SET state = 'lost' WHERE rollout = 1 AND agent = 'new-2'");
        check_found(1, 0);
        sql("UPDATE rollout_members SET state = 'succeeded' WHERE rollout = 1 AND agent = 'new-2'");
        check_found(0, 0);

        /* a rollout ends and leaves a member behind that no other may take */
        sql("UPDATE rollouts SET active = 0 WHERE id = 3");
        check_found(0, 1);
        sql("UPDATE rollout_members SET active = 0 WHERE rollout = 3");
        check_found(0, 0);

        /* in flight with an instruction that has ended long ago, and with one that there is not */
        sql("UPDATE rollout_members SET instruction = 'c' WHERE rollout = 1 AND agent = 'new-0'");
        check_found(0, 1);
        sql("UPDATE rollout_members SET instruction = 'nothing' WHERE rollout = 1 AND agent = 'new-0'");
        check_found(0, 1);
        sql("UPDATE rollout_members SET instruction = 'a' WHERE rollout = 1 AND agent = 'new-0'");
        check_found(0, 0);
}

int main(void) {
        char directory[] = "/tmp/test-store-stats-XXXXXX";
        _cleanup_free_ char *path = NULL;

        assert_se(mkdtemp(directory));
        path = strjoinf("%s/db", directory);
        assert_se(path);
        assert_ok(store_sqlite_open(path, &store));
        test_empty();
        test_agents();
        test_instructions();
        test_rollouts();
        store_close(store);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return 0;
}
