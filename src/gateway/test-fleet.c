/* SPDX-License-Identifier: Apache-2.0 */

/* Instructions and decisions over a real database, through the real worker and a real loop. */

#include "fleet.h"

#include <fcntl.h>

#include "alloc-util.h"
#include "auth.h"
#include "crypto.h"
#include "event-ring.h"
#include "event-util.h"
#include "fs-util.h"
#include "instruction.h"
#include "presence.h"
#include "string-util.h"
#include "tests.h"

#define T0 (USEC_PER_DAY * 20000)
#define LEASE (900 * USEC_PER_SEC)

static sd_event *loop;
static StoreWorker *worker;
static const FleetRules rules = {
        .policy = { .attempts_max = 3, .pause = 10 * USEC_PER_SEC, .pause_max = 60 * USEC_PER_SEC },
        .lease = LEASE,
        .standing_max = 20,
};

/* One step of a scenario as a job, run to its end. */
typedef struct Step {
        StoreJob job;
        int (*run)(StoreJob *j, Store *s, void *userdata);
        void *userdata;
        bool done;
        int result;
} Step;

static unsigned n_events;
static char last_event[4096];

static void on_event(EventRecord **e, void *userdata) {
        n_events++;
        snprintf(last_event, sizeof(last_event), "%s %s", (*e)->topic, (*e)->data);
}

static int step_work(StoreJob *j, Store *s) {
        Step *step = container_of(j, Step, job);

        return step->run(j, s, step->userdata);
}

static void step_done(StoreJob *j, int r) {
        Step *step = container_of(j, Step, job);

        step->done = true;
        step->result = r;
}

static int do_step(int (*run)(StoreJob *j, Store *s, void *userdata), void *userdata) {
        Step step = { .job = { .work = step_work, .done = step_done }, .run = run, .userdata = userdata };

        assert_ok(store_worker_submit(worker, &step.job));
        while (!step.done)
                assert_se(sd_event_run(loop, 5 * USEC_PER_SEC) > 0);
        return step.result;
}

static int put_agent(StoreJob *j, Store *s, void *version) {
        AgentRecord a = { .id = (char *) "a", .version = version, .state = AGENT_STATE_ONLINE };

        a.facts.architecture = (char *) "x86_64";
        return s->ops->agent_put(s, &a);
}

static int put_release(StoreJob *j, Store *s, void *version) {
        ReleaseRecord rel = { .version = version, .product = (char *) "agent", .imported = 1 };
        _cleanup_free_ char *path = strjoinf("agent/%s/linux-x86_64/agent", (char *) version);
        ArtifactRecord a = {
                .path = path,
                .version = version,
                .arch = (char *) "x86_64",
                .os = (char *) "linux",
                .sha256 = (char *) "",
        };
        int r = s->ops->release_put(s, &rel);

        return r < 0 ? r : s->ops->artifact_put(s, &a);
}

static int desire(StoreJob *j, Store *s, void *version) {
        _cleanup_(desired_record_done) DesiredRecord d = {};
        int r = s->ops->desired_find(s, DESIRED_KIND_ALL, "", &d);

        assert_se(r >= 0 || r == -ENOENT);
        d.kind = DESIRED_KIND_ALL;
        assert_ok(free_and_strdup(&d.target, ""));
        assert_ok(free_and_strdup(&d.version, version));
        d.generation++;
        return s->ops->desired_put(s, &d);
}

typedef struct Turn {
        usec_t when;
        FleetOrder order;
} Turn;

static int reconcile(StoreJob *j, Store *s, void *userdata) {
        _cleanup_(agent_record_done) AgentRecord a = {};
        _cleanup_(fleet_done) Fleet f = {};
        Turn *t = userdata;

        assert_ok(s->ops->agent_get(s, "a", &a));
        assert_ok(fleet_load(s, &f));
        return fleet_reconcile(&f, j, s, &a, &rules, t->when, &t->order);
}

typedef struct Report {
        usec_t when;
        InstructionStatus status;
} Report;

static int report(StoreJob *j, Store *s, void *userdata) {
        Report *r = userdata;

        return instruction_apply_status(j, s, &r->status, r->when, LEASE, NULL);
}

static int say(const char *id, UpdatePhase phase, UpdateVerdict verdict, uint64_t sequence, usec_t when) {
        Report r = {
                .when = when,
                .status = {
                        .instruction_id = (char *) id, .agent = (char *) "a",
                        .phase = phase, .verdict = verdict,
                        .failed_phase = _UPDATE_PHASE_INVALID, .sequence = sequence,
                },
        };
        return do_step(report, &r);
}

