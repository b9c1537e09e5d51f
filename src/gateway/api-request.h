/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bodies of requests, as JSON, into structures: every member known, of the right type and within its range,
 * or refused with a pointer to it and a sentence. Pure. -EINVAL: refused, see the error; -ENOMEM. */

#include "record.h"
#include "target.h"

typedef struct UpdateRequest {
        Target target;                       /* one id at most */
        TargetExpectation expected;
        char *version;
        bool retry;
        bool allow_empty;                    /* a selector that matches nobody now is meant so */
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

/* The same for many agents at once. */
typedef struct RelabelRequest {
        Target target;
        TargetExpectation expected;
        AgentRequest labels;
} RelabelRequest;
int relabel_request_parse(json_t *body, RelabelRequest *ret, RequestError *reterr);
void relabel_request_done(RelabelRequest *r);

int match_request_parse(json_t *body, Target *ret, RequestError *reterr);

typedef struct GroupRequest {
        char *name;                          /* NULL: it is in the path */
        char *selector;                      /* in its one spelling */
        char *description;
} GroupRequest;
int group_request_parse(json_t *body, bool with_name, GroupRequest *ret, RequestError *reterr);
void group_request_done(GroupRequest *r);
