/* SPDX-License-Identifier: Apache-2.0 */
#include "registry-import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "crypto.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "gateway.h"
#include "hashmap.h"
#include "hex.h"
#include "log.h"
#include "messages.h"
#include "registry-commit.h"
#include "string-util.h"

#define IDLE_MAX USEC_PER_HOUR
#define SWEEP_INTERVAL (5 * USEC_PER_MINUTE)
#define DISK_RESERVE MIB(64) /* the store's, whatever is uploaded */
#define ROOM_CHECK MIB(1)    /* written between two looks at what is free */

struct Imports {
        Gateway *gateway;
        Hashmap *imports;                    /* id → Import */
        uint64_t promised;                   /* bytes that open uploads have announced and not yet written */
        uint64_t unchecked;                  /* bytes written since the last look at what is free */
        bool committing;
        sd_event_source *sweep_source;
};

struct Import {
        Imports *owner;
        char id[33];
        int dir_fd;
        usec_t touched;                      /* CLOCK_BOOTTIME */
        unsigned n_files, n_uploads, next_temporary;
        bool committing;
        import_on_result_t on_result;
        void *userdata;
};

struct ImportUpload {
        Import *import;
        int fd;
        char *path, *temporary;
        uint64_t expected, written;
};

static void import_destroy(void *value) {
        Import *m = value;
        int fd = registry_import_fd(m->owner->gateway->registry), r;

        fd_close(m->dir_fd);
        r = tree_remove_at(fd, m->id);
        if (r < 0)
                (void) log_warning_errno(
                                r, "Failed to remove the uploaded files of import %s, ignoring: %m", m->id);
        free(m);
}

static int imports_on_sweep(sd_event_source *source, uint64_t usec, void *userdata) {
        Imports *i = userdata;
        usec_t t = now(CLOCK_BOOTTIME);
        size_t cursor = 0;
        void *value;

        while (hashmap_iterate(i->imports, &cursor, NULL, &value)) {
                Import *m = value;

                if (m->committing || m->n_uploads > 0 || usec_sub(t, m->touched) < IDLE_MAX)
                        continue;
                log_info("Import %s was left alone for an hour, dropping it.", m->id);
                (void) hashmap_remove(i->imports, m->id);
                import_destroy(m);
        }
        return event_timer_arm(
                        i->gateway->event, &i->sweep_source, SWEEP_INTERVAL, imports_on_sweep, i,
                        "imports-sweep");
}

int imports_new(Imports **ret, Gateway *g) {
        _cleanup_(imports_freep) Imports *i = NULL;
        int r;

        i = new0(Imports, 1);
        if (!i)
                return -ENOMEM;
        i->gateway = g;
        r = hashmap_new(&i->imports, import_destroy);
        if (r < 0)
                return r;
        r = event_timer_arm(
                        g->event, &i->sweep_source, SWEEP_INTERVAL, imports_on_sweep, i, "imports-sweep");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(i);
        return 0;
}

Imports *imports_free(Imports *i) {
        if (!i)
                return NULL;
        hashmap_free(i->imports);
        sd_event_source_disable_unref(i->sweep_source);
        free(i);
        return NULL;
}

int imports_begin(Imports *i, const char **ret_id) {
        int parent = registry_import_fd(i->gateway->registry), r;
        uint8_t id[16];
        Import *m;

        if (hashmap_size(i->imports) >= IMPORTS_MAX)
                return -ENOBUFS;
        m = new0(Import, 1);
        if (!m)
                return -ENOMEM;
        *m = (Import){ .owner = i, .dir_fd = -EBADF, .touched = now(CLOCK_BOOTTIME) };
        random_bytes(id, sizeof(id));
        hex_encode(id, sizeof(id), m->id);
        r = RET_NERRNO(mkdirat(parent, m->id, 0700));
        if (r >= 0) {
                m->dir_fd = dir_open_at(parent, m->id);
                r = m->dir_fd < 0 ? m->dir_fd : RET_NERRNO(mkdirat(m->dir_fd, "metadata", 0700));
        }
        if (r >= 0)
                r = RET_NERRNO(mkdirat(m->dir_fd, "targets", 0700));
        if (r >= 0)
                r = hashmap_put(i->imports, m->id, m);
        if (r < 0) {
                import_destroy(m);
                return r;
        }
        *ret_id = m->id;
        return 0;
}

Import *imports_get(Imports *i, const char *id) {
        return hashmap_get(i->imports, id);
}

int import_drop(Import *m) {
        if (m->committing || m->n_uploads > 0)
                return -EBUSY;
        (void) hashmap_remove(m->owner->imports, m->id);
        import_destroy(m);
        return 0;
}

/* ---- one file ---- */

/* Makes the directories on the way; returns the whole path. */
static int make_path(Import *m, const char *const *path, size_t n_path, char **ret) {
        _cleanup_free_ char *whole = strdup(path[0]);

        if (!whole)
                return -ENOMEM;
        for (size_t i = 1; i < n_path; i++) {
                char *longer = strjoinf("%s/%s", whole, path[i]);

                if (!longer)
                        return -ENOMEM;
                free(whole);
                whole = longer;
                if (i + 1 < n_path && mkdirat(m->dir_fd, whole, 0700) < 0 && errno != EEXIST)
                        return negative_errno();
        }
        *ret = TAKE_PTR(whole);
        return 0;
}

static bool path_is_good(const char *const *path, size_t n_path) {
        if (n_path < 2 || (streq(path[0], "metadata") ? n_path != 2 : !streq(path[0], "targets")))
                return false;
        for (size_t i = 1; i < n_path; i++)
                if (!filename_is_plain(path[i]))
                        return false;
        return true;
}

