/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Passphrases and passwords from where they may come from: a file, which may be a pipe, or the terminal
 * without echo. Never the command line. What is returned is wiped by its owner: secret_free(). */

#include "macro.h"

/* The first line; "-" is standard input where that is allowed. Errors of open(); -EFBIG above max bytes;
 * -EINVAL no text; -ENODATA an empty first line. */
int secret_read_file(const char *path, size_t max, bool may_be_stdin, char **ret);

/* Asks on the terminal itself, whatever standard input is. -ENOTTY: there is none; -ENODATA: nothing was
 * typed; -EFBIG: more than max bytes. */
int secret_ask(const char *question, size_t max, char **ret);
