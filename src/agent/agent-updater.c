/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-updater.h"

#include "alloc-util.h"

static char no_text[] = "";
static const UpdaterView no_view = {
        .version = no_text,
        .state = no_text,
        .transaction = no_text,
        .current_version = no_text,
        .previous_version = no_text,
        .pending_version = no_text,
        .floor = no_text,
        .pinned_version = no_text,
};

void agent_updater_attach(AgentUpdater *u, const AgentUpdaterHandlers *handlers, void *userdata) {
        if (!u)
                return;
        u->handlers = handlers;
        u->userdata = userdata;
}

const UpdaterView *agent_updater_view(const AgentUpdater *u) {
        return u ? u->ops->view(u) : &no_view;
}

int agent_updater_ask_view(AgentUpdater *u) {
        return u ? u->ops->ask_view(u) : -EOPNOTSUPP;
}

int agent_updater_ask_result(AgentUpdater *u) {
        return u ? u->ops->ask_result(u) : -EOPNOTSUPP;
}

int agent_updater_install(AgentUpdater *u, const UpdaterInstall *request) {
        return u ? u->ops->install(u, request) : -EOPNOTSUPP;
}

int agent_updater_roll_back(AgentUpdater *u, const char *version, const char *instruction) {
        return u ? u->ops->roll_back(u, version, instruction) : -EOPNOTSUPP;
}

bool agent_updater_is_on_trial(const AgentUpdater *u) {
        return u && u->ops->is_on_trial(u);
}

void agent_updater_tell_view(AgentUpdater *u, int error, const char *message) {
        if (u->handlers)
                u->handlers->on_view(error, message, u->userdata);
}

void agent_updater_tell_result(AgentUpdater *u, int error, const UpdaterResult *result) {
        if (u->handlers)
                u->handlers->on_result(error, result, u->userdata);
}

void agent_updater_tell_install(AgentUpdater *u, int error, UpdateVerdict verdict, const char *text) {
        if (u->handlers)
                u->handlers->on_install(error, verdict, text, u->userdata);
}

/* ---- what it tells ---- */

static int fill(char **texts[], size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!*texts[i] && !(*texts[i] = strdup("")))
                        return -ENOMEM;
        return 0;
}

int updater_view_fill(UpdaterView *v) {
        char **texts[] = {
                &v->version,          &v->state,           &v->transaction, &v->current_version,
                &v->previous_version, &v->pending_version, &v->floor,       &v->pinned_version,
        };
        return fill(texts, ELEMENTSOF(texts));
}

void updater_view_done(UpdaterView *v) {
        free(v->version);
        free(v->state);
        free(v->transaction);
        free(v->current_version);
        free(v->previous_version);
        free(v->pending_version);
        free(v->floor);
        free(v->pinned_version);
        *v = (UpdaterView){ 0 };
}

int updater_result_fill(UpdaterResult *x) {
        char **texts[] = { &x->transaction, &x->instruction, &x->from, &x->to, &x->message };
        return fill(texts, ELEMENTSOF(texts));
}

void updater_result_done(UpdaterResult *x) {
        free(x->transaction);
        free(x->instruction);
        free(x->from);
        free(x->to);
        free(x->message);
        *x = (UpdaterResult){ 0 };
}
