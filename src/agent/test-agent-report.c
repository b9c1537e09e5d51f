/* SPDX-License-Identifier: Apache-2.0 */

/* Statuses: order, throttling, durability, repetition, acknowledgement, across restarts of the object. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-report.h"
#include "event-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "tests.h"

typedef struct Sent {
        char instruction[40];
        UpdatePhase phase;
        uint64_t sequence, bytes;
        bool droppable;
} Sent;

typedef struct Wire {
        Sent sent[512];
        size_t n;
        int error; /* what sending answers */
} Wire;

static char directory[] = "/tmp/test-agent-report-XXXXXX";
static sd_event *event;
static int state_fd;

static int on_send(const UpdateRecord *u, bool droppable, void *userdata) {
        Wire *w = userdata;
        if (w->error < 0)
                return w->error;
        assert_se(w->n < ELEMENTSOF(w->sent));
        Sent *s = w->sent + w->n++;
        snprintf(s->instruction, sizeof(s->instruction), "%s", u->instruction);
        s->phase = u->phase;
        s->sequence = u->sequence;
        s->bytes = u->bytes_done;
        s->droppable = droppable;
        return 0;
}

static AgentReport *report_open(Wire *w) {
        AgentReport *r = NULL;
        assert_ok(agent_report_new(&r, event, state_fd, on_send, w));
        return r;
}

static const char *id(unsigned n) {
        static char buf[8][40];
        static unsigned k;
        k = (k + 1) % 8;
        snprintf(buf[k], sizeof(buf[k]), "%032x", n);
        return buf[k];
}

static UpdateRecord *record(unsigned n) {
        UpdateRecord *u = NULL;
        assert_ok(update_record_new(&u, id(n), "1.0.0", "1.1.0"));
        u->time_usec = 1000000 + n;
        return u;
}

static void test_order_and_repeat(void) {
        Wire w = { 0 };
        _cleanup_(update_record_freep) UpdateRecord *u = record(1);
        AgentReport *r = report_open(&w);

        /* nothing goes out without a session, nothing is lost either */
        static const UpdatePhase phases[] = { UPDATE_PHASE_DOWNLOADING, UPDATE_PHASE_VERIFYING,
                                              UPDATE_PHASE_STAGING };
        for (size_t i = 0; i < ELEMENTSOF(phases); i++) {
                u->phase = phases[i];
                assert_ok(agent_report_phase(r, u));
        }
        u->phase = UPDATE_PHASE_FAILED;
        assert_ok(agent_report_final(r, u));
        assert_se(w.n == 0 && agent_report_pending(r) == 1);
        agent_report_on_connected(r);
        assert_se(w.n == 4);
        for (size_t i = 0; i < 4; i++) {
                assert_se(!w.sent[i].droppable);
                assert_se(w.sent[i].phase == (i < 3 ? phases[i] : UPDATE_PHASE_FAILED));
                assert_se(i == 0 || w.sent[i].sequence > w.sent[i - 1].sequence);
        }
        uint64_t final = w.sent[3].sequence;

        /* the final one alone is repeated, with its number, on every connection */
        agent_report_on_disconnected(r);
        agent_report_on_connected(r);
        assert_se(w.n == 5 && w.sent[4].sequence == final && w.sent[4].phase == UPDATE_PHASE_FAILED);

        /* also by the next process */
        agent_report_free(r);
        r = report_open(&w);
        assert_se(agent_report_pending(r) == 1);
        agent_report_on_connected(r);
        assert_se(w.n == 6 && w.sent[5].sequence == final);

        /* an acknowledgement of something else changes nothing */
        assert_se(!agent_report_on_ack(r, id(1), final - 1));
        assert_se(!agent_report_on_ack(r, id(2), final));
        assert_se(agent_report_pending(r) == 1);
        assert_se(agent_report_on_ack(r, id(1), final));
        assert_se(!agent_report_on_ack(r, id(1), final));
        assert_se(agent_report_pending(r) == 0);
        agent_report_free(r);

        /* it is remembered as done */
        r = report_open(&w);
        agent_report_on_connected(r);
        assert_se(w.n == 6);
        const UpdateRecord *known = agent_report_find_instruction(r, id(1));
        assert_se(known && known->phase == UPDATE_PHASE_FAILED && known->acked);
        assert_se(!agent_report_find_instruction(r, id(2)) && !agent_report_find_instruction(r, ""));
        agent_report_repeat(r, known);
        assert_se(w.n == 7 && w.sent[6].sequence == final);
        agent_report_free(r);
}

static void test_full_queue(void) {
        Wire w = { .error = -ENOBUFS };
        _cleanup_(update_record_freep) UpdateRecord *u = record(10);
        AgentReport *r = report_open(&w);
        agent_report_on_connected(r);
        u->phase = UPDATE_PHASE_DOWNLOADING;
        assert_ok(agent_report_phase(r, u));
        u->phase = UPDATE_PHASE_VERIFYING;
        assert_ok(agent_report_phase(r, u));
        assert_se(w.n == 0);
        w.error = 0;
        agent_report_on_drained(r);
        assert_se(w.n == 2 && w.sent[0].phase == UPDATE_PHASE_DOWNLOADING &&
                  w.sent[1].phase == UPDATE_PHASE_VERIFYING);
        agent_report_free(r);
}

