/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Versions as in SemVer 2.0.0: parsing (strict) and precedence (§11). Build metadata is refused: it has no order,
 * and two versions that compare equal would share a directory. Pure. */

#include "macro.h"

#define VERSION_TEXT_MAX 64

bool version_is_valid(const char *s);
/* Both must be valid. <0, 0, >0. */
int version_compare(const char *a, const char *b);

/* The version this binary was built as, and the trusted root compiled in (NULL, 0 without one). They come from
 * generated files, so that several versions link from the same objects. */
extern const char fleet_version[];
extern const unsigned char fleet_trusted_root[];
extern const size_t fleet_trusted_root_size;
