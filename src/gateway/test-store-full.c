/* SPDX-License-Identifier: Apache-2.0 */

/* The worker over a real database that has no room left: SQLite then ends the whole transaction by itself, in
 * the middle of a batch. What is told as failed must not be there afterwards, and the other way round. */

#include "store-worker.h"

#include <fcntl.h>
#include <semaphore.h>

#include "alloc-util.h"
#include "event-util.h"
#include "fs-util.h"
#include "store-sqlite.h"
#include "string-util.h"
#include "tests.h"

static sd_event *loop;
static StoreWorker *worker;
static unsigned n_events; /* that were published */

typedef struct Step {
        StoreJob job;
        int (*run)(StoreJob *j, Store *s);
        const char *name; /* of a setting */
        bool done;
        int told;
} Step;

static int step_work(StoreJob *j, Store *s) {
        return container_of(j, Step, job)->run(j, s);
}

static void step_done(StoreJob *j, int r) {
        Step *step = container_of(j, Step, job);

        step->done = true;
        step->told = r;
}

static void on_event(EventRecord **e, void *userdata) {
        n_events++;
}

/* ---- what the jobs do ---- */

static sem_t gate;

static int wait_at_gate(StoreJob *j, Store *s) {
        return sem_wait(&gate) == 0 ? 0 : -EIO;
}

/* From here on the database may not grow. */
static int fill(StoreJob *j, Store *s) {
        return sqlite_run(SQLITE_STORE(s), "PRAGMA max_page_count = 1");
}

static int make_room(StoreJob *j, Store *s) {
        return sqlite_run(SQLITE_STORE(s), "PRAGMA max_page_count = 1000000");
}

static int put(StoreJob *j, Store *s) {
        int r = s->ops->setting_put(s, container_of(j, Step, job)->name, "there");

        return r < 0 ? r : store_job_emit(j, s, "setting", NULL, strdup("{}"), /* progress= */ true, 1);
}

static int drop(StoreJob *j, Store *s) {
        return s->ops->setting_delete(s, container_of(j, Step, job)->name);
}

static int put_large(StoreJob *j, Store *s) {
        static char value[1 << 20];

        memset(value, 'x', sizeof(value) - 1);
        return s->ops->setting_put(s, "large", value);
}

/* A job that takes no heed of what fails, and goes on. */
static int put_large_and_go_on(StoreJob *j, Store *s) {
        assert_error(put_large(j, s), ENOSPC);
        assert_error(put(j, s), ENOSPC);
        return 0;
}

static int find(StoreJob *j, Store *s) {
        _cleanup_free_ char *value = NULL;

        return s->ops->setting_get(s, container_of(j, Step, job)->name, &value);
}

/* ---- */

static void submit(Step *step) {
        step->job.work = step_work;
        step->job.done = step_done;
        step->job.kind = "step";
        step->done = false;
        assert_ok(store_worker_submit(worker, &step->job));
}

static int wait_for(Step *step) {
        while (!step->done)
                assert_ok(sd_event_run(loop, UINT64_MAX));
        return step->told;
}

static int run(int (*what)(StoreJob *j, Store *s), const char *name) {
        Step step = { .run = what, .name = name };

        submit(&step);
        return wait_for(&step);
}

/* All of them in one batch, since they wait behind another. */
static void run_batch(Step *steps, size_t n) {
        Step first = { .run = wait_at_gate, .job.long_work = true };

        submit(&first);
        for (size_t i = 0; i < n; i++)
                submit(&steps[i]);
        assert_se(sem_post(&gate) == 0);
        assert_ok(wait_for(&first));
        for (size_t i = 0; i < n; i++)
                (void) wait_for(&steps[i]);
}

static void test_batch(void) {
        Step steps[] = {
                { .run = put, .name = "before" }, { .run = put_large },
                { .run = drop, .name = "token" }, { .run = put_large_and_go_on, .name = "behind" },
                { .run = put, .name = "after" },
        };

        assert_ok(run(put, "token"));
        assert_ok(run(fill, NULL));
        n_events = 0;
        run_batch(steps, ELEMENTSOF(steps));

        /* who shared the transaction with the one that ended it has nothing either, and is told so */
        assert_error(steps[0].told, ENOSPC);
        assert_error(run(find, "before"), ENOENT);
        assert_error(steps[1].told, ENOSPC);
        /* who came with the second of them, too: the token is there still */
        assert_error(steps[2].told, ENOSPC);
        assert_ok(run(find, "token"));
        assert_error(steps[3].told, ENOSPC);
        assert_error(run(find, "behind"), ENOENT);
        assert_error(run(find, "large"), ENOENT);
        /* and the last is as if there had been nothing */
        assert_ok(steps[4].told);
        assert_ok(run(find, "after"));
        assert_se(n_events == 1);

        assert_ok(run(make_room, NULL));
        assert_ok(run(put_large, NULL));
        assert_ok(run(drop, "token"));
        assert_error(run(find, "token"), ENOENT);
}

int main(void) {
        char template[] = "/tmp/test-store-full-XXXXXX";
        _cleanup_free_ char *path = NULL;
        Store *store = NULL;

        assert_ok(sd_event_default(&loop));
        assert_se(sem_init(&gate, 0, 0) == 0);
        assert_se(mkdtemp(template));
        path = strjoinf("%s/db", template);
        assert_se(path);
        assert_ok(store_sqlite_open(path, &store));
        assert_ok(store_worker_new(&worker, loop, store, on_event, NULL));
        test_batch();
        store_worker_free(worker);
        assert_se(sem_destroy(&gate) == 0);
        sd_event_unref(loop);
        assert_ok(tree_remove_at(AT_FDCWD, template));
        return 0;
}
