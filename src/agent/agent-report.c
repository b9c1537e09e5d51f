/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-report.h"

#include <sys/stat.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"
#include "fs-util.h"
#include "list.h"
#include "log.h"
#include "string-util.h"

#define PROGRESS_INTERVAL (250 * USEC_PER_MSEC)
#define PHASES_MAX 32U /* more than one update has; the oldest gives way */
#define FOLDER "outbox"
#define FINAL_SUFFIX ".final"

typedef struct Status Status;
struct Status {
        UpdateRecord *record;
        bool unsent; /* a final for which there was no room */
        LIST_FIELDS(Status, statuses);
};

struct AgentReport {
        sd_event *event;
        int state_fd;
        agent_report_send_t send;
        void *userdata;
        bool connected;

        LIST_HEAD(Status, phases); /* not yet taken by the stream, oldest first */
        size_t n_phases;
        LIST_HEAD(Status, finals); /* oldest first */

        UpdateRecord *progress; /* whose bytes moved since the last status; not ours */
        usec_t progress_sent;   /* CLOCK_BOOTTIME */
        sd_event_source *progress_source;
};

static Status *status_free(Status *s) {
        if (s) {
                update_record_free(s->record);
                free(s);
        }
        return NULL;
}
DEFINE_POINTER_CLEANUP(Status, status_free);

