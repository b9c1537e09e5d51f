/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-update.h"

#include "agent-fetch.h"
#include "alloc-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "messages.h"
#include "names.h"
#include "string-util.h"

#define RECORD_FILE "update"
#define POLL_INTERVAL (5 * USEC_PER_SEC) /* signals may be lost; the updater is asked now and then */
#define ASK_RETRY USEC_PER_SEC
#define HANDOVER_TRIES 30U
#define UNKNOWN_MAX 6U                    /* polls in which the updater knows nothing of our transaction */
#define SUSPENDED_MAX (60 * USEC_PER_SEC) /* for the gateway to repeat what was interrupted */
#define PROGRESS_INTERVAL (250 * USEC_PER_MSEC)
/* A new process does not know how many progress messages its predecessor sent after the last save. */
#define SEQUENCE_GAP ((uint64_t) 1 << 24)

struct AgentUpdate {
        AgentUpdateOptions o;
        char *ca_pem;
        UpdateRecord *record; /* in progress, NULL if none */
        usec_t deadline;      /* CLOCK_BOOTTIME, of the download */
        AgentFetch *fetch;    /* until the updater has answered Install: it holds the files */
        bool suspended;       /* an earlier process was interrupted before the hand-over */
        bool handing_over;    /* waiting for a fresh view, then Install */
        bool connected;
        bool result_checked; /* what the updater did last has been looked at */
        unsigned tries, unknown;
        usec_t progress_told; /* CLOCK_BOOTTIME */
        sd_event_source *poll_source, *suspended_source;
};

static void update_schedule_poll(AgentUpdate *u, usec_t pause);

/* ---- phase and end ---- */

static bool update_is_handed_over(const AgentUpdate *u) {
        return u->record && u->record->phase >= UPDATE_PHASE_STAGING && !u->handing_over;
}

static int update_save(AgentUpdate *u) {
        int r = update_record_save_at(u->record, u->o.state_fd, RECORD_FILE);
        return r < 0 ? log_warning_errno(r, "Cannot store how far the update is: %m") : 0;
}

/* The one place where a phase changes. Phases that the updater went through unseen are skipped. */
static void update_set_phase(AgentUpdate *u, UpdatePhase next) {
        UpdateRecord *record = u->record;

        if (!update_phase_can_follow(record->phase, next))
                return;
        record->phase = next;
        record->time_usec = now(CLOCK_REALTIME);
        int r = agent_report_phase(u->o.report, record);
        if (r < 0)
                log_warning_errno(r, "Cannot report the phase of the update: %m");
        (void) update_save(u);
        log_event(LOG_NOTICE, FLEET_MESSAGE_UPDATE_PHASE_STR, "MESSAGE=Update to %s: %s.", record->to,
                  update_phase_title(next), "FLEET_VERSION=%s", record->to, "FLEET_PHASE=%s",
                  update_phase_to_string(next), "FLEET_INSTRUCTION=%s", record->instruction,
                  "FLEET_TRANSACTION=%s", record->transaction, NULL);
        u->o.handlers->on_change(u, u->o.userdata);
}

static void update_log_end(const UpdateRecord *record) {
        const char *verdict = update_verdict_to_string(record->verdict),
                   *phase = update_phase_to_string(record->phase);

        if (record->phase == UPDATE_PHASE_FAILED)
                log_event(LOG_WARNING, FLEET_MESSAGE_UPDATE_REFUSED_STR,
                          "MESSAGE=Update to %s ended as %s (%s): %s", record->to, phase, verdict,
                          record->message, "FLEET_VERSION=%s", record->to, "FLEET_VERDICT=%s", verdict,
                          "FLEET_PHASE=%s", phase, "FLEET_INSTRUCTION=%s", record->instruction, NULL);
        else
                log_event(LOG_NOTICE, FLEET_MESSAGE_UPDATE_PHASE_STR, "MESSAGE=Update to %s: %s.%s%s",
                          record->to, update_phase_title(record->phase), *record->message ? " " : "",
                          record->message, "FLEET_VERSION=%s", record->to, "FLEET_PHASE=%s", phase,
                          "FLEET_VERDICT=%s", verdict, "FLEET_INSTRUCTION=%s", record->instruction,
                          "FLEET_TRANSACTION=%s", record->transaction, NULL);
}

