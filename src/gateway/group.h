/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Groups: selectors with a name. Who is in one follows from the agents' labels and facts; nothing is kept.
 */

#include "store.h"

#define GROUPS_MAX 1000U

bool group_name_is_valid(const char *name); /* a label's value, and not empty */

/* What it matches. -ENOENT. */
int group_selector(Store *s, const char *name, Selector **ret);

/* 0: nobody needs it; 1: somebody does, and *ret_why says who, as the rest of a sentence. */
int group_is_used(Store *s, const char *name, char **ret_why);
