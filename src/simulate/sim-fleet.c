/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-fleet.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "alloc-util.h"
#include "cli.h"
#include "errno-util.h"
#include "event-util.h"
#include "hashmap.h"
#include "sim-state.h"
#include "string-util.h"

#define OPERATIONS_EACH 8U  /* of a stream and of an enrolment, in flight at once */
#define DESCRIPTORS_EACH 2U /* of an agent that has nothing to do: its folder and its connection */
#define DESCRIPTORS_BUSY 8U /* of one that downloads */
#define DESCRIPTORS_OTHER 256U
#define TICK (10 * USEC_PER_MSEC)
#define START_AT_ONCE 32U /* a turn of the loop, so that those that were started get their turn too */
#define STOP_TIMEOUT (5 * USEC_PER_SEC)
#define SHOW_TERMINAL (500 * USEC_PER_MSEC)
#define SHOW_LINES (10 * USEC_PER_SEC)
#define QUIET_FOR (3 * USEC_PER_SEC) /* then nothing more is to be expected */
#define TROUBLES_MAX 20U

struct SimFleet {
        SimFleetOptions o;
        SimState *state;
        RpcQueue *queue;
        SimStats *stats;
        SimLog *log;
        SimContext context;
        SimAgent **agents;
        uint32_t n_started, n_stopped;
        usec_t begun;         /* CLOCK_BOOTTIME */
        usec_t shown;         /* since then: when the last line was */
        usec_t settled_since; /* CLOCK_BOOTTIME, 0: something is under way */
        uint64_t trimmed;     /* when so many updates had ended */
        uint64_t beats;       /* of the flood, so far */
        uint32_t next_beat;
        bool stopping, terminal, line_open;
        Hashmap *troubles; /* sentences that were said */
        sd_event_source *start_source, *show_source, *flood_source, *stop_source;
};

/* One of the few words that are the simulator's own; what its agents say to a journal is not shown. */
static int tell(int error, const char *what) {
        cli_note("%s: %s.", what, strerror(-error));
        return error;
}

static const char *const until_table[_SIM_UNTIL_MAX] = {
        [SIM_UNTIL_STOPPED] = "stopped",
        [SIM_UNTIL_CONNECTED] = "connected",
        [SIM_UNTIL_IDLE] = "idle",
};

const char *sim_until_to_string(SimUntil u) {
        return u >= 0 && u < _SIM_UNTIL_MAX ? until_table[u] : NULL;
}

SimUntil sim_until_from_string(const char *s) {
        for (SimUntil u = 0; u < _SIM_UNTIL_MAX; u++)
                if (streq(until_table[u], s))
                        return u;
        return _SIM_UNTIL_INVALID;
}

/* ---- report ---- */

static int count_version(json_t *versions, const char *version) {
        uint64_t n = 0;
        (void) json_get_u64(versions, version, &n);
        return json_set_u64(versions, version, n + 1);
}

static int fleet_snapshot(SimFleet *f, SimSnapshot *ret) {
        SimSnapshot n = { .versions = json_object(), .longest_silence = sim_stats_longest_gap(f->stats) };
        int r = n.versions ? 0 : -ENOMEM;

        for (uint32_t i = 0; i < f->o.n && r >= 0; i++) {
                const char *version = sim_agent_version(f->agents[i]);
                sim_agent_count(f->agents[i], &n);
                if (version)
                        r = count_version(n.versions, version);
        }
        if (r < 0) {
                json_decref(n.versions);
                return r;
        }
        *ret = n;
        return 0;
}

int sim_fleet_report(SimFleet *f) {
        _cleanup_json_ json_t *report = NULL;
        SimSnapshot n;

        int r = fleet_snapshot(f, &n);
        if (r >= 0) {
                r = sim_stats_report(f->stats, &n, &report);
                json_decref(n.versions);
        }
        _cleanup_free_ char *text = r >= 0 ? json_format(report, /* pretty= */ false) : NULL;
        if (!text)
                return tell(-ENOMEM, "Cannot go on");
        printf("%s\n", text);
        return fflush(stdout) == 0 ? 0 : tell(negative_errno(), "Cannot write the report");
}

