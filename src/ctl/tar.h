/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Archives in the ustar form of POSIX, written front to back: each entry is a header, its data, and padding;
 * two empty blocks end it. A file of 8 GiB and above has its size in binary, as GNU tar and libarchive write
 * and read it. Everything belongs to root. Errors are negative errno. */

#include "time-util.h"

#define TAR_BLOCK 512U
#define TAR_NAME_MAX 100U

/* name: below TAR_NAME_MAX, with a slash at its end for a directory (size 0). -ENAMETOOLONG. */
int tar_header(uint8_t ret[static TAR_BLOCK],
               const char *name,
               unsigned mode,
               uint64_t size,
               usec_t modified);
/* How many bytes of zero follow the data. */
size_t tar_padding(uint64_t size);