static UpdatePhase phase_now;

static int read_phase(StoreJob *j, Store *s, void *id) {
        _cleanup_(instruction_record_done) InstructionRecord i = {};
        int r = s->ops->instruction_get(s, id, &i);

        phase_now = i.phase;
        return r;
}

static UpdatePhase phase_of(const char *id) {
        assert_ok(do_step(read_phase, (void *) id));
        return phase_now;
}

static int expire(StoreJob *j, Store *s, void *when) {
        return instruction_expire(j, s, *(usec_t *) when, LEASE);
}

static void test_success(void) {
        _cleanup_(fleet_order_done) FleetOrder order = {};
        Turn t = { .when = T0 }, again = { .when = T0 + 1 };

        assert_ok(do_step(put_agent, (char *) "1.0.0"));
        assert_ok(do_step(put_release, (char *) "1.1.0"));
        assert_ok(do_step(desire, (char *) "1.1.0"));
        n_events = 0;
        assert_ok(do_step(reconcile, &t));
        assert_se(t.order.send == FLEET_SEND_INSTRUCTION && t.order.is_new &&
                  t.order.deadline == T0 + LEASE);
        assert_streq(t.order.version, "1.1.0");
        assert_se(n_events == 2);                                /* queued, offered */
        order = t.order;

        assert_ok(do_step(reconcile, &again));                   /* a reconnection: the same one */
        assert_se(again.order.send == FLEET_SEND_INSTRUCTION && !again.order.is_new);
        assert_streq(again.order.instruction_id, order.instruction_id);
        fleet_order_done(&again.order);

        assert_se(say(order.instruction_id, UPDATE_PHASE_DOWNLOADING, 0, 1, T0 + 2) == 0);
        n_events = 0;
        assert_se(say(order.instruction_id, UPDATE_PHASE_DOWNLOADING, 0, 2, T0 + 3) == 0);
        assert_se(n_events == 1);                                /* progress */
        assert_se(say(order.instruction_id, UPDATE_PHASE_DOWNLOADING, 0, 2, T0 + 3) == 0);
        assert_se(n_events == 1);                                /* a duplicate is no news */
        assert_se(say(order.instruction_id, UPDATE_PHASE_RESTARTING, 0, 3, T0 + 4) == 0);
        assert_se(say(order.instruction_id, UPDATE_PHASE_VERIFYING, 0, 4, T0 + 4) == 0);
        assert_se(phase_of(order.instruction_id) == UPDATE_PHASE_RESTARTING);    /* never backwards */
        assert_se(say("nobody", UPDATE_PHASE_RESTARTING, 0, 3, T0 + 4) == -ENOENT);
        assert_ok(do_step(put_agent, (char *) "1.1.0"));
        assert_se(say(order.instruction_id, UPDATE_PHASE_SUCCEEDED, 0, 5, T0 + 5) == 1);
        assert_se(say(order.instruction_id, UPDATE_PHASE_SUCCEEDED, 0, 5, T0 + 6) == 0);
        assert_se(strstr(last_event, "Back Online"));

        assert_ok(do_step(reconcile, &again));
        assert_se(again.order.send == FLEET_SEND_NOTHING && again.order.not_before == USEC_INFINITY);
}

static void test_rolled_back_is_not_repeated(void) {
        Turn t = { .when = T0 }, later = { .when = T0 + USEC_PER_DAY },
             retry = { .when = T0 + USEC_PER_DAY };

        assert_ok(do_step(put_release, (char *) "1.2.0"));
        assert_ok(do_step(desire, (char *) "1.2.0"));
        assert_ok(do_step(reconcile, &t));
        assert_se(t.order.is_new);
        assert_se(say(t.order.instruction_id, UPDATE_PHASE_ROLLED_BACK, UPDATE_VERDICT_CRASHED, 9, T0 + 1) ==
                  1);
        assert_ok(do_step(reconcile, &later));
        assert_se(later.order.send == FLEET_SEND_NOTHING);
        assert_ok(do_step(desire, (char *) "1.2.0"));            /* a new generation, as a retry makes one */
        assert_ok(do_step(reconcile, &retry));
        assert_se(retry.order.is_new && !streq(retry.order.instruction_id, t.order.instruction_id));
        assert_se(say(retry.order.instruction_id, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DENYLISTED, 1,
                      T0 + 2) == 1);
        fleet_order_done(&t.order);
        fleet_order_done(&later.order);
        fleet_order_done(&retry.order);
}

