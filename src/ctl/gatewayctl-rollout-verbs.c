/* SPDX-License-Identifier: Apache-2.0 */

/* rollout pause, resume, abort, approve and retry-failed. */

#include "alloc-util.h"
#include "gatewayctl-rollout.h"
#include "string-util.h"

static char *state_sentence(json_t *rollout) {
        _cleanup_free_ char *reason = rollout_reason_text(rollout);

        return reason ? strjoinf("Rollout %" PRIu64 " is %s: %s", rollout_number(rollout, "id"),
                                 json_text(rollout, "state"), reason) :
                        NULL;
}

/* For what depends on what it waits for: which revision that was. What is read is told first, so that who asked sees
 * what was agreed to. */
static CliExit read_match(GatewayCtl *c, const char *id, char **ret) {
        _cleanup_free_ char *path = strjoinf("/api/v1/rollouts/%s", id), *etag = NULL, *sentence = NULL;
        _cleanup_json_ json_t *rollout = NULL;
        CliExit code;

        if (!path)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_call_with(c, "GET", path, NULL, NULL, &rollout, &etag);
        if (code != CLI_OK)
                return code;
        if (!etag)
                return cli_fail(CLI_ERROR, "The gateway's answer has no ETag.");
        sentence = state_sentence(rollout);
        cli_note("%s", strempty(sentence));
        *ret = strjoinf("If-Match: %s", etag);
        return *ret ? CLI_OK : cli_fail(CLI_ERROR, "Out of memory.");
}

static CliExit run_verb(GatewayCtl *c, const char *id, const char *verb) {
        _cleanup_json_ json_t *body = json_object(), *rollout = NULL;
        _cleanup_free_ char *path = NULL, *sentence = NULL, *match = NULL;
        CliExit code;

        c->blame = rollout_blame;
        code = rollout_check_id(id);
        if (code != CLI_OK)
                return code;
        path = strjoinf("/api/v1/rollouts/%s/%s", id, verb);
        if (!path || !body || json_set_string(body, "why", c->rollout.why) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        if (streq(verb, "resume") || streq(verb, "approve"))
                code = read_match(c, id, &match);
        if (code == CLI_OK)
                code = api_post_with(c, path, match, body, &rollout);
        if (code != CLI_OK)
                return code;
        sentence = state_sentence(rollout);
        if (!c->wait)
                return rollout_answer(c, rollout, sentence);
        cli_note("%s", strempty(sentence));
        return rollout_wait(c, id, /* aborted_is_good= */ streq(verb, "abort"));
}

CliExit gatewayctl_rollout_pause(char *const *arguments, void *userdata) {
        return run_verb(userdata, arguments[0], "pause");
}

CliExit gatewayctl_rollout_resume(char *const *arguments, void *userdata) {
        return run_verb(userdata, arguments[0], "resume");
}

CliExit gatewayctl_rollout_abort(char *const *arguments, void *userdata) {
        return run_verb(userdata, arguments[0], "abort");
}

CliExit gatewayctl_rollout_approve(char *const *arguments, void *userdata) {
        return run_verb(userdata, arguments[0], "approve");
}

CliExit gatewayctl_rollout_retry_failed(char *const *arguments, void *userdata) {
        return run_verb(userdata, arguments[0], "retry-failed");
}
