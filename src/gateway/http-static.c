/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "api.h"
#include "fd-util.h"
#include "log.h"
#include "string-util.h"

/* Files of the repository, public: what keeps them safe are their signatures. Names are plain components
 * below tuf/, where only the registry writes, so nothing leads out of it. */

#define IMMUTABLE "public, max-age=31536000, immutable"

static int open_below(Gateway *g, HttpExchange *x, struct stat *st) {
        _cleanup_strv_free_ char **names = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;

        for (size_t i = 0; http_exchange_argument(x, i); i++) {
                if (!filename_is_plain(http_exchange_argument(x, i)))
                        return -ENOENT;
                if (strv_extend(&names, http_exchange_argument(x, i)) < 0)
                        return -ENOMEM;
        }
        path = strv_join(names, "/");
        if (!path)
                return -ENOMEM;
        fd = openat(registry_tuf_fd(g->registry), path,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return negative_errno();
        if (fstat(fd, st) < 0)
                return negative_errno();
        return S_ISREG(st->st_mode) ? TAKE_FD(fd) : -ENOENT;
}

/* Files are replaced, never written in place: inode, time and size tell one content from another. */
static void make_etag(const struct stat *st, char buf[static 80]) {
        (void) snprintf(buf, 80, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t) st->st_ino,
                        (uint64_t) st->st_mtim.tv_sec * 1000000000U + (uint64_t) st->st_mtim.tv_nsec,
                        (uint64_t) st->st_size);
}

static void reply_range(HttpExchange *x, const char *type, int fd, uint64_t size, const char *etag) {
        const char *if_range = http_exchange_header(x, "If-Range"),
                   *range = http_exchange_header(x, "Range");
        uint64_t offset = 0, length = size;
        char text[96];
        int r = 0;

        /* a range of another content would be spliced into garbage: then everything is sent */
        if (range && (!if_range || streq(if_range, etag)))
                r = http_range_parse(range, size, &offset, &length);
        if (r == -ERANGE) {
                fd_close(fd);
                (void) snprintf(text, sizeof(text), "bytes */%" PRIu64, size);
                http_reply_header(x, "Content-Range", text);
                http_reply_problem(x, HTTP_PROBLEM_RANGE, NULL, "The file has %" PRIu64 " bytes.", size);
                return;
        }
        if (r > 0) {
                (void) snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, offset,
                                offset + length - 1, size);
                http_reply_header(x, "Content-Range", text);
        } else {
                offset = 0;
                length = size;
        }
        http_reply_file(x, r > 0 ? 206 : 200, type, fd, offset, length);
}

void http_static_tuf(HttpExchange *x, void *userdata) {
        const char *last = NULL;
        char etag[80];
        struct stat st;
        int fd;

        fd = open_below(userdata, x, &st);
        if (fd < 0) {
                if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
                        (void) log_warning_errno(fd, "Failed to open a file of the repository: %m");
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no such file in the repository.");
                return;
        }
        for (size_t i = 0; http_exchange_argument(x, i); i++)
                last = http_exchange_argument(x, i);
        make_etag(&st, etag);
        http_reply_header(x, "ETag", etag);
        http_reply_header(x, "Accept-Ranges", "bytes");
        http_reply_header(x, "Cache-Control", streq(last, "timestamp.json") ? "no-cache" : IMMUTABLE);
        if (http_etag_listed(http_exchange_header(x, "If-None-Match"), etag)) {
                fd_close(fd);
                http_reply_data(x, 304, NULL, NULL, 0);
                return;
        }
        reply_range(x, endswith(last, ".json") ? "application/json" : "application/octet-stream", fd,
                    (uint64_t) st.st_size, etag);
}

void http_static_ca(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;
        const char *pem = gateway_ca_pem(g->ca);
        char *copy = strdup(pem);

        if (copy)
                http_reply_data(x, 200, "application/x-pem-file", copy, strlen(copy));
        else
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
}
