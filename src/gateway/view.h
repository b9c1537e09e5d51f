/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Records as the JSON of docs/openapi.yaml, for answers and for events. Pure; may run on the worker's
 * thread. All of them return a new reference, or NULL for lack of memory. */

#include "desired-state.h"
#include "json.h"
#include "record.h"

json_t *view_labels(const Labels *l);
json_t *view_agent(const AgentRecord *a);                /* without what is desired and the last update */
json_t *view_agent_narrow(const AgentRecord *a); /* what a table shows; from the store, not of a Hello */
json_t *view_instruction(const InstructionRecord *i);
json_t *view_desired(const DesiredRecord *d);
json_t *view_group(const GroupRecord *g);                /* without its agents */
json_t *view_release(const ReleaseRecord *r);            /* without its artifacts */
json_t *view_artifact(const ArtifactRecord *a);
json_t *view_join_token(const JoinToken *t);
json_t *view_api_token(const ApiToken *t);

json_t *view_texts(char *const *v);                      /* a list of strings */

/* Names of areas; all: the member is left out. */
int view_set_scopes(json_t *object, const char *key, ApiScopes s);
/* RFC 3339; 0: the member is left out. */
int view_set_time(json_t *object, const char *key, usec_t t);
/* Text for an event; takes the reference, which may be NULL. NULL on lack of memory. */
char *view_event_text(json_t *object);
