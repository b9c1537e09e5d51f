/* SPDX-License-Identifier: Apache-2.0 */
#include "text-list.h"

#include "alloc-util.h"
#include "string-util.h"

static int list_take(TextList *l, char *text) {
        int r;

        r = text ? ARRAY_GROW(l->items, l->n_allocated, l->n + 1) : -ENOMEM;
        if (r < 0) {
                free(text);
                return r;
        }
        l->items[l->n++] = text;
        return 0;
}

int text_list_add(TextList *l, const char *text) {
        return list_take(l, strdup(text));
}

int text_list_add_split(TextList *l, const char *text, const char *separators, size_t max) {
        for (;;) {
                size_t n;
                int r;

                text += strspn(text, separators);
                n = strcspn(text, separators);
                if (n == 0)
                        return 0;
                if (l->n >= max)
                        return -E2BIG;
                r = list_take(l, strndup(text, n));
                if (r < 0)
                        return r;
                text += n;
        }
}

static int compare_text(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

void text_list_make_set(TextList *l) {
        size_t kept = 0;

        if (l->n == 0)
                return;
        qsort(l->items, l->n, sizeof(char *), compare_text);
        for (size_t i = 0; i < l->n; i++)
                if (kept > 0 && streq(l->items[kept - 1], l->items[i]))
                        free(l->items[i]);
                else
                        l->items[kept++] = l->items[i];
        l->n = kept;
}

bool text_list_contains(const TextList *l, const char *text) {
        return l->n > 0 && bsearch(&text, l->items, l->n, sizeof(char *), compare_text);
}

char *text_list_join(const TextList *l, const char *separator) {
        size_t size = 1, gap = strlen(separator);
        char *text, *p;

        for (size_t i = 0; i < l->n; i++)
                size += strlen(l->items[i]) + gap;
        p = text = malloc(size);
        if (!text)
                return NULL;
        for (size_t i = 0; i < l->n; i++) {
                if (i > 0)
                        p = stpcpy(p, separator);
                p = stpcpy(p, l->items[i]);
        }
        *p = '\0';
        return text;
}

void text_list_done(TextList *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->items[i]);
        free(l->items);
        *l = (TextList){};
}
