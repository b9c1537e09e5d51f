/* SPDX-License-Identifier: Apache-2.0 */

/* The verbs add and renew: the next version of targets. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "release-options.h"
#include "release-repo.h"
#include "string-util.h"
#include "tuf-release.h"
#include "tuf-signer.h"
#include "version.h"

#define SEVERITY_MAX 32U

/* The targets to change: those staged, or the published ones as the next version. Without signatures. */
static int next_targets(const Repo *repo, const Options *o, json_t **ret) {
        const TufMetadata *staged = repo->staged[TUF_ROLE_TARGETS], *m = repo_targets(repo);
        _cleanup_json_ json_t *envelope = NULL;
        char expires[RFC3339_MAX];
        int r;

        if (!m)
                r = tuf_build_targets(1, options_expiry(o, TUF_ROLE_TARGETS), &envelope);
        else
                r = repo_envelope(m, &envelope);
        if (r < 0)
                return r;

        json_t *signed_ = json_object_get(envelope, "signed");
        r = json_set_u64(signed_, "version", !m ? 1 : staged ? m->version : m->version + 1);
        if (r >= 0)
                r = json_set_string(
                                signed_, "expires",
                                rfc3339_format(options_expiry(o, TUF_ROLE_TARGETS), expires));
        if (r >= 0)
                r = tuf_envelope_unsign(envelope);
        if (r < 0)
                return log_error_errno(r, "Cannot build the targets: %m");
        *ret = TAKE_PTR(envelope);
        return 0;
}

static int build_custom(const Options *o, json_t **ret) {
        _cleanup_json_ json_t *custom = json_object();

        int r = custom ? json_set_string(custom, "product", o->product) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(custom, "version", o->version);
        if (r >= 0)
                r = json_set_string(custom, "arch", o->arch);
        if (r >= 0)
                r = json_set_string(custom, "os", o->os);
        if (r >= 0)
                r = json_set_string(custom, "requires", o->requires);
        if (r >= 0)
                r = json_set_string(custom, "floor", o->floor);
        if (r >= 0)
                r = json_set_string(custom, "severity", o->severity);
        if (r >= 0 && o->requires_packaging > 0)
                r = json_set_u64(custom, "requires_packaging", o->requires_packaging);
        if (r < 0)
                return log_error_errno(r, "Cannot describe the release: %m");
        *ret = TAKE_PTR(custom);
        return 0;
}

static int check_version_option(const char *name, const char *value) {
        if (!value || version_is_valid(value))
                return 0;
        log_error("--%s: '%s' is no version such as 1.2.0 or 1.2.0-rc.1.", name, value);
        return RELEASE_EXIT_USAGE;
}

static int check_options(const Options *o) {
        int r;

        if (!o->arguments || !o->version || !o->arch) {
                log_error("Say 'add FILE... --version VERSION --arch ARCHITECTURE'.");
                return RELEASE_EXIT_USAGE;
        }
        r = check_version_option("version", o->version);
        if (r == 0)
                r = check_version_option("requires", o->requires);
        if (r == 0)
                r = check_version_option("floor", o->floor);
        if (r != 0)
                return r;
        if (!tuf_release_arch_is_valid(o->arch)) {
                log_error("--arch: '%s' is no architecture as uname -m says it.", o->arch);
                return RELEASE_EXIT_USAGE;
        }
        if (!streq(o->os, "linux") || !streq(o->product, "agent")) {
                log_error("This version of fleet-release knows --product agent and --os linux alone.");
                return RELEASE_EXIT_USAGE;
        }
        if (o->floor && version_compare(o->floor, o->version) > 0) {
                log_error("--floor %s is above the release itself (%s): nothing could ever run it.",
                          o->floor, o->version);
                return RELEASE_EXIT_USAGE;
        }
        if (o->requires && version_compare(o->requires, o->version) >= 0) {
                log_error("--requires %s is not below the release itself (%s).", o->requires, o->version);
                return RELEASE_EXIT_USAGE;
        }
        if (o->severity && (!string_is_safe(o->severity, SEVERITY_MAX) || isempty(o->severity))) {
                log_error("--severity is a short word such as 'security'.");
                return RELEASE_EXIT_USAGE;
        }
        return 0;
}

static int on_copy(const void *data, size_t size, void *userdata) {
        sha256_update(userdata, data, size);
        return 0;
}