static int status_new(const UpdateRecord *u, Status **ret) {
        _cleanup_(status_freep) Status *s = new0(Status, 1);
        if (!s)
                return -ENOMEM;
        int r = update_record_copy(u, &s->record);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

/* ---- finals on disk ---- */

/* An update that the updater did on its own has no instruction; its transaction names the file. */
static char *final_path(const UpdateRecord *u) {
        return strjoinf(FOLDER "/%s" FINAL_SUFFIX, *u->instruction ? u->instruction : u->transaction);
}

static int final_save(AgentReport *r, const UpdateRecord *u) {
        _cleanup_free_ char *path = final_path(u);
        return path ? update_record_save_at(u, r->state_fd, path) : -ENOMEM;
}

static void finals_drop(AgentReport *r, Status *s) {
        _cleanup_free_ char *path = final_path(s->record);
        if (path)
                (void) unlink_durable_at(r->state_fd, path);
        LIST_REMOVE(statuses, r->finals, s);
        status_free(s);
}

/* An answer that the gateway waits for is never given up; the rest is kept for a while only. */
static bool final_is_owed(const UpdateRecord *u) {
        return !u->acked && *u->instruction;
}

static void finals_prune(AgentReport *r) {
        size_t n = 0;
        LIST_FOREACH(statuses, s, r->finals)
        n += !final_is_owed(s->record);
        LIST_FOREACH_SAFE(statuses, s, r->finals)
        if (!final_is_owed(s->record) && n > AGENT_REPORT_KEPT_MAX) {
                finals_drop(r, s);
                n--;
        }
}

static void finals_insert(AgentReport *r, Status *s) {
        /* by time, so that the oldest go first also after a restart; few items, so a plain walk will do */
        Status *after = NULL;
        LIST_FOREACH(statuses, i, r->finals)
        if (i->record->time_usec <= s->record->time_usec)
                after = i;
        if (!after) {
                LIST_PREPEND(statuses, r->finals, s);
                return;
        }
        s->statuses_prev = after;
        s->statuses_next = after->statuses_next;
        if (after->statuses_next)
                after->statuses_next->statuses_prev = s;
        after->statuses_next = s;
}

static int finals_load(AgentReport *r) {
        _cleanup_strv_free_ char **names = NULL;
        int k = dir_list_at(r->state_fd, FOLDER, &names);
        if (k < 0)
                return k;
        STRV_FOREACH(name, names) {
                if (!endswith(*name, FINAL_SUFFIX))
                        continue;
                _cleanup_(status_freep) Status *s = new0(Status, 1);
                if (!s)
                        return -ENOMEM;
                _cleanup_free_ char *path = strjoinf(FOLDER "/%s", *name);
                if (!path)
                        return -ENOMEM;
                k = update_record_load_at(r->state_fd, path, &s->record);
                if (k == -ENOMEM)
                        return k;
                if (k >= 0 && (!update_phase_is_terminal(s->record->phase) ||
                               (!*s->record->instruction && !*s->record->transaction)))
                        k = -EBADMSG;
                if (k < 0) {
                        log_warning_errno(k, "Cannot read the kept status '%s', removing it: %m", *name);
                        (void) unlink_durable_at(r->state_fd, path);
                        continue;
                }
                finals_insert(r, s);
                TAKE_PTR(s);
        }
        finals_prune(r);
        return 0;
}

int agent_report_new(
                AgentReport **ret, sd_event *event, int state_fd, agent_report_send_t send, void *userdata) {
        _cleanup_(agent_report_freep) AgentReport *r = new0(AgentReport, 1);
        if (!r)
                return -ENOMEM;
        if (mkdirat(state_fd, FOLDER, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        r->event = sd_event_ref(event);
        r->state_fd = state_fd;
        r->send = send;
        r->userdata = userdata;
        int k = finals_load(r);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

AgentReport *agent_report_free(AgentReport *r) {
        if (!r)
                return NULL;
        sd_event_source_disable_unref(r->progress_source);
        LIST_FOREACH_SAFE(statuses, s, r->phases)
        status_free(s);
        LIST_FOREACH_SAFE(statuses, f, r->finals)
        status_free(f);
        sd_event_unref(r->event);
        free(r);
        return NULL;
}

/* ---- sending ---- */

/* Phases first, then finals, each in order; stops where the stream is full and goes on in on_drained. */
static void report_flush(AgentReport *r) {
        if (!r->connected)
                return;
        LIST_FOREACH_SAFE(statuses, s, r->phases) {
                int k = r->send(s->record, /* droppable= */ false, r->userdata);
                if (k == -ENOBUFS || k == -ENOTCONN)
                        return;
                if (k < 0)
                        log_warning_errno(
                                        k, "Cannot send a status of update %s, leaving it out: %m",
                                        s->record->instruction);
                LIST_REMOVE(statuses, r->phases, s);
                status_free(s);
                r->n_phases--;
        }
}

static void report_send_final(AgentReport *r, Status *s) {
        if (!r->connected)
                return;
        report_flush(r);
        int k = r->send(s->record, /* droppable= */ false, r->userdata);
        s->unsent = k == -ENOBUFS; /* then again when there is room; the next connection repeats it anyway */
        if (k < 0 && k != -ENOTCONN)
                log_debug_errno(k, "Cannot send the final status of %s now: %m", s->record->instruction);
}

int agent_report_phase(AgentReport *r, UpdateRecord *u) {
        Status *s = NULL;

        u->sequence++;
        r->progress = NULL;
        (void) event_timer_disarm(r->progress_source);
        int k = status_new(u, &s);
        if (k < 0)
                return k;
        if (r->n_phases >= PHASES_MAX) {
                Status *oldest = r->phases;
                LIST_REMOVE(statuses, r->phases, oldest);
                status_free(oldest);
                r->n_phases--;
        }
        LIST_APPEND(statuses, r->phases, s);
        r->n_phases++;
        report_flush(r);
        return 0;
}

static void progress_send(AgentReport *r) {
        UpdateRecord *u = TAKE_PTR(r->progress);
        if (!u || !r->connected || r->phases)
                return;
        u->sequence++;
        (void) r->send(u, /* droppable= */ true, r->userdata);
        r->progress_sent = now(CLOCK_BOOTTIME);
}

static int on_progress_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        progress_send(userdata);
        return 0;
}

void agent_report_progress(AgentReport *r, UpdateRecord *u) {
        if (r->progress) {
                r->progress = u;
                return;
        }
        r->progress = u;
        usec_t passed = usec_sub(now(CLOCK_BOOTTIME), r->progress_sent);
        if (passed >= PROGRESS_INTERVAL)
                progress_send(r);
        else
                (void) event_timer_arm(
                                r->event, &r->progress_source, PROGRESS_INTERVAL - passed, on_progress_timer,
                                r, "update-progress");
}

int agent_report_final(AgentReport *r, UpdateRecord *u) {
        Status *s = NULL;

        u->sequence++;
        u->acked = false;
        r->progress = NULL;
        int saved = final_save(r, u);
        int k = status_new(u, &s);
        if (k < 0)
                return k;
        LIST_FOREACH_SAFE(
                        statuses, old, r->finals) /* the same one again: an interrupted attempt to finish */
        if (streq(old->record->instruction, u->instruction) &&
            streq(old->record->transaction, u->transaction)) {
                LIST_REMOVE(statuses, r->finals, old);
                status_free(old);
        }
        finals_insert(r, s);
        report_send_final(r, s);
        finals_prune(r);
        return saved;
}

void agent_report_on_connected(AgentReport *r) {
        r->connected = true;
        report_flush(r);
        LIST_FOREACH(statuses, s, r->finals)
        if (!s->record->acked)
                report_send_final(r, s);
}

void agent_report_on_disconnected(AgentReport *r) {
        r->connected = false;
}

void agent_report_on_drained(AgentReport *r) {
        report_flush(r);
        LIST_FOREACH(statuses, s, r->finals)
        if (s->unsent && !s->record->acked)
                report_send_final(r, s);
}

bool agent_report_on_ack(AgentReport *r, const char *instruction, uint64_t sequence) {
        bool news = false;

        LIST_FOREACH(statuses, s, r->finals) {
                UpdateRecord *u = s->record;
                if (u->acked || !streq(u->instruction, instruction) || u->sequence != sequence)
                        continue;
                u->acked = news = true;
                int k = final_save(r, u);
                if (k < 0) /* then it is only repeated after the next start */
                        log_warning_errno(
                                        k, "Cannot note that update %s is acknowledged, ignoring: %m",
                                        instruction);
        }
        finals_prune(r);
        return news;
}

/* ---- questions ---- */

const UpdateRecord *agent_report_find_instruction(AgentReport *r, const char *instruction) {
        LIST_FOREACH(statuses, s, r->finals)
        if (*instruction && streq(s->record->instruction, instruction))
                return s->record;
        return NULL;
}

const UpdateRecord *agent_report_find_transaction(AgentReport *r, const char *transaction) {
        LIST_FOREACH(statuses, s, r->finals)
        if (*transaction && streq(s->record->transaction, transaction))
                return s->record;
        return NULL;
}

void agent_report_repeat(AgentReport *r, const UpdateRecord *u) {
        LIST_FOREACH(statuses, s, r->finals)
        if (s->record == u)
                report_send_final(r, s);
}

size_t agent_report_pending(AgentReport *r) {
        size_t n = 0;
        LIST_FOREACH(statuses, s, r->finals)
        n += final_is_owed(s->record);
        return n;
}

bool agent_report_is_full(AgentReport *r) {
        return agent_report_pending(r) >= AGENT_REPORT_PENDING_MAX;
}
