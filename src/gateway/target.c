/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <stdio.h>

#include "crypto.h"
#include "group.h"
#include "hex.h"
#include "pki-cert.h"
#include "string-util.h"

void target_done(Target *t) {
        text_list_done(&t->ids);
        selector_free(t->selector);
        free(t->group);
        *t = (Target){};
}

/* ---- reading ---- */

static int add_id(Target *t, const char *pointer, const char *id, RequestError *e) {
        if (!id || !pki_agent_id_is_valid(id))
                return request_refuse_member(
                                e, pointer,
                                streq(pointer, "/agent") ? "an agent id" : "an array of agent ids");
        return text_list_add(&t->ids, id);
}

static int take_ids(json_t *ids, Target *t, RequestError *e) {
        size_t n = json_array_size(ids), i;
        json_t *id;
        int r;

        if (!json_is_array(ids))
                return request_refuse_member(e, "/ids", "an array of agent ids");
        if (n == 0 || n > AGENT_QUERY_IDS_MAX)
                return request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, "/ids",
                                "\"ids\" must hold 1 to %u agent ids, here are %zu.", AGENT_QUERY_IDS_MAX,
                                n);
        json_array_foreach(ids, i, id) {
                r = add_id(t, "/ids", json_string_value(id), e);
                if (r < 0)
                        return r;
        }
        text_list_make_set(&t->ids);
        return 0;
}

static int take_selector(const char *text, Target *t, RequestError *e) {
        _cleanup_free_ char *why = NULL;
        int r;

        t->kind = TARGET_SELECTOR;
        t->pointer = "/selector";
        r = selector_parse(text, &t->selector, &why);
        return r == -EINVAL ? request_refuse(e, HTTP_PROBLEM_BAD_SELECTOR, "/selector", "%s", why) : r;
}

static int take_group(const char *name, Target *t, RequestError *e) {
        if (!group_name_is_valid(name))
                return request_refuse_member(e, "/group", "the name of a group");
        t->kind = TARGET_GROUP;
        t->pointer = "/group";
        t->group = strdup(name);
        return t->group ? 0 : -ENOMEM;
}

int target_parse(json_t *body, Target *ret, RequestError *e) {
        const char *agent = NULL, *selector = NULL, *group = NULL;
        json_t *ids = json_object_get(body, "ids");
        bool all = false;
        unsigned n;
        int r;

        r = request_get_text(body, "/agent", 256, &agent, e);
        if (r >= 0)
                r = request_get_text(body, "/selector", SELECTOR_TEXT_MAX, &selector, e);
        if (r >= 0)
                r = request_get_text(body, "/group", 256, &group, e);
        if (r >= 0)
                r = request_get_flag(body, "/all", &all, e);
        if (r < 0)
                return r;
        if (json_object_get(body, "all") && !all)
                return request_refuse_member(e, "/all", "true; leave it out when not all are meant");
        n = !!agent + !!ids + !!selector + !!group + all;
        if (n != 1)
                return request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, "",
                                "Name exactly one target: \"agent\", \"ids\", \"selector\", \"group\" or \"all\": "
                                "true; here are %u.",
                                n);
        if (selector)
                return take_selector(selector, ret, e);
        if (group)
                return take_group(group, ret, e);
        ret->kind = all ? TARGET_ALL : TARGET_IDS;
        ret->pointer = all ? "/all" : agent ? "/agent" : "/ids";
        if (ids)
                return take_ids(ids, ret, e);
        return agent ? add_id(ret, "/agent", agent, e) : 0;
}

int target_expectation_parse(json_t *body, TargetExpectation *ret, RequestError *e) {
        const char *digest = NULL;
        int r;

        r = request_get_number(body, "/expected_count", 0, INT64_MAX, &ret->count, &ret->has_count, e);
        if (r >= 0)
                r = request_get_text(body, "/expected_digest", 2 * SHA256_SIZE, &digest, e);
        if (r < 0 || !digest)
                return r;
        if (!hex_is_valid(digest, SHA256_SIZE))
                return request_refuse_member(
                                e, "/expected_digest", "64 hexadecimal digits, as they were given");
        ret->has_digest = true;
        (void) snprintf(ret->digest, sizeof(ret->digest), "%s", digest);
        return 0;
}

/* ---- writing ---- */

int target_format(const Target *t, char **ret) {
        _cleanup_free_ char *inner = NULL;
        int r = 0;

        switch (t->kind) {
        case TARGET_IDS:
                inner = text_list_join(&t->ids, ",");
                *ret = inner ? strjoinf("ids:%s", inner) : NULL;
                break;
        case TARGET_SELECTOR:
                r = selector_format(t->selector, &inner);
                *ret = r >= 0 ? strjoinf("selector:%s", inner) : NULL;
                break;
        case TARGET_GROUP:
                *ret = strjoinf("group:%s", t->group);
                break;
        case TARGET_ALL:
                *ret = strdup("all");
        }
        return *ret ? 0 : -ENOMEM;
}

static json_t *view_ids(const TextList *ids) {
        json_t *array = json_array();

        for (size_t i = 0; array && i < ids->n; i++)
                if (json_array_append_new(array, json_string(ids->items[i])) < 0) {
                        json_decref(array);
                        return NULL;
                }
        return array;
}

json_t *target_view(const Target *t) {
        _cleanup_free_ char *selector = NULL;
        _cleanup_json_ json_t *o = json_object();
        json_t *ids;
        int r = o ? 0 : -ENOMEM;

        if (r >= 0 && t->kind == TARGET_IDS) {
                ids = view_ids(&t->ids);
                r = ids ? json_set_take(o, "ids", ids) : -ENOMEM;
        } else if (r >= 0 && t->kind == TARGET_SELECTOR) {
                r = selector_format(t->selector, &selector);
                if (r >= 0)
                        r = json_set_string(o, "selector", selector);
        } else if (r >= 0 && t->kind == TARGET_GROUP)
                r = json_set_string(o, "group", t->group);
        else if (r >= 0)
                r = json_set_bool(o, "all", true);
        return r < 0 ? NULL : TAKE_PTR(o);
}

