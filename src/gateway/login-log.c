/* SPDX-License-Identifier: Apache-2.0 */
#include "login-log.h"

#include "messages.h"
#include "string-util.h"

bool login_log_may_enter(LoginLog *l, usec_t now, uint64_t *ret_count) {
        if (l->begin == 0 || usec_sub(now, l->begin) >= USEC_PER_HOUR) {
                l->begin = now;
                l->n = 0;
        }
        if (l->n >= LOGIN_LOG_ENTRIES) {
                l->left_out++;
                return false;
        }
        l->n++;
        *ret_count = l->left_out + 1;
        l->left_out = 0;
        return true;
}

static void tell(const AuditActor *actor, const char *user, LoginRefusal why) {
        const char *from = strempty(actor->source);

        switch (why) {
        case LOGIN_REFUSED_CREDENTIALS:
                log_event(LOG_NOTICE, FLEET_MESSAGE_LOGIN_REFUSED_STR,
                          "MESSAGE=%s%s from %s was not let in: name or password are not right.",
                          user ? "User " : "Somebody", strempty(user), from, "FLEET_USER=%s", strempty(user),
                          "FLEET_ADDRESS=%s", from, NULL);
                break;
        case LOGIN_REFUSED_LIMIT:
                log_event(LOG_WARNING, FLEET_MESSAGE_LOGIN_LIMITED_STR,
                          "MESSAGE=Too many attempts to sign in%s%s from %s: the next must wait.",
                          user ? " as " : "", strempty(user), from, "FLEET_USER=%s", strempty(user),
                          "FLEET_ADDRESS=%s", from, NULL);
                break;
        case LOGIN_REFUSED_CODE:
                log_event(LOG_WARNING, FLEET_MESSAGE_LOGIN_REFUSED_STR,
                          "MESSAGE=Somebody from %s tried a setup code that is not right.", from,
                          "FLEET_USER=%s", "", "FLEET_ADDRESS=%s", from, NULL);
                break;
        }
}

int login_log_refused(
                LoginLog *l,
                StoreJob *j,
                Store *s,
                const AuditActor *actor,
                const char *user,
                LoginRefusal why) {

        static const char *const actions[] = {
                [LOGIN_REFUSED_CREDENTIALS] = "session.refused",
                [LOGIN_REFUSED_LIMIT] = "session.limited",
                [LOGIN_REFUSED_CODE] = "setup.refused",
        };
        _cleanup_free_ char *target = NULL;
        uint64_t count;
        int r;

        if (why != LOGIN_REFUSED_LIMIT) { /* those were counted where they were refused */
                r = store_job_note(j, &(StoreNote){ .kind = STORE_NOTE_LOGIN_FAILURE });
                if (r < 0)
                        return r;
        }
        if (log_limit_pass(&l->journal, "refused attempts to sign in"))
                tell(actor, user, why);
        if (!login_log_may_enter(l, now(CLOCK_BOOTTIME), &count))
                return 0;
        target = user ? strjoinf("user:%s", user) : strdup("");
        return target ? audit_append(j, s, actor, actions[why], target, count, NULL) : -ENOMEM;
}
