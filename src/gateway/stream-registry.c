/* SPDX-License-Identifier: Apache-2.0 */
#include "stream-registry.h"

#include "alloc-util.h"
#include "event-util.h"
#include "gateway.h"
#include "instruction.h"
#include "log.h"
#include "presence.h"
#include "stream-session.h"
#include "string-util.h"

#define TICK (1 * USEC_PER_SEC)
#define HELLO_TIMEOUT (15 * USEC_PER_SEC)
#define HEARTBEATS_MISSED 3U
#define SEEN_INTERVAL USEC_PER_MINUTE
#define EXPIRE_INTERVAL (5 * USEC_PER_SEC)
#define RECONCILE_BATCH 128U
#define CALL_BURST 20U
#define CALL_INTERVAL (6 * USEC_PER_SEC)

struct StreamRegistry {
        Gateway *gateway;
        Hashmap *sessions; /* agent id → StreamSession, borrowed from the rpc session's reference */
        Hashmap *calls;                      /* kind, agent id and key → CallCount, of the last minutes */
        LIST_HEAD(StreamSession, waiting);
        sd_event_source *tick_source, *reconcile_source;
        usec_t seen_at, expire_at;           /* CLOCK_BOOTTIME: when that is done next */
        bool expire_pending, reconcile_running;
};

/* As many intervals as there were calls lie between now and this; each costs writes that last. */
typedef struct CallCount {
        usec_t paid_until;                   /* CLOCK_BOOTTIME */
} CallCount;

static void registry_reconcile_kick(StreamRegistry *r);

/* ---- who is there ---- */

int stream_registry_await(StreamRegistry *r, StreamSession *s) {
        unsigned n = 0;

        LIST_FOREACH(waiting, other, r->waiting)
                n += streq(other->agent, s->agent) && streq(other->key_hash, s->key_hash);
        if (n >= STREAMS_WAITING_OF_ONE_MAX)
                return -EBUSY;
        LIST_PREPEND(waiting, r->waiting, s);
        s->waits = true;
        return 0;
}

static void registry_unwait(StreamRegistry *r, StreamSession *s) {
        if (s->waits)
                LIST_REMOVE(waiting, r->waiting, s);
        s->waits = false;
}

bool stream_registry_is_full(const StreamRegistry *r, const char *agent) {
        return hashmap_size(r->sessions) >= r->gateway->conf.agents_max && !hashmap_get(r->sessions, agent);
}

int stream_registry_enter(StreamRegistry *r, StreamSession *s) {
        StreamSession *old = hashmap_get(r->sessions, s->agent);
        int k;

        registry_unwait(r, s);
        if (stream_registry_is_full(r, s->agent))
                return -EUSERS;
        k = hashmap_replace(r->sessions, s->agent, s);
        if (k < 0)
                return k;
        s->entered = true;
        if (old) {
                log_debug("Agent %s connected again, closing its older stream.", s->agent);
                stream_session_close(old, RPC_STATUS_ABORTED, "a newer stream with this agent id took over");
        }
        return 0;
}

void stream_registry_leave(StreamRegistry *r, StreamSession *s) {
        registry_unwait(r, s);
        if (s->agent && hashmap_get(r->sessions, s->agent) == s)
                (void) hashmap_remove(r->sessions, s->agent);
}

static CallCount *registry_count(StreamRegistry *r, const char *key) {
        CallCount *c = hashmap_get(r->calls, key);

        if (c)
                return c;
        c = new0(CallCount, 1);
        if (c && hashmap_put(r->calls, key, c) >= 0)
                return c;
        free(c);
        return NULL;
}

bool stream_registry_is_flooded(
                StreamRegistry *r, const char *kind, const char *agent, const char *key_hash) {

        _cleanup_free_ char *key = strjoinf("%s %s %s", kind, agent, key_hash);
        CallCount *c = key ? registry_count(r, key) : NULL;
        usec_t t = now(CLOCK_BOOTTIME);

        if (!c)                              /* without memory nothing is counted */
                return false;
        c->paid_until = MAX(c->paid_until, t);
        if (c->paid_until > t + (CALL_BURST - 1) * CALL_INTERVAL)
                return true;
        c->paid_until += CALL_INTERVAL;
        return false;
}

static void registry_forget_calls(StreamRegistry *r, usec_t t) {
        size_t cursor = 0;
        const char *key;
        void *value;

        while (hashmap_iterate(r->calls, &cursor, &key, &value))
                if (((CallCount *) value)->paid_until <= t)
                        free(hashmap_remove(r->calls, key));
}

StreamSession *stream_registry_get(StreamRegistry *r, const char *agent) {
        return hashmap_get(r->sessions, agent);
}

size_t stream_registry_size(const StreamRegistry *r) {
        return hashmap_size(r->sessions);
}

usec_t stream_registry_first_expiry(const StreamRegistry *r) {
        usec_t first = USEC_INFINITY;
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(r->sessions, &cursor, NULL, &value))
                first = MIN(first, ((StreamSession *) value)->certificate_expires);
        return first == USEC_INFINITY ? 0 : first;
}

