/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "audit.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "messages.h"
#include "string-util.h"
#include "tuf-refresh.h"
#include "tuf-release.h"
#include "view.h"

struct Registry {
        int tuf_fd, trust_fd, import_fd;
        void *root;
        size_t root_size;
};

static int open_dir(int parent, const char *name) {
        if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        return dir_open_at(parent, name);
}

int registry_new(Registry **ret, int state_fd, const void *trusted_root, size_t trusted_root_size) {
        _cleanup_(registry_freep) Registry *r = NULL;
        int k;

        r = new0(Registry, 1);
        if (!r)
                return -ENOMEM;
        *r = (Registry){
                .tuf_fd = -EBADF, .trust_fd = -EBADF, .import_fd = -EBADF, .root_size = trusted_root_size
        };
        r->root = memdup(trusted_root, trusted_root_size);
        if (!r->root)
                return -ENOMEM;
        r->tuf_fd = open_dir(state_fd, "tuf");
        r->trust_fd = open_dir(state_fd, "trust");
        /* what was being uploaded when the gateway ended is begun again */
        k = tree_remove_at(state_fd, "import");
        if (k < 0)
                return k;
        r->import_fd = open_dir(state_fd, "import");
        if (r->tuf_fd < 0 || r->trust_fd < 0 || r->import_fd < 0)
                return MIN(MIN(r->tuf_fd, r->trust_fd), r->import_fd);
        for (size_t i = 0; i < 2; i++)
                if (mkdirat(r->tuf_fd, i == 0 ? "metadata" : "targets", 0700) < 0 && errno != EEXIST)
                        return negative_errno();
        k = dir_fsync(r->tuf_fd);
        if (k >= 0)
                k = dir_fsync(state_fd);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

Registry *registry_free(Registry *r) {
        if (!r)
                return NULL;
        fd_close(r->tuf_fd);
        fd_close(r->trust_fd);
        fd_close(r->import_fd);
        free(r->root);
        free(r);
        return NULL;
}

int registry_tuf_fd(const Registry *r) {
        return r->tuf_fd;
}

int registry_import_fd(const Registry *r) {
        return r->import_fd;
}

int registry_trust_fd(const Registry *r) {
        return r->trust_fd;
}

const void *registry_trusted_root(const Registry *r, size_t *ret_size) {
        *ret_size = r->root_size;
        return r->root;
}

static uint64_t role_version(const TufTrustedSet *set, TufRole role) {
        const TufMetadata *m = tuf_trusted_set_get(set, role);

        return m ? m->version : 0;
}

void registry_metadata_fill(RegistryMetadata *ret, const TufTrustedSet *set) {
        *ret = (RegistryMetadata){
                .root = role_version(set, TUF_ROLE_ROOT),
                .timestamp = role_version(set, TUF_ROLE_TIMESTAMP),
                .snapshot = role_version(set, TUF_ROLE_SNAPSHOT),
                .targets = role_version(set, TUF_ROLE_TARGETS),
                .expires = tuf_trusted_set_expires_usec(set),
        };
        for (TufRole role = 0; role < _TUF_ROLE_MAX; role++) {
                const TufMetadata *m = tuf_trusted_set_get(set, role);

                ret->role_expires[role] = m ? m->expires_usec : 0;
        }
}

int registry_load(const Registry *r, TufTrustedSet **ret_set, RegistryMetadata *ret) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *set = NULL;
        _cleanup_free_ char *message = NULL;
        int k;

        *ret = (RegistryMetadata){};
        *ret_set = NULL;
        if (r->root_size == 0)
                return 0;
        k = tuf_store_open_at(r->trust_fd, ".", &store);
        if (k < 0)
                return k;
        k = tuf_refresh_load_store(store, r->root, r->root_size, &set, &message);
        if (k < 0)
                return k;
        if (k > 0) {
                if (k != TUF_MISSING)
                        log_event(LOG_WARNING, FLEET_MESSAGE_REPOSITORY_UNUSABLE_STR,
                                  "MESSAGE=The verified metadata of the last import cannot be used: %s. "
                                  "Import a repository again.",
                                  strna(message), "FLEET_REASON=%s", tuf_outcome_to_string((TufOutcome) k),
                                  NULL);
                return 0;
        }
        registry_metadata_fill(ret, set);
        *ret_set = TAKE_PTR(set);
        return 0;
}