/* Takes record: it has ended. The final status is on disk before what it came from is removed. */
static void record_end(AgentUpdate *u, UpdateRecord *record, bool stored) {
        _cleanup_(update_record_freep) UpdateRecord *ended = record;

        update_log_end(ended);
        int r = agent_report_final(u->o.report, ended);
        if (r < 0)
                log_warning_errno(
                                r,
                                "Cannot store the final status of the update; it is sent, but not after a "
                                "restart: %m");
        if (stored && r >= 0) /* otherwise the next process finds out once more how it ended */
                (void) unlink_durable_at(u->o.state_fd, RECORD_FILE);
        u->o.handlers->on_finished(u, ended, u->o.userdata);
        u->o.handlers->on_change(u, u->o.userdata);
}

static void update_finish(
                AgentUpdate *u,
                UpdatePhase phase,
                UpdateVerdict verdict,
                UpdatePhase failed_phase,
                const char *message) {
        UpdateRecord *record = TAKE_PTR(u->record);

        u->fetch = agent_fetch_free(u->fetch);
        u->suspended = u->handing_over = false;
        u->unknown = 0;
        (void) event_timer_disarm(u->poll_source);
        (void) event_timer_disarm(u->suspended_source);

        if (!update_phase_can_follow(record->phase, phase) && phase == UPDATE_PHASE_FAILED)
                phase = UPDATE_PHASE_ROLLED_BACK; /* there was something to go back from */
        if (phase != UPDATE_PHASE_SUCCEEDED)
                record->failed_phase = failed_phase >= 0 ? failed_phase : record->phase;
        record->phase = phase;
        record->verdict = verdict;
        record->time_usec = now(CLOCK_REALTIME);
        if (update_record_set_message(record, message) < 0)
                log_oom();
        if (phase != UPDATE_PHASE_FAILED || verdict != UPDATE_VERDICT_DOWNLOAD_FAILED)
                agent_fetch_clean(
                                u->o.state_fd); /* a broken download may be continued by the next attempt */
        record_end(u, record, /* stored= */ true);
}

/* ---- following the updater ---- */

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentUpdate *u = userdata;
        int r = agent_updater_ask_view(u->o.updater);
        if (r < 0 && r != -EALREADY)
                agent_update_on_view(u, r);
        return 0;
}

static void update_schedule_poll(AgentUpdate *u, usec_t pause) {
        if (event_timer_arm(u->o.event, &u->poll_source, pause, on_poll, u, "updater-poll") < 0)
                log_oom();
}

static void update_ask_result(AgentUpdate *u) {
        int r = agent_updater_ask_result(u->o.updater);
        if (r < 0 && r != -EALREADY)
                log_debug_errno(r, "Cannot ask the updater for its last result: %m");
}

/* Our transaction: the one it answered Install with; or, when that answer was lost, one to our version. */
static bool update_owns(AgentUpdate *u, const UpdaterView *view) {
        UpdateRecord *record = u->record;

        if (!record || isempty(view->transaction))
                return false;
        if (*record->transaction)
                return streq(record->transaction, view->transaction);
        if (!update_is_handed_over(u) || !streq(view->pending_version, record->to))
                return false;
        if (free_and_strdup(&record->transaction, view->transaction) < 0)
                return false;
        (void) update_save(u);
        return true;
}

static void update_follow(AgentUpdate *u, const UpdaterView *view) {
        UpdatePhase phase = update_phase_from_string(view->state);

        u->unknown = 0;
        if (phase < 0)
                return;
        if (phase > UPDATE_PHASE_RESTARTING && phase < UPDATE_PHASE_ROLLING_BACK && u->connected &&
            streq(u->o.running_version, u->record->to))
                update_set_phase(u, UPDATE_PHASE_CONNECTED);
        update_set_phase(u, phase);
}

/* The updater has forgotten the transaction, or never had it: judge by what runs, so that the instruction
 * ends. */
static void update_give_up(AgentUpdate *u) {
        if (streq(u->o.running_version, u->record->to))
                update_finish(u, UPDATE_PHASE_SUCCEEDED, UPDATE_VERDICT_NONE, _UPDATE_PHASE_INVALID,
                              "The updater has no record of this update, but the version runs.");
        else
                update_finish(u, UPDATE_PHASE_FAILED, UPDATE_VERDICT_INTERRUPTED, _UPDATE_PHASE_INVALID,
                              "The updater has no record of this update, and the version does not run.");
}

