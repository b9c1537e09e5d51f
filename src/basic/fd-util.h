/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* File descriptors: closing, reading whole, writing whole, copying with a limit. Descriptors start at -EBADF. */

#include <sys/types.h>

#include "macro.h"

/* Closes fd if it is one, keeps errno, returns -EBADF for assignment. */
int fd_close(int fd);
static inline void fd_closep(int *fd) {
        (void) fd_close(*fd);
}
#define _cleanup_close_ _cleanup_(fd_closep)

/* Reads to the end; -EFBIG when there is more than max. The result has a NUL behind it. */
int fd_read_all(int fd, size_t max, void **ret, size_t *ret_size);

/* Writes everything, also after short writes and EINTR. */
int fd_write_all(int fd, const void *data, size_t size);

/* Copies exactly until the end of from, at most max bytes (-EFBIG beyond). on_data sees each chunk before it
 * is written and may refuse with a negative errno; it may be NULL. to may be negative: then nothing is written. */
typedef int (*fd_copy_callback_t)(const void *data, size_t size, void *userdata);
int fd_copy(int from, int to, uint64_t max, fd_copy_callback_t on_data, void *userdata, uint64_t *ret_size);

int fd_set_nonblock(int fd, bool nonblock);

/* 0 if fd is a regular file, else -EBADF, -EISDIR, -ENOTSUP (anything else). */
int fd_verify_regular(int fd);
