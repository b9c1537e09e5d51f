/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Hexadecimal (lower case written, lower case alone accepted: one spelling per value) and base64url (RFC 4648 §5,
 * without padding). */

#include "macro.h"

void hex_encode(const void *data, size_t size, char *ret);          /* ret: 2 * size + 1 bytes */
char *hex_encode_new(const void *data, size_t size);                /* NULL on lack of memory */
int hex_decode(const char *hex, void *ret, size_t size);            /* exactly size bytes; -EINVAL */
bool hex_is_valid(const char *hex, size_t bytes);

char *base64url_encode_new(const void *data, size_t size);
int base64url_decode(const char *text, size_t max, void **ret, size_t *ret_size);
