/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-handoff.h"

#include <fcntl.h>

#include "alloc-util.h"
#include "bus-util.h"
#include "event-util.h"
#include "fs-util.h"
#include "log.h"
#include "names.h"
#include "parse-util.h"
#include "string-util.h"
#include "update-record.h"

#define ASK_TIMEOUT (25 * USEC_PER_SEC)
#define INSTALL_TIMEOUT (60 * USEC_PER_SEC)
#define ERROR_PREFIX "org.fleetagent.Error."
#define LOST_PAUSE (3 * USEC_PER_SEC)
#define OWNER_MATCH                                                                                         \
        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"                         \
        "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" FLEET_UPDATER_BUS_NAME "'"

struct AgentHandoff {
        AgentUpdater updater;
        sd_bus *bus;
        UpdaterView view;
        sd_bus_slot *match_slot, *owner_slot, *view_slot, *result_slot, *install_slot;
        sd_event_source *lost_source;
};

static AgentHandoff *handoff_of(AgentUpdater *u) {
        return container_of(u, AgentHandoff, updater);
}

/* ---- decoding ---- */

UpdateVerdict agent_handoff_verdict(const char *error_name) {
        char verdict[64];
        size_t n = 0;

        const char *camel = error_name ? startswith(error_name, ERROR_PREFIX) : NULL;
        if (!camel)
                return UPDATE_VERDICT_INTERNAL;
        for (; *camel && n + 2 < sizeof(verdict); camel++) {
                if (*camel >= 'A' && *camel <= 'Z') {
                        if (n > 0)
                                verdict[n++] = '-';
                        verdict[n++] = (char) (*camel - 'A' + 'a');
                } else
                        verdict[n++] = *camel;
        }
        verdict[n] = '\0';
        UpdateVerdict v = *camel ? _UPDATE_VERDICT_INVALID : update_verdict_from_string(verdict);
        return v < 0 || v == UPDATE_VERDICT_NONE ? UPDATE_VERDICT_INTERNAL : v;
}

/* An object path or the bare id; anything else is no transaction. */
static const char *transaction_id(const char *s) {
        const char *slash = strrchr(s, '/');
        if (slash)
                s = slash + 1;
        return update_id_is_valid(s) ? s : "";
}

static int view_read_text(UpdaterView *v, sd_bus_message *m, const char *name) {
        const struct {
                const char *name;
                char **target;
        } fields[] = {
                { "Version", &v->version },
                { "State", &v->state },
                { "Transaction", &v->transaction },
                { "CurrentVersion", &v->current_version },
                { "PreviousVersion", &v->previous_version },
                { "PendingVersion", &v->pending_version },
                { "Floor", &v->floor },
                { "PinnedVersion", &v->pinned_version },
        };
        const char *value;
        int r = sd_bus_message_read(m, "v", "s", &value);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (streq(name, fields[i].name))
                        return free_and_strdup(
                                        fields[i].target,
                                        streq(name, "Transaction") ? transaction_id(value) : value);
        return 0;
}

static int view_read_number(UpdaterView *v, sd_bus_message *m, const char *name, const char *type) {
        uint64_t value;
        uint32_t small;
        int r = type[0] == 'u' ? sd_bus_message_read(m, "v", "u", &small) :
                                 sd_bus_message_read(m, "v", "t", &value);
        if (r < 0)
                return r;
        if (type[0] == 'u')
                value = small;
        if (streq(name, "Deadline"))
                v->deadline = value;
        else if (streq(name, "RootVersion"))
                v->root_version = value;
        else if (streq(name, "Packaging"))
                v->packaging = (uint32_t) value;
        return 0;
}

