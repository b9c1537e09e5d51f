/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-download.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "file-hash.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "string-util.h"

#define NOT_FOUND_TRIES 3U /* a mirror may lag a little */
#define MISMATCH_TRIES 2U  /* what was on disk may have been damaged */

struct AgentDownload {
        AgentDownloadOptions o;
        char *url, *ca_pem;
        char part_name[AGENT_DOWNLOAD_NAME_MAX];
        int fd;
        uint64_t done; /* bytes in the file, all of them hashed */
        Sha256 *hash;
        FileHash *rehash;
        HttpRequest *request;
        bool first_data;
        int io_error; /* of this machine, not of the network */
        unsigned attempt, not_found, mismatches;
        sd_event_source *retry_source;
};

const char *agent_download_name(
                const uint8_t sha256[static SHA256_SIZE], char buf[static AGENT_DOWNLOAD_NAME_MAX]) {
        hex_encode(sha256, SHA256_SIZE, buf);
        return buf;
}

const char *agent_download_part_name(
                const uint8_t sha256[static SHA256_SIZE], char buf[static AGENT_DOWNLOAD_NAME_MAX]) {
        hex_encode(sha256, SHA256_SIZE, buf);
        strcpy(buf + 2 * (size_t) SHA256_SIZE, ".part");
        return buf;
}

