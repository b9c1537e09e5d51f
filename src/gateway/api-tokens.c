/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "api.h"
#include "crypto.h"
#include "hex.h"
#include "log.h"
#include "people-request.h"
#include "string-util.h"
#include "text-list.h"
#include "view.h"

typedef struct TokenJob {
        ApiJob api;
        JoinToken join;
        ApiToken token;
        char *secret;                        /* the whole token, shown once */
        char *id, *owner;
        TextList gone;                       /* ids of all that were deleted */
        json_t *list;                        /* borrowed from the answer */
} TokenJob;

static void token_job_free(ApiJob *a) {
        TokenJob *j = container_of(a, TokenJob, api);

        join_token_done(&j->join);
        api_token_done(&j->token);
        if (j->secret)
                secret_free(j->secret, strlen(j->secret));
        free(j->id);
        free(j->owner);
        text_list_done(&j->gone);
        api_job_done(a);
        free(j);
}

static TokenJob *token_job_new(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        TokenJob *j = new0(TokenJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = token_job_free;
        return j;
}

static int begin_list(ApiJob *a, const char *key, json_t **ret) {
        *ret = json_array();
        a->answer = json_object();
        if (*ret && a->answer)
                return json_set_take(a->answer, key, *ret);
        json_decref(*ret);
        return -ENOMEM;
}

static TokenJob *token_job_new_for_id(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        const char *id = http_exchange_argument(x, 0);
        TokenJob *j;

        if (!hex_is_valid(id, TOKEN_ID_HEX / 2)) {
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, NULL, "A token's id is 16 hexadecimal digits.");
                return NULL;
        }
        j = token_job_new(x, run);
        if (!j)
                return NULL;
        j->id = strdup(id);
        if (j->id)
                return j;
        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        token_job_free(&j->api);
        return NULL;
}

/* action: "<kind of token>.<verb>"; the detail is taken over, NULL: out of memory. */
static int audit_token(ApiJob *a, Store *s, const char *action, const char *id, json_t *detail) {
        _cleanup_free_ char *noun = strndup(action, strcspn(action, "."));

        if (!noun || !detail) {
                json_decref(detail);
                return -ENOMEM;
        }
        return api_audit_on(a, s, action, noun, id, 1, detail);
}

/* ---- join tokens ---- */

static int join_create_run(ApiJob *a, Store *s) {
        TokenJob *j = container_of(a, TokenJob, api);
        int r;

        r = s->ops->join_token_put(s, &j->join);
        if (r >= 0)
                r = audit_token(a, s, "join-token.create", j->join.id, view_join_token(&j->join));
        if (r < 0)
                return r;
        a->status = 201;
        a->answer = view_join_token(&j->join);
        return a->answer ? json_set_string(a->answer, "token", j->secret) : -ENOMEM;
}

static int join_fill(TokenJob *j, Gateway *g, JoinTokenRequest *q) {
        char *token = NULL;
        usec_t t = now(CLOCK_REALTIME);
        int r;

        j->join.uses = j->join.uses_left = q->uses;
        j->join.created = t;
        j->join.expires = usec_add(t, q->expires_in_sec * USEC_PER_SEC);
        j->join.labels = TAKE_GENERIC(q->labels, Labels, (Labels){});
        j->join.description = TAKE_PTR(q->description);
        j->join.agent = TAKE_PTR(q->agent);
        r = token_generate("fjt1", &j->join.id, &token, &j->join.hash);
        if (r < 0)
                return r;
        j->secret = strjoinf("%s_%s", token, gateway_ca_pin(g->ca));
        secret_free(token, strlen(token));
        return j->secret ? 0 : -ENOMEM;
}

