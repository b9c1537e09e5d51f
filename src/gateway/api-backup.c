/* SPDX-License-Identifier: Apache-2.0 */

/* GET /api/v1/backup: a copy of the database, consistent and whole. It is made in steps on the worker's
 * thread, each of which is a job of its own, so that all others have their turn in between; into a file of
 * the state directory that has no name any more once it is open; and sent from there. One at a time, since
 * each takes as much of the disk as the database does. It is entered into the audit log before the first
 * byte leaves. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "api.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"

#define BACKUP_FILE "backup.db" /* for a moment */
#define BACKUP_TYPE "application/vnd.sqlite3"
/* What the gateway itself may need of the disk meanwhile. */
#define RESERVE MIB(64)
#define RETRY_AFTER (100 * USEC_PER_MSEC)

struct Backup {
        StoreJob job;
        Gateway *gateway;
        HttpExchange *exchange; /* NULL once it has ended */
        AuditActor actor;
        bool running; /* the job is the worker's, and copy, fd and sizes with it */

        StoreBackup *copy; /* that is being made */
        int fd;            /* of the file; -EBADF before, and once it is the answer's */
        uint64_t size, needed, available;
        sd_event_source *retry_timer;
};

/* Either the job is not the worker's, or there is no worker any more. */
Backup *backup_free(Backup *b) {
        if (!b)
                return NULL;
        b->gateway->backup = NULL;
        sd_event_source_disable_unref(b->retry_timer);
        store_backup_end(b->copy);
        audit_actor_done(&b->actor);
        fd_close(b->fd);
        free(b);
        return NULL;
}

/* ---- on the worker's thread ---- */

/* A full disk would stop the gateway itself. */
static int check_space(Backup *b, Store *s) {
        uint64_t size;
        int r;

        r = s->ops->backup_size(s, &size);
        if (r >= 0)
                r = fs_free_bytes(b->gateway->state_fd, &b->available);
        if (r < 0)
                return r;
        b->needed = size + size / 8 + RESERVE;
        return b->available < b->needed ? -ENOSPC : 0;
}

static int begin_work(StoreJob *job, Store *s) {
        Backup *b = container_of(job, Backup, job);
        _cleanup_free_ char *path = strjoinf("%s/" BACKUP_FILE, b->gateway->conf.state_directory);
        int state_fd = b->gateway->state_fd, r;

        if (!path)
                return -ENOMEM;
        r = check_space(b, s);
        if (r < 0)
                return r;
        if (unlinkat(state_fd, BACKUP_FILE, 0) < 0 && errno != ENOENT)
                return negative_errno();
        b->fd = openat(state_fd, BACKUP_FILE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (b->fd < 0)
                return negative_errno();
        r = s->ops->backup_begin(s, path, &b->copy);
        /* both sides have it open by now, or it is of no use */
        (void) unlinkat(state_fd, BACKUP_FILE, 0);
        return r;
}

static int step_work(StoreJob *job, Store *s) {
        Backup *b = container_of(job, Backup, job);
        struct stat st;
        int r;

        r = b->copy->step(b->copy);
        if (r > 0)
                return r;
        b->copy = store_backup_end(b->copy);
        if (r < 0)
                return r;
        if (fstat(b->fd, &st) < 0)
                return negative_errno();
        b->size = (uint64_t) st.st_size;
        return 0;
}

static int give_up_work(StoreJob *job, Store *s) {
        Backup *b = container_of(job, Backup, job);

        b->copy = store_backup_end(b->copy);
        return 0;
}

static int enter_work(StoreJob *job, Store *s) {
        Backup *b = container_of(job, Backup, job);
        json_t *detail = json_object();

        if (!detail || json_set_u64(detail, "bytes", b->size) < 0) {
                json_decref(detail);
                return -ENOMEM;
        }
        return audit_append(job, s, &b->actor, "backup.create", "", 1, detail);
}

/* ---- from one job to the next ---- */

static void on_done(StoreJob *job, int r);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata);

