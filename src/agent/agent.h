/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The agent as a program. Its version and trusted root come from the identity library that the program
 * links, so that other versions are linked from the same objects. */

#include "macro.h"
#include "time-util.h"

/* All of main(): returns the exit status. */
int agent_run(int argc, char *argv[]);
