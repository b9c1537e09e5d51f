/* SPDX-License-Identifier: Apache-2.0 */

#include "secret-input.h"

#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "alloc-util.h"
#include "crypto.h"
#include "errno-util.h"
#include "fd-util.h"
#include "string-util.h"

int secret_read_file(const char *path, size_t max, bool may_be_stdin, char **ret) {
        bool is_stdin = may_be_stdin && streq(path, "-");
        void *data;
        size_t size;

        _cleanup_close_ int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) :
                                            open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        int r = fd_read_all(fd, max, &data, &size);
        if (r < 0)
                return r;
        char *text = data;
        if (strlen(text) != size) {
                secret_free(data, size);
                return -EINVAL;
        }
        text[strcspn(text, "\n")] = '\0';
        if (isempty(text)) {
                secret_free(data, size);
                return -ENODATA;
        }
        *ret = text;
        return 0;
}

/* Canonical mode: a line, with its newline, in one read unless it is too long. */
static int read_line(int fd, size_t max, char **ret) {
        size_t size = max + 2;
        char *line = new0(char, size);
        if (!line)
                return -ENOMEM;

        ssize_t n = read(fd, line, size - 1);
        int error = n < 0 ? negative_errno() : n == 0 ? -ENODATA : 0;
        if (error == 0 && line[n - 1] != '\n' && (size_t) n == size - 1)
                error = -EFBIG;
        if (error == 0) {
                line[strcspn(line, "\n")] = '\0';
                *ret = isempty(line) ? NULL : strdup(line);
                error = isempty(line) ? -ENODATA : *ret ? 0 : -ENOMEM;
        }
        secret_free(line, size);
        return error;
}

int secret_ask(const char *question, size_t max, char **ret) {
        struct termios saved, silent;

        _cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -ENOTTY;
        if (tcgetattr(fd, &saved) < 0)
                return negative_errno();
        silent = saved;
        silent.c_lflag &= ~(tcflag_t) (ECHO | ECHOE | ECHOK);
        if (tcsetattr(fd, TCSAFLUSH, &silent) < 0)
                return negative_errno();
        (void) dprintf(fd, "%s ", question);
        int r = read_line(fd, max, ret);
        (void) tcsetattr(fd, TCSAFLUSH, &saved);
        (void) dprintf(fd, "\n");
        return r;
}
