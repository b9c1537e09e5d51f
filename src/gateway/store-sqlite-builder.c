/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite-builder.h"

#include "alloc-util.h"
#include "json.h"
#include "string-util.h"

void sql_builder_done(SqlBuilder *b) {
        free(b->text);
        free(b->values);
        strv_free(b->owned);
        *b = (SqlBuilder){};
}

void sql_add(SqlBuilder *b, const char *sql) {
        size_t n = strlen(sql);

        if (b->error == 0)
                b->error = ARRAY_GROW(b->text, b->allocated, b->length + n + 1);
        if (b->error < 0)
                return;
        memcpy(b->text + b->length, sql, n + 1);
        b->length += n;
}

static void add_value(SqlBuilder *b, const char *text, uint64_t number) {
        sql_add(b, "?");
        if (b->error == 0)
                b->error = ARRAY_GROW(b->values, b->n_values_allocated, b->n_values + 1);
        if (b->error < 0)
                return;
        b->values[b->n_values].text = text;
        b->values[b->n_values++].number = number;
}

void sql_add_text(SqlBuilder *b, const char *value) {
        add_value(b, value, 0);
}

void sql_add_u64(SqlBuilder *b, uint64_t value) {
        add_value(b, NULL, value);
}

void sql_add_array(SqlBuilder *b, const TextList *l) {
        _cleanup_json_ json_t *array = json_array();
        char *text = NULL;
        int r = array ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < l->n; i++)
                r = json_array_append_new(array, json_string(l->items[i])) < 0 ? -ENOMEM : 0;
        if (r >= 0) {
                text = json_format(array, /* pretty= */ false);
                r = strv_consume(&b->owned, text);
        }
        if (r < 0 && b->error == 0)
                b->error = r;
        add_value(b, text, 0);
}

void query_begin_built(Query *q, Store *s, const SqlBuilder *b) {
        query_begin_once(q, s, b->error < 0 ? NULL : b->text);
        if (b->error < 0)
                q->error = b->error;
        for (size_t i = 0; i < b->n_values; i++)
                if (b->values[i].text)
                        query_text(q, b->values[i].text);
                else
                        query_u64(q, b->values[i].number);
}

int query_built_u64(Store *s, const SqlBuilder *b, uint64_t *ret) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin_built(&q, s, b);
        r = query_row(&q);
        if (r <= 0)
                return r < 0 ? r : -EUCLEAN;
        *ret = query_get_u64(&q);
        return query_read(&q);
}
