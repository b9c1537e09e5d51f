/* SPDX-License-Identifier: Apache-2.0 */
#include "presence.h"

#include <stdio.h>

#include "alloc-util.h"
#include "gateway.h"
#include "log.h"
#include "messages.h"
#include "peer-service.h"
#include "string-util.h"
#include "version.h"
#include "view.h"

#define FACT_MAX 256U

bool presence_tell_clone(const char *stored_token, const char *token, uint64_t *misses) {
        if (isempty(stored_token) || streq_ptr(stored_token, token)) {
                *misses = 0;
                return false;
        }
        ++*misses;
        return *misses >= PRESENCE_MISSES_MAX;
}

/* An event with the agent as it is now, and what changed. */
static int emit_agent(StoreJob *j, Store *s, const AgentRecord *a, const char *change, usec_t t) {
        json_t *o = view_agent(a);

        if (o && json_set_string(o, "change", change) < 0) {
                json_decref(o);
                o = NULL;
        }
        return store_job_emit(j, s, "agent", a->id, view_event_text(o), /* progress= */ false, t);
}

/* ---- Hello ---- */

typedef struct ArriveJob {
        StoreJob job;
        StreamSession *session;
        AgentRecord hello;                   /* what was said, nothing else */
        char *token_shown;
        char token[33];                      /* given by this Hello */
        char key_hash[2 * SHA256_SIZE + 1];
        char address[96];
        FleetRules rules;
        FleetOrder order;
} ArriveJob;

static void arrive_free(ArriveJob *j) {
        stream_session_unref(j->session);
        agent_record_done(&j->hello);
        fleet_order_done(&j->order);
        free(j->token_shown);
        free(j);
}

/* Text of a machine, for lists and terminals: what is unfit is left out. */
static int copy_text(char **to, const char *from) {
        int r = free_and_strdup(to, isempty(from) || !string_is_safe(from, FACT_MAX) ? NULL : from);

        return r < 0 ? r : 0;
}

static int copy_version(char **to, const char *from) {
        return copy_text(to, version_is_valid(from) ? from : NULL);
}

static int copy_facts(AgentFacts *to, const Fleet__V1__Facts *from) {
        int r;

        if (!from)
                return 0;
        to->packaging = from->packaging;
        r = copy_text(&to->hostname, from->hostname);
        if (r >= 0)
                r = copy_text(&to->os_id, from->os_id);
        if (r >= 0)
                r = copy_text(&to->os_version_id, from->os_version_id);
        if (r >= 0)
                r = copy_text(&to->os_pretty_name, from->os_pretty_name);
        if (r >= 0)
                r = copy_text(&to->kernel, from->kernel);
        if (r >= 0)
                r = copy_text(&to->architecture, from->architecture);
        if (r >= 0)
                r = copy_text(&to->boot_id, from->boot_id);
        return r;
}

static int copy_hello(ArriveJob *j, const Fleet__V1__Hello *h) {
        AgentRecord *a = &j->hello;
        int r;

        a->pinned = h->pinned;
        a->metadata_expires = MIN(h->metadata_expires_usec, (usec_t) INT64_MAX);
        r = copy_text(&a->id, h->agent_id);
        if (r >= 0)
                r = copy_version(&a->version, h->version);
        if (r >= 0)
                r = copy_version(&a->previous_version, h->previous_version);
        if (r >= 0)
                r = copy_version(&a->pinned_version, h->pinned_version);
        if (r >= 0)
                r = copy_text(&a->transaction_id, h->transaction_id);
        if (r >= 0)
                r = copy_text(&a->config_revision, h->config_revision);
        if (r >= 0)
                r = copy_text(&j->token_shown, h->session_token);
        if (r >= 0)
                r = copy_facts(&a->facts, h->facts);
        return r;
}

static void swap_text(char **a, char **b) {
        char *t = *a;

        *a = *b;
        *b = t;
}

/* What was said replaces what was known; what the gateway itself keeps stays. */
static void merge_hello(AgentRecord *known, AgentRecord *said) {
        AgentFacts facts = known->facts;

        swap_text(&known->version, &said->version);
        swap_text(&known->previous_version, &said->previous_version);
        swap_text(&known->pinned_version, &said->pinned_version);
        swap_text(&known->transaction_id, &said->transaction_id);
        swap_text(&known->config_revision, &said->config_revision);
        known->facts = said->facts;
        said->facts = facts;
        known->pinned = said->pinned;
        known->metadata_expires = said->metadata_expires;
}

