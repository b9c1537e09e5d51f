/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-bus.h"

#include <unistd.h>

#include "alloc-util.h"
#include "bus-polkit.h"
#include "bus-util.h"
#include "event-util.h"
#include "list.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "tuf-release.h"
#include "version.h"

#define RECONNECT_MIN USEC_PER_SEC
#define RECONNECT_MAX (30 * USEC_PER_SEC)
#define CALLS_MAX 8U /* privileged calls that wait for polkit or for metadata */
#define ACTION_CHECK "org.fleetagent.agent1.check-for-update"
#define ACTION_RECONNECT "org.fleetagent.agent1.reconnect"

/* A method call that is answered later. */
typedef struct Call Call;
struct Call {
        AgentBus *owner;
        sd_bus_message *message;
        PolkitCheck *check;
        bool is_reconnect;
        LIST_FIELDS(Call, calls);
};

struct AgentBus {
        AgentBusOptions o;
        sd_bus *bus;
        BusChanges *changes;
        sd_event_source *connect_source;
        unsigned attempt;
        LIST_HEAD(Call, calls);
        unsigned n_calls;
};

/* ---- privileged calls ---- */

static Call *call_free(Call *c) {
        if (!c)
                return NULL;
        LIST_REMOVE(calls, c->owner->calls, c);
        c->owner->n_calls--;
        agent_metadata_forget(c->owner->o.metadata, c);
        polkit_check_free(c->check);
        sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}

static int newest_release(const TufMetadata *targets, const char *architecture, char **ret) {
        TufRelease **releases = NULL;
        size_t n = 0;
        int r = tuf_release_list(targets, &releases, &n, NULL);
        if (r != 0)
                return r < 0 ? r : -EBADMSG;
        const char *newest = "";
        for (size_t i = 0; i < n; i++)
                if (streq(releases[i]->arch, architecture) &&
                    (!*newest || version_compare(releases[i]->version, newest) > 0))
                        newest = releases[i]->version;
        *ret = strdup(newest);
        tuf_release_list_free(releases, n);
        return *ret ? 0 : -ENOMEM;
}

static void on_checked(
                int error,
                TufOutcome outcome,
                const char *message,
                const TufMetadata *targets,
                void *userdata) {
        _cleanup_free_ char *newest = NULL;
        Call *c = userdata;
        int r;

        if (error == 0 && outcome == TUF_OK) {
                r = newest_release(targets, c->owner->o.architecture, &newest);
                bool available = r >= 0 && *newest &&
                                 version_compare(newest, c->owner->o.running_version) > 0;
                r = r < 0 ? sd_bus_reply_method_errno(c->message, r, NULL) :
                            sd_bus_reply_method_return(
                                            c->message, "a{sv}", 3, "Version", "s", newest, "Available", "b",
                                            (int) available, "Message", "s", "");
        } else
                r = sd_bus_reply_method_return(
                                c->message, "a{sv}", 3, "Version", "s", "", "Available", "b", 0, "Message",
                                "s", message);
        if (r < 0)
                log_debug_errno(r, "Cannot answer a call, ignoring: %m");
        call_free(c);
}

static void call_run(Call *c) {
        AgentBus *b = c->owner;

        c->check = polkit_check_free(c->check);
        if (c->is_reconnect) {
                b->o.handlers->reconnect(b->o.userdata);
                (void) sd_bus_reply_method_return(c->message, NULL);
                call_free(c);
                return;
        }
        int r = agent_metadata_refresh(b->o.metadata, NULL, true, on_checked, c);
        if (r < 0) {
                (void) sd_bus_reply_method_errnof(
                                c->message, r, "%s",
                                r == -EDESTADDRREQ ? "No gateway is configured." :
                                r == -EBUSY        ? "Metadata is being fetched for an update right now." :
                                                     "The metadata cannot be refreshed.");
                call_free(c);
        }
}

static void on_polkit(PolkitCheck *check, sd_bus_message *call, int result, void *userdata) {
        Call *c = userdata;
        if (result > 0) {
                call_run(c);
                return;
        }
        (void) sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "Not allowed to do this.");
        call_free(c);
}

