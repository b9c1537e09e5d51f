/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The object /org/fleetagent/Updater1: its vtable, and who may do what. Arguments are capped before they are used;
 * Install is for the agent's user alone (the bus policy says the same), the verbs that change something ask polkit. */

#include <systemd/sd-bus.h>

#include "phase.h"
#include "updater.h"

typedef struct BusObject BusObject;

/* on_use: somebody called, so do not leave yet. */
int bus_object_new(BusObject **ret, Updater *u, sd_bus *bus, void (*on_use)(void *userdata), void *userdata);
BusObject *bus_object_free(BusObject *o);
DEFINE_POINTER_CLEANUP(BusObject, bus_object_free);

/* Reads the state anew and announces what is different. */
void bus_object_refresh(BusObject *o);
/* A transaction is open, or a call has not been answered. */
bool bus_object_is_busy(const BusObject *o);

/* "gateway-unreachable" as "org.fleetagent.Error.GatewayUnreachable". NULL on lack of memory. */
char *verdict_error_name(UpdateVerdict v);
