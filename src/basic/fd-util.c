/* SPDX-License-Identifier: Apache-2.0 */

#include "fd-util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"

int fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;
                (void) close(fd); /* also after EINTR Linux has released the descriptor */
                errno = saved;
        }
        return -EBADF;
}

int fd_read_all(int fd, size_t max, void **ret, size_t *ret_size) {
        _cleanup_free_ char *buffer = NULL;
        size_t allocated = 0, size = 0;
        int r;

        for (;;) {
                /* one byte for the NUL, one to notice that there is more than max */
                r = ARRAY_GROW(buffer, allocated, MIN(size + 4096, max + 1) + 1);
                if (r < 0)
                        return r;

                ssize_t n = read(fd, buffer + size, MIN(allocated - 1, max + 1) - size);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return negative_errno();
                }
                if (n == 0)
                        break;
                size += (size_t) n;
                if (size > max)
                        return -EFBIG;
        }

        buffer[size] = '\0';
        *ret = TAKE_PTR(buffer);
        if (ret_size)
                *ret_size = size;
        return 0;
}

int fd_write_all(int fd, const void *data, size_t size) {
        const char *p = data;

        while (size > 0) {
                ssize_t n = write(fd, p, size);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return negative_errno();
                }
                if (n == 0)
                        return -EIO;
                p += n;
                size -= (size_t) n;
        }
        return 0;
}

int fd_copy(int from, int to, uint64_t max, fd_copy_callback_t on_data, void *userdata, uint64_t *ret_size) {
        _cleanup_free_ char *buffer = NULL;
        const size_t chunk = 64 * 1024;
        uint64_t total = 0;
        int r;

        buffer = malloc(chunk);
        if (!buffer)
                return -ENOMEM;

        for (;;) {
                ssize_t n = read(from, buffer, chunk);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return negative_errno();
                }
                if (n == 0)
                        break;
                if ((uint64_t) n > max - total)
                        return -EFBIG;
                total += (uint64_t) n;

                if (on_data) {
                        r = on_data(buffer, (size_t) n, userdata);
                        if (r < 0)
                                return r;
                }
                if (to >= 0) {
                        r = fd_write_all(to, buffer, (size_t) n);
                        if (r < 0)
                                return r;
                }
        }

        if (ret_size)
                *ret_size = total;
        return 0;
}

int fd_set_nonblock(int fd, bool nonblock) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return negative_errno();

        int wanted = nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        return wanted == flags ? 0 : RET_NERRNO(fcntl(fd, F_SETFL, wanted));
}

int fd_verify_regular(int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        return S_ISREG(st.st_mode) ? 0 : -ENOTSUP;
}
