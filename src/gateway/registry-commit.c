/* SPDX-License-Identifier: Apache-2.0 */
#include "registry-commit.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "crypto.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "tuf-refresh.h"
#include "version.h"
#include "view.h"

#define HASH_STEP MIB(32)                    /* so much in one go, then others may use the worker */
#define TRUST_COPY "trust"
#define BAD_TARGET "bad-target"

typedef enum CommitStage {
        COMMIT_VERIFY,
        COMMIT_TARGETS,
        COMMIT_AUDIT,
        COMMIT_METADATA,
        COMMIT_RECORD,
} CommitStage;

typedef struct Commit {
        StoreJob job;
        StoreWorker *worker;
        Registry *registry;
        int dir_fd;                          /* borrowed */
        AuditActor actor;
        import_on_result_t on_result;
        void *userdata;

        CommitStage stage;
        bool stage_done;                     /* else the same once more */
        TufStore *trust_copy;
        TufRefresh *refresh;
        size_t next_target;
        int target_fd;                       /* being hashed */
        uint64_t target_done;
        Sha256 *hash;
        ImportResult result;
} Commit;

static Commit *commit_free(Commit *c) {
        tuf_refresh_free(c->refresh);
        tuf_store_free(c->trust_copy);
        sha256_free(c->hash);
        fd_close(c->target_fd);
        audit_actor_done(&c->actor);
        free(c->result.refusal);
        strv_free(c->result.imported);
        strv_free(c->result.releases);
        free(c);
        return NULL;
}

/* verification: one of the outcomes' names, or "bad-target". */
static int refuse(Commit *c, const char *verification, const char *format, ...) _printf_(3, 4);
static int refuse(Commit *c, const char *verification, const char *format, ...) {
        va_list ap;
        int r;

        if (c->result.refusal)
                return 0;
        c->result.verification = verification;
        va_start(ap, format);
        r = vasprintf(&c->result.refusal, format, ap);
        va_end(ap);
        if (r < 0)
                c->result.refusal = NULL;
        return r < 0 ? -ENOMEM : 0;
}

/* ---- verify ---- */

static int copy_files(int from, int to, const char *directory) {
        _cleanup_strv_free_ char **names = NULL;
        int r;

        r = dir_list_at(from, directory, &names);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = strjoinf("%s/%s", directory, *name);
                _cleanup_free_ void *data = NULL;
                size_t size;

                if (!path)
                        return -ENOMEM;
                r = file_read_at(from, path, TUF_TARGETS_SIZE_MAX, &data, &size);
                if (r == -ENOTSUP || r == -EISDIR)           /* the history, which has a turn of its own */
                        continue;
                if (r >= 0)
                        r = file_write_atomic_at(to, path, data, size, 0600);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What we trust is only changed once the import is in place: it is tried on a copy. */
static int copy_trust(Commit *c) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (mkdirat(c->dir_fd, TRUST_COPY, 0700) < 0 ||
            mkdirat(c->dir_fd, TRUST_COPY "/root_history", 0700) < 0)
                return negative_errno();
        fd = dir_open_at(c->dir_fd, TRUST_COPY);
        if (fd < 0)
                return fd;
        r = copy_files(registry_trust_fd(c->registry), fd, ".");
        if (r >= 0)
                r = copy_files(registry_trust_fd(c->registry), fd, "root_history");
        return r;
}

static int refresh_run(Registry *registry, TufStore *store, int dir_fd, TufRefresh **ret) {
        size_t root_size;
        const void *root = registry_trusted_root(registry, &root_size);
        int r;

        r = tuf_refresh_new(
                        &(TufRefreshOptions){
                                        .store = store,
                                        .trusted_root = root,
                                        .trusted_root_size = root_size,
                                        .now_usec = now(CLOCK_REALTIME),
                        },
                        ret);
        return r < 0 ? r : tuf_refresh_run_directory(*ret, dir_fd, "metadata");
}

