/* SPDX-License-Identifier: Apache-2.0 */

/* update --wait. How far it is says the gateway's "reason" of each agent, which is always the truth of now.
 * All agents are read once; then events tell of which it may have changed, and these alone are read again.
 * Should an event be missed, those that are pending are read now and then, and more seldom everybody. */

#include "alloc-util.h"
#include "cli-table.h"
#include "event-stream.h"
#include "event-util.h"
#include "progress.h"
#include "string-util.h"

#define LOOK_FIRST (3 * USEC_PER_SEC) /* without events */
#define LOOK_SOON (200 * USEC_PER_MSEC)
#define LOOK_PENDING (10 * USEC_PER_SEC)
#define LOOK_ALL (60 * USEC_PER_SEC)
#define PENDING_FEW 500U /* so many may be read again without an event */
#define IDS_MAX KIB(16)  /* in one address */

typedef struct Wait {
        GatewayCtl *c;
        Progress *progress;
        const char *agent;
        uint64_t desired; /* id of what we asked for */
        sd_event_source *look_timer, *end_timer;
        usec_t all_read; /* when all of them were read last, CLOCK_MONOTONIC; 0: read them all */
        bool begun, look, timed_out, ended;
        CliExit code;
        json_t *agents;   /* id -> agent, as seen last */
        json_t *heard_of; /* ids of those to be read again: the members of an object */
        unsigned n_done, n_pending, n_failed, n_kept; /* kept: pinned and the like, nothing will happen */
} Wait;

/* ---- what is heard ---- */

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        w->look = true;
        return 0;
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        w->timed_out = true;
        return 0;
}

static void look_after(Wait *w, usec_t t) {
        if (event_timer_arm(w->c->event, &w->look_timer, t, on_look, w, "look") < 0)
                w->look = true;
}

static void hear_of(Wait *w, const char *id) {
        if (isempty(id) || json_object_set_new(w->heard_of, id, json_true()) < 0)
                w->all_read = 0;
        look_after(w, LOOK_SOON);
}

static void hear_of_all(Wait *w) {
        w->all_read = 0;
        look_after(w, LOOK_SOON);
}

/* From the first moment on nothing is missed; that is when everybody is read. */
static void on_open(bool resumed, void *userdata) {
        Wait *w = userdata;

        if (!w->begun)
                w->look = true;
        else if (!resumed)
                hear_of_all(w);
        w->begun = true;
}

static void on_event(const char *event, const char *id, json_t *data, void *userdata) {
        Wait *w = userdata;
        uint64_t desired = 0;

        if (streq(event, "update")) {
                (void) json_get_u64(data, "desired", &desired);
                if (desired != w->desired)
                        return;
                progress_event(w->progress, event, data);
                if (json_is_true(json_object_get(data, "terminal")))
                        hear_of(w, json_text(data, "agent"));
        } else if (streq(event, "agent"))
                hear_of(w, json_text(data, "id"));
        else /* other versions are desired, labels of many have changed, events are lost */
                hear_of_all(w);
}

static void on_fatal(CliExit code, void *userdata) {
        Wait *w = userdata;

        w->ended = true;
        w->code = code;
}

static const EventStreamHandlers handlers = { .on_open = on_open,
                                              .on_event = on_event,
                                              .on_fatal = on_fatal };

/* ---- reading ---- */

/* Of a fleet of many thousands only what is told of each. */
static int keep(Wait *w, json_t *agent) {
        json_t *kept = json_object();
        uint64_t desired = 0;
        int r;

        (void) json_get_u64(json_object_get(agent, "desired"), "id", &desired);
        r = json_set_string(kept, "name", agent_name(agent));
        if (r >= 0)
                r = json_set_string(kept, "reason", json_text(agent, "reason"));
        if (r >= 0)
                r = json_set_string(kept, "reason_text", json_text(agent, "reason_text"));
        if (r >= 0)
                r = json_set_u64(kept, "desired", desired);
        if (r < 0) {
                json_decref(kept);
                return r;
        }
        return json_set_take(w->agents, json_text(agent, "id"), kept);
}

