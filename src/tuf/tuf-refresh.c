/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-refresh.h"

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "string-util.h"

struct TufRefresh {
        TufStore *store;
        TufTrustedSet *trusted;
        TufRole wanted; /* role of the file that is asked for next */
        char wanted_name[TUF_FILE_NAME_MAX];
        size_t wanted_max;
        unsigned rotations;
        bool finished, changed, locked;
        TufOutcome outcome;
        int error;
        char *message;
};

static int finish(TufRefresh *r, TufOutcome outcome, char *message /* taken; may be NULL */) {
        r->finished = true;
        r->outcome = outcome;
        free(r->message);
        r->message = message;
        return 0;
}

static int finish_error(TufRefresh *r, int error, const char *what) {
        r->finished = true;
        r->error = error;
        r->outcome = TUF_FAILED;
        free(r->message);
        r->message = strjoinf("%s: %s", what, strerror(-error));
        return error;
}

/* The end of every step that a file took: negative, or a refusal with its sentence. */
static int finish_step(TufRefresh *r, int result, char **message) {
        if (result < 0)
                return finish_error(r, result, r->wanted_name);
        _cleanup_free_ char *why = TAKE_PTR(*message);
        return finish(r, (TufOutcome) result, strjoinf("%s: %s", r->wanted_name, strempty(why)));
}

static const TufMetadata *held(const TufRefresh *r, TufRole role) {
        return tuf_trusted_set_get(r->trusted, role);
}

static void want(TufRefresh *r, TufRole role, uint64_t version, const TufFileInfo *f) {
        r->wanted = role;
        tuf_file_name(role, version, r->wanted_name);
        r->wanted_max = tuf_role_size_max(role);
        if (f && f->has_length && f->length < r->wanted_max)
                r->wanted_max = (size_t) f->length;
}

static int persist(TufRefresh *r, TufRole role) {
        const TufMetadata *m = held(r, role);

        int k = tuf_store_write(r->store, role, m->version, m->raw, m->raw_size);
        if (k < 0)
                return finish_error(r, k, "Cannot store metadata");
        r->changed = true;
        return 0;
}

static int succeed(TufRefresh *r) {
        char expires[RFC3339_MAX];
        usec_t stored, reference = tuf_trusted_set_reference_usec(r->trusted);

        int k = tuf_store_verified_time(r->store, &stored);
        if (k >= 0 && stored / USEC_PER_SEC < reference / USEC_PER_SEC)
                k = tuf_store_set_verified_time(r->store, reference);
        if (k < 0)
                return finish_error(r, k, "Cannot store the time of verification");

        return finish(r, TUF_OK,
                      strjoinf("Metadata is %s: root %" PRIu64 ", timestamp %" PRIu64 ", snapshot %" PRIu64
                               ", targets %" PRIu64 ", valid until %s.",
                               r->changed ? "updated" : "up to date", held(r, TUF_ROLE_ROOT)->version,
                               held(r, TUF_ROLE_TIMESTAMP)->version, held(r, TUF_ROLE_SNAPSHOT)->version,
                               held(r, TUF_ROLE_TARGETS)->version,
                               rfc3339_format(tuf_trusted_set_expires_usec(r->trusted), expires)));
}

/* The snapshot is current: is the stored targets file the one it names? */
static int begin_targets(TufRefresh *r) {
        const TufFileInfo *f = tuf_metadata_file(held(r, TUF_ROLE_SNAPSHOT), "targets.json");
        _cleanup_free_ void *data = NULL;
        size_t size;

        if (tuf_store_read(r->store, TUF_ROLE_TARGETS, &data, &size) >= 0) {
                int k = tuf_trusted_set_update_targets(r->trusted, data, size, NULL);
                if (k < 0)
                        return finish_error(r, k, "Cannot read stored metadata");
                if (k == 0)
                        return succeed(r);
        }
        want(r, TUF_ROLE_TARGETS, f->version, f);
        return 0;
}

