/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-links.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "crypto.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "version.h"

#define LINK_BACK ".back"
#define LINK_COMMIT ".commit"
#define BINARY_MAX GIB(1)

char *version_directory(const char *version) {
        return strjoinf("v%s", version);
}

char *version_directory_new(const char *version) {
        return strjoinf(".v%s.new", version);
}

/* 0 with NULL for whatever is no link to a version. */
static int link_read(int bin_fd, const char *link, char **ret) {
        _cleanup_free_ char *target = NULL, *version = NULL;

        int r = readlink_at(bin_fd, link, &target);
        if (r == -ENOMEM)
                return r;
        const char *v = r < 0 ? NULL : startswith(target, "v");
        if (v && version_is_valid(v)) {
                version = strdup(v);
                if (!version)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(version);
        return 0;
}

int links_read(int bin_fd, Links *ret) {
        _cleanup_links_ Links l = {};

        int r = link_read(bin_fd, FLEET_LINK_CURRENT, &l.current);
        if (r < 0)
                return r;
        r = link_read(bin_fd, FLEET_LINK_GOOD, &l.good);
        if (r < 0)
                return r;
        *ret = (Links) { .current = TAKE_PTR(l.current), .good = TAKE_PTR(l.good) };
        return 0;
}

void links_done(Links *l) {
        free(l->current);
        free(l->good);
        *l = (Links) {};
}

bool links_differ(const Links *l) {
        return !streq_ptr(l->current, l->good);
}

int link_set(int bin_fd, const char *link, const char *version) {
        _cleanup_free_ char *target = version_directory(version);
        if (!target)
                return -ENOMEM;
        return symlink_atomic_at(bin_fd, target, link);
}

static int link_move(int bin_fd, const char *prepared, const char *link, const char *version) {
        _cleanup_free_ char *target = NULL;

        int r = link_read(bin_fd, prepared, &target);
        if (r >= 0 && streq_ptr(target, version)) {
                r = RET_NERRNO(renameat(bin_fd, prepared, bin_fd, link));
                if (r >= 0)
                        return dir_fsync(bin_fd);
        }
        return link_set(bin_fd, link, version);
}

int link_prepare_back(int bin_fd, const char *version) {
        return link_set(bin_fd, LINK_BACK, version);
}

int link_go_back(int bin_fd, const char *version) {
        return link_move(bin_fd, LINK_BACK, FLEET_LINK_CURRENT, version);
}

int link_prepare_commit(int bin_fd, const char *version) {
        return link_set(bin_fd, LINK_COMMIT, version);
}

int link_commit(int bin_fd, const char *version) {
        return link_move(bin_fd, LINK_COMMIT, FLEET_LINK_GOOD, version);
}

static void forget(int bin_fd, const char *prepared) {
        if (unlinkat(bin_fd, prepared, 0) < 0 && errno != ENOENT)
                log_debug_errno(negative_errno(), "Failed to remove the prepared link %s, ignoring: %m", prepared);
}

void links_forget_prepared(int bin_fd) {
        forget(bin_fd, LINK_BACK);
        forget(bin_fd, LINK_COMMIT);
}

static bool binary_is_usable(int bin_fd, const char *directory, const char *file) {
        _cleanup_free_ char *path = strjoinf("%s/%s", directory, file);
        struct stat st;

        return path && fstatat(bin_fd, path, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISREG(st.st_mode) &&
                st.st_size > 0 && (st.st_mode & 0111) == 0111;
}

bool version_is_usable(int bin_fd, const char *version) {
        _cleanup_free_ char *directory = version ? version_directory(version) : NULL;

        return directory && binary_is_usable(bin_fd, directory, "agent") &&
                binary_is_usable(bin_fd, directory, "updater");
}

static int compare_versions(const void *a, const void *b) {
        return version_compare(*(char *const *) a, *(char *const *) b);
}

int versions_list(int bin_fd, char ***ret) {
        _cleanup_strv_free_ char **names = NULL, **versions = NULL;

        int r = dir_list_at(bin_fd, ".", &names);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names) {
                const char *v = startswith(*name, "v");
                struct stat st;

                if (!v || !version_is_valid(v) || fstatat(bin_fd, *name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                    !S_ISDIR(st.st_mode))
                        continue;
                r = strv_extend(&versions, v);
                if (r < 0)
                        return r;
        }
        if (!versions) {
                versions = new0(char *, 1);
                if (!versions)
                        return -ENOMEM;
        }
        qsort(versions, strv_length(versions), sizeof(char *), compare_versions);
        *ret = TAKE_PTR(versions);
        return 0;
}

int version_file_digest(int bin_fd, const char *version, const char *file, char *ret) {
        _cleanup_free_ char *path = strjoinf("v%s/%s", version, file);
        _cleanup_close_ int fd = -EBADF;
        uint8_t digest[SHA256_SIZE];

        if (!path)
                return -ENOMEM;
        fd = openat(bin_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return negative_errno();
        int r = fd_verify_regular(fd);
        if (r < 0)
                return r;
        r = sha256_fd(fd, BINARY_MAX, digest, NULL);
        if (r < 0)
                return r;
        hex_encode(digest, sizeof(digest), ret);
        return 0;
}

static bool is_staging_leftover(const char *name) {
        return startswith(name, ".v") && endswith(name, ".new");
}

static bool is_temporary(const char *name) {
        return *name == '.' && endswith(name, ".tmp");
}

int leftovers_remove(int dir_fd) {
        _cleanup_strv_free_ char **names = NULL;

        int r = dir_list_at(dir_fd, ".", &names);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names)
                if (is_staging_leftover(*name) || is_temporary(*name)) {
                        r = tree_remove_at(dir_fd, *name);
                        if (r < 0)
                                return r;
                }
        return 0;
}

int versions_prune(int bin_fd, char *const *keep, size_t max) {
        _cleanup_strv_free_ char **versions = NULL;
        int r, n_removed = 0;

        r = versions_list(bin_fd, &versions);
        if (r < 0)
                return r;

        size_t n = strv_length(versions);
        STRV_FOREACH(v, versions) {
                if (n <= max)
                        break;
                if (strv_contains(keep, *v))
                        continue;
                _cleanup_free_ char *directory = version_directory(*v);
                if (!directory)
                        return -ENOMEM;
                r = tree_remove_at(bin_fd, directory);
                if (r < 0)
                        return r;
                n--;
                n_removed++;
        }

        r = leftovers_remove(bin_fd);
        if (r < 0)
                return r;
        r = dir_fsync(bin_fd);
        return r < 0 ? r : n_removed;
}
