/* SPDX-License-Identifier: Apache-2.0 */
#include "api-request.h"

#include "alloc-util.h"
#include "group.h"
#include "pki-cert.h"
#include "selector.h"
#include "string-util.h"
#include "version.h"

#define DESCRIPTION_MAX 256U

static int copy_text(char **to, const char *from) {
        *to = strdup(strempty(from));
        return *to ? 0 : -ENOMEM;
}

int update_request_parse(json_t *body, UpdateRequest *ret, RequestError *e) {
        static const char *const known[] = { TARGET_MEMBERS, TARGET_EXPECTATION_MEMBERS,
                                             "version",      "retry",
                                             "allow_empty",  NULL };
        const char *version = NULL;
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = target_parse(body, &ret->target, e);
        if (r >= 0 && ret->target.kind == TARGET_IDS && ret->target.ids.n > 1)
                r = request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, "/ids",
                                "A version is desired of one agent, of what a selector or a group matches, or of all. "
                                "Give these %zu agents a label of their own and name that.",
                                ret->target.ids.n);
        if (r >= 0)
                r = request_get_text(body, "/version", VERSION_TEXT_MAX, &version, e);
        if (r >= 0 && (!version || !version_is_valid(version)))
                r = request_refuse_member(e, "/version", "a version such as 1.2.0");
        if (r >= 0)
                r = request_get_flag(body, "/retry", &ret->retry, e);
        if (r >= 0)
                r = request_get_flag(body, "/allow_empty", &ret->allow_empty, e);
        if (r >= 0)
                r = target_expectation_parse(body, &ret->expected, e);
        return r < 0 ? r : copy_text(&ret->version, version);
}

void update_request_done(UpdateRequest *r) {
        target_done(&r->target);
        free(r->version);
        *r = (UpdateRequest){};
}