static bool result_is_ours(const UpdateRecord *record, const UpdaterResult *x) {
        if (*record->transaction)
                return streq(record->transaction, x->transaction);
        return *record->instruction && streq(record->instruction, x->instruction);
}

/* Something that did not come from here: the package, an operator, a process before this one without a
 * record. */
static void update_report_foreign(AgentUpdate *u, const UpdaterResult *x) {
        _cleanup_(update_record_freep) UpdateRecord *record = NULL;

        if (agent_report_find_transaction(u->o.report, x->transaction))
                return;
        const UpdateRecord *known = agent_report_find_instruction(u->o.report, x->instruction);
        int r = update_record_new(&record, known ? "" : x->instruction, x->from, x->to);
        if (r >= 0 && free_and_strdup(&record->transaction, x->transaction) < 0)
                r = -ENOMEM;
        if (r >= 0)
                r = update_record_set_message(record, x->message);
        if (r < 0) {
                log_oom();
                return;
        }
        record->phase = x->phase;
        record->failed_phase = x->failed_phase;
        record->verdict = x->verdict;
        record->time_usec = x->time_usec > 0 ? x->time_usec : now(CLOCK_REALTIME);
        record->sequence = record->time_usec; /* rises from one such update to the next */
        record_end(u, TAKE_PTR(record), /* stored= */ false);
}

void agent_update_on_result(AgentUpdate *u, int error, const UpdaterResult *x) {
        if (error == 0 && x && u->record && update_is_handed_over(u) && result_is_ours(u->record, x)) {
                if (!*u->record->transaction)
                        (void) free_and_strdup(&u->record->transaction, x->transaction);
                u->result_checked = true;
                update_finish(u, x->phase, x->verdict, x->failed_phase, x->message);
                return;
        }
        if (update_is_handed_over(u)) {
                if (error == 0 && ++u->unknown >= UNKNOWN_MAX)
                        update_give_up(u);
                return;
        }
        if (error == 0) {
                u->result_checked = true;
                if (x)
                        update_report_foreign(u, x);
        }
}

/* ---- handing over ---- */

static int update_ask_install(AgentUpdate *u, const TufBytes *metadata) {
        UpdaterTarget targets[AGENT_FETCH_TARGETS];
        UpdaterInstall request = {
                .version = u->record->to,
                .metadata = metadata,
                .targets = targets,
                .n_targets = AGENT_FETCH_TARGETS,
                .instruction = u->record->instruction,
                .retry = u->record->retry,
        };

        if (u->record->back)
                return agent_updater_roll_back(u->o.updater, u->record->to, u->record->instruction);
        agent_fetch_targets(u->fetch, targets);
        return agent_updater_install(u->o.updater, &request);
}

static void update_hand_over(AgentUpdate *u, const UpdaterView *view) {
        _cleanup_(tuf_bytes_freep) TufBytes *metadata = NULL;
        int r = 0;

        if (!u->record->back)
                r = agent_metadata_collect(u->o.metadata, view->root_version, &metadata);
        if (r < 0) {
                _cleanup_free_ char *message = strjoinf(
                                "Cannot put the metadata together for the updater, whose root is version "
                                "%" PRIu64
                                ": %s.",
                                view->root_version, strerror(-r));
                update_finish(u, UPDATE_PHASE_FAILED, UPDATE_VERDICT_INTERNAL, _UPDATE_PHASE_INVALID,
                              strempty(message));
                return;
        }
        /* From here on another process of the agent has to know about it. */
        r = update_save(u);
        if (r < 0) {
                _cleanup_free_ char *message = strjoinf(
                                "Cannot store the state of the update in the state directory: %s. Nothing was changed.",
                                strerror(-r));
                update_finish(u, UPDATE_PHASE_FAILED,
                              errno_is_disk_space(r) ? UPDATE_VERDICT_DISK_FULL : UPDATE_VERDICT_INTERNAL,
                              _UPDATE_PHASE_INVALID, strempty(message));
                return;
        }
        update_set_phase(u, UPDATE_PHASE_STAGING);
        r = update_ask_install(u, metadata);
        if (r < 0) {
                _cleanup_free_ char *message = strjoinf("Cannot call the updater: %s.", strerror(-r));
                update_finish(u, UPDATE_PHASE_FAILED, UPDATE_VERDICT_INTERNAL, _UPDATE_PHASE_INVALID,
                              strempty(message));
                return;
        }
        u->handing_over = false;
        update_schedule_poll(u, POLL_INTERVAL);
}

