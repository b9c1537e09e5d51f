/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Small durable records: KEY=value lines, values escaped (\n, \\), written by temporary file, fsync, rename and
 * fsync of the directory. Used for the updater's transaction, the agent's pending report and the like. A file that
 * is damaged is -EBADMSG, never half a record. Limits: 64 KiB, 64 keys. The last line is a checksum-free "end" mark
 * so that a truncated file is noticed. */

#include "macro.h"

typedef struct StateFile StateFile;

int state_file_new(StateFile **ret);
StateFile *state_file_free(StateFile *s);
DEFINE_POINTER_CLEANUP(StateFile, state_file_free);

int state_file_load_at(int dir_fd, const char *path, StateFile **ret);          /* -ENOENT, -EBADMSG */
int state_file_parse(const void *data, size_t size, StateFile **ret);
int state_file_save_at(StateFile *s, int dir_fd, const char *path, unsigned mode);
int state_file_format(StateFile *s, char **ret);

const char *state_file_get(StateFile *s, const char *key);                       /* NULL if absent */
int state_file_get_u64(StateFile *s, const char *key, uint64_t *ret);            /* -ENOENT, -EINVAL */
int state_file_set(StateFile *s, const char *key, const char *value);            /* NULL removes */
int state_file_set_u64(StateFile *s, const char *key, uint64_t value);
/* Iterate all: i from 0; false at the end. */
bool state_file_item(StateFile *s, size_t i, const char **ret_key, const char **ret_value);