/* ---- releases in the store ---- */

typedef struct Known {
        char **versions;
        usec_t *imported;
        size_t n, n_allocated;
} Known;

static void known_done(Known *k) {
        strv_free(k->versions);
        free(k->imported);
        *k = (Known){};
}

static int known_collect(ReleaseRecord *rel, void *userdata) {
        Known *k = userdata;
        int r;

        r = ARRAY_GROW(k->imported, k->n_allocated, k->n + 1);
        if (r < 0)
                return r;
        r = strv_extend(&k->versions, rel->version);
        if (r < 0)
                return r;
        k->imported[k->n++] = rel->imported;
        return 0;
}

static int store_artifact(Store *s, const TufRelease *rel, const TufTarget *t) {
        char sha256[SHA256_HEX_MAX];
        ArtifactRecord a = {
                .path = t->path,
                .version = rel->version,
                .arch = rel->arch,
                .os = rel->os,
                .sha256 = sha256,
                .length = t->length,
        };

        hex_encode(t->sha256, SHA256_SIZE, sha256);
        return s->ops->artifact_put(s, &a);
}

static int store_release(
                StoreJob *j,
                Store *s,
                const TufRelease *rel,
                const Known *known,
                usec_t time,
                char ***ret_new) {
        ReleaseRecord record = {
                .version = rel->version,
                .product = rel->product,
                .imported = time,
                .floor = rel->floor,
                .requires = rel->requires,
                .severity = rel->severity,
                .requires_packaging = rel->requires_packaging,
        };
        bool is_new = true;
        int r;

        for (size_t i = 0; i < known->n; i++)
                if (streq(known->versions[i], rel->version)) {
                        record.imported = known->imported[i];
                        is_new = false;
                }
        r = s->ops->release_put(s, &record);
        if (r < 0 || !is_new)
                return r;
        if (ret_new) {
                r = strv_extend(ret_new, rel->version);
                if (r < 0)
                        return r;
        }
        return store_job_emit(
                        j, s, "release", NULL, view_event_text(view_release(&record)), /* progress= */ false,
                        time);
}

int registry_new_releases(Store *s, const TufMetadata *targets, char ***ret) {
        _cleanup_strv_free_ char **problems = NULL, **found = NULL;
        _cleanup_(known_done) Known known = {};
        TufRelease **releases = NULL;
        size_t n = 0;
        int r;

        r = s->ops->releases_each(s, known_collect, &known);
        if (r < 0)
                return r;
        r = tuf_release_list(targets, &releases, &n, &problems);
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (!strv_contains(known.versions, releases[i]->version) &&
                    !strv_contains(found, releases[i]->version))
                        r = strv_extend(&found, releases[i]->version);
        tuf_release_list_free(releases, n);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(found);
        return 0;
}

int registry_store_releases(
                StoreJob *j, Store *s, const TufMetadata *targets, usec_t time, char ***ret_new) {
        _cleanup_strv_free_ char **problems = NULL;
        _cleanup_(known_done) Known known = {};
        TufRelease **releases = NULL;
        size_t n = 0;
        int r;

        r = s->ops->releases_each(s, known_collect, &known);
        if (r < 0)
                return r;
        r = tuf_release_list(targets, &releases, &n, &problems);
        if (r < 0)
                return r;
        STRV_FOREACH(p, problems)
                log_warning("In the imported targets: %s, leaving it out.", *p);

        /* sorted by version: the first of each version makes the record, all of them their artifacts */
        for (size_t i = 0; r >= 0 && i < n; i++) {
                if (i == 0 || !streq(releases[i - 1]->version, releases[i]->version))
                        r = store_release(j, s, releases[i], &known, time, ret_new);
                if (r >= 0)
                        r = store_artifact(s, releases[i], releases[i]->agent);
                if (r >= 0)
                        r = store_artifact(s, releases[i], releases[i]->updater);
        }
        for (size_t i = 0; r >= 0 && i < known.n; i++) {
                bool still = false;

                for (size_t k = 0; k < n; k++)
                        still = still || streq(releases[k]->version, known.versions[i]);
                if (!still)
                        r = s->ops->release_delete(s, known.versions[i]);
        }
        tuf_release_list_free(releases, n);
        return r;
}