static int call_begin(AgentBus *b, sd_bus_message *m, bool is_reconnect, sd_bus_error *error) {
        if (b->n_calls >= CALLS_MAX)
                return sd_bus_error_set(
                                error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "Too many calls are waiting, try again later.");
        Call *c = new0(Call, 1);
        if (!c)
                return -ENOMEM;
        c->owner = b;
        c->message = sd_bus_message_ref(m);
        c->is_reconnect = is_reconnect;
        LIST_PREPEND(calls, b->calls, c);
        b->n_calls++;
        int r = polkit_check_start(
                        m, is_reconnect ? ACTION_RECONNECT : ACTION_CHECK, on_polkit, c, &c->check);
        if (r < 0) {
                call_free(c);
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Not allowed to do this.");
        }
        if (r > 0)
                call_run(c);
        return 1;
}

static int method_check_for_update(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return call_begin(userdata, m, false, error);
}

static int method_reconnect(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return call_begin(userdata, m, true, error);
}

/* ---- what is shown ---- */

static int append_property(sd_bus_message *m, const char *name, const AgentStatus *s) {
        const struct {
                const char *name, *value;
        } texts[] = {
                { "Version", s->version },
                { "AgentId", s->agent_id },
                { "GatewayState", s->gateway_state },
                { "GatewayAddress", s->gateway_address },
                { "UpdateState", s->update_state },
                { "TargetVersion", s->target_version },
                { "LastError", s->last_error },
                { "ConfigRevision", s->config_revision },
        };
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (streq(name, texts[i].name))
                        return sd_bus_message_append(m, "s", texts[i].value);
        if (streq(name, "Sessions"))
                return sd_bus_message_append(m, "t", s->sessions);
        if (streq(name, "DrainSeen"))
                return sd_bus_message_append(m, "b", (int) s->drain_seen);
        if (streq(name, "UpdateProgress"))
                return sd_bus_message_append(m, "(tt)", s->bytes_done, s->bytes_total);
        if (streq(name, "MetadataAge"))
                return sd_bus_message_append(m, "t", s->metadata_age);
        return -ENOENT;
}

static int property_get(
                sd_bus *bus,
                const char *path,
                const char *interface,
                const char *property,
                sd_bus_message *reply,
                void *userdata,
                sd_bus_error *error) {
        AgentBus *b = userdata;
        AgentStatus s = { 0 };
        b->o.handlers->get_status(&s, b->o.userdata);
        return append_property(reply, property, &s);
}

