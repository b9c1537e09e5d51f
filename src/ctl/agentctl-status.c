/* SPDX-License-Identifier: Apache-2.0 */

/* Verbs that only look: status, versions, check-update. */

#include "agentctl-bus.h"
#include "cli-table.h"
#include "phase.h"
#include "string-util.h"

#define CHECK_TIMEOUT (3 * USEC_PER_MINUTE)

/* Adds what could be read, or "running": false and why. */
static int add_side(AgentCtl *c, BusSide side, json_t *status, const char *key, bool *ret_running) {
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        json_t *object = NULL;
        int r, k;

        r = agentctl_read_side(c, side, &object, &e);
        *ret_running = r >= 0;
        if (r < 0) {
                object = json_object();
                if (!object)
                        return -ENOMEM;
                k = json_set_string(object, "error", r == -ENXIO ? NULL : bus_error_text(&e, r));
                if (k < 0) {
                        json_decref(object);
                        return k;
                }
        }
        k = json_set_bool(object, "running", *ret_running);
        if (k < 0) {
                json_decref(object);
                return k;
        }
        return json_set_take(status, key, object);
}

static const char *gateway_text(json_t *agent, CliStyle *ret_style) {
        const char *state = json_text(agent, "gateway_state");

        *ret_style = streq(state, "connected")    ? CLI_GOOD :
                     streq(state, "unconfigured") ? CLI_BAD :
                                                    CLI_BUSY;
        if (streq(state, "unconfigured"))
                return "not configured: set Address= in agent.conf(5)";
        if (streq(state, "waiting"))
                return "not connected, waiting before the next attempt";
        return state;
}

static char *update_text(json_t *agent, json_t *updater, CliStyle *ret_style) {
        const char *state = json_text(agent, "update_state"), *target = json_text(agent, "target_version");
        char one[CLI_BYTES_MAX], two[CLI_BYTES_MAX];
        uint64_t done, total = 0;
        const char *title;

        /* what root's part does counts more than what the agent has heard of it */
        if (!isempty(json_text(updater, "state")) && !streq(json_text(updater, "state"), "idle")) {
                state = json_text(updater, "state");
                target = json_text(updater, "pending_version");
        }
        *ret_style = CLI_BUSY;
        if (isempty(state) || streq(state, "idle")) {
                *ret_style = CLI_PLAIN;
                return strdup(isempty(state) ? "" : "idle");
        }
        title = update_phase_title(update_phase_from_string(state)) ?: state;
        if (streq(state, "downloading") && json_get_u64(agent, "bytes_done", &done) >= 0 &&
            json_get_u64(agent, "bytes_total", &total) >= 0 && total > 0)
                return strjoinf("%s %s, %s of %s (%u%%)", title, target, cli_format_bytes(done, one),
                                cli_format_bytes(total, two), (unsigned) (MIN(done, total) * 100 / total));
        return strjoinf("%s %s", title, target);
}

static char *result_text(json_t *result, CliStyle *ret_style) {
        const char *phase = json_text(result, "phase"), *verdict = json_text(result, "verdict");
        const char *title = update_phase_title(update_phase_from_string(phase)) ?: phase;
        char when[CLI_TIME_MAX];
        usec_t t = 0;

        if (isempty(phase))
                return NULL;
        *ret_style = streq(phase, "succeeded") ? CLI_GOOD : CLI_BAD;
        (void) rfc3339_parse(json_text(result, "time"), &t);
        return strjoinf("%s -> %s: %s%s%s, %s", json_text(result, "from"), json_text(result, "to"), title,
                        isempty(verdict) ? "" : ", ", verdict,
                        cli_format_time(t, now(CLOCK_REALTIME), when));
}

static const char *metadata_text(json_t *agent, char buf[static CLI_TIME_MAX], CliStyle *ret_style) {
        usec_t t = 0, t_now = now(CLOCK_REALTIME);

        if (rfc3339_parse(json_text(agent, "metadata_expires"), &t) < 0)
                return NULL;
        *ret_style = t < t_now ? CLI_BAD : t < t_now + USEC_PER_DAY ? CLI_BUSY : CLI_PLAIN;
        return cli_format_time(t, t_now, buf);
}

