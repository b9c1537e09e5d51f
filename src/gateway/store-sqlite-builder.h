/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Statements that are put together at run time, from pieces that are constant: what comes from outside is
 * bound, always. An error sticks and comes out of query_row(). Values are borrowed until the query has
 * ended, and so is the builder. Such a statement is prepared for one use and not cached. */

#include "store-sqlite.h"
#include "text-list.h"

typedef struct SqlBuilder {
        char *text;
        size_t length, allocated;
        struct {
                const char *text; /* NULL: the number */
                uint64_t number;
        } * values;
        size_t n_values, n_values_allocated;
        char **owned; /* texts made here; NULL-terminated */
        int error;
} SqlBuilder;

void sql_builder_done(SqlBuilder *b);
#define _cleanup_sql_ _cleanup_(sql_builder_done)

void sql_add(SqlBuilder *b, const char *sql);        /* no values in here, ever */
void sql_add_text(SqlBuilder *b, const char *value); /* a question mark */
void sql_add_u64(SqlBuilder *b, uint64_t value);
/* A question mark for a JSON array of the texts, for json_each(). */
void sql_add_array(SqlBuilder *b, const TextList *l);

void query_begin_built(Query *q, Store *s, const SqlBuilder *b);
/* The first column of its only row, a number. */
int query_built_u64(Store *s, const SqlBuilder *b, uint64_t *ret);