void api_join_tokens_create(HttpExchange *x, void *userdata) {
        _cleanup_(join_token_request_done) JoinTokenRequest q = {};
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        TokenJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = token_job_new(x, join_create_run);
        if (!j)
                return;
        r = join_token_request_parse(body, &q, &error);
        if (r >= 0)
                r = join_fill(j, userdata, &q);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                token_job_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

static int take_join(JoinToken *t, void *userdata) {
        json_t *v = view_join_token(t);

        return v && json_array_append_new(userdata, v) >= 0 ? 0 : -ENOMEM;
}

static int join_list_run(ApiJob *a, Store *s) {
        json_t *list;
        int r = begin_list(a, "join_tokens", &list);

        return r < 0 ? r : s->ops->join_tokens_each(s, take_join, list);
}

void api_join_tokens_list(HttpExchange *x, void *userdata) {
        TokenJob *j = token_job_new(x, join_list_run);

        if (j)
                api_submit(&j->api, userdata, x);
}

static int refuse_unknown(ApiJob *a) {
        return api_job_refuse(a, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no token of that id.");
}

static int join_delete_run(ApiJob *a, Store *s) {
        const char *id = container_of(a, TokenJob, api)->id;
        _cleanup_(join_token_done) JoinToken t = {};
        int r;

        r = s->ops->join_token_get(s, id, &t);
        if (r == -ENOENT)
                return refuse_unknown(a);
        if (r >= 0)
                r = s->ops->join_token_delete(s, id);
        a->status = 204;
        return r < 0 ? r : audit_token(a, s, "join-token.delete", id, view_join_token(&t));
}

void api_join_tokens_delete(HttpExchange *x, void *userdata) {
        TokenJob *j = token_job_new_for_id(x, join_delete_run);

        if (j)
                api_submit(&j->api, userdata, x);
}

/* ---- API tokens ---- */

/* The token that asks for it may have gone while this waited, and what it made with it. */
static int check_parent(TokenJob *j, Store *s) {
        _cleanup_(api_token_done) ApiToken parent = {};
        int r;

        if (!j->token.parent)
                return 0;
        r = s->ops->api_token_get(s, j->token.parent, &parent);
        if (r == -ENOENT)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, NULL,
                                "The token that this was asked with is gone.");
        return r;
}

/* And so may who owns it. */
static int check_owner(TokenJob *j, Store *s) {
        const char *name = api_token_user(&j->token);
        _cleanup_(user_record_done) UserRecord u = {};
        int r;

        if (!name)
                return 0;
        r = s->ops->user_get(s, name, &u);
        if (r == -ENOENT || (r >= 0 && u.disabled))
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, NULL, "User \"%s\" is disabled or gone.", name);
        return r;
}

static int token_create_run(ApiJob *a, Store *s) {
        TokenJob *j = container_of(a, TokenJob, api);
        int r;

        r = check_parent(j, s);
        if (r >= 0)
                r = check_owner(j, s);
        if (r >= 0)
                r = s->ops->api_token_put(s, &j->token);
        if (r >= 0)
                r = audit_token(a, s, "api-token.create", j->token.id, view_api_token(&j->token));
        if (r < 0)
                return r;
        a->status = 201;
        a->answer = view_api_token(&j->token);
        return a->answer ? json_set_string(a->answer, "token", j->secret) : -ENOMEM;
}

static void token_create_after(ApiJob *a) {
        TokenJob *j = container_of(a, TokenJob, api);
        int r;

        r = auth_add(a->gateway->auth, &j->token);
        if (r < 0)
                (void) log_error_errno(
                                r, "API token %s works only after the gateway's next start: %m",
                                j->token.id);
}

/* No token is more than who makes it: not in role, not in scopes, and one made by a token not in time.
 * Answers itself. */
static int token_limits(HttpExchange *x, const ApiTokenRequest *q, usec_t expires) {
        const ApiCaller *c = http_exchange_caller(x);

        if (q->role > c->role)
                http_reply_problem(
                                x, HTTP_PROBLEM_FORBIDDEN, "/role",
                                "With the role %s none of the role %s can be made.",
                                api_role_to_string(c->role), api_role_to_string(q->role));
        else if (q->scopes & ~c->scopes)
                http_reply_problem(
                                x, HTTP_PROBLEM_FORBIDDEN, "/scopes",
                                "A token can make others for its own areas only; say which with \"scopes\".");
        else if (expires == 0 && c->role < API_ROLE_ADMIN)
                http_reply_problem(
                                x, HTTP_PROBLEM_FORBIDDEN, "/expires_in_sec",
                                "Only an admin can make a token that never expires.");
        else if (c->kind == CALLER_TOKEN && c->expires > 0 && (expires == 0 || expires > c->expires))
                http_reply_problem(
                                x, HTTP_PROBLEM_FORBIDDEN, "/expires_in_sec",
                                "A token cannot make one that outlives it; say a shorter \"expires_in_sec\".");
        else
                return 0;
        return -EACCES;
}

static int token_fill(TokenJob *j, HttpExchange *x, ApiTokenRequest *q) {
        const ApiCaller *c = http_exchange_caller(x);
        usec_t t = now(CLOCK_REALTIME);
        int r;

        j->token.role = q->role;
        j->token.scopes = q->scopes;
        j->token.created = t;
        j->token.expires = q->expires_in_sec > 0 ? usec_add(t, q->expires_in_sec * USEC_PER_SEC) : 0;
        j->token.description = TAKE_PTR(q->description);
        if (c->kind == CALLER_TOKEN) {
                j->token.parent = strdup(c->id);
                if (!j->token.parent)
                        return -ENOMEM;
        }
        r = api_caller_owner(c, &j->token.owner);
        return r < 0 ? r : token_generate("fga1", &j->token.id, &j->secret, &j->token.hash);
}

