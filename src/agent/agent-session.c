/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-session.h"

#include "alloc-util.h"
#include "log.h"
#include "state-file.h"
#include "string-util.h"

#define SESSION_FILE "session"

struct AgentSession {
        int state_fd;
        char *token;
};

AgentSession *agent_session_free(AgentSession *s) {
        if (s) {
                free(s->token);
                free(s);
        }
        return NULL;
}

int agent_session_new(AgentSession **ret, int state_fd) {
        _cleanup_(agent_session_freep) AgentSession *s = new0(AgentSession, 1);
        _cleanup_(state_file_freep) StateFile *file = NULL;
        if (!s)
                return -ENOMEM;
        s->state_fd = state_fd;
        int r = state_file_load_at(state_fd, SESSION_FILE, &file);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -ENOENT)
                log_debug_errno(r, "Cannot read the last session's token, going on without: %m");
        const char *token = r >= 0 ? state_file_get(file, "token") : NULL;
        s->token = strdup(token && string_is_safe(token, AGENT_SESSION_TOKEN_MAX) ? token : "");
        if (!s->token)
                return -ENOMEM;
        *ret = TAKE_PTR(s);
        return 0;
}

const char *agent_session_token(const AgentSession *s) {
        return s->token;
}

void agent_session_set(AgentSession *s, const char *token) {
        _cleanup_(state_file_freep) StateFile *file = NULL;

        if (!string_is_safe(token, AGENT_SESSION_TOKEN_MAX) || free_and_strdup(&s->token, token) <= 0)
                return;
        int r = state_file_new(&file);
        if (r >= 0)
                r = state_file_set(file, "token", token);
        if (r >= 0)
                r = state_file_save_at(file, s->state_fd, SESSION_FILE, 0600);
        if (r < 0)
                log_warning_errno(r, "Cannot store the session's token, going on: %m");
}
