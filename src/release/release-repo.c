/* SPDX-License-Identifier: Apache-2.0 */

#include "release-repo.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"
#include "tuf-signatures.h"
#include "tuf-signer.h"

Repo *repo_free(Repo *r) {
        if (r) {
                for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                        tuf_metadata_free(r->published[role]);
                        tuf_metadata_free(r->staged[role]);
                }
                fd_close(r->dir_fd);
                free(r->path);
                free(r);
        }
        return NULL;
}

static int parse_file(Repo *r, const char *directory, const char *name, TufRole role, TufMetadata **ret) {
        _cleanup_free_ void *data = NULL;
        _cleanup_free_ char *why = NULL;
        size_t size;

        _cleanup_free_ char *path = strjoinf("%s/%s", directory, name);
        if (!path)
                return log_oom();
        int k = file_read_at(r->dir_fd, path, tuf_role_size_max(role), &data, &size);
        if (k < 0)
                return log_error_errno(k, "Cannot read %s/%s: %m", r->path, path);
        k = tuf_metadata_parse(role, data, size, ret, &why);
        if (k > 0)
                return log_error_errno(-EBADMSG, "%s/%s: %s.", r->path, path, strna(why));
        return k < 0 ? log_error_errno(k, "Cannot read %s/%s: %m", r->path, path) : 0;
}

/* The version in "7.root.json"; 0 if it is no such name. */
static uint64_t version_of_name(const char *name, TufRole role) {
        char again[TUF_FILE_NAME_MAX], digits[24] = {};
        size_t n = strcspn(name, ".");
        uint64_t version;

        if (n >= sizeof(digits))
                return 0;
        memcpy(digits, name, n);
        if (parse_u64(digits, &version) < 0 || version > TUF_VERSION_MAX)
                return 0;
        return streq(tuf_file_name(role, version, again), name) ? version : 0;
}

/* The file of a role with the highest version in a directory; *ret stays NULL if there is none. */
static int load_highest(Repo *r, const char *directory, TufRole role, TufMetadata **ret) {
        _cleanup_strv_free_ char **names = NULL;
        char name[TUF_FILE_NAME_MAX];
        uint64_t highest = 0;

        int k = dir_list_at(r->dir_fd, directory, &names);
        if (k == -ENOENT)
                return 0;
        if (k < 0)
                return log_error_errno(k, "Cannot read the directory %s/%s: %m", r->path, directory);
        STRV_FOREACH(s, names)
                highest = MAX(highest, version_of_name(*s, role));
        return highest > 0 ? parse_file(r, directory, tuf_file_name(role, highest, name), role, ret) : 0;
}

static int load(Repo *r) {
        char name[TUF_FILE_NAME_MAX];
        int k;

        k = load_highest(r, REPO_METADATA, TUF_ROLE_ROOT, r->published + TUF_ROLE_ROOT);
        if (k >= 0)
                k = load_highest(r, REPO_STAGED, TUF_ROLE_ROOT, r->staged + TUF_ROLE_ROOT);
        if (k >= 0)
                k = load_highest(r, REPO_STAGED, TUF_ROLE_TARGETS, r->staged + TUF_ROLE_TARGETS);
        if (k < 0)
                return k;

        /* a publication that was interrupted leaves these two equal */
        if (r->staged[TUF_ROLE_ROOT] && r->published[TUF_ROLE_ROOT] &&
            r->staged[TUF_ROLE_ROOT]->version <= r->published[TUF_ROLE_ROOT]->version) {
                k = repo_unstage(r, TUF_ROLE_ROOT);
                if (k < 0)
                        return k;
        }

        if (faccessat(r->dir_fd, REPO_METADATA "/timestamp.json", F_OK, 0) < 0)
                return 0;
        k = parse_file(r, REPO_METADATA, "timestamp.json", TUF_ROLE_TIMESTAMP,
                       r->published + TUF_ROLE_TIMESTAMP);
        if (k >= 0)
                k = parse_file(r, REPO_METADATA,
                               tuf_file_name(TUF_ROLE_SNAPSHOT,
                                             r->published[TUF_ROLE_TIMESTAMP]->files[0].version, name),
                               TUF_ROLE_SNAPSHOT, r->published + TUF_ROLE_SNAPSHOT);
        if (k >= 0)
                k = parse_file(r, REPO_METADATA,
                               tuf_file_name(TUF_ROLE_TARGETS,
                                             tuf_metadata_file(
                                                             r->published[TUF_ROLE_SNAPSHOT], "targets.json")
                                                             ->version,
                                             name),
                               TUF_ROLE_TARGETS, r->published + TUF_ROLE_TARGETS);
        if (k < 0)
                return k;

        if (r->staged[TUF_ROLE_TARGETS] &&
            r->staged[TUF_ROLE_TARGETS]->version <= r->published[TUF_ROLE_TARGETS]->version)
                return repo_unstage(r, TUF_ROLE_TARGETS);
        return 0;
}

