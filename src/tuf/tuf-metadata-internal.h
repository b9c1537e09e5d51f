/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the files tuf-metadata*.c alone. Readers fill in m; what is half filled in is freed by the
 * caller. */

#include "tuf-metadata.h"

int tuf_metadata_read_root(TufMetadata *m, json_t *signed_, char **reterr_message);
int tuf_metadata_read_files(
                TufMetadata *m, json_t *signed_, char **reterr_message); /* timestamp, snapshot */
int tuf_metadata_read_targets(TufMetadata *m, json_t *signed_, char **reterr_message);

/* An integer in [min, max]; -EBADMSG (-ENOENT absent). 7.0 and 2^63 are no integers to us. */
int tuf_read_u64(json_t *object, const char *key, uint64_t min, uint64_t max, uint64_t *ret);
/* "hashes": at least one of the two must be there. 0, or -EBADMSG. */
int tuf_read_hashes(
                json_t *hashes,
                bool *ret_has_sha256,
                uint8_t sha256[static SHA256_SIZE],
                bool *ret_has_sha512,
                uint8_t sha512[static 64]);
