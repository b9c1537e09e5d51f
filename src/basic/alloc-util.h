/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Typed allocation. All of it returns NULL on failure; callers turn that into -ENOMEM. */

#include <stdlib.h>
#include <string.h>

#include "macro.h"

#define new0(type, n) ((type *) calloc((n) ?: 1, sizeof(type)))

static inline void *memdup(const void *p, size_t n) {
        void *copy = malloc(n ?: 1);
        if (copy && n > 0)
                memcpy(copy, p, n);
        return copy;
}

/* A copy with one NUL behind it, so that text parsers may rely on a terminator. */
static inline void *memdup_suffix0(const void *p, size_t n) {
        size_t size;
        if (size_add_overflow(n, 1, &size))
                return NULL;
        char *copy = malloc(size);
        if (copy) {
                if (n > 0)
                        memcpy(copy, p, n);
                copy[n] = '\0';
        }
        return copy;
}

/* Grows array (capacity kept in *allocated, in items) to hold n items. 0, or -ENOMEM with array unchanged. */
int array_grow(void **array, size_t *allocated, size_t n, size_t item_size);
#define ARRAY_GROW(array, allocated, n) array_grow((void **) &(array), &(allocated), (n), sizeof((array)[0]))
