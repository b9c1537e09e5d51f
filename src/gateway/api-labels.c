/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "api-agents.h"
#include "log.h"
#include "string-util.h"
#include "view.h"

/* Above this many one event says it for all: subscribers must not be flooded, and would fall behind. */
#define EVENTS_EACH 50U
#define KEYS_SHOWN 200U
#define VALUES_SHOWN 100U
#define VALUES_OF_ONE 1000U

/* ---- changing them for many ---- */

typedef struct RelabelJob {
        ApiJob api;
        RelabelRequest request;
        char *actor;

        /* while it runs */
        TextList told; /* at most one more than get an event each */
        TargetSize size;
        uint64_t changed;
} RelabelJob;

static void relabel_free(ApiJob *a) {
        RelabelJob *j = container_of(a, RelabelJob, api);

        relabel_request_done(&j->request);
        text_list_done(&j->told);
        free(j->actor);
        api_job_done(a);
        free(j);
}

static int collect_id(const char *id, void *userdata) {
        return text_list_add(userdata, id);
}

static int relabel(RelabelJob *j, Store *s) {
        const RelabelRequest *q = &j->request;
        _cleanup_free_ char *overfull = NULL;
        AgentQuery query;
        int r;

        target_query(&q->target, &query);
        r = s->ops->agents_relabel(
                        s, &query,
                        &(StoreRelabel){ .changes = q->labels.changes,
                                         .n = q->labels.n,
                                         .tell = EVENTS_EACH + 1,
                                         .callback = collect_id,
                                         .userdata = &j->told,
                                         .ret_changed = &j->changed,
                                         .reterr_overfull = &overfull });
        if (r == -E2BIG)
                return api_job_refuse(
                                &j->api, HTTP_PROBLEM_CONFLICT, "/labels",
                                "An agent may have %u labels; %s would have more. Nothing was changed.",
                                LABELS_MAX, overfull);
        return r;
}

static int emit_each(RelabelJob *j, Store *s) {
        for (size_t i = 0; i < j->told.n; i++) {
                _cleanup_(agent_record_done) AgentRecord a = {};
                int r;

                r = s->ops->agent_get(s, j->told.items[i], &a);
                if (r >= 0)
                        r = agent_emit(&j->api.job, s, &a, "labels");
                if (r < 0)
                        return r;
        }
        return 0;
}

static json_t *view_changes(const AgentRequest *q) {
        json_t *o = json_object();

        for (size_t i = 0; o && i < q->n; i++)
                if (json_set_string(o, q->changes[i].key, q->changes[i].value) < 0) {
                        json_decref(o);
                        return NULL;
                }
        return o;
}

/* Ids by the thousand do not belong into an event: without a target it was for a list. */
static int emit_once(RelabelJob *j, Store *s) {
        _cleanup_json_ json_t *o = json_object();
        json_t *labels = view_changes(&j->request.labels);
        int r = o && labels ? json_set_take(o, "labels", labels) : -ENOMEM;

        if (r >= 0 && j->request.target.kind != TARGET_IDS) {
                json_t *target = target_view(&j->request.target);

                r = target ? json_set_take(o, "target", target) : -ENOMEM;
        }
        if (r >= 0)
                r = json_set_u64(o, "changed", j->changed);
        if (r < 0)
                return r;
        return store_job_emit(
                        &j->api.job, s, "labels", NULL, view_event_text(TAKE_PTR(o)), /* progress= */ false,
                        now(CLOCK_REALTIME));
}

static int audit_relabel(RelabelJob *j, Store *s) {
        _cleanup_free_ char *whom = target_describe(&j->request.target);
        json_t *detail = json_object(), *labels = view_changes(&j->request.labels);
        int r = detail && labels ? json_set_take(detail, "labels", labels) : -ENOMEM;

        if (r >= 0)
                r = json_set_string(detail, "digest", j->size.digest);
        if (r < 0 || !whom) {
                json_decref(detail);
                return r < 0 ? r : -ENOMEM;
        }
        return api_audit_on(&j->api, s, "agent.labels", "agents", whom, j->changed, detail);
}

static int relabel_answer(RelabelJob *j) {
        json_t *o = json_object();
        int r;

        j->api.answer = o;
        r = o ? json_set_u64(o, "matched", j->size.count) : -ENOMEM;
        return r < 0 ? r : json_set_u64(o, "changed", j->changed);
}

