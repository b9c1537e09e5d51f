/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-updater.h"

#include "alloc-util.h"
#include "crypto.h"
#include "event-util.h"
#include "file-hash.h"
#include "hex.h"
#include "log.h"
#include "sim-record.h"
#include "sim-verify.h"
#include "string-util.h"
#include "version.h"

#define DENIED_TIME USEC_PER_HOUR

struct SimUpdater {
        AgentUpdater updater; /* what the agent sees */
        SimUpdaterOptions o;
        SimRecord *record;
        UpdaterView view;
        SimFate fate; /* of the open transaction */

        /* while staging */
        SimRelease *release;
        FileHash *hash;
        size_t hashing;
        usec_t staged_at; /* CLOCK_BOOTTIME, not before */

        /* on trial */
        bool trial_runs; /* the new version was started */
        bool had_session, connected, extended;
        usec_t deadline; /* CLOCK_BOOTTIME */

        /* the answer to Install that is owed */
        int answer_error;
        UpdateVerdict answer_verdict;
        char *answer_text;
        bool answer_open;
        bool view_asked, result_asked;

        void (*next_step)(SimUpdater *u);
        sd_event_source *answer_source, *step_source, *deadline_source;
};

static void updater_go_back(SimUpdater *u, UpdateVerdict verdict, const char *message);

static SimUpdater *updater_of(AgentUpdater *u) {
        return container_of(u, SimUpdater, updater);
}

/* ---- record and view ---- */

static void text_set(char **field, const char *value) {
        if (free_and_strdup(field, value) < 0)
                log_oom();
}

static void updater_show(SimUpdater *u) {
        const SimRecord *r = u->record;
        bool open = r->phase >= 0;

        text_set(&u->view.version, r->version);
        text_set(&u->view.state, open ? update_phase_to_string(r->phase) : "idle");
        text_set(&u->view.transaction, open ? r->transaction : "");
        text_set(&u->view.pending_version, open ? r->to : "");
        text_set(&u->view.current_version, r->version);
        text_set(&u->view.previous_version, r->previous);
        text_set(&u->view.floor, r->floor);
        text_set(&u->view.pinned_version, u->o.machine->pinned ? r->version : "");
        u->view.deadline = open ? u->deadline : 0;
        u->view.packaging = u->o.machine->facts.packaging;
        u->view.known = true;
}

/* A simulated disk that is full is a real one that is full: that is worth a word, and no more. */
static void updater_save(SimUpdater *u) {
        int r = sim_record_save_at(u->record, u->o.state_fd);
        if (r >= 0)
                return;
        _cleanup_free_ char *message = strjoinf("Its record cannot be stored, going on: %s.", strerror(-r));
        u->o.handlers->on_trouble(u, strempty(message), u->o.userdata);
}

static void updater_set_phase(SimUpdater *u, UpdatePhase phase) {
        u->record->phase = phase;
        updater_save(u);
        updater_show(u);
        agent_updater_tell_view(&u->updater, 0, "");
}

/* Ends the transaction: its result is what the agent asks for. */
static void
updater_close(SimUpdater *u,
              UpdatePhase end,
              UpdatePhase failed,
              UpdateVerdict verdict,
              const char *message) {
        SimRecord *r = u->record;
        UpdaterResult *x = &r->last;

        if (free_and_strdup(&x->transaction, r->transaction) < 0 ||
            free_and_strdup(&x->instruction, r->instruction) < 0 || free_and_strdup(&x->from, r->from) < 0 ||
            free_and_strdup(&x->to, r->to) < 0 || free_and_strdup(&x->message, message) < 0)
                log_oom();
        x->phase = end;
        x->failed_phase = failed;
        x->verdict = verdict;
        x->time_usec = now(CLOCK_REALTIME);
        if (update_verdict_blames_release(verdict)) {
                text_set(&r->denied, r->to);
                r->denied_until = usec_add(x->time_usec, DENIED_TIME);
        }
        r->phase = _UPDATE_PHASE_INVALID;
        u->deadline = 0;
        u->release = sim_release_free(u->release);
        u->hash = file_hash_free(u->hash);
        u->trial_runs = false;
        (void) event_timer_disarm(u->step_source);
        (void) event_timer_disarm(u->deadline_source);
}

static int on_step(sd_event_source *source, uint64_t usec, void *userdata) {
        SimUpdater *u = userdata;
        u->next_step(u);
        return 0;
}

