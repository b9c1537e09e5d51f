/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "api.h"
#include "group.h"
#include "hex.h"
#include "log.h"
#include "string-util.h"
#include "tally.h"
#include "view.h"

#define LIMIT_DEFAULT 200U
#define LIMIT_MAX 1000U
#define LIMIT_COUNTED 50U /* a page on which agents are counted for each */
#define VERSIONS_SHOWN 100U

typedef struct GroupsJob {
        ApiJob api;
        GroupRequest request;
        char *name, *if_match, *actor;
        bool narrow; /* without counts */
        char *after;
        uint64_t limit;

        /* while it runs */
        Store *store;
        json_t *list; /* borrowed */
        char *last;
        uint64_t taken;
        bool more;
} GroupsJob;

static void groups_free(ApiJob *a) {
        GroupsJob *j = container_of(a, GroupsJob, api);

        group_request_done(&j->request);
        free(j->name);
        free(j->if_match);
        free(j->actor);
        free(j->after);
        free(j->last);
        api_job_done(a);
        free(j);
}

static GroupsJob *groups_new(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        GroupsJob *j = new0(GroupsJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return NULL;
        }
        j->api.run = run;
        j->api.free = groups_free;
        return j;
}

/* Ends what cannot go on; says so unless that was done. */
static void groups_give_up(GroupsJob *j, HttpExchange *x) {
        if (!http_exchange_is_answered(x))
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
        groups_free(&j->api);
}

static GroupsJob *groups_new_for_one(HttpExchange *x, int (*run)(ApiJob *a, Store *s)) {
        const char *name = http_exchange_argument(x, 0);
        GroupsJob *j;

        if (!group_name_is_valid(name)) {
                http_reply_problem(x, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no group of that name.");
                return NULL;
        }
        j = groups_new(x, run);
        if (!j)
                return NULL;
        j->name = strdup(name);
        if (j->name)
                return j;
        groups_give_up(j, x);
        return NULL;
}

/* ---- one group as answers show it ---- */

typedef struct GroupCount {
        uint64_t total, online;
        Tally *versions;
} GroupCount;

static int count_facet(const AgentFacet *f, void *userdata) {
        GroupCount *c = userdata;

        c->total += f->n;
        c->online += f->state == AGENT_STATE_ONLINE ? f->n : 0;
        return c->versions ? tally_add(c->versions, f->version, f->n) : 0;
}

static int add_agents(json_t *o, Store *s, const GroupRecord *g, bool with_versions) {
        _cleanup_(selector_freep) Selector *selector = NULL;
        _cleanup_(tally_freep) Tally *versions = NULL;
        GroupCount c = {};
        json_t *agents, *view;
        int r;

        r = group_selector(s, g->name, &selector);
        if (r >= 0 && with_versions)
                r = tally_new(&versions);
        if (r < 0)
                return r == -EUCLEAN ? 0 : r;
        c.versions = versions;
        r = s->ops->agents_facets(s, &(AgentQuery){ .selectors = { selector } }, count_facet, &c);
        if (r < 0)
                return r;
        agents = json_object();
        r = agents ? json_set_take(o, "agents", agents) : -ENOMEM;
        if (r >= 0)
                r = json_set_u64(agents, "total", c.total);
        if (r >= 0)
                r = json_set_u64(agents, "online", c.online);
        if (r < 0 || !versions)
                return r;
        view = tally_view(versions, VERSIONS_SHOWN);
        return view ? json_set_take(agents, "versions", view) : -ENOMEM;
}

static int show_group(GroupsJob *j, Store *s, const GroupRecord *g) {
        int r = 0;

        api_etag_format(j->api.etag, g->created, g->revision);
        j->api.etag_is_whole = j->narrow;
        j->api.answer = view_group(g);
        if (!j->api.answer)
                return -ENOMEM;
        if (!j->narrow)
                r = add_agents(j->api.answer, s, g, /* with_versions= */ true);
        return r;
}

static int get_group(GroupsJob *j, Store *s, GroupRecord *ret) {
        int r;

        r = s->ops->group_get(s, j->name, ret);
        if (r == -ENOENT)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_NOT_FOUND, NULL, "There is no group \"%s\".", j->name);
        return r;
}