static int note_clone(ArriveJob *j, Store *s, AgentRecord *a, usec_t t) {
        bool before = a->clone_suspected;
        int r;

        a->clone_suspected = presence_tell_clone(a->session_token, j->token_shown, &a->token_misses);
        if (!a->clone_suspected || before)
                return 0;
        r = store_job_log(
                        &j->job, LOG_WARNING, FLEET_MESSAGE_CLONE_SUSPECTED_STR,
                        "MESSAGE=Two machines connect in turn as agent %s, now from %s; was one of them "
                        "cloned?",
                        a->id, j->address, "FLEET_AGENT_ID=%s", a->id, "FLEET_ADDRESS=%s", j->address, NULL);
        if (r < 0)
                return r;
        return emit_agent(&j->job, s, a, "clone-suspected", t);
}

static int arrive_work(StoreJob *job, Store *s) {
        ArriveJob *j = container_of(job, ArriveJob, job);
        _cleanup_(agent_record_done) AgentRecord a = {};
        _cleanup_(fleet_done) Fleet fleet = {};
        usec_t t = now(CLOCK_REALTIME);
        int r;

        r = s->ops->agent_get(s, j->hello.id, &a);
        if (r < 0)
                return r;
        r = agent_record_show_key(&a, j->key_hash);
        if (r < 0)
                return r;
        merge_hello(&a, &j->hello);
        a.state = AGENT_STATE_ONLINE;
        a.last_seen = a.connected = t;
        r = note_clone(j, s, &a, t);
        if (r >= 0)
                r = free_and_strdup(&a.session_token, j->token);
        if (r >= 0)
                r = free_and_strdup(&a.address, isempty(j->address) ? NULL : j->address);
        if (r >= 0)
                r = s->ops->agent_put(s, &a);
        if (r >= 0)
                r = emit_agent(job, s, &a, "online", t);
        if (r >= 0)
                r = fleet_load(s, &fleet);
        if (r >= 0)
                r = fleet_reconcile(&fleet, job, s, &a, &j->rules, t, &j->order);
        return r;
}

/* Who has a certificate, and is not welcome with it. */
static void log_refused(const ArriveJob *j, int error) {
        const char *agent = j->session->agent;

        if (!log_limit_pass(&j->session->gateway->refused_log, "agents that were refused"))
                return;
        if (error == -EKEYREJECTED)
                log_event(LOG_WARNING, FLEET_MESSAGE_AGENT_REFUSED_STR,
                          "MESSAGE=%s showed a certificate of agent %s that was replaced by a newer "
                          "one, refused: a copy of an old identity, or a machine that was set back?",
                          j->address, agent, "FLEET_AGENT_ID=%s", agent, "FLEET_ADDRESS=%s", j->address,
                          "FLEET_REASON=key-replaced", NULL);
        else
                log_event(LOG_WARNING, FLEET_MESSAGE_AGENT_REFUSED_STR,
                          "MESSAGE=Agent %s is not enrolled here (any more), refused.", agent,
                          "FLEET_AGENT_ID=%s", agent, "FLEET_ADDRESS=%s", j->address,
                          "FLEET_REASON=not-enrolled", NULL);
}

static void arrive_done(StoreJob *job, int r) {
        ArriveJob *j = container_of(job, ArriveJob, job);
        StreamSession *s = j->session;

        if (s->state != STREAM_HELLO_PENDING) {
                if (r >= 0)                  /* it went while that was stored */
                        presence_leave(s);
        } else {
                /* only now: who is not welcome must not end the stream of who is */
                int k = r >= 0 ? stream_registry_enter(s->gateway->streams, s) : r;

                if (k >= 0) {
                        stream_session_welcome(s);
                        stream_session_order(s, &j->order);
                        rollout_engine_kick(s->gateway->rollouts, 0);
                } else if (r >= 0) {
                        presence_leave(s);
                        if (k == -EUSERS)
                                stream_session_close(s, RPC_STATUS_RESOURCE_EXHAUSTED, PEER_TOO_MANY_AGENTS);
                        else
                                stream_session_close(s, RPC_STATUS_UNAVAILABLE, "the gateway is busy, try again");
                } else if (r == -EKEYREJECTED) {
                        log_refused(j, r);
                        stream_session_close(s, RPC_STATUS_PERMISSION_DENIED, PEER_KEY_REPLACED);
                } else if (r == -ENOENT) {
                        log_refused(j, r);
                        stream_session_close(
                                        s, RPC_STATUS_PERMISSION_DENIED,
                                        "this agent is not enrolled here; enrol it again");
                } else {
                        (void) log_error_errno(r, "Agent %s: failed to store its Hello: %m", s->agent);
                        stream_session_close(
                                        s, RPC_STATUS_UNAVAILABLE,
                                        "the gateway cannot store anything now, try again");
                }
        }
        arrive_free(j);
}

