/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sd-bus helpers: cleanup functions and PropertiesChanged collected per turn of the loop. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "macro.h"


static inline void bus_error_cleanup(sd_bus_error *e) {
        sd_bus_error_free(e);
}
#define _cleanup_bus_error_ _cleanup_(bus_error_cleanup)

/* Text of a failed call: the error's message if there is one, else strerror(r). Valid as long as e is. */
const char *bus_error_text(const sd_bus_error *e, int r);

/* Collects changed properties of one interface and sends one PropertiesChanged when the loop comes round. */
typedef struct BusChanges BusChanges;
int bus_changes_new(BusChanges **ret, sd_bus *bus, const char *path, const char *interface);
BusChanges *bus_changes_free(BusChanges *c);
DEFINE_POINTER_CLEANUP(BusChanges, bus_changes_free);
int bus_changes_add(BusChanges *c, const char *property);   /* property: a static string */
void bus_changes_flush(BusChanges *c);
