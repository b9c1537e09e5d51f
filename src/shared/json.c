/* SPDX-License-Identifier: Apache-2.0 */

#include "json.h"

#include <string.h>

#include "string-util.h"

#define DEPTH_MAX 16U

/* jansson's parser recurses up to 2048 levels; what we accept is shallow, and checking it before parsing keeps the
 * stack out of the question. Brackets within strings do not count. */
static bool depth_is_bounded(const char *p, size_t size) {
        unsigned depth = 0;
        bool in_string = false;

        for (size_t i = 0; i < size; i++)
                if (in_string) {
                        if (p[i] == '\\')
                                i++;
                        else if (p[i] == '"')
                                in_string = false;
                } else if (p[i] == '"')
                        in_string = true;
                else if (p[i] == '{' || p[i] == '[') {
                        if (++depth > DEPTH_MAX)
                                return false;
                } else if ((p[i] == '}' || p[i] == ']') && depth > 0)
                        depth--;
        return true;
}

int json_parse(const void *data, size_t size, size_t max, json_t **ret, char **reterr_message) {
        json_error_t error;
        char *message;
        json_t *v;

        if (size > max)
                return -EFBIG;
        if (!depth_is_bounded(data, size)) {
                message = strdup("nested too deeply");
                goto bad;
        }

        v = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
        if (v) {
                *ret = v;
                return 0;
        }
        if (json_error_code(&error) == json_error_out_of_memory)
                return -ENOMEM;
        message = strjoinf("line %d, column %d: %s", error.line, error.column, error.text);
bad:
        if (!message)
                return -ENOMEM;
        if (reterr_message)
                *reterr_message = message;
        else
                free(message);
        return -EBADMSG;
}

int json_get_string(json_t *object, const char *key, const char **ret) {
        json_t *v = json_object_get(object, key);
        if (!v)
                return -ENOENT;
        if (!json_is_string(v))
                return -EBADMSG;
        *ret = json_string_value(v);
        return 0;
}

int json_get_u64(json_t *object, const char *key, uint64_t *ret) {
        json_t *v = json_object_get(object, key);
        if (!v)
                return -ENOENT;
        if (!json_is_integer(v) || json_integer_value(v) < 0)
                return -EBADMSG;
        *ret = (uint64_t) json_integer_value(v);
        return 0;
}

int json_get_bool(json_t *object, const char *key, bool *ret) {
        json_t *v = json_object_get(object, key);
        if (!v)
                return -ENOENT;
        if (!json_is_boolean(v))
                return -EBADMSG;
        *ret = json_is_true(v);
        return 0;
}

int json_set_take(json_t *object, const char *key, json_t *v) {
        return json_object_set_new(object, key, v) < 0 ? -ENOMEM : 0;
}

int json_set_string(json_t *object, const char *key, const char *v) {
        return v ? json_set_take(object, key, json_string(v)) : 0;
}

int json_set_u64(json_t *object, const char *key, uint64_t v) {
        return v > INT64_MAX ? -ERANGE : json_set_take(object, key, json_integer((json_int_t) v));
}

int json_set_bool(json_t *object, const char *key, bool v) {
        return json_set_take(object, key, json_boolean(v));
}

char *json_pointer_append(const char *pointer, const char *member) {
        size_t n = strlen(pointer), size;
        char *ret, *p;

        if (__builtin_mul_overflow(strlen(member), (size_t) 2, &size) ||
            __builtin_add_overflow(size, n + 2, &size))
                return NULL;
        ret = malloc(size);
        if (!ret)
                return NULL;
        p = stpcpy(ret, pointer);
        *p++ = '/';
        for (; *member; member++)
                if (IN_SET(*member, '~', '/')) {
                        *p++ = '~';
                        *p++ = *member == '~' ? '0' : '1';
                } else
                        *p++ = *member;
        *p = '\0';
        return ret;
}

char *json_format(json_t *v, bool pretty) {
        return json_dumps(v, JSON_ENCODE_ANY | (pretty ? (size_t) JSON_INDENT(2) : (size_t) JSON_COMPACT));
}

char *json_format_sorted(json_t *v) {
        return json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
}
