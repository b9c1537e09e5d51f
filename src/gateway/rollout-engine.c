/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-engine.h"

#include "alloc-util.h"
#include "event-util.h"
#include "gateway.h"
#include "log.h"
#include "rollout-park.h"
#include "stream-session.h"

/* Between the end of one step and the beginning of the next: at least this, and so many times as long as it
 * took. */
#define PAUSE_MIN (20 * USEC_PER_MSEC)
#define PAUSE_SHARE 4U
#define PAUSE_MAX (30 * USEC_PER_SEC)
#define PAUSE_AFTER_ERROR (5 * USEC_PER_SEC)
/* How long the wall clock is trusted to go on as it does. */
#define SLEEP_MAX USEC_PER_MINUTE
#define NEWCOMERS_INTERVAL (10 * USEC_PER_SEC)
#define EXTRA_MAX 64U

struct RolloutEngine {
        Gateway *gateway;
        sd_event_source *timer, *clock_change;
        bool started, running, kicked;
        bool idle;                 /* none is active: only what has ended can be kicked */
        usec_t not_before;         /* CLOCK_BOOTTIME: of the next step */
        usec_t next_look;          /* CLOCK_REALTIME: that a step has named; USEC_INFINITY: none */
        usec_t look_at;            /* CLOCK_BOOTTIME: the same, as far away as it was then */
        bool newcomers_welcome;    /* by one that runs */
        usec_t newcomers_at;       /* CLOCK_BOOTTIME: when to look for them again */
        uint64_t extra[EXTRA_MAX]; /* ended, but something late was said */
        size_t n_extra;
};

typedef struct StepJob {
        StoreJob job;
        RolloutEngine *engine;
        FleetRules rules;
        RolloutOrders orders;
        bool all; /* not only those whose time has come */
        bool look_for_new;
        uint64_t extra[EXTRA_MAX];
        size_t n_extra;
        usec_t took, next_look;
        bool idle, newcomers_welcome;
} StepJob;

static void engine_plan(RolloutEngine *e);

/* ---- on the worker's thread ---- */

typedef struct Ids {
        uint64_t *items;
        size_t n, n_allocated;
} Ids;

static int take_id(uint64_t id, void *userdata) {
        Ids *ids = userdata;
        int r;

        r = ARRAY_GROW(ids->items, ids->n_allocated, ids->n + 1);
        if (r >= 0)
                ids->items[ids->n++] = id;
        return r;
}

static int collect_ids(StepJob *j, Store *s, usec_t t, Ids *ids) {
        int r;

        r = s->ops->rollouts_due(s, j->all ? USEC_INFINITY : t, take_id, ids);
        for (size_t i = 0; r >= 0 && i < j->n_extra; i++) {
                bool there = false;

                for (size_t k = 0; k < ids->n; k++)
                        there = there || ids->items[k] == j->extra[i];
                if (!there)
                        r = take_id(j->extra[i], ids);
        }
        return r;
}

static int step_all(StepJob *j, Store *s, const Ids *ids, usec_t t) {
        _cleanup_(fleet_done) Fleet fleet = {};
        RolloutContext c = { .job = &j->job,
                             .store = s,
                             .fleet = &fleet,
                             .rules = &j->rules,
                             .now = t,
                             .orders = &j->orders };
        int r;

        if (ids->n == 0)
                return 0;
        r = fleet_load(s, &fleet);
        for (size_t i = 0; r >= 0 && i < ids->n; i++)
                r = rollout_step_alone(&c, ids->items[i], j->look_for_new);
        j->newcomers_welcome = c.newcomers_welcome;
        return r;
}

static int step_work(StoreJob *job, Store *s) {
        StepJob *j = container_of(job, StepJob, job);
        usec_t begin = now(CLOCK_BOOTTIME), t = now(CLOCK_REALTIME);
        Ids ids = {};
        int r;

        r = collect_ids(j, s, t, &ids);
        if (r >= 0)
                r = step_all(j, s, &ids, t);
        free(ids.items);
        if (r >= 0)
                r = s->ops->rollout_next_look(s, &j->next_look);
        if (r >= 0) {
                uint64_t active = 0;

                r = s->ops->rollouts_count(
                                s, &(RolloutFilter){ .active = true, .state = _ROLLOUT_STATE_INVALID },
                                &active);
                j->idle = active == 0;
        }
        j->took = now(CLOCK_BOOTTIME) - begin;
        return r;
}

/* ---- on the loop ---- */

void rollout_engine_send(RolloutEngine *e, RolloutOrders *orders) {
        for (size_t i = 0; i < orders->n; i++) {
                StreamSession *s = stream_registry_get(e->gateway->streams, orders->items[i].agent);

                if (s) /* else it gets it with its next Hello */
                        stream_session_instruct(s, &orders->items[i].order);
        }
        rollout_orders_done(orders);
}

