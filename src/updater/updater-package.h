/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The packaged payload: /opt/fleet-agent/package/{agent,updater,VERSION,PACKAGING}. It is never run from there (but
 * for "updater adopt" and as the last resort of the rollback unit). */

#include "updater-stage.h"
#include "updater.h"

/* A stage filled with the packaged binaries, not copied yet, and their version. -ENOENT without a package. */
int package_stage(Updater *u, Stage **ret, char **ret_version);

/* Copies it into bin/v<version> unless the very same is there. Without force a version below the floor is refused
 * with -EPERM. Blocking. */
int package_copy(Updater *u, bool force, char **ret_version);