/* a{sv}; what it does not name stays as it is. */
static int view_merge(sd_bus_message *m, UpdaterView *v) {
        const char *name, *contents;

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r >= 0)
                        r = streq(contents, "s") ? view_read_text(v, m, name) :
                            streq(contents, "t") || streq(contents, "u") ?
                                                   view_read_number(v, m, name, contents) :
                                                   sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int view_read(sd_bus_message *m, UpdaterView *ret) {
        UpdaterView v = { 0 };

        int r = view_merge(m, &v);
        if (r >= 0)
                r = updater_view_fill(&v);
        if (r < 0) {
                updater_view_done(&v);
                return r;
        }
        v.known = true;
        *ret = v;
        return 0;
}

static int result_set(UpdaterResult *x, const char *key, const char *value) {
        if (streq(key, "transaction"))
                return free_and_strdup(&x->transaction, transaction_id(value));
        if (streq(key, "instruction"))
                return free_and_strdup(&x->instruction, update_id_is_valid(value) ? value : "");
        if (streq(key, "from"))
                return free_and_strdup(&x->from, value);
        if (streq(key, "to"))
                return free_and_strdup(&x->to, value);
        if (streq(key, "message"))
                return free_and_strdup(&x->message, value);
        if (streq(key, "phase"))
                x->phase = update_phase_from_string(value);
        else if (streq(key, "failed_phase"))
                x->failed_phase = update_phase_from_string(value);
        else if (streq(key, "verdict"))
                x->verdict = isempty(value) ? UPDATE_VERDICT_NONE : update_verdict_from_string(value);
        else if (streq(key, "time_usec"))
                (void) parse_u64(value, &x->time_usec);
        return 0;
}

static int result_read(sd_bus_message *m, UpdaterResult *ret) {
        UpdaterResult x = { .phase = _UPDATE_PHASE_INVALID, .failed_phase = _UPDATE_PHASE_INVALID };
        const char *key, *value;

        int r = sd_bus_message_enter_container(m, 'a', "{ss}");
        while (r >= 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
                r = result_set(&x, key, value);
        if (r >= 0)
                r = updater_result_fill(&x);
        if (r < 0) {
                updater_result_done(&x);
                return r;
        }
        if (x.verdict < 0)
                x.verdict = UPDATE_VERDICT_INTERNAL;
        *ret = x;
        return *x.transaction && update_phase_is_terminal(x.phase);
}

/* ---- calls ---- */

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        AgentHandoff *h = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        UpdaterView v;

        h->view_slot = sd_bus_slot_unref(h->view_slot);
        int r = e ? -sd_bus_message_get_errno(m) : view_read(m, &v);
        if (!e && r >= 0) {
                updater_view_done(&h->view);
                h->view = v;
        }
        agent_updater_tell_view(&h->updater, MIN(r, 0), bus_error_text(e, r));
        return 0;
}

static int handoff_ask_view(AgentHandoff *h) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (!h->bus)
                return -ENOTCONN;
        if (h->view_slot)
                return -EALREADY;
        int r = sd_bus_message_new_method_call(
                        h->bus, &m, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                        "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", FLEET_UPDATER_BUS_INTERFACE);
        if (r >= 0)
                r = sd_bus_call_async(h->bus, &h->view_slot, m, on_properties, h, ASK_TIMEOUT);
        return r < 0 ? r : 0;
}

static int handoff_ask(AgentUpdater *u) {
        return handoff_ask_view(handoff_of(u));
}

static int on_last_result(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        AgentHandoff *h = userdata;
        UpdaterResult x = { 0 };

        h->result_slot = sd_bus_slot_unref(h->result_slot);
        int r = sd_bus_message_get_error(m) ? -sd_bus_message_get_errno(m) : result_read(m, &x);
        agent_updater_tell_result(&h->updater, MIN(r, 0), r > 0 ? &x : NULL);
        updater_result_done(&x);
        return 0;
}

static int handoff_ask_result(AgentUpdater *u) {
        AgentHandoff *h = handoff_of(u);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (!h->bus)
                return -ENOTCONN;
        if (h->result_slot)
                return -EALREADY;
        int r = sd_bus_message_new_method_call(
                        h->bus, &m, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                        FLEET_UPDATER_BUS_INTERFACE, "GetLastResult");
        if (r >= 0)
                r = sd_bus_call_async(h->bus, &h->result_slot, m, on_last_result, h, ASK_TIMEOUT);
        return r < 0 ? r : 0;
}

