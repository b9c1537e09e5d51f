/* SPDX-License-Identifier: Apache-2.0 */

/* For LD_PRELOAD: the disk is as full as the file FULL_DISK_FILE says. "almost": the file system has 16 MiB
 * left; "within": there is room, but writing into the copy of the database fails once a part of it is there.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LEFT (16U << 20)
#define PART (1 << 20)

static int is_said(const char *what) {
        const char *path = getenv("FULL_DISK_FILE");
        char text[16] = "";
        FILE *f = path ? fopen(path, "re") : NULL;

        if (!f)
                return 0;
        if (!fgets(text, sizeof(text), f))
                text[0] = '\0';
        fclose(f);
        return strcmp(text, what) == 0;
}

/* The names of everything that is compiled for large files. */
__attribute__((visibility("default"))) int fstatvfs64(int fd, struct statvfs64 *buf) {
        int (*real)(int, struct statvfs64 *) =
                        (int (*)(int, struct statvfs64 *)) dlsym(RTLD_NEXT, "fstatvfs64");
        int r = real(fd, buf);

        if (r == 0 && is_said("almost"))
                buf->f_bavail = LEFT / buf->f_frsize;
        return r;
}

static int is_copy(int fd) {
        char link[64], path[4096];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return 0;
        path[n] = '\0';
        return strstr(path, "/backup.db") != NULL;
}

__attribute__((visibility("default"))) ssize_t
pwrite64(int fd, const void *data, size_t size, off64_t offset) {
        ssize_t (*real)(int, const void *, size_t, off64_t) =
                        (ssize_t(*)(int, const void *, size_t, off64_t)) dlsym(RTLD_NEXT, "pwrite64");

        if (offset >= PART && is_said("within") && is_copy(fd)) {
                errno = ENOSPC;
                return -1;
        }
        return real(fd, data, size, offset);
}
