/* SPDX-License-Identifier: Apache-2.0 */

#include "fs-util.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "string-util.h"
#include "time-util.h"

#define TEMPORARY_TRIES 16
#define TREE_DEPTH_MAX 64

int file_read_at(int dir_fd, const char *path, size_t max, void **ret, size_t *ret_size) {
        /* O_NONBLOCK: a FIFO in that place must not make us wait */
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return negative_errno();

        int r = fd_verify_regular(fd);
        if (r < 0)
                return r;
        return fd_read_all(fd, max, ret, ret_size);
}

/* The directory that holds path, as a descriptor, and the last component of path. */
static int parent_open_at(int dir_fd, const char *path, int *ret_fd, const char **ret_name) {
        const char *slash = strrchr(path, '/');
        if (!slash) {
                int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0)
                        return negative_errno();
                *ret_fd = fd;
                *ret_name = path;
                return 0;
        }
        if (isempty(slash + 1))
                return -EINVAL;

        _cleanup_free_ char *parent = slash == path ? strdup("/") : strndup(path, (size_t) (slash - path));
        if (!parent)
                return -ENOMEM;

        int fd = openat(dir_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        *ret_fd = fd;
        *ret_name = slash + 1;
        return 0;
}

/* Hidden, and without an ending that a reader of the directory might take for data. */
static char *temporary_name(const char *name) {
        return strjoinf(".%.200s.%016" PRIx64 ".tmp", name, random_u64());
}

int file_write_atomic_at(int dir_fd, const char *path, const void *data, size_t size, mode_t mode) {
        _cleanup_close_ int parent = -EBADF, fd = -EBADF;
        _cleanup_free_ char *temporary = NULL;
        const char *name;
        int r;

        r = parent_open_at(dir_fd, path, &parent, &name);
        if (r < 0)
                return r;

        for (unsigned i = 0; fd < 0; i++) {
                free(temporary);
                temporary = temporary_name(name);
                if (!temporary)
                        return -ENOMEM;
                fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode & 0700);
                if (fd < 0 && (errno != EEXIST || i >= TEMPORARY_TRIES))
                        return negative_errno();
        }

        r = fd_write_all(fd, data, size);
        if (r >= 0)
                r = RET_NERRNO(fchmod(fd, mode));
        if (r >= 0)
                r = RET_NERRNO(fsync(fd));
        if (r >= 0)
                r = RET_NERRNO(renameat(parent, temporary, parent, name));
        if (r < 0) {
                (void) unlinkat(parent, temporary, 0);
                return r;
        }
        return dir_fsync(parent);
}

int symlink_atomic_at(int dir_fd, const char *target, const char *path) {
        _cleanup_close_ int parent = -EBADF;
        _cleanup_free_ char *temporary = NULL;
        const char *name;
        int r;

        r = parent_open_at(dir_fd, path, &parent, &name);
        if (r < 0)
                return r;

        for (unsigned i = 0;; i++) {
                free(temporary);
                temporary = temporary_name(name);
                if (!temporary)
                        return -ENOMEM;
                if (symlinkat(target, parent, temporary) >= 0)
                        break;
                if (errno != EEXIST || i >= TEMPORARY_TRIES)
                        return negative_errno();
        }

        if (renameat(parent, temporary, parent, name) < 0) {
                r = negative_errno();
                (void) unlinkat(parent, temporary, 0);
                return r;
        }
        return dir_fsync(parent);
}

int readlink_at(int dir_fd, const char *path, char **ret) {
        char buffer[4096];

        ssize_t n = readlinkat(dir_fd, path, buffer, sizeof(buffer));
        if (n < 0)
                return negative_errno();
        if ((size_t) n >= sizeof(buffer))
                return -ENAMETOOLONG;

        char *s = strndup(buffer, (size_t) n);
        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

int unlink_durable_at(int dir_fd, const char *path) {
        _cleanup_close_ int parent = -EBADF;
        const char *name;
        int r;

        r = parent_open_at(dir_fd, path, &parent, &name);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
                return negative_errno();
        return dir_fsync(parent);
}

int mkdir_parents(const char *path, mode_t mode) {
        _cleanup_free_ char *p = strdup(path);
        if (!p)
                return -ENOMEM;

        for (char *s = p + 1; *s; s++)
                if (*s == '/') {
                        *s = '\0';
                        if (mkdir(p, mode) < 0 && errno != EEXIST)
                                return negative_errno();
                        *s = '/';
                }
        if (mkdir(p, mode) < 0 && errno != EEXIST)
                return negative_errno();

        struct stat st;
        if (stat(p, &st) < 0)
                return negative_errno();
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int dir_open_at(int dir_fd, const char *path) {
        return RET_NERRNO(openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

int dir_fsync(int dir_fd) {
        return RET_NERRNO(fsync(dir_fd));
}

int dir_fsync_at(int dir_fd, const char *path) {
        _cleanup_close_ int fd = dir_open_at(dir_fd, path);
        if (fd < 0)
                return fd;
        return dir_fsync(fd);
}

static int tree_remove_depth(int dir_fd, const char *path, unsigned depth) {
        if (unlinkat(dir_fd, path, 0) >= 0 || errno == ENOENT)
                return 0;
        if (!IN_SET(errno, EISDIR, EPERM))
                return negative_errno();
        if (depth > TREE_DEPTH_MAX)
                return -ELOOP;

        _cleanup_close_ int fd = dir_open_at(dir_fd, path);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;

        _cleanup_strv_free_ char **names = NULL;
        int r = dir_list_at(fd, ".", &names);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names) {
                r = tree_remove_depth(fd, *name, depth + 1);
                if (r < 0)
                        return r;
        }
        if (unlinkat(dir_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return negative_errno();
        return 0;
}

int tree_remove_at(int dir_fd, const char *path) {
        return tree_remove_depth(dir_fd, path, 0);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

int dir_list_at(int dir_fd, const char *path, char ***ret) {
        _cleanup_(closedirp) DIR *d = NULL;
        _cleanup_strv_free_ char **names = NULL;
        size_t n = 0, allocated = 0;
        int r;

        _cleanup_close_ int fd = dir_open_at(dir_fd, path);
        if (fd < 0)
                return fd;
        d = fdopendir(fd);
        if (!d)
                return negative_errno();
        TAKE_FD(fd);

        for (;;) {
                errno = 0;
                struct dirent *e = readdir(d);
                if (!e) {
                        if (errno > 0)
                                return negative_errno();
                        break;
                }
                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;

                r = ARRAY_GROW(names, allocated, n + 2);
                if (r < 0)
                        return r;
                names[n] = strdup(e->d_name);
                if (!names[n])
                        return -ENOMEM;
                names[++n] = NULL;
        }

        if (!names) {
                names = new0(char *, 1);
                if (!names)
                        return -ENOMEM;
        }
        qsort(names, n, sizeof(char *), compare_names);
        *ret = TAKE_PTR(names);
        return 0;
}

int fs_free_bytes(int fd, uint64_t *ret) {
        struct statvfs st;

        if (fstatvfs(fd, &st) < 0)
                return negative_errno();
        if (__builtin_mul_overflow((uint64_t) st.f_bavail, (uint64_t) st.f_frsize, ret))
                *ret = UINT64_MAX;
        return 0;
}
