/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-fetch.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent-download.h"
#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "file-hash.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "tuf-release.h"
#include "version.h"

#define DOWNLOADS_DIR "downloads"
#define DISK_MARGIN MIB(16) /* the machine needs some room besides */

typedef struct Target {
        char *path, *url;
        uint64_t length;
        uint8_t sha256[SHA256_SIZE];
        int fd; /* for reading, once verified */
} Target;

struct AgentFetch {
        AgentFetchOptions o;
        int dir_fd;
        bool own; /* the gateway's own origin */
        char *repository;
        unsigned attempt;
        Target targets[AGENT_FETCH_TARGETS];
        size_t at;
        uint64_t done_before, total;
        AgentDownload *download;
        FileHash *hash;
        sd_event_source *retry_source, *deadline_source;
};

static void fetch_metadata(AgentFetch *f);
static void fetch_next(AgentFetch *f);
static void verify_next(AgentFetch *f);

static void fetch_finish(AgentFetch *f, UpdateVerdict verdict, const char *format, ...) _printf_(3, 4);
static void fetch_finish(AgentFetch *f, UpdateVerdict verdict, const char *format, ...) {
        char message[1024];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        (void) event_timer_disarm(f->deadline_source);
        (void) event_timer_disarm(f->retry_source);
        f->o.handlers->on_finish(f, verdict, message, f->o.userdata);
}

/* ---- metadata ---- */

UpdateVerdict agent_fetch_verdict(int error, TufOutcome outcome) {
        if (error < 0)
                return errno_is_disk_space(error) ? UPDATE_VERDICT_DISK_FULL : UPDATE_VERDICT_INTERNAL;
        switch (outcome) {
        case TUF_OK:
                return UPDATE_VERDICT_NONE;
        case TUF_EXPIRED:
                return UPDATE_VERDICT_METADATA_EXPIRED;
        case TUF_TRANSPORT:
        case TUF_MISSING:
                return UPDATE_VERDICT_DOWNLOAD_FAILED;
        case TUF_NOT_FOUND:
                return UPDATE_VERDICT_NOT_FOUND;
        case TUF_NO_TRUSTED_ROOT:
                return UPDATE_VERDICT_NO_TRUSTED_ROOT;
        default:
                return UPDATE_VERDICT_VERIFICATION_FAILED;
        }
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        fetch_metadata(userdata);
        return 0;
}

static void fetch_retry_metadata(AgentFetch *f, const char *why) {
        usec_t pause = backoff_full_jitter(
                        f->o.conf->reconnect_min, f->o.conf->reconnect_max, f->attempt, random_u64());

        if (f->attempt < 32)
                f->attempt++;
        log_info("Cannot fetch the metadata now, trying again: %s", why);
        if (event_timer_arm(f->o.event, &f->retry_source, pause, on_retry, f, "update-metadata-retry") < 0)
                fetch_finish(f, UPDATE_VERDICT_INTERNAL, "Out of memory.");
}

static int target_init(AgentFetch *f, Target *t, const TufTarget *target) {
        _cleanup_free_ char *base = strjoinf("%s/targets/", f->repository);
        if (!base)
                return -ENOMEM;
        t->length = target->length;
        memcpy(t->sha256, target->sha256, SHA256_SIZE);
        t->path = strdup(target->path);
        return t->path ? tuf_fetch_target_url(base, target, &t->url) : -ENOMEM;
}

/* The updater decides for good; here it only saves a download. */
static bool release_is_refused(AgentFetch *f, const TufRelease *release) {
        if (release->requires && version_compare(f->o.running_version, release->requires) < 0) {
                fetch_finish(f, UPDATE_VERDICT_REQUIRES_OTHER,
                             "Version %s needs %s to be installed before; %s runs.", f->o.version,
                             release->requires, f->o.running_version);
                return true;
        }
        if (f->o.packaging > 0 && release->requires_packaging > f->o.packaging) {
                fetch_finish(f, UPDATE_VERDICT_REQUIRES_PACKAGING,
                             "Version %s needs packaging generation %" PRIu64 ", this machine has %" PRIu32
                             "; upgrade the fleet-agent package.",
                             f->o.version, release->requires_packaging, f->o.packaging);
                return true;
        }
        return false;
}

static bool disk_is_full(AgentFetch *f) {
        uint64_t need = DISK_MARGIN, available;

        for (size_t i = 0; i < AGENT_FETCH_TARGETS; i++) {
                uint64_t present = agent_download_present(f->dir_fd, f->targets[i].sha256);
                need += f->targets[i].length - MIN(f->targets[i].length, present);
        }
        int r = fs_free_bytes(f->dir_fd, &available);
        if (r < 0 || available >= need)
                return false;
        fetch_finish(f, UPDATE_VERDICT_DISK_FULL,
                     "The download needs %" PRIu64 " MiB in the state directory, %" PRIu64 " MiB are free.",
                     need >> 20, available >> 20);
        return true;
}

