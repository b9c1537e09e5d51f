/* SPDX-License-Identifier: Apache-2.0 */

#include "version.h"

#include <string.h>

#include "string-util.h"

#define IDENTIFIER_CHARS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"
#define DIGITS "0123456789"

/* Takes one number without leading zeros; NULL if there is none. */
static const char *skip_number(const char *s) {
        size_t n = strspn(s, DIGITS);
        if (n == 0 || (n > 1 && s[0] == '0'))
                return NULL;
        return s + n;
}

bool version_is_valid(const char *s) {
        if (!s || strnlen(s, VERSION_TEXT_MAX) >= VERSION_TEXT_MAX)
                return false;

        for (unsigned i = 0; i < 3; i++) {
                if (i > 0 && *s++ != '.')
                        return false;
                s = skip_number(s);
                if (!s)
                        return false;
        }
        if (!*s)
                return true;
        if (*s != '-')
                return false;

        do {
                s++;
                size_t n = strspn(s, IDENTIFIER_CHARS);
                if (n == 0)
                        return false;
                if (strspn(s, DIGITS) == n && !skip_number(s))
                        return false; /* numeric identifiers have no leading zeros either */
                s += n;
        } while (*s == '.');
        return !*s;
}

static int sign(long long v) {
        return v < 0 ? -1 : v > 0;
}

/* Numbers without leading zeros compare by length first, so that their size does not matter. */
static int compare_digits(const char *a, size_t n, const char *b, size_t m) {
        if (n != m)
                return n < m ? -1 : 1;
        return sign(strncmp(a, b, n));
}

static int compare_identifiers(const char *a, size_t n, const char *b, size_t m) {
        bool numeric_a = strspn(a, DIGITS) >= n, numeric_b = strspn(b, DIGITS) >= m;

        if (numeric_a && numeric_b)
                return compare_digits(a, n, b, m);
        if (numeric_a != numeric_b)
                return numeric_a ? -1 : 1; /* numeric ones have lower precedence */
        int r = sign(strncmp(a, b, MIN(n, m)));
        return r != 0 ? r : sign((long long) n - (long long) m);
}

int version_compare(const char *a, const char *b) {
        for (unsigned i = 0; i < 3; i++) {
                size_t n = strspn(a, DIGITS), m = strspn(b, DIGITS);
                int r = compare_digits(a, n, b, m);
                if (r != 0)
                        return r;
                a += n + (a[n] == '.');
                b += m + (b[m] == '.');
        }

        if (!*a || !*b)
                return !*a - !*b; /* a pre-release comes before its release */
        while (*a && *b) {
                a++; /* '-' or '.' */
                b++;
                size_t n = strspn(a, IDENTIFIER_CHARS), m = strspn(b, IDENTIFIER_CHARS);
                int r = compare_identifiers(a, n, b, m);
                if (r != 0)
                        return r;
                a += n;
                b += m;
        }
        return !*b - !*a; /* the longer list of identifiers wins */
}

static char *put_number(char *p, const char *digits, size_t n) {
        *p++ = (char) ('@' + n); /* 'A' for one digit; there are at most VERSION_TEXT_MAX */
        memcpy(p, digits, n);
        return p + n;
}

const char *version_sort_key(const char *s, char buf[static VERSION_KEY_MAX]) {
        char *p = buf;

        for (unsigned i = 0; i < 3; i++) {
                size_t n = strspn(s, DIGITS);
                p = put_number(p, s, n);
                s += n + (s[n] == '.');
        }
        if (!*s) {
                *p++ = '~';
                *p = '\0';
                return buf;
        }
        while (*s) {
                size_t n = strspn(++s, IDENTIFIER_CHARS);
                bool numeric = strspn(s, DIGITS) >= n;

                *p++ = '!'; /* before every character of an identifier: the shorter one comes first */
                *p++ = numeric ? '0' : '1';
                if (numeric)
                        p = put_number(p, s, n);
                else
                        p = (char *) memcpy(p, s, n) + n;
                s += n;
        }
        *p = '\0';
        return buf;
}
