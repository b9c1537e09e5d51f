/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-watch.h"

#include <signal.h>
#include <sys/wait.h>

#include "alloc-util.h"
#include "bus-util.h"
#include "event-util.h"
#include "log.h"
#include "names.h"
#include "string-util.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"
#define AGENT_UNIT_PATH "/org/freedesktop/systemd1/unit/fleet_2dagent_2eservice"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define CALL_TIMEOUT (3 * USEC_PER_SEC)
#define EXIT_EXEC 203

enum {
        MATCH_UNIT,
        MATCH_OWNER,
        MATCH_AGENT,
        _MATCH_MAX,
};

typedef struct UnitProperties {
        const char *active, *sub, *result;
        int32_t exec_code, exec_status;
        bool has_job;
} UnitProperties;

struct Watch {
        sd_bus *bus;
        char *target;
        watch_on_observation_t on_observation;
        void *userdata;
        sd_bus_slot *matches[_MATCH_MAX];
        sd_bus_slot *subscribe_slot, *unit_slot, *owner_slot, *pid_slot, *agent_slot;
        sd_event_source *look_source;
        unsigned n_pending;
        bool look_again;
        UnitProperties unit;
        Observation next;
};

static void ask(Watch *w);

static int on_look(sd_event_source *source, void *userdata) {
        ask(userdata);
        return 0;
}

void watch_look(Watch *w) {
        if (w->n_pending > 0) {
                w->look_again = true;
                return;
        }
        int r = event_defer_once(sd_bus_get_event(w->bus), &w->look_source, on_look, w, "watch-look");
        if (r < 0)
                log_debug_errno(r, "Failed to schedule an observation, ignoring: %m");
}

/* One call has ended; the last one hands the observation over. */
static void answered(Watch *w) {
        if (--w->n_pending > 0)
                return;
        Observation o = w->next;
        if (w->look_again) {
                w->look_again = false;
                watch_look(w);
        }
        w->on_observation(w, &o, w->userdata);
}

/* Walks an a{sv}. visit reads the variant and returns 1, or leaves it to be skipped and returns 0. */
typedef int (*visit_t)(Watch *w, const char *name, sd_bus_message *m, const char *contents);

static int visit_properties(Watch *w, sd_bus_message *m, visit_t visit) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name, *contents;

                r = sd_bus_message_read(m, "s", &name);
                if (r < 0)
                        return r;
                r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r < 0)
                        return r;
                r = visit(w, name, m, contents);
                if (r == 0)
                        r = sd_bus_message_skip(m, "v");
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r;
}

static TrialUnitState unit_state(const char *active, const char *sub) {
        if (streq(active, "active") || streq(active, "reloading"))
                return TRIAL_UNIT_ACTIVE;
        if (streq(active, "activating"))
                return streq(strempty(sub), "auto-restart") ? TRIAL_UNIT_DIED : TRIAL_UNIT_STARTING;
        if (streq(active, "deactivating"))
                return TRIAL_UNIT_STOPPING;
        if (streq(active, "failed"))
                return TRIAL_UNIT_FAILED;
        return streq(active, "inactive") ? TRIAL_UNIT_INACTIVE : TRIAL_UNIT_UNKNOWN;
}

static int visit_unit(Watch *w, const char *name, sd_bus_message *m, const char *contents) {
        UnitProperties *p = &w->unit;
        uint32_t job;
        int r;

        if (streq(name, "ActiveState"))
                r = sd_bus_message_read(m, "v", "s", &p->active);
        else if (streq(name, "SubState"))
                r = sd_bus_message_read(m, "v", "s", &p->sub);
        else if (streq(name, "Result"))
                r = sd_bus_message_read(m, "v", "s", &p->result);
        else if (streq(name, "MainPID"))
                r = sd_bus_message_read(m, "v", "u", &w->next.main_pid);
        else if (streq(name, "NRestarts"))
                r = sd_bus_message_read(m, "v", "u", &w->next.n_restarts);
        else if (streq(name, "ExecMainCode"))
                r = sd_bus_message_read(m, "v", "i", &p->exec_code);
        else if (streq(name, "ExecMainStatus"))
                r = sd_bus_message_read(m, "v", "i", &p->exec_status);
        else if (streq(name, "Job") && streq(contents, "(uo)")) {
                r = sd_bus_message_read(m, "v", "(uo)", &job, NULL);
                p->has_job = r >= 0 && job > 0;
        } else
                return 0;
        return r < 0 ? r : 1;
}

