/* SPDX-License-Identifier: Apache-2.0 */

/* Downloads from a real HTTPS server, see test-agent-download.py: whole, torn, resumed, wrong, too long,
 * absent. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-download.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "tests.h"

#define SIZE 3000000U

static uint8_t body[SIZE], digest[SHA256_SIZE];
static sd_event *event;
static HttpClient *http;
static char *ca_pem;
static const char *port;
static int dir_fd = -EBADF;

typedef struct Result {
        bool finished;
        int error;
        char message[512];
        uint64_t progress;
        unsigned steps;
        uint64_t stop_at; /* give up as soon as so much is here; 0: never */
} Result;

static void on_progress(AgentDownload *d, uint64_t done, void *userdata) {
        Result *r = userdata;
        r->progress = done;
        r->steps++;
        assert_se(done <= SIZE);
        if (r->stop_at > 0 && done >= r->stop_at)
                (void) sd_event_exit(event, 0);
}

static void on_finish(AgentDownload *d, int error, const char *message, void *userdata) {
        Result *r = userdata;
        assert_se(!r->finished);
        r->finished = true;
        r->error = error;
        snprintf(r->message, sizeof(r->message), "%s", message);
        (void) sd_event_exit(event, 0);
}

static const AgentDownloadHandlers handlers = { .on_progress = on_progress, .on_finish = on_finish };

static Result fetch(const char *kind, usec_t deadline, uint64_t stop_at) {
        _cleanup_(agent_download_freep) AgentDownload *d = NULL;
        _cleanup_free_ char *url = strjoinf("https://localhost:%s/%s", port, kind);
        Result result = { .stop_at = stop_at };
        AgentDownloadOptions options = {
                .event = event,
                .http = http,
                .dir_fd = dir_fd,
                .url = url,
                .ca_pem = ca_pem,
                .length = SIZE,
                .low_speed_time = 2 * USEC_PER_SEC,
                .connect_timeout = 5 * USEC_PER_SEC,
                .retry_min = 10 * USEC_PER_MSEC,
                .retry_max = 50 * USEC_PER_MSEC,
                .deadline = now(CLOCK_BOOTTIME) + deadline,
                .handlers = &handlers,
                .userdata = &result,
        };
        memcpy(options.sha256, digest, SHA256_SIZE);
        assert_ok(agent_download_start(&d, &options));
        assert_se(!result.finished);
        assert_ok(sd_event_loop(event));
        d = agent_download_free(d);
        /* the loop was ended; the next download needs another */
        sd_event *old = event;
        http = http_client_free(http);
        assert_ok(sd_event_new(&event));
        sd_event_unref(old);
        assert_ok(http_client_new(&http, event, "test"));
        return result;
}

static void assert_whole(void) {
        char name[AGENT_DOWNLOAD_NAME_MAX];
        _cleanup_free_ void *data = NULL;
        size_t size;
        assert_ok(file_read_at(dir_fd, agent_download_name(digest, name), SIZE + 1, &data, &size));
        assert_se(size == SIZE && memcmp(data, body, SIZE) == 0);
        assert_se(agent_download_present(dir_fd, digest) == SIZE);
}

static void put_part(size_t size, bool damaged) {
        char name[AGENT_DOWNLOAD_NAME_MAX];
        agent_download_clean(dir_fd, NULL, 0);
        body[100] ^= damaged;
        assert_ok(file_write_atomic_at(dir_fd, agent_download_part_name(digest, name), body, size, 0600));
        body[100] ^= damaged;
}

int main(int argc, char *argv[]) {
        _cleanup_free_ void *pem = NULL;
        size_t size;

        assert_se(argc == 4);
        port = argv[1];
        log_set_max_level(LOG_ERR);
        assert_ok(crypto_init());
        for (size_t i = 0; i < SIZE; i++)
                body[i] = (uint8_t) ((i * 7 + i / 256) % 256);
        sha256_bytes(body, SIZE, digest);
        assert_ok(file_read_at(AT_FDCWD, argv[2], KIB(64), &pem, &size));
        ca_pem = pem;
        _cleanup_free_ char *folder = strjoinf("%s/downloads", argv[3]);
        assert_ok(mkdir(folder, 0700));
        dir_fd = dir_open_at(AT_FDCWD, folder);
        assert_ok(dir_fd);
        assert_ok(sd_event_new(&event));
        assert_ok(http_client_new(&http, event, "test"));

        Result r = fetch("good", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0 && r.progress == SIZE && r.steps > 2);
        assert_whole();

        /* it is all there: nothing is asked for (that URL has nothing), but it is hashed again */
        r = fetch("absent", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        assert_whole();

        /* what an earlier attempt left is continued, and only the rest is fetched */
        put_part(1234567, false);
        r = fetch("must-resume", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        assert_whole();

        /* damaged on disk: seen at the end, fetched once more */
        put_part(1234567, true);
        r = fetch("good", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        assert_whole();

        /* longer than it can be */
        agent_download_clean(dir_fd, NULL, 0);
        char name[AGENT_DOWNLOAD_NAME_MAX];
        int fd = openat(dir_fd, agent_download_part_name(digest, name), O_WRONLY | O_CREAT | O_CLOEXEC,
                        0600);
        assert_ok(fd);
        assert_ok(ftruncate(fd, SIZE + 1));
        fd_close(fd);
        r = fetch("good", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        assert_whole();

        /* the connection breaks every million bytes */
        agent_download_clean(dir_fd, NULL, 0);
        r = fetch("torn", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        assert_whole();

        /* a server without ranges, half of it here: from the start, and right */
        put_part(1234567, false);
        r = fetch("no-ranges", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        assert_whole();

        /* another process: cancelled in the middle, then gone on with */
        agent_download_clean(dir_fd, NULL, 0);
        r = fetch("good", 20 * USEC_PER_SEC, 500000);
        assert_se(!r.finished && agent_download_present(dir_fd, digest) >= 500000);
        r = fetch("must-resume", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        assert_whole();

        /* not what was signed: refused, and nothing stays */
        agent_download_clean(dir_fd, NULL, 0);
        r = fetch("wrong", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == -EBADMSG && strstr(r.message, "SHA-256"));
        assert_se(agent_download_present(dir_fd, digest) == 0);
        r = fetch("long", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == -EBADMSG && strstr(r.message, "longer"));

        /* busy for a while, absent for good, dead: within the deadline */
        agent_download_clean(dir_fd, NULL, 0);
        r = fetch("busy", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == 0);
        agent_download_clean(dir_fd, NULL, 0);
        r = fetch("absent", 20 * USEC_PER_SEC, 0);
        assert_se(r.error == -ENOENT);
        usec_t start = now(CLOCK_BOOTTIME);
        r = fetch("stall", 3 * USEC_PER_SEC, 0);
        assert_se(r.error == -ETIMEDOUT && now(CLOCK_BOOTTIME) - start < 6 * USEC_PER_SEC);

        /* only what is named is kept */
        put_part(10, false);
        assert_ok(file_write_atomic_at(dir_fd, "other", "x", 1, 0600));
        agent_download_clean(dir_fd, (const uint8_t(*)[SHA256_SIZE]) & digest, 1);
        assert_se(agent_download_present(dir_fd, digest) == 10 && faccessat(dir_fd, "other", F_OK, 0) < 0);

        http = http_client_free(http);
        event = sd_event_unref(event);
        fd_close(dir_fd);
        return EXIT_SUCCESS;
}
