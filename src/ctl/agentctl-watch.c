/* SPDX-License-Identifier: Apache-2.0 */

/* watch: a line for each change, until interrupted. Starts neither agent nor updater. */

#include <time.h>

#include "agentctl-bus.h"
#include "cli-table.h"
#include "event-util.h"
#include "names.h"
#include "phase.h"
#include "string-util.h"

typedef struct Watch {
        AgentCtl *c;
        json_t *seen[2]; /* last value of each member, by side: only differences are shown */
} Watch;

static const char *side_name(BusSide side) {
        return side == BUS_AGENT ? "agent" : "updater";
}

static void print_line(Watch *w, BusSide side, CliStyle style, const char *text) {
        _cleanup_free_ char *safe = string_escape(text);
        usec_t t = now(CLOCK_REALTIME);
        time_t seconds = (time_t) (t / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&seconds, &tm))
                tm = (struct tm){ 0 };
        printf("%02d:%02d:%02d.%03u  %-7s  %s%s%s\n", tm.tm_hour, tm.tm_min, tm.tm_sec,
               (unsigned) (t / USEC_PER_MSEC % 1000), side_name(side), cli_on(style, stdout), strempty(safe),
               cli_off(style, stdout));
}

/* Takes over the reference to event. */
static void emit(Watch *w, BusSide side, json_t *event, CliStyle style, const char *text) {
        char when[RFC3339_MAX];

        if (w->c->json == CLI_JSON_OFF)
                print_line(w, side, style, text);
        else if (event && json_set_string(event, "time", rfc3339_format(now(CLOCK_REALTIME), when)) >= 0 &&
                 json_set_string(event, "source", side_name(side)) >= 0)
                (void) cli_json_print(event, w->c->json);
        (void) fflush(stdout);
        json_decref(event);
}

static CliStyle value_style(const char *key, const char *value) {
        if (streq(value, "connected") || streq(value, "idle") || streq(value, "succeeded"))
                return CLI_GOOD;
        if (streq(value, "rolling-back") || streq(value, "rolled-back") || streq(value, "failed") ||
            streq(key, "last_error"))
                return CLI_BAD;
        return endswith(key, "state") ? CLI_BUSY : CLI_PLAIN;
}

/* "bytes_done" alone says little. */
static char *progress_text(json_t *side) {
        char one[CLI_BYTES_MAX], two[CLI_BYTES_MAX];
        uint64_t done, total;

        if (json_get_u64(side, "bytes_done", &done) < 0 || json_get_u64(side, "bytes_total", &total) < 0 ||
            total == 0)
                return NULL;
        return strjoinf("%s of %s (%u%%)", cli_format_bytes(done, one), cli_format_bytes(total, two),
                        (unsigned) (MIN(done, total) * 100 / total));
}

static void show_value(Watch *w, BusSide side, const char *key, json_t *value) {
        _cleanup_free_ char *shown = NULL, *line = NULL;
        json_t *event;

        if (streq(key, "bytes_total") || streq(key, "metadata_age_sec") || streq(key, "deadline_in_sec"))
                return;
        if (streq(key, "bytes_done")) {
                shown = progress_text(w->seen[side]);
                key = "progress";
        } else if (json_is_string(value)) {
                const char *title = endswith(key, "state") ? update_phase_title(update_phase_from_string(
                                                                             json_string_value(value))) :
                                                             NULL;
                shown = strdup(title ?: isempty(json_string_value(value)) ? "-" : json_string_value(value));
        } else
                shown = json_format(value, false);
        if (!shown)
                return;

        event = json_pack("{s:s, s:s}", "event", "changed", "property", key);
        if (event && streq(key, "progress")) {
                (void) json_object_set(event, "bytes_done", json_object_get(w->seen[side], "bytes_done"));
                (void) json_object_set(event, "bytes_total", json_object_get(w->seen[side], "bytes_total"));
        } else if (event)
                (void) json_object_set(event, "value", value);
        line = strjoinf("%s: %s", key, shown);
        emit(w, side, event, value_style(key, json_is_string(value) ? json_string_value(value) : ""),
             strempty(line));
}

static void show_changes(Watch *w, BusSide side, json_t *changes) {
        const char *key;
        json_t *value, *fresh = json_object();

        if (!fresh)
                return;
        json_object_foreach(changes, key, value) {
                json_t *before = json_object_get(w->seen[side], key);

                /* nothing, now and before, is no change */
                if (before ? json_equal(value, before) :
                             json_is_string(value) && json_string_length(value) == 0)
                        continue;
                (void) json_object_set(w->seen[side], key, value);
                (void) json_object_set(fresh, key, value);
        }
        json_object_foreach(fresh, key, value)
                show_value(w, side, key, value);
        json_decref(fresh);
}

