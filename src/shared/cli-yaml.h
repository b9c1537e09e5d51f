/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON values as YAML, in block style, for people who read and for "-o yaml". Text that any parser, of
 * YAML 1.1 or 1.2, could take for something else (a number, a date, yes) is quoted, and what a terminal
 * could take for a control character is escaped. */

#include "json.h"

int cli_yaml_format(json_t *v, char **ret); /* with a newline at the end; -ENOMEM */
int cli_yaml_print(json_t *v);              /* on standard output */
