/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tables for people, and JSON for programs, on standard output. Cells are copied and escaped; widths count
 * characters, not bytes; the last column is never padded. A table is filled cell by cell, row after row. */

#include "cli.h"
#include "json.h"

typedef struct CliTable CliTable;

/* columns: NULL-terminated titles. */
int cli_table_new(CliTable **ret, const char *const *columns);
/* Two columns without titles: "  Version: 1.0.0", names aligned to the right. */
int cli_table_new_fields(CliTable **ret);
CliTable *cli_table_free(CliTable *t);
DEFINE_POINTER_CLEANUP(CliTable, cli_table_free);

/* NULL and "" are shown as "-". Errors stick: cli_table_print() reports the first one. */
void cli_table_add(CliTable *t, CliStyle style, const char *cell);
void cli_table_addf(CliTable *t, CliStyle style, const char *format, ...) _printf_(3, 4);
/* One line of a table of fields; nothing is added without a value. */
void cli_table_field(CliTable *t, const char *name, CliStyle style, const char *value);

int cli_table_print(CliTable *t, bool legend);
/* On another stream, such as standard error for what is shown before a question. */
int cli_table_print_to(CliTable *t, bool legend, FILE *f);

/* One value on standard output, with a newline. What a terminal could take for a control character is
 * \u-escaped. */
int cli_json_print(json_t *v, CliJson mode);
