/* SPDX-License-Identifier: Apache-2.0 */

/* The verbs verify and list. */

#include <fcntl.h>
#include <stdio.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "release-client.h"
#include "release-options.h"
#include "string-util.h"
#include "tuf-release.h"

static void print_releases(const TufMetadata *targets, TufRelease *const *releases, size_t n) {
        if (n == 0)
                printf("No releases.\n");
        else
                printf("%-20s %-10s %-12s %-12s %-10s %s\n", "VERSION", "ARCH", "REQUIRES", "FLOOR",
                       "SEVERITY", "AGENT SHA-256");
        for (size_t i = 0; i < n; i++) {
                const TufRelease *r = releases[i];
                char hex[SHA256_HEX_MAX];

                hex_encode(r->agent->sha256, SHA256_SIZE, hex);
                printf("%-20s %-10s %-12s %-12s %-10s %s\n", r->version, r->arch, r->requires ?: "-",
                       r->floor ?: "-", r->severity ?: "-", hex);
        }
}

static int show_releases(const TufMetadata *targets) {
        _cleanup_strv_free_ char **problems = NULL;
        TufRelease **releases;
        size_t n;

        int r = tuf_release_list(targets, &releases, &n, &problems);
        if (r < 0)
                return log_error_errno(r, "Cannot read the releases: %m");
        print_releases(targets, releases, n);
        tuf_release_list_free(releases, n);
        STRV_FOREACH(problem, problems)
                log_error("%s.", *problem);
        return problems ? -EBADMSG : 0;
}

static void print_expiry(const TufMetadata *m, usec_t realtime) {
        char expires[RFC3339_MAX];

        if (!m)
                return;
        if (m->expires_usec > realtime)
                printf("  %-10s version %-6" PRIu64 " expires %s, in %" PRIu64 " days\n",
                       tuf_role_to_string(m->role), m->version, rfc3339_format(m->expires_usec, expires),
                       (m->expires_usec - realtime) / USEC_PER_DAY);
        else
                printf("  %-10s version %-6" PRIu64 " expired %s, %" PRIu64 " days ago\n",
                       tuf_role_to_string(m->role), m->version, rfc3339_format(m->expires_usec, expires),
                       (realtime - m->expires_usec) / USEC_PER_DAY);
}

/* The root to begin with: the one named, or the first of the repository (which then vouches for itself
 * alone). */
static int read_root(const Options *o, Repo *repo, void **ret, size_t *ret_size) {
        _cleanup_(tuf_bytes_freep) TufBytes *bytes = NULL;
        int r;

        if (o->root) {
                r = file_read_at(AT_FDCWD, o->root, TUF_ROOT_SIZE_MAX, ret, ret_size);
                return r < 0 ? log_error_errno(r, "Cannot read the root '%s': %m", o->root) : 0;
        }
        r = tuf_bytes_new(&bytes);
        if (r < 0)
                return log_oom();
        r = repo_add_roots(repo, bytes, ret, ret_size);
        if (r >= 0 && !*ret)
                return log_error_errno(
                                -ENOENT,
                                "%s/" REPO_METADATA "/ has no root yet: 'sign root' with the missing keys.",
                                repo->path);
        return r;
}

int verb_verify(const Options *o) {
        _cleanup_(client_freep) Client *client = NULL;
        _cleanup_(repo_freep) Repo *repo = NULL;
        _cleanup_free_ void *root = NULL;
        _cleanup_free_ char *why = NULL;
        usec_t realtime = now(CLOCK_REALTIME);
        size_t root_size = 0;
        int r, outcome;

        if (o->arguments) {
                log_error("'verify' takes no arguments; name the repository with --repo.");
                return RELEASE_EXIT_USAGE;
        }
        r = repo_open_for_reading(o->repo, &repo);
        if (r >= 0)
                r = read_root(o, repo, &root, &root_size);
        if (r >= 0)
                r = client_new(&client);
        if (r < 0)
                return r;
        outcome = client_refresh_directory(
                        client, root, root_size, realtime, repo->dir_fd, REPO_METADATA, &why);
        if (outcome < 0)
                return outcome;

        printf("A new agent, at this moment:\n");
        for (int role = 0; role < _TUF_ROLE_MAX; role++)
                print_expiry(client_get(client, (TufRole) role), realtime);
        if (outcome > 0)
                return log_error_errno(
                                -EKEYREJECTED, "It refuses this repository (%s): %s.",
                                tuf_outcome_to_string((TufOutcome) outcome), strna(why));

        r = show_releases(client_get(client, TUF_ROLE_TARGETS));
        int files = repo_check_files(
                        repo, client_get(client, TUF_ROLE_TARGETS), /* look_at_staged= */ false);
        if (r < 0 || files < 0)
                return r < 0 ? r : files;
        printf("It accepts the repository, and every file is there with its signed hash.\n");
        return 0;
}

int verb_list(const Options *o) {
        _cleanup_(repo_freep) Repo *repo = NULL;

        if (o->arguments) {
                log_error("'list' takes no arguments.");
                return RELEASE_EXIT_USAGE;
        }
        int r = repo_open(o->repo, &repo);
        if (r < 0)
                return r;
        if (!repo->published[TUF_ROLE_TARGETS]) {
                printf("Nothing is published yet.\n");
                return 0;
        }
        return show_releases(repo->published[TUF_ROLE_TARGETS]);
}