/* ---- showing ---- */

/* On a terminal one line that changes; each of these ends it. */
static void fleet_end_line(SimFleet *f) {
        if (f->line_open)
                fputc('\n', stderr);
        f->line_open = false;
}

/* What many updates at once leave behind in the allocator is several times what is needed afterwards. */
static void fleet_trim(SimFleet *f, const SimSnapshot *n) {
        uint64_t ended = sim_stats_ended(f->stats);

        if (n->idle < n->started || ended == f->trimmed)
                return;
        f->trimmed = ended;
        (void) malloc_trim(0);
}

static void fleet_show(SimFleet *f) {
        SimSnapshot n;

        if (fleet_snapshot(f, &n) < 0)
                return;
        json_decref(n.versions);
        fleet_trim(f, &n);
        _cleanup_free_ char *text =
                        strjoinf("%" PRIu64 " agents, %" PRIu64 " online, %" PRIu64
                                 " updating; instructions: %" PRIu64 " came, %" PRIu64 " ended",
                                 n.agents, n.online, n.started - n.idle, sim_stats_received(f->stats),
                                 sim_stats_ended(f->stats));
        if (!text || f->o.quiet)
                return;
        if (f->terminal)
                fprintf(stderr, "\r%s\x1b[K", text);
        else
                fprintf(stderr, "%s\n", text);
        f->line_open = f->terminal;
        (void) fflush(stderr);
}

static bool fleet_is_settled(SimFleet *f) {
        for (uint32_t i = 0; i < f->o.n; i++)
                if (!sim_agent_is_settled(f->agents[i]))
                        return false;
        return true;
}

static bool fleet_is_connected(SimFleet *f) {
        SimSnapshot n;

        if (fleet_snapshot(f, &n) < 0)
                return false;
        json_decref(n.versions);
        return n.online + n.absent + n.lost == n.agents && n.online > 0;
}

/* Has come about what --until= names? */
static bool fleet_is_done(SimFleet *f) {
        usec_t t = now(CLOCK_BOOTTIME);

        if (f->n_started < f->o.n || f->o.until == SIM_UNTIL_STOPPED)
                return false;
        if (f->o.until == SIM_UNTIL_CONNECTED)
                return fleet_is_connected(f);
        if (sim_stats_received(f->stats) == 0 || !fleet_is_settled(f)) {
                f->settled_since = 0;
                return false;
        }
        f->settled_since = f->settled_since ?: t;
        return t - f->settled_since >= QUIET_FOR;
}

static int on_show(sd_event_source *source, uint64_t usec, void *userdata) {
        SimFleet *f = userdata;

        if (f->stopping)
                return 0;
        if (f->terminal || now(CLOCK_BOOTTIME) - f->begun >= f->shown + SHOW_LINES) {
                f->shown = now(CLOCK_BOOTTIME) - f->begun;
                fleet_show(f);
        }
        if (fleet_is_done(f))
                return sim_fleet_stop(f);
        return event_timer_arm(f->o.event, &f->show_source, SHOW_TERMINAL, on_show, f, "sim-show");
}

/* Thousands of agents say the same when a token is used up: once is enough. */
static void on_trouble(SimAgent *a, const char *message, void *userdata) {
        SimFleet *f = userdata;

        if (hashmap_size(f->troubles) >= TROUBLES_MAX || hashmap_put(f->troubles, message, f) < 0)
                return;
        fleet_end_line(f);
        cli_note("Agent %" PRIu32 " (%s): %s", sim_agent_machine(a)->number, sim_agent_machine(a)->id,
                 message);
        if (hashmap_size(f->troubles) == TROUBLES_MAX)
                cli_note("Further troubles of agents are not shown.");
}

/* ---- starting ---- */

static int fleet_start_failed(SimFleet *f, int error) {
        static const char damaged[] =
                        "its record is damaged; remove that folder, and the agent from the gateway";
        uint32_t number = f->o.first + f->n_started;

        fleet_end_line(f);
        cli_note("Cannot start agent %" PRIu32 " in %s/%08" PRIu32 ": %s.", number, f->o.state_directory,
                 number, error == -EBADMSG ? damaged : strerror(-error));
        return sd_event_exit(f->o.event, error);
}

