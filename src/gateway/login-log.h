/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Attempts to sign in that were refused, told to the journal and the audit log: both so far only that nobody
 * can fill a disk with them. What was left out is counted in the next entry that is made. The name that was
 * given is told only if there is such a user: people type passwords there. Worker's thread. */

#include "audit.h"
#include "log-limit.h"

#define LOGIN_LOG_ENTRIES 60U /* of the audit log, in an hour */

typedef enum LoginRefusal {
        LOGIN_REFUSED_CREDENTIALS, /* wrong name or password */
        LOGIN_REFUSED_LIMIT,       /* must wait */
        LOGIN_REFUSED_CODE,        /* wrong setup code */
} LoginRefusal;

typedef struct LoginLog {
        LogLimit journal;
        usec_t begin; /* of the hour, CLOCK_BOOTTIME */
        unsigned n;
        uint64_t left_out;
} LoginLog;

/* user: NULL when there is none of that name. */
int login_log_refused(
                LoginLog *l,
                StoreJob *j,
                Store *s,
                const AuditActor *actor,
                const char *user,
                LoginRefusal why);
/* May one more entry be made now? How many it stands for. Pure. */
bool login_log_may_enter(LoginLog *l, usec_t now, uint64_t *ret_count);
