/* SPDX-License-Identifier: Apache-2.0 */

/* What goes over the bus to the updater and comes back, over a private connection with an object at the
 * other end that answers as told. The real updater is in tests/systemd. */

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-handoff.h"
#include "bus-util.h"
#include "event-util.h"
#include "names.h"
#include "string-util.h"
#include "tests.h"

#define TRANSACTION "0123456789abcdef0123456789abcdef"

static sd_event *event;

typedef struct Other {
        sd_bus *bus;
        const char *state, *transaction;
        const char *error; /* Install is refused with it */
        bool no_result, odd_result;
        unsigned installs;
        unsigned files, targets;
        char instruction[64], version[32];
        bool retry;
} Other;

static int get_text(
                sd_bus *bus,
                const char *path,
                const char *interface,
                const char *property,
                sd_bus_message *reply,
                void *userdata,
                sd_bus_error *error) {
        Other *o = userdata;
        const char *v = streq(property, "State")       ? o->state :
                        streq(property, "Transaction") ? o->transaction :
                                                         "1.0.0";
        return sd_bus_message_append(reply, "s", v);
}

static int get_number(
                sd_bus *bus,
                const char *path,
                const char *interface,
                const char *property,
                sd_bus_message *reply,
                void *userdata,
                sd_bus_error *error) {
        return streq(property, "Packaging") ? sd_bus_message_append(reply, "u", 3) :
                                              sd_bus_message_append(reply, "t", UINT64_C(7));
}