/* Takes into trust/ what an import published before a crash. What is refused now stays as it is. */
static int refresh_from_published(Registry *r, usec_t time) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        _cleanup_(tuf_refresh_freep) TufRefresh *refresh = NULL;
        _cleanup_free_ void *timestamp = NULL;
        size_t size;
        int k;

        k = file_read_at(r->tuf_fd, "metadata/timestamp.json", TUF_TIMESTAMP_SIZE_MAX, &timestamp, &size);
        if (k < 0)
                return k == -ENOENT ? 0 : k;
        k = tuf_store_open_at(r->trust_fd, ".", &store);
        if (k < 0)
                return k;
        k = tuf_refresh_new(
                        &(TufRefreshOptions){
                                        .store = store,
                                        .trusted_root = r->root,
                                        .trusted_root_size = r->root_size,
                                        .now_usec = time,
                        },
                        &refresh);
        if (k < 0)
                return k;
        k = tuf_refresh_run_directory(refresh, r->tuf_fd, "metadata");
        if (k < 0)
                return k;
        if (tuf_refresh_outcome(refresh) != TUF_OK)
                log_event(LOG_WARNING, FLEET_MESSAGE_REPOSITORY_UNUSABLE_STR,
                          "MESSAGE=The repository that is being served is not good any more: %s. Publish "
                          "and import fresh metadata.",
                          tuf_refresh_message(refresh), "FLEET_REASON=%s",
                          tuf_outcome_to_string(tuf_refresh_outcome(refresh)), NULL);
        return 0;
}

static int audit_recovered(StoreJob *j, Store *s, char *const *versions) {
        json_t *detail = json_object();

        if (json_set_take(detail, "versions", view_texts(versions)) < 0) {
                json_decref(detail);
                return -ENOMEM;
        }
        return audit_append(
                        j, s, &audit_actor_gateway, "release.recover", "", strv_length(versions), detail);
}

int registry_recover(Registry *r, StoreJob *j, Store *s, RegistryMetadata *ret) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *set = NULL;
        _cleanup_strv_free_ char **recovered = NULL;
        usec_t time = now(CLOCK_REALTIME);
        int k;

        *ret = (RegistryMetadata){};
        if (r->root_size == 0)
                return 0;
        k = refresh_from_published(r, time);
        if (k < 0)
                return k;
        k = registry_load(r, &set, ret);
        if (k < 0 || !set)
                return k;
        k = registry_store_releases(j, s, tuf_trusted_set_get(set, TUF_ROLE_TARGETS), time, &recovered);
        return k < 0 || !recovered ? k : audit_recovered(j, s, recovered);
}

int registry_check(const Registry *r) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        uint8_t byte;

        /* the directory may have been moved away below us, and a disk may have gone bad */
        if (fstat(r->tuf_fd, &st) < 0 || fstatat(r->tuf_fd, "targets", &st, 0) < 0)
                return negative_errno();
        fd = openat(r->tuf_fd, "metadata/timestamp.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT) /* nothing was imported yet, or it is gone: its directory tells */
                return RET_NERRNO(fstatat(r->tuf_fd, "metadata", &st, 0));
        if (fd < 0)
                return negative_errno();
        return read(fd, &byte, 1) < 0 ? negative_errno() : 0;
}
