/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Called by the package's scripts after its files are in place: makes the packaged version the running one. On a new
 * machine it copies it and sets both links, also where no PID 1 runs (images). Otherwise, if it is newer than what
 * runs, it goes through the ordinary transaction, which begins here and goes on in the background. -EBUSY: another one
 * is open, or at work for longer than is to be waited for; nothing was done. */

#include "updater.h"

int updater_adopt(Updater *u);
