/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-self-test.h"

#include <signal.h>

#include "alloc-util.h"
#include "bus-util.h"
#include "event-util.h"
#include "log.h"
#include "names.h"
#include "string-util.h"

#define STOP_PATIENCE (5 * USEC_PER_SEC)
#define OVERALL_TIMEOUT (2 * SELF_TEST_TIMEOUT + 15 * USEC_PER_SEC)

/* Of systemd: below begins what it could not do before it executed a binary, and this one is about the binary. */
#define EXIT_SYSTEMD_FIRST 200
#define EXIT_EXEC 203

struct SelfTest {
        sd_bus_slot *job_slot, *start_slot, *subscribe_slot, *fate_slot;
        int32_t code, status;                              /* of the last process, as in siginfo_t */
        sd_event_source *timeout_source;
        char *job;
        self_test_on_finish_t on_finish;
        void *userdata;
};

int self_test_judge(const char *job_result, int32_t code, int32_t status) {
        if (streq(job_result, "done"))
                return 1;
        if (!streq(job_result, "failed") && !streq(job_result, "timeout"))
                return -ECANCELED;
        if (code == 0)
                return -ECHILD;
        return code == CLD_EXITED && status >= EXIT_SYSTEMD_FIRST && status != EXIT_EXEC ? -ECHILD : 0;
}

static int read_fate(SelfTest *t, sd_bus_message *m) {
        const char *name;

        int r = sd_bus_message_skip(m, "s");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r < 0)
                        return r;
                r = streq(name, "ExecMainCode") ? sd_bus_message_read(m, "v", "i", &t->code) :
                        streq(name, "ExecMainStatus") ? sd_bus_message_read(m, "v", "i", &t->status) :
                        sd_bus_message_skip(m, "v");
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r;
}

/* A unit that has failed is gone at once, so that it cannot be asked afterwards; this comes before its job's end. */
static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        int r = read_fate(userdata, m);
        if (r < 0)
                log_debug_errno(r, "Malformed PropertiesChanged of " FLEET_SELF_TEST_UNIT ", ignoring: %m");
        return 0;
}

static int follow_fate(SelfTest *t, sd_bus *bus) {
        _cleanup_free_ char *path = NULL;

        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", FLEET_SELF_TEST_UNIT, &path);
        if (r < 0)
                return r;
        return sd_bus_match_signal(
                        bus, &t->fate_slot, "org.freedesktop.systemd1", path, "org.freedesktop.DBus.Properties",
                        "PropertiesChanged", on_properties, t);
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        const char *path, *unit, *result;
        SelfTest *t = userdata;
        uint32_t id;

        int r = sd_bus_message_read(m, "uoss", &id, &path, &unit, &result);
        if (r < 0 || !streq_ptr(path, t->job))
                return 0;
        r = self_test_judge(result, t->code, t->status);
        if (r < 0)
                log_error(FLEET_SELF_TEST_UNIT " could not be run (%s, code %i, status %i).", result, t->code, t->status);
        t->on_finish(t, r, t->userdata);
        return 0;
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        SelfTest *t = userdata;
        const char *path;

        const sd_bus_error *e = sd_bus_message_get_error(m);
        int r = e ? -sd_bus_error_get_errno(e) : sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = free_and_strdup(&t->job, path);
        if (r < 0) {
                log_error("Failed to start " FLEET_SELF_TEST_UNIT ": %s", bus_error_text(e, r));
                t->on_finish(t, MIN(r, -1), t->userdata);
        }
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        SelfTest *t = userdata;

        log_error(FLEET_SELF_TEST_UNIT " did not come to an end.");
        t->on_finish(t, 0, t->userdata);
        return 0;
}

static int on_ignored(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        return 0;
}

int self_test_start(
                SelfTest **ret, Updater *u, sd_bus *bus, const SelfTestUnit *unit,
                self_test_on_finish_t on_finish, void *userdata) {

        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(self_test_freep) SelfTest *t = new0(SelfTest, 1);
        int r;
        if (!t)
                return -ENOMEM;

        *t = (SelfTest) { .on_finish = on_finish, .userdata = userdata };
        if (u->units) { /* one that an updater which died has left running */
                r = units_stop(u->units, FLEET_SELF_TEST_UNIT, STOP_PATIENCE);
                if (r < 0)
                        log_debug_errno(r, "Failed to stop " FLEET_SELF_TEST_UNIT ", going on: %m");
                (void) units_reset_failed(u->units, FLEET_SELF_TEST_UNIT);
        }

        r = sd_bus_match_signal(
                        bus, &t->job_slot, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                        "org.freedesktop.systemd1.Manager", "JobRemoved", on_job_removed, t);
        if (r < 0)
                return r;
        r = sd_bus_call_method_async(
                        bus, &t->subscribe_slot, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                        "org.freedesktop.systemd1.Manager", "Subscribe", on_ignored, t, NULL);
        if (r < 0)
                return r;
        r = follow_fate(t, bus);
        if (r < 0)
                return r;
        r = unit_transient_message(bus, &m, FLEET_SELF_TEST_UNIT, fill_self_test_unit, unit);
        if (r < 0)
                return r;
        r = sd_bus_call_async(bus, &t->start_slot, m, on_started, t, 0);
        if (r < 0)
                return r;
        r = event_timer_arm(
                        sd_bus_get_event(bus), &t->timeout_source, OVERALL_TIMEOUT, on_timeout, t, "self-test-timeout");
        if (r < 0)
                return r;

        *ret = TAKE_PTR(t);
        return 0;
}

SelfTest *self_test_free(SelfTest *t) {
        if (!t)
                return NULL;
        sd_bus_slot_unref(t->job_slot);
        sd_bus_slot_unref(t->start_slot);
        sd_bus_slot_unref(t->subscribe_slot);
        sd_bus_slot_unref(t->fate_slot);
        sd_event_source_disable_unref(t->timeout_source);
        free(t->job);
        free(t);
        return NULL;
}