static int show_run(ApiJob *a, Store *s) {
        GroupsJob *j = container_of(a, GroupsJob, api);
        _cleanup_(group_record_done) GroupRecord g = {};
        int r;

        r = get_group(j, s, &g);
        return r < 0 ? r : show_group(j, s, &g);
}

static int take_form(GroupsJob *j, HttpExchange *x) {
        static const char *const forms[] = { "full", "narrow", NULL };
        size_t form;
        int r;

        r = api_parameter_choice(x, "fields", forms, &form);
        j->narrow = form == 1;
        return r;
}

void api_groups_show(HttpExchange *x, void *userdata) {
        GroupsJob *j;

        j = groups_new_for_one(x, show_run);
        if (!j)
                return;
        if (take_form(j, x) < 0)
                groups_give_up(j, x);
        else
                api_submit(&j->api, userdata, x);
}

/* ---- all ---- */

static int take_group(GroupRecord *g, void *userdata) {
        GroupsJob *j = userdata;
        json_t *o;
        int r;

        if (j->taken++ >= j->limit) { /* one more was asked for */
                j->more = true;
                return 1;
        }
        o = view_group(g);
        if (!o || json_array_append_new(j->list, o) < 0)
                return -ENOMEM;
        r = j->narrow ? 0 : add_agents(o, j->store, g, /* with_versions= */ false);
        if (r >= 0)
                r = free_and_strdup(&j->last, g->name);
        return r < 0 ? r : 0;
}

static int list_run(ApiJob *a, Store *s) {
        GroupsJob *j = container_of(a, GroupsJob, api);
        _cleanup_free_ char *cursor = NULL;
        uint64_t total;
        int r;

        j->store = s;
        j->list = json_array();
        a->answer = json_object();
        if (!a->answer || !j->list || json_set_take(a->answer, "groups", j->list) < 0)
                return -ENOMEM;
        r = s->ops->groups_each(s, j->after, j->limit + 1, take_group, j);
        if (r >= 0)
                r = s->ops->groups_count(s, &total);
        if (r >= 0)
                r = json_set_u64(a->answer, "total", total);
        if (r < 0 || !j->more)
                return r;
        cursor = base64url_encode_new(j->last, strlen(j->last));
        return cursor ? json_set_string(a->answer, "next_cursor", cursor) : -ENOMEM;
}

static int take_cursor(GroupsJob *j, HttpExchange *x) {
        const char *text = http_exchange_parameter(x, "cursor");
        void *data = NULL;
        size_t size;

        if (!text)
                return 0;
        if (base64url_decode(text, LABEL_NAME_MAX, &data, &size) >= 0)
                j->after = strndup(data, size);
        free(data);
        if (j->after && group_name_is_valid(j->after))
                return 0;
        api_refuse_parameter(
                        x, "cursor", "cursor= must be the \"next_cursor\" of an earlier page, unchanged.");
        return -EINVAL;
}

void api_groups_list(HttpExchange *x, void *userdata) {
        bool counts = false;
        GroupsJob *j;
        int r;

        j = groups_new(x, list_run);
        if (!j)
                return;
        r = api_parameter_flag(x, "counts", &counts);
        j->narrow = !counts;
        if (r >= 0)
                r = api_parameter_u64(
                                x, "limit", 1, counts ? LIMIT_COUNTED : LIMIT_MAX,
                                counts ? LIMIT_COUNTED : LIMIT_DEFAULT, &j->limit);
        if (r >= 0)
                r = take_cursor(j, x);
        if (r < 0)
                groups_give_up(j, x);
        else
                api_submit(&j->api, userdata, x);
}

/* ---- changes ---- */

static int emit_group(
                GroupsJob *j, Store *s, const GroupRecord *g, const char *change, const char *action) {

        json_t *o = view_group(g);
        int r;

        if (o && json_set_string(o, "change", change) < 0) {
                json_decref(o);
                o = NULL;
        }
        r = store_job_emit(
                        &j->api.job, s, "group", NULL, view_event_text(o), /* progress= */ false,
                        now(CLOCK_REALTIME));
        if (r >= 0)
                r = store_job_log(
                                &j->api.job, LOG_NOTICE, NULL, "MESSAGE=Group %s (%s) was %s, said %s.",
                                g->name, g->selector, change, j->actor, NULL);
        if (r < 0)
                return r;
        return api_audit_on(&j->api, s, action, "group", g->name, 1, view_group(g));
}

