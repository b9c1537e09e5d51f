/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Metadata files in hand: name and bytes, as they come in an Install call. Caps are checked before anything
 * is copied. Pure. */

#include "tuf-metadata.h"

#define TUF_BYTES_FILES_MAX (TUF_ROOT_ROTATIONS_MAX + 3U)
#define TUF_BYTES_SIZE_MAX (4U * 1024U * 1024U) /* of all together */

typedef struct TufBytes TufBytes;

int tuf_bytes_new(TufBytes **ret);
TufBytes *tuf_bytes_free(TufBytes *b);
DEFINE_POINTER_CLEANUP(TufBytes, tuf_bytes_free);

/* Copies data. name: "N.root.json", "timestamp.json", "V.snapshot.json" or "V.targets.json", else -EINVAL;
 * -EEXIST for a second one of that name, -EFBIG above the role's cap, -E2BIG above those of the
 * collection. */
int tuf_bytes_add(TufBytes *b, const char *name, const void *data, size_t size);
/* The bytes stay the collection's. -ENOENT. */
int tuf_bytes_get(const TufBytes *b, const char *name, const void **ret, size_t *ret_size);
size_t tuf_bytes_count(const TufBytes *b);
/* i from 0; false at the end. In the order in which they were added. */
bool tuf_bytes_item(
                const TufBytes *b, size_t i, const char **ret_name, const void **ret_data, size_t *ret_size);
