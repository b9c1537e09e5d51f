/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-bytes.h"

#include "alloc-util.h"
#include "parse-util.h"
#include "string-util.h"

typedef struct Item {
        char *name;
        void *data;
        size_t size;
} Item;

struct TufBytes {
        Item *items;
        size_t n, allocated, total;
};

int tuf_bytes_new(TufBytes **ret) {
        TufBytes *b = new0(TufBytes, 1);
        if (!b)
                return -ENOMEM;
        *ret = b;
        return 0;
}

TufBytes *tuf_bytes_free(TufBytes *b) {
        if (b) {
                for (size_t i = 0; i < b->n; i++) {
                        free(b->items[i].name);
                        free(b->items[i].data);
                }
                free(b->items);
                free(b);
        }
        return NULL;
}

/* "12.root.json" is root; the number must be written the one way in which we write it. */
static int role_of_name(const char *name, TufRole *ret) {
        char again[TUF_FILE_NAME_MAX];

        if (streq(name, "timestamp.json")) {
                *ret = TUF_ROLE_TIMESTAMP;
                return 0;
        }

        const char *dot = strchr(name, '.');
        if (!dot)
                return -EINVAL;
        _cleanup_free_ char *number = strndup(name, (size_t) (dot - name));
        if (!number)
                return -ENOMEM;
        uint64_t version;
        if (parse_u64(number, &version) < 0 || version < 1 || version > TUF_VERSION_MAX)
                return -EINVAL;

        static const TufRole versioned[] = { TUF_ROLE_ROOT, TUF_ROLE_SNAPSHOT, TUF_ROLE_TARGETS };
        for (size_t i = 0; i < ELEMENTSOF(versioned); i++)
                if (streq(tuf_file_name(versioned[i], version, again), name)) {
                        *ret = versioned[i];
                        return 0;
                }
        return -EINVAL;
}

int tuf_bytes_add(TufBytes *b, const char *name, const void *data, size_t size) {
        TufRole role;
        const void *other;
        size_t other_size;

        int r = role_of_name(name, &role);
        if (r < 0)
                return r;
        if (size > tuf_role_size_max(role))
                return -EFBIG;
        if (b->n >= TUF_BYTES_FILES_MAX || b->total + size > TUF_BYTES_SIZE_MAX)
                return -E2BIG;
        if (tuf_bytes_get(b, name, &other, &other_size) >= 0)
                return -EEXIST;
        r = ARRAY_GROW(b->items, b->allocated, b->n + 1);
        if (r < 0)
                return r;

        _cleanup_free_ char *name_copy = strdup(name);
        void *copy = memdup_suffix0(data, size);
        if (!name_copy || !copy) {
                free(copy);
                return -ENOMEM;
        }
        b->items[b->n++] = (Item) { .name = TAKE_PTR(name_copy), .data = copy, .size = size };
        b->total += size;
        return 0;
}

int tuf_bytes_get(const TufBytes *b, const char *name, const void **ret, size_t *ret_size) {
        for (size_t i = 0; i < b->n; i++)
                if (streq(b->items[i].name, name)) {
                        *ret = b->items[i].data;
                        *ret_size = b->items[i].size;
                        return 0;
                }
        return -ENOENT;
}

size_t tuf_bytes_count(const TufBytes *b) {
        return b->n;
}

bool tuf_bytes_item(
                const TufBytes *b,
                size_t i,
                const char **ret_name,
                const void **ret_data,
                size_t *ret_size) {
        if (i >= b->n)
                return false;
        *ret_name = b->items[i].name;
        *ret_data = b->items[i].data;
        *ret_size = b->items[i].size;
        return true;
}
