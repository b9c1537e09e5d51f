/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one-time code with which the first user is made. While there is no user, each start of the gateway
 * makes a new one: written to a file in the state directory that only the gateway and root can read, and to
 * the journal. The store holds its hash and when it ends. Worker's thread, but for telling and unlinking. */

#include "store-worker.h"

#define SETUP_CODE_FILE "setup-code"
#define SETUP_CODE_LIFE USEC_PER_DAY
#define SETUP_CODE_MAX 32U

/* Makes one and its file, and enters it into the audit log. */
int setup_code_make(StoreJob *j, Store *s, int state_fd, usec_t now, char ret[static SETUP_CODE_MAX]);
/* As people type it: case, spaces and hyphens do not count. 0: it is the one; -ENOENT: there is none;
 * -EKEYEXPIRED; -EKEYREJECTED. */
int setup_code_check(Store *s, const char *code, usec_t now);
int setup_code_forget(Store *s);

void setup_code_tell(const char *code, const char *state_directory);
void setup_code_unlink(int state_fd);
