/* SPDX-License-Identifier: Apache-2.0 */

/* The first user: made once, by who can read the setup code on the gateway's machine. */

#include "alloc-util.h"
#include "crypto.h"
#include "log.h"
#include "login-wait.h"
#include "people-request.h"
#include "people.h"
#include "setup-code.h"
#include "string-util.h"

#define LIMIT_NAME "#setup" /* no user has such a name */

typedef struct SetupJob {
        ApiJob api;
        PasswordRequest request;
        int code; /* by prepare(): setup_code_check() */
        char hash[PASSWORD_HASH_MAX];
        UserRecord user;
} SetupJob;

static void setup_job_free(ApiJob *a) {
        SetupJob *j = container_of(a, SetupJob, api);

        password_request_done(&j->request);
        user_record_done(&j->user);
        api_job_done(a);
        free(j);
}

void api_setup_show(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;
        json_t *o = json_object();

        if (o && json_set_bool(o, "needed", !auth_has_users(g->auth)) < 0) {
                json_decref(o);
                o = NULL;
        }
        http_reply_json(x, 200, o);
}

static int setup_prepare(ApiJob *a, Store *s) {
        SetupJob *j = container_of(a, SetupJob, api);

        j->code = setup_code_check(s, j->request.code, now(CLOCK_REALTIME));
        return 0;
}

static int setup_compute(ApiJob *a) {
        SetupJob *j = container_of(a, SetupJob, api);

        return j->code == 0 ? password_hash(j->request.password, j->hash) : 0;
}

static int setup_refuse(SetupJob *j, Store *s) {
        ApiJob *a = &j->api;

        switch (j->code) {
        case -ENOENT:
                return api_job_refuse(a, HTTP_PROBLEM_CONFLICT, NULL, "There is a user already; sign in.");
        case -EKEYEXPIRED:
                return api_job_refuse(
                                a, HTTP_PROBLEM_BAD_CREDENTIALS, "/code",
                                "The setup code has expired. Restart fleet-gateway.service, which makes "
                                "another.");
        case -EKEYREJECTED:
                a->unchanged = true;
                (void) api_job_refuse(
                                a, HTTP_PROBLEM_BAD_CREDENTIALS, "/code", "The setup code is not right.");
                return login_log_refused(
                                &a->gateway->login_log, &a->job, s, &a->actor, NULL, LOGIN_REFUSED_CODE);
        default:
                return j->code;
        }
}

static int setup_run(ApiJob *a, Store *s) {
        SetupJob *j = container_of(a, SetupJob, api);

        if (j->code == 0)
                j->code = setup_code_check(s, j->request.code, now(CLOCK_REALTIME)); /* once only */
        if (j->code < 0)
                return setup_refuse(j, s);
        j->user = (UserRecord){
                .name = TAKE_PTR(j->request.name),
                .role = API_ROLE_ADMIN,
                .password_hash = strdup(j->hash),
        };
        if (!j->user.password_hash || free_and_strdup(&a->actor.name, "setup-code") < 0 ||
            free_and_strdup(&a->actor.method, "setup-code") < 0)
                return -ENOMEM;
        return people_create(a, s, &j->user);
}

static void setup_after(ApiJob *a) {
        SetupJob *j = container_of(a, SetupJob, api);
        Gateway *g = a->gateway;
        int r;

        login_was_right(g, http_exchange_address(a->exchange), LIMIT_NAME);
        setup_code_unlink(g->state_fd);
        r = auth_put_user(g->auth, &j->user);
        if (r < 0)
                (void) log_error_errno(
                                r, "User %s can sign in only after the gateway's next start: %m",
                                j->user.name);
}

void api_setup_create(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        Gateway *g = userdata;
        RequestError error = {};
        SetupJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = new0(SetupJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.prepare = setup_prepare;
        j->api.compute = setup_compute;
        j->api.run = setup_run;
        j->api.after = setup_after;
        j->api.free = setup_job_free;
        r = setup_request_parse(body, &j->request, &error);
        if (r < 0)
                api_reply_request_error(x, r, &error);
        if (r < 0 || !login_may_try(&j->api, g, x, LIMIT_NAME))
                setup_job_free(&j->api);
        else
                api_submit(&j->api, g, x);
}
