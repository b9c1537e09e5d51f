/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What bounds the choice of versions: the floor (state directory, only ever rises), the pin (root-owned file in /etc,
 * the machine's owner sets it), the previous version (state directory), and what the package says of itself. Strings
 * given back are the caller's, NULL when there is nothing. */

#include "updater-root.h"

int floor_load(UpdaterRoot *root, char **ret);
int floor_raise(UpdaterRoot *root, const char *version);                   /* 1 raised, 0 it is as high already */
/* A machine without a floor takes every version. */
bool floor_allows(const char *floor, const char *version);

int previous_load(UpdaterRoot *root, char **ret);
int previous_save(UpdaterRoot *root, const char *version);

/* A pin file with rubbish in it is -EBADMSG: somebody meant to hold this machine, so nothing is installed. */
int pin_load(UpdaterRoot *root, char **ret);
int pin_set(UpdaterRoot *root, const char *version);
int pin_clear(UpdaterRoot *root);

int package_version_load(UpdaterRoot *root, char **ret);                   /* -ENOENT without a package, -EBADMSG */
int package_generation_load(UpdaterRoot *root, uint32_t *ret);             /* the same */