void agent_update_on_install(AgentUpdate *u, int error, UpdateVerdict verdict, const char *text) {
        if (!update_is_handed_over(u))
                return;
        u->fetch = agent_fetch_free(u->fetch); /* the updater has its own descriptors by now */
        if (error == 0) {
                if (free_and_strdup(&u->record->transaction, text) < 0)
                        log_oom();
                (void) update_save(u);
                int r = agent_report_phase(
                                u->o.report, u->record); /* the same phase, now with its transaction */
                if (r < 0)
                        log_oom();
                update_schedule_poll(u, ASK_RETRY);
                return;
        }
        if (IN_SET(error, -ENOTCONN, -ETIMEDOUT, -ECONNRESET) && verdict == UPDATE_VERDICT_INTERNAL) {
                /* perhaps it was accepted: the updater will know */
                log_warning("The updater's answer was lost (%s), asking it later.", text);
                update_schedule_poll(u, ASK_RETRY);
                return;
        }
        update_finish(u, UPDATE_PHASE_FAILED, verdict, UPDATE_PHASE_STAGING, text);
}

static void update_handover_failed(AgentUpdate *u, int error) {
        if (++u->tries < HANDOVER_TRIES && error != -EOPNOTSUPP) {
                update_schedule_poll(u, ASK_RETRY);
                return;
        }
        _cleanup_free_ char *message = strjoinf(
                        "The updater (" FLEET_UPDATER_BUS_NAME ") cannot be reached on the system bus: %s.",
                        error == -EOPNOTSUPP ? "this agent was started without one" : strerror(-error));
        update_finish(u, UPDATE_PHASE_FAILED, UPDATE_VERDICT_INTERNAL, UPDATE_PHASE_STAGING,
                      strempty(message));
}

void agent_update_on_view(AgentUpdate *u, int error) {
        const UpdaterView *view = agent_updater_view(u->o.updater);

        if (u->handing_over) {
                if (error < 0)
                        update_handover_failed(u, error);
                else
                        update_hand_over(u, view);
                return;
        }
        bool idle = streq(view->state, "idle") || isempty(view->state);
        if (update_is_handed_over(u) || !idle)
                update_schedule_poll(u, POLL_INTERVAL);
        if (error < 0)
                return;
        if (!idle)
                u->result_checked = false;
        if (!idle && update_owns(u, view))
                update_follow(u, view);
        else if (idle && (update_is_handed_over(u) || !u->result_checked))
                update_ask_result(u);
        u->o.handlers->on_change(u, u->o.userdata);
}

/* The updater may have begun something of its own: with a view of now. */
static void update_plan_hand_over(AgentUpdate *u) {
        u->handing_over = true;
        u->tries = 0;
        int r = agent_updater_ask_view(u->o.updater);
        if (r < 0 && r != -EALREADY)
                update_handover_failed(u, r);
}

/* ---- fetching ---- */

static void on_fetch_progress(AgentFetch *f, uint64_t done, uint64_t total, void *userdata) {
        AgentUpdate *u = userdata;
        u->record->bytes_done = done;
        u->record->bytes_total = total;
        agent_report_progress(u->o.report, u->record);
        usec_t time = now(CLOCK_BOOTTIME); /* chunks come by the thousand; nobody on the bus wants each of
                                              them */
        if (usec_sub(time, u->progress_told) < PROGRESS_INTERVAL && done < total)
                return;
        u->progress_told = time;
        u->o.handlers->on_change(u, u->o.userdata);
}

static void on_fetch_verifying(AgentFetch *f, void *userdata) {
        update_set_phase(userdata, UPDATE_PHASE_VERIFYING);
}

static void on_fetch_finish(AgentFetch *f, UpdateVerdict verdict, const char *message, void *userdata) {
        AgentUpdate *u = userdata;

        if (verdict != UPDATE_VERDICT_NONE) {
                update_finish(u, UPDATE_PHASE_FAILED, verdict, _UPDATE_PHASE_INVALID, message);
                return;
        }
        update_plan_hand_over(u);
}

static const AgentFetchHandlers fetch_handlers = {
        .on_progress = on_fetch_progress,
        .on_verifying = on_fetch_verifying,
        .on_finish = on_fetch_finish,
};

