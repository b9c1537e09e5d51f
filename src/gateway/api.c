/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <stdarg.h>
#include <stdio.h>

#include "api-agent-filter.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"

#define PARAMETERS(...)                                                                                     \
        .parameters = (const char *const[]) {                                                               \
                __VA_ARGS__, NULL                                                                           \
        }

/* Who may do what, at a glance: the role, and the area that a token must be made for. docs/openapi.yaml has
 * the same rows, which is tested. */
const HttpRoute api_routes[] = {
        { "GET", "/healthz", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_healthz,
          .any_parameters = true, .while_stopping = true },
        { "GET", "/readyz", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_readyz,
          .any_parameters = true, .while_stopping = true },
        { "GET", "/ca.pem", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, http_static_ca,
          .any_parameters = true },
        { "GET", "/tuf/*", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, http_static_tuf,
          .any_parameters = true },

        { "GET", "/api/v1/setup", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_setup_show },
        { "POST", "/api/v1/setup", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_JSON, api_setup_create },
        { "POST", "/api/v1/session", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_JSON, api_session_create },
        { "DELETE", "/api/v1/session", API_ROLE_VIEWER, API_AREA_NONE, HTTP_BODY_NONE, api_session_delete },
        { "GET", "/api/v1/me", API_ROLE_VIEWER, API_AREA_NONE, HTTP_BODY_NONE, api_me },
        { "PUT", "/api/v1/me/password", API_ROLE_VIEWER, API_AREA_NONE, HTTP_BODY_JSON, api_me_password },
        { "POST", "/api/v1/me/tokens", API_ROLE_VIEWER, API_AREA_TOKENS, HTTP_BODY_JSON,
          api_own_tokens_create, .idempotency = HTTP_IDEMPOTENCY_SECRET },
        { "GET", "/api/v1/me/tokens", API_ROLE_VIEWER, API_AREA_TOKENS, HTTP_BODY_NONE,
          api_own_tokens_list },
        { "DELETE", "/api/v1/me/tokens/{}", API_ROLE_VIEWER, API_AREA_TOKENS, HTTP_BODY_NONE,
          api_own_tokens_delete },

        { "GET", "/api/v1/agents", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE, api_agents_list,
          .end = api_agents_list_end,
          PARAMETERS(AGENT_FILTER_PARAMETERS, "sort", "limit", "cursor", "offset", "fields") },
        { "GET", "/api/v1/agents/summary", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE,
          api_agents_summary, PARAMETERS(AGENT_FILTER_PARAMETERS, "facet") },
        { "POST", "/api/v1/agents/match", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_JSON, api_agents_match,
          .json_max = TARGET_BODY_MAX },
        { "POST", "/api/v1/agents/labels", API_ROLE_OPERATOR, API_AREA_AGENTS, HTTP_BODY_JSON,
          api_agents_relabel, .json_max = TARGET_BODY_MAX, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "GET", "/api/v1/agents/{}", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE, api_agents_show },
        { "PATCH", "/api/v1/agents/{}", API_ROLE_OPERATOR, API_AREA_AGENTS, HTTP_BODY_JSON,
          api_agents_patch },
        { "DELETE", "/api/v1/agents/{}", API_ROLE_ADMIN, API_AREA_AGENTS, HTTP_BODY_NONE,
          api_agents_delete },
        { "GET", "/api/v1/labels", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE, api_labels_list,
          PARAMETERS("key") },
        { "GET", "/api/v1/groups", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE, api_groups_list,
          PARAMETERS("counts", "limit", "cursor") },
        { "POST", "/api/v1/groups", API_ROLE_OPERATOR, API_AREA_AGENTS, HTTP_BODY_JSON, api_groups_create,
          .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "GET", "/api/v1/groups/{}", API_ROLE_VIEWER, API_AREA_AGENTS, HTTP_BODY_NONE, api_groups_show,
          PARAMETERS("fields") },
        { "PUT", "/api/v1/groups/{}", API_ROLE_OPERATOR, API_AREA_AGENTS, HTTP_BODY_JSON, api_groups_put },
        { "DELETE", "/api/v1/groups/{}", API_ROLE_OPERATOR, API_AREA_AGENTS, HTTP_BODY_NONE,
          api_groups_delete },

        { "POST", "/api/v1/updates", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_updates_create, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "GET", "/api/v1/updates", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE, api_updates_list,
          PARAMETERS("agent", "desired", "active", "limit") },
        { "GET", "/api/v1/updates/durations", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE,
          api_updates_durations },
        { "GET", "/api/v1/updates/{}", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE,
          api_updates_show },
        { "GET", "/api/v1/desired", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE, api_desired_list },
        { "DELETE", "/api/v1/desired/{}", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_NONE,
          api_desired_delete },
        { "GET", "/api/v1/rollouts", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE, api_rollouts_list,
          PARAMETERS("state", "active", "version", "limit", "cursor") },
        { "POST", "/api/v1/rollouts", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_rollouts_create, .json_max = TARGET_BODY_MAX, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "GET", "/api/v1/rollouts/{}", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE,
          api_rollouts_show },
        { "GET", "/api/v1/rollouts/{}/members", API_ROLE_VIEWER, API_AREA_ROLLOUTS, HTTP_BODY_NONE,
          api_rollouts_members, PARAMETERS("state", "reason", "batch", "limit", "cursor", "offset") },
        { "POST", "/api/v1/rollouts/{}/roll-back", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_rollouts_roll_back, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "POST", "/api/v1/rollouts/{}/pause", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_rollouts_verb, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "POST", "/api/v1/rollouts/{}/resume", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_rollouts_verb, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "POST", "/api/v1/rollouts/{}/abort", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_rollouts_verb, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "POST", "/api/v1/rollouts/{}/approve", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_rollouts_verb, .idempotency = HTTP_IDEMPOTENCY_KEPT },
        { "POST", "/api/v1/rollouts/{}/retry-failed", API_ROLE_OPERATOR, API_AREA_ROLLOUTS, HTTP_BODY_JSON,
          api_rollouts_verb, .idempotency = HTTP_IDEMPOTENCY_KEPT },

        { "GET", "/api/v1/releases", API_ROLE_VIEWER, API_AREA_RELEASES, HTTP_BODY_NONE, api_releases_list },
        { "POST", "/api/v1/imports", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_JSON,
          api_imports_create },
        { "PUT", "/api/v1/imports/{}/files/*", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_FILE,
          api_imports_put, api_imports_put_begin, api_imports_put_data, api_imports_put_end },
        { "POST", "/api/v1/imports/{}/commit", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_JSON,
          api_imports_commit },
        { "DELETE", "/api/v1/imports/{}", API_ROLE_OPERATOR, API_AREA_RELEASES, HTTP_BODY_NONE,
          api_imports_delete },

        { "POST", "/api/v1/join-tokens", API_ROLE_OPERATOR, API_AREA_ENROLMENT, HTTP_BODY_JSON,
          api_join_tokens_create, .idempotency = HTTP_IDEMPOTENCY_SECRET },
        { "GET", "/api/v1/join-tokens", API_ROLE_VIEWER, API_AREA_ENROLMENT, HTTP_BODY_NONE,
          api_join_tokens_list },
        { "DELETE", "/api/v1/join-tokens/{}", API_ROLE_OPERATOR, API_AREA_ENROLMENT, HTTP_BODY_NONE,
          api_join_tokens_delete },

        { "POST", "/api/v1/api-tokens", API_ROLE_ADMIN, API_AREA_TOKENS, HTTP_BODY_JSON, api_tokens_create,
          .idempotency = HTTP_IDEMPOTENCY_SECRET },
        { "GET", "/api/v1/api-tokens", API_ROLE_ADMIN, API_AREA_TOKENS, HTTP_BODY_NONE, api_tokens_list },
        { "DELETE", "/api/v1/api-tokens/{}", API_ROLE_ADMIN, API_AREA_TOKENS, HTTP_BODY_NONE,
          api_tokens_delete },

        { "POST", "/api/v1/users", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_JSON, api_users_create },
        { "GET", "/api/v1/users", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_NONE, api_users_list },
        { "GET", "/api/v1/users/{}", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_NONE, api_users_show },
        { "PATCH", "/api/v1/users/{}", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_JSON, api_users_patch },
        { "DELETE", "/api/v1/users/{}", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_NONE, api_users_delete },
        { "PUT", "/api/v1/users/{}/password", API_ROLE_ADMIN, API_AREA_USERS, HTTP_BODY_JSON,
          api_users_password },

        { "GET", "/api/v1/audit", API_ROLE_ADMIN, API_AREA_AUDIT, HTTP_BODY_NONE, api_audit_list,
          PARAMETERS("actor", "action", "target", "since", "until", "order", "after", "limit", "cursor") },
        { "GET", "/api/v1/backup", API_ROLE_ADMIN, API_AREA_BACKUP, HTTP_BODY_NONE, api_backup,
          .end = api_backup_end },
        { "GET", "/api/v1/events", API_ROLE_VIEWER, API_AREA_EVENTS, HTTP_BODY_NONE, api_events,
          .end = api_events_end, PARAMETERS("topics", "agent") },
        {},
};

