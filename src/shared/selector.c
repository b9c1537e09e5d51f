/* SPDX-License-Identifier: Apache-2.0 */
#include "selector.h"

#include <ctype.h>
#include <stdio.h>

#include "alloc-util.h"
#include "string-util.h"

const char *const selector_facts[] = { "os", "os_version", "arch", "kernel", "hostname", "version", NULL };

struct Selector {
        SelectorRequirement *requirements;   /* sorted, without duplicates */
        size_t n_requirements, n_allocated;
};

typedef enum TokenType {
        TOKEN_END,
        TOKEN_WORD,
        TOKEN_EQUAL,
        TOKEN_NOT_EQUAL,
        TOKEN_NOT,
        TOKEN_OPEN,
        TOKEN_CLOSE,
        TOKEN_COMMA,
        TOKEN_BAD,
} TokenType;

typedef struct Lexer {
        const char *text;
        const char *position;
        TokenType type;              /* of the current token */
        const char *start;           /* where it begins */
        size_t length;
        const char *why;             /* of the error: a static sentence */
} Lexer;

static bool is_word(char c) {
        return isalnum((unsigned char) c) || (c && strchr("-_./+~", c));
}

static void lexer_next(Lexer *l) {
        const char *p = l->position;

        while (*p == ' ' || *p == '\t')
                p++;
        l->start = p;
        if (*p == '\0')
                l->type = TOKEN_END;
        else if (*p == '=') {
                l->type = TOKEN_EQUAL;
                p += p[1] == '=' ? 2 : 1;
        } else if (*p == '!') {
                l->type = p[1] == '=' ? TOKEN_NOT_EQUAL : TOKEN_NOT;
                p += p[1] == '=' ? 2 : 1;
        } else if (*p == '(' || *p == ')' || *p == ',') {
                l->type = *p == '(' ? TOKEN_OPEN : *p == ')' ? TOKEN_CLOSE : TOKEN_COMMA;
                p++;
        } else if (is_word(*p)) {
                l->type = TOKEN_WORD;
                while (is_word(*p))
                        p++;
        } else
                l->type = TOKEN_BAD;
        l->length = (size_t) (p - l->start);
        l->position = p;
}

static int lexer_fail(Lexer *l, const char *why) {
        l->why = why;
        return -EINVAL;
}

static bool lexer_is_word(const Lexer *l, const char *word) {
        return l->type == TOKEN_WORD && strlen(word) == l->length && strncmp(l->start, word, l->length) == 0;
}

static bool name_is_valid(const char *s, size_t n, const char *extra) {
        if (n == 0 || n > LABEL_NAME_MAX || !isalnum((unsigned char) s[0]) ||
            !isalnum((unsigned char) s[n - 1]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) s[i]) && !strchr("-_.", s[i]) && !strchr(extra, s[i]))
                        return false;
        return true;
}

static bool prefix_is_valid(const char *s, size_t n) {
        if (n == 0 || n > LABEL_PREFIX_MAX)
                return false;
        for (size_t i = 0; i < n; i++) {
                bool edge = i == 0 || i == n - 1 || s[i - 1] == '.' || s[i + 1] == '.';

                if (islower((unsigned char) s[i]) || isdigit((unsigned char) s[i]))
                        continue;
                if ((s[i] != '-' && s[i] != '.') || edge)
                        return false;
        }
        return true;
}

static bool key_is_valid(const char *key) {
        const char *slash = strchr(key, '/');

        if (slash && !prefix_is_valid(key, (size_t) (slash - key)))
                return false;
        key = slash ? slash + 1 : key;
        return name_is_valid(key, strlen(key), "");
}

bool label_key_is_valid(const char *key) {
        return key_is_valid(key) && !startswith(key, SELECTOR_FACT_PREFIX);
}

bool label_value_is_valid(const char *value) {
        return isempty(value) || name_is_valid(value, strlen(value), "");
}

static void requirement_done(SelectorRequirement *q) {
        free(q->key);
        strv_free(q->values);
        *q = (SelectorRequirement){};
}