static void update_start_fetch(AgentUpdate *u) {
        AgentFetchOptions options = {
                .event = u->o.event,
                .http = u->o.http,
                .state_fd = u->o.state_fd,
                .conf = u->o.conf,
                .metadata = u->o.metadata,
                .ca_pem = u->ca_pem,
                .architecture = u->o.architecture,
                .running_version = u->o.running_version,
                .packaging = u->o.packaging,
                .version = u->record->to,
                .repository_url = u->record->repository_url,
                .deadline = u->deadline,
                .handlers = &fetch_handlers,
                .userdata = u,
        };
        update_set_phase(u, UPDATE_PHASE_DOWNLOADING);
        int r = agent_fetch_start(&u->fetch, &options);
        if (r < 0) {
                _cleanup_free_ char *message = strjoinf("Cannot begin the download: %s.", strerror(-r));
                update_finish(u, UPDATE_PHASE_FAILED, agent_fetch_verdict(r, TUF_OK), _UPDATE_PHASE_INVALID,
                              strempty(message));
        }
}

/* What goes back has been fetched long ago. */
static void update_start(AgentUpdate *u) {
        if (u->record->back)
                update_plan_hand_over(u);
        else
                update_start_fetch(u);
}

/* ---- instructions ---- */

int agent_update_begin(AgentUpdate *u, const Instruction *i) {
        int r = update_record_new(&u->record, i->id, u->o.running_version, i->version);
        if (r >= 0 && free_and_strdup(&u->record->repository_url, i->repository_url) < 0) {
                u->record = update_record_free(u->record);
                r = -ENOMEM;
        }
        if (r < 0)
                return r;
        u->record->retry = i->retry;
        u->record->back = i->back;
        u->deadline = usec_add(now(CLOCK_BOOTTIME), instruction_lease(i));
        update_start(u);
        return 0;
}

void agent_update_continue(AgentUpdate *u, const Instruction *i) {
        if (!u->suspended)
                return;
        log_info("Going on with the update to %s, which was interrupted.", u->record->to);
        u->suspended = false;
        (void) event_timer_disarm(u->suspended_source);
        u->deadline = usec_add(now(CLOCK_BOOTTIME), instruction_lease(i));
        update_start(u);
}

void agent_update_supersede(AgentUpdate *u, const Instruction *i) {
        if (u->suspended && !streq(u->record->instruction, i->id))
                update_finish(u, UPDATE_PHASE_FAILED, UPDATE_VERDICT_INTERRUPTED, _UPDATE_PHASE_INVALID,
                              "The agent was restarted in the middle, and the gateway asks for something "
                              "else by now.");
}

int agent_update_answer(
                AgentUpdate *u,
                const Instruction *i,
                UpdatePhase phase,
                UpdateVerdict verdict,
                const char *message) {
        _cleanup_(update_record_freep) UpdateRecord *record = NULL;
        int r = update_record_new(&record, i->id, u->o.running_version, i->version);
        if (r >= 0)
                r = update_record_set_message(record, message);
        if (r < 0)
                return r;
        record->phase = phase;
        record->verdict = verdict;
        if (phase != UPDATE_PHASE_SUCCEEDED)
                record->failed_phase = UPDATE_PHASE_OFFERED;
        record_end(u, TAKE_PTR(record), /* stored= */ false);
        return 0;
}

void agent_update_cancel(AgentUpdate *u, const char *instruction) {
        if (!u->record || !streq(u->record->instruction, instruction))
                return;
        if (u->record->phase >= UPDATE_PHASE_STAGING) {
                log_info("Update %s cannot be withdrawn any more: the updater has it.", instruction);
                return;
        }
        update_finish(u, UPDATE_PHASE_CANCELLED, UPDATE_VERDICT_NONE, _UPDATE_PHASE_INVALID,
                      "Withdrawn by the gateway.");
}

static int on_suspended(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentUpdate *u = userdata;
        if (u->suspended)
                update_finish(u, UPDATE_PHASE_FAILED, UPDATE_VERDICT_INTERRUPTED, _UPDATE_PHASE_INVALID,
                              "The agent was restarted in the middle, and the gateway did not ask for this "
                              "update again.");
        return 0;
}