const HttpRoute api_admin_routes[] = {
        { "GET", "/metrics", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_metrics,
          .any_parameters = true },
        { "GET", "/healthz", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_healthz,
          .any_parameters = true },
        { "GET", "/readyz", API_ROLE_PUBLIC, API_AREA_NONE, HTTP_BODY_NONE, api_readyz,
          .any_parameters = true },
        {},
};

static const char *const methods[] = {
        [CALLER_NOBODY] = "none",
        [CALLER_TOKEN] = "token",
        [CALLER_USER] = "session",
};

int api_actor(const HttpExchange *x, AuditActor *ret) {
        const ApiCaller *c = http_exchange_caller(x);
        _cleanup_free_ char *name = NULL;
        int r;

        r = api_caller_name(c, &name);
        if (r < 0)
                return r;
        return audit_actor_copy(
                        ret, &(AuditActor){ .name = name,
                                            .method = (char *) methods[c->kind],
                                            .source = (char *) http_exchange_address(x),
                                            .request_id = (char *) http_exchange_request_id(x) });
}

int api_audit(
                ApiJob *a, Store *s, const char *action, const char *target, uint64_t count, json_t *detail) {
        return audit_append(&a->job, s, &a->actor, action, target, count, detail);
}

int api_audit_on(
                ApiJob *a,
                Store *s,
                const char *action,
                const char *noun,
                const char *name,
                uint64_t count,
                json_t *detail) {

        _cleanup_free_ char *target = strjoinf("%s:%s", noun, name);

        if (!target) {
                json_decref(detail);
                return -ENOMEM;
        }
        return api_audit(a, s, action, target, count, detail);
}

