/* SPDX-License-Identifier: Apache-2.0 */

/* The worker and the probe over a store that does what the test says, without a database. */

#include "store-worker.h"

#include <semaphore.h>
#include <unistd.h>

#include "event-util.h"
#include "store-probe.h"
#include "string-util.h"
#include "tests.h"

static sd_event *loop;
static StoreWorker *worker;

/* ---- a store ---- */

static int commit_result; /* read by the worker alone, set while it has nothing to do */

static int fake_ok(Store *s) {
        return 0;
}

static int fake_commit(Store *s) {
        return commit_result;
}

static void fake_nothing(Store *s) {
}

static const StoreOps fake_ops = {
        .close = fake_nothing,
        .begin = fake_ok,
        .commit = fake_commit,
        .rollback = fake_nothing,
        .savepoint = fake_ok,
        .savepoint_release = fake_ok,
        .savepoint_rollback = fake_ok,
};

static Store fake_store = { .ops = &fake_ops };

/* ---- jobs ---- */

typedef struct Step {
        StoreJob job;
        int result; /* of its work */
        usec_t takes;
        bool done, parts;
        int told;
} Step;

static struct {
        unsigned n, n_notes;
        const char *kind, *text;
        usec_t waited, ran, commit_time;
        int commit_result;
} seen;

static void on_job(const StoreJob *j, void *userdata) {
        assert_se(userdata == &seen);
        assert_se(!container_of(j, Step, job)->done); /* before its done() */
        seen.n++;
        seen.n_notes += (unsigned) j->n_notes;
        seen.text = j->n_notes > 0 ? j->notes[0].text : NULL;
        seen.kind = j->kind;
        seen.waited = usec_sub(j->started, j->submitted);
        seen.ran = usec_sub(j->finished, j->started);
        seen.commit_time = j->commit_time;
        seen.commit_result = j->commit_result;
}

/* One that is kept, and one that is taken back with all that it had to tell, but for what survives. */
static void play_parts(StoreJob *job, Store *s) {
        StoreJobPart part;

        assert_ok(store_job_part_begin(job, s, &part));
        assert_ok(store_job_emit(job, s, "kept", NULL, strdup("{}"), /* progress= */ true, 1));
        assert_ok(store_job_note(job, &(StoreNote){ .kind = STORE_NOTE_AUTO_PAUSE, .text = "kept" }));
        assert_ok(store_job_part_keep(s));

        assert_ok(store_job_part_begin(job, s, &part));
        assert_ok(store_job_emit(job, s, "gone", NULL, strdup("{}"), /* progress= */ true, 1));
        assert_ok(store_job_note(job, &(StoreNote){ .kind = STORE_NOTE_AUTO_PAUSE, .text = "gone" }));
        assert_ok(
                        store_job_note(job, &(StoreNote){ .kind = STORE_NOTE_AUDIT_FAILURE,
                                                          .text = "survives",
                                                          .survives = true }));
        assert_ok(store_job_part_take_back(job, s, &part));
        assert_se(job->n_events == 1 && streq(job->events[0]->topic, "kept"));
        assert_se(job->n_notes == 4 && streq(job->notes[2].text, "kept") &&
                  streq(job->notes[3].text, "survives"));
}

static int step_work(StoreJob *job, Store *s) {
        Step *step = container_of(job, Step, job);

        assert_ok(store_job_note(job, &(StoreNote){ .kind = STORE_NOTE_AUTO_PAUSE, .text = "taken back" }));
        assert_ok(
                        store_job_note(job, &(StoreNote){ .kind = STORE_NOTE_AUDIT_FAILURE,
                                                          .text = "stays",
                                                          .survives = true }));
        if (step->parts)
                play_parts(job, s);
        if (step->takes > 0)
                (void) usleep((useconds_t) step->takes);
        return step->result;
}

static void step_done(StoreJob *job, int r) {
        Step *step = container_of(job, Step, job);

        step->done = true;
        step->told = r;
        assert_se(job->n_notes == 0 && !job->notes);
}

static void run_step(Step *step) {
        step->job.work = step_work;
        step->job.done = step_done;
        step->job.kind = "step";
        assert_ok(store_worker_submit(worker, &step->job));
        while (!step->done)
                assert_ok(sd_event_run(loop, UINT64_MAX));
}

static void test_measures(void) {
        Step step = { .takes = 20 * USEC_PER_MSEC };

        run_step(&step);
        assert_se(step.told == 0 && seen.n == 1 && streq(seen.kind, "step"));
        assert_se(seen.ran >= 20 * USEC_PER_MSEC && seen.ran < 10 * USEC_PER_SEC &&
                  seen.waited < 10 * USEC_PER_SEC);
        assert_se(seen.n_notes == 2 && streq(seen.text, "taken back") && seen.commit_result == 0);
}

