/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc-util.h"

int array_grow(void **array, size_t *allocated, size_t n, size_t item_size) {
        if (n <= *allocated)
                return 0;

        size_t want = MAX(MAX(n, *allocated * 2), (size_t) 8), bytes;
        if (__builtin_mul_overflow(want, item_size, &bytes))
                return -ENOMEM;

        void *p = realloc(*array, bytes);
        if (!p)
                return -ENOMEM;

        *array = p;
        *allocated = want;
        return 0;
}
