/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The D-Bus service org.fleetagent.Updater1: one loop, one object, leaves when it is idle. */

#include "updater.h"

int updater_serve(Updater *u);