static void on_metadata(
                int error,
                TufOutcome outcome,
                const char *message,
                const TufMetadata *targets,
                void *userdata) {
        _cleanup_(tuf_release_freep) TufRelease *release = NULL;
        _cleanup_free_ char *why = NULL;
        AgentFetch *f = userdata;

        if (error == 0 && outcome == TUF_TRANSPORT) {
                fetch_retry_metadata(f, message);
                return;
        }
        if (error < 0 || outcome != TUF_OK) {
                fetch_finish(f, agent_fetch_verdict(error, outcome), "%s", message);
                return;
        }
        int r = tuf_release_find(targets, f->o.version, f->o.architecture, &release, &why);
        if (r != 0) {
                fetch_finish(f,
                             r < 0 ? agent_fetch_verdict(r, TUF_OK) : agent_fetch_verdict(0, (TufOutcome) r),
                             "Version %s for %s: %s", f->o.version, f->o.architecture,
                             why                   ?:
                                             r < 0 ? strerror(-r) :
                                                     tuf_outcome_to_string((TufOutcome) r));
                return;
        }
        if (release_is_refused(f, release))
                return;
        r = target_init(f, f->targets, release->agent);
        if (r >= 0)
                r = target_init(f, f->targets + 1, release->updater);
        if (r < 0) {
                fetch_finish(f, UPDATE_VERDICT_INTERNAL, "Cannot prepare the downloads: %s.", strerror(-r));
                return;
        }
        uint8_t keep[AGENT_FETCH_TARGETS][SHA256_SIZE];
        for (size_t i = 0; i < AGENT_FETCH_TARGETS; i++) {
                memcpy(keep[i], f->targets[i].sha256, SHA256_SIZE);
                f->total += f->targets[i].length;
        }
        agent_download_clean(f->dir_fd, keep, AGENT_FETCH_TARGETS);
        if (disk_is_full(f))
                return;
        f->o.handlers->on_progress(f, 0, f->total, f->o.userdata);
        fetch_next(f);
}

static void fetch_metadata(AgentFetch *f) {
        int r = agent_metadata_refresh(f->o.metadata, f->repository, f->own, on_metadata, f);
        if (IN_SET(r, -EBUSY, -EXFULL))
                fetch_retry_metadata(f, "another refresh is under way");
        else if (r < 0)
                fetch_finish(f, agent_fetch_verdict(r, TUF_OK), "Cannot refresh the metadata: %s.",
                             strerror(-r));
}

/* ---- downloads ---- */

static void on_download_progress(AgentDownload *d, uint64_t done, void *userdata) {
        AgentFetch *f = userdata;
        f->o.handlers->on_progress(f, f->done_before + done, f->total, f->o.userdata);
}

static void on_download_finish(AgentDownload *d, int error, const char *message, void *userdata) {
        AgentFetch *f = userdata;

        f->download = agent_download_free(d);
        if (error == -EBADMSG)
                fetch_finish(f, UPDATE_VERDICT_VERIFICATION_FAILED, "%s", message);
        else if (errno_is_disk_space(error))
                fetch_finish(f, UPDATE_VERDICT_DISK_FULL, "%s", message);
        else if (error < 0)
                fetch_finish(f, UPDATE_VERDICT_DOWNLOAD_FAILED, "%s", message);
        else {
                f->done_before += f->targets[f->at].length;
                f->at++;
                fetch_next(f);
        }
}

static const AgentDownloadHandlers download_handlers = {
        .on_progress = on_download_progress,
        .on_finish = on_download_finish,
};

static void fetch_next(AgentFetch *f) {
        if (f->at >= AGENT_FETCH_TARGETS) {
                f->at = 0;
                f->o.handlers->on_verifying(f, f->o.userdata);
                verify_next(f);
                return;
        }
        const Target *t = f->targets + f->at;
        AgentDownloadOptions options = {
                .event = f->o.event,
                .http = f->o.http,
                .dir_fd = f->dir_fd,
                .url = t->url,
                .ca_pem = f->own ? f->o.ca_pem : NULL,
                .length = t->length,
                .speed_limit = f->o.conf->speed_limit,
                .low_speed_time = f->o.conf->low_speed_time,
                .connect_timeout = f->o.conf->connect_timeout,
                .retry_min = f->o.conf->reconnect_min,
                .retry_max = f->o.conf->reconnect_max,
                .deadline = f->o.deadline,
                .handlers = &download_handlers,
                .userdata = f,
        };
        memcpy(options.sha256, t->sha256, SHA256_SIZE);
        int r = agent_download_start(&f->download, &options);
        if (r < 0)
                fetch_finish(f, agent_fetch_verdict(r, TUF_OK),
                             "Cannot write to the folder of downloads: %s.", strerror(-r));
}

