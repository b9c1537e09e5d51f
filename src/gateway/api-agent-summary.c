/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "api-agent-filter.h"
#include "log.h"
#include "string-util.h"
#include "tally.h"

#define VALUES_SHOWN 100U
#define FACETS_MAX 8U
#define FACET_LABEL "label:"

/* ---- counts of what lists show ---- */

typedef struct SummaryJob {
        ApiJob api;
        AgentFilter filter;
        TextList labels; /* keys that are asked for */

        /* while it runs */
        uint64_t total, states[_AGENT_STATE_MAX];
        Tally *versions, *updates, *os, *arch;
} SummaryJob;

static void summary_free(ApiJob *a) {
        SummaryJob *j = container_of(a, SummaryJob, api);

        agent_filter_done(&j->filter);
        text_list_done(&j->labels);
        tally_free(j->versions);
        tally_free(j->updates);
        tally_free(j->os);
        tally_free(j->arch);
        api_job_done(a);
        free(j);
}

static int count_facet(const AgentFacet *f, void *userdata) {
        SummaryJob *j = userdata;
        int r;

        j->total += f->n;
        j->states[f->state] += f->n;
        r = tally_add(j->versions, f->version, f->n);
        if (r >= 0)
                r = tally_add(j->updates, f->phase, f->n);
        if (r >= 0)
                r = tally_add(j->os, f->os, f->n);
        if (r >= 0)
                r = tally_add(j->arch, f->arch, f->n);
        return r;
}

static int set_object(json_t *o, const char *key, json_t *v) {
        return v ? json_set_take(o, key, v) : -ENOMEM;
}

static json_t *view_states(const SummaryJob *j) {
        json_t *o = json_object();

        for (AgentState s = 0; o && s < _AGENT_STATE_MAX; s++)
                if (json_set_u64(o, agent_state_to_string(s), j->states[s]) < 0) {
                        json_decref(o);
                        return NULL;
                }
        return o;
}

typedef struct LabelCount {
        Tally *tally;
        uint64_t with;
} LabelCount;

static int count_value(const char *value, uint64_t n, void *userdata) {
        LabelCount *c = userdata;

        c->with += n;
        return tally_add(c->tally, value, n);
}

static int count_label(SummaryJob *j, Store *s, const AgentQuery *q, const char *key, json_t *labels) {
        _cleanup_(tally_freep) Tally *tally = NULL;
        LabelCount c = {};
        int r;

        r = tally_new(&tally);
        if (r < 0)
                return r;
        c.tally = tally;
        r = s->ops->agents_values(s, q, key, count_value, &c);
        if (r >= 0)
                r = tally_add(tally, "", j->total - c.with);
        return r < 0 ? r : set_object(labels, key, tally_view(tally, VALUES_SHOWN));
}

static int summary_labels(SummaryJob *j, Store *s, const AgentQuery *q) {
        json_t *labels = json_object();
        int r;

        r = set_object(j->api.answer, "labels", labels);
        for (size_t i = 0; r >= 0 && i < j->labels.n; i++)
                r = count_label(j, s, q, j->labels.items[i], labels);
        return r;
}

static int summary_new_tallies(SummaryJob *j) {
        int r;

        r = tally_new(&j->versions);
        if (r >= 0)
                r = tally_new(&j->updates);
        if (r >= 0)
                r = tally_new(&j->os);
        return r < 0 ? r : tally_new(&j->arch);
}

static int summary_run(ApiJob *a, Store *s) {
        SummaryJob *j = container_of(a, SummaryJob, api);
        AgentQuery q;
        int r;

        a->answer = json_object();
        if (!a->answer)
                return -ENOMEM;
        r = agent_filter_resolve_or_refuse(&j->filter, a, s);
        if (r >= 0)
                r = summary_new_tallies(j);
        if (r < 0)
                return r;
        agent_filter_query(&j->filter, &q);
        r = s->ops->agents_facets(s, &q, count_facet, j);
        if (r >= 0)
                r = json_set_u64(a->answer, "total", j->total);
        if (r >= 0)
                r = set_object(a->answer, "states", view_states(j));
        if (r >= 0)
                r = set_object(a->answer, "versions", tally_view(j->versions, VALUES_SHOWN));
        if (r >= 0)
                r = set_object(a->answer, "updates", tally_view(j->updates, VALUES_SHOWN));
        if (r >= 0)
                r = set_object(a->answer, "os", tally_view(j->os, VALUES_SHOWN));
        if (r >= 0)
                r = set_object(a->answer, "arch", tally_view(j->arch, VALUES_SHOWN));
        return r < 0 ? r : summary_labels(j, s, &q);
}

static int take_facets(SummaryJob *j, HttpExchange *x) {
        const char *text = http_exchange_parameter(x, "facet");
        _cleanup_(text_list_done) TextList names = {};
        int r;

        if (!text)
                return 0;
        r = text_list_add_split(&names, text, ",", FACETS_MAX);
        if (r == -ENOMEM)
                return r;
        for (size_t i = 0; r >= 0 && i < names.n; i++) {
                const char *key = startswith(names.items[i], FACET_LABEL);

                r = key && label_key_is_valid(key) ? text_list_add(&j->labels, key) : -EINVAL;
        }
        if (r >= 0 && j->labels.n > 0) {
                text_list_make_set(&j->labels);
                return 0;
        }
        if (r == -ENOMEM)
                return r;
        api_refuse_parameter(
                        x, "facet",
                        "facet= must hold 1 to %u label keys as in \"label:env\", separated by commas.",
                        FACETS_MAX);
        return -EINVAL;
}

void api_agents_summary(HttpExchange *x, void *userdata) {
        SummaryJob *j;
        int r;

        j = new0(SummaryJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.run = summary_run;
        j->api.free = summary_free;
        r = agent_filter_parse(x, &j->filter);
        if (r >= 0)
                r = take_facets(j, x);
        if (r < 0) {
                if (!http_exchange_is_answered(x))
                        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                summary_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- whom an action would mean ---- */

typedef struct MatchJob {
        ApiJob api;
        Target target;
} MatchJob;

static void match_free(ApiJob *a) {
        MatchJob *j = container_of(a, MatchJob, api);

        target_done(&j->target);
        api_job_done(a);
        free(j);
}

static int match_run(ApiJob *a, Store *s) {
        MatchJob *j = container_of(a, MatchJob, api);
        _cleanup_free_ char *selector = NULL;
        RequestError error = {};
        TargetSize size;
        int r;

        r = target_resolve(&j->target, s, &error);
        if (r < 0)
                return api_job_refuse_error(a, r, &error);
        r = target_measure(&j->target, s, &size);
        if (r >= 0 && j->target.selector)
                r = selector_format(j->target.selector, &selector);
        if (r < 0)
                return r;
        a->unchanged = true;
        a->answer = json_object();
        r = a->answer ? json_set_u64(a->answer, "count", size.count) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(a->answer, "digest", size.digest);
        if (r >= 0)
                r = json_set_string(a->answer, "selector", selector);
        return r;
}

void api_agents_match(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        MatchJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = new0(MatchJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.run = match_run;
        j->api.free = match_free;
        r = match_request_parse(body, &j->target, &error);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                match_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