/* Stored timestamp and snapshot protect against rollback as far as today's keys still vouch for them. */
static int load_locals(TufRefresh *r) {
        _cleanup_free_ void *timestamp = NULL, *snapshot = NULL;
        size_t size;
        int k;

        if (tuf_store_read(r->store, TUF_ROLE_TIMESTAMP, &timestamp, &size) >= 0) {
                k = tuf_trusted_set_load_local_timestamp(r->trusted, timestamp, size, NULL);
                if (k < 0)
                        return finish_error(r, k, "Cannot read stored metadata");
        }
        if (tuf_store_read(r->store, TUF_ROLE_SNAPSHOT, &snapshot, &size) >= 0) {
                k = tuf_trusted_set_load_local_snapshot(r->trusted, snapshot, size, NULL);
                if (k < 0)
                        return finish_error(r, k, "Cannot read stored metadata");
        }
        return 0;
}

static int begin_timestamp(TufRefresh *r) {
        _cleanup_free_ char *why = NULL;

        tuf_file_name(TUF_ROLE_ROOT, held(r, TUF_ROLE_ROOT)->version, r->wanted_name);
        int k = tuf_trusted_set_finish_root(r->trusted, &why);
        if (k != 0)
                return finish_step(r, k, &why);
        k = load_locals(r);
        if (k < 0)
                return k;
        want(r, TUF_ROLE_TIMESTAMP, 0, NULL);
        return 0;
}

static int begin_root(TufRefresh *r) {
        const TufMetadata *root = held(r, TUF_ROLE_ROOT);

        if (r->rotations >= TUF_ROOT_ROTATIONS_MAX || root->version >= TUF_VERSION_MAX)
                return begin_timestamp(r);
        want(r, TUF_ROLE_ROOT, root->version + 1, NULL);
        return 0;
}

static int feed_root(TufRefresh *r, const void *data, size_t size, char **message) {
        int k = tuf_trusted_set_update_root(r->trusted, data, size, message);
        if (k != 0)
                return finish_step(r, k, message);

        /* before the root is stored: a crash in between repeats this step, the other order would leave it
         * out */
        if (tuf_trusted_set_needs_recovery(r->trusted)) {
                k = tuf_store_forget(r->store, TUF_ROLE_TIMESTAMP);
                if (k >= 0)
                        k = tuf_store_forget(r->store, TUF_ROLE_SNAPSHOT);
                if (k < 0)
                        return finish_error(r, k, "Cannot delete metadata of replaced keys");
        }
        k = persist(r, TUF_ROLE_ROOT);
        if (k < 0)
                return k;
        r->rotations++;
        return begin_root(r);
}

static int feed_timestamp(TufRefresh *r, const void *data, size_t size, char **message) {
        bool changed;

        int k = tuf_trusted_set_update_timestamp(r->trusted, data, size, &changed, message);
        if (k != 0)
                return finish_step(r, k, message);
        if (changed) {
                k = persist(r, TUF_ROLE_TIMESTAMP);
                if (k < 0)
                        return k;
        }
        if (tuf_trusted_set_snapshot_is_current(r->trusted))
                return begin_targets(r);

        const TufFileInfo *f = held(r, TUF_ROLE_TIMESTAMP)->files;
        want(r, TUF_ROLE_SNAPSHOT, f->version, f);
        return 0;
}

static int feed_snapshot(TufRefresh *r, const void *data, size_t size, char **message) {
        int k = tuf_trusted_set_update_snapshot(r->trusted, data, size, message);
        if (k != 0)
                return finish_step(r, k, message);
        k = persist(r, TUF_ROLE_SNAPSHOT);
        return k < 0 ? k : begin_targets(r);
}

static int feed_targets(TufRefresh *r, const void *data, size_t size, char **message) {
        int k = tuf_trusted_set_update_targets(r->trusted, data, size, message);
        if (k != 0)
                return finish_step(r, k, message);
        k = persist(r, TUF_ROLE_TARGETS);
        return k < 0 ? k : succeed(r);
}

