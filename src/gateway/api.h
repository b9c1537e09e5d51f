/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The routes of docs/api.md. A handler takes the request apart on the loop and hands a job to the store; the
 * job makes the answer on the worker's thread; back on the loop it is sent. Handlers hold no rules: those
 * are in desired-state, instruction and registry. */

#include "api-request.h"
#include "gateway.h"

extern const HttpRoute api_routes[];                 /* userdata: the Gateway */
extern const HttpRoute api_admin_routes[];           /* of the admin socket */

typedef struct ApiJob ApiJob;

struct ApiJob {
        StoreJob job;
        Gateway *gateway;
        HttpExchange *exchange;
        int (*run)(ApiJob *a, Store *s); /* worker; leaves its answer in .answer, or api_job_refuse() */
        void (*after)(ApiJob *a);        /* loop, after success and before the answer; may be NULL */
        void (*free)(ApiJob *a);                     /* also frees the job itself */
        unsigned status;                             /* 0: 200; 204 needs no answer */
        json_t *answer;
        bool refused;
        HttpProblem problem;
        const char *pointer;
        char *detail;
};

/* Takes a, and answers when the queue is full. */
void api_submit(ApiJob *a, Gateway *g, HttpExchange *x);
int api_job_refuse(ApiJob *a, HttpProblem p, const char *pointer, const char *format, ...) _printf_(4, 5);
void api_job_done(ApiJob *a);                        /* frees the base's members, for .free */

/* On the loop: answers with what a parser refused, and empties it. */
void api_reply_request_error(HttpExchange *x, int error, RequestError *e);
/* A parameter that must be a number; the default when it is absent. Answers itself on failure. */
int api_parameter_u64(
                HttpExchange *x,
                const char *key,
                uint64_t low,
                uint64_t high,
                uint64_t fallback,
                uint64_t *ret);
int api_parameter_selector(HttpExchange *x, Selector **ret);   /* *ret NULL when it is absent */

/* api-agents.c */
void api_agents_list(HttpExchange *x, void *userdata);
void api_agents_show(HttpExchange *x, void *userdata);
void api_agents_patch(HttpExchange *x, void *userdata);
void api_agents_delete(HttpExchange *x, void *userdata);
/* api-updates.c */
void api_updates_create(HttpExchange *x, void *userdata);
void api_updates_list(HttpExchange *x, void *userdata);
void api_updates_show(HttpExchange *x, void *userdata);
void api_desired_list(HttpExchange *x, void *userdata);
void api_desired_delete(HttpExchange *x, void *userdata);
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
void api_me(HttpExchange *x, void *userdata);
/* api-events.c */
void api_events(HttpExchange *x, void *userdata);
void api_events_end(HttpExchange *x, void *userdata);
/* http-static.c */
void http_static_tuf(HttpExchange *x, void *userdata);
void http_static_ca(HttpExchange *x, void *userdata);
/* api-health.c */
void api_healthz(HttpExchange *x, void *userdata);
void api_readyz(HttpExchange *x, void *userdata);
/* api-metrics.c */
void api_metrics(HttpExchange *x, void *userdata);
