/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Versions as in SemVer 2.0.0: parsing (strict) and precedence (§11). Build metadata is refused: it has no order,
 * and two versions that compare equal would share a directory. Pure. */

#include "macro.h"

#define VERSION_TEXT_MAX 64

bool version_is_valid(const char *s);
/* Both must be valid. <0, 0, >0. */
int version_compare(const char *a, const char *b);

/* Text whose order byte by byte is the order of precedence, for databases: a number is preceded by a letter for its
 * length, and a release comes after everything that begins like one of its pre-releases. The version must be valid. */
#define VERSION_KEY_MAX (3 * VERSION_TEXT_MAX)
const char *version_sort_key(const char *s, char buf[static VERSION_KEY_MAX]);

/* The version this binary was built as, and the trusted root compiled in (NULL, 0 without one). They come from
 * generated files, so that several versions link from the same objects. */
extern const char fleet_version[];
extern const unsigned char fleet_trusted_root[];
extern const size_t fleet_trusted_root_size;
