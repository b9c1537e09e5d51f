/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-transient.h"

#include "names.h"
#include "string-util.h"

#define try(expr)                      \
        do {                           \
                int _r_ = (expr);      \
                if (_r_ < 0)           \
                        return _r_;    \
        } while (false)

/* (sv) with one value of a basic type. */
#define add(m, name, type, value) try(sd_bus_message_append((m), "(sv)", (name), (type), (value)))

/* ExecStart= and the like: one command after the other, each with at most one argument. */
static int add_commands(sd_bus_message *m, const char *property, const char *const commands[][2], size_t n) {
        try(sd_bus_message_open_container(m, 'r', "sv"));
        try(sd_bus_message_append(m, "s", property));
        try(sd_bus_message_open_container(m, 'v', "a(sasb)"));
        try(sd_bus_message_open_container(m, 'a', "(sasb)"));
        for (size_t i = 0; i < n; i++)
                try(sd_bus_message_append(m, "(sasb)", commands[i][0], 2, commands[i][0], commands[i][1], false));
        try(sd_bus_message_close_container(m));
        try(sd_bus_message_close_container(m));
        try(sd_bus_message_close_container(m));
        return 0;
}

/* What every program of ours can do without. */
static int add_sandbox(sd_bus_message *m) {
        add(m, "NoNewPrivileges", "b", true);
        add(m, "ProtectSystem", "s", "strict");
        add(m, "ProtectHome", "s", "yes");
        add(m, "PrivateTmp", "b", true);
        add(m, "PrivateDevices", "b", true);
        add(m, "ProtectKernelTunables", "b", true);
        add(m, "ProtectKernelModules", "b", true);
        add(m, "ProtectKernelLogs", "b", true);
        add(m, "ProtectControlGroups", "b", true);
        add(m, "ProtectClock", "b", true);
        add(m, "ProtectHostname", "b", true);
        add(m, "LockPersonality", "b", true);
        add(m, "MemoryDenyWriteExecute", "b", true);
        add(m, "RestrictRealtime", "b", true);
        add(m, "RestrictSUIDSGID", "b", true);
        add(m, "RestrictNamespaces", "t", (uint64_t) 0);
        add(m, "CapabilityBoundingSet", "t", (uint64_t) 0);
        try(sd_bus_message_append(m, "(sv)", "SystemCallArchitectures", "as", 1, "native"));
        return 0;
}

static int add_system_calls(sd_bus_message *m) {
        try(sd_bus_message_append(m, "(sv)", "SystemCallFilter", "(bas)", true, 1, "@system-service"));
        return 0;
}

int fill_apply_unit(sd_bus_message *m, const void *apply_unit) {
        const ApplyUnit *a = apply_unit;
        _cleanup_free_ char *updater = strjoinf("%s/" FLEET_LINK_GOOD "/updater", a->bin_path);
        if (!updater)
                return -ENOMEM;

        add(m, "Description", "s", "Trial of a new version of the fleet agent");
        add(m, "Type", "s", "exec");
        try(add_commands(m, "ExecStart", (const char *const[][2]) { { updater, "apply" } }, 1));
        /* a SIGTERM is no failure, so OnFailure= would stay silent upon it */
        try(add_commands(m, "ExecStopPost", (const char *const[][2]) { { updater, "settle" } }, 1));
        try(sd_bus_message_append(m, "(sv)", "OnFailure", "as", 1, FLEET_ROLLBACK_UNIT));
        add(m, "CollectMode", "s", "inactive-or-failed");
        add(m, "TimeoutStartUSec", "t", (uint64_t) (30 * USEC_PER_SEC));
        add(m, "TimeoutStopUSec", "t", (uint64_t) (60 * USEC_PER_SEC));
        add(m, "RuntimeMaxUSec", "t", (uint64_t) a->runtime_max_usec);

        try(add_sandbox(m));
        try(add_system_calls(m));
        add(m, "PrivateNetwork", "b", true);
        try(sd_bus_message_append(m, "(sv)", "RestrictAddressFamilies", "(bas)", true, 1, "AF_UNIX"));
        try(sd_bus_message_append(
                        m, "(sv)", "ReadWritePaths", "as", 3, a->bin_path, a->state_path,
                        "-" FLEET_UPDATER_RUNTIME_DIR));
        return 0;
}

int fill_timer_unit(sd_bus_message *m, const void *timer_unit) {
        const TimerUnit *t = timer_unit;

        add(m, "Description", "s", t->description);
        add(m, "CollectMode", "s", "inactive-or-failed");
        add(m, "RemainAfterElapse", "b", false);
        add(m, "AccuracyUSec", "t", (uint64_t) USEC_PER_SEC);
        try(sd_bus_message_append(m, "(sv)", "TimersMonotonic", "a(st)", 1, "OnActiveSec", (uint64_t) t->after_usec));
        return 0;
}

int fill_self_test_unit(sd_bus_message *m, const void *self_test_unit) {
        const SelfTestUnit *t = self_test_unit;
        _cleanup_free_ char *agent = strjoinf("%s/agent", t->directory);
        _cleanup_free_ char *updater = strjoinf("%s/updater", t->directory);
        _cleanup_free_ char *version = strjoinf(FLEET_SELF_TEST_VERSION "=%s", t->version);
        if (!agent || !updater || !version)
                return -ENOMEM;

        add(m, "Description", "s", "Self-test of a new version of the fleet agent");
        add(m, "Type", "s", "oneshot");
        try(add_commands(
                        m, "ExecStart",
                        (const char *const[][2]) { { agent, "--self-test" }, { updater, "--self-test" } }, 2));
        try(sd_bus_message_append(m, "(sv)", "Environment", "as", 1, version));
        add(m, "CollectMode", "s", "inactive-or-failed");
        add(m, "TimeoutStartUSec", "t", (uint64_t) SELF_TEST_TIMEOUT);
        add(m, "TimeoutStopUSec", "t", (uint64_t) (5 * USEC_PER_SEC));
        add(m, "DynamicUser", "b", true);
        add(m, "TasksMax", "t", (uint64_t) 64);
        add(m, "MemoryMax", "t", (uint64_t) MIB(512));
        add(m, "UMask", "u", (uint32_t) 0077);
        try(add_sandbox(m));
        add(m, "PrivateNetwork", "b", true);
        try(sd_bus_message_append(m, "(sv)", "RestrictAddressFamilies", "(bas)", true, 1, "AF_UNIX"));
        return 0;
}

int fill_probe_unit(sd_bus_message *m, const void *probe_unit) {
        const ProbeUnit *p = probe_unit;
        _cleanup_free_ char *agent = strjoinf("%s/" FLEET_LINK_GOOD "/agent", p->bin_path);
        if (!agent)
                return -ENOMEM;

        add(m, "Description", "s", "Does the previous version of the fleet agent reach the gateway?");
        add(m, "Type", "s", "oneshot");
        try(add_commands(m, "ExecStart", (const char *const[][2]) { { agent, "--probe-gateway" } }, 1));
        add(m, "CollectMode", "s", "inactive-or-failed");
        add(m, "TimeoutStartUSec", "t", (uint64_t) p->timeout_usec);
        add(m, "TimeoutStopUSec", "t", (uint64_t) USEC_PER_SEC);
        add(m, "User", "s", FLEET_AGENT_USER);
        add(m, "TasksMax", "t", (uint64_t) 64);
        try(add_sandbox(m));
        try(sd_bus_message_append(
                        m, "(sv)", "RestrictAddressFamilies", "(bas)", true, 3, "AF_UNIX", "AF_INET", "AF_INET6"));
        return 0;
}
