/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What several routes about users have in common. Worker's thread, within a job of the API. */

#include "api.h"

#define USERS_MAX 1000U

/* For names that do not exist: as much work as a real one. Nobody knows a password for it. */
extern const char *const people_dummy_hash;

/* A new user: refuses a name that is taken and one too many; ends the setup. The record's password_hash is
 * there already. */
int people_create(ApiJob *a, Store *s, UserRecord *u);
/* Refuses (409) if nobody else than this user is an admin who is not disabled. */
int people_check_other_admin(ApiJob *a, Store *s, const char *name);
json_t *people_view(const UserRecord *u); /* without anything secret; NULL: out of memory */