static void step_done(StoreJob *job, int r) {
        StepJob *j = container_of(job, StepJob, job);
        RolloutEngine *e = j->engine;
        usec_t t = now(CLOCK_BOOTTIME);

        e->running = false;
        if (r < 0) {
                (void) log_error_errno(r, "Failed to step the rollouts, trying again: %m");
                rollout_orders_done(&j->orders);
                e->kicked = true;
                e->not_before = usec_add(t, PAUSE_AFTER_ERROR);
        } else {
                rollout_engine_send(e, &j->orders);
                e->next_look = j->next_look;
                e->look_at = j->next_look == USEC_INFINITY ?
                                             USEC_INFINITY :
                                             usec_add(t, usec_sub(j->next_look, now(CLOCK_REALTIME)));
                /* of those that were not asked, what they said before still holds */
                e->newcomers_welcome = j->newcomers_welcome || (!j->all && e->newcomers_welcome);
                e->idle = j->idle;
                e->not_before = usec_add(t, CLAMP(PAUSE_SHARE * j->took, PAUSE_MIN, PAUSE_MAX));
        }
        free(j);
        if (!e->gateway->stopping)
                engine_plan(e);
}

/* All, and not only those whose time has come by a clock that may have been set since it was named. */
static bool engine_wants_all(const RolloutEngine *e, usec_t boottime) {
        return e->kicked || e->look_at <= boottime || (e->newcomers_welcome && e->newcomers_at <= boottime);
}

static int engine_step(RolloutEngine *e) {
        usec_t t = now(CLOCK_BOOTTIME);
        StepJob *j;
        int r;

        j = new0(StepJob, 1);
        if (!j)
                return -ENOMEM;
        *j = (StepJob){ .job = { .work = step_work, .done = step_done, .kind = "rollout" },
                        .engine = e,
                        .all = engine_wants_all(e, t),
                        .look_for_new = t >= e->newcomers_at,
                        .n_extra = e->n_extra };
        memcpy(j->extra, e->extra, sizeof(j->extra));
        gateway_rules(e->gateway, &j->rules);
        r = store_worker_submit(e->gateway->worker, &j->job);
        if (r < 0) {
                free(j);
                return r;
        }
        if (j->look_for_new)
                e->newcomers_at = usec_add(t, NEWCOMERS_INTERVAL);
        e->running = true;
        e->kicked = false;
        e->n_extra = 0;
        return 0;
}

static int engine_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        RolloutEngine *e = userdata;
        bool due = e->n_extra > 0 || e->next_look <= now(CLOCK_REALTIME) ||
                   engine_wants_all(e, now(CLOCK_BOOTTIME));
        int r = 0;

        if (e->running || e->gateway->stopping)
                return 0;
        if (due)
                r = engine_step(e);
        if (r < 0) {
                (void) log_warning_errno(r, "Cannot step the rollouts now, trying again: %m");
                e->not_before = usec_add(now(CLOCK_BOOTTIME), PAUSE_AFTER_ERROR);
        }
        if (!e->running)
                engine_plan(e);
        return 0;
}

static void engine_plan(RolloutEngine *e) {
        usec_t boottime = now(CLOCK_BOOTTIME), wait = 0;

        if (!e->kicked && e->n_extra == 0) {
                wait = e->next_look == USEC_INFINITY ?
                                       USEC_INFINITY :
                                       MIN(MIN(usec_sub(e->next_look, now(CLOCK_REALTIME)),
                                               usec_sub(e->look_at, boottime)),
                                           SLEEP_MAX);
                if (e->newcomers_welcome)
                        wait = MIN(wait, usec_sub(e->newcomers_at, boottime));
        }
        wait = MAX(wait, usec_sub(e->not_before, boottime));
        if (event_timer_arm(e->gateway->event, &e->timer, wait, engine_on_timer, e, "rollouts") < 0)
                log_error("Failed to arm the timer of the rollouts.");
}

void rollout_engine_kick(RolloutEngine *e, uint64_t rollout) {
        bool known = rollout == 0;

        if (!e->started || e->gateway->stopping || (rollout == 0 && e->idle))
                return;
        for (size_t i = 0; i < e->n_extra; i++)
                known = known || e->extra[i] == rollout;
        if (!known && e->n_extra < EXTRA_MAX)
                e->extra[e->n_extra++] = rollout;
        if (!e->idle)
                e->kicked = true;
        if (!e->running)
                engine_plan(e);
}

/* Soaks, periods and windows go by the clock that was set just now. */
static int engine_on_clock_change(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        RolloutEngine *e = userdata;
        int r = event_clock_change_take(fd);

        if (r < 0) {
                (void) log_warning_errno(r, "Cannot watch the clock being set, ignoring: %m");
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        }
        if (r == 0 || e->gateway->stopping || e->idle)
                return 0;
        log_notice("The clock was set, looking at the rollouts again.");
        e->kicked = true;
        if (!e->running)
                engine_plan(e);
        return 0;
}

void rollout_engine_start(RolloutEngine *e) {
        int r;

        r = event_add_clock_change(
                        e->gateway->event, &e->clock_change, engine_on_clock_change, e, "rollouts-clock");
        if (r < 0) /* it is noticed within a minute all the same */
                (void) log_warning_errno(r, "Cannot watch the clock being set, ignoring: %m");
        e->started = e->kicked = true;
        engine_plan(e);
}

int rollout_engine_new(RolloutEngine **ret, Gateway *g) {
        RolloutEngine *e = new0(RolloutEngine, 1);

        if (!e)
                return -ENOMEM;
        *e = (RolloutEngine){ .gateway = g, .next_look = USEC_INFINITY, .look_at = USEC_INFINITY };
        *ret = e;
        return 0;
}

RolloutEngine *rollout_engine_free(RolloutEngine *e) {
        if (!e)
                return NULL;
        sd_event_source_disable_unref(e->timer);
        sd_event_source_disable_unref(e->clock_change);
        free(e);
        return NULL;
}
