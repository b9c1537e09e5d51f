/* SPDX-License-Identifier: Apache-2.0 */

/* Verbs that change something: rollback, pin, unpin. The updater decides; polkit decides who may ask it. */

#include "agentctl-bus.h"
#include "cli-table.h"
#include "event-util.h"
#include "names.h"
#include "phase.h"
#include "string-util.h"
#include "version.h"

#define ASK_TIMEOUT (150 * USEC_PER_SEC) /* a person may have to type a password */
#define POLL_INTERVAL USEC_PER_SEC

/* Waiting for one transaction. The signals of the updater make it quick; asking every second makes it sure,
 * since the updater may be restarted while we wait. */
typedef struct Wait {
        AgentCtl *c;
        sd_event *event;
        sd_event_source *poll_timer, *end_timer;
        sd_bus_slot *match, *view_slot, *result_slot;
        const char *transaction;
        char *state;
        json_t *result; /* of our transaction, at the end */
} Wait;

static void wait_ask(Wait *w);

static int on_view(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        Wait *w = userdata;
        _cleanup_json_ json_t *view = json_object();
        const char *state;

        w->view_slot = sd_bus_slot_unref(w->view_slot);
        if (!view || sd_bus_message_is_method_error(m, NULL) ||
            agentctl_read_dictionary(m, BUS_UPDATER, false, view) < 0)
                return 0;
        state = json_text(view, "state");
        if (!streq_ptr(w->state, state) && free_and_strdup(&w->state, state) >= 0 && !streq(state, "idle"))
                cli_note("%s", update_phase_title(update_phase_from_string(state)) ?: state);
        return 0;
}

static int on_result(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        Wait *w = userdata;
        _cleanup_json_ json_t *result = NULL;

        w->result_slot = sd_bus_slot_unref(w->result_slot);
        if (sd_bus_message_is_method_error(m, NULL) || agentctl_parse_last_result(m, &result) < 0)
                return 0;
        if (!streq(json_text(result, "transaction"), w->transaction))
                return 0;
        w->result = TAKE_PTR(result);
        return sd_event_exit(w->event, 0);
}

static void wait_ask(Wait *w) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *view = NULL, *result = NULL;

        if (!w->view_slot &&
            agentctl_new_call(w->c, BUS_UPDATER, "org.freedesktop.DBus.Properties", "GetAll", &view) >= 0 &&
            sd_bus_message_append(view, "s", FLEET_UPDATER_BUS_INTERFACE) >= 0)
                (void) sd_bus_call_async(w->c->bus, &w->view_slot, view, on_view, w, 0);
        if (!w->result_slot && agentctl_new_call(w->c, BUS_UPDATER, NULL, "GetLastResult", &result) >= 0)
                (void) sd_bus_call_async(w->c->bus, &w->result_slot, result, on_result, w, 0);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *unused) {
        wait_ask(userdata);
        return 0;
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        wait_ask(w);
        return event_timer_arm(w->event, &w->poll_timer, POLL_INTERVAL, on_poll, w, "poll");
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        return sd_event_exit(w->event, -ETIMEDOUT);
}

static void wait_done(Wait *w) {
        sd_bus_slot_unref(w->match);
        sd_bus_slot_unref(w->view_slot);
        sd_bus_slot_unref(w->result_slot);
        sd_event_source_disable_unref(w->poll_timer);
        sd_event_source_disable_unref(w->end_timer);
        if (w->event)
                (void) sd_bus_detach_event(w->c->bus);
        sd_event_unref(w->event);
        json_decref(w->result);
        free(w->state);
}

