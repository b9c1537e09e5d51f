/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-package.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "errno-util.h"
#include "fd-util.h"
#include "log.h"
#include "string-util.h"
#include "updater-links.h"
#include "updater-policy.h"
#include "updater-record.h"

static int add_file(Updater *u, Stage *s, const char *file) {
        struct stat st;

        _cleanup_close_ int fd = openat(
                        u->root->package_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return negative_errno();
        if (fstat(fd, &st) < 0)
                return negative_errno();
        if (st.st_size <= 0)
                return -ENODATA;
        return stage_add(s, file, fd, (uint64_t) st.st_size, NULL);
}

int package_stage(Updater *u, Stage **ret, char **ret_version) {
        _cleanup_(stage_freep) Stage *s = NULL;
        _cleanup_free_ char *version = NULL;
        int r;

        r = package_version_load(u->root, &version);
        if (r < 0)
                return r;
        r = stage_new(&s, u->root, version);
        if (r < 0)
                return r;
        r = add_file(u, s, "agent");
        if (r >= 0)
                r = add_file(u, s, "updater");
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        *ret_version = TAKE_PTR(version);
        return 0;
}

/* Is what lies in bin/v<version> what is staged? */
static bool is_the_same(Updater *u, const Stage *s, const char *version) {
        char agent[SHA256_HEX_MAX], updater[SHA256_HEX_MAX], staged[SHA256_HEX_MAX], there[SHA256_HEX_MAX];

        if (!version_is_usable(u->root->bin_fd, version) ||
            version_file_digest(u->root->bin_fd, version, "agent", agent) < 0 ||
            version_file_digest(u->root->bin_fd, version, "updater", updater) < 0 ||
            release_digest_hex(agent, updater, there) < 0)
                return false;
        stage_digest(s, staged);
        return streq(staged, there);
}

int package_copy(Updater *u, bool force, char **ret_version) {
        _cleanup_free_ char *version = NULL, *floor = NULL;
        _cleanup_(stage_freep) Stage *s = NULL;
        int r;

        r = package_stage(u, &s, &version);
        if (r < 0)
                return r;
        r = floor_load(u->root, &floor);
        if (r < 0 && r != -EBADMSG)
                return r;
        if (!floor_allows(floor, version)) {
                if (!force)
                        return -EPERM;
                log_warning("The packaged version %s is below the floor %s; it is used since nothing else runs.",
                            version, floor);
        }

        do
                r = stage_step(s);
        while (r > 0);
        if (r < 0)
                return r;
        if (!is_the_same(u, s, version)) {
                r = stage_publish(s);
                if (r < 0)
                        return r;
        }
        *ret_version = TAKE_PTR(version);
        return 0;
}
