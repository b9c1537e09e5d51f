/* SPDX-License-Identifier: Apache-2.0 */

/* Prints what docs/openapi.yaml must agree with, as JSON: the tables of routes, every list of words that
 * answers and requests use, and limits that have a name. tests/contract/check-words.mjs compares. */

#include <stdio.h>

#include "agent-query.h"
#include "api.h"
#include "event-ring.h"
#include "gateway-health.h"
#include "group.h"
#include "people-request.h"
#include "pki-cert.h"
#include "registry-import.h"
#include "rollout-work.h"
#include "selector.h"
#include "string-util.h"
#include "tests.h"
#include "version.h"

static void add_text(json_t *list, const char *text) {
        assert_se(text);
        assert_ok(json_array_append_new(list, json_string(text)));
}

static json_t *add_list(json_t *o, const char *key) {
        json_t *list = json_array();

        assert_ok(json_set_take(o, key, list));
        return list;
}

/* ---- routes ---- */

static const char *body_name(HttpBody b) {
        return b == HTTP_BODY_NONE ? "none" : b == HTTP_BODY_JSON ? "json" : "file";
}

static const char *idempotency_name(HttpIdempotency i) {
        return i == HTTP_IDEMPOTENCY_NONE ? "none" : i == HTTP_IDEMPOTENCY_KEPT ? "kept" : "secret";
}

static void add_route(json_t *list, const char *server, const HttpRoute *route) {
        json_t *o = json_object(), *parameters;

        assert_ok(json_array_append_new(list, o));
        assert_ok(json_set_string(o, "server", server));
        assert_ok(json_set_string(o, "method", route->method));
        assert_ok(json_set_string(o, "path", route->path));
        assert_ok(json_set_string(o, "role", api_role_to_string(route->role)));
        assert_ok(json_set_string(o, "scope", api_area_to_string(route->area)));
        assert_ok(json_set_string(o, "body", body_name(route->body)));
        assert_ok(json_set_u64(o, "body_max", route->json_max ?: HTTP_JSON_MAX));
        assert_ok(json_set_string(o, "idempotency", idempotency_name(route->idempotency)));
        parameters = add_list(o, "parameters");
        for (const char *const *p = route->parameters; p && *p; p++)
                add_text(parameters, *p);
}

static json_t *view_routes(void) {
        json_t *list = json_array();

        for (const HttpRoute *route = api_routes; route->method; route++)
                add_route(list, "https", route);
        for (const HttpRoute *route = api_admin_routes; route->method; route++)
                add_route(list, "admin", route);
        return list;
}

/* ---- words ---- */

#define ADD_WORDS(o, key, first, end, to_string)                                                            \
        do {                                                                                                \
                json_t *_list = add_list(o, key);                                                           \
                for (int _i = (first); _i < (int) (end); _i++)                                              \
                        add_text(_list, to_string(_i));                                                     \
        } while (false)

static void add_fleet_words(json_t *o) {
        ADD_WORDS(o, "agent_state", 0, _AGENT_STATE_MAX, agent_state_to_string);
        ADD_WORDS(o, "agent_reason", 0, _DESIRED_REASON_MAX, desired_reason_to_string);
        ADD_WORDS(o, "desired_kind", 0, _DESIRED_KIND_MAX, desired_kind_to_string);
        ADD_WORDS(o, "update_phase", 0, _UPDATE_PHASE_MAX, update_phase_to_string);
        ADD_WORDS(o, "update_verdict", UPDATE_VERDICT_NONE + 1, _UPDATE_VERDICT_MAX,
                  update_verdict_to_string);
        ADD_WORDS(o, "rollout_kind", 0, _ROLLOUT_KIND_MAX, rollout_kind_to_string);
        ADD_WORDS(o, "rollout_state", 0, _ROLLOUT_STATE_MAX, rollout_state_to_string);
        ADD_WORDS(o, "rollout_reason", 0, _ROLLOUT_REASON_MAX, rollout_reason_to_string);
        ADD_WORDS(o, "rollout_verb", 0, _ROLLOUT_VERB_MAX, rollout_verb_to_string);
        ADD_WORDS(o, "member_state", 0, _MEMBER_STATE_MAX, member_state_to_string);
        /* a verdict is shown in its place */
        ADD_WORDS(o, "member_reason", MEMBER_REASON_NONE + 1, MEMBER_REASON_VERDICT,
                  member_reason_to_string);
}

static void add_own_words(json_t *o) {
        json_t *list;

        ADD_WORDS(o, "role", API_ROLE_PUBLIC + 1, _API_ROLE_MAX, api_role_to_string);
        ADD_WORDS(o, "scope", API_AREA_NONE + 1, _API_AREA_MAX, api_area_to_string);
        ADD_WORDS(o, "problem", 0, _HTTP_PROBLEM_MAX, http_problem_type);
        ADD_WORDS(o, "health_check", 0, _HEALTH_CHECK_MAX, health_check_to_string);
        ADD_WORDS(o, "health_status", 0, _HEALTH_CHECK_MAX, health_check_status);
        add_text(json_object_get(o, "health_status"), "ok");
        list = add_list(o, "agent_sort");
        for (AgentSort s = 0; s < _AGENT_SORT_MAX; s++) {
                _cleanup_free_ char *down = strjoinf("-%s", agent_sort_to_string(s));

                add_text(list, agent_sort_to_string(s));
                add_text(list, down);
        }
        list = add_list(o, "event_topic");
        for (const char *const *topic = event_topics; *topic; topic++)
                add_text(list, *topic);
        list = add_list(o, "fact");
        for (const char *const *fact = selector_facts; *fact; fact++)
                add_text(list, *fact);
}

