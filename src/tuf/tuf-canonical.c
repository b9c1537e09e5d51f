/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-canonical.h"

#include <inttypes.h>
#include <stdio.h>

#include "alloc-util.h"
#include "string-util.h"

typedef struct Buffer {
        char *data;
        size_t size, allocated;
} Buffer;

static void buffer_done(Buffer *b) {
        free(b->data);
}

static int buffer_add(Buffer *b, const char *data, size_t size) {
        size_t n;

        if (size_add_overflow(b->size, size, &n) || size_add_overflow(n, 1, &n))
                return -ENOMEM;
        int r = ARRAY_GROW(b->data, b->allocated, n);
        if (r < 0)
                return r;
        memcpy(b->data + b->size, data, size);
        b->size += size;
        b->data[b->size] = '\0';
        return 0;
}

static int encode_string(Buffer *b, const char *s, size_t size) {
        int r = buffer_add(b, "\"", 1);

        for (size_t i = 0; r >= 0 && i < size; i++) {
                if (s[i] == '"' || s[i] == '\\')
                        r = buffer_add(b, "\\", 1);
                if (r >= 0)
                        r = buffer_add(b, s + i, 1);
        }
        return r < 0 ? r : buffer_add(b, "\"", 1);
}

static int encode(Buffer *b, json_t *v, unsigned depth);

static int encode_array(Buffer *b, json_t *v, unsigned depth) {
        int r = buffer_add(b, "[", 1);

        for (size_t i = 0; r >= 0 && i < json_array_size(v); i++) {
                if (i > 0)
                        r = buffer_add(b, ",", 1);
                if (r >= 0)
                        r = encode(b, json_array_get(v, i), depth);
        }
        return r < 0 ? r : buffer_add(b, "]", 1);
}

/* Order of bytes in UTF-8 is order of code points. */
static int compare_keys(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int encode_object(Buffer *b, json_t *v, unsigned depth) {
        size_t n = 0;
        const char *key;
        json_t *member;

        _cleanup_free_ const char **keys = new0(const char *, json_object_size(v));
        if (!keys)
                return -ENOMEM;
        json_object_foreach(v, key, member)
                keys[n++] = key;
        qsort(keys, n, sizeof(keys[0]), compare_keys);

        int r = buffer_add(b, "{", 1);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                if (i > 0)
                        r = buffer_add(b, ",", 1);
                if (r >= 0)
                        r = encode_string(b, keys[i], strlen(keys[i]));
                if (r >= 0)
                        r = buffer_add(b, ":", 1);
                if (r >= 0)
                        r = encode(b, json_object_get(v, keys[i]), depth);
        }
        return r < 0 ? r : buffer_add(b, "}", 1);
}

static int encode(Buffer *b, json_t *v, unsigned depth) {
        char number[32];

        switch (json_typeof(v)) {
        case JSON_OBJECT:
        case JSON_ARRAY:
                if (depth >= TUF_CANONICAL_DEPTH_MAX)
                        return -EBADMSG;
                return json_is_object(v) ? encode_object(b, v, depth + 1) : encode_array(b, v, depth + 1);
        case JSON_STRING:
                return encode_string(b, json_string_value(v), json_string_length(v));
        case JSON_INTEGER:
                snprintf(number, sizeof(number), "%" PRId64, (int64_t) json_integer_value(v));
                return buffer_add(b, number, strlen(number));
        case JSON_TRUE:
                return buffer_add(b, "true", 4);
        case JSON_FALSE:
                return buffer_add(b, "false", 5);
        case JSON_NULL:
                return buffer_add(b, "null", 4);
        case JSON_REAL:
        default:
                return -EBADMSG;
        }
}

int tuf_canonical_encode(json_t *value, char **ret, size_t *ret_size) {
        _cleanup_(buffer_done) Buffer b = {};

        int r = encode(&b, value, 0);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b.data);
        *ret_size = b.size;
        return 0;
}
