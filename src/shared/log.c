/* SPDX-License-Identifier: Apache-2.0 */

#define SD_JOURNAL_SUPPRESS_LOCATION
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "string-util.h"

#define LINE_MAX_BYTES 2048
#define FIELDS_MAX 24

static const char *identifier = "fleet";
static int max_level = LOG_INFO;
static bool to_journal = false;

/* The service manager names the device and inode of the journal's socket; if standard error still is that socket,
 * entries with fields can be sent beside it without appearing twice. */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        uint64_t dev, ino;
        struct stat st;

        if (!e || sscanf(e, "%" SCNu64 ":%" SCNu64, &dev, &ino) != 2)
                return false;
        return fstat(STDERR_FILENO, &st) >= 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_setup(const char *id) {
        identifier = id;
        to_journal = stderr_is_journal();

        const char *e = getenv("FLEET_LOG_LEVEL");
        int level = e ? log_level_from_string(e) : -EINVAL;
        if (level >= 0)
                max_level = level;
}

void log_set_max_level(int level) {
        max_level = level;
}

int log_get_max_level(void) {
        return max_level;
}

int log_level_from_string(const char *s) {
        static const char *const names[] = {
                [LOG_EMERG] = "emerg", [LOG_ALERT] = "alert", [LOG_CRIT] = "crit", [LOG_ERR] = "err",
                [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(s, names[i]))
                        return (int) i;
        return -EINVAL;
}

/* One line in one write, so that threads and processes do not mix theirs. */
static void write_text(int level, const char *message) {
        char line[LINE_MAX_BYTES + 128];
        _cleanup_free_ char *escaped = string_escape(message);
        bool manager = getenv("INVOCATION_ID") != NULL;

        int n = manager ? snprintf(line, sizeof(line), "<%d>%s\n", level, escaped ?: "") :
                          snprintf(line, sizeof(line), "%s: %s\n", identifier, escaped ?: "");
        if (n < 0)
                return;
        if ((size_t) n >= sizeof(line)) {
                n = sizeof(line) - 1;
                line[n - 1] = '\n';
        }
        ssize_t written = write(STDERR_FILENO, line, (size_t) n);
        (void) written; /* there is nobody to tell */
}

int log_internal(int level, int error, const char *file, int line, const char *func, const char *format, ...) {
        int saved = errno, result = error < 0 ? error : -EIO;

        if (level <= max_level) {
                char message[LINE_MAX_BYTES];
                va_list ap;

                errno = error < 0 ? -error : error;
                va_start(ap, format);
                (void) vsnprintf(message, sizeof(message), format, ap);
                va_end(ap);

                if (to_journal)
                        (void) sd_journal_send(
                                        "MESSAGE=%s", message,
                                        "PRIORITY=%i", level,
                                        "CODE_FILE=%s", file,
                                        "CODE_LINE=%i", line,
                                        "CODE_FUNC=%s", func,
                                        "SYSLOG_IDENTIFIER=%s", identifier,
                                        error != 0 ? "ERRNO=%i" : NULL, error < 0 ? -error : error,
                                        NULL);
                else
                        write_text(level, message);
        }

        errno = saved;
        return result;
}

/* The arguments come as in sd_journal_send(): a format, then what it consumes. Only the formats used here are
 * understood (%s, %i, %d, %u, %zu, %lu, PRIu64), which a format string cannot check for us at compile time; vsnprintf on
 * a va_list that is walked on cannot be had portably, so each field's arguments are consumed by hand. */
static bool format_field(const char *format, va_list *ap, char *buffer, size_t size) {
        size_t n = 0;

        for (const char *p = format; *p; p++) {
                char number[32];
                const char *text = NULL;

                if (*p != '%') {
                        if (n + 1 < size)
                                buffer[n++] = *p;
                        continue;
                }
                p++;
                if (*p == '%')
                        text = "%";
                else if (*p == 's')
                        text = strempty(va_arg(*ap, const char *));
                else if (*p == 'm')
                        text = strerror(errno);
                else if (*p == 'i' || *p == 'd') {
                        snprintf(number, sizeof(number), "%i", va_arg(*ap, int));
                        text = number;
                } else if (*p == 'u') {
                        snprintf(number, sizeof(number), "%u", va_arg(*ap, unsigned));
                        text = number;
                } else if (*p == 'l' || *p == 'z') {
                        while (*p == 'l' || *p == 'z')
                                p++;
                        if (*p == 'i' || *p == 'd')
                                snprintf(number, sizeof(number), "%li", va_arg(*ap, long));
                        else if (*p == 'u')
                                snprintf(number, sizeof(number), "%lu", va_arg(*ap, unsigned long));
                        else
                                return false;
                        text = number;
                } else
                        return false;

                for (; *text; text++)
                        if (n + 1 < size)
                                buffer[n++] = *text;
        }
        buffer[n] = '\0';
        return true;
}

void log_event_internal(int level, const char *file, int line, const char *func, const char *message_id, ...) {
        char buffers[FIELDS_MAX][LINE_MAX_BYTES / 2], fixed[6][256];
        struct iovec iov[FIELDS_MAX + ELEMENTSOF(fixed)];
        int saved = errno, n = 0;
        const char *format;
        va_list ap;

        if (level > max_level)
                return;

        va_start(ap, message_id);
        while (n < FIELDS_MAX && (format = va_arg(ap, const char *))) {
                if (!format_field(format, &ap, buffers[n], sizeof(buffers[n])))
                        break; /* the arguments behind an unknown conversion cannot be found */
                iov[n] = (struct iovec) { buffers[n], strlen(buffers[n]) };
                n++;
        }
        va_end(ap);

        if (to_journal) {
                snprintf(fixed[0], sizeof(fixed[0]), "MESSAGE_ID=%s", message_id);
                snprintf(fixed[1], sizeof(fixed[1]), "PRIORITY=%i", level);
                snprintf(fixed[2], sizeof(fixed[2]), "CODE_FILE=%s", file);
                snprintf(fixed[3], sizeof(fixed[3]), "CODE_LINE=%i", line);
                snprintf(fixed[4], sizeof(fixed[4]), "CODE_FUNC=%s", func);
                snprintf(fixed[5], sizeof(fixed[5]), "SYSLOG_IDENTIFIER=%s", identifier);
                for (size_t i = 0; i < ELEMENTSOF(fixed); i++)
                        iov[n++] = (struct iovec) { fixed[i], strlen(fixed[i]) };
                (void) sd_journal_sendv(iov, n);
        } else if (n > 0)
                write_text(level, startswith(buffers[0], "MESSAGE=") ?: buffers[0]);

        errno = saved;
}
