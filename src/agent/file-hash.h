/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* SHA-256 of the first bytes of a file, a piece per turn of the loop, so that tens of megabytes do not keep
 * the watchdog waiting. */

#include <systemd/sd-event.h>

#include "crypto.h"
#include "macro.h"

typedef struct FileHash FileHash;
/* error: 0, -ENODATA when the file is shorter than size, or of reading. hash: over the bytes, still open for
 * more; the receiver takes it over; NULL on error. file_hash_free() is allowed in here. */
typedef void (*file_hash_on_done_t)(FileHash *h, int error, Sha256 *hash, void *userdata);

/* fd: borrowed, must stay open; its offset does not matter and does not move. */
int file_hash_start(
                FileHash **ret,
                sd_event *event,
                int fd,
                uint64_t size,
                file_hash_on_done_t on_done,
                void *userdata);
FileHash *file_hash_free(FileHash *h); /* cancels */
DEFINE_POINTER_CLEANUP(FileHash, file_hash_free);