/* Copies the file into staged/files/, hashing what is written, under a name that tells nothing yet. */
static int
copy_in(Repo *repo,
        const char *file,
        const char *temporary,
        uint64_t *ret_size,
        uint8_t hash[static SHA256_SIZE]) {
        _cleanup_(sha256_freep) Sha256 *h = NULL;
        int r;

        _cleanup_close_ int from = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (from < 0)
                return log_error_errno(negative_errno(), "Cannot open '%s': %m", file);
        r = fd_verify_regular(from);
        if (r < 0)
                return log_error_errno(r, "'%s' is no regular file.", file);
        _cleanup_close_ int to =
                        openat(repo->dir_fd, temporary,
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (to < 0)
                return log_error_errno(negative_errno(), "Cannot write %s/%s: %m", repo->path, temporary);
        r = sha256_new(&h);
        if (r >= 0)
                r = fd_copy(from, to, TUF_TARGET_LENGTH_MAX, on_copy, h, ret_size);
        if (r >= 0 && *ret_size == 0)
                return log_error_errno(-EINVAL, "'%s' is empty.", file);
        if (r >= 0)
                r = RET_NERRNO(fsync(to));
        if (r < 0)
                return log_error_errno(r, "Cannot copy '%s' to %s/" REPO_STAGED "/: %m", file, repo->path);
        sha256_final(h, hash);
        return 0;
}

static int make_directories(Repo *repo, const char *path) {
        _cleanup_free_ char *full = strjoinf("%s/%s", repo->path, path);
        if (!full)
                return log_oom();
        *strrchr(full, '/') = '\0';
        int r = mkdir_parents(full, 0755);
        return r < 0 ? log_error_errno(r, "Cannot make the directory '%s': %m", full) : 0;
}

static int add_file(Repo *repo, const Options *o, json_t *envelope, json_t *custom, const char *file) {
        static const char temporary[] = REPO_STAGED_FILES "/incoming";
        _cleanup_free_ char *path = NULL, *below = NULL, *to = NULL;
        const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
        TufTarget t = {};
        int r;

        if (!streq(name, "agent") && !streq(name, "updater")) {
                log_error("'%s': a release consists of files called 'agent' and 'updater'.", file);
                return RELEASE_EXIT_USAGE;
        }
        r = tuf_release_target_path(o->version, o->os, o->arch, name, &path);
        if (r >= 0)
                r = make_directories(repo, temporary);
        if (r < 0)
                return r;
        r = copy_in(repo, file, temporary, &t.length, t.sha256);
        if (r < 0)
                return r;

        const TufTarget *published =
                        repo->published[TUF_ROLE_TARGETS] ?
                                        tuf_metadata_target(repo->published[TUF_ROLE_TARGETS], path) :
                                        NULL;
        if (published && memcmp(published->sha256, t.sha256, SHA256_SIZE) != 0)
                return log_error_errno(
                                -EEXIST,
                                "%s is published with other content; a release never changes, give this one a new version.",
                                path);

        t.path = path;
        r = tuf_target_file_path(&t, &below);
        if (r < 0)
                return log_oom();
        to = strjoinf(REPO_STAGED_FILES "/%s", below);
        if (!to)
                return log_oom();
        r = make_directories(repo, to);
        if (r < 0)
                return r;
        if (renameat(repo->dir_fd, temporary, repo->dir_fd, to) < 0)
                return log_error_errno(negative_errno(), "Cannot write %s/%s: %m", repo->path, to);
        r = tuf_build_targets_set(envelope, path, t.length, t.sha256, custom);
        if (r < 0)
                return log_error_errno(r, "Cannot add %s to the targets: %m", path);

        char hex[SHA256_HEX_MAX];
        hex_encode(t.sha256, SHA256_SIZE, hex);
        printf("%s\n  %" PRIu64 " bytes, SHA-256 %s\n", path, t.length, hex);
        return 0;
}

int verb_add(const Options *o) {
        _cleanup_json_ json_t *envelope = NULL, *custom = NULL;
        _cleanup_(repo_freep) Repo *repo = NULL;
        int r;

        r = check_options(o);
        if (r != 0)
                return r;
        r = repo_open(o->repo, &repo);
        if (r >= 0)
                r = next_targets(repo, o, &envelope);
        if (r >= 0)
                r = build_custom(o, &custom);
        if (r < 0)
                return r;

        STRV_FOREACH(file, o->arguments) {
                r = add_file(repo, o, envelope, custom, *file);
                if (r != 0)
                        return r;
        }
        r = repo_stage(repo, TUF_ROLE_TARGETS, envelope);
        if (r < 0)
                return r;
        printf("Staged in targets version %" PRIu64
               "; it is published once it is signed: 'sign targets', then 'publish'.\n",
               repo->staged[TUF_ROLE_TARGETS]->version);
        return 0;
}

int verb_renew(const Options *o) {
        _cleanup_json_ json_t *envelope = NULL;
        _cleanup_(repo_freep) Repo *repo = NULL;
        char expires[RFC3339_MAX];

        if (strv_length(o->arguments) > 1 || (o->arguments && !streq(o->arguments[0], "targets"))) {
                log_error("Say 'renew targets'. A root is renewed by 'rotate', snapshot and timestamp by 'publish'.");
                return RELEASE_EXIT_USAGE;
        }
        int r = repo_open(o->repo, &repo);
        if (r >= 0)
                r = next_targets(repo, o, &envelope);
        if (r >= 0)
                r = repo_stage(repo, TUF_ROLE_TARGETS, envelope);
        if (r < 0)
                return r;
        printf("Staged targets version %" PRIu64 ", expires %s: 'sign targets', then 'publish'.\n",
               repo->staged[TUF_ROLE_TARGETS]->version,
               rfc3339_format(repo->staged[TUF_ROLE_TARGETS]->expires_usec, expires));
        return 0;
}
