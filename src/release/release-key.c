/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "release-keys.h"
#include "release-options.h"
#include "string-util.h"

/* A new file; an existing one is never replaced: it may be the only copy of a key. */
static int write_new(const char *path, const char *text, mode_t mode) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return log_error_errno(negative_errno(), "Cannot make the file '%s': %m", path);
        int r = fd_write_all(fd, text, strlen(text));
        if (r >= 0)
                r = RET_NERRNO(fsync(fd));
        if (r < 0) {
                (void) unlink(path);
                return log_error_errno(r, "Cannot write the file '%s': %m", path);
        }
        return 0;
}

static int sync_directory_of(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *directory = !slash        ? strdup(".") :
                                         slash == path ? strdup("/") :
                                                         strndup(path, (size_t) (slash - path));
        if (!directory)
                return log_oom();
        int r = dir_fsync_at(AT_FDCWD, directory);
        return r < 0 ? log_error_errno(r, "Cannot make '%s' durable: %m", path) : 0;
}

static int key_new(const Options *o, const char *path) {
        _cleanup_(tuf_secret_key_freep) TufSecretKey *key = NULL;
        _cleanup_(passphrase_free) char *passphrase = NULL, *secret = NULL;
        _cleanup_free_ char *public = NULL, *public_path = NULL;
        int r;

        if (o->unprotected && o->passphrase_files) {
                log_error("--unprotected and --passphrase-file exclude each other.");
                return RELEASE_EXIT_USAGE;
        }
        public_path = strjoinf("%s.pub", path);
        if (!public_path)
                return log_oom();
        if (access(path, F_OK) >= 0 || access(public_path, F_OK) >= 0)
                return log_error_errno(
                                -EEXIST, "'%s' or '%s' is there already; a key is never overwritten.", path,
                                public_path);

        if (!o->unprotected) {
                r = passphrase_for_new_key(o->passphrase_files, &passphrase);
                if (r < 0)
                        return r;
        }
        r = tuf_secret_key_generate(&key);
        if (r >= 0)
                r = tuf_secret_key_format(key, passphrase, &secret);
        if (r >= 0)
                r = tuf_public_key_format(tuf_secret_key_public(key), &public);
        if (r < 0)
                return log_error_errno(r, "Cannot make a key: %m");

        r = write_new(path, secret, 0600);
        if (r >= 0)
                r = write_new(public_path, public, 0644);
        if (r >= 0)
                r = sync_directory_of(path);
        if (r < 0)
                return r;
        printf("%s\n", tuf_secret_key_public(key)->keyid);
        if (o->unprotected)
                log_warning("'%s' is not protected by a passphrase: for tests and throw-away repositories alone.",
                            path);
        return 0;
}

static int key_show(char *const *paths) {
        STRV_FOREACH(path, paths) {
                _cleanup_(tuf_key_freep) TufKey *key = NULL;

                int r = public_key_load(*path, &key);
                if (r < 0)
                        return r;
                printf("%s %s\n", key->keyid, *path);
        }
        return 0;
}

int verb_key(const Options *o) {
        size_t n = strv_length(o->arguments);

        if (n == 2 && streq(o->arguments[0], "new"))
                return key_new(o, o->arguments[1]);
        if (n >= 2 && streq(o->arguments[0], "show"))
                return key_show(o->arguments + 1);
        log_error("Say 'key new FILE' or 'key show FILE...'.");
        return RELEASE_EXIT_USAGE;
}
