/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-unit.h"

#include <time.h>

#include "alloc-util.h"
#include "bus-util.h"
#include "errno-util.h"
#include "log.h"
#include "string-util.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define PRIVATE_ADDRESS "unix:path=/run/systemd/private"
#define CALL_TIMEOUT (10 * USEC_PER_SEC)
#define NAME_TAKEN_TRIES 20U
#define NAME_TAKEN_STOP USEC_PER_SEC
#define NAME_TAKEN_PAUSE (50 * USEC_PER_MSEC)

struct Units {
        sd_bus *bus;
        sd_bus_slot *slot;
        char *job;                                         /* the one waited for */
        char *job_result;                                  /* set when it ended */
};

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        const char *path, *unit, *result;
        Units *u = userdata;
        uint32_t id;

        int r = sd_bus_message_read(m, "uoss", &id, &path, &unit, &result);
        if (r < 0)
                return log_debug_errno(r, "Malformed JobRemoved, ignoring: %m"), 0;
        if (streq_ptr(path, u->job))
                (void) free_and_strdup(&u->job_result, result);
        return 0;
}

static int open_private(sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;

        int r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, PRIVATE_ADDRESS);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int connect_bus(Units *u) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        u->slot = sd_bus_slot_unref(u->slot);
        u->bus = sd_bus_flush_close_unref(u->bus);

        r = open_private(&u->bus);
        if (r < 0) {
                log_debug_errno(r, "Cannot use PID 1's own socket, trying the system bus: %m");
                r = sd_bus_open_system(&u->bus);
                if (r < 0)
                        return r;
        }
        r = sd_bus_set_method_call_timeout(u->bus, CALL_TIMEOUT);
        if (r < 0)
                return r;
        r = sd_bus_match_signal(
                        u->bus, &u->slot, NULL, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_job_removed, u);
        if (r < 0)
                return r;
        /* signals come unasked over PID 1's own socket, and only for subscribers over the bus */
        r = sd_bus_call_method(u->bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", &error, NULL, NULL);
        if (r < 0)
                log_debug("Failed to subscribe to PID 1's signals, ignoring: %s", bus_error_text(&error, r));
        return 0;
}

int units_open(Units **ret) {
        _cleanup_(units_freep) Units *u = new0(Units, 1);
        if (!u)
                return -ENOMEM;

        int r = connect_bus(u);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(u);
        return 0;
}

Units *units_free(Units *u) {
        if (!u)
                return NULL;
        sd_bus_slot_unref(u->slot);
        sd_bus_flush_close_unref(u->bus);
        free(u->job);
        free(u->job_result);
        free(u);
        return NULL;
}

static bool connection_broke(int r) {
        return IN_SET(r, -ECONNRESET, -ENOTCONN, -EPIPE, -ESHUTDOWN, -ECONNREFUSED);
}

static int error_to_errno(const sd_bus_error *e, int r) {
        if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
                return -ENOENT;
        if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.UnitExists"))
                return -EEXIST;
        return r;
}

/* Sends what make() builds; makes it anew on a new connection when the old one turns out to be broken. */
typedef int (*make_message_t)(Units *u, sd_bus_message **ret, const void *userdata);

static int call(Units *u, make_message_t make, const void *userdata, sd_bus_message **ret) {
        for (bool retried = false;; retried = true) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
                int r;

                if (!u->bus) { /* an earlier attempt to connect again failed */
                        r = connect_bus(u);
                        if (r < 0)
                                return r;
                }
                r = make(u, &m, userdata);
                if (r >= 0)
                        r = sd_bus_call(u->bus, m, CALL_TIMEOUT, &error, ret);
                if (r >= 0)
                        return 0;
                if (!connection_broke(r) || retried)
                        return log_debug_errno(
                                        error_to_errno(&error, r), "PID 1 refused %s: %s",
                                        m ? sd_bus_message_get_member(m) : "a call", bus_error_text(&error, r));
                r = connect_bus(u);
                if (r < 0)
                        return r;
        }
}