static int compare_text(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void requirement_normalize(SelectorRequirement *q) {
        size_t n = strv_length(q->values), kept = 0;

        if (n == 0)
                return;
        qsort(q->values, n, sizeof(char *), compare_text);
        for (size_t i = 0; i < n; i++)
                if (kept > 0 && streq(q->values[kept - 1], q->values[i]))
                        free(q->values[i]);
                else
                        q->values[kept++] = q->values[i];
        q->values[kept] = NULL;
}

static int requirement_compare(const void *a, const void *b) {
        const SelectorRequirement *x = a, *y = b;
        char *const *v = x->values, *const *w = y->values;
        int r;

        r = strcmp(x->key, y->key);
        if (r != 0)
                return r;
        if (x->op != y->op)
                return x->op < y->op ? -1 : 1;
        for (; v && *v && w && *w; v++, w++) {
                r = strcmp(*v, *w);
                if (r != 0)
                        return r;
        }
        return (v && *v ? 1 : 0) - (w && *w ? 1 : 0);
}

/* The current token as a value of the requirement; what machines say may hold more characters than a label.
 */
static int parse_value(Lexer *l, SelectorRequirement *q, size_t *n_values) {
        _cleanup_free_ char *value = NULL;
        const char *extra = startswith(q->key, SELECTOR_FACT_PREFIX) ? "+~" : "";

        if (l->type != TOKEN_WORD)
                return lexer_fail(l, "a value is missing");
        if (!name_is_valid(l->start, l->length, extra))
                return lexer_fail(l, "this is no value (letters, digits, '-', '_', '.'; at most 63)");
        if (++*n_values > SELECTOR_VALUES_MAX)
                return lexer_fail(l, "too many values");

        value = strndup(l->start, l->length);
        if (!value)
                return -ENOMEM;
        lexer_next(l);
        return strv_consume(&q->values, TAKE_PTR(value));
}

static int parse_set(Lexer *l, SelectorRequirement *q, size_t *n_values) {
        int r;

        lexer_next(l);
        if (l->type != TOKEN_OPEN)
                return lexer_fail(l, "'(' expected");
        do {
                lexer_next(l);
                r = parse_value(l, q, n_values);
                if (r < 0)
                        return r;
        } while (l->type == TOKEN_COMMA);
        if (l->type != TOKEN_CLOSE)
                return lexer_fail(l, "',' or ')' expected");
        lexer_next(l);
        return 0;
}

static bool fact_is_known(const char *key) {
        const char *fact = startswith(key, SELECTOR_FACT_PREFIX);

        return !fact || strv_contains((char *const *) selector_facts, fact);
}

const char *selector_fact_meant(const Selector *s) {
        for (size_t i = 0; i < s->n_requirements; i++)
                if (strv_contains((char *const *) selector_facts, s->requirements[i].key))
                        return s->requirements[i].key;
        return NULL;
}

static int parse_requirement(Lexer *l, SelectorRequirement *q, size_t *n_values) {
        bool negated = l->type == TOKEN_NOT;

        if (negated)
                lexer_next(l);
        if (l->type != TOKEN_WORD)
                return lexer_fail(l, "a key is missing");
        q->key = strndup(l->start, l->length);
        if (!q->key)
                return -ENOMEM;
        if (!key_is_valid(q->key))
                return lexer_fail(l, "this is no key");
        if (!fact_is_known(q->key))
                return lexer_fail(l, "there is no such fact (os, os_version, arch, kernel, hostname, version)");
        lexer_next(l);
        if (negated) {
                q->op = SELECTOR_NOT_EXISTS;
                return 0;
        }

        switch (l->type) {
        case TOKEN_END:
        case TOKEN_COMMA:
                q->op = SELECTOR_EXISTS;
                return 0;
        case TOKEN_EQUAL:
        case TOKEN_NOT_EQUAL:
                q->op = l->type == TOKEN_EQUAL ? SELECTOR_IN : SELECTOR_NOT_IN;
                lexer_next(l);
                return parse_value(l, q, n_values);
        case TOKEN_WORD:
                if (lexer_is_word(l, "in") || lexer_is_word(l, "notin")) {
                        q->op = lexer_is_word(l, "in") ? SELECTOR_IN : SELECTOR_NOT_IN;
                        return parse_set(l, q, n_values);
                }
                break;
        default:
                break;
        }
        return lexer_fail(l, "'=', '!=', 'in', 'notin' or ',' expected");
}

static int selector_parse_all(Lexer *l, Selector *s) {
        size_t n_values = 0;
        int r;

        lexer_next(l);
        if (l->type == TOKEN_END)
                return lexer_fail(l, "it is empty");
        for (;;) {
                _cleanup_(requirement_done) SelectorRequirement q = {};

                if (s->n_requirements >= SELECTOR_REQUIREMENTS_MAX)
                        return lexer_fail(l, "too many requirements");
                r = parse_requirement(l, &q, &n_values);
                if (r < 0)
                        return r;
                requirement_normalize(&q);

                r = ARRAY_GROW(s->requirements, s->n_allocated, s->n_requirements + 1);
                if (r < 0)
                        return r;
                s->requirements[s->n_requirements++] =
                                TAKE_GENERIC(q, SelectorRequirement, (SelectorRequirement){});

                if (l->type == TOKEN_END)
                        return 0;
                if (l->type != TOKEN_COMMA)
                        return lexer_fail(l, "',' expected");
                lexer_next(l);
        }
}

static void selector_normalize(Selector *s) {
        size_t kept = 0;

        qsort(s->requirements, s->n_requirements, sizeof(SelectorRequirement), requirement_compare);
        for (size_t i = 0; i < s->n_requirements; i++)
                if (kept > 0 && requirement_compare(&s->requirements[kept - 1], &s->requirements[i]) == 0)
                        requirement_done(&s->requirements[i]);
                else
                        s->requirements[kept++] = s->requirements[i];
        s->n_requirements = kept;
}

int selector_parse(const char *text, Selector **ret, char **reterr_message) {
        _cleanup_(selector_freep) Selector *s = NULL;
        Lexer l = { .text = text, .position = text, .start = text };
        int r;

        s = new0(Selector, 1);
        if (!s)
                return -ENOMEM;

        r = strlen(text) > SELECTOR_TEXT_MAX ? lexer_fail(&l, "it is too long") : selector_parse_all(&l, s);
        if (r == -EINVAL && reterr_message) {
                *reterr_message = strjoinf(
                                "The selector cannot be read: %s, at character %zu.",
                                l.why ?: "syntax error", (size_t) (l.start - l.text) + 1);
                if (!*reterr_message)
                        return -ENOMEM;
        }
        if (r < 0)
                return r;

        selector_normalize(s);
        *ret = TAKE_PTR(s);
        return 0;
}

Selector *selector_free(Selector *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_requirements; i++)
                requirement_done(&s->requirements[i]);
        free(s->requirements);
        free(s);
        return NULL;
}