/* One thing after the other: a step that was planned before is not done any more. */
static void updater_plan(SimUpdater *u, usec_t pause, void (*step)(SimUpdater *u)) {
        u->next_step = step;
        if (event_timer_arm(u->o.event, &u->step_source, pause, on_step, u, "sim-updater-step") < 0)
                log_oom();
}

/* ---- staging ---- */

static void updater_fail(SimUpdater *u, UpdateVerdict verdict, const char *message) {
        updater_close(u, UPDATE_PHASE_FAILED, u->record->phase, verdict, message);
        updater_set_phase(u, _UPDATE_PHASE_INVALID);
}

/* From here on there is something to go back from. */
static void updater_launch(SimUpdater *u) {
        if (u->fate.end == SIM_END_FAILS && u->fate.phase == UPDATE_PHASE_STAGING) {
                updater_fail(u, u->fate.verdict, u->fate.message);
                return;
        }
        u->had_session = u->connected = u->extended = u->trial_runs = false;
        u->deadline = usec_add(now(CLOCK_BOOTTIME), u->o.plan->confirm_timeout);
        updater_set_phase(u, UPDATE_PHASE_RESTARTING);
        u->o.handlers->stop_agent(u, u->o.userdata);
}

static void updater_hash_next(SimUpdater *u);

static void on_hashed(FileHash *h, int error, Sha256 *hash, void *userdata) {
        SimUpdater *u = userdata;
        uint8_t digest[SHA256_SIZE] = { 0 };

        u->hash = file_hash_free(h);
        if (hash)
                sha256_final(hash, digest);
        sha256_free(hash);
        if (error < 0 || !memory_equal_ct(digest, u->release->files[u->hashing].sha256, SHA256_SIZE)) {
                updater_fail(u, UPDATE_VERDICT_VERIFICATION_FAILED,
                             "What was handed over is not what was signed.");
                return;
        }
        u->hashing++;
        updater_hash_next(u);
}

static void updater_hash_next(SimUpdater *u) {
        if (u->hashing >= SIM_VERIFY_FILES) {
                u->release = sim_release_free(u->release);
                updater_plan(u, usec_sub(u->staged_at, now(CLOCK_BOOTTIME)), updater_launch);
                return;
        }
        int r =
                        file_hash_start(&u->hash, u->o.event, u->release->files[u->hashing].fd,
                                        u->release->files[u->hashing].length, on_hashed, u);
        if (r < 0)
                updater_fail(u, UPDATE_VERDICT_INTERNAL, "Cannot read what was handed over.");
}

/* ---- Install ---- */

static int on_answer(sd_event_source *source, void *userdata) {
        SimUpdater *u = userdata;

        if (u->view_asked) {
                u->view_asked = false;
                agent_updater_tell_view(&u->updater, 0, "");
        }
        if (u->result_asked) {
                u->result_asked = false;
                agent_updater_tell_result(
                                &u->updater, 0, *u->record->last.transaction ? &u->record->last : NULL);
        }
        if (u->answer_open) {
                _cleanup_free_ char *text = TAKE_PTR(u->answer_text);
                u->answer_open = false;
                agent_updater_tell_install(&u->updater, u->answer_error, u->answer_verdict, strempty(text));
                if (u->answer_error == 0 && u->release)
                        updater_hash_next(u);
                else if (u->answer_error == 0)
                        updater_launch(u);
        }
        return 0;
}

static int updater_answer_later(SimUpdater *u) {
        return event_defer_once(u->o.event, &u->answer_source, on_answer, u, "sim-updater-answer");
}

static int updater_begin(SimUpdater *u, const UpdaterInstall *q) {
        SimRecord *r = u->record;
        uint8_t id[16];
        char hex[33];

        random_bytes(id, sizeof(id));
        hex_encode(id, sizeof(id), hex);
        int k = sim_updater_foretell(u, q->version, q->instruction, &u->fate);
        if (k < 0)
                return k;
        if (free_and_strdup(&r->transaction, hex) < 0 ||
            free_and_strdup(&r->instruction, q->instruction) < 0 ||
            free_and_strdup(&r->from, r->version) < 0 || free_and_strdup(&r->to, q->version) < 0 ||
            free_and_strdup(&r->raise_floor, u->release ? strempty(u->release->floor) : "") < 0 ||
            free_and_strdup(&u->answer_text, hex) < 0)
                return -ENOMEM;
        text_set(&r->denied, ""); /* if it was, an operator's retry has lifted that */
        r->phase = UPDATE_PHASE_STAGING;
        k = sim_record_save_at(r, u->o.state_fd);
        if (k < 0) {
                r->phase = _UPDATE_PHASE_INVALID;
                return k;
        }
        updater_show(u);
        u->o.handlers->on_installing(u, r->instruction, r->to, u->o.userdata);
        u->staged_at = usec_add(now(CLOCK_BOOTTIME), u->fate.times[UPDATE_PHASE_STAGING]);
        u->hashing = 0;
        u->view.root_version = 0; /* asked for anew */
        return 0;
}

