/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bodies of requests, as JSON, into structures: every member known, of the right type and within its range,
 * or refused with a pointer to it and a sentence. Pure. -EINVAL: refused, see the error; -ENOMEM. */

#include "http.h"
#include "json.h"
#include "record.h"

typedef struct RequestError {
        HttpProblem problem;
        const char *pointer;                 /* static; NULL: the whole body */
        char *detail;
} RequestError;
void request_error_done(RequestError *e);

typedef struct UpdateRequest {
        DesiredKind kind;
        char *target;                        /* agent id, selector in its one spelling, "" */
        char *version;
        bool retry, has_expected_count;
        bool allow_empty;                    /* a selector that matches nobody now is meant so */
        uint64_t expected_count;
} UpdateRequest;
int update_request_parse(json_t *body, UpdateRequest *ret, RequestError *reterr);
void update_request_done(UpdateRequest *r);

typedef struct JoinTokenRequest {
        uint64_t uses, expires_in_sec;
        Labels labels;
        char *description;
        char *agent;                         /* NULL: for whoever comes */
} JoinTokenRequest;
int join_token_request_parse(json_t *body, JoinTokenRequest *ret, RequestError *reterr);
void join_token_request_done(JoinTokenRequest *r);

/* Of PATCH on an agent: what to set (with a value) and to remove (empty), in the order of the body. */
typedef struct AgentRequest {
        Label *changes;
        size_t n, n_allocated;
} AgentRequest;
int agent_request_parse(json_t *body, AgentRequest *ret, RequestError *reterr);
void agent_request_done(AgentRequest *r);

/* ---- parts of these, for the other parsers ---- */

int request_refuse(RequestError *e, HttpProblem problem, const char *pointer, const char *format, ...)
                _printf_(4, 5);
/* "\"name\" must be <what>." */
int request_refuse_member(RequestError *e, const char *pointer, const char *what);
/* Members that nobody would look at are a mistake of the caller, who must hear of it. */
int request_check_members(json_t *body, const char *const *known, RequestError *e);
/* Absent members leave *ret alone. */
int request_get_text(json_t *body, const char *pointer, size_t max, const char **ret, RequestError *e);
int request_get_flag(json_t *body, const char *pointer, bool *ret, RequestError *e);
int request_get_number(
                json_t *body,
                const char *pointer,
                uint64_t low,
                uint64_t high,
                uint64_t *ret,
                bool *ret_present,
                RequestError *e);