/* Until the job that reply names has ended; PID 1 has it, so that whatever goes wrong here is no failure of it. */
static int wait_for_job(Units *u, sd_bus_message *reply, usec_t patience) {
        const char *path;

        int r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;
        if (patience == 0)
                return 0;
        r = free_and_strdup(&u->job, path);
        if (r < 0)
                return log_debug_errno(r, "Cannot wait for a job: %m"), -EINPROGRESS;
        (void) free_and_strdup(&u->job_result, NULL);

        for (usec_t end = usec_add(now(CLOCK_BOOTTIME), patience);;) {
                r = sd_bus_process(u->bus, NULL);
                if (r < 0)
                        return log_debug_errno(r, "PID 1 went away while it had a job: %m"), -EINPROGRESS;
                if (u->job_result)
                        return streq(u->job_result, "done") || streq(u->job_result, "skipped") ? 0 : -EPROTO;
                if (r > 0)
                        continue;
                usec_t left = usec_sub(end, now(CLOCK_BOOTTIME));
                if (left == 0)
                        return -EINPROGRESS;
                r = sd_bus_wait(u->bus, left);
                if (r < 0 && r != -EINTR)
                        return log_debug_errno(r, "Cannot wait for a job: %m"), -EINPROGRESS;
        }
}

typedef struct UnitCall {
        const char *method, *unit;
        bool with_mode;
} UnitCall;

static int make_unit_call(Units *u, sd_bus_message **ret, const void *userdata) {
        const UnitCall *c = userdata;

        int r = sd_bus_message_new_method_call(u->bus, ret, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, c->method);
        if (r < 0)
                return r;
        return c->with_mode ? sd_bus_message_append(*ret, "ss", c->unit, "replace") :
                              sd_bus_message_append(*ret, "s", c->unit);
}

static int unit_job(Units *u, const char *method, const char *unit, usec_t patience) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        int r = call(u, make_unit_call, &(UnitCall) { method, unit, true }, &reply);
        return r < 0 ? r : wait_for_job(u, reply, patience);
}

int units_start(Units *u, const char *unit, usec_t patience) {
        return unit_job(u, "StartUnit", unit, patience);
}

int units_restart(Units *u, const char *unit, usec_t patience) {
        return unit_job(u, "RestartUnit", unit, patience);
}

int units_stop(Units *u, const char *unit, usec_t patience) {
        int r = unit_job(u, "StopUnit", unit, patience);
        return r == -ENOENT ? 0 : r;
}

int units_reset_failed(Units *u, const char *unit) {
        int r = call(u, make_unit_call, &(UnitCall) { "ResetFailedUnit", unit, false }, NULL);
        return r == -ENOENT ? 0 : r;
}

int unit_transient_message(
                sd_bus *bus, sd_bus_message **ret, const char *unit, unit_fill_t fill, const void *userdata) {

        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        int r = sd_bus_message_new_method_call(
                        bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "ss", unit, "fail");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r < 0)
                return r;
        r = fill(m, userdata);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

typedef struct TransientCall {
        const char *unit;
        unit_fill_t fill;
        const void *userdata;
} TransientCall;

static int make_transient_call(Units *u, sd_bus_message **ret, const void *userdata) {
        const TransientCall *c = userdata;
        return unit_transient_message(u->bus, ret, c->unit, c->fill, c->userdata);
}

int units_start_transient(Units *u, const char *unit, unit_fill_t fill, const void *userdata, usec_t patience) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        TransientCall c = { unit, fill, userdata };
        int r = -EEXIST;

        for (unsigned i = 0; i < NAME_TAKEN_TRIES; i++) {
                r = call(u, make_transient_call, &c, &reply);
                if (r != -EEXIST)
                        break;
                /* In spite of CollectMode= one that has ended may stay until something touches it: one that failed
                 * goes upon the first of these, one that did not upon the second. */
                (void) units_reset_failed(u, unit);
                (void) units_stop(u, unit, NAME_TAKEN_STOP);
                (void) clock_nanosleep(
                                CLOCK_MONOTONIC, 0, &(struct timespec) { .tv_nsec = NAME_TAKEN_PAUSE * NSEC_PER_USEC },
                                NULL);
        }
        return r < 0 ? r : wait_for_job(u, reply, patience);
}

static int make_get_unit(Units *u, sd_bus_message **ret, const void *userdata) {
        int r = sd_bus_message_new_method_call(u->bus, ret, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "GetUnit");
        return r < 0 ? r : sd_bus_message_append(*ret, "s", (const char *) userdata);
}

static int unit_property(Units *u, const char *unit, const char *property, const char *absent, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        int r = call(u, make_get_unit, unit, &reply);
        if (r == -ENOENT) {
                *ret = strdup(absent);
                return *ret ? 0 : -ENOMEM;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;
        r = sd_bus_get_property_string(
                        u->bus, SYSTEMD_NAME, path, "org.freedesktop.systemd1.Unit", property, &error, ret);
        return r < 0 ? r : 0;
}

int units_active_state(Units *u, const char *unit, char **ret) {
        return unit_property(u, unit, "ActiveState", "inactive", ret);
}

int units_sub_state(Units *u, const char *unit, char **ret) {
        return unit_property(u, unit, "SubState", "dead", ret);
}
