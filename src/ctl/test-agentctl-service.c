/* SPDX-License-Identifier: Apache-2.0 */

/* For test-agentctl.py: both bus objects with fixed contents, on whatever bus DBUS_SYSTEM_BUS_ADDRESS names.
 * What a call does depends on the version that it gives. The real agent and updater are tested in
 * tests/systemd. */

#include <stdio.h>

#include "bus-util.h"
#include "event-util.h"
#include "names.h"
#include "string-util.h"
#include "tests.h"
#include "time-util.h"

#define EXPIRES (4102444800 * USEC_PER_SEC) /* 2100-01-01 */

static sd_bus *bus;
static sd_event *event;
static sd_event_source *step_timer;
static const char *gateway_state = "connected", *state = "idle", *pending = "", *pinned = "", *ends_as = "";
static const char *transaction = "00000000000000000000000000000001",
                  *last = "00000000000000000000000000000000";
static unsigned step;

static int
get_text(sd_bus *b,
         const char *path,
         const char *interface,
         const char *property,
         sd_bus_message *reply,
         void *userdata,
         sd_bus_error *e) {

        return sd_bus_message_append(reply, "s", *(const char **) userdata);
}

static int
get_number(sd_bus *b,
           const char *path,
           const char *interface,
           const char *property,
           sd_bus_message *reply,
           void *userdata,
           sd_bus_error *e) {

        if (streq(property, "UpdateProgress"))
                return sd_bus_message_append(reply, "(tt)", UINT64_C(3), UINT64_C(4));
        if (streq(property, "MetadataAge"))
                return sd_bus_message_append(reply, "t", 90 * USEC_PER_SEC);
        if (streq(property, "Deadline"))
                return sd_bus_message_append(
                                reply, "t",
                                *pending ? now(CLOCK_BOOTTIME) + 100 * USEC_PER_SEC : (usec_t) 0);
        return sd_bus_message_append(reply, "t", UINT64_C(5));
}

static const char *version = "1.0.0", *id = "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e01", *address = "gw.example:7443",
                  *idle = "idle";
static const char *empty = "", *evil = "bad \x1b[31mnews", *previous = "0.9.0", *floor_version = "0.8.0";

static int changed(bool agent, const char *property) {
        return sd_bus_emit_properties_changed(
                        bus, agent ? FLEET_AGENT_BUS_PATH : FLEET_UPDATER_BUS_PATH,
                        agent ? FLEET_AGENT_BUS_INTERFACE : FLEET_UPDATER_BUS_INTERFACE, property, NULL);
}

static int method_status(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        return sd_bus_reply_method_return(
                        m, "a{sv}", 4, "MetadataExpires", "t", EXPIRES, "Hostname", "s", "web1", "Pid", "u",
                        UINT32_C(17), "SomethingNew", "as", 1, "unknown");
}

static int method_check(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        return sd_bus_reply_method_return(
                        m, "a{sv}", 3, "Version", "s", "1.1.0", "Available", "b", 1, "Message", "s",
                        "Pinned at 1.0.0.");
}

static int method_reconnect(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        gateway_state = streq(gateway_state, "connected") ? "connecting" : "connected";
        assert_ok(changed(true, "GatewayState"));
        assert_ok(sd_bus_emit_signal(
                        bus, FLEET_AGENT_BUS_PATH, FLEET_AGENT_BUS_INTERFACE, "UpdateFinished", "ssss",
                        transaction, "1.1.0", "rolled-back", "crashed"));
        return sd_bus_reply_method_return(m, NULL);
}

static int on_step(sd_event_source *s, uint64_t usec, void *userdata) {
        static const char *const states[] = { "restarting", "confirming", "idle" };

        state = states[step++];
        if (streq(state, "idle")) {
                pending = "";
                last = transaction;
        }
        assert_ok(changed(false, "State"));
        return step < ELEMENTSOF(states) ? event_timer_arm(event, &step_timer, 200 * USEC_PER_MSEC, on_step,
                                                           NULL, "step") :
                                           0;
}

static int method_rollback(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        const char *v;

        assert_ok(sd_bus_message_read(m, "s", &v));
        assert_se(sd_bus_message_get_allow_interactive_authorization(m) == 1);
        if (streq(v, "0.0.1"))
                return sd_bus_error_set(
                                e, "org.fleetagent.Error.BelowFloor",
                                "Version 0.0.1 is below the floor 0.8.0.");
        if (streq(v, "0.0.2"))
                return sd_bus_error_set(e, "org.fleetagent.Error.NotFound", "Version 0.0.2 is not here.");
        if (streq(v, "0.0.3"))
                return sd_bus_error_set(e, SD_BUS_ERROR_ACCESS_DENIED, "No.");
        step = 0;
        pending = isempty(v) ? "0.9.0" : "0.9.1";
        ends_as = isempty(v) ? "succeeded" : "rolled-back";
        if (!streq(v, "0.9.2")) /* which never ends */
                assert_ok(event_timer_arm(event, &step_timer, 200 * USEC_PER_MSEC, on_step, NULL, "step"));
        return sd_bus_reply_method_return(
                        m, "o", "/org/fleetagent/Updater1/transaction/00000000000000000000000000000001");
}