void stream_registry_evict(StreamRegistry *r, const char *agent, const char *why) {
        StreamSession *s = hashmap_get(r->sessions, agent);

        if (s)
                stream_session_close(s, RPC_STATUS_PERMISSION_DENIED, why);
}

/* ---- deciding again ---- */

typedef struct ReconcileJob {
        StoreJob job;
        StreamRegistry *registry;
        FleetRules rules;
        StreamSession *sessions[RECONCILE_BATCH];
        char *agents[RECONCILE_BATCH];       /* the worker's copies */
        FleetOrder orders[RECONCILE_BATCH];
        size_t n;
} ReconcileJob;

static int reconcile_work(StoreJob *job, Store *s) {
        ReconcileJob *j = container_of(job, ReconcileJob, job);
        _cleanup_(fleet_done) Fleet fleet = {};
        usec_t t = now(CLOCK_REALTIME);
        int r;

        r = fleet_load(s, &fleet);
        for (size_t i = 0; r >= 0 && i < j->n; i++) {
                _cleanup_(agent_record_done) AgentRecord a = {};

                j->orders[i].not_before = USEC_INFINITY;
                r = s->ops->agent_get(s, j->agents[i], &a);
                if (r >= 0)
                        r = fleet_reconcile(&fleet, job, s, &a, &j->rules, t, &j->orders[i]);
                else if (r == -ENOENT)       /* removed meanwhile, and soon evicted */
                        r = 0;
        }
        return r;
}

static void reconcile_done(StoreJob *job, int result) {
        ReconcileJob *j = container_of(job, ReconcileJob, job);
        StreamRegistry *r = j->registry;
        usec_t later = usec_add(now(CLOCK_REALTIME), 5 * USEC_PER_SEC);

        if (result < 0)
                (void) log_error_errno(result, "Failed to decide about updates, trying again: %m");
        for (size_t i = 0; i < j->n; i++) {
                StreamSession *s = j->sessions[i];

                s->reconcile_pending = false;
                if (result < 0)
                        s->reconcile_at = later;
                else if (s->reconcile_at == USEC_INFINITY)   /* else it was asked for again meanwhile */
                        stream_session_order(s, &j->orders[i]);
                else if (j->orders[i].send != FLEET_SEND_NOTHING) {
                        usec_t again = s->reconcile_at;

                        stream_session_order(s, &j->orders[i]);
                        s->reconcile_at = again;
                }
                stream_session_unref(s);
                free(j->agents[i]);
                fleet_order_done(&j->orders[i]);
        }
        free(j);
        if (r) {
                r->reconcile_running = false;
                if (!r->gateway->stopping)
                        registry_reconcile_kick(r);
        }
}

static void reconcile_collect(StreamRegistry *r, ReconcileJob *j) {
        usec_t t = now(CLOCK_REALTIME);
        size_t cursor = 0;
        void *value;

        while (j->n < RECONCILE_BATCH && hashmap_iterate(r->sessions, &cursor, NULL, &value)) {
                StreamSession *s = value;

                if (s->state != STREAM_LIVE || s->reconcile_pending || s->reconcile_at > t)
                        continue;
                j->agents[j->n] = strdup(s->agent);
                if (!j->agents[j->n])
                        return;
                s->reconcile_at = USEC_INFINITY;
                s->reconcile_pending = true;
                j->sessions[j->n++] = stream_session_ref(s);
        }
}

/* One batch at a time: a change for the whole fleet must not fill the store's queue. */
static int registry_on_reconcile(sd_event_source *source, void *userdata) {
        StreamRegistry *r = userdata;
        ReconcileJob *j;
        int k;

        if (r->reconcile_running || r->gateway->stopping)
                return 0;
        j = new0(ReconcileJob, 1);
        if (!j)
                return log_oom();
        j->job.work = reconcile_work;
        j->job.done = reconcile_done;
        j->job.kind = "reconcile";
        gateway_rules(r->gateway, &j->rules);
        reconcile_collect(r, j);
        if (j->n == 0) {
                free(j);
                return 0;
        }
        j->registry = r;
        r->reconcile_running = true;
        k = store_worker_submit(r->gateway->worker, &j->job);
        if (k < 0) {
                j->registry = NULL;
                r->reconcile_running = false;
                reconcile_done(&j->job, k);  /* the tick comes back to it */
        }
        return 0;
}

static void registry_reconcile_kick(StreamRegistry *r) {
        if (event_defer_once(
                            r->gateway->event, &r->reconcile_source, registry_on_reconcile, r, "reconcile") <
            0)
                log_error("Failed to schedule decisions about updates.");
}

void stream_registry_reconcile_all(StreamRegistry *r) {
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(r->sessions, &cursor, NULL, &value))
                ((StreamSession *) value)->reconcile_at = 0;
        registry_reconcile_kick(r);
        rollout_engine_kick(r->gateway->rollouts, 0);
}