static int method_install(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Other *o = userdata;
        const char *version, *name, *path, *key, *text;
        const void *data;
        size_t size;
        int fd, retry;

        o->installs++;
        assert_ok(sd_bus_message_read(m, "s", &version));
        snprintf(o->version, sizeof(o->version), "%s", version);
        assert_ok(sd_bus_message_enter_container(m, 'a', "(say)"));
        while (sd_bus_message_enter_container(m, 'r', "say") > 0) {
                assert_ok(sd_bus_message_read(m, "s", &name));
                assert_ok(sd_bus_message_read_array(m, 'y', &data, &size));
                assert_streq(name, o->files == 0 ? "2.root.json" : "timestamp.json");
                assert_se(size == 3 && memcmp(data, o->files == 0 ? "abc" : "def", 3) == 0);
                o->files++;
                assert_ok(sd_bus_message_exit_container(m));
        }
        assert_ok(sd_bus_message_exit_container(m));
        assert_ok(sd_bus_message_enter_container(m, 'a', "(sh)"));
        while (sd_bus_message_read(m, "(sh)", &path, &fd) > 0) {
                struct stat st;
                assert_ok(fstat(fd, &st));
                assert_se(st.st_size == 5);
                assert_se((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
                o->targets++;
        }
        assert_ok(sd_bus_message_exit_container(m));
        assert_ok(sd_bus_message_read(m, "a{sv}", 2, &key, "s", &text, &key, "b", &retry));
        snprintf(o->instruction, sizeof(o->instruction), "%s", text);
        o->retry = retry;
        if (o->error)
                return sd_bus_error_set(error, o->error, "told to refuse");
        return sd_bus_reply_method_return(m, "o", "/org/fleetagent/Updater1/transaction/" TRANSACTION);
}

static int method_rollback(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Other *o = userdata;
        const char *version, *key, *text;

        assert_ok(sd_bus_message_read(m, "sa{sv}", &version, 1, &key, "s", &text));
        assert_streq(key, "instruction");
        snprintf(o->version, sizeof(o->version), "%s", version);
        snprintf(o->instruction, sizeof(o->instruction), "%s", text);
        if (o->error)
                return sd_bus_error_set(error, o->error, "told to refuse");
        return sd_bus_reply_method_return(m, "o", "/org/fleetagent/Updater1/transaction/" TRANSACTION);
}

static int method_result(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Other *o = userdata;
        if (o->no_result)
                return sd_bus_reply_method_return(m, "a{ss}", 0);
        return sd_bus_reply_method_return(
                        m, "a{ss}", 9, "transaction", TRANSACTION, "instruction",
                        o->odd_result ? "not an id" : TRANSACTION, "from", "1.0.0", "to", "1.1.0", "phase",
                        "rolled-back", "verdict", o->odd_result ? "strange-new-verdict" : "watchdog",
                        "message", "It hung.", "time_usec", "1234567", "failed_phase", "confirming");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS(
                        "Install",
                        SD_BUS_ARGS("s", version, "a(say)", metadata, "a(sh)", targets, "a{sv}", options),
                        SD_BUS_RESULT("o", transaction),
                        method_install,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "Rollback",
                        SD_BUS_ARGS("s", version, "a{sv}", options),
                        SD_BUS_RESULT("o", transaction),
                        method_rollback,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "GetLastResult",
                        SD_BUS_NO_ARGS,
                        SD_BUS_RESULT("a{ss}", result),
                        method_result,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Transaction", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("CurrentVersion", "s", get_text, 0, 0),
        SD_BUS_PROPERTY("RootVersion", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("Packaging", "u", get_number, 0, 0),
        SD_BUS_VTABLE_END,
};

typedef struct Seen {
        unsigned views, results, installs;
        int error, result_error, install_error;
        bool has_result;
        UpdatePhase phase, failed_phase;
        UpdateVerdict verdict, install_verdict;
        char text[128], instruction[64];
} Seen;

static void on_view(int error, const char *message, void *userdata) {
        Seen *s = userdata;
        s->views++;
        s->error = error;
}

static void on_result(int error, const UpdaterResult *x, void *userdata) {
        Seen *s = userdata;
        s->results++;
        s->result_error = error;
        s->has_result = x;
        if (x) {
                s->phase = x->phase;
                s->failed_phase = x->failed_phase;
                s->verdict = x->verdict;
                snprintf(s->instruction, sizeof(s->instruction), "%s", x->instruction);
                assert_streq(x->transaction, TRANSACTION);
                assert_streq(x->message, "It hung.");
                assert_se(x->time_usec == 1234567);
        }
}

static void on_install(int error, UpdateVerdict verdict, const char *text, void *userdata) {
        Seen *s = userdata;
        s->installs++;
        s->install_error = error;
        s->install_verdict = verdict;
        snprintf(s->text, sizeof(s->text), "%s", text);
}

static const AgentUpdaterHandlers handlers = { .on_view = on_view,
                                               .on_result = on_result,
                                               .on_install = on_install };

static void run_until(const unsigned *counter, unsigned n) {
        usec_t end = now(CLOCK_MONOTONIC) + 10 * USEC_PER_SEC;
        while (*counter < n) {
                assert_ok(sd_event_run(event, 100 * USEC_PER_MSEC));
                assert_se(now(CLOCK_MONOTONIC) < end);
        }
}

static sd_bus *private_bus(int fd, bool server) {
        sd_bus *bus = NULL;
        sd_id128_t id;
        assert_ok(sd_bus_new(&bus));
        assert_ok(sd_bus_set_fd(bus, fd, fd));
        assert_ok(sd_bus_negotiate_fds(bus, true));
        if (server) {
                assert_ok(sd_id128_randomize(&id));
                assert_ok(sd_bus_set_server(bus, true, id));
        }
        assert_ok(sd_bus_set_anonymous(bus, true));
        assert_ok(sd_bus_start(bus));
        assert_ok(sd_bus_attach_event(bus, event, 0));
        return bus;
}

int main(void) {
        _cleanup_(tuf_bytes_freep) TufBytes *metadata = NULL;
        Other o = { .state = "idle", .transaction = "" };
        AgentHandoff *h = NULL;
        AgentUpdater *u;
        Seen s = { 0 };
        int fds[2];

        assert_ok(sd_event_new(&event));
        assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
        o.bus = private_bus(fds[0], true);
        sd_bus *bus = private_bus(fds[1], false);
        assert_ok(sd_bus_add_object_vtable(
                        o.bus, NULL, FLEET_UPDATER_BUS_PATH, FLEET_UPDATER_BUS_INTERFACE, vtable, &o));

        assert_ok(agent_handoff_new(&h));
        u = agent_handoff_updater(h);
        agent_updater_attach(u, &handlers, &s);
        assert_error(agent_updater_ask_view(u), ENOTCONN);
        assert_se(!agent_updater_view(u)->known);
        assert_streq(agent_updater_view(u)->pinned_version, "");
        assert_ok(agent_handoff_set_bus(h, bus));

        /* properties, asked for and told */
        assert_ok(agent_updater_ask_view(u));
        assert_error(agent_updater_ask_view(u), EALREADY);
        assert_se(s.views == 0);
        run_until(&s.views, 1);
        const UpdaterView *view = agent_updater_view(u);
        assert_se(s.error == 0 && view->known && view->root_version == 7 && view->packaging == 3);
        assert_streq(view->state, "idle");
        assert_streq(view->current_version, "1.0.0");
        assert_streq(view->floor, ""); /* not said */
        o.state = "staging";
        o.transaction = "/org/fleetagent/Updater1/transaction/" TRANSACTION;
        /* without a bus in between the signal has to say from whom it is */
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        assert_ok(sd_bus_message_new_signal(
                        o.bus, &signal, FLEET_UPDATER_BUS_PATH, "org.freedesktop.DBus.Properties",
                        "PropertiesChanged"));
        assert_ok(sd_bus_message_append(
                        signal, "sa{sv}as", FLEET_UPDATER_BUS_INTERFACE, 2, "State", "s", o.state,
                        "Transaction", "s", o.transaction, 0));
        assert_ok(sd_bus_message_set_sender(signal, FLEET_UPDATER_BUS_NAME));
        assert_ok(sd_bus_send(o.bus, signal, NULL));
        run_until(&s.views, 2);
        assert_streq(view->state, "staging");
        assert_streq(view->transaction, TRANSACTION);
        assert_streq(view->current_version, "1.0.0");

        /* the last result */
        assert_ok(agent_updater_ask_result(u));
        run_until(&s.results, 1);
        assert_se(s.has_result && s.phase == UPDATE_PHASE_ROLLED_BACK &&
                  s.failed_phase == UPDATE_PHASE_CONFIRMING);
        assert_se(s.verdict == UPDATE_VERDICT_WATCHDOG);
        assert_streq(s.instruction, TRANSACTION);
        o.odd_result = true; /* of a newer updater */
        assert_ok(agent_updater_ask_result(u));
        run_until(&s.results, 2);
        assert_se(s.has_result && s.verdict == UPDATE_VERDICT_INTERNAL);
        assert_streq(s.instruction, "");
        o.no_result = true;
        assert_ok(agent_updater_ask_result(u));
        run_until(&s.results, 3);
        assert_se(!s.has_result && s.result_error == 0);

        /* Install: accepted, then refused */
        char path[] = "/tmp/test-agent-handoff-XXXXXX";
        int fd = mkstemp(path);
        assert_ok(fd);
        assert_se(write(fd, "12345", 5) == 5);
        int read_fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_ok(read_fd);
        const UpdaterTarget targets[] = { { "agent/1.1.0/linux-x86_64/agent", read_fd },
                                               { "agent/1.1.0/linux-x86_64/updater", read_fd } };
        assert_ok(tuf_bytes_new(&metadata));
        assert_ok(tuf_bytes_add(metadata, "2.root.json", "abc", 3));
        assert_ok(tuf_bytes_add(metadata, "timestamp.json", "def", 3));
        UpdaterInstall request = { "1.1.0", metadata, targets, 2, TRANSACTION, true };
        assert_ok(agent_updater_install(u, &request));
        assert_error(agent_updater_install(u, &request), EALREADY);
        (void) close(read_fd); /* the message has its own */
        run_until(&s.installs, 1);
        assert_se(s.install_error == 0 && o.files == 2 && o.targets == 2 && o.retry);
        assert_streq(s.text, TRANSACTION);
        assert_streq(o.instruction, TRANSACTION);
        assert_streq(o.version, "1.1.0");

        o.files = o.targets = 0;
        o.error = "org.fleetagent.Error.BelowFloor";
        read_fd = open(path, O_RDONLY | O_CLOEXEC);
        const UpdaterTarget one[] = { { "agent/1.1.0/linux-x86_64/agent", read_fd } };
        request = (UpdaterInstall){ "1.1.0", metadata, one, 1, "", false };
        assert_ok(agent_updater_install(u, &request));
        run_until(&s.installs, 2);
        assert_se(s.install_error < 0 && s.install_verdict == UPDATE_VERDICT_BELOW_FLOOR && o.targets == 1);
        assert_streq(s.text, "told to refuse");

        /* Rollback: answered like Install */
        assert_ok(agent_updater_roll_back(u, "1.0.0", TRANSACTION));
        assert_error(agent_updater_install(u, &request), EALREADY);
        run_until(&s.installs, 3);
        assert_se(s.install_error < 0 && s.install_verdict == UPDATE_VERDICT_BELOW_FLOOR);
        o.error = NULL;
        assert_ok(agent_updater_roll_back(u, "1.0.0", TRANSACTION));
        run_until(&s.installs, 4);
        assert_se(s.install_error == 0);
        assert_streq(s.text, TRANSACTION);
        assert_streq(o.instruction, TRANSACTION);
        assert_streq(o.version, "1.0.0");

        /* the bus goes in the middle of a question: it is answered all the same */
        assert_ok(agent_updater_ask_view(u));
        unsigned views = s.views;
        assert_ok(agent_handoff_set_bus(h, NULL));
        assert_se(s.views == views + 1 && s.error == -ENOTCONN);
        assert_streq(agent_updater_view(u)->state, "staging"); /* what was known stays */

        /* whoever does not listen any more is not told */
        assert_ok(agent_handoff_set_bus(h, bus));
        assert_ok(agent_updater_ask_view(u));
        agent_updater_attach(u, NULL, NULL);
        assert_ok(agent_handoff_set_bus(h, NULL));
        assert_se(s.views == views + 1);
        assert_error(agent_updater_ask_view(NULL), EOPNOTSUPP); /* there is none */
        assert_se(!agent_updater_view(NULL)->known && !agent_updater_is_on_trial(NULL));
        assert_streq(agent_updater_view(NULL)->pinned_version, "");

        agent_handoff_free(h);
        (void) close(read_fd);
        (void) close(fd);
        (void) unlink(path);
        sd_bus_flush_close_unref(bus);
        sd_bus_flush_close_unref(o.bus);
        sd_event_unref(event);
        return EXIT_SUCCESS;
}