int tuf_refresh_feed(TufRefresh *r, const void *data, size_t size) {
        _cleanup_free_ char *message = NULL;

        if (r->finished)
                return -EINVAL;
        if (size > r->wanted_max)
                return finish(r, TUF_TOO_LARGE,
                              strjoinf("%s: %zu bytes are above the limit of %zu", r->wanted_name, size,
                                       r->wanted_max));

        switch (r->wanted) {
        case TUF_ROLE_ROOT:
                return feed_root(r, data, size, &message);
        case TUF_ROLE_TIMESTAMP:
                return feed_timestamp(r, data, size, &message);
        case TUF_ROLE_SNAPSHOT:
                return feed_snapshot(r, data, size, &message);
        case TUF_ROLE_TARGETS:
                return feed_targets(r, data, size, &message);
        default:
                return -EINVAL;
        }
}

int tuf_refresh_not_found(TufRefresh *r) {
        if (r->finished)
                return -EINVAL;
        if (r->wanted == TUF_ROLE_ROOT)
                return begin_timestamp(r); /* the chain ends here */
        return finish(r, TUF_MISSING, strjoinf("%s: the repository has no such file", r->wanted_name));
}

int tuf_refresh_fail(TufRefresh *r, TufOutcome outcome, const char *message) {
        if (r->finished || outcome == TUF_OK)
                return -EINVAL;
        return finish(r, outcome, strjoinf("%s: %s", r->wanted_name, message));
}

/* Stores the root to begin with, if it came with the program. */
static int begin(TufRefresh *r, const TufRefreshOptions *options) {
        _cleanup_free_ void *root = NULL, *stored = NULL;
        _cleanup_free_ char *why = NULL;
        size_t size, stored_size;
        usec_t verified;
        uint64_t version;
        int k;

        k = tuf_store_verified_time(r->store, &verified);
        if (k < 0)
                return k;
        k = tuf_trusted_set_new(MAX(options->now_usec, verified), &r->trusted);
        if (k < 0)
                return k;

        if (options->trusted_root_size == 0)
                return finish(r, TUF_NO_TRUSTED_ROOT,
                              strdup("this program was built without a trusted root (-Dtrusted-root=), so it refuses updates"));
        k = tuf_store_trusted_root(
                        r->store, options->trusted_root, options->trusted_root_size, &root, &size, &version,
                        &why);
        if (k > 0)
                return finish(r, (TufOutcome) k, TAKE_PTR(why));
        if (k >= 0)
                k = tuf_trusted_set_load_root(r->trusted, root, size, &why);
        if (k != 0)
                return k < 0 ? k : finish(r, (TufOutcome) k, TAKE_PTR(why));

        k = tuf_store_read(r->store, TUF_ROLE_ROOT, &stored, &stored_size);
        if (k < 0 || stored_size != size || memcmp(stored, root, size) != 0) {
                k = persist(r, TUF_ROLE_ROOT);
                if (k < 0)
                        return k;
        }
        return begin_root(r);
}