static void test_lease(void) {
        Turn t = { .when = T0 }, soon = { .when = T0 + LEASE + 2 },
             later = { .when = T0 + LEASE + 20 * USEC_PER_SEC };
        usec_t before = T0 + LEASE, after = T0 + LEASE + 1, set_back = T0 - 40 * USEC_PER_DAY,
               set_back_after = set_back + LEASE + 1;
        Turn ahead = { .when = T0 };

        assert_ok(do_step(put_release, (char *) "1.3.0"));
        assert_ok(do_step(desire, (char *) "1.3.0"));
        assert_ok(do_step(reconcile, &t));
        assert_se(do_step(expire, &before) == 0);
        assert_se(do_step(expire, &after) == 1);
        assert_se(do_step(expire, &after) == 0);
        assert_se(phase_of(t.order.instruction_id) == UPDATE_PHASE_TIMED_OUT);

        assert_ok(do_step(reconcile, &soon));                    /* tried again, but not at once */
        assert_se(soon.order.send == FLEET_SEND_NOTHING &&
                  soon.order.not_before == after + 10 * USEC_PER_SEC);
        assert_ok(do_step(reconcile, &later));
        assert_se(later.order.is_new);

        /* the machine tells the truth late; it does not go on with the old one, having a new one */
        assert_se(say(t.order.instruction_id, UPDATE_PHASE_STAGING, 0, 3, after + 3) == 0);
        assert_se(phase_of(t.order.instruction_id) == UPDATE_PHASE_TIMED_OUT);
        assert_se(say(t.order.instruction_id, UPDATE_PHASE_SUCCEEDED, 0, 4, after + 4) == 1);
        assert_se(phase_of(t.order.instruction_id) == UPDATE_PHASE_SUCCEEDED);
        assert_se(say(later.order.instruction_id, UPDATE_PHASE_CANCELLED, 0, 1, after + 5) == 1);

        /* the clock was 40 days ahead when this lease began */
        assert_ok(do_step(desire, (char *) "1.3.0"));
        assert_ok(do_step(reconcile, &ahead));
        assert_se(ahead.order.is_new);
        assert_se(do_step(expire, &set_back) == 0);
        assert_se(do_step(expire, &set_back_after) == 1);
        assert_se(phase_of(ahead.order.instruction_id) == UPDATE_PHASE_TIMED_OUT);
        fleet_order_done(&ahead.order);
        fleet_order_done(&t.order);
        fleet_order_done(&soon.order);
        fleet_order_done(&later.order);
}

static void test_withdrawn(void) {
        Turn t = { .when = T0 + USEC_PER_DAY }, changed = t, next = t;

        assert_ok(do_step(put_release, (char *) "1.4.0"));
        assert_ok(do_step(desire, (char *) "1.4.0"));
        assert_ok(do_step(reconcile, &t));
        assert_se(t.order.is_new);
        assert_ok(do_step(desire, (char *) "1.3.0"));
        assert_ok(do_step(reconcile, &changed));
        assert_se(changed.order.send == FLEET_SEND_CANCEL);
        assert_streq(changed.order.instruction_id, t.order.instruction_id);
        assert_se(say(t.order.instruction_id, UPDATE_PHASE_CANCELLED, 0, 2, t.when + 1) == 1);
        assert_ok(do_step(reconcile, &next));
        assert_se(next.order.is_new);
        assert_streq(next.order.version, "1.3.0");
        assert_se(say(next.order.instruction_id, UPDATE_PHASE_FAILED, UPDATE_VERDICT_DENYLISTED, 2,
                      t.when + 1) == 1);
        fleet_order_done(&t.order);
        fleet_order_done(&changed.order);
        fleet_order_done(&next.order);
}

static int emit_and_fail(StoreJob *j, Store *s, void *userdata) {
        assert_ok(put_agent(j, s, (char *) "9.9.9"));
        assert_ok(store_job_emit(j, s, "agent", "a", strdup("{}"), false, T0));
        return -EUCLEAN;
}

static int read_version(StoreJob *j, Store *s, void *userdata) {
        _cleanup_(agent_record_done) AgentRecord a = {};

        assert_ok(s->ops->agent_get(s, "a", &a));
        return streq(a.version, "9.9.9");
}

/* A job that fails takes its changes and its events back. */
static int desire_badly(StoreJob *j, Store *s, void *userdata) {
        DesiredRecord d = { .kind = DESIRED_KIND_SELECTOR,
                            .target = (char *) "fact.oss!=debian",
                            .version = (char *) "9.0.0",
                            .generation = 1 };

        return s->ops->desired_put(s, &d);
}

