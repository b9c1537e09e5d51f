/* SPDX-License-Identifier: Apache-2.0 */

/* Several agents in one process: each has its own state and its own updater, and one that ends leaves the
 * others alone. What they say to a gateway is tested with real ones, in tests/protocol. */

#include <fcntl.h>
#include <unistd.h>

#include "agent-instance.h"
#include "crypto.h"
#include "event-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "tests.h"
#include "update-record.h"

static char directory[] = "/tmp/test-agent-instance-XXXXXX";
static sd_event *event;

/* ---- an updater that answers when it is told to ---- */

typedef struct Other {
        AgentUpdater updater;
        UpdaterView view;
        unsigned asked;
        bool trial;
} Other;

static const UpdaterView *other_view(const AgentUpdater *u) {
        return &container_of(u, Other, updater)->view;
}

static int other_ask(AgentUpdater *u) {
        container_of(u, Other, updater)->asked++;
        return 0;
}

static int other_install(AgentUpdater *u, const UpdaterInstall *request) {
        return -ENOTCONN;
}

static int other_roll_back(AgentUpdater *u, const char *version, const char *instruction) {
        return -ENOTCONN;
}

static bool other_is_on_trial(const AgentUpdater *u) {
        return container_of(u, Other, updater)->trial;
}

static const AgentUpdaterOps other_ops = {
        .view = other_view,
        .ask_view = other_ask,
        .ask_result = other_ask,
        .install = other_install,
        .roll_back = other_roll_back,
        .is_on_trial = other_is_on_trial,
};

static void other_init(Other *o) {
        *o = (Other){ .updater.ops = &other_ops };
        assert_ok(updater_view_fill(&o->view));
}

/* ---- agents ---- */

typedef struct Machine {
        Agent *agent;
        Other other;
        AgentFacts facts;
        int state_fd;
        unsigned stopped, properties, shown;
        char error[256], state[32];
} Machine;

static void on_property(Agent *a, const char *property, void *userdata) {
        Machine *m = userdata;
        AgentStatus s;

        m->properties++;
        if (!m->agent)
                return;
        agent_get_status(a, &s);
        snprintf(m->error, sizeof(m->error), "%s", s.last_error);
        snprintf(m->state, sizeof(m->state), "%s", s.gateway_state);
}

static void on_shown(Agent *a, void *userdata) {
        ((Machine *) userdata)->shown++;
}

static void on_stopped(Agent *a, void *userdata) {
        ((Machine *) userdata)->stopped++;
}

_noreturn_ static void on_stuck(Agent *a, int error, void *userdata) {
        abort();
}

static const AgentHandlers handlers = {
        .on_property = on_property,
        .on_shown = on_shown,
        .on_stopped = on_stopped,
        .on_stuck = on_stuck,
};

static void machine_start(Machine *m, RpcQueue *queue, const AgentConf *conf, const char *version) {
        AgentOptions options = {
                .event = event,
                .queue = queue,
                .conf = conf,
                .facts = &m->facts,
                .agent_id = "web-1",
                .running_version = version,
                .state_fd = m->state_fd,
                .updater = &m->other.updater,
                .http_idle = USEC_PER_SEC,
                .handlers = &handlers,
                .userdata = m,
        };
        assert_ok(agent_new(&m->agent, &options));
        assert_ok(agent_start(m->agent));
}

static void machine_init(Machine *m, const char *name) {
        _cleanup_free_ char *path = strjoinf("%s/%s", directory, name);
        *m = (Machine){ .facts = { .hostname = (char *) name, .architecture = (char *) "x86_64" } };
        other_init(&m->other);
        assert_ok(mkdir_parents(path, 0700));
        m->state_fd = dir_open_at(AT_FDCWD, path);
        assert_ok(m->state_fd);
}

static void machine_done(Machine *m) {
        m->agent = agent_free(m->agent);
        updater_view_done(&m->other.view);
        (void) close(m->state_fd);
}

static void run_for(usec_t t) {
        for (usec_t end = now(CLOCK_MONOTONIC) + t; now(CLOCK_MONOTONIC) < end;)
                assert_ok(sd_event_run(event, 10 * USEC_PER_MSEC));
}

