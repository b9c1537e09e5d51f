/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The routes of docs/openapi.yaml. A handler takes the request apart on the loop and hands a job to the
 * store; the job makes the answer on the worker's thread; back on the loop it is sent. Handlers hold no
 * rules: those are in desired-state, instruction and registry. */

#include "api-request.h"
#include "audit.h"
#include "gateway.h"
#include "hash-worker.h"
#include "idempotency.h"

/* Jobs with a compute() that may wait at once. A password's hash takes some 60 ms (measured on a virtual machine of
 * two cores), so that the last of these waits half a second. Further places are kept for those whom a flood of made-up
 * names must not keep out: who is in already, and who came in from the same network before. */
#define API_COMPUTE_MAX 4U
#define API_COMPUTE_KEPT 4U

extern const HttpRoute api_routes[];                 /* userdata: the Gateway */
extern const HttpRoute api_admin_routes[];           /* of the admin socket */

typedef struct ApiJob ApiJob;

/* ---- revisions ---- */

/* Strong tags: when a thing was made and how often people changed it since, so that one that was made anew
 * under the same name has another. */
#define API_ETAG_MAX 48U
const char *api_etag_format(char buf[static API_ETAG_MAX], usec_t created, uint64_t revision);
/* If-Match, a copy. Answers 428 when it is missing. */
int api_check_if_match(HttpExchange *x, char **ret);
/* In a job: refuses with 412 unless it names this revision, or is "*", and with 428 if it is NULL. Puts the tag into
 * the answer. */
int api_job_check_if_match(ApiJob *a, const char *if_match, usec_t created, uint64_t revision);

struct ApiJob {
        StoreJob job;
        Gateway *gateway;
        HttpExchange *exchange;
        AuditActor actor;                            /* who asks: the job's own copy */
        bool reads;                                  /* GET or HEAD */
        bool unchanged; /* run() found nothing to change, so that nothing is to be entered */
        /* On the thread for hashes, before run(): what takes long, such as a password's. Few of these may wait at
         * once. May be NULL. */
        int (*compute)(ApiJob *a);
        int (*prepare)(ApiJob *a, Store *s); /* worker, before compute(): reads what that needs; may be NULL */
        bool kept_place;                     /* of API_COMPUTE_KEPT */
        HashJob hash;
        /* Worker; leaves its answer in .answer, or api_job_refuse(). What was refused and yet returns 0 is
         * kept: that is for what a refusal itself leaves behind. */
        int (*run)(ApiJob *a, Store *s);
        void (*after)(ApiJob *a);        /* loop, after success and before the answer; may be NULL */
        void (*free)(ApiJob *a);                     /* also frees the job itself */
        unsigned status;                             /* 0: 200; 204 needs no answer */
        json_t *answer;
        char *text;                                  /* instead of the answer, of this type (static) */
        const char *text_type;
        char etag[API_ETAG_MAX];                     /* "": none */
        bool etag_is_whole; /* the answer changes only with it: who has it already gets 304 */
        bool refused;
        HttpProblem problem;
        const char *pointer;
        char *pointer_buffer;
        char *detail;
        json_t *members;               /* of the problem besides; may be NULL */
        IdempotentRequest *idempotent; /* NULL: none */
};

/* Enters what run() does into the audit log: every change needs an entry, or it is taken back. As
 * audit_append(), which takes the detail over. */
int api_audit(
                ApiJob *a, Store *s, const char *action, const char *target, uint64_t count, json_t *detail);
/* target: "noun:" and what follows. */
int api_audit_on(
                ApiJob *a,
                Store *s,
                const char *action,
                const char *noun,
                const char *name,
                uint64_t count,
                json_t *detail);
/* What the worker does with a job: run(), and that no change passes without an entry. */
int api_job_run(ApiJob *a, Store *s);

/* Who asks, as the audit log names them; the strings are the caller's to free. */
int api_actor(const HttpExchange *x, AuditActor *ret);

/* May one more with a compute() wait now? */
bool api_has_room(const Gateway *g, bool kept_place);
/* Takes a, and answers when the queue is full. */
void api_submit(ApiJob *a, Gateway *g, HttpExchange *x);
int api_job_refuse(ApiJob *a, HttpProblem p, const char *pointer, const char *format, ...) _printf_(4, 5);
/* With what a parser or target_check() refused, if error is -EINVAL; empties e and returns error. */
int api_job_refuse_error(ApiJob *a, int error, RequestError *e);
void api_job_done(ApiJob *a);                        /* frees the base's members, for .free */

/* On the loop: answers with what a parser refused, and empties it. */
void api_reply_request_error(HttpExchange *x, int error, RequestError *e);
/* Parameters: what is wrong with one is answered with its name. */
void api_refuse_parameter(HttpExchange *x, const char *key, const char *format, ...) _printf_(3, 4);
/* One that must be a number; the default when it is absent. Answers itself on failure. */
int api_parameter_u64(
                HttpExchange *x,
                const char *key,
                uint64_t low,
                uint64_t high,
                uint64_t fallback,
                uint64_t *ret);
