/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The updater's program as a library, so that several versions of it link from the same objects. */

#include "updater-conf.h"
#include "updater-root.h"
#include "updater-unit.h"

/* What every verb works with. units is NULL when PID 1 cannot be reached at all (installation into a directory). */
typedef struct Updater {
        UpdaterRoot *root;
        UpdaterConf conf;
        Units *units;
} Updater;

/* prefix: "", but for tests. */
int updater_new(Updater **ret, const char *prefix);
Updater *updater_free(Updater *u);
DEFINE_POINTER_CLEANUP(Updater, updater_free);

/* main() of the program; the result is its exit status. */
int updater_run(int argc, char *argv[]);