/* Those that only the writers of answers know: a window of all days, a strategy of either kind, somebody who
 * may all. */
static void add_written_words(json_t *o) {
        RolloutWindow window = { .days = 0x7f,
                                 .length = ROLLOUT_WINDOW_LENGTH_MIN,
                                 .zone_name = (char *) "UTC" };
        RolloutSpec spec = { .windows = &window, .n_windows = 1 };
        const ApiCaller everybody = { .kind = CALLER_TOKEN,
                                      .id = (char *) "0123456789abcdef",
                                      .role = API_ROLE_ADMIN,
                                      .scopes = API_SCOPES_ALL };
        json_t *list = add_list(o, "offline");

        for (spec.offline = ROLLOUT_OFFLINE_WAIT; spec.offline <= ROLLOUT_OFFLINE_SKIP; spec.offline++) {
                _cleanup_json_ json_t *strategy = rollout_spec_format(&spec);

                add_text(list, json_text(strategy, "offline"));
                assert_ok(json_object_set(
                                o, "weekday",
                                json_object_get(json_array_get(json_object_get(strategy, "windows"), 0),
                                                "days")));
        }
        _cleanup_json_ json_t *me = api_view_me(&everybody);
        assert_ok(json_object_set(o, "capability", json_object_get(me, "capabilities")));
}

static json_t *view_words(void) {
        json_t *o = json_object();

        add_fleet_words(o);
        add_own_words(o);
        add_written_words(o);
        return o;
}

static json_t *view_problems(void) {
        json_t *o = json_object();

        for (HttpProblem p = 0; p < _HTTP_PROBLEM_MAX; p++)
                assert_ok(json_set_u64(o, http_problem_type(p), http_problem_status(p)));
        return o;
}

/* ---- limits ---- */

static json_t *view_limits(void) {
        static const struct {
                const char *name;
                uint64_t value;
        } limits[] = {
                { "AGENT_QUERY_IDS_MAX", AGENT_QUERY_IDS_MAX },
                { "AGENT_QUERY_TERMS_MAX", AGENT_QUERY_TERMS_MAX },
                { "API_TOKEN_LIFE_DEFAULT", API_TOKEN_LIFE_DEFAULT / USEC_PER_SEC },
                { "API_TOKEN_LIFE_MAX", API_TOKEN_LIFE_MAX / USEC_PER_SEC },
                { "DISPLAY_NAME_MAX", DISPLAY_NAME_MAX },
                { "IDEMPOTENCY_KEY_MAX", IDEMPOTENCY_KEY_MAX },
                { "LABELS_MAX", LABELS_MAX },
                { "LABEL_KEY_MAX", LABEL_PREFIX_MAX + 1 + LABEL_NAME_MAX },
                { "PASSWORD_MAX", PASSWORD_MAX },
                { "ROLLOUT_ATTEMPTS_MAX", ROLLOUT_ATTEMPTS_MAX },
                { "ROLLOUT_BATCH_MAX", ROLLOUT_BATCH_MAX },
                { "ROLLOUT_CANARY_IDS_MAX", ROLLOUT_CANARY_IDS_MAX },
                { "ROLLOUT_OFFLINE_WAIT_MAX", ROLLOUT_OFFLINE_WAIT_MAX / USEC_PER_SEC },
                { "ROLLOUT_PERIOD_MAX", ROLLOUT_PERIOD_MAX / USEC_PER_SEC },
                { "ROLLOUT_RAMP_MAX", ROLLOUT_RAMP_MAX },
                { "ROLLOUT_WINDOWS_MAX", ROLLOUT_WINDOWS_MAX },
                { "ROLLOUT_WINDOW_LENGTH_MAX", ROLLOUT_WINDOW_LENGTH_MAX / USEC_PER_SEC },
                { "ROLLOUT_WINDOW_LENGTH_MIN", ROLLOUT_WINDOW_LENGTH_MIN / USEC_PER_SEC },
                { "SELECTOR_TEXT_MAX", SELECTOR_TEXT_MAX },
                { "TIMEZONE_NAME_MAX", TIMEZONE_NAME_MAX },
                { "UPDATE_FILTER_MAX", _UPDATE_PHASE_MAX + 1 },
                { "VERSION_MAX", VERSION_TEXT_MAX - 1 },
        };
        json_t *o = json_object();

        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                assert_ok(json_set_u64(o, limits[i].name, limits[i].value));
        return o;
}

int main(void) {
        _cleanup_json_ json_t *o = json_object();
        _cleanup_free_ char *text = NULL;

        assert_ok(json_set_take(o, "routes", view_routes()));
        assert_ok(json_set_take(o, "words", view_words()));
        assert_ok(json_set_take(o, "problems", view_problems()));
        assert_ok(json_set_take(o, "limits", view_limits()));
        text = json_format(o, /* pretty= */ true);
        assert_se(text && puts(text) >= 0);
        return 0;
}