static int commit_verify(Commit *c) {
        TufOutcome outcome;
        size_t root_size;
        int r;

        (void) registry_trusted_root(c->registry, &root_size);
        if (root_size == 0)
                return refuse(c, tuf_outcome_to_string(TUF_NO_TRUSTED_ROOT),
                              "This gateway trusts no root: set TrustedRoot= in gateway.conf to the "
                              "root.json that your release "
                              "engineers gave you, or build with -Dtrusted-root=.");
        r = copy_trust(c);
        if (r >= 0)
                r = tuf_store_open_at(c->dir_fd, TRUST_COPY, &c->trust_copy);
        if (r >= 0)
                r = refresh_run(c->registry, c->trust_copy, c->dir_fd, &c->refresh);
        if (r < 0)
                return r;
        outcome = tuf_refresh_outcome(c->refresh);
        c->stage_done = true;
        if (outcome == TUF_OK)
                return 0;
        return refuse(c, tuf_outcome_to_string(outcome), "The metadata was refused (%s): %s.",
                      tuf_outcome_to_string(outcome), tuf_refresh_message(c->refresh));
}

/* ---- targets ---- */

/* Is a file of this name being served? Its name holds the hash under which it was let in. */
static bool target_is_served(Commit *c, const char *path, uint64_t length) {
        struct stat st;

        return fstatat(registry_tuf_fd(c->registry), path, &st, AT_SYMLINK_NOFOLLOW) >= 0 &&
               S_ISREG(st.st_mode) && (uint64_t) st.st_size == length;
}

