/* SPDX-License-Identifier: Apache-2.0 */

#include "cli-table.h"

#include <stdarg.h>

#include "alloc-util.h"
#include "string-util.h"

typedef struct Cell {
        char *text;
        CliStyle style;
} Cell;

struct CliTable {
        size_t n_columns;
        bool fields;
        Cell *cells; /* row by row; titles first unless it is a table of fields */
        size_t n_cells, allocated;
        int error;
};

static int table_new(CliTable **ret, size_t n_columns, bool fields) {
        CliTable *t = new0(CliTable, 1);

        if (!t)
                return -ENOMEM;
        t->n_columns = n_columns;
        t->fields = fields;
        *ret = t;
        return 0;
}

int cli_table_new(CliTable **ret, const char *const *columns) {
        size_t n = 0;
        int r;

        while (columns[n])
                n++;
        r = table_new(ret, n, false);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                cli_table_add(*ret, CLI_BOLD, columns[i]);
        return 0;
}

int cli_table_new_fields(CliTable **ret) {
        return table_new(ret, 2, true);
}

CliTable *cli_table_free(CliTable *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i].text);
        free(t->cells);
        free(t);
        return NULL;
}

void cli_table_add(CliTable *t, CliStyle style, const char *cell) {
        char *text;

        if (t->error < 0)
                return;
        t->error = ARRAY_GROW(t->cells, t->allocated, t->n_cells + 1);
        if (t->error < 0)
                return;
        text = string_escape(isempty(cell) ? "-" : cell);
        if (!text) {
                t->error = -ENOMEM;
                return;
        }
        t->cells[t->n_cells++] = (Cell){ text, isempty(cell) ? CLI_PLAIN : style };
}

void cli_table_addf(CliTable *t, CliStyle style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                t->error = -ENOMEM;
                return;
        }
        cli_table_add(t, style, text);
}

void cli_table_field(CliTable *t, const char *name, CliStyle style, const char *value) {
        if (isempty(value))
                return;
        cli_table_add(t, CLI_PLAIN, name);
        cli_table_add(t, style, value);
}

/* Characters, for text that string_escape() has made valid UTF-8. */
static size_t text_width(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                if (((unsigned char) *s & 0xc0) != 0x80)
                        n++;
        return n;
}

static size_t column_width(const CliTable *t, size_t column, size_t first) {
        size_t width = 0;

        for (size_t i = first + column; i < t->n_cells; i += t->n_columns)
                width = MAX(width, text_width(t->cells[i].text));
        return width;
}

static void print_spaces(size_t n, FILE *f) {
        for (; n > 0; n--)
                fputc(' ', f);
}

static void print_styled(const Cell *c, FILE *f) {
        fprintf(f, "%s%s%s", cli_on(c->style, f), c->text, cli_off(c->style, f));
}

static void print_row(const CliTable *t, size_t row, const size_t widths[], FILE *f) {
        for (size_t i = 0; i < t->n_columns; i++) {
                const Cell *c = t->cells + row + i;
                size_t pad = widths[i] - text_width(c->text);

                if (t->fields && i == 0) {
                        print_spaces(pad, f);
                        fprintf(f, "%s: ", c->text);
                        continue;
                }
                print_styled(c, f);
                if (i + 1 < t->n_columns)
                        print_spaces(pad + 2, f);
        }
        fputc('\n', f);
}

int cli_table_print(CliTable *t, bool legend) {
        return cli_table_print_to(t, legend, stdout);
}

int cli_table_print_to(CliTable *t, bool legend, FILE *f) {
        _cleanup_free_ size_t *widths = NULL;
        size_t first = t->fields || legend ? 0 : t->n_columns;

        if (t->error < 0)
                return t->error;
        if (t->n_columns == 0 || t->n_cells % t->n_columns != 0)
                return -EINVAL;
        widths = new0(size_t, t->n_columns);
        if (!widths)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_columns; i++)
                widths[i] = column_width(t, i, first);
        for (size_t row = first; row < t->n_cells; row += t->n_columns)
                print_row(t, row, widths, f);
        return 0;
}

int cli_json_print(json_t *v, CliJson mode) {
        _cleanup_free_ char *text = json_format(v, mode == CLI_JSON_PRETTY);

        if (!text)
                return -ENOMEM;
        /* JSON escapes what is below U+0020; DEL and U+0080 to U+009F can only occur within strings */
        for (const unsigned char *p = (const unsigned char *) text; *p; p++)
                if (*p == 0x7f)
                        fputs("\\u007F", stdout);
                else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
                        printf("\\u00%02X", *++p);
                else
                        putchar(*p);
        putchar('\n');
        return ferror(stdout) ? -EIO : 0;
}
