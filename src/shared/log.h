/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One log writer: structured entries to the journal when standard error is connected to it, otherwise text on
 * standard error. log_*_errno() returns the error, so that it can be returned in one line. basic/ does not log;
 * libraries log at debug only, whoever decides logs once. Safe from any thread. Never hand it a secret. */

#include <syslog.h>

#include "errno-util.h"
#include "macro.h"

void log_setup(const char *identifier);            /* name for text output; reads FLEET_LOG_LEVEL */
void log_set_max_level(int level);
int log_get_max_level(void);
int log_level_from_string(const char *s);          /* "debug".."err"; -EINVAL */

/* error: negative errno (or 0), available to the message as %m. Returns error, or -EIO if it was 0. */
int log_internal(int level, int error, const char *file, int line, const char *func, const char *format, ...)
                _printf_(6, 7);

#define log_full_errno(level, error, ...) log_internal((level), (error), __FILE__, __LINE__, __func__, __VA_ARGS__)
#define log_full(level, ...) (void) log_internal((level), 0, __FILE__, __LINE__, __func__, __VA_ARGS__)

#define log_debug(...) log_full(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, __VA_ARGS__)
#define log_debug_errno(e, ...) log_full_errno(LOG_DEBUG, (e), __VA_ARGS__)
#define log_info_errno(e, ...) log_full_errno(LOG_INFO, (e), __VA_ARGS__)
#define log_notice_errno(e, ...) log_full_errno(LOG_NOTICE, (e), __VA_ARGS__)
#define log_warning_errno(e, ...) log_full_errno(LOG_WARNING, (e), __VA_ARGS__)
#define log_error_errno(e, ...) log_full_errno(LOG_ERR, (e), __VA_ARGS__)
#define log_oom() log_error_errno(-ENOMEM, "Out of memory.")

/* An event with a MESSAGE_ID of messages.h and fields. Fields are format and value pairs as in sd_journal_send(),
 * "FLEET_VERSION=%s", version, ... ended by NULL; the first one must be MESSAGE=. Example:
 *   log_event(LOG_NOTICE, FLEET_MESSAGE_SWAPPED_STR, "MESSAGE=Switched to %s.", v, "FLEET_VERSION=%s", v, NULL); */
void log_event_internal(int level, const char *file, int line, const char *func, const char *message_id, ...) _sentinel_;
#define log_event(level, id, ...) log_event_internal((level), __FILE__, __LINE__, __func__, (id), __VA_ARGS__)

/* The same, made now and written when it is known to be true, on whatever thread; or never. *ret NULL: nobody
 * wants to know of this level. file, func and the id are static; without an id: NULL. */
typedef struct LogEntry LogEntry;
int log_entry_new_internal(
                LogEntry **ret,
                int level,
                const char *file,
                int line,
                const char *func,
                const char *message_id,
                ...)
                _sentinel_;
#define log_entry_new(ret, level, id, ...) \
        log_entry_new_internal((ret), (level), __FILE__, __LINE__, __func__, (id), __VA_ARGS__)
void log_entry_write(const LogEntry *e);
LogEntry *log_entry_free(LogEntry *e);
DEFINE_POINTER_CLEANUP(LogEntry, log_entry_free);