static int api_run_audited(ApiJob *a, Store *s) {
        int r;

        r = a->run(a, s);
        if (r < 0 || a->reads || a->unchanged || a->job.audit)
                return r;
        log_error("Request %s would have changed something without an entry in the audit log, and was taken "
                  "back: this is a bug.",
                  strna(a->actor.request_id));
        return -EPROTO;
}

/* What a request that may be repeated has answered is kept in its own transaction. */
static int api_run_idempotent(ApiJob *a, Store *s) {
        int r;

        r = idempotency_look(a->idempotent, s, now(CLOCK_REALTIME));
        if (r == IDEMPOTENCY_REPLAY)
                return 0;
        if (r == IDEMPOTENCY_MISMATCH)
                return api_job_refuse(
                                a, HTTP_PROBLEM_IDEMPOTENCY_MISMATCH, NULL,
                                "This Idempotency-Key was used for another request; make a new one for each.");
        if (r >= 0)
                r = api_run_audited(a, s);
        if (a->refused)
                return r;
        return r < 0 ? r :
                       idempotency_keep(a->idempotent, s, now(CLOCK_REALTIME), a->status ?: 200, a->answer);
}

int api_job_run(ApiJob *a, Store *s) {
        return a->idempotent ? api_run_idempotent(a, s) : api_run_audited(a, s);
}