/* Is there room for this and all that was promised before, and for the store's own growth besides? */
static int check_room(Import *m, uint64_t length) {
        uint64_t free_bytes, needed;
        int r;

        r = fs_free_bytes(m->dir_fd, &free_bytes);
        if (r < 0)
                return r;
        if (__builtin_add_overflow(length, m->owner->promised, &needed) ||
            __builtin_add_overflow(needed, DISK_RESERVE, &needed))
                return -ENOSPC;
        return free_bytes < needed ? -ENOSPC : 0;
}

int import_upload_new(
                Import *m, const char *const *path, size_t n_path, uint64_t length, ImportUpload **ret) {
        _cleanup_(import_upload_freep) ImportUpload *u = NULL;
        uint64_t max;
        int r;

        if (m->committing)
                return -EBUSY;
        if (!path_is_good(path, n_path))
                return -EINVAL;
        max = streq(path[0], "metadata") ? IMPORT_METADATA_MAX : m->owner->gateway->conf.target_size_max;
        if (length > max)
                return -EFBIG;
        if (m->n_files >= IMPORT_FILES_MAX)
                return -E2BIG;
        r = check_room(m, length);
        if (r < 0)
                return r;

        u = new0(ImportUpload, 1);
        if (!u)
                return -ENOMEM;
        *u = (ImportUpload){ .import = m, .fd = -EBADF, .expected = length };
        m->n_uploads++;
        m->owner->promised += length;
        m->touched = now(CLOCK_BOOTTIME);
        r = make_path(m, path, n_path, &u->path);
        if (r < 0)
                return r;
        u->temporary = strjoinf("upload-%u", m->next_temporary++);
        if (!u->temporary)
                return -ENOMEM;
        u->fd = RET_NERRNO(
                        openat(m->dir_fd, u->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                               0600));
        if (u->fd < 0)
                return u->fd;
        *ret = TAKE_PTR(u);
        return 0;
}

/* Others write to the same disk: what was free when it began may be gone. */
int import_upload_write(ImportUpload *u, const void *data, size_t size) {
        Imports *i = u->import->owner;
        int r;

        if (size > u->expected - u->written)
                return -EFBIG;
        if (i->unchecked + size >= ROOM_CHECK) {
                r = check_room(u->import, 0);
                if (r < 0)
                        return r;
                i->unchecked = 0;
        }
        r = fd_write_all(u->fd, data, size);
        if (r < 0)
                return r;
        i->unchecked += size;
        i->promised -= size;
        u->written += size;
        return 0;
}

int import_upload_finish(ImportUpload *u) {
        Import *m = u->import;

        if (u->written != u->expected)
                return -EMSGSIZE;
        if (renameat(m->dir_fd, u->temporary, m->dir_fd, u->path) < 0)
                return negative_errno();
        free(u->temporary);
        u->temporary = NULL;
        m->n_files++;
        m->touched = now(CLOCK_BOOTTIME);
        return 0;
}

const char *import_upload_path(const ImportUpload *u) {
        return u->path;
}

uint64_t import_upload_length(const ImportUpload *u) {
        return u->expected;
}

ImportUpload *import_upload_free(ImportUpload *u) {
        if (!u)
                return NULL;
        if (u->temporary)
                (void) unlinkat(u->import->dir_fd, u->temporary, 0);
        u->import->n_uploads--;
        u->import->owner->promised -= u->expected - u->written;
        fd_close(u->fd);
        free(u->temporary);
        free(u->path);
        free(u);
        return NULL;
}

/* ---- into the registry ---- */

static void import_on_commit(const ImportResult *result, void *userdata) {
        Import *m = userdata;
        Imports *i = m->owner;

        i->committing = false;
        metrics_count_verification(i->gateway->metrics, result->verification);
        if (result->refusal)
                log_event(LOG_WARNING, FLEET_MESSAGE_IMPORT_REFUSED_STR, "MESSAGE=Import %s was refused: %s",
                          m->id, result->refusal, "FLEET_IMPORT=%s", m->id, "FLEET_REASON=%s",
                          result->verification, NULL);
        else if (result->error < 0)
                (void) log_error_errno(result->error, "Import %s failed: %m", m->id);
        else {
                i->gateway->metadata = result->metadata;
                log_event(LOG_NOTICE, FLEET_MESSAGE_IMPORT_DONE_STR,
                          "MESSAGE=Import %s: %zu new releases, %zu in all.", m->id,
                          strv_length(result->imported), strv_length(result->releases), "FLEET_IMPORT=%s",
                          m->id, "FLEET_RELEASES_NEW=%zu", strv_length(result->imported),
                          "FLEET_RELEASES=%zu", strv_length(result->releases), NULL);
                stream_registry_reconcile_all(i->gateway->streams);
        }
        m->on_result(result, m->userdata);
        (void) hashmap_remove(i->imports, m->id);
        import_destroy(m);
}

int import_commit(Import *m, const AuditActor *actor, import_on_result_t on_result, void *userdata) {
        Imports *i = m->owner;
        int r;

        if (i->committing || m->n_uploads > 0)
                return -EBUSY;
        m->on_result = on_result;
        m->userdata = userdata;
        r = registry_commit_start(
                        i->gateway->registry, i->gateway->worker, m->dir_fd, actor, import_on_commit, m);
        if (r >= 0)
                i->committing = m->committing = true;
        return r;
}