static int on_end(sd_event_source *s, uint64_t usec, void *userdata) {
        return sd_event_exit(event, 0);
}

static void test_progress_is_throttled(void) {
        Wire w = { 0 };
        _cleanup_(update_record_freep) UpdateRecord *u = record(20);
        AgentReport *r = report_open(&w);
        agent_report_on_connected(r);
        u->phase = UPDATE_PHASE_DOWNLOADING;
        assert_ok(agent_report_phase(r, u));
        size_t before = w.n;
        for (unsigned i = 0; i < 10000; i++) {
                u->bytes_done = i;
                agent_report_progress(r, u);
        }
        assert_se(w.n <= before + 2);
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *end = NULL;
        assert_ok(event_timer_arm(event, &end, 400 * USEC_PER_MSEC, on_end, NULL, "end"));
        assert_ok(sd_event_loop(event));
        assert_se(w.n >= before + 1 && w.n <= before + 3);
        assert_se(w.sent[w.n - 1].bytes == 9999 &&
                  w.sent[w.n - 1].droppable); /* the newest, not the oldest */
        agent_report_free(r);
}

static void test_bounds(void) {
        Wire w = { 0 };
        AgentReport *r = report_open(&w);
        for (unsigned i = 0; i < AGENT_REPORT_PENDING_MAX; i++) {
                _cleanup_(update_record_freep) UpdateRecord *u = record(100 + i);
                assert_se(!agent_report_is_full(r));
                u->phase = UPDATE_PHASE_SUCCEEDED;
                assert_ok(agent_report_final(r, u));
        }
        assert_se(agent_report_is_full(r));
        for (unsigned i = 0; i < 60; i++) { /* updates of the updater's own never crowd those out */
                _cleanup_(update_record_freep) UpdateRecord *u = NULL;
                assert_ok(update_record_new(&u, "", "1.0.0", "1.1.0"));
                assert_ok(free_and_strdup(&u->transaction, id(1000 + i)));
                u->phase = UPDATE_PHASE_ROLLED_BACK;
                u->sequence = u->time_usec = 5000000 + i;
                assert_ok(agent_report_final(r, u));
        }
        assert_se(agent_report_pending(r) == AGENT_REPORT_PENDING_MAX);
        for (unsigned i = 0; i < AGENT_REPORT_PENDING_MAX; i++)
                assert_se(agent_report_find_instruction(r, id(100 + i)));
        assert_se(!agent_report_find_transaction(r, id(1000)));
        assert_se(agent_report_find_transaction(r, id(1059)));
        agent_report_free(r);

        _cleanup_strv_free_ char **names = NULL;
        assert_ok(dir_list_at(state_fd, "outbox", &names));
        assert_se(strv_length(names) <= AGENT_REPORT_PENDING_MAX + AGENT_REPORT_KEPT_MAX + 1);
}

static void test_damage(void) {
        Wire w = { 0 };
        assert_ok(file_write_atomic_at(state_fd, "outbox/junk.final", "phase=succ", 10, 0600));
        assert_ok(file_write_atomic_at(state_fd, "outbox/empty.final", "", 0, 0600));
        AgentReport *r = report_open(&w);
        assert_se(faccessat(state_fd, "outbox/junk.final", F_OK, 0) < 0);
        assert_se(faccessat(state_fd, "outbox/empty.final", F_OK, 0) < 0);
        agent_report_free(r);
}

static void test_message(void) {
        _cleanup_(update_record_freep) UpdateRecord *u = record(5), *back = NULL;
        char text[3000];
        for (size_t i = 0; i + 1 < sizeof(text); i += 2)
                memcpy(text + i, "\xc3\xa4", 2); /* ä */
        text[sizeof(text) - 2] = '\0';
        assert_ok(update_record_set_message(u, text));
        assert_se(strlen(u->message) <= UPDATE_MESSAGE_MAX && utf8_is_valid(u->message, strlen(u->message)));
        assert_ok(update_record_set_message(u, "two\nlines\x1b[31m"));
        assert_se(!strchr(u->message, '\n') && !strchr(u->message, '\x1b'));
        u->verdict = UPDATE_VERDICT_CRASHED;
        u->failed_phase = UPDATE_PHASE_CONFIRMING;
        u->phase = UPDATE_PHASE_ROLLED_BACK;
        u->sequence = 77;
        u->retry = true;
        assert_ok(update_record_save_at(u, state_fd, "one"));
        assert_ok(update_record_load_at(state_fd, "one", &back));
        assert_streq(back->message, u->message);
        assert_streq(back->to, "1.1.0");
        assert_se(back->verdict == u->verdict && back->failed_phase == u->failed_phase &&
                  back->phase == u->phase);
        assert_se(back->sequence == 77 && back->retry && back->time_usec == u->time_usec);
        assert_error(update_record_load_at(state_fd, "none", &back), ENOENT);
}

int main(void) {
        log_set_max_level(LOG_ERR);
        assert_se(mkdtemp(directory));
        state_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(state_fd);
        assert_ok(sd_event_new(&event));
        test_order_and_repeat();
        test_full_queue();
        test_progress_is_throttled();
        test_bounds();
        test_damage();
        test_message();
        sd_event_unref(event);
        (void) close(state_fd);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return EXIT_SUCCESS;
}
