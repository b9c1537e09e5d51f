/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* By which version an agent gets to another: a release may require that some version was installed before it
 * (custom.requires), that one another, and so on. Pure. */

#include "macro.h"

typedef struct ReleaseInfo {
        const char *version;
        const char *requires; /* at least this must run before; NULL: nothing */
        const char *floor;    /* who runs it never runs older than this again; NULL: no floor */
        char *const *archs;   /* NULL-terminated */
} ReleaseInfo;

typedef enum ReleasePath {
        RELEASE_PATH_OK,
        RELEASE_PATH_NOT_RELEASED,
        RELEASE_PATH_ARCH_MISSING,
        RELEASE_PATH_REQUIRES_MISSING, /* a version on the way is in no release, or not for this architecture
                                        */
} ReleasePath;

const ReleaseInfo *release_find(const ReleaseInfo *releases, size_t n, const char *version);

/* What comes first on the way from current to goal, which is newer. arch NULL: not known yet, taken to be
 * fine. */
ReleasePath release_path_next(
                const ReleaseInfo *releases,
                size_t n,
                const char *current,
                const char *arch,
                const char *goal,
                const char **ret_version);
