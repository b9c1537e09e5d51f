/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The trial: swap, restart, watch, then commit or go back. Runs in a transient unit of its own, as good/updater, so
 * that neither the restart of the agent nor that of the updater's service can end it. */

#include "updater.h"

/* 0 when the transaction has come to an end, whichever; negative when somebody else has to bring it to one. */
int updater_apply(Updater *u);

/* Starts what this runs in: PID 1's backstop timer, then the transient unit. The record must be on disk. */
int apply_launch(Updater *u, usec_t deadline_usec);
/* (Re)arms the backstop for a deadline. */
int backstop_arm(Updater *u, usec_t deadline_usec);
