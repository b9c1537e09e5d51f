/* SPDX-License-Identifier: Apache-2.0 */
#include "api-request.h"

#include <stdarg.h>
#include <stdio.h>

#include "alloc-util.h"
#include "pki-cert.h"
#include "selector.h"
#include "string-util.h"
#include "version.h"

#define DESCRIPTION_MAX 256U

void request_error_done(RequestError *e) {
        free(e->detail);
        *e = (RequestError){};
}

int request_refuse(RequestError *e, HttpProblem problem, const char *pointer, const char *format, ...) {
        char *detail = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&detail, format, ap);
        va_end(ap);
        if (r < 0)
                return -ENOMEM;
        *e = (RequestError){ .problem = problem, .pointer = pointer, .detail = detail };
        return -EINVAL;
}

int request_refuse_member(RequestError *e, const char *pointer, const char *what) {
        return request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, pointer, "\"%s\" must be %s.", pointer + 1, what);
}

int request_check_members(json_t *body, const char *const *known, RequestError *e) {
        _cleanup_free_ char *list = NULL, *shown = NULL;
        const char *key;
        json_t *value;

        json_object_foreach(body, key, value) {
                if (strv_contains((char *const *) known, key))
                        continue;
                list = strv_join((char *const *) known, ", ");
                shown = string_escape(key);
                if (!list || !shown)
                        return -ENOMEM;
                return request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, NULL,
                              "There is no member \"%.64s\" here; known are: %s.", shown, list);
        }
        return 0;
}

int request_get_text(json_t *body, const char *pointer, size_t max, const char **ret, RequestError *e) {
        int r = json_get_string(body, pointer + 1, ret);

        if (r == -ENOENT)
                return 0;
        if (r < 0 || !string_is_safe(*ret, max))
                return request_refuse_member(e, pointer, "a text without control characters, and not too long");
        return 0;
}

int request_get_number(
                json_t *body,
                const char *pointer,
                uint64_t low,
                uint64_t high,
                uint64_t *ret,
                bool *ret_present,
                RequestError *e) {
        uint64_t v;
        int r = json_get_u64(body, pointer + 1, &v);

        if (ret_present)
                *ret_present = r != -ENOENT;
        if (r == -ENOENT)
                return 0;
        if (r < 0 || v < low || v > high)
                return request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, pointer,
                              "\"%s\" must be an integer from %" PRIu64 " to %" PRIu64 ".", pointer + 1, low,
                              high);
        *ret = v;
        return 0;
}

int request_get_flag(json_t *body, const char *pointer, bool *ret, RequestError *e) {
        int r = json_get_bool(body, pointer + 1, ret);

        return r == -ENOENT || r >= 0 ? 0 : request_refuse_member(e, pointer, "true or false");
}

static int copy_text(char **to, const char *from) {
        *to = strdup(strempty(from));
        return *to ? 0 : -ENOMEM;
}

static int target_selector(const char *text, UpdateRequest *ret, RequestError *e) {
        _cleanup_(selector_freep) Selector *s = NULL;
        _cleanup_free_ char *message = NULL;
        int r;

        r = selector_parse(text, &s, &message);
        if (r == -EINVAL)
                return request_refuse(e, HTTP_PROBLEM_BAD_SELECTOR, "/selector", "%s", message);
        if (r < 0)
                return r;
        ret->kind = DESIRED_KIND_SELECTOR;
        return selector_format(s, &ret->target);
}

static int update_target(json_t *body, UpdateRequest *ret, RequestError *e) {
        const char *agent = NULL, *selector = NULL;
        bool all = false;
        unsigned n;
        int r;

        r = request_get_text(body, "/agent", 256, &agent, e);
        if (r >= 0)
                r = request_get_text(body, "/selector", SELECTOR_TEXT_MAX, &selector, e);
        if (r >= 0)
                r = request_get_flag(body, "/all", &all, e);
        if (r < 0)
                return r;
        n = (agent ? 1U : 0U) + (selector ? 1U : 0U) + (all ? 1U : 0U);
        if (n != 1)
                return request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, NULL,
                              "Name exactly one target: \"agent\", \"selector\" or \"all\": true; here are "
                              "%u.",
                              n);
        if (selector)
                return target_selector(selector, ret, e);
        if (agent && !pki_agent_id_is_valid(agent))
                return request_refuse_member(e, "/agent", "an agent id");
        ret->kind = agent ? DESIRED_KIND_AGENT : DESIRED_KIND_ALL;
        return copy_text(&ret->target, agent);
}

int update_request_parse(json_t *body, UpdateRequest *ret, RequestError *e) {
        static const char *const known[] = { "agent", "selector",       "all", "version",
                                             "retry", "expected_count", "allow_empty", NULL };
        const char *version = NULL;
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = update_target(body, ret, e);
        if (r >= 0)
                r = request_get_text(body, "/version", VERSION_TEXT_MAX, &version, e);
        if (r >= 0 && (!version || !version_is_valid(version)))
                r = request_refuse_member(e, "/version", "a version such as 1.2.0");
        if (r >= 0)
                r = request_get_flag(body, "/retry", &ret->retry, e);
        if (r >= 0)
                r = request_get_flag(body, "/allow_empty", &ret->allow_empty, e);
        if (r >= 0)
                r = request_get_number(body, "/expected_count", 0, INT64_MAX, &ret->expected_count,
                               &ret->has_expected_count, e);
        return r < 0 ? r : copy_text(&ret->version, version);
}

void update_request_done(UpdateRequest *r) {
        free(r->target);
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
                return request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, "/labels",
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

int agent_request_parse(json_t *body, AgentRequest *ret, RequestError *e) {
        static const char *const known[] = { "labels", NULL };
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0 && !json_object_get(body, "labels"))
                return request_refuse_member(e, "/labels", "there");
        return r < 0 ? r : each_label(body, /* may_be_empty= */ true, take_change, ret, e);
}

void agent_request_done(AgentRequest *r) {
        for (size_t i = 0; i < r->n; i++) {
                free(r->changes[i].key);
                free(r->changes[i].value);
        }
        free(r->changes);
        *r = (AgentRequest){};
}