int presence_arrive(StreamSession *s, const Fleet__V1__Hello *hello) {
        ArriveJob *j;
        int r;

        j = new0(ArriveJob, 1);
        if (!j)
                return -ENOMEM;
        j->job = (StoreJob){ .work = arrive_work, .done = arrive_done, .kind = "hello" };
        j->session = stream_session_ref(s);
        gateway_rules(s->gateway, &j->rules);
        memcpy(j->token, s->token, sizeof(j->token));
        memcpy(j->key_hash, s->key_hash, sizeof(j->key_hash));
        (void) snprintf(j->address, sizeof(j->address), "%s", strempty(rpc_session_peer(s->rpc)->address));
        r = copy_hello(j, hello);
        if (r >= 0)
                r = store_worker_submit(s->gateway->worker, &j->job);
        if (r < 0)
                arrive_free(j);
        return r;
}

/* ---- leaving and being seen ---- */

struct PresenceLeave {
        StoreJob job;
        Gateway *gateway;
        LIST_FIELDS(PresenceLeave, leaves);
        char *agent;
        char token[33];
        usec_t last_seen;
};

static int leave_work(StoreJob *job, Store *s) {
        PresenceLeave *j = container_of(job, PresenceLeave, job);
        _cleanup_(agent_record_done) AgentRecord a = {};
        int r;

        r = s->ops->agent_get(s, j->agent, &a);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (!streq_ptr(a.session_token, j->token) || a.state != AGENT_STATE_ONLINE)
                return 0;
        a.state = AGENT_STATE_OFFLINE;
        a.last_seen = MAX(a.last_seen, j->last_seen);
        r = s->ops->agent_put(s, &a);
        if (r >= 0)
                r = emit_agent(job, s, &a, "offline", now(CLOCK_REALTIME));
        return r;
}

static PresenceLeave *leave_free(PresenceLeave *j) {
        free(j->agent);
        free(j);
        return NULL;
}

/* It must not be shown as online for ever: the registry's tick comes back to it. */
static void leave_later(PresenceLeave *j) {
        LIST_PREPEND(leaves, j->gateway->leaves, j);
}

static void leave_done(StoreJob *job, int r) {
        PresenceLeave *j = container_of(job, PresenceLeave, job);

        if (r >= 0) {
                rollout_engine_kick(j->gateway->rollouts, 0);
                leave_free(j);
                return;
        }
        (void) log_error_errno(r, "Agent %s: failed to store that it left, trying again: %m", j->agent);
        leave_later(j);
}

void presence_leave(StreamSession *s) {
        PresenceLeave *j;

        j = new0(PresenceLeave, 1);
        if (!j) {
                (void) log_oom();
                return;
        }
        j->job = (StoreJob){ .work = leave_work, .done = leave_done, .kind = "leave" };
        j->gateway = s->gateway;
        j->agent = strdup(s->agent);
        j->last_seen = s->last_seen;
        memcpy(j->token, s->token, sizeof(j->token));
        if (!j->agent) {
                (void) log_oom();
                leave_free(j);
        } else if (store_worker_submit(s->gateway->worker, &j->job) < 0)
                leave_later(j);
}

void presence_retry(Gateway *g) {
        while (g->leaves) {
                PresenceLeave *j = g->leaves;

                LIST_REMOVE(leaves, g->leaves, j);
                j->job = (StoreJob){ .work = leave_work, .done = leave_done, .kind = "leave" };
                if (store_worker_submit(g->worker, &j->job) < 0) {
                        leave_later(j);
                        return;
                }
        }
}

void presence_drop(Gateway *g) {
        while (g->leaves) {
                PresenceLeave *j = g->leaves;

                LIST_REMOVE(leaves, g->leaves, j);
                leave_free(j);
        }
}

typedef struct SeenJob {
        StoreJob job;
        PresenceSeen *seen;
        size_t n;
} SeenJob;

static int seen_work(StoreJob *job, Store *s) {
        SeenJob *j = container_of(job, SeenJob, job);
        int r;

        r = s->ops->events_prune(s, EVENTS_KEPT);

        for (size_t i = 0; i < j->n && (r >= 0 || r == -ENOENT); i++)
                r = s->ops->agent_seen(
                                s, j->seen[i].agent, j->seen[i].when, j->seen[i].metadata_expires);
        return r == -ENOENT ? 0 : r;
}

static void seen_done(StoreJob *job, int r) {
        SeenJob *j = container_of(job, SeenJob, job);

        if (r < 0)
                (void) log_warning_errno(r, "Failed to store when agents were last seen, ignoring: %m");
        for (size_t i = 0; i < j->n; i++)
                free(j->seen[i].agent);
        free(j->seen);
        free(j);
}

void presence_seen(Gateway *g, PresenceSeen *seen, size_t n) {
        SeenJob *j = new0(SeenJob, 1);

        if (!j) {
                for (size_t i = 0; i < n; i++)
                        free(seen[i].agent);
                free(seen);
                return;
        }
        *j = (SeenJob){ .job = { .work = seen_work, .done = seen_done, .kind = "seen" },
                        .seen = seen,
                        .n = n };
        if (store_worker_submit(g->worker, &j->job) < 0)
                seen_done(&j->job, 0);
}