/* ---- verification ---- */

static void on_hashed(FileHash *h, int error, Sha256 *hash, void *userdata) {
        AgentFetch *f = userdata;
        Target *t = f->targets + f->at;
        uint8_t digest[SHA256_SIZE] = { 0 };

        f->hash = file_hash_free(h);
        if (hash)
                sha256_final(hash, digest);
        sha256_free(hash);
        if (error < 0 || !memory_equal_ct(digest, t->sha256, SHA256_SIZE)) {
                agent_fetch_clean(f->o.state_fd);
                fetch_finish(f, UPDATE_VERDICT_VERIFICATION_FAILED,
                             "What was stored of %s is not what was signed; the disk may be failing.",
                             t->path);
                return;
        }
        f->at++;
        verify_next(f);
}

/* The very file that will be handed over, read back from the disk. */
static void verify_next(AgentFetch *f) {
        char name[AGENT_DOWNLOAD_NAME_MAX];
        struct stat st;

        if (f->at >= AGENT_FETCH_TARGETS) {
                fetch_finish(f, UPDATE_VERDICT_NONE, "Verified.");
                return;
        }
        Target *t = f->targets + f->at;
        fd_close(t->fd);
        t->fd = openat(f->dir_fd, agent_download_name(t->sha256, name),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        int r = t->fd < 0 ? negative_errno() : fd_verify_regular(t->fd);
        if (r >= 0 && fstat(t->fd, &st) < 0)
                r = negative_errno();
        if (r >= 0 && (uint64_t) st.st_size != t->length)
                r = -EBADMSG;
        if (r >= 0)
                r = file_hash_start(&f->hash, f->o.event, t->fd, t->length, on_hashed, f);
        if (r < 0)
                fetch_finish(f, UPDATE_VERDICT_VERIFICATION_FAILED, "Cannot read back %s: %s.", t->path,
                             strerror(-r));
}

/* ---- life ---- */

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentFetch *f = userdata;
        fetch_finish(f, UPDATE_VERDICT_DOWNLOAD_FAILED,
                     "The gateway's deadline passed before everything was here.");
        return 0;
}

static int downloads_open(int state_fd) {
        if (mkdirat(state_fd, DOWNLOADS_DIR, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        return dir_open_at(state_fd, DOWNLOADS_DIR);
}

void agent_fetch_clean(int state_fd) {
        _cleanup_close_ int fd = downloads_open(state_fd);
        if (fd >= 0)
                agent_download_clean(fd, NULL, 0);
}

int agent_fetch_start(AgentFetch **ret, const AgentFetchOptions *options) {
        _cleanup_(agent_fetch_freep) AgentFetch *f = new0(AgentFetch, 1);
        if (!f)
                return -ENOMEM;
        f->o = *options;
        f->dir_fd = -EBADF;
        for (size_t i = 0; i < AGENT_FETCH_TARGETS; i++)
                f->targets[i].fd = -EBADF;
        if (*options->repository_url) {
                if (!agent_conf_origin_allowed(options->conf, options->repository_url, &f->own))
                        return -EPERM;
                f->repository = strdup(options->repository_url);
        } else {
                f->own = true;
                f->repository = strjoinf("%s/tuf", strempty(options->conf->url));
        }
        if (!f->repository)
                return -ENOMEM;
        size_t n = strlen(f->repository);
        while (n > 0 && f->repository[n - 1] == '/')
                f->repository[--n] = '\0';

        f->dir_fd = downloads_open(options->state_fd);
        if (f->dir_fd < 0)
                return f->dir_fd;
        int r = event_timer_arm(
                        f->o.event, &f->deadline_source, usec_sub(f->o.deadline, now(CLOCK_BOOTTIME)),
                        on_deadline, f, "update-deadline");
        if (r >= 0)
                r = event_timer_arm(f->o.event, &f->retry_source, 0, on_retry, f, "update-metadata-retry");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

AgentFetch *agent_fetch_free(AgentFetch *f) {
        if (!f)
                return NULL;
        agent_metadata_forget(f->o.metadata, f);
        agent_download_free(f->download);
        file_hash_free(f->hash);
        sd_event_source_disable_unref(f->retry_source);
        sd_event_source_disable_unref(f->deadline_source);
        for (size_t i = 0; i < AGENT_FETCH_TARGETS; i++) {
                free(f->targets[i].path);
                free(f->targets[i].url);
                fd_close(f->targets[i].fd);
        }
        fd_close(f->dir_fd);
        free(f->repository);
        free(f);
        return NULL;
}

void agent_fetch_targets(const AgentFetch *f, UpdaterTarget ret[static AGENT_FETCH_TARGETS]) {
        for (size_t i = 0; i < AGENT_FETCH_TARGETS; i++)
                ret[i] = (UpdaterTarget){ f->targets[i].path, f->targets[i].fd };
}