static void add_agent_fields(CliTable *t, json_t *agent, bool running) {
        char expires[CLI_TIME_MAX];
        CliStyle style = CLI_PLAIN;
        const char *text;

        if (!running) {
                cli_table_field(t, "Agent", CLI_BAD,
                                "not running; see \"systemctl status fleet-agent.service\"");
                cli_table_field(t, "Error", CLI_PLAIN, json_text(agent, "error"));
                return;
        }
        cli_table_field(t, "Agent", CLI_BOLD, json_text(agent, "id"));
        cli_table_field(t, "Host", CLI_PLAIN, json_text(agent, "hostname"));
        cli_table_field(t, "Version", CLI_BOLD, json_text(agent, "version"));
        text = gateway_text(agent, &style);
        cli_table_field(t, "Gateway", style, text);
        cli_table_field(t, "Address", CLI_PLAIN, json_text(agent, "gateway_address"));
        cli_table_field(t, "Last error", CLI_BUSY, json_text(agent, "last_error"));
        cli_table_field(t, "Configuration", CLI_PLAIN, json_text(agent, "config_revision"));
        style = CLI_BUSY;
        text = metadata_text(agent, expires, &style);
        cli_table_field(t, "Metadata expires", style, text ?: "no metadata yet");
}

static int add_updater_fields(CliTable *t, json_t *agent, json_t *updater, json_t *result, bool running) {
        _cleanup_free_ char *update = NULL, *last = NULL, *deadline = NULL;
        CliStyle style = CLI_PLAIN, last_style = CLI_PLAIN;
        uint64_t seconds;

        update = update_text(agent, updater, &style);
        last = result_text(result, &last_style);
        if (!update)
                return -ENOMEM;
        cli_table_field(t, "Update", style, update);
        if (json_get_u64(updater, "deadline_in_sec", &seconds) >= 0) {
                deadline = strjoinf("goes back by itself in %" PRIu64 " s unless it is confirmed", seconds);
                cli_table_field(t, "Deadline", CLI_BUSY, deadline);
        }
        if (!running) {
                cli_table_field(t, "Updater", CLI_BAD, "cannot be started over the bus");
                cli_table_field(t, "Error", CLI_PLAIN, json_text(updater, "error"));
                return 0;
        }
        cli_table_field(t, "Last update", last_style, last ?: "none yet");
        cli_table_field(t, "Verdict", CLI_PLAIN, json_text(result, "verdict_text"));
        cli_table_field(t, "Message", CLI_PLAIN, json_text(result, "message"));
        cli_table_field(t, "Previous version", CLI_PLAIN, json_text(updater, "previous_version"));
        cli_table_field(t, "Pinned", CLI_BUSY,
                        json_text(updater, "pinned_version"));
        cli_table_field(t, "Floor", CLI_PLAIN, json_text(updater, "floor"));
        return 0;
}

CliExit agentctl_status(char *const *arguments, void *userdata) {
        AgentCtl *c = userdata;
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_t *status = json_object();
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        bool agent_runs, updater_runs;
        json_t *result = NULL;
        CliExit code;
        int r;

        code = agentctl_bus_open(c);
        if (code != CLI_OK)
                return code;
        r = status ? add_side(c, BUS_AGENT, status, "agent", &agent_runs) : -ENOMEM;
        if (r >= 0)
                r = add_side(c, BUS_UPDATER, status, "updater", &updater_runs);
        if (r >= 0 && updater_runs && agentctl_read_last_result(c, &result, &e) >= 0)
                r = json_set_take(status, "last_result", result);

        if (r >= 0 && c->json != CLI_JSON_OFF)
                r = cli_json_print(status, c->json);
        else if (r >= 0) {
                json_t *agent = json_object_get(status, "agent");

                r = cli_table_new_fields(&t);
                if (r >= 0) {
                        add_agent_fields(t, agent, agent_runs);
                        r = add_updater_fields(
                                        t, agent, json_object_get(status, "updater"),
                                        json_object_get(status, "last_result"), updater_runs);
                }
                if (r >= 0)
                        r = cli_table_print(t, true);
        }
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot show the status: %s", strerror(-r));
        return agent_runs ? CLI_OK : CLI_NOT_FOUND;
}

