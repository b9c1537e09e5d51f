/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-start.h"

#include "alloc-util.h"
#include "audit.h"
#include "crypto.h"
#include "fs-util.h"
#include "gateway.h"
#include "log.h"
#include "login-wait.h"
#include "messages.h"
#include "setup-code.h"
#include "string-util.h"
#include "view.h"

#define ADMIN_TOKEN_FILE "admin.token"

typedef struct PrepareJob {
        StoreJob job;
        Gateway *gateway;
        gateway_prepared_t on_prepared;
        ApiToken *tokens;
        size_t n_tokens, n_tokens_allocated;
        UserRecord *users;
        size_t n_users, n_users_allocated;
        SessionRecord *sessions;
        size_t n_sessions, n_sessions_allocated;
        char setup_code[SETUP_CODE_MAX];     /* "": there are users */
        EventRecord **events;
        size_t n_loaded, n_loaded_allocated;
        uint64_t last_event;
        RegistryMetadata metadata;
        uint64_t lost_seq; /* of the audit log, with its hash; 0: nothing is */
        char *lost_hash;
} PrepareJob;

static int collect_token(ApiToken *t, void *userdata) {
        PrepareJob *j = userdata;
        int r;

        r = ARRAY_GROW(j->tokens, j->n_tokens_allocated, j->n_tokens + 1);
        if (r < 0)
                return r;
        j->tokens[j->n_tokens++] = TAKE_GENERIC(*t, ApiToken, (ApiToken){});
        return 0;
}

static int collect_user(UserRecord *u, void *userdata) {
        PrepareJob *j = userdata;
        int r;

        r = ARRAY_GROW(j->users, j->n_users_allocated, j->n_users + 1);
        if (r < 0)
                return r;
        j->users[j->n_users++] = TAKE_GENERIC(*u, UserRecord, (UserRecord){});
        return 0;
}

static int collect_session(SessionRecord *e, void *userdata) {
        PrepareJob *j = userdata;
        int r;

        r = ARRAY_GROW(j->sessions, j->n_sessions_allocated, j->n_sessions + 1);
        if (r < 0)
                return r;
        j->sessions[j->n_sessions++] = TAKE_GENERIC(*e, SessionRecord, (SessionRecord){});
        return 0;
}

static int collect_event(EventRecord *e, void *userdata) {
        PrepareJob *j = userdata;
        EventRecord *copy;
        int r;

        r = ARRAY_GROW(j->events, j->n_loaded_allocated, j->n_loaded + 1);
        if (r < 0)
                return r;
        copy = new0(EventRecord, 1);
        if (!copy)
                return -ENOMEM;
        *copy = TAKE_GENERIC(*e, EventRecord, (EventRecord){});
        j->events[j->n_loaded++] = copy;
        return 0;
}

static int audit_admin_token(PrepareJob *j, Store *s, const ApiToken *t) {
        _cleanup_free_ char *target = strjoinf("api-token:%s", t->id);
        json_t *detail = view_api_token(t);

        if (!target || !detail) {
                json_decref(detail);
                return -ENOMEM;
        }
        return audit_append(&j->job, s, &audit_actor_gateway, "api-token.create", target, 1, detail);
}

/* The file before the commit: after a crash in between there is still no token in the store, and both are
 * made anew. */
static int make_admin_token(PrepareJob *j, Store *s) {
        _cleanup_(api_token_done) ApiToken t = { .role = API_ROLE_ADMIN,
                                                   .scopes = API_SCOPES_ALL,
                                                   .created = now(CLOCK_REALTIME) };
        _cleanup_free_ char *line = NULL;
        char *token = NULL;
        int r;

        r = token_generate("fga1", &t.id, &token, &t.hash);
        if (r < 0)
                return r;
        line = strjoinf("%s\n", token);
        secret_free(token, strlen(token));
        t.description = strdup("local operator");
        if (!line || !t.description)
                return -ENOMEM;
        r = file_write_atomic_at(j->gateway->state_fd, ADMIN_TOKEN_FILE, line, strlen(line), 0600);
        memory_wipe(line, strlen(line));
        if (r >= 0)
                r = s->ops->api_token_put(s, &t);
        if (r >= 0)
                r = audit_admin_token(j, s, &t);
        if (r >= 0)
                r = collect_token(&t, j);
        if (r >= 0)
                r = store_job_log(
                                &j->job, LOG_NOTICE, NULL,
                                "MESSAGE=Wrote the first API token, with the role admin, to "
                                "%s/" ADMIN_TOKEN_FILE ".",
                                j->gateway->conf.state_directory, NULL);
        return r;
}

static int load_events(PrepareJob *j, Store *s) {
        int r;

        r = s->ops->events_prune(s, EVENTS_KEPT);
        if (r >= 0)
                r = s->ops->events_last(s, &j->last_event);
        if (r < 0)
                return r;
        return s->ops->events_each(
                        s, j->last_event > EVENT_RING_MAX ? j->last_event - EVENT_RING_MAX : 0,
                        EVENT_RING_MAX, collect_event, j);
}