static int load_fleet(StoreJob *j, Store *s, void *userdata) {
        _cleanup_(fleet_done) Fleet f = {};
        size_t *n = userdata;
        int r = fleet_load(s, &f);

        *n = f.n_rows;
        return r;
}

/* A stored selector that an older gateway took does not stop the rest of the fleet. */
static void test_bad_selector(void) {
        size_t before, after;

        assert_ok(do_step(load_fleet, &before));
        assert_ok(do_step(desire_badly, NULL));
        assert_ok(do_step(load_fleet, &after));
        assert_se(after == before);
}

/* Every fact that a selector may name is one that a record can answer. */
static void test_facts(void) {
        AgentRecord a = { .version = (char *) "x" };

        a.facts = (AgentFacts){ .hostname = (char *) "x", .os_id = (char *) "x", .os_version_id = (char *) "x",
                                .kernel = (char *) "x", .architecture = (char *) "x" };
        for (const char *const *f = selector_facts; *f; f++) {
                _cleanup_free_ char *key = strjoinf("%s%s", SELECTOR_FACT_PREFIX, *f);

                assert_streq(agent_record_lookup(key, &a), "x");
        }
}

static void test_job_fails(void) {
        n_events = 0;
        assert_error(do_step(emit_and_fail, NULL), EUCLEAN);
        assert_se(n_events == 0);
        assert_se(do_step(read_version, NULL) == 0);
}

static void test_clone(void) {
        uint64_t misses = 0;

        assert_se(!presence_tell_clone(NULL, "", &misses));              /* the first time */
        assert_se(!presence_tell_clone("t1", "t1", &misses) && misses == 0);
        assert_se(!presence_tell_clone("t2", "t1", &misses));            /* died before it was kept: once */
        assert_se(!presence_tell_clone("t3", "t3", &misses) && misses == 0);
        /* two machines in turn: none ever shows the last one */
        assert_se(!presence_tell_clone("t4", "t3", &misses));
        assert_se(!presence_tell_clone("t5", "t4", &misses));
        assert_se(presence_tell_clone("t6", "t5", &misses));
        assert_se(!presence_tell_clone("t7", "t7", &misses));
}

static unsigned n_wakeups;
static void on_wakeup(void *userdata) {
        n_wakeups++;
}

static EventRecord *make_event(uint64_t id, const char *topic, const char *agent) {
        EventRecord *e = new0(EventRecord, 1);

        assert_se(e);
        *e = (EventRecord){
                .id = id, .topic = strdup(topic), .agent = agent ? strdup(agent) : NULL, .data = strdup("{}")
        };
        return e;
}

static char *pull_all(EventSubscriber *s, size_t chunk) {
        char *text = new0(char, 65536 * 4);
        size_t n = 0, k;

        assert_se(text);
        while ((k = event_subscriber_pull(s, text + n, chunk)) > 0)
                n += k;
        return text;
}

static void test_ring_shares(void) {
        _cleanup_(event_ring_freep) EventRing *r = NULL;
        EventSubscriber *s, *first = NULL;

        assert_ok(event_ring_new(&r, loop, 80));
        for (unsigned i = 0; i < 10; i++)
                assert_ok(event_ring_subscribe(
                                r, "user:a", NULL, NULL, 0, on_wakeup, NULL, i == 0 ? &first : &s));
        assert_error(event_ring_subscribe(r, "user:a", NULL, NULL, 0, on_wakeup, NULL, &s), EDQUOT);
        assert_ok(event_ring_subscribe(r, "user:b", NULL, NULL, 0, on_wakeup, NULL, &s));
        event_subscriber_free(first);
        assert_ok(event_ring_subscribe(r, "user:a", NULL, NULL, 0, on_wakeup, NULL, &s));
}

