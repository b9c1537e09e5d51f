/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs-util.h"
#include "store-sqlite.h"
#include "string-util.h"
#include "tests.h"

static char *directory;

static char *db_path(const char *name) {
        char *p = strjoinf("%s/%s", directory, name);

        assert_se(p);
        return p;
}

static int count_agent(AgentRecord *a, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static int find_labels(AgentRecord *a, void *userdata) {
        Labels *l = userdata;

        return streq(a->id, "b") ? labels_copy(l, &a->labels) : 0;
}

static int stop_at_first(AgentRecord *a, void *userdata) {
        (*(unsigned *) userdata)++;
        return 1;
}

static void test_agents(Store *s) {
        _cleanup_(labels_done) Labels labels = {}, found = {};
        _cleanup_(agent_record_done) AgentRecord back = {};
        unsigned n = 0;

        for (const char *id = "abc"; *id; id++) {
                char name[2] = { *id, 0 };
                AgentRecord a = { .id = name,
                                  .version = (char *) "1.0.0",
                                  .state = AGENT_STATE_ONLINE,
                                  .enrolled = 5,
                                  .pinned = true };

                a.facts.kernel = (char *) "6.1";
                assert_se(s->ops->agent_put(s, &a) == 0);
                a.version = (char *) "1.1.0";
                assert_se(s->ops->agent_put(s, &a) == 0);        /* the same again: an update */
        }
        assert_se(labels_set(&labels, "tier", "web") == 0);
        assert_se(labels_set(&labels, "env", "test") == 0);
        assert_se(s->ops->agent_put_labels(s, "b", &labels) == 0);
        assert_se(s->ops->agent_put_labels(s, "nobody", &labels) == -ENOENT);

        assert_se(s->ops->agent_get(s, "b", &back) == 0);
        assert_se(streq(back.version, "1.1.0") && back.pinned && back.enrolled == 5 &&
                  streq(back.facts.kernel, "6.1"));
        assert_se(!back.facts.hostname);
        assert_se(streq(labels_get(&back.labels, "env"), "test") && back.labels.n == 2);
        agent_record_done(&back);
        assert_se(s->ops->agent_get(s, "d", &back) == -ENOENT);

        assert_se(s->ops->agents_each(s, count_agent, &n) == 0 && n == 3);
        assert_se(s->ops->agents_each(s, find_labels, &found) == 0 && found.n == 2);
        n = 0;
        assert_se(s->ops->agents_each(s, stop_at_first, &n) == 0 && n == 1);

        assert_se(s->ops->agents_all_offline(s) == 0);
        assert_se(s->ops->agent_get(s, "c", &back) == 0 && back.state == AGENT_STATE_OFFLINE);
        assert_se(s->ops->agent_seen(s, "c", 77, 88) == 0);
        assert_se(s->ops->agent_seen(s, "d", 77, 88) == -ENOENT);
        agent_record_done(&back);
        assert_se(s->ops->agent_get(s, "c", &back) == 0 && back.last_seen == 77 && back.metadata_expires == 88);
        assert_se(s->ops->agent_delete(s, "c") == 0);
        assert_se(s->ops->agent_delete(s, "c") == -ENOENT);
}

static InstructionRecord instruction(const char *id, const char *agent) {
        return (InstructionRecord){
                .id = (char *) id,
                .agent = (char *) agent,
                .desired = 1,
                .generation = 1,
                .attempt = 1,
                .version = (char *) "1.1.0",
                .phase = UPDATE_PHASE_QUEUED,
                .failed_phase = _UPDATE_PHASE_INVALID,
                .created = 10,
                .updated = 10,
                .deadline = 100,
        };
}

static int count_instruction(InstructionRecord *i, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static void test_instructions(Store *s) {
        InstructionRecord i = instruction("one", "a"), k = instruction("two", "a"),
                          m = instruction("three", "b");
        _cleanup_(instruction_record_done) InstructionRecord back = {};
        unsigned n = 0;
        usec_t deadline;

        assert_se(s->ops->instruction_next_deadline(s, &deadline) == 0 && deadline == USEC_INFINITY);
        assert_se(s->ops->instruction_put(s, &i) == 0 && i.number > 0);
        assert_se(s->ops->instruction_put(s, &k) == -EEXIST); /* one machine, one thing at a time */
        assert_se(s->ops->instruction_next_deadline(s, &deadline) == 0 && deadline == 100);
        assert_se(s->ops->instruction_outstanding(s, "a", &back) == 0 && streq(back.id, "one"));
        assert_se(back.failed_phase == _UPDATE_PHASE_INVALID && back.verdict == UPDATE_VERDICT_NONE);
        instruction_record_done(&back);

        i.phase = UPDATE_PHASE_ROLLED_BACK;
        i.verdict = UPDATE_VERDICT_CRASHED;
        i.failed_phase = UPDATE_PHASE_CONFIRMING;
        i.finished = 50;
        assert_se(s->ops->instruction_put(s, &i) == 0);
        assert_se(s->ops->instruction_outstanding(s, "a", &back) == -ENOENT);
        assert_se(s->ops->instruction_put(s, &k) == 0 && k.number > i.number);
        assert_se(s->ops->instruction_put(s, &m) == 0);
        assert_se(s->ops->instruction_get(s, "one", &back) == 0);
        assert_se(back.verdict == UPDATE_VERDICT_CRASHED && back.failed_phase == UPDATE_PHASE_CONFIRMING &&
                  back.finished == 50);
        instruction_record_done(&back);
        assert_se(s->ops->instruction_latest(s, "a", &back) == 0 && streq(back.id, "two"));
        instruction_record_done(&back);
        assert_se(s->ops->instruction_last_for(s, "a", 1, 1, &back) == 0 && streq(back.id, "two"));
        instruction_record_done(&back);
        assert_se(s->ops->instruction_last_for(s, "a", 1, 2, &back) == -ENOENT);

        assert_se(s->ops->instructions_each(s, &(InstructionFilter){ .limit = 10 }, count_instruction, &n) ==
                                  0 &&
                  n == 3);
        n = 0;
        assert_se(s->ops->instructions_each(
                                  s, &(InstructionFilter){ .agent = "a", .limit = 10 }, count_instruction,
                                  &n) == 0 &&
                  n == 2);
        n = 0;
        assert_se(s->ops->instructions_each(
                                  s, &(InstructionFilter){ .active = true, .limit = 10 }, count_instruction,
                                  &n) == 0 &&
                  n == 2);
        n = 0;
        assert_se(s->ops->instructions_each(s, &(InstructionFilter){ .limit = 1 }, count_instruction, &n) ==
                                  0 &&
                  n == 1);
        n = 0;
        assert_se(s->ops->instructions_each(
                                  s, &(InstructionFilter){ .expired_before = 100, .limit = 9 },
                                  count_instruction, &n) == 0 &&
                  n == 0);
        assert_se(s->ops->instructions_each(
                                  s, &(InstructionFilter){ .expired_before = 101, .limit = 9 },
                                  count_instruction, &n) == 0 &&
                  n == 2);

        assert_se(s->ops->instructions_prune(s, "b", 0) == 0);           /* not ended: it stays */
        assert_se(s->ops->instruction_get(s, "three", &back) == 0);
        instruction_record_done(&back);
        assert_se(s->ops->instructions_prune(s, "a", 2) == 0);           /* there are two */
        assert_se(s->ops->instruction_get(s, "one", &back) == 0);
        instruction_record_done(&back);
        assert_se(s->ops->instructions_prune(s, "a", 1) == 0);
        assert_se(s->ops->instruction_get(s, "one", &back) == -ENOENT);
        assert_se(s->ops->instruction_get(s, "two", &back) == 0);
        instruction_record_done(&back);

        assert_se(s->ops->agent_delete(s, "a") == 0);                     /* and its instructions with it */
        assert_se(s->ops->instruction_get(s, "two", &back) == -ENOENT);
}

static void test_desired(Store *s) {
        DesiredRecord d = { .kind = DESIRED_KIND_SELECTOR,
                            .target = (char *) "env=test",
                            .version = (char *) "1.1.0",
                            .generation = 1 };
        DesiredRecord twice = d;
        _cleanup_(desired_record_done) DesiredRecord back = {};

        assert_se(s->ops->desired_put(s, &d) == 0 && d.id > 0);
        assert_se(s->ops->desired_put(s, &twice) == -EEXIST);
        d.version = (char *) "1.2.0";
        d.generation = 2;
        assert_se(s->ops->desired_put(s, &d) == 0);

        /* what counts the attempts of something desired stays, however old */
        InstructionRecord old = instruction("old", "b"), kept = instruction("kept", "b"), last;
        _cleanup_(instruction_record_done) InstructionRecord i = {};

        assert_se(s->ops->agent_delete(s, "b") == 0);
        assert_se(s->ops->agent_put(s, &(AgentRecord){ .id = (char *) "b" }) == 0);
        old.phase = kept.phase = UPDATE_PHASE_FAILED;
        old.desired = kept.desired = d.id;
        kept.generation = 2;
        assert_se(s->ops->instruction_put(s, &old) == 0 && s->ops->instruction_put(s, &kept) == 0);
        last = old;
        last.id = (char *) "last";
        last.number = 0;
        assert_se(s->ops->instruction_put(s, &last) == 0);
        assert_se(s->ops->instructions_prune(s, "b", 1) == 0);
        assert_se(s->ops->instruction_get(s, "old", &i) == -ENOENT);
        assert_se(s->ops->instruction_get(s, "kept", &i) == 0);
        assert_se(s->ops->desired_find(s, DESIRED_KIND_SELECTOR, "env=test", &back) == 0);
        assert_se(back.id == d.id && back.generation == 2 && streq(back.version, "1.2.0"));
        assert_se(s->ops->desired_delete(s, d.id) == 0);
        assert_se(s->ops->desired_delete(s, d.id) == -ENOENT);
}

static int take_release(ReleaseRecord *r, void *userdata) {
        unsigned *n = userdata;

        assert_se(streq(r->version, "1.0.0") && streq(r->floor, "0.9.0") && !r->requires);
        (*n)++;
        return 0;
}

static int count_artifact(ArtifactRecord *a, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static void test_releases(Store *s) {
        ReleaseRecord r = { .version = (char *) "1.0.0",
                            .product = (char *) "agent",
                            .imported = 3,
                            .floor = (char *) "0.9.0" };
        ArtifactRecord a = {
                .path = (char *) "agent/1.0.0/linux-x86_64/agent",
                .version = (char *) "1.0.0",
                .arch = (char *) "x86_64",
                .os = (char *) "linux",
                .sha256 = (char *) "00",
                .length = 7,
        };
        unsigned n = 0;

        assert_se(s->ops->artifact_put(s, &a) == -ENOENT);                /* of no release */
        for (unsigned i = 0; i < 2; i++) {
                assert_se(s->ops->release_put(s, &r) == 0);
                assert_se(s->ops->artifact_put(s, &a) == 0);
        }
        assert_se(s->ops->releases_each(s, take_release, &n) == 0 && n == 1);
        n = 0;
        assert_se(s->ops->artifacts_each(s, count_artifact, &n) == 0 && n == 1);
        assert_se(s->ops->release_delete(s, "1.0.0") == 0);
        n = 0;
        assert_se(s->ops->artifacts_each(s, count_artifact, &n) == 0 && n == 0);
}

static int count_id(const char *id, void *userdata) {
        (*(uint64_t *) userdata)++;
        return 0;
}

static void test_tokens(Store *s) {
        JoinToken t = { .id = (char *) "t1",
                        .hash = (char *) "aa",
                        .uses = 2,
                        .uses_left = 2,
                        .created = 1,
                        .expires = 9 };
        ApiToken a = { .id = (char *) "a1",
                       .hash = (char *) "bb",
                       .role = API_ROLE_OPERATOR,
                       .scopes = API_SCOPE(API_AREA_AGENTS) | API_SCOPE(API_AREA_EVENTS),
                       .owner = (char *) "user:alice",
                       .created = 1 };
        _cleanup_(api_token_done) ApiToken token = {};
        _cleanup_(join_token_done) JoinToken back = {};

        assert_se(labels_set(&t.labels, "env", "test") == 0);
        assert_se(s->ops->join_token_put(s, &t) == 0);
        t.uses_left = 1;
        assert_se(s->ops->join_token_put(s, &t) == 0);
        assert_se(s->ops->join_token_get(s, "t1", &back) == 0);
        assert_se(back.uses == 2 && back.uses_left == 1 && streq(labels_get(&back.labels, "env"), "test"));
        assert_se(s->ops->agent_put(s, &(AgentRecord){ .id = (char *) "joined" }) == 0);
        assert_se(s->ops->join_token_put_used(s, "t1", "nobody", "k1") == -ENOENT);
        assert_se(s->ops->join_token_put_used(s, "t1", "joined", "k1") == 0);
        assert_se(s->ops->join_token_put_used(s, "t1", "joined", "k1") == 0);
        assert_se(s->ops->join_token_used(s, "t1", "joined", "k1") == 0);
        assert_se(s->ops->join_token_used(s, "t1", "joined", NULL) == 0);
        assert_se(s->ops->join_token_used(s, "t1", "joined", "k2") == -ENOENT);
        assert_se(s->ops->agent_delete(s, "joined") == 0);       /* and what it used with it */
        assert_se(s->ops->join_token_used(s, "t1", "joined", NULL) == -ENOENT);
        assert_se(s->ops->join_token_delete(s, "t1") == 0);
        labels_done(&t.labels);

        assert_se(s->ops->api_token_put(s, &a) == 0);
        assert_se(s->ops->api_token_put(s, &a) == -EEXIST);
        assert_se(s->ops->api_token_seen(s, "a1", 5) == 0);
        assert_se(s->ops->api_token_seen(s, "a1", 4) == 0);      /* the clock went back */
        assert_se(s->ops->api_token_get(s, "a1", &token) == 0);
        assert_se(token.scopes == a.scopes && streq(token.owner, "user:alice") && token.last_used == 5);
        assert_se(s->ops->api_token_get(s, "a2", &token) == -ENOENT);
        uint64_t n = 0;
        assert_se(s->ops->api_tokens_delete_of(s, "user:alic", &n) == 0 && n == 0);
        assert_se(s->ops->api_tokens_delete_of(s, "user:alice", &n) == 0 && n == 1);
        assert_se(s->ops->api_token_put(s, &a) == 0);
        assert_se(s->ops->api_token_delete(s, "a1", count_id, &n) == 0);
        assert_se(s->ops->api_token_delete(s, "a1", count_id, &n) == -ENOENT);
}

/* Those that a token made go with it, and no others. */
static void test_token_family(Store *s) {
        static const struct {
                const char *id, *parent;
        } tokens[] = {
                { "root", NULL },  { "one", "root" },     { "two", "root" },
                { "deep", "one" }, { "other", "before" },
        };
        uint64_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(tokens); i++) {
                _cleanup_(api_token_done) ApiToken back = {};
                ApiToken t = { .id = (char *) tokens[i].id,
                               .hash = (char *) "bb",
                               .role = API_ROLE_VIEWER,
                               .parent = (char *) tokens[i].parent };

                assert_ok(s->ops->api_token_put(s, &t));
                assert_ok(s->ops->api_token_get(s, t.id, &back));
                assert_se(streq_ptr(back.parent, t.parent));
        }
        assert_ok(s->ops->api_token_delete(s, "two", count_id, &n));
        assert_se(n == 1);
        assert_ok(s->ops->api_token_delete(s, "root", count_id, &n));
        assert_se(n == 4);
        for (size_t i = 0; i < ELEMENTSOF(tokens); i++) {
                _cleanup_(api_token_done) ApiToken back = {};
                bool stays = streq(tokens[i].id, "other");

                assert_se(s->ops->api_token_get(s, tokens[i].id, &back) == (stays ? 0 : -ENOENT));
        }
        assert_ok(s->ops->api_token_delete(s, "other", count_id, &n));
}

static int count_user(UserRecord *u, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static int count_session(SessionRecord *e, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static unsigned n_sessions(Store *s) {
        unsigned n = 0;

        assert_se(s->ops->sessions_each(s, count_session, &n) == 0);
        return n;
}

static void test_people(Store *s) {
        UserRecord u = { .name = (char *) "alice",
                         .role = API_ROLE_ADMIN,
                         .password_hash = (char *) "$h",
                         .revision = 1 };
        SessionRecord e = { .id = (char *) "s1",
                            .hash = (char *) "cc",
                            .user = (char *) "alice",
                            .csrf = (char *) "dd",
                            .created = 10, .expires = 100, .last_used = 10 };
        _cleanup_(user_record_done) UserRecord back = {};
        _cleanup_free_ char *value = NULL;
        unsigned n = 0;

        assert_se(s->ops->session_put(s, &e) == -ENOENT);        /* of no user */
        assert_se(s->ops->user_put(s, &u) == 0);
        assert_se(s->ops->session_put(s, &e) == 0);
        assert_se(s->ops->session_put(s, &e) == -EEXIST);
        u.role = API_ROLE_VIEWER;
        u.disabled = true;
        u.revision = 2;
        assert_se(s->ops->user_put(s, &u) == 0);
        assert_se(n_sessions(s) == 1);                           /* a change of the user does not end it */
        assert_se(s->ops->user_get(s, "alice", &back) == 0);
        assert_se(back.role == API_ROLE_VIEWER && back.disabled && back.revision == 2 &&
                  streq(back.password_hash, "$h"));
        assert_se(s->ops->user_get(s, "bob", &back) == -ENOENT);
        assert_se(s->ops->users_each(s, count_user, &n) == 0 && n == 1);

        assert_se(s->ops->session_seen(s, "s1", 50) == 0);
        assert_se(s->ops->sessions_prune(s, 60, 50) == 0 && n_sessions(s) == 1);
        assert_se(s->ops->sessions_prune(s, 60, 51) == 0 && n_sessions(s) == 0);
        for (char id[] = "s2"; id[1] <= '4'; id[1]++) {
                e.id = id;
                assert_se(s->ops->session_put(s, &e) == 0);
        }
        assert_se(s->ops->session_delete(s, "s2") == 0 && n_sessions(s) == 2);
        assert_se(s->ops->sessions_delete_of(s, "alice", "s3") == 0 && n_sessions(s) == 1);
        assert_se(s->ops->sessions_prune(s, 100, 0) == 0 && n_sessions(s) == 0);
        e.id = (char *) "s5";
        assert_se(s->ops->session_put(s, &e) == 0);
        assert_se(s->ops->user_delete(s, "alice") == 0 && n_sessions(s) == 0);
        assert_se(s->ops->user_delete(s, "alice") == -ENOENT);

        assert_se(s->ops->setting_get(s, "k", &value) == -ENOENT);
        assert_se(s->ops->setting_put(s, "k", "1") == 0 && s->ops->setting_put(s, "k", "2") == 0);
        assert_se(s->ops->setting_get(s, "k", &value) == 0 && streq(value, "2"));
        assert_se(s->ops->setting_delete(s, "k") == 0 && s->ops->setting_delete(s, "k") == 0);
}

static int check_event(EventRecord *e, void *userdata) {
        uint64_t *last = userdata;

        assert_se(e->id > *last && streq(e->topic, "agent") && streq(e->data, "{}"));
        *last = e->id;
        return 0;
}

static void test_keys(Store *s) {
        AgentRecord a = { .id = (char *) "keyed" };
        _cleanup_(agent_record_done) AgentRecord back = {};

        /* one from before keys were kept has the first that it shows */
        assert_se(s->ops->agent_put(s, &a) == 0);
        assert_se(s->ops->agent_get(s, "keyed", &back) == 0 && !back.key_hash);
        assert_se(agent_record_show_key(&back, "k1") == 1 && streq(back.key_hash, "k1"));
        assert_se(agent_record_show_key(&back, "k1") == 0);
        assert_se(agent_record_show_key(&back, "k2") == -EKEYREJECTED);

        back.next_key_hash = strdup("k2");
        assert_se(s->ops->agent_put(s, &back) == 0);
        agent_record_done(&back);
        assert_se(s->ops->agent_get(s, "keyed", &back) == 0);
        assert_se(agent_record_show_key(&back, "k1") == 0);      /* good until the next was used */
        assert_se(agent_record_show_key(&back, "k3") == -EKEYREJECTED);
        assert_se(agent_record_show_key(&back, "k2") == 1 && !back.next_key_hash);
        assert_se(agent_record_show_key(&back, "k1") == -EKEYREJECTED);
        assert_se(s->ops->agent_delete(s, "keyed") == 0);
}

static void test_events(Store *s) {
        uint64_t last;

        assert_se(s->ops->events_last(s, &last) == 0 && last == 0);
        for (unsigned i = 0; i < 10; i++) {
                EventRecord e = { .time = i, .topic = (char *) "agent", .data = (char *) "{}" };

                assert_se(s->ops->event_put(s, &e) == 0 && e.id == i + 1);
        }
        last = 4;
        assert_se(s->ops->events_each(s, 4, 100, check_event, &last) == 0 && last == 10);
        assert_se(s->ops->events_prune(s, 3) == 0);
        last = 0;
        assert_se(s->ops->events_each(s, 0, 1, check_event, &last) == 0 && last == 8);
        assert_se(s->ops->events_prune(s, 0) == 0);
        assert_se(s->ops->events_last(s, &last) == 0 && last == 10);      /* numbers are never used twice */
}

static void test_transactions(Store *s) {
        AgentRecord a = { .id = (char *) "kept" }, b = { .id = (char *) "dropped" };
        _cleanup_(agent_record_done) AgentRecord back = {};

        assert_se(s->ops->begin(s) == 0);
        assert_se(s->ops->savepoint(s) == 0);
        assert_se(s->ops->agent_put(s, &a) == 0);
        assert_se(s->ops->savepoint_release(s) == 0);
        assert_se(s->ops->savepoint(s) == 0);
        assert_se(s->ops->agent_put(s, &b) == 0);
        assert_se(s->ops->savepoint_rollback(s) == 0);
        assert_se(s->ops->commit(s) == 0);
        assert_se(s->ops->agent_get(s, "kept", &back) == 0);
        agent_record_done(&back);
        assert_se(s->ops->agent_get(s, "dropped", &back) == -ENOENT);
        assert_se(s->ops->agent_delete(s, "kept") == 0);
}

static void test_reopen(void) {
        _cleanup_free_ char *path = db_path("store.db"), *bad = db_path("bad.db"),
                            *newer = db_path("newer.db");
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_(agent_record_done) AgentRecord back = {};

        assert_se(store_sqlite_open(path, &s) == 0);
        assert_se(s->ops->agent_get(s, "b", &back) == 0);
        s = store_close(s);

        assert_se(file_write_atomic_at(
                                  AT_FDCWD, bad, "this is not a database, whatever its name says", 46,
                                  0600) == 0);
        assert_se(store_sqlite_open(bad, &s) == -EUCLEAN);

        assert_se(store_sqlite_open(newer, &s) == 0);
        assert_se(sqlite_run(SQLITE_STORE(s), "PRAGMA user_version = 1000") == 0);
        s = store_close(s);
        assert_se(store_sqlite_open(newer, &s) == -EUCLEAN);
        assert_se(!s);
}

/* A fleet of the first schema is all there after the update, and has no keys yet. */
static void test_old_fleet(void) {
        _cleanup_free_ char *path = db_path("old.db");
        _cleanup_(agent_record_done) AgentRecord a = {};
        _cleanup_(join_token_done) JoinToken t = {};
        _cleanup_(store_closep) Store *store = NULL;
        SqliteStore s = {};

        assert_se(sqlite3_open(path, &s.db) == SQLITE_OK);
        assert_se(store_schema_update_to(&s, 1) == 0);
        assert_se(sqlite3_exec(s.db,
                               "INSERT INTO agents VALUES ('a', 1, '1.0.0', NULL, 'token', 0, 0, NULL, NULL, 0,"
                               " 0, NULL, 5, 6, 'host', NULL, NULL, NULL, NULL, 'x86_64', NULL, 1);"
                               "INSERT INTO agent_labels VALUES ('a', 'env', 'test');"
                               "INSERT INTO join_tokens VALUES ('t', 'aa', 2, 1, 1, 9, NULL);",
                               NULL, NULL, NULL) == SQLITE_OK);
        for (size_t i = 0; i < s.n_statements; i++)
                assert_se(sqlite3_finalize(s.statements[i].stmt) == SQLITE_OK);
        assert_se(sqlite3_close(s.db) == SQLITE_OK);

        assert_se(store_sqlite_open(path, &store) == 0);
        assert_se(store->ops->agent_get(store, "a", &a) == 0);
        assert_se(streq(a.facts.hostname, "host") && streq(a.session_token, "token") && a.last_seen == 6 &&
                  !a.key_hash && !a.next_key_hash && streq(labels_get(&a.labels, "env"), "test"));
        assert_se(store->ops->join_token_get(store, "t", &t) == 0 && t.uses_left == 1 && !t.agent);
}

/* Of tokens that are older than the column, the audit log knows by which others they were made. */
static void test_old_tokens(void) {
        _cleanup_free_ char *path = db_path("old-tokens.db");
        _cleanup_(api_token_done) ApiToken by_token = {}, by_user = {};
        _cleanup_(store_closep) Store *store = NULL;
        SqliteStore s = {};

        assert_se(sqlite3_open(path, &s.db) == SQLITE_OK);
        assert_se(store_schema_update_to(&s, 8) == 0);
        assert_se(sqlite3_exec(s.db,
                               "INSERT INTO api_tokens (id, hash, role, created, expires) VALUES"
                               " ('aa', 'h', 'viewer', 1, 0), ('bb', 'h', 'viewer', 1, 0);"
                               "INSERT INTO audit VALUES"
                               " (1, 1, 'token:cc', 'api-token.create', 'api-token:aa', '{}', ''),"
                               " (2, 1, 'user:alice', 'api-token.create', 'api-token:bb', '{}', ''),"
                               " (3, 1, 'token:cc', 'api-token.delete', 'api-token:bb', '{}', '');",
                               NULL, NULL, NULL) == SQLITE_OK);
        for (size_t i = 0; i < s.n_statements; i++)
                assert_se(sqlite3_finalize(s.statements[i].stmt) == SQLITE_OK);
        assert_se(sqlite3_close(s.db) == SQLITE_OK);

        assert_ok(store_sqlite_open(path, &store));
        assert_ok(store->ops->api_token_get(store, "aa", &by_token));
        assert_streq(by_token.parent, "cc");
        assert_ok(store->ops->api_token_get(store, "bb", &by_user));
        assert_se(!by_user.parent);
}

static int copy_member(RolloutMemberRecord *m, void *userdata) {
        RolloutMemberRecord *to = userdata;

        *to = TAKE_GENERIC(*m, RolloutMemberRecord, (RolloutMemberRecord){});
        return 0;
}

/* A rollout that was resumed under schema 8, with sums of what was seen, goes on; and what is kept since then
 * comes back as it was written. */
static void test_resumed_rollout(void) {
        _cleanup_free_ char *path = db_path("old-rollout.db");
        _cleanup_(rollout_record_done) RolloutRecord r = {}, again = {};
        _cleanup_(rollout_member_record_done) RolloutMemberRecord m = {}, n = {};
        _cleanup_(store_closep) Store *store = NULL;
        SqliteStore s = {};

        assert_se(sqlite3_open(path, &s.db) == SQLITE_OK);
        assert_se(store_schema_update_to(&s, 8) == 0);
        assert_se(sqlite3_exec(s.db,
                               "INSERT INTO rollouts (id, kind, parent, version, spec, state, active, reason, phase, batch,"
                               " batch_opened, settled, waiting_since, approved, waived, paused_since, paused_total,"
                               " failures_base, admitted_base, next_look, counts, created, started, updated, finished,"
                               " revision) VALUES (5, 'update', 0, '1.1.0', '{}', 'running', 1, 'updating', 'batch', 2,"
                               " 11, 0, 0, 0, 3, 0, 77, 4, 9, 1000, '{\"pending\":0,\"in-flight\":0,\"succeeded\":0,\"failed\":0,\"rolled-back\":0,\"timed-out\":1,"
                               "\"skipped\":0,\"cancelled\":0,\"excluded\":0,\"admitted\":1}', 1, 2, 3, 0, 6);"
                               "INSERT INTO rollout_members (rollout, agent, position, state, active, reason, canary, batch,"
                               " goal, from_version, attempts, retry, admitted, not_before, updated) VALUES"
                               " (5, 'a', 0, 'timed-out', 0, 'verdict', 1, 2, '1.1.0', '1.0.0', 1, 0, 11, 0, 3)",
                               NULL, NULL, NULL) == SQLITE_OK);
        for (size_t i = 0; i < s.n_statements; i++)
                assert_se(sqlite3_finalize(s.statements[i].stmt) == SQLITE_OK);
        assert_se(sqlite3_close(s.db) == SQLITE_OK);

        assert_se(store_sqlite_open(path, &store) == 0);
        assert_se(store->ops->rollout_get(store, 5, &r) == 0);
        assert_se(r.progress.state == ROLLOUT_STATE_RUNNING && r.progress.threshold_waived &&
                  r.progress.paused_total == 77 && r.progress.next_look == 1000 && r.progress.boot == 0 &&
                  r.progress.booted == 0 && r.progress.clock_set == 0 && r.counts.failures == 1);
        assert_se(store->ops->rollout_members_each(store, 5, copy_member, &m) == 0);
        assert_se(m.member.state == MEMBER_STATE_TIMED_OUT && m.member.canary && !m.member.seen &&
                  !m.member.excused && !m.view.in_other_rollout);

        r.progress.boot = INT64_MAX;
        r.progress.booted = 12;
        r.progress.waited = 14;
        r.progress.clock_set = 13;
        m.member.seen = m.member.excused = true;
        assert_se(store->ops->rollout_put(store, &r) == 0);
        assert_se(store->ops->rollout_member_put(store, 5, &m) == 0);
        assert_se(store->ops->rollout_get(store, 5, &again) == 0);
        assert_se(memcmp(&again.progress, &r.progress, sizeof(r.progress)) == 0);

        /* another rollout takes the agent that this one has given up */
        again.id = 0;
        assert_se(store->ops->rollout_put(store, &again) == 0);
        m.member.state = MEMBER_STATE_PENDING;
        assert_se(store->ops->rollout_member_put(store, again.id, &m) == 0);
        assert_se(store->ops->rollout_members_each(store, 5, copy_member, &n) == 0);
        assert_se(n.member.seen && n.member.excused && n.view.in_other_rollout);
        rollout_member_record_done(&n);
        assert_se(store->ops->rollout_members_each(store, again.id, copy_member, &n) == 0);
        assert_se(!n.view.in_other_rollout);
}

/* A rollout in mid-flight, with what the first schema that had any kept of it. */
#define FIRST_WITH_ROLLOUTS 7U
#define LAST_LIKE_THAT 8U
static const char old_rollouts[] =
                "INSERT INTO agents (id, state, version, token_misses, clone_suspected, metadata_expires, pinned, enrolled,"
                " last_seen, packaging, architecture) VALUES ('a', 2, '1.0.0', 0, 0, 0, 0, 5, 6, 0, 'x86_64'),"
                " ('b', 2, '2.0.0', 0, 0, 0, 0, 5, 6, 0, 'x86_64'), ('c', 1, '1.0.0', 0, 0, 0, 0, 5, 6, 0, 'x86_64');"
                "INSERT INTO instructions (id, agent, desired, generation, attempt, version, from_version, phase, terminal,"
                " retry, cancel_requested, sequence, bytes_done, bytes_total, created, updated, deadline, finished, rollout)"
                " VALUES ('ia', 'a', 0, 0, 1, '2.0.0', '1.0.0', 'downloading', 0, 0, 0, 0, 0, 0, 10, 11, 99, 0, 1),"
                " ('ib', 'b', 0, 0, 1, '2.0.0', '1.0.0', 'succeeded', 1, 0, 0, 0, 0, 0, 10, 12, 99, 12, 1);"
                "INSERT INTO rollouts (id, kind, parent, version, spec, state, active, reason, detail, phase, batch,"
                " batch_opened, settled, waiting_since, approved, waived, paused_since, paused_total, failures_base,"
                " admitted_base, next_look, counts, created, started, updated, finished, actor, revision) VALUES"
                " (1, 'update', 0, '2.0.0', '{\"target\":{\"all\":true},\"strategy\":{\"max_in_flight\":7}}', 'paused', 1,"
                "  'correlated-failures', 'os debian', 'batch', 3, 100, 0, 0, 1, 3, 200, 50, 4, 20, 9223372036854775807,"
                "  '{\"pending\":1,\"in-flight\":1,\"succeeded\":1,\"failed\":0,\"rolled-back\":0,\"timed-out\":0,\"skipped\":0,"
                "\"cancelled\":0,\"excluded\":1,\"admitted\":2}', 8, 9, 13, 0, 'user:alice', 5),"
                " (2, 'rollback', 1, '2.0.0', '{\"target\":{\"ids\":[\"b\"]},\"strategy\":{}}', 'aborted', 0, 'operator', NULL,"
                "  'batch', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,"
                "  '{\"pending\":0,\"in-flight\":0,\"succeeded\":0,\"failed\":0,\"rolled-back\":0,\"timed-out\":0,\"skipped\":0,"
                "\"cancelled\":1,\"excluded\":0,\"admitted\":0}', 8, 9, 13, 14, 'user:alice', 2);"
                "INSERT INTO rollout_members (rollout, agent, position, state, active, reason, canary, batch, goal, from_version,"
                " instruction, attempts, retry, admitted, not_before, updated, os) VALUES"
                " (1, 'a', 1, 'in-flight', 1, '', 0, 3, '2.0.0', '1.0.0', 'ia', 2, 1, 100, 0, 11, 'debian'),"
                " (1, 'b', 0, 'succeeded', 0, '', 1, 0, '2.0.0', '1.0.0', 'ib', 1, 0, 50, 0, 12, 'debian'),"
                " (1, 'c', 2, 'pending', 1, '', 0, 4294967295, '2.0.0', '', NULL, 0, 0, 0, 77, 9, NULL),"
                " (1, 'gone', 3, 'excluded', 0, 'pinned', 0, 4294967295, '2.0.0', '', NULL, 0, 0, 0, 0, 9, NULL),"
                " (2, 'b', 0, 'cancelled', 0, 'aborted', 0, 4294967295, '1.0.0', '', NULL, 0, 0, 0, 0, 9, NULL);";

static int check_old_member(RolloutMemberRecord *r, void *userdata) {
        const RolloutMember *m = &r->member;
        const RolloutView *v = &r->view;

        assert_se(m->position == (*(unsigned *) userdata)++);
        switch (m->position) {
        case 0:
                assert_se(streq(m->agent, "b") && m->state == MEMBER_STATE_SUCCEEDED && m->canary && m->batch == 0 &&
                          streq(v->version, "2.0.0") && v->phase == UPDATE_PHASE_SUCCEEDED && v->finished == 12);
                break;
        case 1:
                assert_se(streq(m->agent, "a") && m->state == MEMBER_STATE_IN_FLIGHT && m->batch == 3 &&
                          m->attempts == 2 && m->retry && m->admitted == 100 && streq(m->from, "1.0.0") &&
                          v->online && v->has_instruction && v->phase == UPDATE_PHASE_DOWNLOADING && !v->busy &&
                          streq(r->os, "debian"));
                break;
        case 2:
                assert_se(streq(m->agent, "c") && m->state == MEMBER_STATE_PENDING && !m->from &&
                          m->batch == ROLLOUT_BATCH_NONE && m->not_before == 77 && !v->online &&
                          !v->has_instruction);
                break;
        default:
                assert_se(m->state == MEMBER_STATE_EXCLUDED && m->reason == MEMBER_REASON_PINNED && !v->exists);
        }
        return 0;
}

static void check_old_rollouts(Store *s) {
        _cleanup_(rollout_membership_done) RolloutMembership ms = {};
        _cleanup_(rollout_record_done) RolloutRecord r = {}, back = {};
        const RolloutProgress *p = &r.progress;
        unsigned n = 0;

        assert_ok(s->ops->rollout_get(s, 1, &r));
        assert_se(!r.damaged && r.kind == ROLLOUT_KIND_UPDATE && p->state == ROLLOUT_STATE_PAUSED &&
                  p->reason == ROLLOUT_REASON_CORRELATED_FAILURES && streq(r.detail, "os debian"));
        assert_se(p->batch == 3 && p->batch_opened == 100 && p->approved && p->threshold_waived &&
                  p->paused_since == 200 && p->paused_total == 50 && p->started == 9 &&
                  p->next_look == USEC_INFINITY);
        assert_se(r.counts.cohort == 3 && r.counts.admitted == 2 && r.revision == 5 && streq(r.actor, "user:alice"));
        assert_ok(s->ops->rollout_members_each(s, 1, check_old_member, &n));
        assert_se(n == 4);
        assert_ok(s->ops->rollout_get(s, 2, &back));
        assert_se(back.kind == ROLLOUT_KIND_ROLLBACK && back.parent == 1 && back.finished == 14);
        assert_ok(s->ops->rollout_membership(s, "a", &ms));
        assert_se(ms.rollout == 1 && ms.state == MEMBER_STATE_IN_FLIGHT);

        /* and it can be written again as it is */
        assert_ok(s->ops->rollout_put(s, &r));
        assert_ok(s->ops->rollout_let_go(s, 1, 300));
        rollout_record_done(&r);
        assert_ok(s->ops->rollout_get(s, 1, &r));
        assert_se(p->state == ROLLOUT_STATE_ABORTED && r.finished == 300 && r.revision == 6 &&
                  r.counts.n[MEMBER_STATE_CANCELLED] == 1 && r.counts.n[MEMBER_STATE_TIMED_OUT] == 1 &&
                  r.counts.n[MEMBER_STATE_SUCCEEDED] == 1 && r.counts.cohort == 3 && r.counts.admitted == 2);
}

static void test_old_rollouts(void) {
        for (uint64_t v = FIRST_WITH_ROLLOUTS; v <= LAST_LIKE_THAT; v++) {
                _cleanup_free_ char *name = strjoinf("rollouts-%" PRIu64 ".db", v), *path = db_path(name);
                _cleanup_(store_closep) Store *store = NULL;
                SqliteStore s = {};

                assert_se(sqlite3_open(path, &s.db) == SQLITE_OK);
                assert_ok(store_schema_update_to(&s, v));
                assert_se(sqlite3_exec(s.db, old_rollouts, NULL, NULL, NULL) == SQLITE_OK);
                for (size_t i = 0; i < s.n_statements; i++)
                        assert_se(sqlite3_finalize(s.statements[i].stmt) == SQLITE_OK);
                assert_se(sqlite3_close(s.db) == SQLITE_OK);
                assert_ok(store_sqlite_open(path, &store));
                check_old_rollouts(store);
        }
}

/* Every step alone, from the empty database on. */
static void test_migrations(void) {
        for (uint64_t v = 0; v < store_schema_version(); v++) {
                SqliteStore s = {};

                assert_se(sqlite3_open(":memory:", &s.db) == SQLITE_OK);
                assert_se(store_schema_update_to(&s, v) == 0);
                assert_se(store_schema_update(&s) == 0);
                assert_se(store_schema_update(&s) == 0);
                for (size_t i = 0; i < s.n_statements; i++)
                        assert_se(sqlite3_finalize(s.statements[i].stmt) == SQLITE_OK);
                assert_se(sqlite3_close(s.db) == SQLITE_OK);
        }
}

int main(void) {
        char template[] = "/tmp/test-store-XXXXXX";
        _cleanup_free_ char *path = NULL;
        _cleanup_(store_closep) Store *s = NULL;

        directory = mkdtemp(template);
        assert_se(directory);
        path = db_path("store.db");
        assert_se(store_sqlite_open(path, &s) == 0);
        test_agents(s);
        test_instructions(s);
        test_desired(s);
        test_releases(s);
        test_tokens(s);
        test_token_family(s);
        test_people(s);
        test_keys(s);
        test_events(s);
        test_transactions(s);
        s = store_close(s);
        test_reopen();
        test_old_fleet();
        test_old_tokens();
        test_resumed_rollout();
        test_old_rollouts();
        test_migrations();
        assert_se(tree_remove_at(AT_FDCWD, directory) == 0);
        return 0;
}
