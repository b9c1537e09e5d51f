/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one place that knows jansson's header. Parsing refuses duplicate members, trailing garbage, \u0000 and more
 * than max bytes; depth is bounded by 16. */

#include <jansson.h>

#include "macro.h"

#define _cleanup_json_ _cleanup_(json_decrefp)

/* -EFBIG, -EBADMSG (with a sentence in *reterr_message, allocated, if that is not NULL), -ENOMEM. */
int json_parse(const void *data, size_t size, size_t max, json_t **ret, char **reterr_message);

/* Strings and integers of an object; -ENOENT absent, -EBADMSG wrong type or range. Strings stay the object's. */
int json_get_string(json_t *object, const char *key, const char **ret);
int json_get_u64(json_t *object, const char *key, uint64_t *ret);
int json_get_bool(json_t *object, const char *key, bool *ret);
/* For showing: "" when it is absent or no string. The object may be NULL. */
static inline const char *json_text(json_t *object, const char *key) {
        const char *s = json_string_value(json_object_get(object, key));
        return s ? s : "";
}
/* NULL is fine as v: then the member is left out. 0 or -ENOMEM. */
int json_set_string(json_t *object, const char *key, const char *v);
int json_set_u64(json_t *object, const char *key, uint64_t v);
int json_set_bool(json_t *object, const char *key, bool v);
/* Takes v's reference, also on failure. */
int json_set_take(json_t *object, const char *key, json_t *v);

/* A JSON pointer (RFC 6901) to a member, whatever its name, of the object that another one points to.
 * Allocated; NULL on lack of memory. */
char *json_pointer_append(const char *pointer, const char *member);

/* pretty: indented; else one line. Ends without a newline. NULL on lack of memory. */
char *json_format(json_t *v, bool pretty);
/* One line, members sorted: the same value always gives the same text. */
char *json_format_sorted(json_t *v);
