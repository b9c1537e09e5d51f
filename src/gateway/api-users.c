/* SPDX-License-Identifier: Apache-2.0 */

/* Users, for admins. A change ends or updates what the user has open at once: sessions, event streams,
 * tokens. */

#include "alloc-util.h"
#include "crypto.h"
#include "log.h"
#include "people-request.h"
#include "people.h"
#include "setup-code.h"
#include "string-util.h"

typedef struct UserJob {
        ApiJob api;
        char *name, *if_match;
        UserRequest request;
        PasswordRequest password;
        char hash[PASSWORD_HASH_MAX]; /* by compute() */
        UserRecord user;              /* as it is after it */
} UserJob;

static void user_job_free(ApiJob *a) {
        UserJob *j = container_of(a, UserJob, api);

        user_request_done(&j->request);
        password_request_done(&j->password);
        user_record_done(&j->user);
        free(j->name);
        free(j->if_match);
        api_job_done(a);
        free(j);
}

static UserJob *user_job_new(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        UserJob *j = new0(UserJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = user_job_free;
        return j;
}

static int refuse_unknown(UserJob *j) {
        return api_job_refuse(&j->api, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no user \"%s\".", j->name);
}

/* For a route with a name in its path. */
static UserJob *user_job_new_for_one(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        const char *name = http_exchange_argument(x, 0), *if_match = http_exchange_header(x, "If-Match");
        UserJob *j;

        if (!user_name_is_valid(name)) {
                http_reply_problem(x, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no user of that name.");
                return NULL;
        }
        j = user_job_new(x, run);
        if (!j)
                return NULL;
        j->name = strdup(name);
        j->if_match = if_match ? strdup(if_match) : NULL;
        if (j->name && (!if_match || j->if_match))
                return j;
        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        user_job_free(&j->api);
        return NULL;
}

static int get_user(UserJob *j, Store *s) {
        int r = s->ops->user_get(s, j->name, &j->user);

        return r == -ENOENT ? refuse_unknown(j) : r;
}

static int answer_user(UserJob *j) {
        api_etag_format(j->api.etag, j->user.created, j->user.revision);
        j->api.answer = people_view(&j->user);
        return j->api.answer ? 0 : -ENOMEM;
}

/* What is known on the loop follows the store; event streams look again at whose they are. */
static void user_changed(ApiJob *a) {
        UserJob *j = container_of(a, UserJob, api);
        int r;

        r = auth_put_user(a->gateway->auth, &j->user);
        if (r < 0) {
                (void) log_error_errno(
                                r,
                                "User %s cannot sign in until the gateway's next start: %m",
                                j->user.name);
                auth_remove_user(a->gateway->auth, j->user.name);
        }
        event_ring_wake(a->gateway->events);
}

/* ---- list and one ---- */

static int take_user(UserRecord *u, void *userdata) {
        json_t *v = people_view(u);

        return v && json_array_append_new(userdata, v) >= 0 ? 0 : -ENOMEM;
}

static int list_run(ApiJob *a, Store *s) {
        json_t *list = json_array();

        a->answer = json_object();
        if (!a->answer || json_set_take(a->answer, "users", list) < 0)
                return -ENOMEM;
        return s->ops->users_each(s, take_user, list);
}

void api_users_list(HttpExchange *x, void *userdata) {
        UserJob *j = user_job_new(x, list_run);

        if (j)
                api_submit(&j->api, userdata, x);
}

static int show_run(ApiJob *a, Store *s) {
        UserJob *j = container_of(a, UserJob, api);
        int r = get_user(j, s);

        return r < 0 ? r : answer_user(j);
}

void api_users_show(HttpExchange *x, void *userdata) {
        UserJob *j = user_job_new_for_one(x, show_run);

        if (!j)
                return;
        api_submit(&j->api, userdata, x);
}

/* ---- a new one ---- */

static int hash_new(ApiJob *a) {
        UserJob *j = container_of(a, UserJob, api);

        return password_hash(j->request.password ?: j->password.password, j->hash);
}

static int create_run(ApiJob *a, Store *s) {
        UserJob *j = container_of(a, UserJob, api);

        j->user = (UserRecord){
                .name = TAKE_PTR(j->request.name),
                .display_name = TAKE_PTR(j->request.display_name),
                .role = j->request.role,
                .disabled = j->request.disabled,
                .password_hash = strdup(j->hash),
        };
        return j->user.password_hash ? people_create(a, s, &j->user) : -ENOMEM;
}

static void create_after(ApiJob *a) {
        setup_code_unlink(a->gateway->state_fd);
        user_changed(a);
}

void api_users_create(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        UserJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = user_job_new(x, create_run);
        if (!j)
                return;
        j->api.compute = hash_new;
        j->api.kept_place = true;
        j->api.after = create_after;
        r = user_request_parse(body, &j->request, &error);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                user_job_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- changes ---- */

static int set_change(json_t *detail, const char *key, json_t *from, json_t *to) {
        json_t *pair = json_object();

        if (json_set_take(pair, "from", from) < 0 || json_set_take(pair, "to", to) < 0) {
                json_decref(pair);
                return -ENOMEM;
        }
        return json_set_take(detail, key, pair);
}

/* What is different afterwards, into the record and into the detail of the entry. */
static int apply_changes(UserJob *j, json_t *detail) {
        const UserRequest *q = &j->request;
        UserRecord *u = &j->user;
        int r = 0;

        if (q->has_role && q->role != u->role) {
                r = set_change(detail, "role", json_string(api_role_to_string(u->role)),
                               json_string(api_role_to_string(q->role)));
                u->role = q->role;
        }
        if (r >= 0 && q->has_disabled && q->disabled != u->disabled) {
                r = set_change(detail, "disabled", json_boolean(u->disabled), json_boolean(q->disabled));
                u->disabled = q->disabled;
        }
        if (r >= 0 && q->display_name && !streq(q->display_name, strempty(u->display_name))) {
                r = set_change(detail, "display_name", json_string(strempty(u->display_name)),
                               json_string(q->display_name));
                if (r >= 0)
                        r = MIN(free_and_strdup(&u->display_name, q->display_name), 0);
        }
        return r;
}

static int patch_run(ApiJob *a, Store *s) {
        UserJob *j = container_of(a, UserJob, api);
        _cleanup_json_ json_t *detail = json_object();
        bool was_admin;
        int r;

        r = detail ? get_user(j, s) : -ENOMEM;
        if (r >= 0)
                r = api_job_check_if_match(a, j->if_match, j->user.created, j->user.revision);
        if (r < 0)
                return r;
        was_admin = j->user.role == API_ROLE_ADMIN && !j->user.disabled;
        r = apply_changes(j, detail);
        if (r < 0)
                return r;
        a->unchanged = json_object_size(detail) == 0;
        if (a->unchanged)
                return answer_user(j);
        if (was_admin && (j->user.role != API_ROLE_ADMIN || j->user.disabled))
                r = people_check_other_admin(a, s, j->name);
        j->user.updated = now(CLOCK_REALTIME);
        j->user.revision++;
        if (r >= 0)
                r = s->ops->user_put(s, &j->user);
        if (r >= 0 && j->user.disabled)
                r = s->ops->sessions_delete_of(s, j->name, NULL);
        if (r >= 0)
                r = api_audit_on(a, s, "user.change", "user", j->name, 1, TAKE_PTR(detail));
        return r < 0 ? r : answer_user(j);
}

void api_users_patch(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        UserJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = user_job_new_for_one(x, patch_run);
        if (!j)
                return;
        j->api.after = user_changed;
        r = user_change_parse(body, &j->request, &error);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                user_job_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- removal ---- */

/* Somebody else may get the name one day: nothing of this one may be left for that one. */
static int delete_tokens(UserJob *j, Store *s, json_t *detail) {
        _cleanup_free_ char *owner = strjoinf("user:%s", j->name);
        uint64_t n;
        int r;

        r = owner ? s->ops->api_tokens_delete_of(s, owner, &n) : -ENOMEM;
        return r < 0 ? r : json_set_u64(detail, "tokens", n);
}

static int delete_run(ApiJob *a, Store *s) {
        UserJob *j = container_of(a, UserJob, api);
        _cleanup_json_ json_t *detail = NULL;
        int r;

        r = get_user(j, s);
        if (r >= 0 && j->if_match)
                r = api_job_check_if_match(a, j->if_match, j->user.created, j->user.revision);
        a->etag[0] = '\0';
        if (r >= 0 && j->user.role == API_ROLE_ADMIN && !j->user.disabled)
                r = people_check_other_admin(a, s, j->name);
        if (r >= 0)
                r = s->ops->user_delete(s, j->name);
        if (r < 0)
                return r;
        detail = people_view(&j->user);
        r = detail ? delete_tokens(j, s, detail) : -ENOMEM;
        a->status = 204;
        return r < 0 ? r : api_audit_on(a, s, "user.remove", "user", j->name, 1, TAKE_PTR(detail));
}

static void delete_after(ApiJob *a) {
        auth_remove_user(a->gateway->auth, container_of(a, UserJob, api)->name);
        event_ring_wake(a->gateway->events);
}

void api_users_delete(HttpExchange *x, void *userdata) {
        UserJob *j = user_job_new_for_one(x, delete_run);

        if (!j)
                return;
        j->api.after = delete_after;
        api_submit(&j->api, userdata, x);
}

/* ---- a new password, by an admin ---- */

static int password_run(ApiJob *a, Store *s) {
        UserJob *j = container_of(a, UserJob, api);
        int r;

        r = get_user(j, s);
        if (r >= 0)
                r = api_job_check_if_match(a, j->if_match, j->user.created, j->user.revision);
        if (r >= 0)
                r = MIN(free_and_strdup(&j->user.password_hash, j->hash), 0);
        if (r < 0)
                return r;
        j->user.updated = now(CLOCK_REALTIME);
        j->user.revision++;
        r = s->ops->user_put(s, &j->user);
        if (r >= 0)
                r = s->ops->sessions_delete_of(s, j->name, NULL);
        if (r >= 0)
                r = api_audit_on(a, s, "user.password", "user", j->name, 1, NULL);
        return r < 0 ? r : answer_user(j);
}

static void password_after(ApiJob *a) {
        auth_end_sessions(a->gateway->auth, container_of(a, UserJob, api)->name, NULL);
        user_changed(a);
}

void api_users_password(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        UserJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = user_job_new_for_one(x, password_run);
        if (!j)
                return;
        j->api.compute = hash_new;
        j->api.kept_place = true;
        j->api.after = password_after;
        r = password_request_parse(body, j->name, &j->password, &error);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                user_job_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