/* The same for everybody: who makes it owns it. */
void api_tokens_create(HttpExchange *x, void *userdata) {
        _cleanup_(api_token_request_done) ApiTokenRequest q = {};
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        TokenJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = token_job_new(x, token_create_run);
        if (!j)
                return;
        j->api.after = token_create_after;
        r = api_token_request_parse(body, &q, &error);
        if (r >= 0)
                r = token_fill(j, x, &q);
        if (r < 0)
                api_reply_request_error(x, r, &error);
        if (r < 0 || token_limits(x, &q, j->token.expires) < 0)
                token_job_free(&j->api);
        else
                api_submit(&j->api, userdata, x);
}

void api_own_tokens_create(HttpExchange *x, void *userdata) {
        api_tokens_create(x, userdata);
}

/* j->owner NULL: everybody's. */
static bool token_is_meant(const TokenJob *j, const ApiToken *t) {
        return !j->owner || streq_ptr(t->owner, j->owner);
}

static int take_token(ApiToken *t, void *userdata) {
        TokenJob *j = userdata;
        json_t *v;

        if (!token_is_meant(j, t))
                return 0;
        v = view_api_token(t);
        return v && json_array_append_new(j->list, v) >= 0 ? 0 : -ENOMEM;
}

static int token_list_run(ApiJob *a, Store *s) {
        TokenJob *j = container_of(a, TokenJob, api);
        int r = begin_list(a, "api_tokens", &j->list);

        return r < 0 ? r : s->ops->api_tokens_each(s, take_token, j);
}

void api_tokens_list(HttpExchange *x, void *userdata) {
        TokenJob *j = token_job_new(x, token_list_run);

        if (j)
                api_submit(&j->api, userdata, x);
}

/* Takes the job; for the caller's own tokens alone. */
static void submit_own(TokenJob *j, HttpExchange *x, void *userdata) {
        if (api_caller_owner(http_exchange_caller(x), &j->owner) >= 0) {
                api_submit(&j->api, userdata, x);
                return;
        }
        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        token_job_free(&j->api);
}

void api_own_tokens_list(HttpExchange *x, void *userdata) {
        TokenJob *j = token_job_new(x, token_list_run);

        if (j)
                submit_own(j, x, userdata);
}

static int take_gone(const char *id, void *userdata) {
        return text_list_add(userdata, id);
}

/* What was deleted, and the ids of what went with it because it had made them. */
static json_t *view_deletion(const TokenJob *j, const ApiToken *t) {
        json_t *o = view_api_token(t), *made = json_array();
        int r = o && made ? 0 : -ENOMEM;

        for (size_t i = 0; i < j->gone.n && r >= 0; i++)
                if (!streq(j->gone.items[i], t->id) &&
                    json_array_append_new(made, json_string(j->gone.items[i])) < 0)
                        r = -ENOMEM;
        if (r >= 0 && json_array_size(made) > 0)
                r = json_set_take(o, "made", json_incref(made));
        json_decref(made);
        if (r >= 0)
                return o;
        json_decref(o);
        return NULL;
}

/* With all that it made, whoever has them: nothing is left of a token that got into the wrong hands. */
static int token_delete_run(ApiJob *a, Store *s) {
        TokenJob *j = container_of(a, TokenJob, api);
        _cleanup_(api_token_done) ApiToken t = {};
        json_t *detail;
        int r;

        r = s->ops->api_token_get(s, j->id, &t);
        if (r == -ENOENT || (r >= 0 && !token_is_meant(j, &t)))
                return refuse_unknown(a);
        if (r >= 0)
                r = s->ops->api_token_delete(s, j->id, take_gone, &j->gone);
        if (r < 0)
                return r;
        a->status = 204;
        detail = view_deletion(j, &t);
        return detail ? api_audit_on(a, s, "api-token.delete", "api-token", j->id, j->gone.n, detail) :
                        -ENOMEM;
}

static void token_delete_after(ApiJob *a) {
        TokenJob *j = container_of(a, TokenJob, api);

        for (size_t i = 0; i < j->gone.n; i++)
                auth_remove(a->gateway->auth, j->gone.items[i]);
        event_ring_wake(a->gateway->events);         /* streams that it opened end */
}

void api_tokens_delete(HttpExchange *x, void *userdata) {
        TokenJob *j = token_job_new_for_id(x, token_delete_run);

        if (!j)
                return;
        j->api.after = token_delete_after;
        api_submit(&j->api, userdata, x);
}

void api_own_tokens_delete(HttpExchange *x, void *userdata) {
        TokenJob *j = token_job_new_for_id(x, token_delete_run);

        if (!j)
                return;
        j->api.after = token_delete_after;
        submit_own(j, x, userdata);
}