char *target_describe(const Target *t) {
        char *selector = NULL;

        switch (t->kind) {
        case TARGET_IDS:
                return t->ids.n == 1 ? strjoinf("agent %s", t->ids.items[0]) :
                                       strjoinf("%zu agents", t->ids.n);
        case TARGET_SELECTOR:
                return selector_format(t->selector, &selector) < 0 ? NULL : selector;
        case TARGET_GROUP:
                return strjoinf("group %s", t->group);
        case TARGET_ALL:
                return strdup("all agents");
        }
        return NULL;
}

/* ---- in the store ---- */

static int resolve_group(Target *t, Store *s, RequestError *e) {
        int r;

        selector_free(TAKE_PTR(t->selector));
        r = group_selector(s, t->group, &t->selector);
        if (r == -ENOENT)
                return request_refuse(
                                e, HTTP_PROBLEM_NOT_FOUND, t->pointer, "There is no group \"%s\".",
                                t->group);
        return r;
}

typedef struct Missing {
        const TextList *ids;
        size_t next;
        const char *first; /* of those that were not met; NULL: none */
} Missing;

/* Both are sorted. */
static int meet_id(const char *id, void *userdata) {
        Missing *m = userdata;

        if (m->next < m->ids->n && streq(m->ids->items[m->next], id))
                m->next++;
        else if (!m->first)
                m->first = m->ids->items[m->next];
        return m->first ? 1 : 0;
}

static int resolve_ids(const Target *t, Store *s, RequestError *e) {
        Missing m = { .ids = &t->ids };
        int r;

        r = s->ops->agents_ids(s, &(AgentQuery){ .ids = &t->ids }, meet_id, &m);
        if (r < 0)
                return r;
        if (!m.first && m.next < t->ids.n)
                m.first = t->ids.items[m.next];
        if (!m.first)
                return 0;
        return request_refuse(
                        e, HTTP_PROBLEM_NOT_FOUND, t->pointer, "There is no agent \"%s\"%s.", m.first,
                        t->ids.n == 1 ? "" : " (any more); nothing was done");
}

int target_resolve(Target *t, Store *s, RequestError *e) {
        switch (t->kind) {
        case TARGET_IDS:
                return resolve_ids(t, s, e);
        case TARGET_GROUP:
                return resolve_group(t, s, e);
        default:
                return 0;
        }
}

void target_query(const Target *t, AgentQuery *ret) {
        *ret = (AgentQuery){
                .selectors = { t->selector },
                .ids = t->kind == TARGET_IDS ? &t->ids : NULL,
        };
}

bool target_matches(const Target *t, const AgentRecord *a) {
        AgentQuery q;

        target_query(t, &q);
        return agent_query_matches(&q, a);
}

static int collect_id(const char *id, void *userdata) {
        return text_list_add(userdata, id);
}

int target_ids(const Target *t, Store *s, TextList *ret) {
        AgentQuery q;

        target_query(t, &q);
        return s->ops->agents_ids(s, &q, collect_id, ret);
}

typedef struct Measure {
        Sha256 *hash;
        uint64_t count;
} Measure;

static int measure_id(const char *id, void *userdata) {
        Measure *m = userdata;

        sha256_update(m->hash, id, strlen(id));
        sha256_update(m->hash, "\n", 1);
        m->count++;
        return 0;
}

int target_measure(const Target *t, Store *s, TargetSize *ret) {
        _cleanup_(sha256_freep) Sha256 *hash = NULL;
        uint8_t digest[SHA256_SIZE];
        AgentQuery q;
        Measure m = {};
        int r;

        r = sha256_new(&hash);
        if (r < 0)
                return r;
        m.hash = hash;
        target_query(t, &q);
        r = s->ops->agents_ids(s, &q, measure_id, &m);
        if (r < 0)
                return r;
        ret->count = m.count;
        sha256_final(hash, digest);
        hex_encode(digest, sizeof(digest), ret->digest);
        return 0;
}

static int refuse_changed(const TargetExpectation *x, const TargetSize *size, RequestError *e) {
        bool other_count = x->has_count && x->count != size->count;
        int r;

        if (other_count)
                r =
                                request_refuse(e, HTTP_PROBLEM_CONFLICT, "/expected_count",
                                               "%" PRIu64 " agents match now, not %" PRIu64
                                               "; look again before you go on.",
                                               size->count, x->count);
        else
                r = request_refuse(
                                e, HTTP_PROBLEM_CONFLICT, "/expected_digest",
                                "%" PRIu64
                                " agents match now, and they are not those that you saw; look again before "
                                "you go on.",
                                size->count);
        if (r != -EINVAL)
                return r;
        e->members = json_object();
        if (!e->members || json_set_u64(e->members, "count", size->count) < 0 ||
            json_set_string(e->members, "digest", size->digest) < 0 ||
            (x->has_count && json_set_u64(e->members, "expected_count", x->count) < 0))
                return -ENOMEM;
        return r;
}

int target_check(const Target *t, Store *s, const TargetExpectation *x, TargetSize *ret, RequestError *e) {
        TargetSize size;
        int r;

        r = target_measure(t, s, &size);
        if (r < 0)
                return r;
        if ((x->has_count && x->count != size.count) || (x->has_digest && !streq(x->digest, size.digest)))
                return refuse_changed(x, &size, e);
        if (ret)
                *ret = size;
        return 0;
}