/* As many as are due, though not too many at once. */
static int fleet_start_some(SimFleet *f, uint64_t due) {
        for (unsigned i = 0; i < START_AT_ONCE && f->n_started < MIN(due, (uint64_t) f->o.n); i++) {
                int r = sim_agent_start(f->agents[f->n_started]);
                if (r < 0)
                        return fleet_start_failed(f, r);
                f->n_started++;
        }
        return 0;
}

static int on_start_turn(sd_event_source *source, void *userdata) {
        SimFleet *f = userdata;

        if (f->stopping)
                return 0;
        int r = fleet_start_some(f, f->o.n);
        if (r < 0 || f->n_started >= f->o.n)
                return r;
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_start_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        SimFleet *f = userdata;
        usec_t passed = now(CLOCK_BOOTTIME) - f->begun;

        if (f->stopping)
                return 0;
        int r = fleet_start_some(f, passed * f->o.connect_rate / USEC_PER_SEC + 1);
        if (r < 0 || f->n_started >= f->o.n)
                return r;
        return event_timer_arm(f->o.event, &f->start_source, TICK, on_start_tick, f, "sim-start");
}

static int on_flood(sd_event_source *source, uint64_t usec, void *userdata) {
        SimFleet *f = userdata;
        uint64_t due = (now(CLOCK_BOOTTIME) - f->begun) / USEC_PER_MSEC * f->o.heartbeat_flood / 1000;

        if (f->stopping)
                return 0;
        /* what could not be sent in time is not made up for by more later */
        uint64_t n = MIN(due - f->beats, (uint64_t) f->o.heartbeat_flood / 10 + 1);
        f->beats = due;
        for (uint64_t i = 0; i < n; i++) {
                if (sim_agent_beat(f->agents[f->next_beat]) == 0)
                        sim_stats_beat(f->stats);
                f->next_beat = (f->next_beat + 1) % f->o.n;
        }
        return event_timer_arm(f->o.event, &f->flood_source, TICK, on_flood, f, "sim-flood");
}

int sim_fleet_start(SimFleet *f) {
        f->begun = now(CLOCK_BOOTTIME);
        int r = f->o.connect_rate == 0 ? event_defer_once(
                                                         f->o.event, &f->start_source, on_start_turn, f,
                                                         "sim-start") :
                                         event_timer_arm(f->o.event, &f->start_source, 0, on_start_tick, f,
                                                         "sim-start");
        if (r >= 0)
                r = event_timer_arm(f->o.event, &f->show_source, SHOW_TERMINAL, on_show, f, "sim-show");
        if (r >= 0 && f->o.heartbeat_flood > 0)
                r = event_timer_arm(f->o.event, &f->flood_source, TICK, on_flood, f, "sim-flood");
        return r < 0 ? tell(r, "Cannot begin") : 0;
}

/* ---- stopping ---- */

static int on_stop_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        SimFleet *f = userdata;
        return sd_event_exit(f->o.event, 0);
}

static void on_stopped(SimAgent *a, void *userdata) {
        SimFleet *f = userdata;
        if (++f->n_stopped >= f->n_started)
                (void) sd_event_exit(f->o.event, 0);
}

int sim_fleet_stop(SimFleet *f) {
        if (f->stopping)
                return sd_event_exit(f->o.event, 0);
        f->stopping = true;
        fleet_end_line(f);
        (void) sim_fleet_report(f); /* how it was, before everybody leaves */
        if (f->n_started == 0)
                return sd_event_exit(f->o.event, 0);
        for (uint32_t i = 0; i < f->n_started; i++)
                (void) sim_agent_stop(f->agents[i]);
        return event_timer_arm(f->o.event, &f->stop_source, STOP_TIMEOUT, on_stop_timer, f, "sim-stop");
}

/* ---- making ---- */

