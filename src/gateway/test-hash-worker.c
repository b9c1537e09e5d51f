/* SPDX-License-Identifier: Apache-2.0 */

/* The thread for hashes, and that the store's does not wait for it. */

#include "hash-worker.h"

#include <semaphore.h>

#include "store-worker.h"
#include "tests.h"

#define PLACES 4U

static sd_event *loop;
static HashWorker *hashes;
static StoreWorker *stores;
static sem_t gate; /* what a hash takes: until the test lets it */
static unsigned n_hashed, n_stored;
static int order[2 * PLACES];

static int fake_ok(Store *s) {
        return 0;
}

static void fake_nothing(Store *s) {
}

static const StoreOps fake_ops = {
        .close = fake_nothing,
        .begin = fake_ok,
        .commit = fake_ok,
        .rollback = fake_nothing,
        .savepoint = fake_ok,
        .savepoint_release = fake_ok,
        .savepoint_rollback = fake_ok,
};

static Store fake_store = { .ops = &fake_ops };

typedef struct Sign {
        StoreJob store;
        HashJob hash;
        int number;
} Sign;

static int hash_work(HashJob *j) {
        assert_se(sem_wait(&gate) == 0);
        return container_of(j, Sign, hash)->number;
}

static void hash_done(HashJob *j, int r) {
        assert_se(r == container_of(j, Sign, hash)->number);
        order[n_hashed++] = r;
}

static int store_work(StoreJob *j, Store *s) {
        return 0;
}

static void store_done(StoreJob *j, int r) {
        assert_se(r == 0);
        n_stored++;
}

static Sign sign(int number) {
        return (Sign){
                .store = { .work = store_work, .done = store_done },
                .hash = { .work = hash_work, .done = hash_done },
                .number = number,
        };
}

static void run_until(const unsigned *n, unsigned value) {
        usec_t end = usec_add(now(CLOCK_MONOTONIC), 10 * USEC_PER_SEC);

        while (*n < value) {
                assert_se(now(CLOCK_MONOTONIC) < end);
                assert_ok(sd_event_run(loop, 100 * USEC_PER_MSEC));
        }
}

/* A flood: every place is taken, none moves. Changes go on meanwhile. */
static void test_store_goes_on(void) {
        Sign s[PLACES + 1];

        for (unsigned i = 0; i < PLACES; i++) {
                s[i] = sign((int) i);
                assert_ok(hash_worker_submit(hashes, &s[i].hash));
        }
        s[PLACES] = sign(PLACES);
        assert_se(hash_worker_submit(hashes, &s[PLACES].hash) == -ENOBUFS);
        for (unsigned i = 0; i <= PLACES; i++)
                assert_ok(store_worker_submit(stores, &s[i].store));
        run_until(&n_stored, PLACES + 1);
        assert_se(n_hashed == 0);

        for (unsigned i = 0; i < PLACES; i++)
                assert_se(sem_post(&gate) == 0);
        run_until(&n_hashed, PLACES);
        for (unsigned i = 0; i < PLACES; i++)
                assert_se(order[i] == (int) i);
}

/* What was begun is finished, and finds the store's worker still there. */
static void hash_done_at_the_end(HashJob *j, int r) {
        Sign *s = container_of(j, Sign, hash);

        hash_done(j, r);
        assert_se(hash_worker_submit(hashes, &s->hash) == -ESHUTDOWN);
        assert_ok(store_worker_submit(stores, &s->store));
}

static void test_end(void) {
        Sign s[2];

        n_hashed = n_stored = 0;
        for (unsigned i = 0; i < 2; i++) {
                s[i] = sign((int) i);
                s[i].hash.done = hash_done_at_the_end;
                assert_ok(hash_worker_submit(hashes, &s[i].hash));
                assert_se(sem_post(&gate) == 0);
        }
        hashes = hash_worker_free(hashes);
        assert_se(n_hashed == 2);
        stores = store_worker_free(stores);
        assert_se(n_stored == 2);
}

int main(void) {
        assert_ok(sd_event_new(&loop));
        assert_se(sem_init(&gate, 0, 0) == 0);
        assert_ok(hash_worker_new(&hashes, loop, PLACES));
        assert_ok(store_worker_new(&stores, loop, &fake_store, NULL, NULL));
        test_store_goes_on();
        test_end();
        assert_se(sem_destroy(&gate) == 0);
        sd_event_unref(loop);
        return 0;
}
