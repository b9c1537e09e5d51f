/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>

#include "macro.h"

/* errno as a negative number, never 0: a libc call that failed without setting errno is still a failure. */
static inline int negative_errno(void) {
        return errno > 0 ? -errno : -EIO;
}

/* libc's "-1 and errno" as our "negative errno". */
static inline int RET_NERRNO(int r) {
        return r < 0 ? negative_errno() : r;
}

/* Both of these take the error positive or negative. */
static inline bool errno_is_disk_space(int r) {
        return IN_SET(r < 0 ? -r : r, ENOSPC, EDQUOT, EFBIG);
}

static inline bool errno_is_transient(int r) {
        return IN_SET(r < 0 ? -r : r, EAGAIN, EINTR);
}
