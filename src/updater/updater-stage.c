/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "updater-links.h"
#include "updater-record.h"

#define FILES_MAX 2U
#define CHUNK (256U * 1024U)

typedef struct StageFile {
        char *name;
        int from, to;
        uint64_t length, done;
        bool has_expected;
        uint8_t expected[SHA256_SIZE], digest[SHA256_SIZE];
        Sha256 *hash;
} StageFile;

struct Stage {
        UpdaterRoot *root;
        char *version, *directory, *path, *problem;
        int dir_fd;
        StageFile files[FILES_MAX];
        size_t n_files, current;
        uint64_t done;
        uint8_t *buffer;
        bool published;
};

int stage_new(Stage **ret, UpdaterRoot *root, const char *version) {
        _cleanup_(stage_freep) Stage *s = new0(Stage, 1);
        int r;
        if (!s)
                return -ENOMEM;

        *s = (Stage) { .root = root, .dir_fd = -EBADF };
        for (size_t i = 0; i < FILES_MAX; i++)
                s->files[i].from = s->files[i].to = -EBADF;
        s->version = strdup(version);
        s->directory = version_directory_new(version);
        s->path = s->directory ? strjoinf("%s/%s", root->bin_path, s->directory) : NULL;
        s->buffer = malloc(CHUNK);
        if (!s->version || !s->directory || !s->path || !s->buffer)
                return -ENOMEM;

        r = tree_remove_at(root->bin_fd, s->directory); /* of an attempt that was interrupted */
        if (r < 0)
                return r;
        if (mkdirat(root->bin_fd, s->directory, 0755) < 0)
                return negative_errno();
        s->dir_fd = dir_open_at(root->bin_fd, s->directory);
        if (s->dir_fd < 0)
                return s->dir_fd;
        if (fchmod(s->dir_fd, 0755) < 0) /* whatever the umask: the agent's user runs what is in it */
                return negative_errno();

        *ret = TAKE_PTR(s);
        return 0;
}

Stage *stage_free(Stage *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < FILES_MAX; i++) {
                free(s->files[i].name);
                (void) fd_close(s->files[i].from);
                (void) fd_close(s->files[i].to);
                sha256_free(s->files[i].hash);
        }
        if (s->dir_fd >= 0 && !s->published) {
                int r = tree_remove_at(s->root->bin_fd, s->directory);
                if (r < 0)
                        log_debug_errno(r, "Failed to remove %s, ignoring: %m", s->path);
        }
        (void) fd_close(s->dir_fd);
        free(s->version);
        free(s->directory);
        free(s->path);
        free(s->problem);
        free(s->buffer);
        free(s);
        return NULL;
}

int stage_add(Stage *s, const char *file, int fd, uint64_t length, const uint8_t *sha256) {
        struct stat st;
        int r;

        if (s->n_files >= FILES_MAX || !filename_is_plain(file))
                return -EINVAL;
        for (size_t i = 0; i < s->n_files; i++)
                if (streq(s->files[i].name, file))
                        return -EEXIST;
        r = fd_verify_regular(fd);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return negative_errno();
        if ((uint64_t) st.st_size != length)
                return -EFBIG;

        StageFile *f = s->files + s->n_files++;
        f->name = strdup(file);
        if (!f->name)
                return -ENOMEM;
        f->length = length;
        if (sha256) {
                f->has_expected = true;
                memcpy(f->expected, sha256, SHA256_SIZE);
        }
        r = sha256_new(&f->hash);
        if (r < 0)
                return r;
        f->from = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return f->from < 0 ? negative_errno() : 0;
}

static int file_problem(Stage *s, const StageFile *f, const char *what) {
        free(s->problem);
        s->problem = strjoinf("%s of version %s %s", f->name, s->version, what);
        return -EBADMSG;
}

static int file_finish(Stage *s, StageFile *f) {
        uint8_t byte;

        /* the file may have grown since; what was signed ends here */
        ssize_t n = pread(f->from, &byte, 1, (off_t) f->length);
        if (n < 0)
                return negative_errno();
        if (n > 0)
                return file_problem(s, f, "is longer than signed");

        sha256_final(f->hash, f->digest);
        if (f->has_expected && !memory_equal_ct(f->digest, f->expected, SHA256_SIZE))
                return file_problem(s, f, "does not have the SHA-256 that was signed");
        if (fchmod(f->to, 0755) < 0 || fsync(f->to) < 0)
                return negative_errno();
        f->to = fd_close(f->to);
        f->from = fd_close(f->from);
        return 0;
}

int stage_step(Stage *s) {
        if (s->current >= s->n_files)
                return 0;

        StageFile *f = s->files + s->current;
        if (f->to < 0) {
                f->to = openat(
                                s->dir_fd, f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
                                0600);
                if (f->to < 0)
                        return negative_errno();
        }

        size_t wanted = (size_t) MIN((uint64_t) CHUNK, f->length - f->done);
        ssize_t n = wanted > 0 ? pread(f->from, s->buffer, wanted, (off_t) f->done) : 0;
        if (n < 0)
                return errno == EINTR ? 1 : negative_errno();
        if (n == 0 && wanted > 0)
                return file_problem(s, f, "is shorter than signed");
        if (n > 0) {
                /* hashed from memory, the same bytes that are written: the sender may still hold the file open */
                sha256_update(f->hash, s->buffer, (size_t) n);
                int r = fd_write_all(f->to, s->buffer, (size_t) n);
                if (r < 0)
                        return r;
                f->done += (uint64_t) n;
                s->done += (uint64_t) n;
        }
        if (f->done < f->length)
                return 1;

        int r = file_finish(s, f);
        if (r < 0)
                return r;
        if (++s->current < s->n_files)
                return 1;
        return dir_fsync(s->dir_fd);
}

const char *stage_problem(const Stage *s) {
        return s->problem;
}

uint64_t stage_bytes_done(const Stage *s) {
        return s->done;
}

const char *stage_path(const Stage *s) {
        return s->path;
}

void stage_digest(const Stage *s, char ret[static SHA256_HEX_MAX]) {
        const StageFile *agent = NULL, *updater = NULL;

        ret[0] = '\0';
        for (size_t i = 0; i < s->n_files; i++)
                if (streq(s->files[i].name, "agent"))
                        agent = s->files + i;
                else if (streq(s->files[i].name, "updater"))
                        updater = s->files + i;
        if (agent && updater)
                release_digest(agent->digest, updater->digest, ret);
}

int stage_publish(Stage *s) {
        _cleanup_free_ char *directory = version_directory(s->version);
        int r;

        if (!directory)
                return -ENOMEM;
        r = tree_remove_at(s->root->bin_fd, directory);
        if (r < 0)
                return r;
        if (renameat(s->root->bin_fd, s->directory, s->root->bin_fd, directory) < 0)
                return negative_errno();
        s->published = true;
        return dir_fsync(s->root->bin_fd);
}
