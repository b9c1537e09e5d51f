/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is desired, changed in the store and told to the world. Worker's thread, within a job. */

#include "store-worker.h"

typedef struct DesiredChange {
        DesiredKind kind;
        const char *target; /* agent id, selector in its one spelling, "" */
        const char *version;
        const char *actor;
        bool retry;
} DesiredChange;

/* A version for a target, which replaces another one for the same target: *ret_before, if anybody wants it,
 * or NULL there. 0: it was so already, and nobody asked for a retry. 1: changed. */
int desired_change(
                StoreJob *j,
                Store *s,
                const DesiredChange *change,
                usec_t now,
                DesiredRecord *ret,
                char **ret_before);
/* A row that was read. */
int desired_drop(StoreJob *j, Store *s, const DesiredRecord *d, usec_t now);
/* Nothing is desired for this target alone any more; 0 also when nothing was, 1 when it was. */
int desired_forget(StoreJob *j, Store *s, DesiredKind kind, const char *target, usec_t now);