static int on_installed(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        AgentHandoff *h = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *path = "";

        h->install_slot = sd_bus_slot_unref(h->install_slot);
        if (e) {
                int r = -sd_bus_message_get_errno(m);
                agent_updater_tell_install(
                                &h->updater, r < 0 ? r : -EIO, agent_handoff_verdict(e->name),
                                bus_error_text(e, r));
                return 0;
        }
        int r = sd_bus_message_read(m, "o", &path);
        if (r >= 0 && isempty(transaction_id(path)))
                r = -EBADMSG;
        if (r < 0)
                agent_updater_tell_install(
                                &h->updater, r, UPDATE_VERDICT_INTERNAL,
                                "The updater's answer makes no sense.");
        else
                agent_updater_tell_install(&h->updater, 0, UPDATE_VERDICT_NONE, transaction_id(path));
        return 0;
}

static int append_metadata(sd_bus_message *m, const TufBytes *metadata) {
        const char *name;
        const void *data;
        size_t size;

        int r = sd_bus_message_open_container(m, 'a', "(say)");
        for (size_t i = 0; r >= 0 && tuf_bytes_item(metadata, i, &name, &data, &size); i++) {
                r = sd_bus_message_open_container(m, 'r', "say");
                if (r >= 0)
                        r = sd_bus_message_append(m, "s", name);
                if (r >= 0)
                        r = sd_bus_message_append_array(m, 'y', data, size);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int handoff_install(AgentUpdater *u, const UpdaterInstall *request) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        AgentHandoff *h = handoff_of(u);

        if (!h->bus)
                return -ENOTCONN;
        if (h->install_slot)
                return -EALREADY;
        int r = sd_bus_message_new_method_call(
                        h->bus, &m, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                        FLEET_UPDATER_BUS_INTERFACE, "Install");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", request->version);
        if (r >= 0)
                r = append_metadata(m, request->metadata);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sh)");
        for (size_t i = 0; r >= 0 && i < request->n_targets; i++)
                r = sd_bus_message_append(m, "(sh)", request->targets[i].path, request->targets[i].fd);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(
                                m, "a{sv}", 2, "instruction", "s", strempty(request->instruction), "retry",
                                "b", (int) request->retry);
        if (r >= 0)
                r = sd_bus_call_async(h->bus, &h->install_slot, m, on_installed, h, INSTALL_TIMEOUT);
        return r < 0 ? r : 0;
}

static int handoff_roll_back(AgentUpdater *u, const char *version, const char *instruction) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        AgentHandoff *h = handoff_of(u);

        if (!h->bus)
                return -ENOTCONN;
        if (h->install_slot)
                return -EALREADY;
        int r = sd_bus_message_new_method_call(
                        h->bus, &m, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                        FLEET_UPDATER_BUS_INTERFACE, "Rollback");
        if (r >= 0)
                r = sd_bus_message_append(
                                m, "sa{sv}", version, 1, "instruction", "s", strempty(instruction));
        if (r >= 0)
                r = sd_bus_call_async(h->bus, &h->install_slot, m, on_installed, h, INSTALL_TIMEOUT);
        return r < 0 ? r : 0;
}

/* ---- life ---- */

/* What changed is used at once: a moment later the updater may have this process stopped. Should the view
 * not be known yet, or the signal make no sense, everything is read anew. */
static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        AgentHandoff *h = userdata;
        const char *interface;
        int r = sd_bus_message_read(m, "s", &interface);

        if (r >= 0 && !streq(interface, FLEET_UPDATER_BUS_INTERFACE))
                return 0;
        if (r >= 0 && h->view.known) {
                r = view_merge(m, &h->view);
                if (r >= 0) {
                        agent_updater_tell_view(&h->updater, 0, "");
                        return 0;
                }
        }
        r = handoff_ask_view(h);
        if (r < 0 && r != -EALREADY)
                log_debug_errno(r, "Cannot read the updater's properties: %m");
        return 0;
}

