/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-query.h"

#include <strings.h>

#include "string-util.h"
#include "version.h"

static const struct {
        const char *name;
        bool is_number;
} sorts[_AGENT_SORT_MAX] = {
        [AGENT_SORT_ID] = { "id", false },
        [AGENT_SORT_HOSTNAME] = { "hostname", false },
        [AGENT_SORT_STATE] = { "state", true },
        [AGENT_SORT_VERSION] = { "version", false },
        [AGENT_SORT_LAST_SEEN] = { "last_seen", true },
        [AGENT_SORT_CONNECTED] = { "connected", true },
        [AGENT_SORT_ENROLLED] = { "enrolled", true },
        [AGENT_SORT_UPDATE] = { "update", false },
        [AGENT_SORT_OS] = { "os", false },
        [AGENT_SORT_ARCH] = { "arch", false },
        [AGENT_SORT_KERNEL] = { "kernel", false },
};

const char *agent_sort_to_string(AgentSort s) {
        return s >= 0 && s < _AGENT_SORT_MAX ? sorts[s].name : NULL;
}

AgentSort agent_sort_from_string(const char *name) {
        for (AgentSort s = 0; s < _AGENT_SORT_MAX; s++)
                if (streq(sorts[s].name, name))
                        return s;
        return _AGENT_SORT_INVALID;
}

bool agent_sort_is_number(AgentSort s) {
        return sorts[s].is_number;
}

void agent_position_done(AgentPosition *p) {
        free(p->text);
        free(p->id);
        *p = (AgentPosition){};
}

static const char *position_text(const AgentRecord *a, AgentSort sort, char buf[static VERSION_KEY_MAX]) {
        switch (sort) {
        case AGENT_SORT_HOSTNAME:
                return a->facts.hostname;
        case AGENT_SORT_VERSION:
                return version_is_valid(a->version) ? version_sort_key(a->version, buf) : NULL;
        case AGENT_SORT_UPDATE:
                return a->update_version ? update_phase_to_string(a->update_phase) : NULL;
        case AGENT_SORT_OS:
                return a->facts.os_id;
        case AGENT_SORT_ARCH:
                return a->facts.architecture;
        case AGENT_SORT_KERNEL:
                return a->facts.kernel;
        default:
                return NULL;
        }
}

int agent_position_of(const AgentRecord *a, AgentSort sort, AgentPosition *ret) {
        char buf[VERSION_KEY_MAX];
        AgentPosition p = {
                .number = sort == AGENT_SORT_STATE     ? (uint64_t) a->state :
                          sort == AGENT_SORT_LAST_SEEN ? a->last_seen :
                          sort == AGENT_SORT_CONNECTED ? a->connected :
                          sort == AGENT_SORT_ENROLLED  ? a->enrolled :
                                                         0,
                .text = strdup(strempty(position_text(a, sort, buf))),
                .id = strdup(a->id),
        };

        if (!p.text || !p.id) {
                agent_position_done(&p);
                return -ENOMEM;
        }
        *ret = p;
        return 0;
}

static bool term_fits(const char *term, const AgentRecord *a) {
        return startswith(a->id, term) || strncasecmp(strempty(a->facts.hostname), term, strlen(term)) == 0;
}

static bool terms_match(const TextList *terms, const AgentRecord *a) {
        for (size_t i = 0; i < terms->n; i++)
                if (term_fits(terms->items[i], a))
                        return true;
        return false;
}

bool agent_query_matches(const AgentQuery *q, const AgentRecord *a) {
        for (size_t i = 0; i < ELEMENTSOF(q->selectors); i++)
                if (q->selectors[i] && !selector_matches(q->selectors[i], agent_record_lookup, (void *) a))
                        return false;
        if (q->ids && !text_list_contains(q->ids, a->id))
                return false;
        if (q->states != 0 && !(q->states & 1U << a->state))
                return false;
        if (q->versions && q->versions->n > 0 && !text_list_contains(q->versions, strempty(a->version)))
                return false;
        if (q->phases != 0 &&
            !(q->phases & 1U << (a->update_version ? (unsigned) a->update_phase : AGENT_QUERY_NO_UPDATE)))
                return false;
        return !q->terms || q->terms->n == 0 || terms_match(q->terms, a);
}

static int format_list(const TextList *l, bool may_be_empty, char **ret) {
        *ret = l && (may_be_empty || l->n > 0) ? text_list_join(l, ",") : strdup("*");
        return *ret ? 0 : -ENOMEM;
}

int agent_query_format(const AgentQuery *q, char **ret) {
        _cleanup_free_ char *one = NULL, *two = NULL, *ids = NULL, *versions = NULL, *terms = NULL;
        int r = 0;

        if (q->selectors[0])
                r = selector_format(q->selectors[0], &one);
        if (r >= 0 && q->selectors[1])
                r = selector_format(q->selectors[1], &two);
        if (r >= 0)
                r = format_list(q->ids, /* may_be_empty= */ true, &ids);
        if (r >= 0)
                r = format_list(q->versions, /* may_be_empty= */ false, &versions);
        if (r >= 0)
                r = format_list(q->terms, /* may_be_empty= */ false, &terms);
        if (r < 0)
                return r;
        /* none of the parts can hold a newline */
        *ret = strjoinf("%s\n%s\n%s\n%x\n%s\n%" PRIx32 "\n%s\n%s%s", strempty(one), strempty(two), ids,
                        q->states, versions, q->phases, terms, q->descending ? "-" : "",
                        sorts[q->sort].name);
        return *ret ? 0 : -ENOMEM;
}
