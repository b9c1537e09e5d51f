/* SPDX-License-Identifier: Apache-2.0 */
#include "hash-worker.h"

#include "alloc-util.h"
#include "work-thread.h"

struct HashWorker {
        WorkThread *thread;
};

static void worker_main(WorkThread *t, void *userdata) {
        MailboxItem *item;

        while ((item = work_thread_take(t, NULL, 1))) {
                HashJob *j = container_of(item, HashJob, item);

                j->result = j->work(j);
                work_thread_give(t, item);
        }
}

static void job_deliver(MailboxItem *item) {
        HashJob *j = container_of(item, HashJob, item);

        j->done(j, j->result);
}

int hash_worker_submit(HashWorker *w, HashJob *j) {
        j->result = -ECANCELED;
        j->item.deliver = job_deliver;
        return work_thread_submit(w->thread, &j->item);
}

int hash_worker_new(HashWorker **ret, sd_event *event, unsigned capacity) {
        _cleanup_(hash_worker_freep) HashWorker *w = NULL;
        int r;

        w = new0(HashWorker, 1);
        if (!w)
                return -ENOMEM;
        r = work_thread_new(&w->thread, event, "hashes", capacity, worker_main, w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

HashWorker *hash_worker_free(HashWorker *w) {
        if (!w)
                return NULL;
        work_thread_free(w->thread);
        free(w);
        return NULL;
}
