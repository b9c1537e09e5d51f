/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Copies the two binaries of a version into bin/.v<version>.new while hashing what is written, and publishes the
 * directory as bin/v<version>. The copy goes in pieces, so that a loop may stay alive. Nothing of it is visible under
 * its final name before everything is verified, tested and on disk. Freeing removes what was not published. */

#include "crypto.h"
#include "updater-root.h"

typedef struct Stage Stage;

int stage_new(Stage **ret, UpdaterRoot *root, const char *version);
Stage *stage_free(Stage *s);
DEFINE_POINTER_CLEANUP(Stage, stage_free);

/* file: "agent" or "updater". fd (borrowed, duplicated) must be a regular file of exactly length bytes; it is read
 * from its beginning whatever its offset. sha256 NULL: any content. -EFBIG: not of that length; -EEXIST. */
int stage_add(Stage *s, const char *file, int fd, uint64_t length, const uint8_t *sha256);

/* Copies a piece. 1: there is more. 0: everything is copied, as signed, and on disk. -EBADMSG: the content is not the
 * one expected (stage_problem() names it); errno_is_disk_space() and others as they come. */
int stage_step(Stage *s);
const char *stage_problem(const Stage *s);
uint64_t stage_bytes_done(const Stage *s);

/* Where the copies lie now, absolute: for the self-test. */
const char *stage_path(const Stage *s);
void stage_digest(const Stage *s, char ret[static SHA256_HEX_MAX]);        /* release_digest() of both; after step 0 */

/* Renames to bin/v<version>; what lay there under that name (no link may lead to it) goes. Durable. */
int stage_publish(Stage *s);
