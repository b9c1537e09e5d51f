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

/* A body of the HTTPS interface, as each of the routes reads it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(update_request_done) UpdateRequest update = {};
        _cleanup_(join_token_request_done) JoinTokenRequest join = {};
        _cleanup_(api_token_request_done) ApiTokenRequest token = {};
        _cleanup_(agent_request_done) AgentRequest agent = {};
        _cleanup_(user_request_done) UserRequest user = {}, change = {};
        _cleanup_(password_request_done) PasswordRequest password = {}, own = {}, login = {}, setup = {};
        _cleanup_json_ json_t *body = NULL;
        RequestError e = {};
        int r;

        if (json_parse(data, size, HTTP_JSON_MAX, &body, NULL) < 0 || !json_is_object(body))
                return 0;
        r = update_request_parse(body, &update, &e);
        if (r == 0) {
                assert_se(version_is_valid(update.version));
                assert_se(update.kind != DESIRED_KIND_AGENT || pki_agent_id_is_valid(update.target));
                assert_se(update.kind != DESIRED_KIND_SELECTOR || !isempty(update.target));
        }
        judge(r, &e);
        judge(join_token_request_parse(body, &join, &e), &e);
        judge(api_token_request_parse(body, &token, &e), &e);
        judge(agent_request_parse(body, &agent, &e), &e);
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