static CliExit keep_all(Wait *w, json_t *agents) {
        json_t *agent;
        size_t i;

        progress_learn(w->progress, agents);
        json_array_foreach(agents, i, agent) if (keep(w, agent) < 0) return cli_fail(
                        CLI_ERROR, "Out of memory.");
        return CLI_OK;
}

static CliExit read_one(Wait *w) {
        _cleanup_free_ char *path = strjoinf("/api/v1/agents/%s", w->agent);
        _cleanup_json_ json_t *agent = NULL, *list = NULL;
        CliExit code;

        code = path ? api_call(w->c, "GET", path, NULL, &agent) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code != CLI_OK)
                return code;
        list = json_pack("[O]", agent);
        return list ? keep_all(w, list) : cli_fail(CLI_ERROR, "Out of memory.");
}

static CliExit read_all(Wait *w) {
        _cleanup_json_ json_t *agents = NULL;
        CliExit code;

        /* what is heard from here on may be newer than what is read */
        json_object_clear(w->heard_of);
        w->all_read = now(CLOCK_MONOTONIC);
        code = agents_read(w->c, /* narrow= */ false, /* ids= */ NULL, &agents);
        if (code != CLI_OK)
                return code;
        json_object_clear(w->agents);
        return keep_all(w, agents);
}

/* Takes as many as fit into one address out of the set. */
static int take_ids(json_t *set, char **ret) {
        _cleanup_strv_free_ char **ids = NULL;
        const char *id;
        size_t size = 0;
        json_t *value;

        json_object_foreach(set, id, value) {
                size += strlen(id) + 1;
                if (ids && size > IDS_MAX)
                        break;
                if (strv_extend(&ids, id) < 0)
                        return -ENOMEM;
        }
        STRV_FOREACH(taken, ids)
        (void) json_object_del(set, *taken);
        *ret = ids ? strv_join(ids, ",") : NULL;
        return *ret || !ids ? 0 : -ENOMEM;
}

/* Those of whom was heard; who does not match any more is not waited for. */
static CliExit read_some(Wait *w) {
        for (;;) {
                _cleanup_strv_free_ char **gone = NULL;
                _cleanup_json_ json_t *agents = NULL;
                _cleanup_free_ char *ids = NULL;
                CliExit code;

                if (take_ids(w->heard_of, &ids) < 0 || (ids && strv_split(ids, ",", &gone) < 0))
                        return cli_fail(CLI_ERROR, "Out of memory.");
                if (!ids)
                        return CLI_OK;
                code = agents_read(w->c, /* narrow= */ false, ids, &agents);
                if (code != CLI_OK)
                        return code;
                STRV_FOREACH(id, gone)
                (void) json_object_del(w->agents, *id);
                code = keep_all(w, agents);
                if (code != CLI_OK)
                        return code;
        }
}

/* ---- judging ---- */

/* Something follows without anybody's doing. */
static bool is_pending(const char *reason) {
        static const char *const reasons[] = { "updating", "due",        "offline", "waiting",
                                               "limit",    "in-rollout", NULL };

        return strv_contains((char *const *) reasons, reason);
}

/* Nothing follows, unless somebody asks for a retry. */
static bool is_failed(const char *reason) {
        static const char *const reasons[] = { "failed", "gave-up", "went-back", "held", NULL };

        return strv_contains((char *const *) reasons, reason);
}

static void judge(Wait *w, json_t *agent) {
        const char *reason = json_text(agent, "reason");
        uint64_t desired = 0;

        (void) json_get_u64(agent, "desired", &desired);
        if (desired != w->desired)
                w->n_kept++; /* something more specific holds for it */
        else if (streq(reason, "up-to-date"))
                w->n_done++;
        else if (is_failed(reason))
                w->n_failed++;
        else if (is_pending(reason))
                w->n_pending++;
        else
                w->n_kept++;
}

/* Those that keep us waiting, when they are few. */
static void hear_of_pending(Wait *w) {
        const char *id;
        json_t *agent;

        if (w->n_pending > PENDING_FEW)
                return;
        json_object_foreach(w->agents, id, agent) if (is_pending(json_text(agent, "reason")))(void)
                        json_object_set_new(w->heard_of, id, json_true());
}

