/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* INI configuration in systemd's manner: one main file, then the .conf files of NAME.d in order of name; later lines win; an
 * empty value resets to the default. Which settings exist is a table. A bad line never stops a program: it is
 * logged as a warning with file:line and the default (or the earlier value) stays. Limits: 1 MiB a file, 4 KiB a line. */

#include "macro.h"

typedef struct ConfItem ConfItem;

/* Returns 0, or a negative errno that is logged with file:line. *reterr_why may be set to a static sentence. */
typedef int (*conf_parse_t)(const char *value, void *target, const char **reterr_why);

struct ConfItem {
        const char *section;
        const char *key;
        conf_parse_t parse;
        size_t offset;                             /* of the target in the object given to conf_load() */
};

/* Parsers; targets: char*, usec_t, uint64_t, unsigned, bool, char** . Allocated targets are replaced. */
int conf_parse_string(const char *value, void *target, const char **reterr_why);
int conf_parse_sec(const char *value, void *target, const char **reterr_why);
int conf_parse_size(const char *value, void *target, const char **reterr_why);
int conf_parse_unsigned(const char *value, void *target, const char **reterr_why);
int conf_parse_bool(const char *value, void *target, const char **reterr_why);
int conf_parse_path(const char *value, void *target, const char **reterr_why);           /* absolute */
int conf_parse_strv(const char *value, void *target, const char **reterr_why);           /* appends; "" empties */
int conf_parse_host_port(const char *value, void *target, const char **reterr_why);      /* char*: checked, kept whole */
int conf_parse_https_url(const char *value, void *target, const char **reterr_why);
int conf_parse_log_level(const char *value, void *target, const char **reterr_why);      /* int */

/* Reads main_path (absent is fine) and the .conf files in main_path + ".d". Items end with { 0 }. Returns the number of
 * warnings, or a negative errno only for lack of memory. */
int conf_load(const char *main_path, const ConfItem items[], void *object);

/* For fuzzing and for tests: one buffer under a name used in warnings. */
int conf_parse_buffer(const char *name, const char *text, size_t size, const ConfItem items[], void *object);