static int on_changed(sd_bus_message *m, Watch *w, BusSide side) {
        _cleanup_json_ json_t *changes = json_object();
        const char *interface;
        int r;

        r = sd_bus_message_read(m, "s", &interface);
        if (r < 0 || !changes ||
            !streq(interface, side == BUS_AGENT ? FLEET_AGENT_BUS_INTERFACE : FLEET_UPDATER_BUS_INTERFACE))
                return 0;
        if (agentctl_read_dictionary(m, side, true, changes) >= 0)
                show_changes(w, side, changes);
        return 0;
}

static int on_agent_changed(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        return on_changed(m, userdata, BUS_AGENT);
}

static int on_updater_changed(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        return on_changed(m, userdata, BUS_UPDATER);
}

static int on_finished(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        const char *transaction, *version, *phase, *verdict;
        _cleanup_free_ char *line = NULL;
        Watch *w = userdata;
        UpdateVerdict v;

        if (sd_bus_message_read(m, "ssss", &transaction, &version, &phase, &verdict) < 0)
                return 0;
        v = update_verdict_from_string(verdict);
        line = strjoinf("update to %s: %s%s%s", version,
                        update_phase_title(update_phase_from_string(phase)) ?: phase,
                        v > UPDATE_VERDICT_NONE ? ". " : "",
                        v > UPDATE_VERDICT_NONE ? update_verdict_explain(v) : "");
        emit(w, BUS_AGENT,
             json_pack("{s:s, s:s, s:s, s:s, s:s}", "event", "finished", "transaction", transaction,
                       "version", version, "phase", phase, "verdict", verdict),
             streq(phase, "succeeded") ? CLI_GOOD : CLI_BAD, strempty(line));
        return 0;
}

static void read_now(Watch *w, BusSide side) {
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_t *object = NULL;

        if (agentctl_read_side(w->c, side, &object, &e) >= 0)
                show_changes(w, side, object);
}

/* The updater leaves the bus when it is idle, which is no news. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        const char *name, *old, *new;
        Watch *w = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
                return 0;
        emit(w, BUS_AGENT, json_pack("{s:s}", "event", isempty(new) ? "stopped" : "started"),
             isempty(new) ? CLI_BAD : CLI_GOOD, isempty(new) ? "stopped" : "started");
        if (!isempty(new))
                read_now(w, BUS_AGENT);
        return 0;
}

static int watch_subscribe(Watch *w) {
        sd_bus *bus = w->c->bus;
        int r;

        r = sd_bus_match_signal(
                        bus, NULL, FLEET_AGENT_BUS_NAME, FLEET_AGENT_BUS_PATH,
                        "org.freedesktop.DBus.Properties", "PropertiesChanged", on_agent_changed, w);
        if (r >= 0)
                r = sd_bus_match_signal(
                                bus, NULL, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_updater_changed,
                                w);
        if (r >= 0)
                r = sd_bus_match_signal(
                                bus, NULL, FLEET_AGENT_BUS_NAME, FLEET_AGENT_BUS_PATH,
                                FLEET_AGENT_BUS_INTERFACE, "UpdateFinished", on_finished, w);
        if (r >= 0)
                r = sd_bus_add_match(
                                bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                "member='NameOwnerChanged',arg0='" FLEET_AGENT_BUS_NAME "'",
                                on_owner, w);
        return r < 0 ? r : 0;
}

CliExit agentctl_watch(char *const *arguments, void *userdata) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        Watch w = { .c = userdata };
        CliExit code;
        int r;

        if (w.c->json == CLI_JSON_PRETTY)
                return cli_fail(CLI_USAGE, "\"watch\" writes one object a line: use --json=short.");
        code = agentctl_bus_open(w.c);
        if (code != CLI_OK)
                return code;

        w.seen[BUS_AGENT] = json_object();
        w.seen[BUS_UPDATER] = json_object();
        r = w.seen[0] && w.seen[1] ? watch_subscribe(&w) : -ENOMEM;
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_attach_event(w.c->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0) {
                read_now(&w, BUS_AGENT);
                if (json_object_size(w.seen[BUS_AGENT]) == 0)
                        emit(&w, BUS_AGENT, json_pack("{s:s}", "event", "stopped"), CLI_BAD, "not running");
                r = sd_event_loop(event);
        }
        json_decref(w.seen[0]);
        json_decref(w.seen[1]);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot watch the bus: %s", strerror(-r)) : CLI_OK;
}
