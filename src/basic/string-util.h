/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>

#include "macro.h"

#define streq(a, b) (strcmp((a), (b)) == 0)

static inline bool streq_ptr(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}
static inline bool isempty(const char *s) {
        return !s || !*s;
}
static inline const char *strempty(const char *s) {
        return s ?: "";
}
static inline const char *strna(const char *s) {
        return s ?: "n/a";
}
static inline const char *yes_no(bool b) {
        return b ? "yes" : "no";
}

/* What follows the prefix or precedes nothing; NULL when it does not match. */
const char *startswith(const char *s, const char *prefix);
const char *endswith(const char *s, const char *suffix);

/* asprintf that returns NULL on failure. */
char *strjoinf(const char *format, ...) _printf_(1, 2);

/* Replaces *p by a copy of s (NULL allowed); *p is unchanged on -ENOMEM. Returns 1 if it differed, 0 if equal. */
int free_and_strdup(char **p, const char *s);

char *string_strip(char *s);                       /* in place, white space at both ends */

/* Valid UTF-8 without control characters, at most max bytes: what may go into a log line or a terminal. */
bool string_is_safe(const char *s, size_t max);
bool utf8_is_valid(const char *s, size_t size);

/* A copy in which everything unfit for a terminal is \xNN. NULL on lack of memory. */
char *string_escape(const char *s);

/* One path component of [A-Za-z0-9._+-], not "." or "..", not starting with '.', at most 255 bytes. */
bool filename_is_plain(const char *s);

/* NULL-terminated string vectors. */
char **strv_free(char **v);
DEFINE_POINTER_CLEANUP(char *, strv_free);
#define _cleanup_strv_free_ _cleanup_(strv_freep)
size_t strv_length(char *const *v);
bool strv_contains(char *const *v, const char *s);
int strv_extend(char ***v, const char *s);         /* appends a copy */
int strv_consume(char ***v, char *s);              /* appends s itself; frees it on failure */
int strv_split(const char *s, const char *separators, char ***ret);   /* empty items are left out */
char *strv_join(char *const *v, const char *separator);
#define STRV_FOREACH(s, v) for (char *const *s = (v); s && *s; s++)
