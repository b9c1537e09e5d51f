/* SPDX-License-Identifier: Apache-2.0 */
#include "login-wait.h"

#include <stdio.h>

#include "alloc-util.h"
#include "log.h"
#include "string-util.h"

#define WAIT_TEXT "There were too many attempts; wait as long as Retry-After says."

typedef struct WaitJob {
        ApiJob api;
        char *name;
} WaitJob;

static void wait_job_free(ApiJob *a) {
        WaitJob *j = container_of(a, WaitJob, api);

        free(j->name);
        api_job_done(a);
        free(j);
}

static int wait_run(ApiJob *a, Store *s) {
        WaitJob *j = container_of(a, WaitJob, api);
        _cleanup_(user_record_done) UserRecord u = {};
        int r;

        a->unchanged = true;
        (void) api_job_refuse(a, HTTP_PROBLEM_TOO_MANY_ATTEMPTS, NULL, WAIT_TEXT);
        r = s->ops->user_get(s, j->name, &u);
        if (r < 0 && r != -ENOENT)
                return r;
        return login_log_refused(
                        &a->gateway->login_log, &a->job, s, &a->actor, r >= 0 ? j->name : NULL,
                        LOGIN_REFUSED_LIMIT);
}

static void reply_wait(Gateway *g, HttpExchange *x, const char *name, bool begins) {
        WaitJob *j = NULL;

        if (begins && log_limit_pass(&g->login_waits, "attempts to sign in that had to wait"))
                j = new0(WaitJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_TOO_MANY_ATTEMPTS, NULL, WAIT_TEXT);
                return;
        }
        j->api.run = wait_run;
        j->api.free = wait_job_free;
        j->name = strdup(name);
        if (j->name) {
                api_submit(&j->api, g, x);
                return;
        }
        http_reply_problem(x, HTTP_PROBLEM_TOO_MANY_ATTEMPTS, NULL, WAIT_TEXT);
        wait_job_free(&j->api);
}

bool login_may_try(ApiJob *a, Gateway *g, HttpExchange *x, const char *name) {
        char network[LOGIN_ADDRESS_MAX], seconds[32];
        usec_t wait, t = now(CLOCK_BOOTTIME);
        bool begins;
        int r;

        login_limit_network(http_exchange_address(x), network);
        a->kept_place = a->kept_place || login_limit_knows(g->login_limit, name, network, t);
        if (!api_has_room(g, a->kept_place)) /* no attempt: api_submit() refuses it */
                return true;
        r = login_limit_try(g->login_limit, name, network, t, &wait, &begins);
        if (r == 0)
                return true;
        if (r < 0) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return false;
        }
        (void) snprintf(seconds, sizeof(seconds), "%" PRIu64, (wait + USEC_PER_SEC - 1) / USEC_PER_SEC);
        http_reply_header(x, "Retry-After", seconds);
        metrics_count_login_failure(g->metrics);
        reply_wait(g, x, name, begins);
        return false;
}

void login_was_right(Gateway *g, const char *address, const char *name) {
        char network[LOGIN_ADDRESS_MAX];
        int r;

        login_limit_network(address, network);
        r = login_limit_success(g->login_limit, name, network, now(CLOCK_BOOTTIME));
        if (r < 0)
                (void) log_warning_errno(r, "Failed to note from where %s came in, ignoring: %m", name);
}
