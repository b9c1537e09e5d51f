/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which agents, and in which order: the one description that lists, counts, exports, facets, groups and
 * targets of actions hand to the store. All conditions must hold; one that is not set holds for every agent.
 * It borrows what it points to. Pure. */

#include "record.h"
#include "selector.h"
#include "text-list.h"

#define AGENT_QUERY_SELECTORS_MAX 2U /* one that was written, and a group's */
#define AGENT_QUERY_TERMS_MAX 1000U
#define AGENT_QUERY_IDS_MAX 10000U
#define AGENT_QUERY_NO_UPDATE 31U /* a bit beside those of the phases */

typedef enum AgentSort {
        AGENT_SORT_ID,
        AGENT_SORT_HOSTNAME, /* without regard to the case of ASCII letters */
        AGENT_SORT_STATE,    /* never, offline, online */
        AGENT_SORT_VERSION,  /* by precedence; without one first */
        AGENT_SORT_LAST_SEEN,
        AGENT_SORT_CONNECTED,
        AGENT_SORT_ENROLLED,
        AGENT_SORT_UPDATE, /* by the name of the phase; without an update first */
        AGENT_SORT_OS,
        AGENT_SORT_ARCH,
        AGENT_SORT_KERNEL,
        _AGENT_SORT_MAX,
        _AGENT_SORT_INVALID = -EINVAL,
} AgentSort;

const char *agent_sort_to_string(AgentSort s);
AgentSort agent_sort_from_string(const char *s);
bool agent_sort_is_number(AgentSort s);

/* Where an agent stands in an order: by this, then by its id. */
typedef struct AgentPosition {
        uint64_t number; /* for an order by number */
        char *text;      /* for one by text; "" where there is nothing */
        char *id;
} AgentPosition;
void agent_position_done(AgentPosition *p);
int agent_position_of(const AgentRecord *a, AgentSort sort, AgentPosition *ret);

typedef struct AgentQuery {
        const Selector *selectors[AGENT_QUERY_SELECTORS_MAX]; /* NULL: not set */
        const TextList *ids;      /* a set; NULL: not set; an empty one matches nobody */
        unsigned states;          /* 1 << AgentState; 0: not set */
        const TextList *versions; /* a set of valid ones, "": runs none yet; NULL or empty: not set */
        uint32_t phases;          /* 1 << UpdatePhase of the newest update; 0: not set */
        const TextList *terms;    /* beginnings of host names or ids, one of which must fit;
                                   * NULL or empty: not set */
        AgentSort sort;
        bool descending;
        const AgentPosition *after; /* NULL: from the beginning */
        uint64_t offset;            /* or behind so many, without a position */
        uint64_t limit;             /* of a page */
} AgentQuery;

/* Does this agent fit, as the store would say? For tests, and for who has the record at hand. */
bool agent_query_matches(const AgentQuery *q, const AgentRecord *a);

/* Filter and order, as one text for one meaning; without position and limit. Allocated. */
int agent_query_format(const AgentQuery *q, char **ret);