static int relabel_run(ApiJob *a, Store *s) {
        RelabelJob *j = container_of(a, RelabelJob, api);
        _cleanup_free_ char *whom = NULL;
        RequestError error = {};
        int r;

        r = target_resolve(&j->request.target, s, &error);
        if (r >= 0)
                r = target_check(&j->request.target, s, &j->request.expected, &j->size, &error);
        if (r < 0)
                return api_job_refuse_error(a, r, &error);
        r = relabel(j, s);
        if (r >= 0)
                r = j->told.n > EVENTS_EACH ? emit_once(j, s) : emit_each(j, s);
        if (r >= 0)
                r = audit_relabel(j, s);
        if (r < 0)
                return r;
        whom = target_describe(&j->request.target);
        if (j->changed > 0)
                r = store_job_log(
                                &a->job, LOG_NOTICE, NULL,
                                "MESSAGE=Labels of %" PRIu64 " %s were changed (%s), said %s.", j->changed,
                                j->changed == 1 ? "agent" : "agents", strempty(whom), j->actor, NULL);
        return r < 0 ? r : relabel_answer(j);
}

/* Another label may mean another desired version. */
static void relabel_after(ApiJob *a) {
        RelabelJob *j = container_of(a, RelabelJob, api);

        if (j->told.n > EVENTS_EACH)
                stream_registry_reconcile_all(a->gateway->streams);
        else
                for (size_t i = 0; i < j->told.n; i++)
                        stream_registry_reconcile_soon(a->gateway->streams, j->told.items[i]);
}

void api_agents_relabel(HttpExchange *x, void *userdata) {
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        RelabelJob *j;
        int r;

        if (http_exchange_json(x, &body) < 0)
                return;
        j = new0(RelabelJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.run = relabel_run;
        j->api.free = relabel_free;
        j->api.after = relabel_after;
        r = relabel_request_parse(body, &j->request, &error);
        if (r >= 0)
                r = api_caller_name(http_exchange_caller(x), &j->actor);
        if (r < 0) {
                api_reply_request_error(x, r, &error);
                relabel_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}

/* ---- which there are ---- */

typedef struct LabelsJob {
        ApiJob api;
        char *key; /* NULL: all */

        /* while it runs */
        Store *store;
        json_t *keys, *values; /* borrowed */
        uint64_t n, max;       /* values of the present key, and at most */
        bool more;
} LabelsJob;

static void labels_free(ApiJob *a) {
        LabelsJob *j = container_of(a, LabelsJob, api);

        free(j->key);
        api_job_done(a);
        free(j);
}

static int take_value(const char *value, uint64_t n, void *userdata) {
        LabelsJob *j = userdata;
        json_t *o;

        if (j->n++ >= j->max)
                return 1;
        o = json_object();
        if (!o || json_set_string(o, "value", value) < 0 || json_set_u64(o, "count", n) < 0) {
                json_decref(o);
                return -ENOMEM;
        }
        return json_array_append_new(j->values, o) < 0 ? -ENOMEM : 0;
}

static int take_key(const char *key, uint64_t n, void *userdata) {
        LabelsJob *j = userdata;
        json_t *o;
        int r;

        if (json_array_size(j->keys) >= KEYS_SHOWN) {
                j->more = true;
                return 1;
        }
        o = json_object();
        if (!o || json_array_append_new(j->keys, o) < 0)
                return -ENOMEM;
        r = json_set_string(o, "key", key);
        if (r >= 0)
                r = json_set_u64(o, "count", n);
        j->values = json_array();
        j->n = 0;
        if (r >= 0)
                r = j->values ? json_set_take(o, "values", j->values) : -ENOMEM;
        if (r >= 0)
                r = j->store->ops->label_values(j->store, key, j->max + 1, take_value, j);
        if (r >= 0 && j->n > j->max)
                r = json_set_bool(o, "more", true);
        return r;
}

static int only_key(const char *key, uint64_t n, void *userdata) {
        LabelsJob *j = userdata;

        return streq(key, j->key) ? take_key(key, n, j) : 0;
}

static int labels_run(ApiJob *a, Store *s) {
        LabelsJob *j = container_of(a, LabelsJob, api);
        int r;

        j->store = s;
        j->max = j->key ? VALUES_OF_ONE : VALUES_SHOWN;
        j->keys = json_array();
        a->answer = json_object();
        if (!a->answer || !j->keys || json_set_take(a->answer, "labels", j->keys) < 0)
                return -ENOMEM;
        r = s->ops->label_keys(s, j->key ? INT64_MAX : KEYS_SHOWN + 1, j->key ? only_key : take_key, j);
        if (r >= 0 && j->more)
                r = json_set_bool(a->answer, "more", true);
        return r;
}

void api_labels_list(HttpExchange *x, void *userdata) {
        const char *key = http_exchange_parameter(x, "key");
        LabelsJob *j;

        if (key && !label_key_is_valid(key)) {
                api_refuse_parameter(x, "key", "key= is no label key.");
                return;
        }
        j = new0(LabelsJob, 1);
        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.run = labels_run;
        j->api.free = labels_free;
        j->key = key ? strdup(key) : NULL;
        if (key && !j->key) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                labels_free(&j->api);
                return;
        }
        api_submit(&j->api, userdata, x);
}