static int fleet_raise_limit(const SimFleetOptions *o) {
        uint64_t needed = (uint64_t) o->n * DESCRIPTORS_EACH + DESCRIPTORS_OTHER,
                 all_busy = (uint64_t) o->n * DESCRIPTORS_BUSY + DESCRIPTORS_OTHER;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return negative_errno();
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return negative_errno();
        if (limit.rlim_max < needed) {
                cli_note("%" PRIu32 " agents need about %" PRIu64 " descriptors, and %" PRIu64
                         " are allowed (ulimit -Hn). Play fewer of them, or share them out over several "
                         "processes with --first=.",
                         o->n, needed, (uint64_t) limit.rlim_max);
                return -EMFILE;
        }
        if (limit.rlim_max < all_busy && !o->quiet && !o->passive)
                cli_note("If more than %" PRIu64 " of them download at once, descriptors will be short "
                         "(ulimit -Hn says %" PRIu64 ").",
                         (uint64_t) limit.rlim_max / DESCRIPTORS_BUSY, (uint64_t) limit.rlim_max);
        return 0;
}

static int fleet_make_agents(SimFleet *f) {
        f->agents = new0(SimAgent *, f->o.n);
        if (!f->agents)
                return -ENOMEM;
        for (uint32_t i = 0; i < f->o.n; i++) {
                int r = sim_agent_new(f->agents + i, &f->context, f->o.first + i);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int fleet_make_parts(SimFleet *f) {
        int r = hashmap_new(&f->troubles, NULL);
        if (r >= 0)
                r = sim_stats_new(&f->stats);
        if (r >= 0)
                r = rpc_queue_new(&f->queue, f->o.event, 1, OPERATIONS_EACH * f->o.n + 64);
        f->context = (SimContext){
                .event = f->o.event,
                .queue = f->queue,
                .conf = f->o.conf,
                .plan = f->o.plan,
                .first_version = f->o.first_version,
                .join_token_file = f->o.join_token_file,
                .state_fd = sim_state_fd(f->state),
                .passive = f->o.passive,
                .stats = f->stats,
                .log = f->log,
                .on_trouble = on_trouble,
                .on_stopped = on_stopped,
                .userdata = f,
        };
        return r < 0 ? r : fleet_make_agents(f);
}

int sim_fleet_new(SimFleet **ret, const SimFleetOptions *options) {
        _cleanup_(sim_fleet_freep) SimFleet *f = new0(SimFleet, 1);
        _cleanup_free_ char *message = NULL;

        if (!f)
                return tell(-ENOMEM, "Cannot go on");
        f->o = *options;
        f->terminal = isatty(STDERR_FILENO) && !streq(strempty(getenv("TERM")), "dumb");
        int r = fleet_raise_limit(options);
        if (r < 0)
                return r;
        r =
                        sim_state_open(&f->state, options->state_directory, options->plan->seed,
                                       options->first, options->n, &message);
        if (message)
                cli_note("%s", message);
        else if (r < 0)
                cli_note("Cannot use the directory %s: %s.", options->state_directory, strerror(-r));
        if (r < 0)
                return r;
        r = sim_log_new(&f->log, options->log_path);
        if (r < 0) {
                cli_note("Cannot write to the log %s: %s.", options->log_path, strerror(-r));
                return r;
        }
        r = fleet_make_parts(f);
        if (r < 0)
                return tell(r, "Cannot make the agents");
        *ret = TAKE_PTR(f);
        return 0;
}

SimFleet *sim_fleet_free(SimFleet *f) {
        if (!f)
                return NULL;
        for (uint32_t i = 0; f->agents && i < f->o.n; i++)
                sim_agent_free(f->agents[i]);
        free(f->agents);
        rpc_queue_free(f->queue);
        sim_log_free(f->log);
        sim_stats_free(f->stats);
        sim_state_free(f->state);
        hashmap_free(f->troubles);
        sd_event_source_disable_unref(f->start_source);
        sd_event_source_disable_unref(f->show_source);
        sd_event_source_disable_unref(f->flood_source);
        sd_event_source_disable_unref(f->stop_source);
        free(f);
        return NULL;
}
