/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Talks to PID 1 with bounded, blocking calls: for the verbs that do one thing after another and for the short calls
 * of the others. Over PID 1's own socket, so that it also works while the system bus is dead or was never there; over
 * the system bus where that socket cannot be reached. A connection that broke (PID 1 re-executed itself) is made again
 * once per call. Errors are negative errno, with the reason logged at debug. */

#include <systemd/sd-bus.h>

#include "macro.h"
#include "time-util.h"

typedef struct Units Units;

/* Appends the properties, "(sv)" each, of a transient unit. */
typedef int (*unit_fill_t)(sd_bus_message *m, const void *userdata);

int units_open(Units **ret);
Units *units_free(Units *u);
DEFINE_POINTER_CLEANUP(Units, units_free);

/* patience 0: the job is only queued. Otherwise waits for its end: 0 when it ended well, -EPROTO when it failed,
 * -EINPROGRESS when its end was not seen: PID 1 has taken the job on and keeps it. Everything else means that it did
 * not, as far as known (-ETIMEDOUT: it did not answer at all). -ENOENT: there is no such unit. */
int units_start(Units *u, const char *unit, usec_t patience);
int units_restart(Units *u, const char *unit, usec_t patience);
int units_stop(Units *u, const char *unit, usec_t patience);               /* one that is not loaded is stopped */
int units_reset_failed(Units *u, const char *unit);                        /* one that is not loaded has not failed */

/* Retries for a moment while an old unit of that name is still being unloaded. */
int units_start_transient(Units *u, const char *unit, unit_fill_t fill, const void *userdata, usec_t patience);
/* The call itself, for those who send it on a bus and a loop of their own. */
int unit_transient_message(sd_bus *bus, sd_bus_message **ret, const char *unit, unit_fill_t fill, const void *userdata);

/* ActiveState, "inactive" for a unit that is not there. */
int units_active_state(Units *u, const char *unit, char **ret);
int units_sub_state(Units *u, const char *unit, char **ret);               /* "dead" for one that is not there */
