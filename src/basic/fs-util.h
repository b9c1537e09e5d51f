/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files and links below a directory descriptor. Everything that replaces something is durable when it returns:
 * temporary file, fsync, rename, fsync of the directory. Paths are relative to dir_fd (AT_FDCWD allowed). */

#include <sys/types.h>

#include "macro.h"

/* Whole file as bytes with a NUL behind; -EFBIG above max, -ENOENT and so on from open(). Refuses what is not
 * a regular file (-ENOTSUP) and does not follow a final symlink (-ELOOP). */
int file_read_at(int dir_fd, const char *path, size_t max, void **ret, size_t *ret_size);

/* Replaces path with data, durably. Mode as given, whatever the umask. */
int file_write_atomic_at(int dir_fd, const char *path, const void *data, size_t size, mode_t mode);

/* Points the symlink path at target by rename, durably. */
int symlink_atomic_at(int dir_fd, const char *target, const char *path);

/* Target of a symlink; -EINVAL if path is no symlink. */
int readlink_at(int dir_fd, const char *path, char **ret);

/* Unlinks and syncs the directory; a file that is not there is fine. */
int unlink_durable_at(int dir_fd, const char *path);

int mkdir_parents(const char *path, mode_t mode);
int dir_open_at(int dir_fd, const char *path);           /* O_DIRECTORY, not following a final symlink */
int dir_fsync(int dir_fd);                               /* of the directory dir_fd itself */
int dir_fsync_at(int dir_fd, const char *path);

/* Removes a file or a whole tree, never crossing symlinks; nothing there is fine. */
int tree_remove_at(int dir_fd, const char *path);

/* Names in the directory without . and .., sorted; NULL-terminated. Free with strv_free(). */
int dir_list_at(int dir_fd, const char *path, char ***ret);

/* Bytes an unprivileged writer can still use on the file system that holds fd. */
int fs_free_bytes(int fd, uint64_t *ret);