/* Calls with each label; an empty value only where may_be_empty. */
static int each_label(
                json_t *body,
                bool may_be_empty,
                int (*take)(void *userdata, const char *key, const char *value),
                void *userdata,
                RequestError *e) {

        json_t *labels = json_object_get(body, "labels"), *value;
        const char *key;
        int r;

        if (!labels)
                return 0;
        if (!json_is_object(labels) || json_object_size(labels) > LABELS_MAX)
                return request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, "/labels",
                                "\"labels\" must be an object with at most %u members.", LABELS_MAX);
        json_object_foreach(labels, key, value) {
                const char *text = json_string_value(value);

                if (!label_key_is_valid(key))
                        return request_refuse_member(
                                        e, "/labels",
                                        "an object whose names are label keys (letters, digits, '-', '_', "
                                        "'.'; "
                                        "not beginning with \"fact.\")");
                if (!text || !label_value_is_valid(text) || (!may_be_empty && isempty(text)))
                        return request_refuse_member(
                                        e, "/labels",
                                        "an object whose values are label values (letters, digits, '-', "
                                        "'_', '.')");
                r = take(userdata, key, text);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_label(void *userdata, const char *key, const char *value) {
        return labels_set(userdata, key, value);
}

int join_token_request_parse(json_t *body, JoinTokenRequest *ret, RequestError *e) {
        static const char *const known[] = { "uses", "expires_in_sec", "labels", "description", "agent", NULL };
        const char *description = NULL, *agent = NULL;
        int r;

        ret->uses = 1;
        ret->expires_in_sec = 86400;
        r = request_check_members(body, known, e);
        if (r >= 0)
                r = request_get_number(body, "/uses", 1, 100000, &ret->uses, NULL, e);
        if (r >= 0)
                r = request_get_number(body, "/expires_in_sec", 60, 2592000, &ret->expires_in_sec, NULL, e);
        if (r >= 0)
                r = each_label(body, /* may_be_empty= */ false, take_label, &ret->labels, e);
        if (r >= 0)
                r = request_get_text(body, "/description", DESCRIPTION_MAX, &description, e);
        if (r >= 0)
                r = request_get_text(body, "/agent", 256, &agent, e);
        if (r >= 0 && agent && !pki_agent_id_is_valid(agent))
                r = request_refuse_member(e, "/agent", "an agent id");
        if (r >= 0 && agent)
                r = copy_text(&ret->agent, agent);
        return r < 0 ? r : copy_text(&ret->description, description);
}

void join_token_request_done(JoinTokenRequest *r) {
        free(r->agent);
        labels_done(&r->labels);
        free(r->description);
        *r = (JoinTokenRequest){};
}

static int take_change(void *userdata, const char *key, const char *value) {
        AgentRequest *a = userdata;
        _cleanup_free_ char *k = NULL, *v = NULL;
        int r;

        r = ARRAY_GROW(a->changes, a->n_allocated, a->n + 1);
        if (r < 0)
                return r;
        k = strdup(key);
        v = strdup(value);
        if (!k || !v)
                return -ENOMEM;
        a->changes[a->n++] = (Label){ .key = TAKE_PTR(k), .value = TAKE_PTR(v) };
        return 0;
}

static int take_changes(json_t *body, AgentRequest *ret, RequestError *e) {
        if (!json_object_get(body, "labels"))
                return request_refuse_member(e, "/labels", "there");
        return each_label(body, /* may_be_empty= */ true, take_change, ret, e);
}

int agent_request_parse(json_t *body, AgentRequest *ret, RequestError *e) {
        static const char *const known[] = { "labels", NULL };
        int r;

        r = request_check_members(body, known, e);
        return r < 0 ? r : take_changes(body, ret, e);
}

void agent_request_done(AgentRequest *r) {
        for (size_t i = 0; i < r->n; i++) {
                free(r->changes[i].key);
                free(r->changes[i].value);
        }
        free(r->changes);
        *r = (AgentRequest){};
}

int relabel_request_parse(json_t *body, RelabelRequest *ret, RequestError *e) {
        static const char *const known[] = { TARGET_MEMBERS, TARGET_EXPECTATION_MEMBERS, "labels", NULL };
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = target_parse(body, &ret->target, e);
        if (r >= 0)
                r = take_changes(body, &ret->labels, e);
        if (r >= 0 && ret->labels.n == 0)
                r = request_refuse_member(e, "/labels", "an object with at least one label");
        return r < 0 ? r : target_expectation_parse(body, &ret->expected, e);
}

void relabel_request_done(RelabelRequest *r) {
        target_done(&r->target);
        agent_request_done(&r->labels);
        *r = (RelabelRequest){};
}

int match_request_parse(json_t *body, Target *ret, RequestError *e) {
        static const char *const known[] = { TARGET_MEMBERS, NULL };
        int r;

        r = request_check_members(body, known, e);
        return r < 0 ? r : target_parse(body, ret, e);
}

/* Keeps it in its one spelling. */
static int take_group_selector(json_t *body, GroupRequest *ret, RequestError *e) {
        _cleanup_(selector_freep) Selector *selector = NULL;
        _cleanup_free_ char *why = NULL;
        const char *text = NULL;
        int r;

        r = request_get_text(body, "/selector", SELECTOR_TEXT_MAX, &text, e);
        if (r < 0)
                return r;
        if (!text)
                return request_refuse_member(e, "/selector", "there");
        r = selector_parse(text, &selector, &why);
        if (r == -EINVAL)
                return request_refuse(e, HTTP_PROBLEM_BAD_SELECTOR, "/selector", "%s", why);
        return r < 0 ? r : selector_format(selector, &ret->selector);
}

int group_request_parse(json_t *body, bool with_name, GroupRequest *ret, RequestError *e) {
        static const char *const known[] = { "name", "selector", "description", NULL };
        const char *name = NULL, *description = NULL;
        int r;

        r = request_check_members(body, with_name ? known : known + 1, e);
        if (r >= 0 && with_name)
                r = request_get_text(body, "/name", LABEL_NAME_MAX, &name, e);
        if (r >= 0 && with_name && !group_name_is_valid(name))
                r = request_refuse_member(
                                e, "/name",
                                "a name as a label's value (letters, digits, '-', '_', '.'; at most 63)");
        if (r >= 0)
                r = take_group_selector(body, ret, e);
        if (r >= 0)
                r = request_get_text(body, "/description", DESCRIPTION_MAX, &description, e);
        if (r >= 0 && name)
                r = copy_text(&ret->name, name);
        return r < 0 ? r : copy_text(&ret->description, description);
}

void group_request_done(GroupRequest *r) {
        free(r->name);
        free(r->selector);
        free(r->description);
        *r = (GroupRequest){};
}
