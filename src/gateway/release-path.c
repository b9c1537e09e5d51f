/* SPDX-License-Identifier: Apache-2.0 */
#include "release-path.h"

#include "string-util.h"
#include "version.h"

const ReleaseInfo *release_find(const ReleaseInfo *releases, size_t n, const char *version) {
        for (size_t i = 0; i < n; i++)
                if (streq(releases[i].version, version))
                        return releases + i;
        return NULL;
}

ReleasePath release_path_next(
                const ReleaseInfo *releases,
                size_t n,
                const char *current,
                const char *arch,
                const char *goal,
                const char **ret_version) {

        const char *version = goal;

        /* from the goal backwards, until what runs is enough; as many steps as there are releases, or it is
         * a circle */
        for (size_t i = 0; i <= n; i++) {
                const ReleaseInfo *release = release_find(releases, n, version);

                if (!release)
                        return i == 0 ? RELEASE_PATH_NOT_RELEASED : RELEASE_PATH_REQUIRES_MISSING;
                if (arch && !strv_contains(release->archs, arch))
                        return i == 0 ? RELEASE_PATH_ARCH_MISSING : RELEASE_PATH_REQUIRES_MISSING;
                if (!release->requires || version_compare(current, release->requires) >= 0) {
                        *ret_version = version;
                        return RELEASE_PATH_OK;
                }
                version = release->requires;
        }
        return RELEASE_PATH_REQUIRES_MISSING;
}
