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

#include "alloc-util.h"
#include "string-util.h"

#define LINE_MAX_BYTES 2048
#define FIELDS_MAX 24
#define FIELD_MAX_BYTES (LINE_MAX_BYTES / 2)
#define FIXED_MAX 6

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

typedef struct Origin {
        const char *file, *func; /* static */
        int line;
} Origin;

/* Returns how many of the fields could be made. */
static size_t format_fields(char buffers[static FIELDS_MAX][FIELD_MAX_BYTES], va_list *ap) {
        const char *format;
        size_t n = 0;

        while (n < FIELDS_MAX && (format = va_arg(*ap, const char *))) {
                if (!format_field(format, ap, buffers[n], sizeof(buffers[n])))
                        break; /* the arguments behind an unknown conversion cannot be found */
                n++;
        }
        return n;
}

/* The fields' iovec has room for what is added. */
static void
write_fields(int level, const Origin *origin, const char *message_id, struct iovec *iov, size_t n) {
        char fixed[FIXED_MAX][256];
        size_t k = 0;

        if (!to_journal) {
                if (n > 0)
                        write_text(level, startswith(iov[0].iov_base, "MESSAGE=") ?: iov[0].iov_base);
                return;
        }
        if (message_id)
                snprintf(fixed[k++], sizeof(fixed[0]), "MESSAGE_ID=%s", message_id);
        snprintf(fixed[k++], sizeof(fixed[0]), "PRIORITY=%i", level);
        snprintf(fixed[k++], sizeof(fixed[0]), "CODE_FILE=%s", origin->file);
        snprintf(fixed[k++], sizeof(fixed[0]), "CODE_LINE=%i", origin->line);
        snprintf(fixed[k++], sizeof(fixed[0]), "CODE_FUNC=%s", origin->func);
        snprintf(fixed[k++], sizeof(fixed[0]), "SYSLOG_IDENTIFIER=%s", identifier);
        for (size_t i = 0; i < k; i++)
                iov[n++] = (struct iovec) { fixed[i], strlen(fixed[i]) };
        (void) sd_journal_sendv(iov, (int) n);
}

void log_event_internal(int level, const char *file, int line, const char *func, const char *message_id, ...) {
        char buffers[FIELDS_MAX][FIELD_MAX_BYTES];
        struct iovec iov[FIELDS_MAX + FIXED_MAX];
        int saved = errno;
        va_list ap;
        size_t n;

        if (level > max_level)
                return;
        va_start(ap, message_id);
        n = format_fields(buffers, &ap);
        va_end(ap);
        for (size_t i = 0; i < n; i++)
                iov[i] = (struct iovec) { buffers[i], strlen(buffers[i]) };
        write_fields(level, &(Origin) { file, func, line }, message_id, iov, n);
        errno = saved;
}

/* ---- for later ---- */

struct LogEntry {
        int level;
        Origin origin;
        const char *message_id;
        size_t n;
        char *fields[];
};

int log_entry_new_internal(
                LogEntry **ret,
                int level,
                const char *file,
                int line,
                const char *func,
                const char *message_id,
                ...) {
        char buffers[FIELDS_MAX][FIELD_MAX_BYTES];
        _cleanup_(log_entry_freep) LogEntry *e = NULL;
        va_list ap;
        size_t n;

        *ret = NULL;
        if (level > max_level)
                return 0;
        va_start(ap, message_id);
        n = format_fields(buffers, &ap);
        va_end(ap);
        e = calloc(1, sizeof(LogEntry) + n * sizeof(char *));
        if (!e)
                return -ENOMEM;
        e->level = level;
        e->origin = (Origin) { file, func, line };
        e->message_id = message_id;
        for (; e->n < n; e->n++) {
                e->fields[e->n] = strdup(buffers[e->n]);
                if (!e->fields[e->n])
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(e);
        return 0;
}

void log_entry_write(const LogEntry *e) {
        struct iovec iov[FIELDS_MAX + FIXED_MAX];
        int saved = errno;

        for (size_t i = 0; i < e->n; i++)
                iov[i] = (struct iovec) { e->fields[i], strlen(e->fields[i]) };
        write_fields(e->level, &e->origin, e->message_id, iov, e->n);
        errno = saved;
}

LogEntry *log_entry_free(LogEntry *e) {
        if (!e)
                return NULL;
        for (size_t i = 0; i < e->n; i++)
                free(e->fields[i]);
        free(e);
        return NULL;
}
