/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the two bus objects say, as JSON: the one form from which both outputs are made. A member without a
 * value is left out. Calls block, with a time limit. */

#include "agentctl.h"
#include "bus-util.h"
#include "json.h"

typedef enum BusSide {
        BUS_AGENT,   /* never started by asking */
        BUS_UPDATER, /* activated by the bus */
} BusSide;

/* CLI_OK, or a code whose message has been printed. */
CliExit agentctl_bus_open(AgentCtl *c);

int agentctl_new_call(
                AgentCtl *c,
                BusSide side,
                const char *interface /* NULL: the side's own */,
                const char *method,
                sd_bus_message **ret);

/* Every property, and for the agent what GetStatus adds. -ENXIO: nobody is there (reterr says so). */
int agentctl_read_side(AgentCtl *c, BusSide side, json_t **ret, sd_bus_error *reterr);
/* An a{sv} at the message's position, added to object; unknown names and types are left out, empty texts
 * unless asked for (a change to nothing is a change). */
int agentctl_read_dictionary(sd_bus_message *m, BusSide side, bool keep_empty, json_t *object);
/* JSON name of a property; NULL if unknown. */
const char *agentctl_property_name(BusSide side, const char *property);

/* {} if there has never been a transaction. */
int agentctl_read_last_result(AgentCtl *c, json_t **ret, sd_bus_error *reterr);
int agentctl_parse_last_result(sd_bus_message *m, json_t **ret);

/* Prints what went wrong and what to do about it; the exit code follows from the kind of error. */
CliExit agentctl_fail_bus(BusSide side, const char *what, int error, const sd_bus_error *e);