/* Takes the message. r 0: accepted, the answer is the transaction. */
static int updater_owe(SimUpdater *u, int r, UpdateVerdict verdict, char *message) {
        if (r != 0) {
                free(u->answer_text);
                u->answer_text = message;
        } else
                free(message);
        u->answer_error = r == 0 ? 0 : -EACCES;
        u->answer_verdict = r == 0 ? UPDATE_VERDICT_NONE : verdict;
        u->answer_open = true;
        return updater_answer_later(u);
}

/* Verified at once, answered later, as over a bus. */
static int updater_install(AgentUpdater *interface, const UpdaterInstall *q) {
        SimUpdater *u = updater_of(interface);
        _cleanup_free_ char *message = NULL;
        UpdateVerdict verdict = UPDATE_VERDICT_NONE;
        int r;

        if (u->answer_open)
                return -EALREADY;
        if (u->record->phase >= 0) {
                verdict = UPDATE_VERDICT_BUSY;
                message = strdup("Another update is in progress.");
                r = 1;
        } else {
                r = sim_verify(u->o.state_fd, u->o.machine, u->record, q, &u->release, &verdict, &message);
                if (r == 0)
                        r = updater_begin(u, q);
        }
        if (r < 0) {
                verdict = errno_is_disk_space(r) ? UPDATE_VERDICT_DISK_FULL : UPDATE_VERDICT_INTERNAL;
                message = strjoinf("The update could not be begun: %s.", strerror(-r));
        }
        if (r < 0)
                u->release = sim_release_free(u->release);
        return updater_owe(u, r, verdict, TAKE_PTR(message));
}

/* ---- Rollback ---- */

static int updater_may_go_back(const SimUpdater *u, const char *version, UpdateVerdict *ret_verdict, char **ret_message) {
        const SimRecord *r = u->record;
        const char *why = NULL;

        if (r->phase >= 0) {
                *ret_verdict = UPDATE_VERDICT_BUSY;
                why = "Another update is in progress.";
        } else if (u->o.machine->pinned) {
                *ret_verdict = UPDATE_VERDICT_PINNED;
                why = "This machine's owner holds it.";
        } else if (!streq(version, r->previous)) {
                *ret_verdict = UPDATE_VERDICT_NOT_FOUND;
                why = "That is not the version that ran here before.";
        } else if (*r->floor && version_compare(version, r->floor) < 0) {
                *ret_verdict = UPDATE_VERDICT_BELOW_FLOOR;
                why = "Below the floor nothing may run here.";
        }
        if (!why)
                return 0;
        *ret_message = strdup(why);
        return *ret_message ? 1 : -ENOMEM;
}

/* Nothing is staged: what could go wrong there does not. */
static int updater_begin_back(SimUpdater *u, const char *version, const char *instruction) {
        UpdaterInstall q = { .version = version, .instruction = instruction };
        int r;

        r = updater_begin(u, &q);
        if (r < 0)
                return r;
        sim_fate_of_return(&u->fate);
        return 0;
}

static int updater_roll_back(AgentUpdater *interface, const char *version, const char *instruction) {
        SimUpdater *u = updater_of(interface);
        _cleanup_free_ char *message = NULL;
        UpdateVerdict verdict = UPDATE_VERDICT_INTERNAL;
        int r;

        if (u->answer_open)
                return -EALREADY;
        r = updater_may_go_back(u, version, &verdict, &message);
        if (r == 0)
                r = updater_begin_back(u, version, instruction);
        if (r < 0)
                message = strjoinf("Going back could not be begun: %s.", strerror(-r));
        return updater_owe(u, r, verdict, TAKE_PTR(message));
}

