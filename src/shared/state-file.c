/* SPDX-License-Identifier: Apache-2.0 */

#include "state-file.h"

#include <stdio.h>
#include <string.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "parse-util.h"
#include "string-util.h"

#define FILE_MAX KIB(64)
#define ITEMS_MAX 64U
#define END_MARK "# end"

typedef struct Item {
        char *key, *value;
} Item;

struct StateFile {
        Item items[ITEMS_MAX];
        size_t n_items;
};

int state_file_new(StateFile **ret) {
        StateFile *s = new0(StateFile, 1);
        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

StateFile *state_file_free(StateFile *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_items; i++) {
                free(s->items[i].key);
                free(s->items[i].value);
        }
        free(s);
        return NULL;
}

static bool key_is_valid(const char *key) {
        size_t n = strlen(key);
        return n > 0 && n <= 64 &&
                strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static Item *find(StateFile *s, const char *key) {
        for (size_t i = 0; i < s->n_items; i++)
                if (streq(s->items[i].key, key))
                        return s->items + i;
        return NULL;
}

const char *state_file_get(StateFile *s, const char *key) {
        Item *i = find(s, key);
        return i ? i->value : NULL;
}

int state_file_get_u64(StateFile *s, const char *key, uint64_t *ret) {
        const char *v = state_file_get(s, key);
        if (!v)
                return -ENOENT;
        return parse_u64(v, ret) < 0 ? -EINVAL : 0;
}

int state_file_set(StateFile *s, const char *key, const char *value) {
        Item *i = find(s, key);

        if (!value) {
                if (i) {
                        free(i->key);
                        free(i->value);
                        *i = s->items[--s->n_items];
                }
                return 0;
        }
        if (!key_is_valid(key))
                return -EINVAL;
        if (i) {
                int r = free_and_strdup(&i->value, value);
                return r < 0 ? r : 0;
        }
        if (s->n_items >= ITEMS_MAX)
                return -E2BIG;

        _cleanup_free_ char *k = strdup(key), *v = strdup(value);
        if (!k || !v)
                return -ENOMEM;
        s->items[s->n_items++] = (Item) { .key = TAKE_PTR(k), .value = TAKE_PTR(v) };
        return 0;
}

int state_file_set_u64(StateFile *s, const char *key, uint64_t value) {
        char buffer[32];
        snprintf(buffer, sizeof(buffer), "%llu", (unsigned long long) value);
        return state_file_set(s, key, buffer);
}

bool state_file_item(StateFile *s, size_t i, const char **ret_key, const char **ret_value) {
        if (i >= s->n_items)
                return false;
        *ret_key = s->items[i].key;
        *ret_value = s->items[i].value;
        return true;
}

int state_file_format(StateFile *s, char **ret) {
        size_t size = sizeof(END_MARK) + 1;
        for (size_t i = 0; i < s->n_items; i++)
                size += strlen(s->items[i].key) + 2 * strlen(s->items[i].value) + 2;
        if (size > FILE_MAX)
                return -E2BIG;

        char *text = malloc(size);
        if (!text)
                return -ENOMEM;

        char *p = text;
        for (size_t i = 0; i < s->n_items; i++) {
                p = stpcpy(p, s->items[i].key);
                *p++ = '=';
                for (const char *v = s->items[i].value; *v; v++)
                        if (*v == '\n' || *v == '\\') {
                                *p++ = '\\';
                                *p++ = *v == '\n' ? 'n' : '\\';
                        } else
                                *p++ = *v;
                *p++ = '\n';
        }
        strcpy(p, END_MARK "\n");
        *ret = text;
        return 0;
}

static bool unescape(char *s) {
        char *out = s;

        for (; *s; s++)
                if (*s == '\\') {
                        s++;
                        if (*s != 'n' && *s != '\\')
                                return false;
                        *out++ = *s == 'n' ? '\n' : '\\';
                } else
                        *out++ = *s;
        *out = '\0';
        return true;
}

int state_file_parse(const void *data, size_t size, StateFile **ret) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        if (size > FILE_MAX || memchr(data, '\0', size))
                return -EBADMSG;
        text = memdup_suffix0(data, size);
        if (!text)
                return -ENOMEM;
        r = state_file_new(&s);
        if (r < 0)
                return r;

        for (char *line = text, *next; *line; line = next) {
                char *end = strchr(line, '\n');
                if (!end)
                        return -EBADMSG; /* cut off */
                *end = '\0';
                next = end + 1;

                if (streq(line, END_MARK)) {
                        if (*next)
                                return -EBADMSG;
                        *ret = TAKE_PTR(s);
                        return 0;
                }
                char *value = strchr(line, '=');
                if (!value)
                        return -EBADMSG;
                *value++ = '\0';
                if (!unescape(value) || find(s, line))
                        return -EBADMSG;
                r = state_file_set(s, line, value);
                if (r < 0)
                        return r == -ENOMEM ? r : -EBADMSG;
        }
        return -EBADMSG; /* without its end mark */
}

int state_file_load_at(int dir_fd, const char *path, StateFile **ret) {
        _cleanup_free_ void *data = NULL;
        size_t size;

        int r = file_read_at(dir_fd, path, FILE_MAX, &data, &size);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        return state_file_parse(data, size, ret);
}

int state_file_save_at(StateFile *s, int dir_fd, const char *path, unsigned mode) {
        _cleanup_free_ char *text = NULL;

        int r = state_file_format(s, &text);
        if (r < 0)
                return r;
        return file_write_atomic_at(dir_fd, path, text, strlen(text), mode);
}
