/* SPDX-License-Identifier: Apache-2.0 */

#include "cli-yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "string-util.h"

#define INDENT 2

/* ---- scalars ---- */

static bool is_word(const char *s) {
        static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "y", "n", "null" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcasecmp(words[i], s) == 0)
                        return true;
        return false;
}

static bool is_plain(const char *s) {
        if (!isascii(*s) || !(isalpha((unsigned char) *s) || *s == '_' || *s == '/') || is_word(s))
                return false;
        for (; *s; s++)
                if (!isascii(*s) || !(isalnum((unsigned char) *s) || strchr("_./@+-", *s)))
                        return false;
        return true;
}

/* Of valid UTF-8: how many bytes the character has, and which it is. */
static size_t next_character(const unsigned char *s, unsigned *ret) {
        size_t n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
        unsigned c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));

        for (size_t i = 1; i < n; i++)
                c = c << 6 | (s[i] & 0x3fU);
        *ret = c;
        return n;
}

static void put_quoted(FILE *f, const char *text) {
        const unsigned char *s = (const unsigned char *) text;

        fputc('"', f);
        while (*s) {
                unsigned c;
                size_t n = next_character(s, &c);

                if (c == '"' || c == '\\')
                        fprintf(f, "\\%c", (int) c);
                else if (c == '\n')
                        fputs("\\n", f);
                else if (c == '\t')
                        fputs("\\t", f);
                else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                        fprintf(f, "\\x%02X", c);
                else if (c == 0x2028 || c == 0x2029 || IN_SET(c, 0xfeffU, 0xfffeU, 0xffffU))
                        fprintf(f, "\\u%04X", c);
                else
                        fwrite(s, 1, n, f);
                s += n;
        }
        fputc('"', f);
}

static void put_text(FILE *f, const char *text) {
        if (is_plain(text))
                fputs(text, f);
        else
                put_quoted(f, text);
}

static int put_scalar(FILE *f, json_t *v) {
        _cleanup_free_ char *text = NULL;

        if (json_is_string(v)) {
                put_text(f, json_string_value(v));
                return 0;
        }
        text = json_format(v, /* pretty= */ false); /* numbers, words, and what is empty: as in JSON */
        if (!text)
                return -ENOMEM;
        fputs(text, f);
        return 0;
}

/* ---- what holds others ---- */

static void put_indent(FILE *f, unsigned depth) {
        fprintf(f, "%*s", (int) (depth * INDENT), "");
}

static bool is_block(json_t *v) {
        return (json_is_object(v) && json_object_size(v) > 0) ||
               (json_is_array(v) && json_array_size(v) > 0);
}

/* begun: the first line has its indentation already, and a dash. */
static int put_block(FILE *f, json_t *v, unsigned depth, bool begun);

static int put_member(FILE *f, const char *key, json_t *v, unsigned depth) {
        int r;

        put_text(f, key);
        fputc(':', f);
        if (is_block(v)) {
                fputc('\n', f);
                return put_block(f, v, depth + 1, /* begun= */ false);
        }
        fputc(' ', f);
        r = put_scalar(f, v);
        fputc('\n', f);
        return r;
}

static int put_item(FILE *f, json_t *v, unsigned depth) {
        int r;

        fputs("- ", f);
        if (is_block(v))
                return put_block(f, v, depth + 1, /* begun= */ true);
        r = put_scalar(f, v);
        fputc('\n', f);
        return r;
}

static int put_block(FILE *f, json_t *v, unsigned depth, bool begun) {
        const char *key;
        json_t *member;
        size_t i;
        int r = 0;

        if (json_is_object(v))
                json_object_foreach(v, key, member) {
                        if (!begun)
                                put_indent(f, depth);
                        begun = false;
                        r = put_member(f, key, member, depth);
                        if (r < 0)
                                return r;
                }
        else
                json_array_foreach(v, i, member) {
                        if (!begun)
                                put_indent(f, depth);
                        begun = false;
                        r = put_item(f, member, depth);
                        if (r < 0)
                                return r;
                }
        return r;
}

int cli_yaml_format(json_t *v, char **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;
        int r;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        if (is_block(v))
                r = put_block(f, v, 0, /* begun= */ false);
        else {
                r = put_scalar(f, v);
                fputc('\n', f);
        }
        if (fclose(f) != 0 && r >= 0)
                r = -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        return 0;
}

int cli_yaml_print(json_t *v) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = cli_yaml_format(v, &text);
        if (r < 0)
                return r;
        fputs(text, stdout);
        return ferror(stdout) ? -EIO : 0;
}
