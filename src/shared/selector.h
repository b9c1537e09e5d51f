/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Label selectors in Kubernetes' syntax: requirements joined by commas, all of which must hold.
 *   env=production  env==production  env!=test  tier in (web,db)  tier notin (web,db)  gpu  !gpu
 * "!=" and "notin" also match what lacks the key. The one parser for listing, counting and updating. Pure; a
 * selector is immutable once parsed and belongs to its caller. Limits: 4 KiB of text, 64 requirements, 256 values. */

#include "macro.h"

#define SELECTOR_TEXT_MAX 4096U
#define SELECTOR_REQUIREMENTS_MAX 64U
#define SELECTOR_VALUES_MAX 256U
#define LABEL_NAME_MAX 63U
#define LABEL_PREFIX_MAX 253U
#define SELECTOR_FACT_PREFIX "fact."

/* The facts there are, without the prefix; NULL-terminated. Any other is refused: "fact.oss!=debian" would be
 * true for every machine. */
extern const char *const selector_facts[];

typedef struct Selector Selector;

/* Value of a key, or NULL when the object lacks it. */
typedef const char *(*selector_lookup_t)(const char *key, void *userdata);

/* -EINVAL with a sentence that says where (allocated, if reterr_message is not NULL), -ENOMEM. An empty text is an
 * error: it must never mean "all". */
int selector_parse(const char *text, Selector **ret, char **reterr_message);
Selector *selector_free(Selector *s);
DEFINE_POINTER_CLEANUP(Selector, selector_free);

/* The first key that is a fact's name without the prefix, as in "os=debian", which asks for a label; NULL. For
 * those who have to say why nothing matches. */
const char *selector_fact_meant(const Selector *s);

bool selector_matches(const Selector *s, selector_lookup_t lookup, void *userdata);

/* What it consists of, for those who evaluate it elsewhere, as a database does. */
typedef enum SelectorOperator {
        SELECTOR_EXISTS,
        SELECTOR_NOT_EXISTS,
        SELECTOR_IN,                               /* "=" and "==" are "in" with one value */
        SELECTOR_NOT_IN,
} SelectorOperator;

typedef struct SelectorRequirement {
        char *key;
        SelectorOperator op;
        char **values;                             /* sorted, without duplicates */
} SelectorRequirement;

const SelectorRequirement *selector_requirements(const Selector *s, size_t *ret_n);

/* One spelling for every way to write the same thing: requirements and values sorted, duplicates gone. */
int selector_format(const Selector *s, char **ret);

/* "name" or "dns.prefix/name"; names are [A-Za-z0-9] with [-_.A-Za-z0-9] between. "fact." is reserved: it is what
 * machines say of themselves. */
bool label_key_is_valid(const char *key);
bool label_value_is_valid(const char *value);              /* as a name, or empty */