/* Users and who of them is signed in; while there are none, the code for the first. */
static int load_people(PrepareJob *j, Store *s) {
        Gateway *g = j->gateway;
        usec_t t = now(CLOCK_REALTIME);
        int r;

        r = s->ops->users_each(s, collect_user, j);
        if (r >= 0)
                r = s->ops->sessions_prune(s, t, usec_sub(t, g->conf.session_idle));
        if (r >= 0)
                r = s->ops->sessions_each(s, collect_session, j);
        if (r < 0 || j->n_users > 0)
                return r;
        return setup_code_make(&j->job, s, g->state_fd, t, j->setup_code);
}

/* What is missing at the end is entered, so that it can be seen for good: the next entry is noted in place
 * of the lost one. */
static int check_audit(PrepareJob *j, Store *s) {
        json_t *detail;
        int r;

        r = s->ops->audit_lost(s, &j->lost_seq, &j->lost_hash);
        if (r < 0) /* which was logged; it is no reason to keep a fleet waiting */
                return IN_SET(r, -EBADMSG, -EACCES, -ENOTSUP, -ELOOP, -EFBIG) ? 0 : r;
        if (r == 0)
                return 0;
        detail = json_object();
        r = detail ? json_set_u64(detail, "seq", j->lost_seq) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(detail, "hash", j->lost_hash);
        if (r < 0) {
                json_decref(detail);
                return r;
        }
        return audit_append(&j->job, s, &audit_actor_gateway, "audit.lost", "", 1, detail);
}

static void tell_lost(const PrepareJob *j) {
        if (j->lost_hash)
                log_event(LOG_CRIT, FLEET_MESSAGE_AUDIT_LOST_STR,
                          "MESSAGE=The audit log was cut off or written anew, or an older database was put "
                          "in place: it held entry %" PRIu64 " with the hash %s, and does not now.",
                          j->lost_seq, j->lost_hash, "FLEET_AUDIT_SEQ=%" PRIu64, j->lost_seq,
                          "FLEET_AUDIT_HASH=%s", j->lost_hash, NULL);
}

static int prepare_work(StoreJob *job, Store *s) {
        PrepareJob *j = container_of(job, PrepareJob, job);
        int r;

        r = check_audit(j, s);
        if (r >= 0)
                r = s->ops->agents_all_offline(s);
        if (r >= 0)
                r = s->ops->api_tokens_each(s, collect_token, j);
        if (r >= 0 && j->n_tokens == 0)
                r = make_admin_token(j, s);
        if (r >= 0)
                r = load_people(j, s);
        if (r >= 0)
                r = load_events(j, s);
        if (r >= 0)
                r = registry_recover(j->gateway->registry, job, s, &j->metadata);
        return r;
}

static int prepare_take(PrepareJob *j) {
        Gateway *g = j->gateway;
        int r = 0;

        g->metadata = j->metadata;
        for (size_t i = 0; r >= 0 && i < j->n_tokens; i++)
                r = auth_add(g->auth, &j->tokens[i]);
        for (size_t i = 0; r >= 0 && i < j->n_users; i++)
                r = auth_put_user(g->auth, &j->users[i]);
        for (size_t i = 0; r >= 0 && i < j->n_sessions; i++) {
                login_was_right(g, strempty(j->sessions[i].address), j->sessions[i].user);
                r = auth_put_session(g->auth, &j->sessions[i]);
        }
        for (size_t i = 0; r >= 0 && i < j->n_loaded; i++)
                r = event_ring_load(g->events, TAKE_PTR(j->events[i]));
        if (r >= 0)
                event_ring_set_last(g->events, j->last_event);
        if (r >= 0 && isempty(j->setup_code))
                setup_code_unlink(g->state_fd);
        else if (r >= 0)
                setup_code_tell(j->setup_code, g->conf.state_directory);
        return r;
}

static void prepare_free(PrepareJob *j) {
        for (size_t i = 0; i < j->n_tokens; i++)
                api_token_done(&j->tokens[i]);
        for (size_t i = 0; i < j->n_users; i++)
                user_record_done(&j->users[i]);
        for (size_t i = 0; i < j->n_sessions; i++)
                session_record_done(&j->sessions[i]);
        for (size_t i = 0; i < j->n_loaded; i++)
                event_record_free(j->events[i]);
        free(j->tokens);
        free(j->users);
        free(j->sessions);
        free(j->events);
        free(j->lost_hash);
        secret_free(j, sizeof(*j));
}

static void prepare_done(StoreJob *job, int r) {
        PrepareJob *j = container_of(job, PrepareJob, job);

        tell_lost(j);
        if (r >= 0)
                r = prepare_take(j);
        if (r < 0)
                (void) log_error_errno(r, "Failed to prepare the store: %m");
        j->on_prepared(j->gateway, r < 0 ? r : 0);
        prepare_free(j);
}

int gateway_prepare(Gateway *g, gateway_prepared_t on_prepared) {
        PrepareJob *j = new0(PrepareJob, 1);
        int r;

        if (!j)
                return -ENOMEM;
        *j = (PrepareJob){ .job = { .work = prepare_work, .done = prepare_done, .kind = "start" },
                           .gateway = g,
                           .on_prepared = on_prepared };
        r = store_worker_submit(g->worker, &j->job);
        if (r < 0)
                free(j);
        return r;
}