static void test_two(RpcQueue *queue, const AgentConf *conf) {
        Machine a, b;
        AgentStatus s;

        machine_init(&a, "a");
        machine_init(&b, "b");
        machine_start(&a, queue, conf, "1.0.0");
        machine_start(&b, queue, conf, "2.0.0");
        assert_se(a.shown == 0); /* nothing before the loop runs */
        agent_get_status(a.agent, &s);
        assert_streq(s.version, "1.0.0");
        assert_streq(s.hostname, "a");
        agent_get_status(b.agent, &s);
        assert_streq(s.version, "2.0.0");
        assert_se(!agent_is_connected(b.agent) && !agent_is_enrolled(b.agent));
        assert_error(agent_beat(b.agent), ENOTCONN);
        assert_error(agent_drop_connection(b.agent), ENOTCONN);

        /* the updater's first word is what it waits for */
        run_for(100 * USEC_PER_MSEC);
        assert_streq(a.error, "");
        a.other.view.known = true;
        agent_updater_tell_view(&a.other.updater, 0, "");
        assert_se(strstr(a.error, "No gateway is configured"));
        assert_streq(a.state, "unconfigured");
        assert_streq(b.error, "");
        run_for(2200 * USEC_PER_MSEC); /* though not for ever */
        assert_se(strstr(b.error, "No gateway is configured"));

        /* one ends; the other does not notice */
        assert_ok(agent_stop(a.agent));
        assert_se(a.stopped == 0);
        run_for(50 * USEC_PER_MSEC);
        assert_se(a.stopped == 1 && b.stopped == 0);
        assert_ok(agent_stop(a.agent));
        run_for(50 * USEC_PER_MSEC);
        assert_se(a.stopped == 1);
        a.agent = agent_free(a.agent);
        unsigned before = a.properties;
        agent_updater_tell_view(&a.other.updater, 0, ""); /* nobody is there to hear it */
        assert_se(a.properties == before);
        assert_se(!a.other.updater.handlers && b.other.updater.handlers);
        machine_done(&a);
        machine_done(&b);
}

/* What an agent was at is the next one's, also when that runs another version. */
static void test_handed_on(RpcQueue *queue, const AgentConf *conf) {
        _cleanup_(update_record_freep) UpdateRecord *u = NULL;
        Machine m;

        machine_init(&m, "m");
        assert_ok(update_record_new(&u, "0123456789abcdef0123456789abcdef", "1.0.0", "1.1.0"));
        u->phase = UPDATE_PHASE_RESTARTING;
        assert_ok(free_and_strdup(&u->transaction, "00000000000000000000000000000001") < 0 ? -ENOMEM : 0);
        assert_ok(update_record_save_at(u, m.state_fd, "update"));
        machine_start(&m, queue, conf, "1.1.0");
        const UpdateRecord *current = agent_current_update(m.agent);
        assert_se(current && current->phase == UPDATE_PHASE_RESTARTING);
        assert_streq(current->to, "1.1.0");
        assert_se(current->sequence > u->sequence);

        /* the updater says how it ended */
        m.other.view.known = true;
        assert_ok(free_and_strdup(&m.other.view.state, "idle") < 0 ? -ENOMEM : 0);
        agent_updater_tell_view(&m.other.updater, 0, "");
        assert_se(m.other.asked > 0);
        UpdaterResult result = {
                .transaction = u->transaction,
                .instruction = u->instruction,
                .from = u->from,
                .to = u->to,
                .message = (char *) "",
                .phase = UPDATE_PHASE_SUCCEEDED,
                .failed_phase = _UPDATE_PHASE_INVALID,
                .time_usec = 1,
        };
        agent_updater_tell_result(&m.other.updater, 0, &result);
        assert_se(!agent_current_update(m.agent) && agent_unacknowledged(m.agent) == 1);
        m.agent = agent_free(m.agent);
        machine_start(&m, queue, conf, "1.1.0");
        assert_se(!agent_current_update(m.agent) && agent_unacknowledged(m.agent) == 1);
        machine_done(&m);
}

int main(void) {
        RpcQueue *queue = NULL;
        AgentConf conf;

        log_set_max_level(LOG_CRIT);
        assert_ok(crypto_init());
        assert_se(mkdtemp(directory));
        assert_ok(sd_event_new(&event));
        assert_ok(rpc_queue_new(&queue, event, 1, 64));
        assert_ok(agent_conf_parse(&conf, "test", "", 0));
        test_two(queue, &conf);
        test_handed_on(queue, &conf);
        rpc_queue_free(queue);
        agent_conf_done(&conf);
        sd_event_unref(event);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return EXIT_SUCCESS;
}
