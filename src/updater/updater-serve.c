/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-serve.h"

#include <limits.h>
#include <sys/inotify.h>

#include "bus-util.h"
#include "daemon.h"
#include "event-util.h"
#include "fd-util.h"
#include "log.h"
#include "names.h"
#include "updater-bus.h"
#include "updater-mend.h"

#define IDLE_TIME (30 * USEC_PER_SEC)
#define SETTLE_TIME (20 * USEC_PER_MSEC)                   /* one picture for a burst of changes */

typedef struct Serve {
        Updater *updater;
        sd_event *event;
        sd_bus *bus;
        BusObject *object;
        sd_event_source *idle_source, *refresh_source, *state_source, *bin_source, *config_source;
} Serve;

static void serve_done(Serve *s) {
        sd_event_source_disable_unref(s->idle_source);
        sd_event_source_disable_unref(s->refresh_source);
        sd_event_source_disable_unref(s->state_source);
        sd_event_source_disable_unref(s->bin_source);
        sd_event_source_disable_unref(s->config_source);
        bus_object_free(s->object);
        sd_bus_flush_close_unref(s->bus);
        sd_event_unref(s->event);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata);

static void rest(Serve *s) {
        int r = event_timer_arm(s->event, &s->idle_source, IDLE_TIME, on_idle, s, "idle");
        if (r < 0)
                log_debug_errno(r, "Failed to arm the idle timer, staying: %m");
}

/* Leaves without losing a call: PID 1 starts another one for whoever comes after the name is given up. */
static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Serve *s = userdata;

        if (bus_object_is_busy(s->object)) {
                rest(s);
                return 0;
        }
        daemon_notify_stopping("Idle.");
        int r = sd_bus_release_name(s->bus, FLEET_UPDATER_BUS_NAME);
        if (r < 0)
                log_debug_errno(r, "Failed to give up the bus name, going on: %m");
        do
                r = sd_bus_process(s->bus, NULL); /* what came before that */
        while (r > 0);
        if (bus_object_is_busy(s->object)) { /* and it was work */
                r = sd_bus_request_name(s->bus, FLEET_UPDATER_BUS_NAME, 0);
                if (r < 0)
                        log_warning_errno(r, "Failed to take the bus name again, going on: %m");
                rest(s);
                return 0;
        }
        return sd_event_exit(s->event, 0);
}

static void on_use(void *userdata) {
        rest(userdata);
}

static int on_refresh(sd_event_source *source, uint64_t usec, void *userdata) {
        Serve *s = userdata;

        bus_object_refresh(s->object);
        rest(s);
        return 0;
}

static int on_inotify(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Serve *s = userdata;

        int r = event_timer_arm(s->event, &s->refresh_source, SETTLE_TIME, on_refresh, s, "refresh");
        if (r < 0)
                log_debug_errno(r, "Failed to look at what changed, ignoring: %m");
        return 0;
}

static void follow(Serve *s, sd_event_source **source, const char *path) {
        int r = sd_event_add_inotify(
                        s->event, source, path, IN_MOVED_TO | IN_DELETE | IN_ONLYDIR, on_inotify, s);
        if (r < 0)
                log_warning_errno(r, "Cannot follow changes in %s, going on: %m", path);
}

/* What an updater that died in staging has left, and the like. Whoever holds the lock does that itself. */
static void clean_up(Updater *u) {
        _cleanup_close_ int lock = -EBADF;

        if (updater_root_lock(u->root, 0, &lock) >= 0)
                (void) updater_mend(u, UPDATER_SERVE);
}

int updater_serve(Updater *u) {
        _cleanup_(serve_done) Serve s = { .updater = u };
        int r;

        clean_up(u);
        r = event_setup_daemon(&s.event);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the event loop: %m");
        r = sd_bus_open_system(&s.bus);
        if (r < 0)
                return log_error_errno(r, "Failed to connect to the system bus: %m");
        r = sd_bus_attach_event(s.bus, s.event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return log_error_errno(r, "Failed to attach the bus to the event loop: %m");
        r = sd_bus_set_exit_on_disconnect(s.bus, true);
        if (r < 0)
                return log_error_errno(r, "Failed to prepare the bus connection: %m");
        r = bus_object_new(&s.object, u, s.bus, on_use, &s);
        if (r < 0)
                return log_error_errno(r, "Failed to publish the bus object: %m");

        follow(&s, &s.state_source, u->root->state_path);
        follow(&s, &s.bin_source, u->root->bin_path);
        follow(&s, &s.config_source, u->root->config_path);

        r = sd_bus_request_name(s.bus, FLEET_UPDATER_BUS_NAME, 0);
        if (r < 0)
                return log_error_errno(r, "Failed to take the bus name " FLEET_UPDATER_BUS_NAME ": %m");
        rest(&s);
        daemon_notify_ready("Waiting for calls.");
        r = sd_event_loop(s.event);
        return r < 0 ? log_error_errno(r, "The event loop failed: %m") : 0;
}
