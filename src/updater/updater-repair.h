/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For links that lead nowhere: picks a version that can run and sets both links to it. */

#include "updater-links.h"
#include "updater.h"

/* Holding the lock. current_failed: the agent's unit is in the failed state, so current is not the first choice. */
int updater_repair(Updater *u, const Links *links, bool current_failed, bool restart_agent);

/* Sets both links to version: the only case in which they move together. */
int updater_force_version(Updater *u, const char *version);