static int status_append(sd_bus_message *m, const char *name, const char *type, const AgentStatus *s) {
        int r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', type);
        if (r >= 0)
                r = append_property(m, name, s);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int method_get_status(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const struct {
                const char *name, *type;
        } items[] = {
                { "Version", "s" },        { "AgentId", "s" },           { "GatewayState", "s" },
                { "GatewayAddress", "s" }, { "Sessions", "t" },          { "DrainSeen", "b" },
                { "UpdateState", "s" },    { "UpdateProgress", "(tt)" }, { "TargetVersion", "s" },
                { "LastError", "s" },      { "ConfigRevision", "s" },    { "MetadataAge", "t" },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        AgentBus *b = userdata;
        AgentStatus s = { 0 };

        b->o.handlers->get_status(&s, b->o.userdata);
        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (size_t i = 0; i < ELEMENTSOF(items) && r >= 0; i++)
                r = status_append(reply, items[i].name, items[i].type, &s);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "MetadataExpires", "t", s.metadata_expires);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "Hostname", "s", s.hostname);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "Pid", "u", (uint32_t) getpid());
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "TelemetryDatagrams", "t", s.telemetry_datagrams);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable agent_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS(
                        "CheckForUpdate",
                        SD_BUS_NO_ARGS,
                        SD_BUS_RESULT("a{sv}", result),
                        method_check_for_update,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "Reconnect",
                        SD_BUS_NO_ARGS,
                        SD_BUS_NO_RESULT,
                        method_reconnect,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "GetStatus",
                        SD_BUS_NO_ARGS,
                        SD_BUS_RESULT("a{sv}", status),
                        method_get_status,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS(
                        "UpdateFinished",
                        SD_BUS_ARGS("s", transaction, "s", version, "s", phase, "s", verdict),
                        0),
        SD_BUS_PROPERTY("Version", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("AgentId", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("GatewayState", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("GatewayAddress", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Sessions", "t", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DrainSeen", "b", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("UpdateState", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("UpdateProgress", "(tt)", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("TargetVersion", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastError", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ConfigRevision", "s", property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MetadataAge", "t", property_get, 0, 0),
        SD_BUS_VTABLE_END,
};

void agent_bus_changed(AgentBus *b, const char *property) {
        if (b && b->changes)
                (void) bus_changes_add(b->changes, property);
}

void agent_bus_update_finished(
                AgentBus *b,
                const char *transaction,
                const char *version,
                const char *phase,
                const char *verdict) {
        if (!b || !b->bus)
                return;
        int r = sd_bus_emit_signal(
                        b->bus, FLEET_AGENT_BUS_PATH, FLEET_AGENT_BUS_INTERFACE, "UpdateFinished", "ssss",
                        transaction, version, phase, verdict);
        if (r < 0)
                log_debug_errno(r, "Cannot announce the end of the update, ignoring: %m");
}

/* ---- connection ---- */

static int on_connect_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void bus_retry(AgentBus *b) {
        usec_t pause = RECONNECT_MIN +
                       backoff_full_jitter(RECONNECT_MIN, RECONNECT_MAX, b->attempt, random_u64());
        if (b->attempt < 16)
                b->attempt++;
        if (event_timer_arm(b->o.event, &b->connect_source, pause, on_connect_timer, b,
                            "system-bus-connect") < 0)
                log_oom();
}

static void bus_drop(AgentBus *b) {
        if (!b->bus)
                return;
        b->o.handlers->on_bus(NULL, b->o.userdata);
        LIST_FOREACH_SAFE(calls, c, b->calls)
        call_free(c);
        b->changes = bus_changes_free(b->changes);
        sd_bus_detach_event(b->bus);
        b->bus = sd_bus_close_unref(b->bus);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        AgentBus *b = userdata;
        log_warning("The system bus went away; going on without it and looking for it.");
        bus_drop(b);
        bus_retry(b);
        return 0;
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        AgentBus *b = userdata;

        b->attempt = 0;
        if (e) /* updates cannot be confirmed like this, so say what to look at */
                log_warning("Cannot take the name " FLEET_AGENT_BUS_NAME
                            " on the system bus: %s. Is its bus policy installed?",
                            bus_error_text(e, -EIO));
        return 0;
}

static int bus_setup(AgentBus *b, sd_bus *bus) {
        int r = sd_bus_set_exit_on_disconnect(bus, false);
        if (r >= 0)
                r = sd_bus_attach_event(bus, b->o.event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(
                                bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, b);
        if (r >= 0)
                r = sd_bus_add_object_vtable(
                                bus, NULL, FLEET_AGENT_BUS_PATH, FLEET_AGENT_BUS_INTERFACE, agent_vtable, b);
        if (r >= 0)
                r = sd_bus_request_name_async(
                                bus, NULL, FLEET_AGENT_BUS_NAME, SD_BUS_NAME_QUEUE, on_name, b);
        if (r >= 0)
                r = bus_changes_new(&b->changes, bus, FLEET_AGENT_BUS_PATH, FLEET_AGENT_BUS_INTERFACE);
        return r;
}

static int on_connect_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        AgentBus *b = userdata;

        int r = sd_bus_open_system_with_description(&bus, "agent");
        if (r >= 0)
                r = bus_setup(b, bus);
        if (r < 0) {
                log_full_errno(b->attempt == 0 ? LOG_WARNING : LOG_DEBUG, r,
                               "Cannot connect to the system bus, going on without it: %m");
                if (bus)
                        sd_bus_detach_event(bus);
                bus_retry(b);
                return 0;
        }
        b->bus = TAKE_PTR(bus);
        b->o.handlers->on_bus(b->bus, b->o.userdata);
        return 0;
}

int agent_bus_new(AgentBus **ret, const AgentBusOptions *options) {
        _cleanup_(agent_bus_freep) AgentBus *b = new0(AgentBus, 1);
        if (!b)
                return -ENOMEM;
        b->o = *options;
        int r = event_timer_arm(
                        b->o.event, &b->connect_source, 0, on_connect_timer, b, "system-bus-connect");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

void agent_bus_flush(AgentBus *b) {
        if (!b || !b->bus)
                return;
        if (b->changes)
                bus_changes_flush(b->changes);
}

AgentBus *agent_bus_free(AgentBus *b) {
        if (!b)
                return NULL;
        agent_bus_flush(b);
        bus_drop(b);
        sd_event_source_disable_unref(b->connect_source);
        free(b);
        return NULL;
}