static CliExit look(Wait *w) {
        const char *id;
        json_t *agent;
        CliExit code;

        w->look = false;
        if (json_object_size(w->heard_of) == 0) /* the timer alone */
                hear_of_pending(w);
        if (w->agent)
                code = read_one(w);
        else if (w->all_read == 0 || usec_add(w->all_read, LOOK_ALL) <= now(CLOCK_MONOTONIC))
                code = read_all(w);
        else
                code = read_some(w);
        if (code != CLI_OK)
                return code;
        w->n_done = w->n_pending = w->n_failed = w->n_kept = 0;
        json_object_foreach(w->agents, id, agent) judge(w, agent);
        look_after(w, json_object_size(w->heard_of) > 0 || (w->all_read == 0 && !w->agent) ? LOOK_SOON :
                                                                                             LOOK_PENDING);
        return CLI_OK;
}

static CliExit report(Wait *w) {
        const char *id;
        json_t *agent;

        if (w->c->output == OUTPUT_JSON) {
                _cleanup_json_ json_t *v = json_pack(
                                "{s:s, s:i, s:i, s:i, s:i, s:b}", "version", w->c->version, "up_to_date",
                                (int) w->n_done, "failed", (int) w->n_failed, "pending", (int) w->n_pending,
                                "kept", (int) w->n_kept, "timed_out", w->timed_out);

                if (!v || print_json(w->c, v) != CLI_OK)
                        return CLI_ERROR;
        } else {
                cli_print("%u up to date, %u failed, %u pending, %u not to be changed.", w->n_done,
                          w->n_failed, w->n_pending, w->n_kept);
                json_object_foreach(
                                w->agents, id, agent) if (!streq(json_text(agent, "reason"), "up-to-date"))
                                cli_note("%s: %s %s", json_text(agent, "name"), json_text(agent, "reason"),
                                         json_text(agent, "reason_text"));
        }
        return w->timed_out ? cli_fail(CLI_TIMEOUT, "It is not over yet; the gateway goes on with it.") :
               w->n_failed + w->n_kept > 0 ? CLI_FAILED :
                                             CLI_OK;
}

static CliExit wait_loop(Wait *w) {
        CliExit code;
        int r;

        look_after(w, LOOK_FIRST);
        for (;;) {
                while (!w->look && !w->timed_out && !w->ended) {
                        r = sd_event_run(w->c->event, UINT64_MAX);
                        if (r < 0)
                                return cli_fail(CLI_ERROR, "The loop has ended: %s", strerror(-r));
                }
                if (w->ended)
                        return w->code;
                if (w->timed_out)
                        return report(w);
                code = look(w);
                if (code != CLI_OK)
                        return code;
                if (w->n_pending == 0)
                        return report(w);
        }
}

static CliExit wait_with_events(Wait *w) {
        _cleanup_(event_stream_freep) EventStream *stream = NULL;
        CliExit code;

        if (w->c->timeout > 0 &&
            event_timer_arm(w->c->event, &w->end_timer, w->c->timeout, on_end, w, "timeout") < 0)
                return cli_fail(CLI_ERROR, "Cannot set a timer.");
        code = event_stream_new(&stream, w->c, "agent,update,desired,labels", w->agent, &handlers, w);
        return code == CLI_OK ? wait_loop(w) : code;
}

CliExit update_wait(GatewayCtl *c, const char *agent, uint64_t desired) {
        Wait w = { .c = c, .agent = agent, .desired = desired };
        CliExit code;

        w.agents = json_object();
        w.heard_of = json_object();
        if (progress_new(&w.progress, stderr) < 0 || !w.agents || !w.heard_of)
                code = cli_fail(CLI_ERROR, "Out of memory.");
        else
                code = wait_with_events(&w);
        sd_event_source_disable_unref(w.look_timer);
        sd_event_source_disable_unref(w.end_timer);
        progress_free(w.progress);
        json_decref(w.agents);
        json_decref(w.heard_of);
        return code;
}