static int read_unit(Watch *w, sd_bus_message *m) {
        UnitProperties *p = &w->unit;

        *p = (UnitProperties) {};
        int r = visit_properties(w, m, visit_unit);
        if (r < 0)
                return r;

        TrialUnitState state = p->active ? unit_state(p->active, p->sub) : TRIAL_UNIT_UNKNOWN;
        /* on its way from the old process, which may have ended badly, to the new one */
        if (state == TRIAL_UNIT_FAILED && p->has_job)
                state = TRIAL_UNIT_STARTING;
        w->next.unit = state;
        w->next.watchdog = streq_ptr(p->result, "watchdog");
        w->next.exec_failed = p->exec_code == CLD_EXITED && p->exec_status == EXIT_EXEC;
        *p = (UnitProperties) {}; /* its strings are the message's */
        return 0;
}

static int on_unit(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        Watch *w = userdata;

        w->unit_slot = sd_bus_slot_unref(w->unit_slot);
        const sd_bus_error *e = sd_bus_message_get_error(m);
        int r = e ? -EIO : read_unit(w, m);
        if (r < 0)
                log_debug("Failed to ask PID 1 about " FLEET_AGENT_UNIT ": %s", bus_error_text(e, r));
        answered(w);
        return 0;
}

static int on_pid(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        Watch *w = userdata;

        w->pid_slot = sd_bus_slot_unref(w->pid_slot);
        if (sd_bus_message_get_error(m) || sd_bus_message_read(m, "u", &w->next.owner_pid) < 0)
                w->next.owner_pid = 0;
        answered(w);
        return 0;
}

static int visit_agent(Watch *w, const char *name, sd_bus_message *m, const char *contents) {
        const char *text;
        int flag, r;

        if (streq(name, "Version") && streq(contents, "s")) {
                r = sd_bus_message_read(m, "v", "s", &text);
                if (r >= 0)
                        w->next.version_is_target = streq(text, w->target);
        } else if (streq(name, "GatewayState") && streq(contents, "s")) {
                r = sd_bus_message_read(m, "v", "s", &text);
                if (r >= 0)
                        w->next.connected = streq(text, "connected");
        } else if (streq(name, "Sessions") && streq(contents, "t"))
                r = sd_bus_message_read(m, "v", "t", &w->next.sessions);
        else if (streq(name, "DrainSeen") && streq(contents, "b")) {
                r = sd_bus_message_read(m, "v", "b", &flag);
                if (r >= 0)
                        w->next.drain_seen = flag;
        } else
                return 0;
        return r < 0 ? r : 1;
}

static int on_agent(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        Watch *w = userdata;

        w->agent_slot = sd_bus_slot_unref(w->agent_slot);
        const sd_bus_error *e = sd_bus_message_get_error(m);
        int r = e ? -EIO : visit_properties(w, m, visit_agent);
        if (r < 0) {
                log_debug("The agent did not say how it is: %s", bus_error_text(e, r));
                w->next.connected = w->next.version_is_target = w->next.drain_seen = false;
        }
        answered(w);
        return 0;
}