static void test_notes_of_failures(void) {
        Step failing = { .result = -EINVAL }, batch = {}, outside = { .job.long_work = true };

        seen.n_notes = 0;
        run_step(&failing);
        assert_se(failing.told == -EINVAL && seen.n_notes == 1 && streq(seen.text, "stays"));
        assert_se(seen.commit_result == 0);

        commit_result = -ENOSPC;
        seen.n_notes = 0;
        run_step(&batch);
        assert_se(batch.told == -ENOSPC && seen.commit_result == -ENOSPC && seen.n_notes == 1);

        seen.n_notes = 0;
        run_step(&outside); /* no transaction, no commit */
        assert_se(outside.told == 0 && seen.commit_result == 0 && seen.commit_time == 0 &&
                  seen.n_notes == 2);
        commit_result = 0;
}

static void test_parts(void) {
        Step step = { .parts = true };

        seen.n_notes = 0;
        run_step(&step);
        assert_se(step.told == 0 && seen.n_notes == 4);
}

static void test_stall(void) {
        Step slow = { .takes = 200 * USEC_PER_MSEC };
        usec_t begun = now(CLOCK_MONOTONIC);

        assert_se(store_worker_backlog(worker) == 0 && store_worker_stalled(worker) == 0);
        slow.job = (StoreJob){ .work = step_work, .done = step_done };
        assert_ok(store_worker_submit(worker, &slow.job));
        while (now(CLOCK_MONOTONIC) < begun + 100 * USEC_PER_MSEC)
                assert_ok(sd_event_run(loop, 10 * USEC_PER_MSEC));
        assert_se(!slow.done && store_worker_backlog(worker) == 1);
        assert_se(store_worker_stalled(worker) >= 90 * USEC_PER_MSEC);
        while (!slow.done)
                assert_ok(sd_event_run(loop, UINT64_MAX));
        assert_se(store_worker_stalled(worker) == 0);
}

/* ---- the probe ---- */

#define FRESH (100 * USEC_PER_MSEC)
#define PATIENCE (150 * USEC_PER_MSEC)

static sem_t gate; /* the probe's work waits for it */
static int probe_says;
static unsigned n_works, n_dones, n_answers;

static int probe_work(Store *s, void *userdata) {
        assert_se(sem_wait(&gate) == 0);
        n_works++;
        return probe_says;
}

static void probe_done(int r, void *userdata) {
        n_dones++;
}

static void probe_answer(void *waiter) {
        n_answers++;
        if (waiter)
                *(usec_t *) waiter = now(CLOCK_MONOTONIC);
}

static void run_until(const unsigned *n, unsigned value) {
        while (*n < value)
                assert_ok(sd_event_run(loop, UINT64_MAX));
}

static void test_probe(void) {
        _cleanup_(store_probe_freep) StoreProbe *p = NULL;
        StoreProbeOptions o = { "probe", FRESH, PATIENCE, probe_work, probe_done, NULL };
        usec_t begun, answered;

        store_worker_observe(worker, NULL, NULL);
        assert_se(sem_init(&gate, 0, 1) == 0);
        assert_ok(store_probe_new(&p, loop, worker, &o));
        assert_se(store_probe_result(p) == -ENODATA);

        /* two who ask at once cost one job; a third a moment later costs none and does not wait */
        store_probe_ask(p, probe_answer, NULL);
        store_probe_ask(p, probe_answer, NULL);
        assert_se(n_answers == 0);
        run_until(&n_answers, 2);
        assert_se(n_works == 1 && n_dones == 1 && store_probe_result(p) == 0);
        store_probe_ask(p, probe_answer, NULL);
        assert_se(n_answers == 3 && n_works == 1);

        /* it does not answer: nobody waits longer than that, and who comes later not at all */
        (void) usleep(FRESH);
        begun = now(CLOCK_MONOTONIC);
        store_probe_ask(p, probe_answer, &answered);
        run_until(&n_answers, 4);
        assert_se(answered - begun >= PATIENCE && answered - begun < PATIENCE + USEC_PER_SEC);
        assert_se(store_probe_result(p) == -ETIMEDOUT && n_works == 1);
        store_probe_ask(p, probe_answer, NULL);
        assert_se(n_answers == 5);

        /* it answers after all, and says that it fails */
        probe_says = -EIO;
        assert_se(sem_post(&gate) == 0);
        run_until(&n_dones, 2);
        assert_se(store_probe_result(p) == -EIO && n_answers == 5 && n_works == 2);
        (void) usleep(FRESH);
        probe_says = 0;
        assert_se(sem_post(&gate) == 0);
        store_probe_ask(p, probe_answer, NULL);
        run_until(&n_answers, 6);
        assert_se(store_probe_result(p) == 0 && n_works == 3);

        worker = store_worker_free(worker);
        assert_se(sem_destroy(&gate) == 0);
}

int main(void) {
        assert_ok(sd_event_new(&loop));
        assert_ok(store_worker_new(&worker, loop, &fake_store, NULL, NULL));
        store_worker_observe(worker, on_job, &seen);
        test_measures();
        test_notes_of_failures();
        test_parts();
        test_stall();
        test_probe();
        sd_event_unref(loop);
        return 0;
}