uint64_t agent_download_present(int dir_fd, const uint8_t sha256[static SHA256_SIZE]) {
        char name[AGENT_DOWNLOAD_NAME_MAX];
        struct stat st;

        if (fstatat(dir_fd, agent_download_name(sha256, name), &st, AT_SYMLINK_NOFOLLOW) < 0 &&
            fstatat(dir_fd, agent_download_part_name(sha256, name), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        return (uint64_t) st.st_size;
}

void agent_download_clean(int dir_fd, const uint8_t (*keep)[SHA256_SIZE], size_t n_keep) {
        _cleanup_strv_free_ char **names = NULL;
        if (dir_list_at(dir_fd, ".", &names) < 0)
                return;
        STRV_FOREACH(name, names) {
                bool wanted = false;
                for (size_t i = 0; i < n_keep && !wanted; i++) {
                        char hex[AGENT_DOWNLOAD_NAME_MAX];
                        wanted = startswith(*name, agent_download_name(keep[i], hex)) != NULL;
                }
                if (!wanted)
                        (void) unlinkat(dir_fd, *name, 0);
        }
}

static int download_request(AgentDownload *d);

static void download_finish(AgentDownload *d, int error, const char *format, ...) _printf_(3, 4);
static void download_finish(AgentDownload *d, int error, const char *format, ...) {
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        d->request = http_request_free(d->request);
        (void) event_timer_disarm(d->retry_source);
        d->o.handlers->on_finish(d, error, message, d->o.userdata);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentDownload *d = userdata;
        int r = download_request(d);
        if (r < 0)
                download_finish(d, r, "Cannot start the download of %s: %s.", d->url, strerror(-r));
        return 0;
}

static void download_retry(AgentDownload *d, int error, const char *why) {
        usec_t pause = backoff_full_jitter(d->o.retry_min, d->o.retry_max, d->attempt, random_u64());

        if (d->attempt < 32)
                d->attempt++;
        if (usec_add(now(CLOCK_BOOTTIME), pause) >= d->o.deadline) {
                download_finish(d, -ETIMEDOUT, "The download of %s did not succeed before the deadline: %s.",
                                d->url, why);
                return;
        }
        log_info("Download of %s interrupted at %" PRIu64 " of %" PRIu64 " bytes: %s.", d->url, d->done,
                 d->o.length, why);
        if (event_timer_arm(d->o.event, &d->retry_source, pause, on_retry, d, "download-retry") < 0)
                download_finish(d, -ENOMEM, "Out of memory.");
}

static int download_restart_file(AgentDownload *d) {
        d->hash = sha256_free(d->hash);
        d->done = 0;
        if (ftruncate(d->fd, 0) < 0)
                return negative_errno();
        return sha256_new(&d->hash);
}

/* All bytes are here: they are the signed ones, or the file is worthless. */
static void download_complete(AgentDownload *d) {
        uint8_t digest[SHA256_SIZE];
        char name[AGENT_DOWNLOAD_NAME_MAX];

        sha256_final(d->hash, digest);
        d->hash = sha256_free(d->hash);
        if (!memory_equal_ct(digest, d->o.sha256, SHA256_SIZE)) {
                int r = download_restart_file(d);
                if (r < 0)
                        download_finish(d, r, "Cannot start the file anew: %s.", strerror(-r));
                else if (++d->mismatches < MISMATCH_TRIES)
                        download_retry(d, -EBADMSG,
                                       "its hash is not the signed one, once more from the start");
                else
                        download_finish(d, -EBADMSG,
                                        "The SHA-256 of %s is not the signed one; the file was dropped.",
                                        d->url);
                return;
        }
        if (renameat(d->o.dir_fd, d->part_name, d->o.dir_fd, agent_download_name(d->o.sha256, name)) < 0) {
                int r = negative_errno();
                download_finish(d, r, "Cannot rename the downloaded file: %s.", strerror(-r));
                return;
        }
        download_finish(d, 0, "Downloaded.");
}

static int on_data(HttpRequest *request, const void *data, size_t size, void *userdata) {
        AgentDownload *d = userdata;
        int r = 0;

        if (d->first_data) {
                d->first_data = false;
                /* a server that knows no ranges starts from the beginning */
                if (http_request_offset(request) != d->done)
                        r = http_request_offset(request) == 0 ? download_restart_file(d) : -EPROTO;
        }
        if (r >= 0 && size > d->o.length - d->done)
                return -EFBIG;
        if (r >= 0) {
                if (lseek(d->fd, (off_t) d->done, SEEK_SET) < 0)
                        r = negative_errno();
                else
                        r = fd_write_all(d->fd, data, size);
                if (r < 0)
                        d->io_error = r;
        }
        if (r < 0)
                return r;
        sha256_update(d->hash, data, size);
        d->done += size;
        d->attempt = 0;
        d->o.handlers->on_progress(d, d->done, d->o.userdata);
        return 0;
}

static void on_finish(
                HttpRequest *request, int error, unsigned status, const char *message, void *userdata) {
        AgentDownload *d = userdata;

        /* the request stays until the next one: message is part of it */
        if (d->io_error < 0)
                download_finish(d, d->io_error, "Cannot write the download to the state directory: %s.",
                                strerror(-d->io_error));
        else if (error == -EFBIG)
                download_finish(d, -EBADMSG, "%s is longer than the signed length of %" PRIu64 " bytes.",
                                d->url, d->o.length);
        else if (error < 0)
                download_retry(d, error, message);
        else if (IN_SET(status, 200U, 206U) && d->done == d->o.length)
                download_complete(d);
        else if (IN_SET(status, 200U, 206U))
                download_retry(d, -EPIPE, "the transfer ended early");
        else if (IN_SET(status, 403U, 404U, 410U) && ++d->not_found >= NOT_FOUND_TRIES)
                download_finish(d, -ENOENT, "%s does not exist there (HTTP status %u).", d->url, status);
        else if (status == 416 && download_restart_file(d) >= 0)
                download_retry(d, -ERANGE, "the server refuses the range, once more from the start");
        else {
                char text[64];
                (void) snprintf(text, sizeof(text), "HTTP status %u", status);
                download_retry(d, -EREMOTEIO, text);
        }
}

static int download_request(AgentDownload *d) {
        d->request = http_request_free(d->request);
        d->first_data = true;
        HttpOptions options = {
                .url = d->url,
                .ca_pem = d->ca_pem,
                .resume_from = d->done,
                .max_size = d->o.length,
                .speed_limit = d->o.speed_limit,
                .timeout = usec_sub(d->o.deadline, now(CLOCK_BOOTTIME)) ?: 1,
                .connect_timeout = d->o.connect_timeout,
                .low_speed_time = d->o.low_speed_time,
                .on_data = on_data,
                .on_finish = on_finish,
                .userdata = d,
        };
        return http_request_start(d->o.http, &options, &d->request);
}

static void on_rehashed(FileHash *h, int error, Sha256 *hash, void *userdata) {
        AgentDownload *d = userdata;

        d->rehash = file_hash_free(h);
        sha256_free(d->hash);
        d->hash = hash;
        int r = error;
        if (r < 0) /* what is there cannot be read: start anew */
                r = download_restart_file(d);
        if (r < 0) {
                download_finish(d, r, "Cannot read what was downloaded before: %s.", strerror(-r));
                return;
        }
        d->o.handlers->on_progress(d, d->done, d->o.userdata);
        if (d->done == d->o.length) {
                download_complete(d);
                return;
        }
        r = download_request(d);
        if (r < 0)
                download_finish(d, r, "Cannot start the download of %s: %s.", d->url, strerror(-r));
}

static int download_open(AgentDownload *d) {
        char name[AGENT_DOWNLOAD_NAME_MAX];
        struct stat st;

        (void) agent_download_part_name(d->o.sha256, d->part_name);
        /* a whole one goes through the same check as a partial one */
        if (renameat(d->o.dir_fd, agent_download_name(d->o.sha256, name), d->o.dir_fd, d->part_name) < 0 &&
            errno != ENOENT)
                return negative_errno();
        d->fd = openat(d->o.dir_fd, d->part_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
                       0600);
        if (d->fd < 0)
                return negative_errno();
        int r = fd_verify_regular(d->fd);
        if (r < 0)
                return r;
        if (fstat(d->fd, &st) < 0)
                return negative_errno();
        if ((uint64_t) st.st_size > d->o.length && ftruncate(d->fd, 0) < 0)
                return negative_errno();
        d->done = (uint64_t) st.st_size > d->o.length ? 0 : (uint64_t) st.st_size;
        return 0;
}

int agent_download_start(AgentDownload **ret, const AgentDownloadOptions *options) {
        _cleanup_(agent_download_freep) AgentDownload *d = new0(AgentDownload, 1);
        if (!d)
                return -ENOMEM;
        *d = (AgentDownload){ .o = *options, .fd = -EBADF };
        d->url = strdup(options->url);
        d->ca_pem = options->ca_pem ? strdup(options->ca_pem) : NULL;
        if (!d->url || (options->ca_pem && !d->ca_pem))
                return -ENOMEM;
        int r = download_open(d);
        if (r >= 0)
                r = file_hash_start(&d->rehash, d->o.event, d->fd, d->done, on_rehashed, d);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

AgentDownload *agent_download_free(AgentDownload *d) {
        if (!d)
                return NULL;
        http_request_free(d->request);
        file_hash_free(d->rehash);
        sha256_free(d->hash);
        sd_event_source_disable_unref(d->retry_source);
        fd_close(d->fd);
        free(d->url);
        free(d->ca_pem);
        free(d);
        return NULL;
}