static int api_work(StoreJob *job, Store *s) {
        return api_job_run(container_of(job, ApiJob, job), s);
}

static void api_answer_replay(ApiJob *a, const AnswerRecord *kept) {
        char *body = kept->body ? strdup(kept->body) : NULL;

        http_reply_header(a->exchange, "Idempotency-Replayed", "true");
        http_reply_header(a->exchange, "Cache-Control", "no-store");
        http_reply_data(a->exchange, (unsigned) kept->status, body ? "application/json" : NULL, body,
                        body ? strlen(body) : 0);
}

static void api_answer_success(ApiJob *a) {
        HttpExchange *x = a->exchange;

        if (a->after)
                a->after(a);
        if (!isempty(a->etag))
                http_reply_header(x, "ETag", a->etag);
        if (a->etag_is_whole && http_etag_listed(http_exchange_header(x, "If-None-Match"), a->etag))
                http_reply_data(x, 304, NULL, NULL, 0);
        else if (a->status == 204)
                http_reply_data(x, 204, NULL, NULL, 0);
        else if (a->text) {
                size_t size = strlen(a->text);

                http_reply_header(x, "Cache-Control", "no-store");
                http_reply_data(x, a->status ?: 200, a->text_type, TAKE_PTR(a->text), size);
        } else
                http_reply_json(x, a->status ?: 200, TAKE_PTR(a->answer));
}

static void api_answer(ApiJob *a, int r) {
        const AnswerRecord *kept = a->idempotent ? idempotency_answer(a->idempotent) : NULL;
        HttpExchange *x = a->exchange;

        if (a->refused)
                http_reply_problem_with(
                                x, a->problem, a->pointer, TAKE_PTR(a->members), strempty(a->detail));
        else if (r == -ENOSPC)
                http_reply_problem(x, HTTP_PROBLEM_OVERLOADED, NULL, "The gateway's disk is full.");
        else if (r < 0) {
                (void) log_error_errno(r, "Request %s failed: %m", http_exchange_request_id(x));
                http_reply_problem(
                                x, HTTP_PROBLEM_INTERNAL, NULL,
                                "Look into the gateway's journal for the request id.");
        } else if (kept)
                api_answer_replay(a, kept);
        else
                api_answer_success(a);
}

static void api_done(StoreJob *job, int r) {
        ApiJob *a = container_of(job, ApiJob, job);

        api_answer(a, r);
        a->free(a);
}

/* With an Idempotency-Key. -EINVAL: it was answered. */
static int api_begin_idempotent(ApiJob *a) {
        const char *key = http_exchange_header(a->exchange, "Idempotency-Key");
        _cleanup_free_ char *actor = NULL;
        HttpExchange *x = a->exchange;
        int r;

        if (!key || http_exchange_route(x)->idempotency == HTTP_IDEMPOTENCY_NONE)
                return 0;
        if (http_exchange_route(x)->idempotency == HTTP_IDEMPOTENCY_SECRET)
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                "This takes no Idempotency-Key: the answer holds a secret, which is not kept.");
        else if (!idempotency_key_is_valid(key))
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                "Idempotency-Key must be 1 to %u visible ASCII characters.",
                                IDEMPOTENCY_KEY_MAX);
        else {
                r = api_caller_identity(http_exchange_caller(x), &actor);
                if (r >= 0)
                        r = idempotency_begin(a->gateway->idempotency, x, actor, key, &a->idempotent);
                if (r >= 0)
                        return 0;
                http_reply_problem(
                                x, r == -EBUSY ? HTTP_PROBLEM_IDEMPOTENCY_BUSY : HTTP_PROBLEM_INTERNAL, NULL,
                                "%s",
                                r == -EBUSY ? "A request with this Idempotency-Key is being worked on; ask again for "
                                              "its answer." :
                                              "Out of memory.");
        }
        return -EINVAL;
}

static int api_begin(ApiJob *a) {
        a->job.work = api_work;
        a->job.done = api_done;
        a->job.kind = a->reads ? "api_read" : "api_write";
        a->job.long_work = false;
        return store_worker_submit(a->gateway->worker, &a->job);
}