static int method_pin(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        const char *v;

        assert_ok(sd_bus_message_read(m, "s", &v));
        if (streq(v, "6.6.6"))
                return sd_bus_error_set(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, "Ask.");
        pinned = "1.0.0";
        assert_ok(changed(false, "PinnedVersion"));
        return sd_bus_reply_method_return(m, NULL);
}

static int method_unpin(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        pinned = "";
        assert_ok(changed(false, "PinnedVersion"));
        return sd_bus_reply_method_return(m, NULL);
}

static int method_versions(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        return sd_bus_reply_method_return(
                        m, "a(sss)", 2, "1.0.0", "current,good,packaged", "aa11", "0.9.0", "previous", "");
}

static int method_last(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        if (isempty(ends_as))
                return sd_bus_reply_method_return(
                                m, "a{ss}", 6, "transaction", last, "from", "1.0.0", "to", "1.1.0", "phase",
                                "rolled-back", "verdict", "watchdog", "time_usec", "1795523696000000");
        return sd_bus_reply_method_return(
                        m, "a{ss}", 5, "transaction", last, "from", "1.0.0", "to", "0.9.0", "phase", ends_as,
                        "verdict", streq(ends_as, "succeeded") ? "operator" : "crashed");
}

static const sd_bus_vtable agent_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckForUpdate", NULL, "a{sv}", method_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Reconnect", NULL, NULL, method_reconnect, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetStatus", NULL, "a{sv}", method_status, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("UpdateFinished", "ssss", 0),
        SD_BUS_PROPERTY("UpdateProgress", "(tt)", get_number, 0, 0),
        SD_BUS_PROPERTY("MetadataAge", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("Sessions", "t", get_number, 0, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable updater_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Rollback", "sa{sv}", "o", method_rollback, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Pin", "s", NULL, method_pin, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Unpin", NULL, NULL, method_unpin, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ListVersions", NULL, "a(sss)", method_versions, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetLastResult", NULL, "a{ss}", method_last, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Deadline", "t", get_number, 0, 0),
        SD_BUS_PROPERTY("RootVersion", "t", get_number, 0, 0),
        SD_BUS_VTABLE_END,
};

static const struct {
        bool agent;
        const char *name;
        const char **value;
} texts[] = {
        { true, "Version", &version },
        { true, "AgentId", &id },
        { true, "GatewayState", &gateway_state },
        { true, "GatewayAddress", &address },
        { true, "UpdateState", &idle },
        { true, "TargetVersion", &empty },
        { true, "LastError", &evil },
        { true, "ConfigRevision", &empty },
        { false, "Version", &version },
        { false, "State", &state },
        { false, "CurrentVersion", &version },
        { false, "PreviousVersion", &previous },
        { false, "PendingVersion", &pending },
        { false, "Floor", &floor_version },
        { false, "PinnedVersion", &pinned },
};

/* One vtable for each text: sd-bus wants an offset for each property otherwise. */
static void add_texts(bool agent) {
        static sd_bus_vtable tables[ELEMENTSOF(texts)][3];

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                if (texts[i].agent != agent)
                        continue;
                tables[i][0] = (sd_bus_vtable) SD_BUS_VTABLE_START(0);
                tables[i][1] = (sd_bus_vtable) SD_BUS_PROPERTY(
                                texts[i].name, "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE);
                tables[i][2] = (sd_bus_vtable) SD_BUS_VTABLE_END;
                assert_ok(sd_bus_add_object_vtable(
                                bus, NULL, agent ? FLEET_AGENT_BUS_PATH : FLEET_UPDATER_BUS_PATH,
                                agent ? FLEET_AGENT_BUS_INTERFACE : FLEET_UPDATER_BUS_INTERFACE, tables[i],
                                (void *) texts[i].value));
        }
}

int main(int argc, char *argv[]) {
        bool agent = argc < 2 || !streq(argv[1], "updater-only");

        assert_ok(sd_event_default(&event));
        assert_ok(sd_bus_open_system(&bus));
        assert_ok(sd_bus_attach_event(bus, event, 0));
        if (agent) {
                assert_ok(sd_bus_add_object_vtable(
                                bus, NULL, FLEET_AGENT_BUS_PATH, FLEET_AGENT_BUS_INTERFACE, agent_vtable,
                                NULL));
                add_texts(true);
                assert_ok(sd_bus_request_name(bus, FLEET_AGENT_BUS_NAME, 0));
        }
        assert_ok(sd_bus_add_object_vtable(
                        bus, NULL, FLEET_UPDATER_BUS_PATH, FLEET_UPDATER_BUS_INTERFACE, updater_vtable,
                        NULL));
        add_texts(false);
        assert_ok(sd_bus_request_name(bus, FLEET_UPDATER_BUS_NAME, 0));
        puts("ready");
        fflush(stdout);
        return sd_event_loop(event) < 0;
}
