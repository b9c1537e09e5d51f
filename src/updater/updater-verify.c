/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-verify.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "log.h"
#include "string-util.h"
#include "tuf-refresh.h"
#include "tuf-release.h"
#include "updater-policy.h"
#include "updater-record.h"
#include "version.h"

#define STORE_NAME "tuf"

SignedRelease *signed_release_free(SignedRelease *r) {
        if (!r)
                return NULL;
        free(r->version);
        free(r->requires);
        free(r->floor);
        free(r->agent.path);
        free(r->updater.path);
        free(r);
        return NULL;
}

static int store_open(UpdaterRoot *root, TufStore **ret) {
        if (root->state_fd < 0)
                return -EBADF;
        if (mkdirat(root->state_fd, STORE_NAME, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        return tuf_store_open_at(root->state_fd, STORE_NAME, ret);
}

uint64_t trusted_root_version(UpdaterRoot *root) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        _cleanup_free_ char *message = NULL;
        _cleanup_free_ void *data = NULL;
        uint64_t version;
        size_t size;

        int r = store_open(root, &store);
        if (r >= 0)
                r = tuf_store_trusted_root(
                                store, fleet_trusted_root, fleet_trusted_root_size, &data, &size, &version, &message);
        if (r == 0)
                return version;
        log_debug("There is no trusted root: %s", message ?: strerror(r < 0 ? -r : ENOENT));
        return 0;
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

static int refuse(UpdateVerdict verdict, const char *message, UpdateVerdict *reterr_verdict, char **reterr_message) {
        char *copy = strdup(message ?: update_verdict_explain(verdict));
        if (!copy)
                return -ENOMEM;
        *reterr_verdict = verdict;
        *reterr_message = copy;
        return 1;
}

static int copy_optional(const char *s, char **ret) {
        *ret = s ? strdup(s) : NULL;
        return s && !*ret ? -ENOMEM : 0;
}

static int file_copy(const TufTarget *t, SignedFile *ret) {
        ret->path = strdup(t->path);
        if (!ret->path)
                return -ENOMEM;
        ret->length = t->length;
        memcpy(ret->sha256, t->sha256, SHA256_SIZE);
        return 0;
}

/* The metadata goes away with the refresh, which holds the store's lock. */
static int release_copy(const TufRelease *t, SignedRelease **ret) {
        _cleanup_(signed_release_freep) SignedRelease *s = new0(SignedRelease, 1);
        if (!s)
                return -ENOMEM;

        s->version = strdup(t->version);
        if (!s->version || copy_optional(t->requires, &s->requires) < 0 || copy_optional(t->floor, &s->floor) < 0 ||
            file_copy(t->agent, &s->agent) < 0 || file_copy(t->updater, &s->updater) < 0)
                return -ENOMEM;
        s->requires_packaging = t->requires_packaging;
        release_digest(s->agent.sha256, s->updater.sha256, s->digest);
        *ret = TAKE_PTR(s);
        return 0;
}

/* Is the version there for some other machine? */
static bool exists_elsewhere(const TufMetadata *targets, const char *version) {
        TufRelease **releases = NULL;
        bool found = false;
        size_t n = 0;

        if (tuf_release_list(targets, &releases, &n, NULL) < 0)
                return false;
        for (size_t i = 0; i < n && !found; i++)
                found = streq(releases[i]->version, version);
        tuf_release_list_free(releases, n);
        return found;
}

static int find_release(
                const TufMetadata *targets, const char *version, SignedRelease **ret, UpdateVerdict *reterr_verdict,
                char **reterr_message) {

        _cleanup_(tuf_release_freep) TufRelease *release = NULL;
        _cleanup_free_ char *message = NULL, *text = NULL;
        struct utsname u;

        if (uname(&u) < 0)
                return negative_errno();
        int r = tuf_release_find(targets, version, u.machine, &release, &message);
        if (r < 0)
                return r;
        if (r == TUF_NOT_FOUND && exists_elsewhere(targets, version)) {
                text = strjoinf("Version %s is not there for linux on %s, only for others.", version, u.machine);
                if (!text)
                        return -ENOMEM;
                return refuse(UPDATE_VERDICT_NOT_FOR_US, text, reterr_verdict, reterr_message);
        }
        if (r > 0)
                return refuse(verdict_of_outcome((TufOutcome) r), message, reterr_verdict, reterr_message);
        return release_copy(release, ret);
}

int release_verify(
                UpdaterRoot *root, const TufBytes *metadata, const char *version, SignedRelease **ret,
                UpdateVerdict *reterr_verdict, char **reterr_message) {

        _cleanup_(tuf_store_freep) TufStore *store = NULL; /* freed last: the refresh holds its lock */
        _cleanup_(tuf_refresh_freep) TufRefresh *refresh = NULL;
        int r;

        if (fleet_trusted_root_size == 0)
                return refuse(UPDATE_VERDICT_NO_TRUSTED_ROOT,
                              "This updater was built without a trusted root. Install a package that was built with one.",
                              reterr_verdict, reterr_message);

        r = store_open(root, &store);
        if (r < 0)
                return r;
        r = tuf_refresh_new(
                        &(TufRefreshOptions) {
                                .store = store,
                                .trusted_root = fleet_trusted_root,
                                .trusted_root_size = fleet_trusted_root_size,
                                .now_usec = now(CLOCK_REALTIME),
                        },
                        &refresh);
        if (r < 0)
                return r;
        r = tuf_refresh_run_bytes(refresh, metadata);
        if (r < 0)
                return r;
        TufOutcome o = tuf_refresh_outcome(refresh);
        if (o != TUF_OK)
                return refuse(verdict_of_outcome(o), tuf_refresh_message(refresh), reterr_verdict, reterr_message);
        return find_release(tuf_refresh_targets(refresh), version, ret, reterr_verdict, reterr_message);
}

#define refused(verdict, ...)                                   \
        ({                                                      \
                *reterr_message = strjoinf(__VA_ARGS__);        \
                (verdict);                                      \
        })

UpdateVerdict release_check(const SignedRelease *r, const MachineFacts *m, char **reterr_message) {
        char text[TIMESPAN_MAX];

        if (version_compare(r->version, m->current) <= 0)
                return refused(UPDATE_VERDICT_DOWNGRADE, "Version %s is not newer than %s, which is installed.",
                               r->version, m->current);
        if (!floor_allows(m->floor, r->version))
                return refused(UPDATE_VERDICT_BELOW_FLOOR, "Version %s is older than %s, below which nothing may run here.",
                               r->version, m->floor);
        if (r->floor && version_compare(r->floor, r->version) > 0)
                return refused(UPDATE_VERDICT_VERIFICATION_FAILED,
                               "Version %s is signed with a floor above itself (%s); it has to be signed anew.",
                               r->version, r->floor);
        if (r->requires && version_compare(m->current, r->requires) < 0)
                return refused(UPDATE_VERDICT_REQUIRES_OTHER, "Version %s needs %s first; %s is installed.", r->version,
                               r->requires, m->current);
        if (r->requires_packaging > m->packaging)
                return refused(UPDATE_VERDICT_REQUIRES_PACKAGING,
                               "Version %s needs generation %lu of the package, this one has %lu. Upgrade the package.",
                               r->version, (unsigned long) r->requires_packaging, (unsigned long) m->packaging);
        if (m->denied_usec > 0)
                return refused(UPDATE_VERDICT_DENYLISTED,
                               "Version %s was rolled back here and is refused for another %s. A newer build is not.",
                               r->version, timespan_format(m->denied_usec, text));
        if (m->pin_unreadable)
                return refused(UPDATE_VERDICT_PINNED, "The file that holds this machine's version cannot be read; mend or remove it.");
        if (m->pin && !streq(m->pin, r->version))
                return refused(UPDATE_VERDICT_PINNED, "This machine's owner holds it at version %s.", m->pin);

        uint64_t needed = r->agent.length + r->updater.length + m->disk_reserve; /* lengths are capped well below overflow */
        if (m->disk_free < needed)
                return refused(UPDATE_VERDICT_DISK_FULL,
                               "Version %s needs %lu KiB on the disk that holds /opt/fleet-agent, %lu KiB are free.",
                               r->version, (unsigned long) (needed >> 10), (unsigned long) (m->disk_free >> 10));
        return UPDATE_VERDICT_NONE;
}
