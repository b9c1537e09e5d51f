/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-conf.h"

#include "log.h"

#define BACKSTOP_GRACE (30 * USEC_PER_SEC)

const ConfItem updater_conf_items[] = {
        { "Updater", "ConfirmTimeoutSec", conf_parse_sec, offsetof(UpdaterConf, confirm_timeout_usec) },
        { "Updater", "SoakSec", conf_parse_sec, offsetof(UpdaterConf, soak_usec) },
        { "Updater", "KeepVersions", conf_parse_unsigned, offsetof(UpdaterConf, keep_versions) },
        { "Updater", "DiskReserve", conf_parse_size, offsetof(UpdaterConf, disk_reserve) },
        { "Updater", "RemoteRollback", conf_parse_bool, offsetof(UpdaterConf, remote_rollback) },
        { "Updater", "LogLevel", conf_parse_log_level, offsetof(UpdaterConf, log_level) },
        {},
};

UpdaterConf updater_conf_default(void) {
        return (UpdaterConf) {
                .confirm_timeout_usec = 180 * USEC_PER_SEC,
                .soak_usec = 10 * USEC_PER_SEC,
                .keep_versions = 3,
                .disk_reserve = MIB(16),
                .remote_rollback = true,
                .log_level = LOG_INFO,
        };
}

static void clamp_usec(const char *key, usec_t *value, usec_t low, usec_t high) {
        usec_t v = CLAMP(*value, low, high);
        char text[TIMESPAN_MAX];

        if (v != *value)
                log_warning("%s= is out of range, using %s.", key, timespan_format(v, text));
        *value = v;
}

void updater_conf_clamp(UpdaterConf *c) {
        clamp_usec("ConfirmTimeoutSec", &c->confirm_timeout_usec, 5 * USEC_PER_SEC, USEC_PER_HOUR);
        clamp_usec("SoakSec", &c->soak_usec, USEC_PER_SEC, 10 * USEC_PER_MINUTE);

        /* the running one and the one to go back to; more than twenty is a mistake that fills disks */
        unsigned keep = CLAMP(c->keep_versions, 2U, 20U);
        if (keep != c->keep_versions)
                log_warning("KeepVersions= is out of range, using %u.", keep);
        c->keep_versions = keep;
}

int updater_conf_load(const char *path, UpdaterConf *ret) {
        UpdaterConf c = updater_conf_default();

        int r = conf_load(path, updater_conf_items, &c);
        if (r < 0)
                return r;
        updater_conf_clamp(&c);
        *ret = c;
        return 0;
}

usec_t updater_conf_backstop(const UpdaterConf *c) {
        return c->soak_usec + BACKSTOP_GRACE;
}
