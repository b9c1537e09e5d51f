/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-agent.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "agent-instance.h"
#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "sim-fate.h"
#include "sim-updater.h"
#include "string-util.h"

#define HTTP_IDLE (2 * USEC_PER_SEC)
#define STUCK_PAUSE USEC_PER_SEC /* the service manager's RestartSec= */
#define BUSY_PAUSE USEC_PER_SEC  /* a machine is not switched off in the middle of a trial */
#define LOWEST_SPEED KIB(2)      /* below that the agent gives up, see LowSpeedTimeSec= */

struct SimAgent {
        const SimContext *c;
        SimMachine machine;
        AgentConf conf; /* the shared one, but for what a fate changes */
        int state_fd;
        SimUpdater *updater;
        Agent *agent; /* NULL: switched off, or between two versions */

        bool enrolled, lost, absent, stopping, stopped, agent_stopping;
        usec_t session_ended; /* CLOCK_BOOTTIME; 0: in a session, or none was to be expected */

        char instruction[33]; /* the last one that was taken */
        usec_t received;      /* CLOCK_BOOTTIME, 0: not by this process */
        SimFate fate;         /* of that */

        uint64_t n_absences, n_flaps;
        char *trouble; /* told last */
        sd_event_source *gone_source, *absence_source, *flap_source, *stuck_source;
};

static void sim_agent_try_on(SimAgent *a);
static void sim_agent_plan_absence(SimAgent *a);

/* ---- what the agent tells ---- */

static void on_property(Agent *agent, const char *property, void *userdata) {
        SimAgent *a = userdata;
        AgentStatus s;

        /* in a session it is how an update ended, which the report tells */
        if (!streq(property, "LastError") || a->agent != agent || agent_is_connected(agent))
                return;
        agent_get_status(agent, &s);
        if (!isempty(s.last_error) && free_and_strdup(&a->trouble, s.last_error) > 0)
                a->c->on_trouble(a, s.last_error, a->c->userdata);
}

static void download_is_over(SimAgent *a) {
        if (a->conf.url != a->c->conf->url)
                free(a->conf.url);
        a->conf.url = a->c->conf->url;
        a->conf.speed_limit = a->c->conf->speed_limit;
}

/* One that is to fail looks for the repository where it is not. */
static void prepare_download(SimAgent *a) {
        download_is_over(a);
        if (a->fate.end != SIM_END_FAILS || a->fate.phase != UPDATE_PHASE_DOWNLOADING)
                return;
        char *url = strjoinf("%s/nowhere", a->c->conf->url);
        if (!url)
                log_oom();
        a->conf.url = url ?: a->c->conf->url;
}

static bool
on_instruction(Agent *agent, const Instruction *i, InstructionDecision decision, void *userdata) {
        static const char *const names[_INSTRUCTION_DECISION_MAX] = {
                [INSTRUCTION_ACCEPT] = "accept",     [INSTRUCTION_CONTINUE] = "continue",
                [INSTRUCTION_FINISHED] = "finished", [INSTRUCTION_DONE] = "done",
                [INSTRUCTION_REFUSE] = "refuse",     [INSTRUCTION_IGNORE] = "ignore",
        };
        SimAgent *a = userdata;

        sim_log_instruction(a->c->log, &a->machine, i, a->c->passive ? "passive" : names[decision]);
        sim_stats_instruction(a->c->stats, i->id, a->c->passive ? INSTRUCTION_IGNORE : decision);
        if (a->c->passive)
                return false;
        if (decision == INSTRUCTION_ACCEPT || decision == INSTRUCTION_CONTINUE) {
                if (!streq(a->instruction, i->id)) {
                        snprintf(a->instruction, sizeof(a->instruction), "%s", i->id);
                        /* that of one which an earlier process took is not known */
                        a->received = decision == INSTRUCTION_ACCEPT ? now(CLOCK_BOOTTIME) : 0;
                }
                if (sim_updater_foretell(a->updater, i->version, i->id, &a->fate) < 0)
                        log_oom();
                if (i->back)
                        sim_fate_of_return(&a->fate);
                prepare_download(a);
        }
        return true;
}

