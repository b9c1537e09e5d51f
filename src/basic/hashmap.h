/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Map from strings to pointers. Keys are copied; values belong to the caller unless a destructor is given.
 * Hashing is SipHash with a key from the kernel, so that a peer that chooses keys cannot choose collisions.
 * Order of iteration is unspecified. Not for use from several threads. */

#include "macro.h"

typedef struct Hashmap Hashmap;
typedef void (*hashmap_free_value_t)(void *value);

int hashmap_new(Hashmap **ret, hashmap_free_value_t free_value /* may be NULL */);
Hashmap *hashmap_free(Hashmap *h);
DEFINE_POINTER_CLEANUP(Hashmap, hashmap_free);

void *hashmap_get(Hashmap *h, const char *key);                   /* NULL if absent */
int hashmap_put(Hashmap *h, const char *key, void *value);        /* -EEXIST, -ENOMEM; value is not freed then */
int hashmap_replace(Hashmap *h, const char *key, void *value);    /* an old value is destroyed; 1 if there was one */
void *hashmap_remove(Hashmap *h, const char *key);                /* hands the value back, or NULL */
size_t hashmap_size(const Hashmap *h);

/* size_t i = 0; while (hashmap_iterate(h, &i, &key, &value)) ...   The current entry may be removed. */
bool hashmap_iterate(Hashmap *h, size_t *cursor, const char **ret_key, void **ret_value);
