/* SPDX-License-Identifier: Apache-2.0 */

#include "hex.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

void hex_encode(const void *data, size_t size, char *ret) {
        const uint8_t *p = data;

        for (size_t i = 0; i < size; i++) {
                ret[2 * i] = hex_digits[p[i] >> 4];
                ret[2 * i + 1] = hex_digits[p[i] & 15];
        }
        ret[2 * size] = '\0';
}

char *hex_encode_new(const void *data, size_t size) {
        size_t n;
        if (__builtin_mul_overflow(size, (size_t) 2, &n) || size_add_overflow(n, 1, &n))
                return NULL;
        char *s = malloc(n);
        if (s)
                hex_encode(data, size, s);
        return s;
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -EINVAL;
}

int hex_decode(const char *hex, void *ret, size_t size) {
        uint8_t *p = ret;

        if (!hex_is_valid(hex, size))
                return -EINVAL;
        for (size_t i = 0; i < size; i++)
                p[i] = (uint8_t) (hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
        return 0;
}

bool hex_is_valid(const char *hex, size_t bytes) {
        if (strnlen(hex, 2 * bytes + 1) != 2 * bytes)
                return false;
        return strspn(hex, hex_digits) == 2 * bytes;
}

static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url_encode_new(const void *data, size_t size) {
        const uint8_t *p = data;
        size_t n = size / 3 * 4 + (size % 3 ? size % 3 + 1 : 0), out = 0;

        if (size > SIZE_MAX / 2)
                return NULL;
        char *s = malloc(n + 1);
        if (!s)
                return NULL;
        for (size_t i = 0; i < size; i += 3) {
                size_t left = size - i;
                uint32_t v = (uint32_t) p[i] << 16 | (left > 1 ? (uint32_t) p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
                s[out++] = base64url_digits[v >> 18];
                s[out++] = base64url_digits[v >> 12 & 63];
                if (left > 1)
                        s[out++] = base64url_digits[v >> 6 & 63];
                if (left > 2)
                        s[out++] = base64url_digits[v & 63];
        }
        s[out] = '\0';
        return s;
}

int base64url_decode(const char *text, size_t max, void **ret, size_t *ret_size) {
        size_t n = strlen(text);

        if (n % 4 == 1)
                return -EINVAL;
        size_t size = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0);
        if (size > max)
                return -EFBIG;

        uint8_t *p = malloc(size + 1);
        if (!p)
                return -ENOMEM;

        uint32_t bits = 0;
        size_t out = 0;
        for (size_t i = 0; i < n; i++) {
                const char *d = strchr(base64url_digits, text[i]);
                if (!d)
                        goto invalid;
                bits = bits << 6 | (uint32_t) (d - base64url_digits);
                if (i % 4 == 3) {
                        p[out++] = (uint8_t) (bits >> 16);
                        p[out++] = (uint8_t) (bits >> 8);
                        p[out++] = (uint8_t) bits;
                        bits = 0;
                }
        }
        /* bits that do not fill a byte must be zero: one spelling per value */
        if (n % 4 == 2) {
                if (bits & 0xf)
                        goto invalid;
                p[out++] = (uint8_t) (bits >> 4);
        } else if (n % 4 == 3) {
                if (bits & 0x3)
                        goto invalid;
                p[out++] = (uint8_t) (bits >> 10);
                p[out++] = (uint8_t) (bits >> 2);
        }
        p[out] = '\0';
        *ret = p;
        *ret_size = out;
        return 0;

invalid:
        free(p);
        return -EINVAL;
}