static int open_directory(const char *path, bool lock, Repo **ret) {
        _cleanup_(repo_freep) Repo *r = new0(Repo, 1);
        if (!r)
                return log_oom();
        r->dir_fd = -EBADF;
        r->path = strdup(path);
        if (!r->path)
                return log_oom();
        r->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r->dir_fd < 0)
                return log_error_errno(negative_errno(), "Cannot open the repository '%s': %m", path);
        if (lock && flock(r->dir_fd, LOCK_EX | LOCK_NB) < 0)
                return log_error_errno(-EBUSY, "Another fleet-release is working on '%s'.", path);
        *ret = TAKE_PTR(r);
        return 0;
}

int repo_create(const char *path, Repo **ret) {
        static const char *const directories[] = { REPO_METADATA, REPO_TARGETS, REPO_STAGED,
                                                   REPO_STAGED_FILES };
        _cleanup_(repo_freep) Repo *r = NULL;

        int k = mkdir_parents(path, 0755);
        if (k < 0)
                return log_error_errno(k, "Cannot make the directory '%s': %m", path);
        k = open_directory(path, /* lock= */ true, &r);
        if (k < 0)
                return k;
        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                if (mkdirat(r->dir_fd, directories[i], 0755) < 0 && errno != EEXIST)
                        return log_error_errno(
                                        negative_errno(), "Cannot make the directory '%s/%s': %m", path,
                                        directories[i]);
        k = load(r);
        if (k < 0)
                return k;
        if (repo_root(r))
                return log_error_errno(
                                -EEXIST, "'%s' holds a repository already; nothing was changed.", path);
        *ret = TAKE_PTR(r);
        return 0;
}

int repo_open(const char *path, Repo **ret) {
        _cleanup_(repo_freep) Repo *r = NULL;

        int k = open_directory(path, /* lock= */ true, &r);
        if (k < 0)
                return k;
        k = load(r);
        if (k < 0)
                return k;
        if (!repo_root(r))
                return log_error_errno(
                                -ENOENT,
                                "'%s' holds no repository (no metadata/1.root.json); make one with 'init', or name it with --repo.",
                                path);
        *ret = TAKE_PTR(r);
        return 0;
}

int repo_open_for_reading(const char *path, Repo **ret) {
        _cleanup_(repo_freep) Repo *r = NULL;

        int k = open_directory(path, /* lock= */ false, &r);
        if (k >= 0)
                k = load_highest(r, REPO_METADATA, TUF_ROLE_ROOT, r->published + TUF_ROLE_ROOT);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

const TufMetadata *repo_root(const Repo *r) {
        return r->staged[TUF_ROLE_ROOT] ?: r->published[TUF_ROLE_ROOT];
}

const TufMetadata *repo_targets(const Repo *r) {
        return r->staged[TUF_ROLE_TARGETS] ?: r->published[TUF_ROLE_TARGETS];
}

int repo_unstage(Repo *r, TufRole role) {
        char name[TUF_FILE_NAME_MAX];

        if (!r->staged[role])
                return 0;
        _cleanup_free_ char *path =
                        strjoinf(REPO_STAGED "/%s", tuf_file_name(role, r->staged[role]->version, name));
        if (!path)
                return log_oom();
        int k = unlink_durable_at(r->dir_fd, path);
        if (k < 0)
                return log_error_errno(k, "Cannot delete %s/%s: %m", r->path, path);
        r->staged[role] = tuf_metadata_free(r->staged[role]);
        return 0;
}

int repo_stage(Repo *r, TufRole role, json_t *envelope) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        _cleanup_free_ char *text = NULL, *why = NULL;
        char name[TUF_FILE_NAME_MAX];
        size_t size;
        int k;

        k = tuf_envelope_format(envelope, &text, &size);
        if (k < 0)
                return log_error_errno(k, "Cannot write %s metadata: %m", tuf_role_to_string(role));
        k = tuf_metadata_parse(role, text, size, &m, &why);
        if (k > 0)
                return log_error_errno(
                                -EBADMSG, "The new %s metadata would not be accepted: %s.",
                                tuf_role_to_string(role), strna(why));
        if (k < 0)
                return log_error_errno(k, "Cannot check the new %s metadata: %m", tuf_role_to_string(role));

        if (mkdirat(r->dir_fd, REPO_STAGED, 0755) < 0 && errno != EEXIST)
                return log_error_errno(
                                negative_errno(), "Cannot make the directory '%s/" REPO_STAGED "': %m",
                                r->path);
        _cleanup_free_ char *path = strjoinf(REPO_STAGED "/%s", tuf_file_name(role, m->version, name));
        if (!path)
                return log_oom();
        k = file_write_atomic_at(r->dir_fd, path, text, size, 0644);
        if (k < 0)
                return log_error_errno(k, "Cannot write %s/%s: %m", r->path, path);

        if (r->staged[role] && r->staged[role]->version != m->version) {
                k = repo_unstage(r, role);
                if (k < 0)
                        return k;
        }
        tuf_metadata_free(r->staged[role]);
        r->staged[role] = TAKE_PTR(m);
        return 0;
}