static void api_reply_busy(HttpExchange *x, int error) {
        if (error == -ENOMEM)
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        else
                http_reply_problem(
                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                "Too much is waiting for the store; try again soon.");
}

/* ---- what takes long: prepare() on the store's thread, compute() on the one for hashes, then as any other ---- */

static void api_end_early(ApiJob *a, int r, bool is_busy) {
        if (is_busy)
                api_reply_busy(a->exchange, r);
        else
                api_answer(a, r);
        a->free(a);
}

static int api_compute(HashJob *hash) {
        ApiJob *a = container_of(hash, ApiJob, hash);

        return a->compute(a);
}

static void api_computed(HashJob *hash, int r) {
        ApiJob *a = container_of(hash, ApiJob, hash);
        bool is_busy = r >= 0;

        a->gateway->computing--;
        if (r >= 0)
                r = api_begin(a);
        if (r < 0)
                api_end_early(a, r, is_busy);
}

static int api_begin_compute(ApiJob *a) {
        a->hash.work = api_compute;
        a->hash.done = api_computed;
        return a->gateway->hashes ? hash_worker_submit(a->gateway->hashes, &a->hash) : -ESHUTDOWN;
}

static int api_prepare(StoreJob *job, Store *s) {
        ApiJob *a = container_of(job, ApiJob, job);

        return a->prepare(a, s);
}

static void api_prepared(StoreJob *job, int r) {
        ApiJob *a = container_of(job, ApiJob, job);
        bool is_busy = r >= 0;

        if (r >= 0)
                r = api_begin_compute(a);
        if (r >= 0)
                return;
        a->gateway->computing--;
        api_end_early(a, r, is_busy);
}

static int api_begin_long(ApiJob *a) {
        int r;

        a->job.work = api_prepare;
        a->job.done = api_prepared;
        a->job.kind = "api_read";
        a->job.long_work = false;
        r = a->prepare ? store_worker_submit(a->gateway->worker, &a->job) : api_begin_compute(a);
        if (r >= 0)
                a->gateway->computing++;
        return r;
}

bool api_has_room(const Gateway *g, bool kept_place) {
        return g->computing < API_COMPUTE_MAX + (kept_place ? API_COMPUTE_KEPT : 0);
}

void api_submit(ApiJob *a, Gateway *g, HttpExchange *x) {
        int r;

        a->gateway = g;
        a->exchange = x;
        a->reads = http_exchange_is_read(x);
        if (a->compute && !api_has_room(g, a->kept_place)) {
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_MANY, NULL,
                                "Too many passwords are being looked at; try again soon.");
                a->free(a);
                return;
        }
        if (api_begin_idempotent(a) < 0) {
                a->free(a);
                return;
        }
        r = a->reads ? 0 : api_actor(x, &a->actor);
        if (r >= 0)
                r = a->compute ? api_begin_long(a) : api_begin(a);
        if (r >= 0)
                return;
        api_reply_busy(x, r);
        a->free(a);
}

int api_job_refuse(ApiJob *a, HttpProblem p, const char *pointer, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&a->detail, format, ap);
        va_end(ap);
        if (r < 0) {
                a->detail = NULL;
                return -ENOMEM;
        }
        a->refused = true;
        a->problem = p;
        a->pointer = pointer;
        return -EINVAL;
}

int api_job_refuse_error(ApiJob *a, int error, RequestError *e) {
        if (error == -EINVAL && e->detail) {
                a->refused = true;
                a->problem = e->problem;
                a->pointer = e->pointer;
                a->pointer_buffer = TAKE_PTR(e->pointer_buffer);
                a->detail = TAKE_PTR(e->detail);
                a->members = TAKE_PTR(e->members);
        }
        request_error_done(e);
        return error;
}

void api_job_done(ApiJob *a) {
        json_decref(a->answer);
        free(a->text);
        json_decref(a->members);
        idempotent_request_free(a->idempotent);
        free(a->detail);
        free(a->pointer_buffer);
        audit_actor_done(&a->actor);
}