/* One byte of what is about to be read back turns over, as on a disk that fails. */
static void damage_download(SimAgent *a) {
        _cleanup_strv_free_ char **names = NULL;
        uint8_t byte;

        if (dir_list_at(a->state_fd, "downloads", &names) < 0 || !names[0])
                return;
        _cleanup_free_ char *path = strjoinf("downloads/%s", names[0]);
        _cleanup_close_ int fd = path ? openat(a->state_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -EBADF;
        if (fd < 0 || pread(fd, &byte, 1, 0) != 1)
                return;
        byte ^= 1;
        if (pwrite(fd, &byte, 1, 0) != 1)
                log_debug_errno(-errno, "Cannot damage a download: %m");
}

static void on_shown(Agent *agent, void *userdata) {
        const UpdateRecord *u = agent_current_update(agent);
        SimAgent *a = userdata;

        if (!u || a->agent != agent || !streq(u->instruction, a->instruction))
                return;
        usec_t span = a->fate.times[UPDATE_PHASE_DOWNLOADING];
        if (u->phase == UPDATE_PHASE_DOWNLOADING && u->bytes_total > 0 && span > 0 &&
            a->conf.speed_limit == a->c->conf->speed_limit)
                a->conf.speed_limit = MAX(u->bytes_total * USEC_PER_SEC / span, LOWEST_SPEED);
        else if (u->phase == UPDATE_PHASE_VERIFYING && a->fate.end == SIM_END_FAILS &&
                 a->fate.phase == UPDATE_PHASE_VERIFYING) {
                damage_download(a);
                a->fate.phase = _UPDATE_PHASE_INVALID; /* once is enough */
        }
        if (u->phase > UPDATE_PHASE_DOWNLOADING)
                download_is_over(a);
}

/* An end that was not drawn says something about the gateway, or about this machine. */
static void tell_surprise(SimAgent *a, const UpdateRecord *u) {
        bool succeeds = a->fate.end == SIM_END_SUCCEEDS;

        if (succeeds ? u->phase == UPDATE_PHASE_SUCCEEDED : u->verdict == a->fate.verdict)
                return;
        _cleanup_free_ char *text =
                        strjoinf("The update to %s was to %s, and ended as %s (%s): %s", u->to,
                                 succeeds ? "succeed" : "fail otherwise", update_phase_to_string(u->phase),
                                 update_verdict_to_string(u->verdict), u->message);
        a->c->on_trouble(a, strempty(text), a->c->userdata);
}

static void on_update_finished(Agent *agent, const UpdateRecord *u, void *userdata) {
        SimAgent *a = userdata;
        bool ours = *u->instruction && streq(u->instruction, a->instruction);

        download_is_over(a);
        if (ours && u->phase != UPDATE_PHASE_CANCELLED)
                tell_surprise(a, u);
        sim_stats_finished(
                        a->c->stats, u->phase, u->verdict,
                        ours && a->received > 0 ? usec_sub(now(CLOCK_BOOTTIME), a->received) :
                                                  USEC_INFINITY);
        if (ours)
                a->instruction[0] = '\0';
}

static void on_session(Agent *agent, bool begun, void *userdata) {
        SimAgent *a = userdata;

        sim_log_session(a->c->log, &a->machine, begun);
        if (begun) {
                sim_stats_session(
                                a->c->stats,
                                a->session_ended > 0 ? usec_sub(now(CLOCK_BOOTTIME), a->session_ended) :
                                                       USEC_INFINITY);
                a->session_ended = 0;
        } else if (!a->agent_stopping)
                a->session_ended = now(CLOCK_BOOTTIME);
        sim_updater_on_session(a->updater, begun);
}

static void on_status(Agent *agent, const UpdateRecord *u, bool progress, void *userdata) {
        SimAgent *a = userdata;
        sim_log_status(a->c->log, &a->machine, u, progress);
        sim_stats_status(a->c->stats);
}

static void on_acknowledged(Agent *agent, const char *instruction, void *userdata) {
        SimAgent *a = userdata;
        sim_log_acknowledged(a->c->log, &a->machine, instruction);
        sim_stats_acknowledged(a->c->stats);
}

/* ---- the agent comes and goes ---- */

static void sim_agent_drop(SimAgent *a) {
        if (!a->agent)
                return;
        sim_stats_bytes(a->c->stats, agent_bytes_received(a->agent));
        if (agent_is_connected(a->agent)) { /* cut off without a goodbye */
                sim_log_session(a->c->log, &a->machine, false);
                sim_updater_on_session(a->updater, false);
        }
        sim_log_machine(a->c->log, &a->machine, "stopped", sim_agent_version(a), "");
        a->agent = agent_free(a->agent);
        a->agent_stopping = false;
        a->session_ended = 0;
        download_is_over(a);
        (void) event_timer_disarm(a->flap_source);
        (void) event_timer_disarm(a->stuck_source);
}

static int on_gone(sd_event_source *source, void *userdata) {
        SimAgent *a = userdata;

        sim_agent_drop(a);
        if (!a->stopping)
                sim_updater_on_agent_gone(a->updater);
        else if (!a->stopped) {
                a->stopped = true;
                a->c->on_stopped(a, a->c->userdata);
        }
        return 0;
}

static void sim_agent_gone_soon(SimAgent *a) {
        if (event_defer_once(a->c->event, &a->gone_source, on_gone, a, "sim-agent-gone") < 0)
                log_oom();
}

static void on_stopped(Agent *agent, void *userdata) {
        sim_agent_gone_soon(userdata);
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata) {
        SimAgent *a = userdata;

        sim_agent_drop(a);
        sim_agent_try_on(a);
        return 0;
}

/* As the service manager would. */
static void sim_agent_restart_soon(SimAgent *a) {
        if (event_timer_arm(a->c->event, &a->stuck_source, STUCK_PAUSE, on_restart, a, "sim-agent-stuck") <
            0)
                log_oom();
}

static void on_stuck(Agent *agent, int error, void *userdata) {
        sim_agent_restart_soon(userdata);
}

static const AgentHandlers agent_handlers = {
        .on_property = on_property,
        .on_shown = on_shown,
        .on_update_finished = on_update_finished,
        .on_stopped = on_stopped,
        .on_stuck = on_stuck,
        .on_instruction = on_instruction,
        .on_session = on_session,
        .on_status = on_status,
        .on_acknowledged = on_acknowledged,
};

static int on_flap(sd_event_source *source, uint64_t usec, void *userdata);

static void sim_agent_plan_flap(SimAgent *a) {
        if (a->machine.flapping && !a->stopping)
                (void) event_timer_arm(
                                a->c->event, &a->flap_source,
                                sim_flap(a->c->plan, &a->machine, a->n_flaps++), on_flap, a, "sim-flap");
}

static int on_flap(sd_event_source *source, uint64_t usec, void *userdata) {
        SimAgent *a = userdata;

        if (a->agent)
                (void) agent_drop_connection(a->agent);
        sim_agent_plan_flap(a);
        return 0;
}

static int sim_agent_switch_on(SimAgent *a) {
        AgentOptions options = {
                .event = a->c->event,
                .queue = a->c->queue,
                .conf = &a->conf,
                .facts = &a->machine.facts,
                .agent_id = a->machine.id,
                .running_version = sim_updater_version(a->updater),
                .state_fd = a->state_fd,
                .updater = sim_updater_interface(a->updater),
                .join_token_file = a->c->join_token_file,
                .http_idle = HTTP_IDLE,
                .handlers = &agent_handlers,
                .userdata = a,
        };
        int r = agent_new(&a->agent, &options);
        if (r >= 0)
                r = agent_start(a->agent);
        if (r >= 0)
                r = agent_updater_ask_view(options.updater);
        if (r < 0 && r != -EALREADY) {
                a->agent = agent_free(a->agent);
                return r;
        }
        sim_log_machine(a->c->log, &a->machine, "started", sim_agent_version(a), "");
        sim_agent_plan_flap(a);
        return 0;
}

static void sim_agent_try_on(SimAgent *a) {
        if (a->stopping || a->lost || a->absent)
                return;
        int r = sim_agent_switch_on(a);
        if (r >= 0)
                return;
        _cleanup_free_ char *message = strjoinf("It cannot be started, trying again: %s.", strerror(-r));
        a->c->on_trouble(a, strempty(message), a->c->userdata);
        sim_agent_restart_soon(a);
}

/* ---- the updater's wishes ---- */

static void on_stop_agent(SimUpdater *u, void *userdata) {
        SimAgent *a = userdata;

        if (!a->agent) {
                sim_agent_gone_soon(a);
                return;
        }
        a->agent_stopping = true;
        if (agent_stop(a->agent) < 0)
                sim_agent_gone_soon(a);
}

static void on_start_agent(SimUpdater *u, void *userdata) {
        sim_agent_try_on(userdata);
}

static void on_lost(SimUpdater *u, void *userdata) {
        SimAgent *a = userdata;
        a->lost = true;
        sim_log_machine(a->c->log, &a->machine, "lost", sim_agent_version(a), "");
}

static bool on_drain_seen(SimUpdater *u, void *userdata) {
        SimAgent *a = userdata;
        AgentStatus s;

        if (!a->agent)
                return false;
        agent_get_status(a->agent, &s);
        return s.drain_seen;
}

static void on_updater_trouble(SimUpdater *u, const char *message, void *userdata) {
        SimAgent *a = userdata;
        a->c->on_trouble(a, message, a->c->userdata);
}

static void on_installing(SimUpdater *u, const char *instruction, const char *version, void *userdata) {
        SimAgent *a = userdata;
        sim_log_machine(a->c->log, &a->machine, "installing", version, instruction);
        sim_stats_installing(a->c->stats);
}

static const SimUpdaterHandlers updater_handlers = {
        .stop_agent = on_stop_agent,
        .start_agent = on_start_agent,
        .on_lost = on_lost,
        .drain_seen = on_drain_seen,
        .on_installing = on_installing,
        .on_trouble = on_updater_trouble,
};

/* ---- absence ---- */

static int on_return(sd_event_source *source, uint64_t usec, void *userdata);

/* The power is off: no goodbye. A trial is waited for, so that its end hangs on its fate alone. */
static int on_leave(sd_event_source *source, uint64_t usec, void *userdata) {
        SimAgent *a = userdata;
        usec_t after, length;

        if (a->stopping || a->lost)
                return 0;
        if (sim_updater_is_busy(a->updater) || a->agent_stopping)
                return event_timer_arm(
                                a->c->event, &a->absence_source, BUSY_PAUSE, on_leave, a, "sim-absence");
        sim_absence(a->c->plan, &a->machine, a->n_absences++, &after, &length);
        a->absent = true;
        sim_agent_drop(a);
        a->absence_source = sd_event_source_disable_unref(a->absence_source);
        return event_timer_arm(a->c->event, &a->absence_source, length, on_return, a, "sim-absence");
}

static int on_return(sd_event_source *source, uint64_t usec, void *userdata) {
        SimAgent *a = userdata;

        if (a->stopping)
                return 0;
        a->absent = false;
        sim_agent_try_on(a);
        sim_agent_plan_absence(a);
        return 0;
}

static void sim_agent_plan_absence(SimAgent *a) {
        usec_t after, length;

        if (!a->machine.offline)
                return;
        sim_absence(a->c->plan, &a->machine, a->n_absences, &after, &length);
        a->absence_source = sd_event_source_disable_unref(a->absence_source);
        if (event_timer_arm(a->c->event, &a->absence_source, after, on_leave, a, "sim-absence") < 0)
                log_oom();
}

/* ---- life ---- */

int sim_agent_new(SimAgent **ret, const SimContext *context, uint32_t number) {
        _cleanup_(sim_agent_freep) SimAgent *a = new0(SimAgent, 1);
        if (!a)
                return -ENOMEM;
        a->c = context;
        a->conf = *context->conf; /* its texts are borrowed */
        a->state_fd = -EBADF;
        int r = sim_machine_init(&a->machine, context->plan, number);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

SimAgent *sim_agent_free(SimAgent *a) {
        if (!a)
                return NULL;
        agent_free(a->agent);
        sim_updater_free(a->updater);
        sd_event_source_disable_unref(a->gone_source);
        sd_event_source_disable_unref(a->absence_source);
        sd_event_source_disable_unref(a->flap_source);
        sd_event_source_disable_unref(a->stuck_source);
        download_is_over(a);
        sim_machine_done(&a->machine);
        fd_close(a->state_fd);
        free(a->trouble);
        free(a);
        return NULL;
}

static int sim_agent_open(SimAgent *a) {
        char name[16];

        snprintf(name, sizeof(name), "%08" PRIu32, a->machine.number);
        if (mkdirat(a->c->state_fd, name, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        a->state_fd = dir_open_at(a->c->state_fd, name);
        if (a->state_fd < 0)
                return a->state_fd;
        SimUpdaterOptions options = {
                .event = a->c->event,
                .state_fd = a->state_fd,
                .plan = a->c->plan,
                .machine = &a->machine,
                .first_version = a->c->first_version,
                .handlers = &updater_handlers,
                .userdata = a,
        };
        return sim_updater_new(&a->updater, &options);
}

int sim_agent_start(SimAgent *a) {
        int r = sim_agent_open(a);
        if (r >= 0)
                r = sim_agent_switch_on(a);
        if (r >= 0)
                sim_agent_plan_absence(a);
        return r;
}

int sim_agent_stop(SimAgent *a) {
        if (a->stopping)
                return 0;
        a->stopping = true;
        (void) event_timer_disarm(a->absence_source);
        (void) event_timer_disarm(a->flap_source);
        if (!a->agent)
                sim_agent_gone_soon(a);
        else if (!a->agent_stopping) {
                a->agent_stopping = true;
                return agent_stop(a->agent);
        }
        return 0;
}

int sim_agent_beat(SimAgent *a) {
        return a->agent ? agent_beat(a->agent) : -ENOTCONN;
}

/* ---- questions ---- */

const SimMachine *sim_agent_machine(const SimAgent *a) {
        return &a->machine;
}

const char *sim_agent_version(const SimAgent *a) {
        return a->updater ? sim_updater_version(a->updater) : NULL;
}

bool sim_agent_is_settled(const SimAgent *a) {
        if (a->lost)
                return true;
        return a->updater && a->agent && !sim_updater_is_busy(a->updater) &&
               !agent_current_update(a->agent) && agent_unacknowledged(a->agent) == 0;
}

void sim_agent_count(SimAgent *a, SimSnapshot *n) {
        const UpdateRecord *u = a->agent ? agent_current_update(a->agent) : NULL;
        UpdatePhase phase = u ? u->phase : _UPDATE_PHASE_INVALID;

        n->agents++;
        n->lost += a->lost;
        n->absent += a->absent;
        if (!a->updater)
                return;
        n->started++;
        a->enrolled = a->agent ? agent_is_enrolled(a->agent) : a->enrolled;
        n->enrolled += a->enrolled;
        if (!a->agent && sim_updater_is_busy(a->updater)) /* between two versions */
                phase = UPDATE_PHASE_RESTARTING;
        if (phase >= 0)
                n->phases[phase]++;
        else
                n->idle++;
        if (a->session_ended > 0)
                n->longest_silence =
                                MAX(n->longest_silence, usec_sub(now(CLOCK_BOOTTIME), a->session_ended));
        if (!a->agent)
                return;
        n->online += agent_is_connected(a->agent);
        n->unacknowledged += agent_unacknowledged(a->agent);
        n->bytes += agent_bytes_received(a->agent);
}
