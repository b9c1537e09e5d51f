/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Before a password or a code is looked at: may one more attempt be made? One answer for all routes where
 * somebody could guess. Loop's thread. */

#include "api.h"

/* Before api_submit(). true: go on, the attempt is counted. false: answered with 429 and Retry-After; the first of a row is
 * entered into journal and audit log, the others cost nothing but their answer. */
bool login_may_try(ApiJob *a, Gateway *g, HttpExchange *x, const char *name);
/* It was right after all: this user comes in from this address. */
void login_was_right(Gateway *g, const char *address, const char *name);
