/* SPDX-License-Identifier: Apache-2.0 */
#include "api-agent-filter.h"

#include "group.h"
#include "pki-cert.h"
#include "string-util.h"
#include "version.h"

#define NONE "none"
#define BLANKS " \t\r\n"

void agent_filter_done(AgentFilter *f) {
        selector_free(f->selector);
        selector_free(f->group_selector);
        free(f->group);
        text_list_done(&f->ids);
        text_list_done(&f->versions);
        text_list_done(&f->terms);
        *f = (AgentFilter){};
}

/* A parameter that is a list becomes a set. 1: it is there. */
static int take_list(HttpExchange *x, const char *key, const char *separators, size_t max, TextList *ret) {
        const char *text = http_exchange_parameter(x, key);
        int r;

        if (!text)
                return 0;
        r = text_list_add_split(ret, text, separators, max);
        if (r == -E2BIG)
                api_refuse_parameter(x, key, "%s= may hold %zu items.", key, max);
        else if (r >= 0 && ret->n == 0) {
                api_refuse_parameter(x, key, "%s= is empty; leave it out if it shall not matter.", key);
                r = -EINVAL;
        }
        if (r < 0)
                return r;
        text_list_make_set(ret);
        return 1;
}

static int take_group(HttpExchange *x, AgentFilter *f) {
        const char *name = http_exchange_parameter(x, "group");

        if (!name)
                return 0;
        if (!group_name_is_valid(name)) {
                api_refuse_parameter(x, "group", "group= is no name of a group.");
                return -EINVAL;
        }
        f->group = strdup(name);
        return f->group ? 0 : -ENOMEM;
}

static int take_states(HttpExchange *x, AgentFilter *f) {
        _cleanup_(text_list_done) TextList names = {};
        int r;

        r = take_list(x, "state", ",", _AGENT_STATE_MAX, &names);
        for (size_t i = 0; r > 0 && i < names.n; i++) {
                AgentState s = 0;

                while (s < _AGENT_STATE_MAX && !streq(agent_state_to_string(s), names.items[i]))
                        s++;
                if (s == _AGENT_STATE_MAX) {
                        api_refuse_parameter(
                                        x, "state",
                                        "state= may name online, offline and never, separated by commas.");
                        return -EINVAL;
                }
                f->states |= 1U << s;
        }
        return r;
}

static int take_versions(HttpExchange *x, AgentFilter *f) {
        int r;

        r = take_list(x, "version", ",", 100, &f->versions);
        for (size_t i = 0; r > 0 && i < f->versions.n; i++) {
                char *v = f->versions.items[i];

                if (streq(v, NONE))
                        *v = '\0';
                else if (!version_is_valid(v)) {
                        api_refuse_parameter(
                                        x, "version",
                                        "version= must hold versions such as 1.2.0, or " NONE ".");
                        return -EINVAL;
                }
        }
        text_list_make_set(&f->versions); /* the empty one goes to the front */
        return r;
}

static int take_phases(HttpExchange *x, AgentFilter *f) {
        _cleanup_(text_list_done) TextList names = {};
        int r;

        r = take_list(x, "update", ",", _UPDATE_PHASE_MAX + 1, &names);
        for (size_t i = 0; r > 0 && i < names.n; i++) {
                UpdatePhase p = update_phase_from_string(names.items[i]);

                if (p < 0 && !streq(names.items[i], NONE)) {
                        api_refuse_parameter(
                                        x, "update",
                                        "update= must hold phases such as downloading or failed, or " NONE
                                        ", separated by commas.");
                        return -EINVAL;
                }
                f->phases |= UINT32_C(1) << (p < 0 ? AGENT_QUERY_NO_UPDATE : (unsigned) p);
        }
        return r;
}

static int take_ids(HttpExchange *x, AgentFilter *f) {
        int r;

        r = take_list(x, "id", ",", AGENT_QUERY_TERMS_MAX, &f->ids);
        for (size_t i = 0; r > 0 && i < f->ids.n; i++)
                if (!pki_agent_id_is_valid(f->ids.items[i])) {
                        api_refuse_parameter(x, "id", "id= must hold agent ids, separated by commas.");
                        return -EINVAL;
                }
        f->has_ids = r > 0;
        return r;
}

int agent_filter_parse(HttpExchange *x, AgentFilter *f) {
        int r;

        r = api_parameter_selector(x, &f->selector);
        if (r >= 0)
                r = take_group(x, f);
        if (r >= 0)
                r = take_states(x, f);
        if (r >= 0)
                r = take_versions(x, f);
        if (r >= 0)
                r = take_phases(x, f);
        if (r >= 0)
                r = take_ids(x, f);
        if (r >= 0)
                r = take_list(x, "q", "," BLANKS, AGENT_QUERY_TERMS_MAX, &f->terms);
        if (r < 0 && !http_exchange_is_answered(x))
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        return r < 0 ? r : 0;
}

int agent_filter_resolve(AgentFilter *f, Store *s) {
        if (!f->group || f->group_selector)
                return 0;
        return group_selector(s, f->group, &f->group_selector);
}

int agent_filter_resolve_or_refuse(AgentFilter *f, ApiJob *a, Store *s) {
        int r;

        r = agent_filter_resolve(f, s);
        if (r == -ENOENT)
                return api_job_refuse(
                                a, HTTP_PROBLEM_NOT_FOUND, "?group", "There is no group \"%s\".", f->group);
        return r;
}

void agent_filter_query(const AgentFilter *f, AgentQuery *ret) {
        *ret = (AgentQuery){
                .selectors = { f->selector, f->group_selector },
                .ids = f->has_ids ? &f->ids : NULL,
                .states = f->states,
                .versions = &f->versions,
                .phases = f->phases,
                .terms = &f->terms,
        };
}

int api_parameter_sort(HttpExchange *x, AgentSort *ret, bool *ret_descending) {
        const char *text = http_exchange_parameter(x, "sort");
        AgentSort sort;

        *ret = AGENT_SORT_ID;
        *ret_descending = text && *text == '-';
        if (!text)
                return 0;
        sort = agent_sort_from_string(text + (*ret_descending ? 1 : 0));
        if (sort < 0) {
                api_refuse_parameter(
                                x, "sort",
                                "sort= must be id, hostname, state, version, last_seen, connected, enrolled, update, "
                                "os, arch or kernel, with a \"-\" before it for the other way round.");
                return -EINVAL;
        }
        *ret = sort;
        return 0;
}