static bool requirement_matches(const SelectorRequirement *q, const char *value) {
        switch (q->op) {
        case SELECTOR_EXISTS:
                return value;
        case SELECTOR_NOT_EXISTS:
                return !value;
        case SELECTOR_IN:
                return value && strv_contains(q->values, value);
        case SELECTOR_NOT_IN:
                return !value || !strv_contains(q->values, value);
        }
        return false;
}

bool selector_matches(const Selector *s, selector_lookup_t lookup, void *userdata) {
        for (size_t i = 0; i < s->n_requirements; i++)
                if (!requirement_matches(&s->requirements[i], lookup(s->requirements[i].key, userdata)))
                        return false;
        return true;
}

const SelectorRequirement *selector_requirements(const Selector *s, size_t *ret_n) {
        *ret_n = s->n_requirements;
        return s->requirements;
}

static char *requirement_format(const SelectorRequirement *q) {
        _cleanup_free_ char *values = NULL;

        switch (q->op) {
        case SELECTOR_EXISTS:
                return strdup(q->key);
        case SELECTOR_NOT_EXISTS:
                return strjoinf("!%s", q->key);
        case SELECTOR_IN:
        case SELECTOR_NOT_IN:
                break;
        }
        if (strv_length(q->values) == 1)
                return strjoinf("%s%s%s", q->key, q->op == SELECTOR_IN ? "=" : "!=", q->values[0]);
        values = strv_join(q->values, ",");
        if (!values)
                return NULL;
        return strjoinf("%s %s (%s)", q->key, q->op == SELECTOR_IN ? "in" : "notin", values);
}

int selector_format(const Selector *s, char **ret) {
        _cleanup_strv_free_ char **parts = NULL;
        int r;

        for (size_t i = 0; i < s->n_requirements; i++) {
                char *part = requirement_format(&s->requirements[i]);

                if (!part)
                        return -ENOMEM;
                r = strv_consume(&parts, part);
                if (r < 0)
                        return r;
        }
        *ret = strv_join(parts, ",");
        return *ret ? 0 : -ENOMEM;
}