static int wait_run(Wait *w) {
        int r;

        r = sd_event_new(&w->event);
        if (r >= 0)
                r = sd_bus_attach_event(w->c->bus, w->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(
                                w->c->bus, &w->match, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH,
                                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed, NULL, w);
        if (r >= 0)
                r = event_timer_arm(w->event, &w->poll_timer, 0, on_poll, w, "poll");
        if (r >= 0 && w->c->timeout > 0)
                r = event_timer_arm(w->event, &w->end_timer, w->c->timeout, on_end, w, "end");
        return r < 0 ? r : sd_event_loop(w->event);
}

static CliExit report_result(AgentCtl *c, json_t *result) {
        const char *phase = json_text(result, "phase"), *message = json_text(result, "message");
        bool good = streq(phase, "succeeded");

        if (c->json != CLI_JSON_OFF)
                (void) cli_json_print(result, c->json);
        else if (good)
                cli_print("Version %s runs again and has proved itself.", json_text(result, "to"));
        if (good)
                return CLI_OK;
        return cli_fail(CLI_FAILED, "The change to %s ended as \"%s\": %s %s", json_text(result, "to"),
                        phase, json_text(result, "verdict_text"), message);
}

static CliExit wait_for_transaction(AgentCtl *c, const char *path) {
        const char *id = strrchr(path, '/') + 1;
        Wait w = { .c = c, .transaction = id };
        char span[TIMESPAN_MAX];
        CliExit code;
        int r;

        r = wait_run(&w);
        if (w.result)
                code = report_result(c, w.result);
        else if (r == -ETIMEDOUT)
                code = cli_fail(CLI_TIMEOUT,
                                "It is not over after %s; the machine goes on with it. See \"%s status\".",
                                timespan_format(c->timeout, span), "fleet-agentctl");
        else
                code = cli_fail(CLI_ERROR, "Lost sight of transaction %s: %s", id,
                                strerror(r < 0 ? -r : EIO));
        wait_done(&w);
        return code;
}

static int call_rollback(AgentCtl *c, const char *version, sd_bus_message **ret, sd_bus_error *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = agentctl_new_call(c, BUS_UPDATER, NULL, "Rollback", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", version);
        if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
        return r < 0 ? r : sd_bus_call(c->bus, m, ASK_TIMEOUT, reterr, ret);
}

CliExit agentctl_rollback(char *const *arguments, void *userdata) {
        AgentCtl *c = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        const char *version = arguments[0] ?: "", *path;
        CliExit code;
        int r;

        if (arguments[0] && !version_is_valid(version))
                return cli_fail(CLI_USAGE, "\"%s\" is not a version such as 1.0.0.", version);
        code = agentctl_bus_open(c);
        if (code != CLI_OK)
                return code;
        r = call_rollback(c, version, &reply, &e);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return agentctl_fail_bus(BUS_UPDATER, "Cannot roll back", r, &e);

        if (!c->no_wait)
                return wait_for_transaction(c, path);
        if (c->json == CLI_JSON_OFF)
                cli_print("Started; \"fleet-agentctl status\" shows how it goes.");
        else {
                _cleanup_json_ json_t *answer = json_object();

                if (!answer || json_set_string(answer, "transaction", strrchr(path, '/') + 1) < 0 ||
                    cli_json_print(answer, c->json) < 0)
                        return CLI_ERROR;
        }
        return CLI_OK;
}

static CliExit change_pin(AgentCtl *c, const char *version) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        CliExit code;
        int r;

        code = agentctl_bus_open(c);
        if (code != CLI_OK)
                return code;
        r = agentctl_new_call(c, BUS_UPDATER, NULL, version ? "Pin" : "Unpin", &m);
        if (r >= 0 && version)
                r = sd_bus_message_append(m, "s", version);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, ASK_TIMEOUT, &e, &reply);
        if (r < 0)
                return agentctl_fail_bus(BUS_UPDATER, version ? "Cannot pin" : "Cannot unpin", r, &e);
        if (version)
                cli_note("Pinned: version %s is kept until \"fleet-agentctl unpin\".", version);
        else
                cli_note("Not pinned: this machine takes updates.");
        return CLI_OK;
}

CliExit agentctl_pin(char *const *arguments, void *userdata) {
        if (!version_is_valid(arguments[0]))
                return cli_fail(CLI_USAGE, "\"%s\" is not a version such as 1.0.0.", arguments[0]);
        return change_pin(userdata, arguments[0]);
}

CliExit agentctl_unpin(char *const *arguments, void *userdata) {
        return change_pin(userdata, NULL);
}
