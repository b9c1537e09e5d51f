/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An AgentQuery as SQL. The plan says where to begin, decided by counting a little: SQLite's own planner
 * knows nothing of how many agents have a label, and a list of 100,000 must not be read for the sake of ten.
 * The rows are called "a", with a plan for labels alone only "d". */

#include "agent-query.h"
#include "store-sqlite-builder.h"

typedef enum FilterStart {
        FILTER_START_AGENTS, /* all of them, by id */
        FILTER_START_FACETS, /* all of them, in the index that holds what is counted by */
        FILTER_START_IDS,
        FILTER_START_TERMS,
        FILTER_START_LABEL,
        FILTER_START_STATES,
        FILTER_START_VERSIONS,
        FILTER_START_PHASES,
} FilterStart;

typedef struct FilterPlan {
        const AgentQuery *query;
        FilterStart start;
        const SelectorRequirement *label; /* of FILTER_START_LABEL */
        bool few;                         /* it begins with few rows: reading them all is cheap */
        bool labels_only;                 /* nothing is asked of the row itself */
        const SelectorRequirement
                        *only; /* the only condition there is, of a label; NULL: there is another */
} FilterPlan;

int filter_plan(Store *s, const AgentQuery *q, FilterPlan *ret);
/* The same for who wants to meet agents by id, as the table and the labels lie, if they are many; or all
 * columns of the facets. */
int filter_plan_by_id(Store *s, const AgentQuery *q, FilterPlan *ret);
int filter_plan_facets(Store *s, const AgentQuery *q, FilterPlan *ret);

/* " FROM ... WHERE ...", without position. Counting: rows may come from an index. */
void filter_add(SqlBuilder *b, const FilterPlan *p, bool counting);
/* A statement that counts all but those that have this label: of one that must not be there. */
void filter_add_count_without(SqlBuilder *b, const SelectorRequirement *q);
/* "AND ..." for each condition that must hold besides. */
void filter_add_conditions(SqlBuilder *b, const FilterPlan *p);
const char *filter_id(const FilterPlan *p, bool counting); /* how the agent's id is called: "a.id" */

/* store-sqlite-lists.c: a page along the index of its order; with a position the part behind it that has the
 * same key, or the part that has another. */
void sqlite_lists_add_walk(SqlBuilder *b, const AgentQuery *q, bool same_key, uint64_t limit);