static int on_lost(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentHandoff *h = userdata;

        if (h->bus && !streq(h->view.state, "idle"))
                (void) handoff_ask_view(h);
        return 0;
}

/* One that died in the middle of something tells nobody. Whoever is started next knows how it ended; not at
 * once, since it may only have been stopped in order to be started again. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        const char *name, *old_owner, *new_owner;
        AgentHandoff *h = userdata;

        int r = sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner);
        if (r >= 0 && isempty(new_owner) && h->view.known && !streq(h->view.state, "idle"))
                (void) event_timer_arm(
                                sd_bus_get_event(h->bus), &h->lost_source, LOST_PAUSE, on_lost, h,
                                "updater-lost");
        return 0;
}

static const UpdaterView *handoff_view(const AgentUpdater *u) {
        return &container_of(u, AgentHandoff, updater)->view;
}

/* The links are the truth, also where the updater has not been asked or its word has not come yet. */
static bool links_differ(const AgentUpdater *u) {
        _cleanup_free_ char *current = NULL, *good = NULL;
        if (readlink_at(AT_FDCWD, FLEET_BIN_DIR "/" FLEET_LINK_CURRENT, &current) < 0 ||
            readlink_at(AT_FDCWD, FLEET_BIN_DIR "/" FLEET_LINK_GOOD, &good) < 0)
                return false;
        return !streq(current, good);
}

static const AgentUpdaterOps handoff_ops = {
        .view = handoff_view,
        .ask_view = handoff_ask,
        .ask_result = handoff_ask_result,
        .install = handoff_install,
        .roll_back = handoff_roll_back,
        .is_on_trial = links_differ,
};

int agent_handoff_new(AgentHandoff **ret) {
        _cleanup_(agent_handoff_freep) AgentHandoff *h = new0(AgentHandoff, 1);
        if (!h)
                return -ENOMEM;
        h->updater.ops = &handoff_ops;
        int r = updater_view_fill(&h->view);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

static void handoff_drop_bus(AgentHandoff *h) {
        h->match_slot = sd_bus_slot_unref(h->match_slot);
        h->owner_slot = sd_bus_slot_unref(h->owner_slot);
        h->lost_source = sd_event_source_disable_unref(h->lost_source);
        h->view_slot = sd_bus_slot_unref(h->view_slot);
        h->result_slot = sd_bus_slot_unref(h->result_slot);
        h->install_slot = sd_bus_slot_unref(h->install_slot);
        h->bus = sd_bus_unref(h->bus);
}

AgentHandoff *agent_handoff_free(AgentHandoff *h) {
        if (!h)
                return NULL;
        handoff_drop_bus(h);
        updater_view_done(&h->view);
        free(h);
        return NULL;
}

int agent_handoff_set_bus(AgentHandoff *h, sd_bus *bus) {
        bool asked_view = h->view_slot, asked_result = h->result_slot, installing = h->install_slot;

        handoff_drop_bus(h);
        if (!bus) {
                if (asked_view)
                        agent_updater_tell_view(&h->updater, -ENOTCONN, "The system bus is away.");
                if (asked_result)
                        agent_updater_tell_result(&h->updater, -ENOTCONN, NULL);
                if (installing)
                        agent_updater_tell_install(
                                        &h->updater, -ENOTCONN, UPDATE_VERDICT_INTERNAL,
                                        "The system bus went away.");
                return 0;
        }
        h->bus = sd_bus_ref(bus);
        int r = sd_bus_match_signal_async(
                        bus, &h->match_slot, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                        "org.freedesktop.DBus.Properties", "PropertiesChanged", on_signal, NULL, h);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &h->owner_slot, OWNER_MATCH, on_owner, NULL, h);
        return r < 0 ? r : 0;
}

AgentUpdater *agent_handoff_updater(AgentHandoff *h) {
        return &h->updater;
}