/* ---- trial ---- */

static void updater_commit(SimUpdater *u) {
        SimRecord *r = u->record;

        text_set(&r->previous, r->from);
        if (*r->raise_floor)
                text_set(&r->floor, r->raise_floor);
        updater_close(u, UPDATE_PHASE_SUCCEEDED, _UPDATE_PHASE_INVALID, UPDATE_VERDICT_NONE, "");
        updater_set_phase(u, _UPDATE_PHASE_INVALID);
}

static void updater_confirm(SimUpdater *u) {
        if (u->fate.end == SIM_END_FAILS && u->fate.phase == UPDATE_PHASE_CONFIRMING)
                updater_go_back(u, u->fate.verdict, u->fate.message);
        else
                updater_commit(u);
}

/* Also after a reconnect: from the beginning. */
static void updater_soak(SimUpdater *u) {
        if (!u->trial_runs || !u->connected)
                return;
        if (u->record->phase == UPDATE_PHASE_RESTARTING)
                updater_set_phase(u, UPDATE_PHASE_CONFIRMING);
        updater_plan(u, u->fate.times[UPDATE_PHASE_CONFIRMING], updater_confirm);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata);

static void updater_watch_deadline(SimUpdater *u) {
        if (event_timer_arm(u->o.event, &u->deadline_source, usec_sub(u->deadline, now(CLOCK_BOOTTIME)),
                            on_deadline, u, "sim-updater-deadline") < 0)
                log_oom();
}

void sim_updater_on_session(SimUpdater *u, bool begun) {
        if (!u->trial_runs)
                return;
        u->connected = begun;
        u->had_session = u->had_session || begun;
        if (begun) { /* not from within the agent */
                updater_plan(u, 0, updater_soak);
                return;
        }
        (void) event_timer_disarm(u->step_source);
        if (now(CLOCK_BOOTTIME) >= u->deadline) /* no other soak may begin */
                updater_watch_deadline(u);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        SimUpdater *u = userdata;

        if (u->connected) /* a soak that began in time may go on */
                return 0;
        if (!u->extended && u->o.handlers->drain_seen(u, u->o.userdata)) {
                u->extended = true;
                u->deadline = usec_add(u->deadline, u->o.plan->confirm_timeout);
                updater_watch_deadline(u);
                return 0;
        }
        if (u->had_session)
                updater_go_back(u, UPDATE_VERDICT_INTERRUPTED,
                                "The connection was made and lost again, so that the soak did not "
                                "end before the deadline.");
        else
                updater_go_back(u, UPDATE_VERDICT_GATEWAY_UNREACHABLE,
                                "The gateway could not be reached before the deadline, by the old version "
                                "either.");
        return 0;
}

static void updater_run(SimUpdater *u, const char *version) {
        text_set(&u->record->version, version);
        updater_save(u);
        updater_show(u);
        u->o.handlers->start_agent(u, u->o.userdata);
}

/* The link points at the new version now, and the agent is started. */
static void updater_try(SimUpdater *u) {
        if (u->fate.end == SIM_END_FAILS && u->fate.phase == UPDATE_PHASE_RESTARTING) {
                updater_go_back(u, u->fate.verdict, u->fate.message);
                return;
        }
        u->trial_runs = true;
        updater_watch_deadline(u);
        updater_run(u, u->record->to);
}

static void updater_back(SimUpdater *u) {
        SimRecord *r = u->record;

        updater_close(u, UPDATE_PHASE_ROLLED_BACK, r->failed_phase, r->verdict, r->message);
        updater_run(u, r->from);
}

static void updater_go_back(SimUpdater *u, UpdateVerdict verdict, const char *message) {
        SimRecord *r = u->record;

        r->failed_phase = r->phase;
        r->verdict = verdict;
        text_set(&r->message, message);
        u->trial_runs = false;
        (void) event_timer_disarm(u->deadline_source);
        updater_set_phase(u, UPDATE_PHASE_ROLLING_BACK);
        u->o.handlers->stop_agent(u, u->o.userdata);
}

void sim_updater_on_agent_gone(SimUpdater *u) {
        if (u->record->phase == UPDATE_PHASE_ROLLING_BACK)
                updater_plan(u, u->fate.times[UPDATE_PHASE_ROLLING_BACK], updater_back);
        else if (u->record->phase != UPDATE_PHASE_RESTARTING || u->trial_runs)
                return;
        else if (u->fate.end == SIM_END_NEVER_RETURNS)
                u->o.handlers->on_lost(u, u->o.userdata);
        else
                updater_plan(u, u->fate.times[UPDATE_PHASE_RESTARTING], updater_try);
}

