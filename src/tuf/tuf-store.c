/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "parse-util.h"
#include "string-util.h"
#include "tuf-signatures.h"

#define HISTORY_DIR "root_history"
#define VERIFIED_TIME_FILE "verified-time"

struct TufStore {
        int dir_fd;
        bool locked;
};

int tuf_store_open_at(int dir_fd, const char *path, TufStore **ret) {
        _cleanup_close_ int fd = dir_open_at(dir_fd, path);
        if (fd < 0)
                return fd;

        TufStore *s = new0(TufStore, 1);
        if (!s)
                return -ENOMEM;
        s->dir_fd = TAKE_FD(fd);
        *ret = s;
        return 0;
}

int tuf_store_open(const char *path, TufStore **ret) {
        return tuf_store_open_at(AT_FDCWD, path, ret);
}

TufStore *tuf_store_free(TufStore *s) {
        if (s) {
                fd_close(s->dir_fd); /* gives up the lock, too */
                free(s);
        }
        return NULL;
}

int tuf_store_lock(TufStore *s) {
        if (s->locked)
                return -EBUSY;
        if (flock(s->dir_fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : negative_errno();
        s->locked = true;
        return 0;
}

void tuf_store_unlock(TufStore *s) {
        if (s->locked)
                (void) flock(s->dir_fd, LOCK_UN);
        s->locked = false;
}

/* "root.json": the name in the store never comes from the repository. */
static const char *role_file(TufRole role, char buf[static TUF_FILE_NAME_MAX]) {
        snprintf(buf, TUF_FILE_NAME_MAX, "%s.json", strna(tuf_role_to_string(role)));
        return buf;
}

static const char *history_file(uint64_t version, char buf[static TUF_FILE_NAME_MAX]) {
        snprintf(buf, TUF_FILE_NAME_MAX, HISTORY_DIR "/%" PRIu64 ".root.json", version);
        return buf;
}

int tuf_store_read(TufStore *s, TufRole role, void **ret, size_t *ret_size) {
        char name[TUF_FILE_NAME_MAX];
        return file_read_at(s->dir_fd, role_file(role, name), tuf_role_size_max(role), ret, ret_size);
}

int tuf_store_read_root(TufStore *s, uint64_t version, void **ret, size_t *ret_size) {
        char name[TUF_FILE_NAME_MAX];
        return file_read_at(s->dir_fd, history_file(version, name), TUF_ROOT_SIZE_MAX, ret, ret_size);
}

int tuf_store_write(TufStore *s, TufRole role, uint64_t version, const void *data, size_t size) {
        char name[TUF_FILE_NAME_MAX];

        if (role == TUF_ROLE_ROOT) {
                if (mkdirat(s->dir_fd, HISTORY_DIR, 0755) < 0) {
                        if (errno != EEXIST)
                                return negative_errno();
                } else {
                        int r = dir_fsync(s->dir_fd);
                        if (r < 0)
                                return r;
                }
                int r = file_write_atomic_at(s->dir_fd, history_file(version, name), data, size, 0644);
                if (r < 0)
                        return r;
        }
        return file_write_atomic_at(s->dir_fd, role_file(role, name), data, size, 0644);
}

int tuf_store_forget(TufStore *s, TufRole role) {
        char name[TUF_FILE_NAME_MAX];

        if (role == TUF_ROLE_ROOT)
                return -EINVAL;
        return unlink_durable_at(s->dir_fd, role_file(role, name));
}

/* 0 and its version, if these bytes are a root that is signed by itself; else an outcome or a negative
 * errno. */
static int root_check(const void *data, size_t size, uint64_t *ret_version, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;

        int r = tuf_metadata_parse(TUF_ROLE_ROOT, data, size, &m, reterr_message);
        if (r != 0)
                return r;
        r = tuf_signatures_verify(m, TUF_ROLE_ROOT, m, reterr_message);
        if (r != 0)
                return r;
        *ret_version = m->version;
        return 0;
}

/* The highest root of the history that is one, for when root.json itself is damaged. -ENOENT if there is
 * none. */
static int read_history_best(TufStore *s, void **ret, size_t *ret_size, uint64_t *ret_version) {
        _cleanup_strv_free_ char **names = NULL;
        _cleanup_free_ void *best = NULL;
        size_t best_size = 0;
        uint64_t best_version = 0;

        int r = dir_list_at(s->dir_fd, HISTORY_DIR, &names);
        if (r < 0)
                return r;

        STRV_FOREACH(name, names) {
                _cleanup_free_ void *data = NULL;
                uint64_t number, version;
                size_t size;

                const char *end = endswith(*name, ".root.json");
                if (!end)
                        continue;
                _cleanup_free_ char *digits = strndup(*name, (size_t) (end - *name));
                if (!digits)
                        return -ENOMEM;
                if (parse_u64(digits, &number) < 0 || number <= best_version)
                        continue;
                r = tuf_store_read_root(s, number, &data, &size);
                if (r >= 0)
                        r = root_check(data, size, &version, NULL);
                if (r == -ENOMEM)
                        return r;
                if (r != 0 || version != number)
                        continue;
                free(best);
                best = TAKE_PTR(data);
                best_size = size;
                best_version = version;
        }
        if (!best)
                return -ENOENT;
        *ret = TAKE_PTR(best);
        *ret_size = best_size;
        *ret_version = best_version;
        return 0;
}

/* -ENOENT: nothing usable is stored. */
static int read_stored_root(TufStore *s, void **ret, size_t *ret_size, uint64_t *ret_version) {
        _cleanup_free_ void *data = NULL;
        size_t size;

        int r = tuf_store_read(s, TUF_ROLE_ROOT, &data, &size);
        if (r >= 0) {
                r = root_check(data, size, ret_version, NULL);
                if (r < 0)
                        return r;
                if (r == 0) {
                        *ret = TAKE_PTR(data);
                        *ret_size = size;
                        return 0;
                }
        } else if (!IN_SET(r, -ENOENT, -EFBIG, -ELOOP, -ENOTSUP, -EISDIR))
                return r; /* a disk that does not answer must not make us fall back */
        return read_history_best(s, ret, ret_size, ret_version);
}

int tuf_store_trusted_root(
                TufStore *s,
                const void *embedded,
                size_t embedded_size,
                void **ret,
                size_t *ret_size,
                uint64_t *ret_version,
                char **reterr_message) {

        _cleanup_free_ void *data = NULL;
        uint64_t version = 0, embedded_version = 0;
        size_t size = 0;
        int r;

        r = read_stored_root(s, &data, &size, &version);
        if (r < 0 && r != -ENOENT)
                return r;

        if (embedded_size > 0) {
                r = root_check(embedded, embedded_size, &embedded_version, reterr_message);
                if (r < 0)
                        return r;
                if (r > 0) {
                        if (reterr_message && *reterr_message) {
                                _cleanup_free_ char *why = TAKE_PTR(*reterr_message);
                                return tuf_refuse(
                                                (TufOutcome) r, reterr_message,
                                                "the trusted root of this program cannot be used: %s", why);
                        }
                        return r;
                }
                if (!data || embedded_version > version) {
                        free(data);
                        data = memdup_suffix0(embedded, embedded_size);
                        if (!data)
                                return -ENOMEM;
                        size = embedded_size;
                        version = embedded_version;
                }
        }
        if (!data)
                return tuf_refuse(TUF_NO_TRUSTED_ROOT, reterr_message, "there is no trusted root");

        *ret = TAKE_PTR(data);
        *ret_size = size;
        *ret_version = version;
        return 0;
}

int tuf_store_verified_time(TufStore *s, usec_t *ret) {
        _cleanup_free_ void *data = NULL;
        size_t size;

        int r = file_read_at(s->dir_fd, VERIFIED_TIME_FILE, 32, &data, &size);
        if (r == -ENOENT) {
                *ret = 0;
                return 0;
        }
        if (r < 0)
                return r;
        /* a damaged one counts as none: it is a second line behind the clock, not worth staying away for */
        if (rfc3339_parse(string_strip(data), ret) < 0)
                *ret = 0;
        return 0;
}

int tuf_store_set_verified_time(TufStore *s, usec_t realtime) {
        char text[RFC3339_MAX];

        rfc3339_format(realtime, text);
        return file_write_atomic_at(s->dir_fd, VERIFIED_TIME_FILE, text, strlen(text), 0644);
}

static int collect(TufStore *s, TufRole role, TufBytes *b) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        _cleanup_free_ void *data = NULL;
        char name[TUF_FILE_NAME_MAX];
        size_t size;

        int r = tuf_store_read(s, role, &data, &size);
        if (r < 0)
                return r;
        r = tuf_metadata_parse(role, data, size, &m, NULL);
        if (r != 0)
                return r < 0 ? r : -EBADMSG;
        return tuf_bytes_add(b, tuf_file_name(role, m->version, name), data, size);
}

int tuf_store_collect(TufStore *s, uint64_t root_version, TufBytes **ret) {
        _cleanup_(tuf_bytes_freep) TufBytes *b = NULL;
        _cleanup_free_ void *root = NULL;
        uint64_t newest;
        size_t size;
        int r;

        r = tuf_bytes_new(&b);
        if (r < 0)
                return r;
        r = read_stored_root(s, &root, &size, &newest);
        if (r < 0)
                return r;

        for (uint64_t v = root_version + 1; root_version < newest && v <= newest; v++) {
                _cleanup_free_ void *data = NULL;
                char name[TUF_FILE_NAME_MAX];

                r = tuf_store_read_root(s, v, &data, &size);
                if (r < 0)
                        return r;
                r = tuf_bytes_add(b, tuf_file_name(TUF_ROLE_ROOT, v, name), data, size);
                if (r < 0)
                        return r;
        }

        for (int role = TUF_ROLE_TIMESTAMP; role < _TUF_ROLE_MAX; role++) {
                r = collect(s, (TufRole) role, b);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(b);
        return 0;
}
