/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asks polkit whether the sender of a method call may do it. Root always may; where no polkit runs, only root may.
 * Asynchronous: the loop goes on while a person types a password. Belongs to the loop's thread. */

#include <systemd/sd-bus.h>

#include "macro.h"

typedef struct PolkitCheck PolkitCheck;

/* call: the method call in question. result: 1 allowed, 0 not, negative when polkit could not be asked or did not
 * answer in time (then nobody but root may; the handler should refuse). Freeing the check from here is allowed. */
typedef void (*polkit_on_answer_t)(PolkitCheck *c, sd_bus_message *call, int result, void *userdata);

/* 1: allowed at once, *ret stays NULL. 0: asked; on_answer follows once, *ret is the caller's. Negative: refuse. The
 * call's own flag decides whether a person may be asked; the answer is awaited for two minutes at most. */
int polkit_check_start(sd_bus_message *call, const char *action, polkit_on_answer_t on_answer, void *userdata,
                       PolkitCheck **ret);
/* Withdraws the question if it is still open; no callback after that. */
PolkitCheck *polkit_check_free(PolkitCheck *c);
DEFINE_POINTER_CLEANUP(PolkitCheck, polkit_check_free);