static int versions_read(sd_bus_message *m, json_t *list) {
        const char *version, *flags, *digest;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sss)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(sss)", &version, &flags, &digest)) > 0) {
                _cleanup_strv_free_ char **words = NULL;
                json_t *item = json_object(), *array = json_array();

                if (!item || !array || json_array_append_new(list, item) < 0 ||
                    json_object_set_new(item, "flags", array) < 0)
                        return -ENOMEM;
                r = json_set_string(item, "version", version);
                if (r >= 0)
                        r = json_set_string(item, "sha256", isempty(digest) ? NULL : digest);
                if (r >= 0)
                        r = strv_split(flags, ",", &words);
                STRV_FOREACH(w, words)
                        if (r >= 0 && json_array_append_new(array, json_string(*w)) < 0)
                                r = -ENOMEM;
        }
        return r;
}

static int versions_print(AgentCtl *c, json_t *list) {
        static const char *const columns[] = { "VERSION", "STATE", "SHA256", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *item;
        size_t i;
        int r;

        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(list, i, item) {
                json_t *flags = json_object_get(item, "flags"), *flag;
                _cleanup_strv_free_ char **words = NULL;
                _cleanup_free_ char *text = NULL;
                bool current = false;
                size_t k;

                json_array_foreach(flags, k, flag) {
                        r = strv_extend(&words, strempty(json_string_value(flag)));
                        if (r < 0)
                                return r;
                        current = current || streq(strempty(json_string_value(flag)), "current");
                }
                text = strv_join(words, ", ");
                cli_table_add(t, current ? CLI_GOOD : CLI_PLAIN, json_text(item, "version"));
                cli_table_add(t, CLI_PLAIN, text);
                cli_table_addf(t, CLI_DIM, "%.16s", json_text(item, "sha256"));
        }
        return cli_table_print(t, !c->no_legend);
}

CliExit agentctl_versions(char *const *arguments, void *userdata) {
        AgentCtl *c = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_t *answer = NULL;
        json_t *list;
        CliExit code;
        int r;

        code = agentctl_bus_open(c);
        if (code != CLI_OK)
                return code;
        r = agentctl_new_call(c, BUS_UPDATER, NULL, "ListVersions", &m);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, 0, &e, &reply);
        if (r < 0)
                return agentctl_fail_bus(BUS_UPDATER, "Cannot list the versions", r, &e);

        answer = json_pack("{s:[]}", "versions");
        list = json_object_get(answer, "versions");
        r = list ? versions_read(reply, list) : -ENOMEM;
        if (r >= 0)
                r = c->json == CLI_JSON_OFF ? versions_print(c, list) : cli_json_print(answer, c->json);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot list the versions: %s", strerror(-r)) : CLI_OK;
}

/* {Version, Available, Message} */
static int check_read(sd_bus_message *m, json_t *answer) {
        const char *key, *contents, *text;
        int r, b;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r < 0)
                        return r;
                if (streq(key, "Available") && streq(contents, "b")) {
                        r = sd_bus_message_read(m, "v", "b", &b);
                        if (r >= 0)
                                r = json_set_bool(answer, "available", b);
                } else if ((streq(key, "Version") || streq(key, "Message")) && streq(contents, "s")) {
                        r = sd_bus_message_read(m, "v", "s", &text);
                        if (r >= 0)
                                r = json_set_string(answer, *key == 'V' ? "version" : "message",
                                                    isempty(text) ? NULL : text);
                } else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

static void check_print(json_t *answer) {
        const char *version = json_text(answer, "version"), *message = json_text(answer, "message");
        bool available = false;

        (void) json_get_bool(answer, "available", &available);
        if (available)
                cli_print("Version %s is available.", version);
        else if (isempty(version))
                cli_print("There is no release for this machine.");
        else
                cli_print("This machine is up to date; the newest release is %s.", version);
        if (!isempty(message))
                cli_print("%s", message);
}

CliExit agentctl_check_update(char *const *arguments, void *userdata) {
        AgentCtl *c = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_t *answer = json_object();
        CliExit code;
        int r;

        code = agentctl_bus_open(c);
        if (code != CLI_OK)
                return code;
        r = agentctl_new_call(c, BUS_AGENT, NULL, "CheckForUpdate", &m);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, CHECK_TIMEOUT, &e, &reply);
        if (r < 0)
                return agentctl_fail_bus(BUS_AGENT, "Cannot check for an update", r, &e);

        r = answer ? check_read(reply, answer) : -ENOMEM;
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read the agent's answer: %s", strerror(-r));
        if (c->json == CLI_JSON_OFF)
                check_print(answer);
        else if (cli_json_print(answer, c->json) < 0)
                return CLI_ERROR;
        return CLI_OK;
}
