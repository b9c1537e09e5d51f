/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* /etc/fleet-agent/updater.conf and its drop-ins: what decides a rollback is root's, never pushed by a gateway. */

#include "conf.h"
#include "time-util.h"

typedef struct UpdaterConf {
        usec_t confirm_timeout_usec;                       /* to reach the gateway with the new version */
        usec_t soak_usec;                                  /* and to stay there */
        unsigned keep_versions;
        uint64_t disk_reserve;                             /* bytes that staging leaves free */
        bool remote_rollback;                              /* may the gateway have this machine go back? */
        int log_level;
} UpdaterConf;

extern const ConfItem updater_conf_items[];
UpdaterConf updater_conf_default(void);
void updater_conf_clamp(UpdaterConf *c);                   /* warns about what it changes */
int updater_conf_load(const char *path, UpdaterConf *ret);

/* How long after a trial's deadline PID 1's timer steps in: the soak may go on beyond the deadline, and going back
 * takes its time. */
usec_t updater_conf_backstop(const UpdaterConf *c);
