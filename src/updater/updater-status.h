/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the D-Bus object shows, read from the links and the state directory as one picture: whoever of the updater's
 * processes changed something, this is where the others see it. Cheap enough to be read whenever a file changes. */

#include "updater-root.h"

typedef struct Status {
        char *state, *transaction, *current, *previous, *pending, *floor, *pinned;     /* never NULL, may be empty */
        uint64_t deadline_usec, root_version;
        uint32_t packaging;
        bool open;                                         /* a transaction, staging included */
} Status;

int status_read(UpdaterRoot *root, Status *ret);
void status_done(Status *s);
#define _cleanup_status_ _cleanup_(status_done)

/* Calls on_change with the D-Bus name of each property in which they differ. */
void status_compare(const Status *a, const Status *b, void (*on_change)(const char *property, void *userdata),
                    void *userdata);