/* ---- what the agent asks ---- */

static const UpdaterView *updater_view(const AgentUpdater *interface) {
        return &container_of(interface, SimUpdater, updater)->view;
}

static int updater_ask_view(AgentUpdater *interface) {
        SimUpdater *u = updater_of(interface);
        if (u->view_asked)
                return -EALREADY;
        u->view_asked = true;
        u->view.root_version = u->view.root_version ?: sim_verify_root_version(u->o.state_fd);
        return updater_answer_later(u);
}

static int updater_ask_result(AgentUpdater *interface) {
        SimUpdater *u = updater_of(interface);
        if (u->result_asked)
                return -EALREADY;
        u->result_asked = true;
        return updater_answer_later(u);
}

static bool updater_is_on_trial(const AgentUpdater *interface) {
        return container_of(interface, SimUpdater, updater)->record->phase >= UPDATE_PHASE_RESTARTING;
}

static const AgentUpdaterOps updater_ops = {
        .view = updater_view,
        .ask_view = updater_ask_view,
        .ask_result = updater_ask_result,
        .install = updater_install,
        .roll_back = updater_roll_back,
        .is_on_trial = updater_is_on_trial,
};

AgentUpdater *sim_updater_interface(SimUpdater *u) {
        return &u->updater;
}

/* ---- life ---- */

int sim_updater_foretell(SimUpdater *u, const char *version, const char *instruction, SimFate *ret) {
        uint64_t attempt;
        int r = sim_record_attempt(u->record, version, instruction, &attempt);
        if (r < 0)
                return r;
        if (r > 0)
                updater_save(u);
        *ret = sim_fate(u->o.plan, u->o.machine, version, attempt);
        return 0;
}

const char *sim_updater_version(const SimUpdater *u) {
        return u->record->version;
}

bool sim_updater_is_busy(const SimUpdater *u) {
        return u->record->phase >= 0;
}

/* As after a power cut: the machine goes back, and nobody is to blame. */
static void updater_recover(SimUpdater *u) {
        SimRecord *r = u->record;
        UpdatePhase phase = r->phase;

        if (phase < 0)
                return;
        if (phase == UPDATE_PHASE_STAGING)
                updater_close(u, UPDATE_PHASE_FAILED, phase, UPDATE_VERDICT_INTERRUPTED,
                              "The machine restarted before the new version was in place.");
        else {
                if (phase != UPDATE_PHASE_ROLLING_BACK)
                        updater_close(u, UPDATE_PHASE_ROLLED_BACK, phase, UPDATE_VERDICT_INTERRUPTED,
                                      "The machine restarted while the new version was on trial.");
                else
                        updater_close(u, UPDATE_PHASE_ROLLED_BACK, r->failed_phase, r->verdict, r->message);
                text_set(&r->version, r->from);
        }
        updater_save(u);
}

int sim_updater_new(SimUpdater **ret, const SimUpdaterOptions *options) {
        _cleanup_(sim_updater_freep) SimUpdater *u = new0(SimUpdater, 1);
        if (!u)
                return -ENOMEM;
        u->o = *options;
        u->updater.ops = &updater_ops;
        int r = updater_view_fill(&u->view);
        if (r < 0)
                return r;
        r = sim_record_load_at(u->o.state_fd, &u->record);
        if (r == -ENOENT) {
                r = sim_record_new(&u->record, u->o.first_version);
                if (r >= 0)
                        r = sim_record_save_at(u->record, u->o.state_fd);
        }
        if (r < 0)
                return r;
        updater_recover(u);
        updater_show(u);
        *ret = TAKE_PTR(u);
        return 0;
}

SimUpdater *sim_updater_free(SimUpdater *u) {
        if (!u)
                return NULL;
        file_hash_free(u->hash);
        sim_release_free(u->release);
        sd_event_source_disable_unref(u->answer_source);
        sd_event_source_disable_unref(u->step_source);
        sd_event_source_disable_unref(u->deadline_source);
        updater_view_done(&u->view);
        sim_record_free(u->record);
        free(u->answer_text);
        free(u);
        return NULL;
}