int tuf_refresh_new(const TufRefreshOptions *options, TufRefresh **ret) {
        _cleanup_(tuf_refresh_freep) TufRefresh *r = NULL;

        int k = crypto_init();
        if (k < 0)
                return k;
        r = new0(TufRefresh, 1);
        if (!r)
                return -ENOMEM;
        r->store = options->store;
        r->outcome = TUF_FAILED;
        k = tuf_store_lock(r->store);
        if (k < 0)
                return k;
        r->locked = true;

        k = begin(r, options);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

TufRefresh *tuf_refresh_free(TufRefresh *r) {
        if (r) {
                if (r->locked)
                        tuf_store_unlock(r->store);
                tuf_trusted_set_free(r->trusted);
                free(r->message);
                free(r);
        }
        return NULL;
}

int tuf_refresh_next(TufRefresh *r, const char **ret_name, size_t *ret_max) {
        if (r->finished)
                return 0;
        *ret_name = r->wanted_name;
        *ret_max = r->wanted_max;
        return 1;
}

bool tuf_refresh_is_finished(const TufRefresh *r) {
        return r->finished;
}

TufOutcome tuf_refresh_outcome(const TufRefresh *r) {
        return r->outcome;
}

int tuf_refresh_error(const TufRefresh *r) {
        return r->error;
}

const char *tuf_refresh_message(const TufRefresh *r) {
        return r->message ?: "Out of memory.";
}

bool tuf_refresh_changed(const TufRefresh *r) {
        return r->changed;
}

const TufTrustedSet *tuf_refresh_trusted(const TufRefresh *r) {
        return r->trusted;
}

const TufMetadata *tuf_refresh_targets(const TufRefresh *r) {
        return r->finished && r->error == 0 && r->outcome == TUF_OK ? held(r, TUF_ROLE_TARGETS) : NULL;
}

usec_t tuf_refresh_expires_usec(const TufRefresh *r) {
        return tuf_trusted_set_expires_usec(r->trusted);
}

int tuf_refresh_run_bytes(TufRefresh *r, const TufBytes *bytes) {
        const char *name;
        size_t max, size;
        const void *data;

        while (tuf_refresh_next(r, &name, &max) > 0) {
                int k = tuf_bytes_get(bytes, name, &data, &size) >= 0 ? tuf_refresh_feed(r, data, size) :
                                                                        tuf_refresh_not_found(r);
                if (k < 0)
                        return k;
        }
        return r->error;
}

int tuf_refresh_run_directory(TufRefresh *r, int dir_fd, const char *path) {
        _cleanup_close_ int fd = dir_open_at(dir_fd, path);
        if (fd < 0)
                return fd;

        const char *name;
        size_t max, size;
        while (tuf_refresh_next(r, &name, &max) > 0) {
                _cleanup_free_ void *data = NULL;

                int k = file_read_at(fd, name, max, &data, &size);
                if (k == -ENOENT)
                        k = tuf_refresh_not_found(r);
                else if (k == -EFBIG)
                        k = tuf_refresh_fail(r, TUF_TOO_LARGE, "larger than it may be");
                else if (k < 0)
                        k = finish_error(r, k, name);
                else
                        k = tuf_refresh_feed(r, data, size);
                if (k < 0)
                        return k;
        }
        return r->error;
}

static int load_role(TufStore *store, TufRole role, TufTrustedSet *set, char **reterr_message) {
        _cleanup_free_ void *data = NULL;
        size_t size;
        bool changed;

        int r = tuf_store_read(store, role, &data, &size);
        if (r == -ENOENT)
                return tuf_refuse(
                                TUF_MISSING, reterr_message, "no verified %s metadata is stored yet",
                                tuf_role_to_string(role));
        if (r < 0)
                return r;
        switch (role) {
        case TUF_ROLE_TIMESTAMP:
                return tuf_trusted_set_update_timestamp(set, data, size, &changed, reterr_message);
        case TUF_ROLE_SNAPSHOT:
                return tuf_trusted_set_update_snapshot(set, data, size, reterr_message);
        default:
                return tuf_trusted_set_update_targets(set, data, size, reterr_message);
        }
}

int tuf_refresh_load_store(
                TufStore *store,
                const void *trusted_root,
                size_t trusted_root_size,
                TufTrustedSet **ret,
                char **reterr_message) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *set = NULL;
        _cleanup_free_ void *root = NULL;
        uint64_t version;
        size_t size;
        int r;

        r = crypto_init();
        if (r < 0)
                return r;
        if (trusted_root_size == 0)
                return tuf_refuse(
                                TUF_NO_TRUSTED_ROOT, reterr_message,
                                "this program was built without a trusted root");
        r = tuf_store_trusted_root(
                        store, trusted_root, trusted_root_size, &root, &size, &version, reterr_message);
        if (r != 0)
                return r;
        r = tuf_trusted_set_new(
                        /* reference_usec= */ 0, &set); /* at the beginning of time nothing has expired */
        if (r < 0)
                return r;
        r = tuf_trusted_set_load_root(set, root, size, reterr_message);
        if (r == 0)
                r = tuf_trusted_set_finish_root(set, reterr_message);
        for (int role = TUF_ROLE_TIMESTAMP; r == 0 && role < _TUF_ROLE_MAX; role++)
                r = load_role(store, (TufRole) role, set, reterr_message);
        if (r != 0)
                return r;
        *ret = TAKE_PTR(set);
        return 0;
}
