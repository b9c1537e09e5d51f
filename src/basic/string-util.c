/* SPDX-License-Identifier: Apache-2.0 */

#include "string-util.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "alloc-util.h"

const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);
        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

const char *endswith(const char *s, const char *suffix) {
        size_t n = strlen(s), m = strlen(suffix);
        return n >= m && streq(s + n - m, suffix) ? s + n - m : NULL;
}

char *strjoinf(const char *format, ...) {
        char *s = NULL;
        va_list ap;

        va_start(ap, format);
        int r = vasprintf(&s, format, ap);
        va_end(ap);
        return r < 0 ? NULL : s;
}

int free_and_strdup(char **p, const char *s) {
        if (streq_ptr(*p, s))
                return 0;

        char *copy = NULL;
        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }
        free(*p);
        *p = copy;
        return 1;
}

char *string_strip(char *s) {
        while (isspace((unsigned char) *s))
                s++;
        char *end = s + strlen(s);
        while (end > s && isspace((unsigned char) end[-1]))
                *--end = '\0';
        return s;
}

/* Length of the valid sequence at p (Unicode table 3-7: no overlong forms, no surrogates), 0 if there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left) {
        if (p[0] < 0x80)
                return 1;

        size_t n;
        uint8_t low = 0x80, high = 0xbf;
        if (p[0] >= 0xc2 && p[0] <= 0xdf)
                n = 2;
        else if (p[0] >= 0xe0 && p[0] <= 0xef) {
                n = 3;
                if (p[0] == 0xe0)
                        low = 0xa0;
                if (p[0] == 0xed)
                        high = 0x9f;
        } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
                n = 4;
                if (p[0] == 0xf0)
                        low = 0x90;
                if (p[0] == 0xf4)
                        high = 0x8f;
        } else
                return 0;

        if (left < n || p[1] < low || p[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        return n;
}

bool utf8_is_valid(const char *s, size_t size) {
        const uint8_t *p = (const uint8_t *) s;

        for (size_t i = 0, n; i < size; i += n) {
                n = utf8_sequence(p + i, size - i);
                if (n == 0)
                        return false;
        }
        return true;
}

/* C0, DEL, and C1 (which terminals obey as well). */
static bool is_control(const uint8_t *p, size_t n) {
        return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

bool string_is_safe(const char *s, size_t max) {
        const uint8_t *p = (const uint8_t *) s;
        size_t size = strnlen(s, max + 1);

        if (size > max)
                return false;
        for (size_t i = 0, n; i < size; i += n) {
                n = utf8_sequence(p + i, size - i);
                if (n == 0 || is_control(p + i, n))
                        return false;
        }
        return true;
}

char *string_escape(const char *s) {
        const uint8_t *p = (const uint8_t *) s;
        size_t size = strlen(s), out = 0, bytes;

        if (__builtin_mul_overflow(size, (size_t) 4, &bytes) || size_add_overflow(bytes, 1, &bytes))
                return NULL;
        char *ret = malloc(bytes);
        if (!ret)
                return NULL;

        for (size_t i = 0; i < size;) {
                size_t n = utf8_sequence(p + i, size - i);
                if (n > 0 && !is_control(p + i, n)) {
                        memcpy(ret + out, p + i, n);
                        out += n;
                        i += n;
                        continue;
                }
                n = MAX(n, (size_t) 1);
                for (size_t k = 0; k < n; k++)
                        out += (size_t) sprintf(ret + out, "\\x%02x", p[i + k]);
                i += n;
        }
        ret[out] = '\0';
        return ret;
}

bool filename_is_plain(const char *s) {
        size_t n = strnlen(s, 256);
        if (n == 0 || n > 255 || s[0] == '.')
                return false;
        return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-") == n;
}

char **strv_free(char **v) {
        for (char **s = v; s && *s; s++)
                free(*s);
        free(v);
        return NULL;
}

size_t strv_length(char *const *v) {
        size_t n = 0;
        STRV_FOREACH(s, v)
                n++;
        return n;
}

bool strv_contains(char *const *v, const char *s) {
        STRV_FOREACH(i, v)
                if (streq(*i, s))
                        return true;
        return false;
}

int strv_consume(char ***v, char *s) {
        if (!s)
                return -ENOMEM;

        size_t n = strv_length(*v);
        char **grown = reallocarray(*v, n + 2, sizeof(char *));
        if (!grown) {
                free(s);
                return -ENOMEM;
        }
        grown[n] = s;
        grown[n + 1] = NULL;
        *v = grown;
        return 0;
}

int strv_extend(char ***v, const char *s) {
        return strv_consume(v, strdup(s));
}

int strv_split(const char *s, const char *separators, char ***ret) {
        _cleanup_strv_free_ char **v = new0(char *, 1);
        if (!v)
                return -ENOMEM;

        for (;;) {
                s += strspn(s, separators);
                size_t n = strcspn(s, separators);
                if (n == 0)
                        break;
                int r = strv_consume(&v, strndup(s, n));
                if (r < 0)
                        return r;
                s += n;
        }
        *ret = TAKE_PTR(v);
        return 0;
}

char *strv_join(char *const *v, const char *separator) {
        size_t size = 1, gap = strlen(separator);
        STRV_FOREACH(s, v)
                size += strlen(*s) + gap;

        char *ret = malloc(size);
        if (!ret)
                return NULL;

        char *p = ret;
        *p = '\0';
        STRV_FOREACH(s, v) {
                if (s != v)
                        p = stpcpy(p, separator);
                p = stpcpy(p, *s);
        }
        return ret;
}