void stream_registry_reconcile_soon(StreamRegistry *r, const char *agent) {
        StreamSession *s = hashmap_get(r->sessions, agent);

        if (!s)
                return;
        s->reconcile_at = 0;
        registry_reconcile_kick(r);
        rollout_engine_kick(r->gateway->rollouts, 0);
}

/* ---- leases ---- */

typedef struct ExpireJob {
        StoreJob job;
        StreamRegistry *registry;
        usec_t lease;
} ExpireJob;

static int expire_work(StoreJob *job, Store *s) {
        return instruction_expire(
                        job, s, now(CLOCK_REALTIME), container_of(job, ExpireJob, job)->lease);
}

static void expire_done(StoreJob *job, int result) {
        ExpireJob *j = container_of(job, ExpireJob, job);
        StreamRegistry *r = j->registry;

        free(j);
        r->expire_pending = false;
        if (result < 0)
                (void) log_error_errno(
                                result,
                                "Failed to look for instructions past their deadline, trying again: %m");
        else if (result > 0 && !r->gateway->stopping) {
                rollout_engine_kick(r->gateway->rollouts, 0);
                stream_registry_reconcile_all(r);
                r->expire_at = 0;            /* there may be more */
        }
}

static void registry_expire(StreamRegistry *r) {
        ExpireJob *j;

        if (r->expire_pending)
                return;
        j = new0(ExpireJob, 1);
        if (!j) {
                (void) log_oom();
                return;
        }
        *j = (ExpireJob){ .job = { .work = expire_work, .done = expire_done, .kind = "expire" },
                          .registry = r,
                          .lease = r->gateway->conf.lease };
        if (store_worker_submit(r->gateway->worker, &j->job) < 0)
                free(j);
        else
                r->expire_pending = true;
}

/* ---- time ---- */

static void registry_store_seen(StreamRegistry *r) {
        PresenceSeen *seen;
        size_t cursor = 0, n = 0;
        void *value;

        seen = new0(PresenceSeen, hashmap_size(r->sessions) + 1);
        if (!seen) {
                (void) log_oom();
                return;
        }
        while (hashmap_iterate(r->sessions, &cursor, NULL, &value)) {
                StreamSession *s = value;

                if (s->last_seen <= s->last_seen_stored)
                        continue;
                seen[n].agent = strdup(s->agent);
                if (!seen[n].agent)
                        break;
                seen[n].metadata_expires = s->metadata_expires;
                seen[n++].when = s->last_seen_stored = s->last_seen;
        }
        presence_seen(r->gateway, seen, n);
}

static void registry_close_silent(StreamRegistry *r, usec_t t) {
        usec_t patience = HEARTBEATS_MISSED * r->gateway->conf.heartbeat_interval + USEC_PER_SEC;
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(r->sessions, &cursor, NULL, &value)) {
                StreamSession *s = value;

                if (s->state == STREAM_LIVE && usec_sub(t, s->last_heard) > patience) {
                        log_info("Agent %s: no heartbeat for " USEC_FMT " s, giving up its stream.",
                                 s->agent, usec_sub(t, s->last_heard) / USEC_PER_SEC);
                        stream_session_close(s, RPC_STATUS_DEADLINE_EXCEEDED, "no heartbeat");
                }
        }
        LIST_FOREACH_SAFE(waiting, s, r->waiting)
                if (s->state == STREAM_WAITS_FOR_HELLO && usec_sub(t, s->opened) > HELLO_TIMEOUT) {
                        registry_unwait(r, s);
                        stream_session_close(s, RPC_STATUS_DEADLINE_EXCEEDED, "no Hello");
                }
}

static int registry_on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        StreamRegistry *r = userdata;
        usec_t t = now(CLOCK_BOOTTIME);

        registry_close_silent(r, t);
        if (t >= r->expire_at) {
                r->expire_at = t + EXPIRE_INTERVAL;
                presence_retry(r->gateway);
                registry_expire(r);
        }
        if (t >= r->seen_at) {
                r->seen_at = t + SEEN_INTERVAL;
                registry_store_seen(r);
                registry_forget_calls(r, t);
        }
        registry_reconcile_kick(r);
        return event_timer_arm(
                        r->gateway->event, &r->tick_source, TICK, registry_on_tick, r, "streams-tick");
}

int stream_registry_new(StreamRegistry **ret, Gateway *g) {
        _cleanup_(stream_registry_freep) StreamRegistry *r = NULL;
        int k;

        r = new0(StreamRegistry, 1);
        if (!r)
                return -ENOMEM;
        r->gateway = g;
        k = hashmap_new(&r->sessions, NULL);
        if (k < 0)
                return k;
        k = hashmap_new(&r->calls, free);
        if (k < 0)
                return k;
        k = event_timer_arm(g->event, &r->tick_source, TICK, registry_on_tick, r, "streams-tick");
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

StreamRegistry *stream_registry_free(StreamRegistry *r) {
        if (!r)
                return NULL;
        sd_event_source_disable_unref(r->tick_source);
        sd_event_source_disable_unref(r->reconcile_source);
        hashmap_free(r->sessions);
        hashmap_free(r->calls);
        free(r);
        return NULL;
}
