/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A growing list of texts that becomes a set: thousands of ids or names, as people paste them. Owns its
 * items. */

#include "macro.h"

typedef struct TextList {
        char **items;
        size_t n, n_allocated;
} TextList;

int text_list_add(TextList *l, const char *text); /* copies */
/* The pieces of a text between any of the separators, without empty ones; -E2BIG: more than max in all. */
int text_list_add_split(TextList *l, const char *text, const char *separators, size_t max);
void text_list_make_set(TextList *l);                         /* sorts, and drops what is there twice */
bool text_list_contains(const TextList *l, const char *text); /* of a set */
char *text_list_join(const TextList *l, const char *separator);
void text_list_done(TextList *l);