static int target_open(Commit *c, const TufTarget *t, const char *path) {
        struct stat st;
        int r;

        c->target_fd = RET_NERRNO(openat(c->dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (c->target_fd == -ENOENT)
                return refuse(c, tuf_outcome_to_string(TUF_MISSING),
                              "%s is named by the metadata but was not sent.", path);
        if (c->target_fd < 0)
                return c->target_fd;
        if (fstat(c->target_fd, &st) < 0)
                return negative_errno();
        if ((uint64_t) st.st_size != t->length)
                return refuse(c, BAD_TARGET,
                              "%s has %" PRIu64 " bytes, the signed metadata says %" PRIu64 ".", path,
                              (uint64_t) st.st_size, t->length);
        c->target_done = 0;
        c->hash = sha256_free(c->hash);
        r = sha256_new(&c->hash);
        return r;
}

/* Directories on the way are made and are durable before anything lies in them. */
static int make_directories(int fd, const char *path) {
        _cleanup_free_ char *p = strdup(path);

        if (!p)
                return -ENOMEM;
        for (char *slash = strchr(p, '/'), *last = NULL; slash;
             last = slash, slash = strchr(slash + 1, '/')) {
                int r;

                *slash = '\0';
                if (mkdirat(fd, p, 0700) < 0 && errno != EEXIST)
                        return negative_errno();
                if (last) {
                        *last = '\0';
                        r = dir_fsync_at(fd, p);
                        *last = '/';
                } else
                        r = dir_fsync(fd);
                if (r < 0)
                        return r;
                *slash = '/';
        }
        return 0;
}

static int target_publish(Commit *c, const char *path) {
        int tuf_fd = registry_tuf_fd(c->registry), r;
        _cleanup_free_ char *directory = strndup(path, (size_t) (strrchr(path, '/') - path));

        if (!directory)
                return -ENOMEM;
        if (fsync(c->target_fd) < 0)
                return negative_errno();
        r = make_directories(tuf_fd, path);
        if (r < 0)
                return r;
        if (renameat(c->dir_fd, path, tuf_fd, path) < 0)
                return negative_errno();
        return dir_fsync_at(tuf_fd, directory);
}

static int target_hash_step(Commit *c, const TufTarget *t, const char *path) {
        _cleanup_free_ void *buffer = malloc(MIB(1));
        uint64_t until = MIN(c->target_done + HASH_STEP, t->length);
        uint8_t sha256[SHA256_SIZE];

        if (!buffer)
                return -ENOMEM;
        while (c->target_done < until) {
                ssize_t n = read(c->target_fd, buffer, MIN(MIB(1), until - c->target_done));

                if (n < 0 && errno != EINTR)
                        return negative_errno();
                if (n == 0)
                        return -EIO;
                if (n > 0) {
                        sha256_update(c->hash, buffer, (size_t) n);
                        c->target_done += (size_t) n;
                }
        }
        if (c->target_done < t->length)
                return 0;
        sha256_final(c->hash, sha256);
        c->hash = sha256_free(c->hash);
        if (memcmp(sha256, t->sha256, SHA256_SIZE) != 0)
                return refuse(c, BAD_TARGET,
                              "%s does not have the SHA-256 of the signed metadata: it is damaged or was "
                              "tampered with.",
                              path);
        return target_publish(c, path);
}

/* Everything is looked for before anything is moved, so that a forgotten file is found at once. */
static int targets_check_presence(Commit *c, const TufMetadata *targets) {
        int r;

        for (size_t i = 0; i < targets->n_targets; i++) {
                const TufTarget *t = &targets->targets[i];
                _cleanup_free_ char *file = NULL, *path = NULL;

                r = tuf_target_file_path(t, &file);
                if (r < 0)
                        return r;
                path = strjoinf("targets/%s", file);
                if (!path)
                        return -ENOMEM;
                if (!target_is_served(c, path, t->length) &&
                    faccessat(c->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        return refuse(c, tuf_outcome_to_string(TUF_MISSING),
                                      "%s is named by the metadata but was not sent.", path);
        }
        return 0;
}

static int commit_targets(Commit *c) {
        const TufMetadata *targets = tuf_refresh_targets(c->refresh);
        const TufTarget *t = &targets->targets[c->next_target];
        _cleanup_free_ char *file = NULL, *path = NULL;
        int r;

        if (c->next_target >= targets->n_targets) {
                c->stage_done = true;
                return 0;
        }
        if (c->next_target == 0 && c->target_fd < 0) {
                r = targets_check_presence(c, targets);
                if (r < 0 || c->result.refusal)
                        return r;
        }
        r = tuf_target_file_path(t, &file);
        if (r < 0)
                return r;
        path = strjoinf("targets/%s", file);
        if (!path)
                return -ENOMEM;
        if (c->target_fd < 0) {
                if (target_is_served(c, path, t->length)) {
                        c->next_target++;
                        return 0;
                }
                r = target_open(c, t, path);
                if (r < 0 || c->result.refusal)
                        return r;
        }
        r = target_hash_step(c, t, path);
        if (r >= 0 && !c->hash) {
                c->target_fd = fd_close(c->target_fd);
                c->next_target++;
        }
        return r;
}

/* ---- audit ---- */

static int audit_detail(Commit *c, char *const *versions, json_t **ret) {
        const TufTrustedSet *set = tuf_refresh_trusted(c->refresh);
        _cleanup_json_ json_t *o = json_object();
        int r;

        r = json_set_take(o, "versions", view_texts(versions));
        if (r >= 0)
                r = json_set_u64(o, "targets", tuf_trusted_set_get(set, TUF_ROLE_TARGETS)->version);
        if (r >= 0)
                r = json_set_u64(o, "timestamp", tuf_trusted_set_get(set, TUF_ROLE_TIMESTAMP)->version);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

/* Before the metadata is served, and in a transaction of its own: what cannot be entered does not happen. When
 * the gateway dies between here and the record, its next start ends what was begun (registry_recover()). */
static int commit_audit(Commit *c, Store *s) {
        _cleanup_strv_free_ char **versions = NULL;
        json_t *detail;
        int r;

        r = registry_new_releases(s, tuf_refresh_targets(c->refresh), &versions);
        if (r >= 0)
                r = audit_detail(c, versions, &detail);
        if (r >= 0)
                r = audit_append(
                                &c->job, s, &c->actor, "release.import", "", strv_length(versions), detail);
        if (r >= 0)
                c->stage_done = true;
        return r;
}

/* ---- metadata ---- */

static int publish_bytes(Commit *c, const char *name, const void *data, size_t size) {
        _cleanup_free_ char *path = strjoinf("metadata/%s", name);

        return path ? file_write_atomic_at(registry_tuf_fd(c->registry), path, data, size, 0600) : -ENOMEM;
}

static int publish_role(Commit *c, TufRole role) {
        const TufMetadata *m = tuf_trusted_set_get(tuf_refresh_trusted(c->refresh), role);
        char name[TUF_FILE_NAME_MAX];

        return publish_bytes(c, tuf_file_name(role, m->version, name), m->raw, m->raw_size);
}

static int read_root(Commit *c, uint64_t version, void **ret, size_t *ret_size) {
        char name[TUF_FILE_NAME_MAX];
        _cleanup_free_ char *path = strjoinf("metadata/%s", tuf_file_name(TUF_ROLE_ROOT, version, name));

        return path ? file_read_at(c->dir_fd, path, TUF_ROOT_SIZE_MAX, ret, ret_size) : -ENOMEM;
}

/* Agents that were built with an older root need the whole chain from it. It is good if each root was signed
 * by the one before, and the last is the one that we verified: an invented beginning cannot lead there. */
static int verify_root_chain(Commit *c, uint64_t first, uint64_t last, TufMetadata const *trusted) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *set = NULL;
        const TufMetadata *end;
        int r;

        r = tuf_trusted_set_new(now(CLOCK_REALTIME), &set);
        for (uint64_t v = first; r == 0 && v <= last; v++) {
                _cleanup_free_ char *message = NULL;
                _cleanup_free_ void *data = NULL;
                size_t size;

                r = read_root(c, v, &data, &size);
                if (r < 0)
                        return r;
                r = v == first ? tuf_trusted_set_load_root(set, data, size, &message) :
                                 tuf_trusted_set_update_root(set, data, size, &message);
                if (r > 0)
                        return refuse(c, tuf_outcome_to_string((TufOutcome) r),
                                      "%" PRIu64 ".root.json is not part of the chain of roots: %s.", v,
                                      strna(message));
        }
        if (r < 0)
                return r;
        end = tuf_trusted_set_get(set, TUF_ROLE_ROOT);
        if (!end || end->raw_size != trusted->raw_size || memcmp(end->raw, trusted->raw, end->raw_size) != 0)
                return refuse(c, tuf_outcome_to_string(TUF_MIX_AND_MATCH),
                              "%" PRIu64 ".root.json is not the root that the metadata was verified with.",
                              last);
        return 0;
}

static int publish_roots(Commit *c) {
        const TufMetadata *trusted = tuf_trusted_set_get(tuf_refresh_trusted(c->refresh), TUF_ROLE_ROOT);
        uint64_t first = trusted->version + 1;
        int r;

        for (uint64_t v = trusted->version; v >= 1; v--) {
                _cleanup_free_ void *data = NULL;
                size_t size;

                if (read_root(c, v, &data, &size) < 0)
                        break;
                first = v;
        }
        if (first > trusted->version) /* not sent: it came with an earlier import, or is compiled in */
                return publish_role(c, TUF_ROLE_ROOT);
        r = verify_root_chain(c, first, trusted->version, trusted);
        if (r < 0 || c->result.refusal)
                return r;
        for (uint64_t v = first; v <= trusted->version; v++) {
                char name[TUF_FILE_NAME_MAX];
                _cleanup_free_ void *data = NULL;
                size_t size;

                r = read_root(c, v, &data, &size);
                if (r >= 0)
                        r = publish_bytes(c, tuf_file_name(TUF_ROLE_ROOT, v, name), data, size);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int commit_metadata(Commit *c) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        _cleanup_(tuf_refresh_freep) TufRefresh *refresh = NULL;
        int r;

        r = publish_roots(c);
        if (r < 0 || c->result.refusal)
                return r;
        r = publish_role(c, TUF_ROLE_TARGETS);
        if (r >= 0)
                r = publish_role(c, TUF_ROLE_SNAPSHOT);
        if (r >= 0)
                r = publish_role(c, TUF_ROLE_TIMESTAMP);     /* from here on agents see it */
        if (r >= 0)
                r = tuf_store_open_at(registry_trust_fd(c->registry), ".", &store);
        if (r >= 0)
                r = refresh_run(c->registry, store, registry_tuf_fd(c->registry), &refresh);
        if (r < 0)
                return r;
        if (tuf_refresh_outcome(refresh) != TUF_OK)
                return refuse(c, tuf_outcome_to_string(tuf_refresh_outcome(refresh)),
                              "What was published is not good: %s.", tuf_refresh_message(refresh));
        c->stage_done = true;
        return 0;
}

/* ---- record ---- */

static int collect_version(ReleaseRecord *rel, void *userdata) {
        return strv_extend(userdata, rel->version);
}

static int compare_versions(const void *a, const void *b) {
        return version_compare(*(char *const *) a, *(char *const *) b);
}

static int commit_record(Commit *c, Store *s) {
        usec_t t = now(CLOCK_REALTIME);
        int r;

        r = registry_store_releases(&c->job, s, tuf_refresh_targets(c->refresh), t, &c->result.imported);
        if (r >= 0)
                r = s->ops->releases_each(s, collect_version, &c->result.releases);
        if (r < 0)
                return r;
        if (c->result.releases)
                qsort(c->result.releases, strv_length(c->result.releases), sizeof(char *), compare_versions);
        registry_metadata_fill(&c->result.metadata, tuf_refresh_trusted(c->refresh));
        c->stage_done = true;
        return 0;
}

static int commit_work(StoreJob *job, Store *s) {
        Commit *c = container_of(job, Commit, job);

        c->stage_done = false;
        switch (c->stage) {
        case COMMIT_VERIFY:
                return commit_verify(c);
        case COMMIT_TARGETS:
                return commit_targets(c);
        case COMMIT_AUDIT:
                return commit_audit(c, s);
        case COMMIT_METADATA:
                return commit_metadata(c);
        case COMMIT_RECORD:
                return commit_record(c, s);
        }
        return -EINVAL;
}

static void commit_done(StoreJob *job, int r) {
        Commit *c = container_of(job, Commit, job);
        bool finished = r < 0 || c->result.refusal || (c->stage == COMMIT_RECORD && c->stage_done);

        if (!finished) {
                if (c->stage_done)
                        c->stage++;
                c->job.long_work = c->stage != COMMIT_AUDIT && c->stage != COMMIT_RECORD;
                r = store_worker_submit(c->worker, &c->job);
                if (r >= 0)
                        return;
        }
        c->result.error = r < 0 ? r : 0;
        if (!c->result.verification)
                c->result.verification = tuf_outcome_to_string(r < 0 ? TUF_FAILED : TUF_OK);
        c->on_result(&c->result, c->userdata);
        commit_free(c);
}

int registry_commit_start(
                Registry *registry,
                StoreWorker *worker,
                int dir_fd,
                const AuditActor *actor,
                import_on_result_t on_result,
                void *userdata) {

        Commit *c;
        int r;

        c = new0(Commit, 1);
        if (!c)
                return -ENOMEM;
        *c = (Commit){
                .job = { .work = commit_work, .done = commit_done, .kind = "import", .long_work = true },
                .worker = worker,
                .registry = registry,
                .dir_fd = dir_fd,
                .on_result = on_result,
                .userdata = userdata,
                .target_fd = -EBADF,
        };
        r = audit_actor_copy(&c->actor, actor);
        if (r >= 0)
                r = store_worker_submit(worker, &c->job);
        if (r < 0)
                commit_free(c);
        return r;
}