/* ---- revisions ---- */

const char *api_etag_format(char buf[static API_ETAG_MAX], usec_t created, uint64_t revision) {
        (void) snprintf(buf, API_ETAG_MAX, "\"%" PRIx64 "-%" PRIu64 "\"", created, revision);
        return buf;
}

static const char if_match_missing[] =
                "Send \"If-Match\" with the ETag of what you have read, or \"*\" for whatever is there.";

int api_check_if_match(HttpExchange *x, char **ret) {
        const char *header = http_exchange_header(x, "If-Match");

        if (isempty(header)) {
                http_reply_problem(x, HTTP_PROBLEM_PRECONDITION_REQUIRED, NULL, "%s", if_match_missing);
                return -EINVAL;
        }
        *ret = strdup(header);
        if (*ret)
                return 0;
        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        return -ENOMEM;
}

int api_job_check_if_match(ApiJob *a, const char *if_match, usec_t created, uint64_t revision) {
        api_etag_format(a->etag, created, revision);
        if (isempty(if_match))
                return api_job_refuse(a, HTTP_PROBLEM_PRECONDITION_REQUIRED, NULL, "%s", if_match_missing);
        if (http_etag_matches(if_match, a->etag))
                return 0;
        return api_job_refuse(
                        a, HTTP_PROBLEM_PRECONDITION_FAILED, NULL,
                        "Somebody has changed it since you have read it: its ETag is %s now. Read it again, and decide "
                        "anew.",
                        a->etag);
}

/* ---- requests ---- */

void api_reply_request_error(HttpExchange *x, int error, RequestError *e) {
        if (error == -EINVAL && e->detail)
                http_reply_problem(x, e->problem, e->pointer, "%s", e->detail);
        else
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        request_error_done(e);
}

void api_refuse_parameter(HttpExchange *x, const char *key, const char *format, ...) {
        _cleanup_free_ char *pointer = strjoinf("?%s", key), *detail = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&detail, format, ap);
        va_end(ap);
        if (r < 0)
                detail = NULL;
        http_reply_problem_with(x, HTTP_PROBLEM_BAD_REQUEST, pointer, NULL, strempty(detail));
}

int api_parameter_u64(
                HttpExchange *x,
                const char *key,
                uint64_t low,
                uint64_t high,
                uint64_t fallback,
                uint64_t *ret) {
        const char *text = http_exchange_parameter(x, key);
        uint64_t v = fallback;

        if (text && (parse_u64(text, &v) < 0 || v < low || v > high)) {
                api_refuse_parameter(
                                x, key, "%s= must be a number from %" PRIu64 " to %" PRIu64 ".", key, low,
                                high);
                return -EINVAL;
        }
        *ret = v;
        return 0;
}

int api_parameter_choice(HttpExchange *x, const char *key, const char *const *choices, size_t *ret) {
        const char *text = http_exchange_parameter(x, key);
        _cleanup_free_ char *list = NULL;

        *ret = 0;
        if (!text)
                return 0;
        for (size_t i = 0; choices[i]; i++)
                if (streq(choices[i], text)) {
                        *ret = i;
                        return 0;
                }
        list = strv_join((char *const *) choices, ", ");
        api_refuse_parameter(x, key, "%s= must be one of: %s.", key, strempty(list));
        return -EINVAL;
}

int api_parameter_flag(HttpExchange *x, const char *key, bool *ret) {
        static const char *const choices[] = { "false", "true", NULL };
        size_t i;
        int r;

        r = api_parameter_choice(x, key, choices, &i);
        *ret = i == 1;
        return r;
}

int api_parameter_selector(HttpExchange *x, Selector **ret) {
        const char *text = http_exchange_parameter(x, "selector");
        _cleanup_free_ char *message = NULL;
        int r;

        *ret = NULL;
        if (!text)
                return 0;
        r = selector_parse(text, ret, &message);
        if (r == -EINVAL)
                http_reply_problem(x, HTTP_PROBLEM_BAD_SELECTOR, "?selector", "%s", message);
        else if (r < 0)
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        return r;
}
