/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-verify.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "string-util.h"
#include "tuf-refresh.h"
#include "tuf-release.h"
#include "version.h"

#define STORE "updater"

SimRelease *sim_release_free(SimRelease *r) {
        if (!r)
                return NULL;
        free(r->floor);
        for (size_t i = 0; i < SIM_VERIFY_FILES; i++)
                fd_close(r->files[i].fd);
        free(r);
        return NULL;
}

#define refuse(verdict, ...)                                                                                \
        ({                                                                                                  \
                *reterr_verdict = (verdict);                                                                \
                *reterr_message = strjoinf(__VA_ARGS__);                                                    \
                *reterr_message ? 1 : -ENOMEM;                                                              \
        })

static int store_open(int state_fd, TufStore **ret) {
        if (mkdirat(state_fd, STORE, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        return tuf_store_open_at(state_fd, STORE, ret);
}

uint64_t sim_verify_root_version(int state_fd) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        _cleanup_free_ void *data = NULL;
        uint64_t version;
        size_t size;

        if (store_open(state_fd, &store) < 0 ||
            tuf_store_trusted_root(
                            store, fleet_trusted_root, fleet_trusted_root_size, &data, &size, &version,
                            NULL) != 0)
                return 0;
        return version;
}

static UpdateVerdict verdict_of_outcome(TufOutcome o) {
        switch (o) {
        case TUF_EXPIRED:
                return UPDATE_VERDICT_METADATA_EXPIRED;
        case TUF_NOT_FOUND:
                return UPDATE_VERDICT_NOT_FOUND;
        case TUF_NO_TRUSTED_ROOT:
                return UPDATE_VERDICT_NO_TRUSTED_ROOT;
        default:
                return UPDATE_VERDICT_VERIFICATION_FAILED;
        }
}

/* The rules of the real updater that do not hang on a disk. */
static int
check_policy(const SimMachine *m,
             const SimRecord *record,
             const TufRelease *r,
             bool retry,
             UpdateVerdict *reterr_verdict,
             char **reterr_message) {
        bool denied = streq(record->denied, r->version) && record->denied_until > now(CLOCK_REALTIME);

        if (version_compare(r->version, record->version) <= 0)
                return refuse(UPDATE_VERDICT_DOWNGRADE,
                              "Version %s is not newer than %s, which is installed.", r->version,
                              record->version);
        if (*record->floor && version_compare(r->version, record->floor) < 0)
                return refuse(UPDATE_VERDICT_BELOW_FLOOR,
                              "Version %s is older than %s, below which nothing may run here.", r->version,
                              record->floor);
        if (r->requires && version_compare(record->version, r->requires) < 0)
                return refuse(UPDATE_VERDICT_REQUIRES_OTHER, "Version %s needs %s first; %s is installed.",
                              r->version, r->requires, record->version);
        if (r->requires_packaging > m->facts.packaging)
                return refuse(UPDATE_VERDICT_REQUIRES_PACKAGING,
                              "Version %s needs generation %" PRIu64 " of the package, this one has %" PRIu32
                              ".",
                              r->version, r->requires_packaging, m->facts.packaging);
        if (denied && !retry)
                return refuse(UPDATE_VERDICT_DENYLISTED, "Version %s was rolled back here and is refused.",
                              r->version);
        if (m->pinned)
                return refuse(UPDATE_VERDICT_PINNED, "This machine's owner holds it at version %s.",
                              record->version);
        return 0;
}

static int take_file(SimRelease *r, size_t i, const TufTarget *t, const UpdaterInstall *q) {
        for (size_t k = 0; k < q->n_targets; k++) {
                if (!streq(q->targets[k].path, t->path))
                        continue;
                r->files[i].fd = fcntl(q->targets[k].fd, F_DUPFD_CLOEXEC, 3);
                r->files[i].length = t->length;
                memcpy(r->files[i].sha256, t->sha256, SHA256_SIZE);
                return r->files[i].fd < 0 ? negative_errno() : 0;
        }
        return -ENOENT;
}

static int
take_release(const TufRelease *t,
             const UpdaterInstall *q,
             SimRelease **ret,
             UpdateVerdict *reterr_verdict,
             char **reterr_message) {
        _cleanup_(sim_release_freep) SimRelease *r = new0(SimRelease, 1);
        if (!r)
                return -ENOMEM;
        for (size_t i = 0; i < SIM_VERIFY_FILES; i++)
                r->files[i].fd = -EBADF;
        r->floor = t->floor ? strdup(t->floor) : NULL;
        if (t->floor && !r->floor)
                return -ENOMEM;
        int k = take_file(r, 0, t->agent, q);
        if (k >= 0)
                k = take_file(r, 1, t->updater, q);
        if (k == -ENOENT || (k >= 0 && q->n_targets != SIM_VERIFY_FILES))
                return refuse(UPDATE_VERDICT_VERIFICATION_FAILED,
                              "Version %s consists of agent and updater; both are needed.", t->version);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

int sim_verify(int state_fd,
               const SimMachine *m,
               const SimRecord *record,
               const UpdaterInstall *q,
               SimRelease **ret,
               UpdateVerdict *reterr_verdict,
               char **reterr_message) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL; /* freed last: the refresh holds its lock */
        _cleanup_(tuf_refresh_freep) TufRefresh *refresh = NULL;
        _cleanup_(tuf_release_freep) TufRelease *release = NULL;
        _cleanup_free_ char *why = NULL;

        int r = store_open(state_fd, &store);
        if (r < 0)
                return r;
        TufRefreshOptions options = {
                .store = store,
                .trusted_root = fleet_trusted_root,
                .trusted_root_size = fleet_trusted_root_size,
                .now_usec = now(CLOCK_REALTIME),
        };
        r = tuf_refresh_new(&options, &refresh);
        if (r >= 0)
                r = tuf_refresh_run_bytes(refresh, q->metadata);
        if (r < 0)
                return r;
        if (tuf_refresh_outcome(refresh) != TUF_OK)
                return refuse(verdict_of_outcome(tuf_refresh_outcome(refresh)), "%s",
                              tuf_refresh_message(refresh));
        r = tuf_release_find(
                        tuf_refresh_targets(refresh), q->version, m->facts.architecture, &release, &why);
        if (r > 0)
                return refuse(verdict_of_outcome((TufOutcome) r), "%s", strempty(why));
        if (r == 0)
                r = check_policy(m, record, release, q->retry, reterr_verdict, reterr_message);
        if (r == 0)
                r = take_release(release, q, ret, reterr_verdict, reterr_message);
        return r;
}
