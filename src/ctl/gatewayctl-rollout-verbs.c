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

static CliExit run_verb(GatewayCtl *c, const char *id, const char *verb) {
        _cleanup_json_ json_t *body = json_object(), *rollout = NULL;
        _cleanup_free_ char *path = NULL, *sentence = NULL;
        CliExit code;

        c->blame = rollout_blame;
        code = rollout_check_id(id);
        if (code != CLI_OK)
                return code;
        path = strjoinf("/api/v1/rollouts/%s/%s", id, verb);
        if (!path || !body || json_set_string(body, "why", c->rollout.why) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_post(c, path, body, &rollout);
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