int repo_write_metadata(Repo *r, TufRole role, uint64_t version, const void *data, size_t size) {
        char name[TUF_FILE_NAME_MAX];

        _cleanup_free_ char *path = strjoinf(REPO_METADATA "/%s", tuf_file_name(role, version, name));
        if (!path)
                return log_oom();
        int k = file_write_atomic_at(r->dir_fd, path, data, size, 0644);
        return k < 0 ? log_error_errno(k, "Cannot write %s/%s: %m", r->path, path) : 0;
}

int repo_envelope(const TufMetadata *m, json_t **ret) {
        int k = json_parse(m->raw, m->raw_size, tuf_role_size_max(m->role), ret, NULL);
        return k < 0 ? log_error_errno(k, "Cannot read %s metadata again: %m", tuf_role_to_string(m->role)) :
                       0;
}

int repo_add_roots(Repo *r, TufBytes *bytes, void **ret_first, size_t *ret_first_size) {
        _cleanup_free_ void *first = NULL;
        uint64_t last = r->published[TUF_ROLE_ROOT] ? r->published[TUF_ROLE_ROOT]->version : 0;
        uint64_t version = last > TUF_ROOT_ROTATIONS_MAX ? last - TUF_ROOT_ROTATIONS_MAX : 1;

        for (; version <= last; version++) {
                _cleanup_free_ void *data = NULL;
                char name[TUF_FILE_NAME_MAX];
                size_t size;

                _cleanup_free_ char *path =
                                strjoinf(REPO_METADATA "/%s", tuf_file_name(TUF_ROLE_ROOT, version, name));
                if (!path)
                        return log_oom();
                int k = file_read_at(r->dir_fd, path, TUF_ROOT_SIZE_MAX, &data, &size);
                if (k == -ENOENT && !first)
                        continue; /* a repository may have forgotten its first roots */
                if (k >= 0)
                        k = tuf_bytes_add(bytes, name, data, size);
                if (k < 0)
                        return log_error_errno(k, "Cannot read %s/%s: %m", r->path, path);
                if (!first) {
                        first = TAKE_PTR(data);
                        *ret_first_size = size;
                }
        }
        *ret_first = TAKE_PTR(first);
        return 0;
}

static int check_fd(int fd, const TufTarget *t, const char **reterr_why) {
        uint8_t hash[SHA256_SIZE];
        uint64_t size;

        int k = fd_verify_regular(fd);
        if (k >= 0)
                k = sha256_fd(fd, t->length, hash, &size);
        *reterr_why = k == -EFBIG ? "it is longer than what is signed for" :
                k < 0             ? strerror(-k) :
                size != t->length ? "it is shorter than what is signed for" :
                memcmp(hash, t->sha256, SHA256_SIZE) != 0 ? "its SHA-256 differs from what is signed for" :
                                                            NULL;
        return *reterr_why ? -EBADMSG : 0;
}