static int put_group(GroupsJob *j, Store *s, GroupRecord *g, const char *change, const char *action) {
        int r;

        g->updated = now(CLOCK_REALTIME);
        g->revision++;
        r = free_and_strdup(&g->selector, j->request.selector);
        if (r >= 0)
                r = free_and_strdup(&g->description, j->request.description);
        if (r >= 0)
                r = s->ops->group_put(s, g);
        if (r >= 0)
                r = emit_group(j, s, g, change, action);
        return r < 0 ? r : show_group(j, s, g);
}

static int create_run(ApiJob *a, Store *s) {
        GroupsJob *j = container_of(a, GroupsJob, api);
        _cleanup_(group_record_done) GroupRecord g = {};
        uint64_t n;
        int r;

        r = s->ops->group_get(s, j->request.name, &g);
        if (r >= 0)
                return api_job_refuse(
                                a, HTTP_PROBLEM_CONFLICT, "/name", "There is a group \"%s\" already.",
                                g.name);
        if (r != -ENOENT)
                return r;
        r = s->ops->groups_count(s, &n);
        if (r < 0)
                return r;
        if (n >= GROUPS_MAX)
                return api_job_refuse(
                                a, HTTP_PROBLEM_CONFLICT, NULL, "There are %u groups, and no room for more.",
                                GROUPS_MAX);
        g.created = now(CLOCK_REALTIME);
        g.name = strdup(j->request.name);
        a->status = 201;
        return g.name ? put_group(j, s, &g, "created", "group.create") : -ENOMEM;
}

static void groups_submit_change(GroupsJob *j, bool with_name, HttpExchange *x, Gateway *g) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        int r;

        if (http_exchange_json(x, &body) < 0) {
                groups_free(&j->api);
                return;
        }
        r = group_request_parse(body, with_name, &j->request, &error);
        if (r >= 0)
                r = api_caller_name(http_exchange_caller(x), &j->actor);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                groups_free(&j->api);
                return;
        }
        api_submit(&j->api, g, x);
}

void api_groups_create(HttpExchange *x, void *userdata) {
        GroupsJob *j = groups_new(x, create_run);

        if (j)
                groups_submit_change(j, /* with_name= */ true, x, userdata);
}

static int replace_run(ApiJob *a, Store *s) {
        GroupsJob *j = container_of(a, GroupsJob, api);
        _cleanup_(group_record_done) GroupRecord g = {};
        int r;

        r = get_group(j, s, &g);
        if (r >= 0)
                r = api_job_check_if_match(a, j->if_match, g.created, g.revision);
        return r < 0 ? r : put_group(j, s, &g, "changed", "group.change");
}

void api_groups_put(HttpExchange *x, void *userdata) {
        GroupsJob *j = groups_new_for_one(x, replace_run);

        if (!j)
                return;
        if (api_check_if_match(x, &j->if_match) < 0)
                groups_give_up(j, x);
        else
                groups_submit_change(j, /* with_name= */ false, x, userdata);
}

static int delete_run(ApiJob *a, Store *s) {
        GroupsJob *j = container_of(a, GroupsJob, api);
        _cleanup_(group_record_done) GroupRecord g = {};
        _cleanup_free_ char *why = NULL;
        int r;

        r = get_group(j, s, &g);
        if (r >= 0 && j->if_match)
                r = api_job_check_if_match(a, j->if_match, g.created, g.revision);
        if (r >= 0)
                r = group_is_used(s, j->name, &why);
        if (r > 0)
                return api_job_refuse(
                                a, HTTP_PROBLEM_CONFLICT, NULL, "The group \"%s\" is needed by %s.", j->name,
                                why);
        if (r >= 0)
                r = s->ops->group_delete(s, j->name);
        a->status = 204;
        a->etag[0] = '\0';
        return r < 0 ? r : emit_group(j, s, &g, "removed", "group.remove");
}

void api_groups_delete(HttpExchange *x, void *userdata) {
        GroupsJob *j = groups_new_for_one(x, delete_run);

        if (!j)
                return;
        /* who says which revision is meant is taken at the word */
        if ((http_exchange_header(x, "If-Match") && api_check_if_match(x, &j->if_match) < 0) ||
            api_caller_name(http_exchange_caller(x), &j->actor) < 0)
                groups_give_up(j, x);
        else
                api_submit(&j->api, userdata, x);
}