/* Nobody waits for it from then on. */
static HttpExchange *take_exchange(Backup *b) {
        HttpExchange *x = TAKE_PTR(b->exchange);

        http_exchange_set_context(x, NULL);
        return x;
}

/* Waits when too much is waiting already. */
static void submit(Backup *b, int (*work)(StoreJob *j, Store *s)) {
        int r;

        b->job = (StoreJob){
                .work = work, .done = on_done, .long_work = work != enter_work, .kind = "backup"
        };
        b->running = true;
        r = b->gateway->worker ? store_worker_submit(b->gateway->worker, &b->job) : -ESHUTDOWN;
        if (r >= 0)
                return;
        b->running = false;
        if (r == -ENOBUFS)
                r =
                                event_timer_arm(b->gateway->event, &b->retry_timer, RETRY_AFTER, on_retry, b,
                                                "backup-retry");
        if (r >= 0)
                return;
        if (b->exchange) /* there is no worker any more */
                http_reply_problem(take_exchange(b), HTTP_PROBLEM_OVERLOADED, NULL, "The gateway stops.");
        backup_free(b);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Backup *b = userdata;

        submit(b, b->job.work);
        return 0;
}

static void give_up(Backup *b) {
        if (b->copy)
                submit(b, give_up_work);
        else
                backup_free(b);
}

static void refuse(Backup *b, int error) {
        HttpExchange *x = take_exchange(b);

        if (error == -ENOSPC && b->available < b->needed)
                http_reply_problem(
                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                "The copy, and what the gateway needs besides, take %" PRIu64
                                " MiB in the state directory; "
                                "%" PRIu64 " are free there.",
                                b->needed / MIB(1), b->available / MIB(1));
        else if (error == -ENOSPC)
                http_reply_problem(
                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                "The gateway's disk became full meanwhile.");
        else if (error == -EBUSY)
                http_reply_problem(
                                x, HTTP_PROBLEM_CONFLICT, NULL,
                                "Another process writes into the gateway's database, so that the copy began anew again and "
                                "again.");
        else {
                (void) log_error_errno(
                                error, "Request %s, a backup, failed: %m", http_exchange_request_id(x));
                http_reply_problem(
                                x, HTTP_PROBLEM_INTERNAL, NULL,
                                "Look into the gateway's journal for the request id.");
        }
}

static void send_copy(Backup *b) {
        HttpExchange *x = b->exchange;

        http_reply_header(x, "Cache-Control", "no-store");
        http_reply_header(x, "Content-Disposition", "attachment; filename=\"gateway.db\"");
        http_reply_file(x, 200, BACKUP_TYPE, TAKE_FD(b->fd), 0, b->size);
}

static void on_done(StoreJob *job, int r) {
        Backup *b = container_of(job, Backup, job);

        b->running = false;
        if (!b->exchange)
                give_up(b);
        else if (r < 0) {
                refuse(b, r);
                give_up(b);
        } else if (job->work == begin_work || r > 0)
                submit(b, step_work);
        else if (job->work == step_work)
                submit(b, enter_work);
        else
                send_copy(b);
}

/* ---- requests ---- */

void api_backup(HttpExchange *x, void *userdata) {
        static const char *const known[] = { NULL };
        Gateway *g = userdata;
        Backup *b;

        if (http_exchange_check_parameters(x, known) < 0)
                return;
        if (http_exchange_is_head(x)) {
                http_reply_data(x, 200, BACKUP_TYPE, NULL, 0);
                return;
        }
        if (g->backup) {
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_MANY, NULL,
                                "A backup is being made already; one at a time.");
                return;
        }
        b = new0(Backup, 1);
        if (b)
                *b = (Backup){ .gateway = g, .exchange = x, .fd = -EBADF };
        if (!b || api_actor(x, &b->actor) < 0) {
                free(b);
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        g->backup = b;
        http_exchange_set_context(x, b);
        submit(b, begin_work);
}

void api_backup_end(HttpExchange *x, void *userdata) {
        Backup *b = http_exchange_get_context(x);

        if (!b)
                return;
        b->exchange = NULL;
        if (b->running)
                return;
        (void) event_timer_disarm(b->retry_timer);
        give_up(b);
}