void agent_update_on_connected(AgentUpdate *u) {
        u->connected = true;
        if (u->suspended) /* our own gateway repeats what is not finished: wait for that */
                (void) event_timer_arm(
                                u->o.event, &u->suspended_source, SUSPENDED_MAX, on_suspended, u,
                                "update-suspended");
        else if (update_is_handed_over(u)) {
                if (streq(u->o.running_version, u->record->to) && u->record->phase < UPDATE_PHASE_CONNECTED)
                        update_set_phase(u, UPDATE_PHASE_CONNECTED);
                update_schedule_poll(u, 0);
        }
}

void agent_update_on_stop(AgentUpdate *u) {
        if (!u->record)
                return;
        if (update_is_handed_over(u) && u->record->phase == UPDATE_PHASE_STAGING &&
            agent_updater_is_on_trial(u->o.updater))
                update_set_phase(u, UPDATE_PHASE_RESTARTING); /* that is why we are stopped */
        else
                (void) update_save(u);
}

/* ---- questions ---- */

const UpdateRecord *agent_update_current(const AgentUpdate *u) {
        return u->record;
}

static bool updater_is_busy(const AgentUpdate *u) {
        const UpdaterView *view = agent_updater_view(u->o.updater);
        return view->known && *view->state && !streq(view->state, "idle");
}

bool agent_update_is_pending(const AgentUpdate *u) {
        if (update_is_handed_over(u))
                return true;
        return agent_updater_view(u->o.updater)->known ? updater_is_busy(u) :
                                                         agent_updater_is_on_trial(u->o.updater);
}

bool agent_update_is_foreign(const AgentUpdate *u) {
        return !u->record && updater_is_busy(u);
}

const char *agent_update_transaction(const AgentUpdate *u) {
        if (update_is_handed_over(u) && *u->record->transaction)
                return u->record->transaction;
        return updater_is_busy(u) ? agent_updater_view(u->o.updater)->transaction : "";
}

const char *agent_update_state(const AgentUpdate *u) {
        if (u->record)
                return update_phase_to_string(u->record->phase);
        return updater_is_busy(u) ? agent_updater_view(u->o.updater)->state : "idle";
}

const char *agent_update_target(const AgentUpdate *u) {
        if (u->record)
                return u->record->to;
        return updater_is_busy(u) ? agent_updater_view(u->o.updater)->pending_version : "";
}

/* ---- life ---- */

static int update_load(AgentUpdate *u) {
        _cleanup_(update_record_freep) UpdateRecord *record = NULL;
        int r = update_record_load_at(u->o.state_fd, RECORD_FILE, &record);
        if (r == -ENOENT)
                return 0;
        if (r == -ENOMEM)
                return r;
        bool ended = r >= 0 && (update_phase_is_terminal(record->phase) ||
                                agent_report_find_instruction(u->o.report, record->instruction) ||
                                agent_report_find_transaction(u->o.report, record->transaction));
        if (r < 0 || ended) {
                if (r < 0)
                        log_warning_errno(r, "Cannot read the record of an update, dropping it: %m");
                return unlink_durable_at(u->o.state_fd, RECORD_FILE);
        }
        record->sequence += SEQUENCE_GAP;
        u->record = TAKE_PTR(record);
        if (u->record->phase < UPDATE_PHASE_STAGING)
                u->suspended = true;
        else
                update_schedule_poll(u, ASK_RETRY);
        log_info("An update to %s is under way: %s.", u->record->to, update_phase_title(u->record->phase));
        return 0;
}

int agent_update_new(AgentUpdate **ret, const AgentUpdateOptions *options) {
        _cleanup_(agent_update_freep) AgentUpdate *u = new0(AgentUpdate, 1);
        if (!u)
                return -ENOMEM;
        u->o = *options;
        int r = update_load(u);
        if (r == -ENOMEM)
                return r;
        *ret = TAKE_PTR(u);
        return 0;
}

AgentUpdate *agent_update_free(AgentUpdate *u) {
        if (!u)
                return NULL;
        agent_fetch_free(u->fetch);
        update_record_free(u->record);
        sd_event_source_disable_unref(u->poll_source);
        sd_event_source_disable_unref(u->suspended_source);
        free(u->ca_pem);
        free(u);
        return NULL;
}

int agent_update_set_ca(AgentUpdate *u, const char *ca_pem) {
        int r = free_and_strdup(&u->ca_pem, ca_pem);
        return r < 0 ? r : 0;
}
