/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-agent.h"

#include "bus-util.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "updater-mark.h"

#define START_PATIENCE (20 * USEC_PER_SEC)
#define SOCKET_PATIENCE (10 * USEC_PER_SEC)
#define ANSWER_PATIENCE (3 * USEC_PER_SEC)

bool agent_needs_start(UpdaterRoot *root, const char *active_state) {
        return streq(active_state, "failed") ||
                (streq(active_state, "inactive") && mark_is(root, MARK_BRING_UP, NULL));
}

int agent_bring_up(Updater *u, bool restart) {
        int r;

        if (!u->units)
                return log_error_errno(-ENOTCONN, "Cannot reach PID 1; " FLEET_AGENT_UNIT " has to be started by hand.");

        /* Between the reset and the start it looks as if somebody had stopped it. */
        mark_set(u->root, MARK_BRING_UP, "yes");

        /* A start limit that the service has hit has also failed the socket, and restarts of ours count against it. */
        r = units_reset_failed(u->units, FLEET_AGENT_UNIT);
        if (r < 0)
                log_warning_errno(r, "Failed to reset the failed state of " FLEET_AGENT_UNIT ", going on: %m");
        r = units_reset_failed(u->units, FLEET_AGENT_SOCKET_UNIT);
        if (r < 0)
                log_warning_errno(r, "Failed to reset the failed state of " FLEET_AGENT_SOCKET_UNIT ", going on: %m");

        r = units_start(u->units, FLEET_AGENT_SOCKET_UNIT, SOCKET_PATIENCE);
        if (r < 0 && r != -ENOENT)
                log_warning_errno(r, "Failed to start " FLEET_AGENT_SOCKET_UNIT ", going on: %m");

        r = restart ? units_restart(u->units, FLEET_AGENT_UNIT, START_PATIENCE) :
                      units_start(u->units, FLEET_AGENT_UNIT, START_PATIENCE);
        if (r < 0 && !IN_SET(r, -EPROTO, -EINPROGRESS))
                return log_error_errno(r, "Failed to start " FLEET_AGENT_UNIT ": %m");
        mark_clear(u->root, MARK_BRING_UP);
        if (r < 0)
                log_warning_errno(r, FLEET_AGENT_UNIT " did not come up at once; PID 1 goes on trying.");
        return 0;
}

bool agent_is_connected(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *get = NULL, *reply = NULL;
        const char *state;

        int r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                                bus, &get, FLEET_AGENT_BUS_NAME, FLEET_AGENT_BUS_PATH,
                                "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(get, false);
        if (r >= 0)
                r = sd_bus_message_append(get, "ss", FLEET_AGENT_BUS_INTERFACE, "GatewayState");
        if (r >= 0)
                r = sd_bus_call(bus, get, ANSWER_PATIENCE, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "v", "s", &state);
        if (r < 0)
                log_debug("The agent does not say whether it is connected: %s", bus_error_text(&error, r));
        return r >= 0 && streq(state, "connected");
}
