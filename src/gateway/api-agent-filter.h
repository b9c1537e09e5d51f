/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which agents a request means, from its query parameters: the same for lists, exports and summaries. Owns
 * what an AgentQuery borrows. */

#include "api.h"

#define AGENT_FILTER_PARAMETERS "selector", "group", "state", "version", "update", "q", "id"

typedef struct AgentFilter {
        Selector *selector;
        char *group;
        Selector *group_selector; /* once it is resolved */
        bool has_ids;
        TextList ids, versions, terms;
        unsigned states;
        uint32_t phases;
} AgentFilter;
void agent_filter_done(AgentFilter *f);

/* On the loop; answers itself on failure. */
int agent_filter_parse(HttpExchange *x, AgentFilter *ret);
int api_parameter_sort(HttpExchange *x, AgentSort *ret, bool *ret_descending);
/* In a job: the group's selector. -ENOENT: there is no such group. */
int agent_filter_resolve(AgentFilter *f, Store *s);
/* The same, refusing. */
int agent_filter_resolve_or_refuse(AgentFilter *f, ApiJob *a, Store *s);
void agent_filter_query(const AgentFilter *f, AgentQuery *ret);