static int check_file(Repo *r, const TufTarget *t, bool look_at_staged) {
        static const char *const directories[] = { REPO_TARGETS, REPO_STAGED_FILES };
        _cleanup_free_ char *file = NULL;
        const char *why = "it is not there";

        if (tuf_target_file_path(t, &file) < 0)
                return log_oom();
        for (size_t i = 0; i < (look_at_staged ? 2 : 1); i++) {
                _cleanup_free_ char *path = strjoinf("%s/%s", directories[i], file);
                if (!path)
                        return log_oom();
                _cleanup_close_ int fd =
                                openat(r->dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
                if (fd < 0)
                        continue;
                if (check_fd(fd, t, &why) >= 0)
                        return 0;
        }
        return log_error_errno(-EBADMSG, "%s/" REPO_TARGETS "/%s: %s.", r->path, file, why);
}

int repo_check_files(Repo *r, const TufMetadata *targets, bool look_at_staged) {
        int result = 0;

        for (size_t i = 0; i < targets->n_targets; i++) {
                int k = check_file(r, targets->targets + i, look_at_staged);
                if (k < 0)
                        result = k; /* and on: all of them are to be seen at once */
        }
        return result;
}

/* mkdir -p of the directories before the last component */
static int make_parents_at(int dir_fd, const char *path) {
        _cleanup_free_ char *p = strdup(path);
        if (!p)
                return -ENOMEM;
        for (char *s = strchr(p, '/'); s; s = strchr(s + 1, '/')) {
                *s = '\0';
                if (mkdirat(dir_fd, p, 0755) < 0 && errno != EEXIST)
                        return negative_errno();
                *s = '/';
        }
        return 0;
}

static int sync_parent(int dir_fd, const char *path) {
        _cleanup_free_ char *parent = strndup(path, (size_t) (strrchr(path, '/') - path));
        return parent ? dir_fsync_at(dir_fd, parent) : -ENOMEM;
}

int repo_publish_files(Repo *r, const TufMetadata *targets) {
        for (size_t i = 0; i < targets->n_targets; i++) {
                _cleanup_free_ char *file = NULL;

                if (tuf_target_file_path(targets->targets + i, &file) < 0)
                        return log_oom();
                _cleanup_free_ char *from = strjoinf(REPO_STAGED_FILES "/%s", file),
                                    *to = strjoinf(REPO_TARGETS "/%s", file);
                if (!from || !to)
                        return log_oom();
                if (faccessat(r->dir_fd, from, F_OK, 0) < 0)
                        continue; /* published before; its hash has been checked */
                int k = make_parents_at(r->dir_fd, to);
                if (k >= 0)
                        k = RET_NERRNO(renameat(r->dir_fd, from, r->dir_fd, to));
                if (k >= 0)
                        k = sync_parent(r->dir_fd, to);
                if (k < 0)
                        return log_error_errno(
                                        k, "Cannot move %s/%s to " REPO_TARGETS "/: %m", r->path, from);
        }
        return 0;
}

bool repo_root_is_complete(const Repo *r, const TufMetadata *root) {
        const TufMetadata *old = r->published[TUF_ROLE_ROOT];

        return tuf_signatures_verify(root, TUF_ROLE_ROOT, root, NULL) == 0 &&
               (!old || old->version == root->version ||
                tuf_signatures_verify(old, TUF_ROLE_ROOT, root, NULL) == 0);
}

int repo_publish_first_root(Repo *r) {
        const TufMetadata *root = r->staged[TUF_ROLE_ROOT];

        if (!root || r->published[TUF_ROLE_ROOT])
                return 0;
        if (!repo_root_is_complete(r, root)) {
                printf("The root is not complete: 'sign root' with the missing keys.\n");
                return 0;
        }
        int k = repo_write_metadata(r, TUF_ROLE_ROOT, root->version, root->raw, root->raw_size);
        if (k < 0)
                return k;
        k = tuf_metadata_parse(TUF_ROLE_ROOT, root->raw, root->raw_size, r->published + TUF_ROLE_ROOT, NULL);
        if (k != 0)
                return log_error_errno(k < 0 ? k : -EBADMSG, "Cannot read the root again.");
        printf("The root is complete: build agents with %s/" REPO_METADATA "/%" PRIu64 ".root.json.\n",
               r->path, root->version);
        return repo_unstage(r, TUF_ROLE_ROOT);
}

static bool has_signed(const TufMetadata *root, const char *keyid, const TufMetadata *m) {
        const TufKey *key = tuf_metadata_key(root, keyid);

        for (size_t i = 0; key && i < m->n_signatures; i++)
                if (streq(m->signatures[i].keyid, keyid))
                        return tuf_key_verify(key, m->signatures[i].sig, m->canonical, m->canonical_size);
        return false;
}

void repo_print_signatures(const TufMetadata *root, TufRole role, const TufMetadata *m) {
        const TufRoleKeys *k = root->roles + role;

        printf("  %zu of %" PRIu64 " signatures by role %s of root version %" PRIu64 "\n",
               tuf_signatures_count(root, role, m), k->threshold, tuf_role_to_string(role), root->version);
        for (size_t i = 0; i < k->n_keyids; i++)
                printf("    %s %s\n", has_signed(root, k->keyids[i], m) ? "signed  " : "not yet ",
                       k->keyids[i]);
}