static void test_ring(void) {
        _cleanup_(event_ring_freep) EventRing *r = NULL;
        EventSubscriber *a, *b, *c, *d;
        char *const topics[] = { (char *) "update", NULL };

        assert_ok(event_ring_new(&r, loop, 4));
        for (uint64_t i = 11; i <= 20; i++)
                assert_ok(event_ring_load(r, make_event(i, i % 2 ? "agent" : "update", "x")));
        event_ring_set_last(r, 20);

        assert_ok(event_ring_subscribe(r, "user:a", NULL, NULL, 18, on_wakeup, NULL, &a));
        assert_ok(event_ring_subscribe(r, "user:a", topics, "y", 0, on_wakeup, NULL, &b));
        assert_ok(event_ring_subscribe(r, "user:a", NULL, NULL, 9, on_wakeup, NULL, &c));
        assert_ok(event_ring_subscribe(r, "user:a", NULL, NULL, 999, on_wakeup, NULL, &d));
        assert_error(event_ring_subscribe(r, "user:a", NULL, NULL, 0, on_wakeup, NULL, &d), ENOBUFS);

        _cleanup_free_ char *at = pull_all(a, 7), *bt = pull_all(b, 4096), *ct = pull_all(c, 4096),
                            *dt = pull_all(d, 4096);
        assert_se(strstr(at, "id: 19\n") && strstr(at, "id: 20\n") && !strstr(at, "id: 18\n") &&
                  !strstr(at, "reset"));
        assert_streq(bt, "retry: 3000\n\n");
        assert_se(strstr(ct, "event: reset") && strstr(ct, "id: 20\n"));         /* 10 is gone */
        assert_se(strstr(dt, "event: reset"));                                    /* of another gateway */

        n_wakeups = 0;
        event_ring_publish(r, make_event(21, "update", "y"));
        event_ring_publish(r, make_event(0, "update", "y"));
        event_ring_publish(r, make_event(22, "update", "x"));
        assert_se(n_wakeups == 3 * 4);
        _cleanup_free_ char *more = pull_all(b, 3);
        assert_streq(more, "id: 21\nevent: update\ndata: {}\n\nevent: update\ndata: {}\n\n");

        for (uint64_t i = 23; i < 23 + EVENT_RING_MAX + 5; i++)
                event_ring_publish(r, make_event(i, "agent", "z"));
        _cleanup_free_ char *slow = pull_all(a, 4096);
        assert_se(startswith(slow, "id: ") && strstr(slow, "event: reset"));      /* too slow */
        event_subscriber_free(a);
        assert_ok(event_ring_subscribe(r, "user:a", NULL, NULL, 22, on_wakeup, NULL, &a));
        _cleanup_free_ char *gone = pull_all(a, 4096);
        assert_se(strstr(gone, "reset"));
}

static void test_auth(void) {
        _cleanup_(auth_freep) Auth *a = NULL;
        _cleanup_(api_token_done) ApiToken t = { .role = API_ROLE_OPERATOR, .scopes = API_SCOPES_ALL, .expires = 100 };
        _cleanup_(api_caller_done) ApiCaller found = {};
        _cleanup_free_ char *token = NULL, *id = NULL, *hash = NULL, *joined = NULL;
        const char *rest;

        assert_ok(auth_new(&a, USEC_PER_HOUR));
        assert_ok(token_generate("fga1", &t.id, &token, &t.hash));
        assert_error(auth_check(a, token, 1, &found), ENOENT);
        assert_ok(auth_add(a, &t));
        assert_ok(auth_check(a, token, 99, &found));
        assert_se(found.role == API_ROLE_OPERATOR);
        assert_error(auth_check(a, token, 100, &found), EKEYEXPIRED);
        token[strlen(token) - 1] = token[strlen(token) - 1] == '0' ? '1' : '0';
        assert_error(auth_check(a, token, 1, &found), ENOENT);           /* right id, wrong secret */
        assert_error(auth_check(a, "fga1_x", 1, &found), EINVAL);
        assert_error(auth_check(a, "", 1, &found), EINVAL);
        auth_remove(a, t.id);
        auth_remove(a, t.id);

        joined = strjoinf("%s_abc", token);
        assert_se(joined);
        assert_error(token_parse("fga1", joined, &id, &hash, NULL), EINVAL);
        assert_ok(token_parse("fga1", joined, &id, &hash, &rest));
        assert_streq(rest, "abc");
        assert_error(token_parse("fjt1", token, &id, &hash, &rest), EINVAL);
}

int main(void) {
        char template[] = "/tmp/test-fleet-XXXXXX";
        _cleanup_free_ char *path = NULL;
        Store *store = NULL;

        assert_ok(crypto_init());
        assert_ok(sd_event_default(&loop));
        assert_se(mkdtemp(template));
        path = strjoinf("%s/db", template);
        assert_se(path);
        assert_ok(store_sqlite_open(path, &store));
        assert_ok(store_worker_new(&worker, loop, store, on_event, NULL));
        test_success();
        test_rolled_back_is_not_repeated();
        test_lease();
        test_withdrawn();
        test_bad_selector();
        test_facts();
        test_job_fails();
        test_clone();
        test_ring();
        test_ring_shares();
        test_auth();
        store_worker_free(worker);
        sd_event_unref(loop);
        assert_ok(tree_remove_at(AT_FDCWD, template));
        return 0;
}