/* To the owner itself rather than to the name, so that process and answers belong together. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        Watch *w = userdata;
        const char *owner;

        w->owner_slot = sd_bus_slot_unref(w->owner_slot);
        if (!sd_bus_message_get_error(m) && sd_bus_message_read(m, "s", &owner) >= 0) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *get = NULL;

                if (sd_bus_call_method_async(
                                    w->bus, &w->pid_slot, DRIVER, DRIVER_PATH, DRIVER, "GetConnectionUnixProcessID",
                                    on_pid, w, "s", owner) >= 0)
                        w->n_pending++;
                if (sd_bus_message_new_method_call(w->bus, &get, owner, FLEET_AGENT_BUS_PATH, PROPERTIES, "GetAll") >= 0 &&
                    sd_bus_message_append(get, "s", FLEET_AGENT_BUS_INTERFACE) >= 0 &&
                    sd_bus_call_async(w->bus, &w->agent_slot, get, on_agent, w, CALL_TIMEOUT) >= 0)
                        w->n_pending++;
        }
        answered(w);
        return 0;
}

static void ask(Watch *w) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *get = NULL;

        if (w->n_pending > 0)
                return;
        w->next = (Observation) {};
        w->n_pending = 1; /* this function itself, so that nothing is handed over before all is asked */

        if (sd_bus_message_new_method_call(w->bus, &get, SYSTEMD_NAME, AGENT_UNIT_PATH, PROPERTIES, "GetAll") >= 0 &&
            sd_bus_message_append(get, "s", "") >= 0 &&
            sd_bus_call_async(w->bus, &w->unit_slot, get, on_unit, w, CALL_TIMEOUT) >= 0)
                w->n_pending++;
        if (sd_bus_call_method_async(
                            w->bus, &w->owner_slot, DRIVER, DRIVER_PATH, DRIVER, "GetNameOwner", on_owner, w, "s",
                            FLEET_AGENT_BUS_NAME) >= 0)
                w->n_pending++;
        answered(w);
}

static int on_change(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        watch_look(userdata);
        return 0;
}

static int on_ignored(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        if (e)
                log_debug("Failed to subscribe to PID 1's signals, looking every second: %s", bus_error_text(e, 0));
        return 0;
}

int watch_new(Watch **ret, sd_bus *bus, const char *target, watch_on_observation_t on_observation, void *userdata) {
        _cleanup_(watch_freep) Watch *w = new0(Watch, 1);
        int r;
        if (!w)
                return -ENOMEM;

        *w = (Watch) { .bus = sd_bus_ref(bus), .on_observation = on_observation, .userdata = userdata };
        w->target = strdup(target);
        if (!w->target)
                return -ENOMEM;

        r = sd_bus_match_signal_async(
                        bus, &w->matches[MATCH_UNIT], SYSTEMD_NAME, AGENT_UNIT_PATH, PROPERTIES, "PropertiesChanged",
                        on_change, NULL, w);
        if (r < 0)
                return r;
        r = sd_bus_add_match_async(
                        bus, &w->matches[MATCH_OWNER],
                        "type='signal',sender='" DRIVER "',interface='" DRIVER
                        "',member='NameOwnerChanged',arg0='" FLEET_AGENT_BUS_NAME "'",
                        on_change, NULL, w);
        if (r < 0)
                return r;
        r = sd_bus_match_signal_async(
                        bus, &w->matches[MATCH_AGENT], FLEET_AGENT_BUS_NAME, FLEET_AGENT_BUS_PATH, PROPERTIES,
                        "PropertiesChanged", on_change, NULL, w);
        if (r < 0)
                return r;
        r = sd_bus_call_method_async(
                        bus, &w->subscribe_slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe",
                        on_ignored, w, NULL);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(w);
        return 0;
}

Watch *watch_free(Watch *w) {
        if (!w)
                return NULL;
        for (size_t i = 0; i < _MATCH_MAX; i++)
                sd_bus_slot_unref(w->matches[i]);
        sd_bus_slot_unref(w->subscribe_slot);
        sd_bus_slot_unref(w->unit_slot);
        sd_bus_slot_unref(w->owner_slot);
        sd_bus_slot_unref(w->pid_slot);
        sd_bus_slot_unref(w->agent_slot);
        sd_event_source_disable_unref(w->look_source);
        sd_bus_unref(w->bus);
        free(w->target);
        free(w);
        return NULL;
}

uint32_t watch_main_pid(sd_bus *bus) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        uint32_t pid = 0;

        int r = sd_bus_get_property_trivial(
                        bus, SYSTEMD_NAME, AGENT_UNIT_PATH, SYSTEMD_SERVICE, "MainPID", &error, 'u', &pid);
        if (r < 0)
                log_debug("Failed to ask for the agent's process, going on: %s", bus_error_text(&error, r));
        return r < 0 ? 0 : pid;
}