int api_parameter_selector(HttpExchange *x, Selector **ret);   /* *ret NULL when it is absent */
/* "true" or "false"; false when it is absent. */
int api_parameter_flag(HttpExchange *x, const char *key, bool *ret);
/* NULL-terminated names, one of which it must be; the first when it is absent. */
int api_parameter_choice(HttpExchange *x, const char *key, const char *const *choices, size_t *ret);

/* api-agent-list.c */
void api_agents_list(HttpExchange *x, void *userdata);
/* api-agent-export.c: the same as CSV */
void api_agents_export(HttpExchange *x, void *userdata);
void api_agents_list_end(HttpExchange *x, void *userdata);
/* api-agent-summary.c */
void api_agents_summary(HttpExchange *x, void *userdata);
void api_agents_match(HttpExchange *x, void *userdata);
/* api-labels.c */
void api_agents_relabel(HttpExchange *x, void *userdata);
void api_labels_list(HttpExchange *x, void *userdata);
/* api-groups.c */
void api_groups_list(HttpExchange *x, void *userdata);
void api_groups_create(HttpExchange *x, void *userdata);
void api_groups_show(HttpExchange *x, void *userdata);
void api_groups_put(HttpExchange *x, void *userdata);
void api_groups_delete(HttpExchange *x, void *userdata);
/* api-agents.c */
void api_agents_show(HttpExchange *x, void *userdata);
void api_agents_patch(HttpExchange *x, void *userdata);
void api_agents_delete(HttpExchange *x, void *userdata);
/* api-updates.c */
void api_updates_create(HttpExchange *x, void *userdata);
void api_updates_list(HttpExchange *x, void *userdata);
void api_updates_show(HttpExchange *x, void *userdata);
void api_updates_durations(HttpExchange *x, void *userdata);
void api_desired_list(HttpExchange *x, void *userdata);
void api_desired_delete(HttpExchange *x, void *userdata);
/* api-rollouts.c */
void api_rollouts_list(HttpExchange *x, void *userdata);
void api_rollouts_show(HttpExchange *x, void *userdata);
void api_rollouts_members(HttpExchange *x, void *userdata);
/* api-rollout-change.c */
void api_rollouts_create(HttpExchange *x, void *userdata);
void api_rollouts_roll_back(HttpExchange *x, void *userdata);
void api_rollouts_verb(HttpExchange *x, void *userdata);
/* api-releases.c */
void api_releases_list(HttpExchange *x, void *userdata);
void api_imports_create(HttpExchange *x, void *userdata);
int api_imports_put_begin(HttpExchange *x, uint64_t length, void *userdata);
int api_imports_put_data(HttpExchange *x, const void *data, size_t size, void *userdata);
void api_imports_put(HttpExchange *x, void *userdata);
void api_imports_put_end(HttpExchange *x, void *userdata);
void api_imports_commit(HttpExchange *x, void *userdata);
void api_imports_delete(HttpExchange *x, void *userdata);
/* api-tokens.c */
void api_join_tokens_create(HttpExchange *x, void *userdata);
void api_join_tokens_list(HttpExchange *x, void *userdata);
void api_join_tokens_delete(HttpExchange *x, void *userdata);
void api_tokens_create(HttpExchange *x, void *userdata);
void api_tokens_list(HttpExchange *x, void *userdata);
void api_tokens_delete(HttpExchange *x, void *userdata);
void api_own_tokens_create(HttpExchange *x, void *userdata);
void api_own_tokens_list(HttpExchange *x, void *userdata);
void api_own_tokens_delete(HttpExchange *x, void *userdata);
/* api-users.c */
void api_users_create(HttpExchange *x, void *userdata);
void api_users_list(HttpExchange *x, void *userdata);
void api_users_show(HttpExchange *x, void *userdata);
void api_users_patch(HttpExchange *x, void *userdata);
void api_users_delete(HttpExchange *x, void *userdata);
void api_users_password(HttpExchange *x, void *userdata);
/* api-session.c */
void api_session_create(HttpExchange *x, void *userdata);
void api_session_delete(HttpExchange *x, void *userdata);
/* api-me.c */
void api_me(HttpExchange *x, void *userdata);
void api_me_password(HttpExchange *x, void *userdata);
json_t *api_view_me(const ApiCaller *c);             /* NULL: out of memory */
/* api-setup.c */
void api_setup_show(HttpExchange *x, void *userdata);
void api_setup_create(HttpExchange *x, void *userdata);
/* api-audit.c */
void api_audit_list(HttpExchange *x, void *userdata);
/* api-backup.c */
void api_backup(HttpExchange *x, void *userdata);
void api_backup_end(HttpExchange *x, void *userdata);
Backup *backup_free(Backup *b);                      /* when neither worker nor ports are there any more */
/* api-events.c */
void api_events(HttpExchange *x, void *userdata);
void api_events_end(HttpExchange *x, void *userdata);
/* http-static.c */
void http_static_tuf(HttpExchange *x, void *userdata);
void http_static_ca(HttpExchange *x, void *userdata);
/* http-console.c: of GETs that belong to nothing else */
extern const HttpRoute http_console_route;
/* api-health.c */
void api_healthz(HttpExchange *x, void *userdata);
void api_readyz(HttpExchange *x, void *userdata);
/* api-metrics.c */
void api_metrics(HttpExchange *x, void *userdata);
