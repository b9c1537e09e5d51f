/* SPDX-License-Identifier: Apache-2.0 */
#include "api-request.h"

#include "people-request.h"
#include "pki-cert.h"
#include "selector.h"
#include "string-util.h"
#include "tests.h"
#include "version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(int r, RequestError *e) {
        assert_se(r == 0 || r == -EINVAL);
        assert_se((r == 0) == !e->detail);
        request_error_done(e);
}

/* It can be written, and read back to the same. */
static void judge_target(const Target *t) {
        _cleanup_free_ char *one = NULL, *two = NULL, *words = target_describe(t);
        _cleanup_(target_done) Target back = {};
        _cleanup_json_ json_t *v = target_view(t);
        RequestError e = {};

        for (size_t i = 0; i < t->ids.n; i++)
                assert_se(pki_agent_id_is_valid(t->ids.items[i]) &&
                          (i == 0 || strcmp(t->ids.items[i - 1], t->ids.items[i]) < 0));
        assert_se((t->kind == TARGET_IDS) == (t->ids.n > 0));
        assert_se((t->kind == TARGET_SELECTOR) == !!t->selector && (t->kind == TARGET_GROUP) == !!t->group);
        assert_se(v && words && target_parse(v, &back, &e) == 0);
        assert_se(target_format(t, &one) == 0 && target_format(&back, &two) == 0 && streq(one, two));
}

/* A body of the HTTPS interface, as each of the routes reads it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(update_request_done) UpdateRequest update = {};
        _cleanup_(join_token_request_done) JoinTokenRequest join = {};
        _cleanup_(api_token_request_done) ApiTokenRequest token = {};
        _cleanup_(agent_request_done) AgentRequest agent = {};
        _cleanup_(relabel_request_done) RelabelRequest relabel = {};
        _cleanup_(group_request_done) GroupRequest group = {};
        _cleanup_(user_request_done) UserRequest user = {}, change = {};
        _cleanup_(password_request_done) PasswordRequest password = {}, own = {}, login = {}, setup = {};
        _cleanup_json_ json_t *body = NULL;
        RequestError e = {};
        int r;

        if (json_parse(data, size, TARGET_BODY_MAX, &body, NULL) < 0 || !json_is_object(body))
                return 0;
        r = update_request_parse(body, &update, &e);
        if (r == 0) {
                assert_se(version_is_valid(update.version));
                assert_se(update.target.kind != TARGET_IDS || update.target.ids.n == 1);
                judge_target(&update.target);
        }
        judge(r, &e);
        judge(join_token_request_parse(body, &join, &e), &e);
        judge(api_token_request_parse(body, &token, &e), &e);
        judge(agent_request_parse(body, &agent, &e), &e);
        r = relabel_request_parse(body, &relabel, &e);
        if (r == 0) {
                assert_se(relabel.labels.n > 0);
                judge_target(&relabel.target);
        }
        judge(r, &e);
        r = group_request_parse(body, /* with_name= */ true, &group, &e);
        assert_se(r < 0 || (!isempty(group.selector) && label_value_is_valid(group.name)));
        judge(r, &e);
        judge(user_change_parse(body, &change, &e), &e);
        judge(login_request_parse(body, &login, &e), &e);
        /* these wipe the password in the body that they have read */
        r = user_request_parse(body, &user, &e);
        if (r == 0)
                assert_se(user_name_is_valid(user.name) && strlen(user.password) >= PASSWORD_MIN);
        judge(r, &e);
        judge(password_request_parse(body, "alice", &password, &e), &e);
        judge(own_password_request_parse(body, "alice", &own, &e), &e);
        judge(setup_request_parse(body, &setup, &e), &e);
        return 0;
}
