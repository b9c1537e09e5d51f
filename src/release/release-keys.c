/* SPDX-License-Identifier: Apache-2.0 */

#include "release-keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "log.h"
#include "secret-input.h"
#include "string-util.h"

#define PASSPHRASE_MIN 8U
#define PASSPHRASE_TRIES 3

void passphrase_free(char **p) {
        if (*p)
                secret_free(*p, strlen(*p));
        *p = NULL;
}

void key_ring_done(KeyRing *k) {
        for (size_t i = 0; i < k->n; i++)
                tuf_secret_key_free(k->keys[i]);
        k->n = 0;
}

static int passphrase_read_file(const char *path, char **ret) {
        int r = secret_read_file(path, TUF_PASSPHRASE_MAX, /* may_be_stdin= */ false, ret);

        if (r == -EINVAL)
                return log_error_errno(r, "The passphrase file '%s' is no text.", path);
        if (r == -ENODATA)
                return log_error_errno(-EINVAL, "The passphrase file '%s' begins with an empty line.", path);
        return r < 0 ? log_error_errno(r, "Cannot read the passphrase file '%s': %m", path) : 0;
}

static int passphrase_ask(const char *question, char **ret) {
        int r = secret_ask(question, TUF_PASSPHRASE_MAX, ret);

        if (r == -ENOTTY)
                return log_error_errno(
                                r, "There is no terminal to ask for a passphrase on: use --passphrase-file.");
        if (r == -ENODATA)
                return log_error_errno(r, "No passphrase was given.");
        return r < 0 ? log_error_errno(r, "Cannot ask for a passphrase: %m") : 0;
}

int passphrase_for_new_key(char *const *passphrase_files, char **ret) {
        _cleanup_(passphrase_free) char *one = NULL, *two = NULL;
        int r;

        if (passphrase_files)
                r = passphrase_read_file(passphrase_files[0], &one);
        else
                r = passphrase_ask("Passphrase for the new key:", &one);
        if (r < 0)
                return r;
        if (strlen(one) < PASSPHRASE_MIN)
                return log_error_errno(
                                -EINVAL, "The passphrase is shorter than %u characters.", PASSPHRASE_MIN);
        if (!passphrase_files) {
                r = passphrase_ask("Again:", &two);
                if (r < 0)
                        return r;
                if (!streq(one, two))
                        return log_error_errno(-EINVAL, "The two passphrases differ; nothing was made.");
        }
        *ret = TAKE_PTR(one);
        return 0;
}

static int read_key_file(const char *path, void **ret, size_t *ret_size) {
        struct stat st;

        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return log_error_errno(negative_errno(), "Cannot open the key file '%s': %m", path);
        int r = fd_read_all(fd, TUF_KEY_FILE_MAX, ret, ret_size);
        if (r == -EFBIG)
                return log_error_errno(r, "'%s' is too large to be a key file.", path);
        if (r < 0)
                return log_error_errno(r, "Cannot read the key file '%s': %m", path);
        if (fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && (st.st_mode & 0077) && !endswith(path, ".pub"))
                log_warning("The key file '%s' can be read by others: chmod 600 it.", path);
        return 0;
}

static int refused(const char *path, char **why) {
        _cleanup_free_ char *text = TAKE_PTR(*why);
        return log_error_errno(-EBADMSG, "'%s': %s.", path, strna(text));
}

/* Each passphrase file is tried; then the terminal. */
static int
open_sealed(const void *data,
            size_t size,
            const char *path,
            char *const *passphrase_files,
            TufSecretKey **ret) {
        _cleanup_free_ char *why = NULL;
        int r = -EKEYREJECTED;

        STRV_FOREACH(file, passphrase_files) {
                _cleanup_(passphrase_free) char *passphrase = NULL;

                r = passphrase_read_file(*file, &passphrase);
                if (r < 0)
                        return r;
                r = tuf_secret_key_parse(data, size, passphrase, ret, &why);
                if (r > 0)
                        return refused(path, &why);
                if (r != -EKEYREJECTED)
                        return r < 0 ? log_error_errno(r, "Cannot open the key '%s': %m", path) : 0;
        }
        for (int i = 0; !passphrase_files && i < PASSPHRASE_TRIES; i++) {
                _cleanup_(passphrase_free) char *passphrase = NULL;

                _cleanup_free_ char *question = strjoinf("Passphrase for %s:", path);
                if (!question)
                        return log_oom();
                r = passphrase_ask(question, &passphrase);
                if (r < 0)
                        return r;
                r = tuf_secret_key_parse(data, size, passphrase, ret, &why);
                if (r > 0)
                        return refused(path, &why);
                if (r != -EKEYREJECTED)
                        return r < 0 ? log_error_errno(r, "Cannot open the key '%s': %m", path) : 0;
                if (i + 1 < PASSPHRASE_TRIES)
                        log_warning("That is not the passphrase of '%s'.", path);
        }
        return log_error_errno(r, "The passphrase for '%s' is wrong.", path);
}

static bool ring_has(const KeyRing *k, const TufKey *public) {
        for (size_t i = 0; i < k->n; i++)
                if (tuf_key_same_material(tuf_secret_key_public(k->keys[i]), public))
                        return true;
        return false;
}

static int load_one(KeyRing *k, const char *path, char *const *passphrase_files, bool public_is_fine) {
        _cleanup_(tuf_secret_key_freep) TufSecretKey *key = NULL;
        _cleanup_(tuf_key_freep) TufKey *public = NULL;
        _cleanup_free_ void *data = NULL;
        _cleanup_free_ char *why = NULL;
        size_t size;
        int r;

        r = read_key_file(path, &data, &size);
        if (r < 0)
                return r;
        /* the same key may have several roles: nobody is asked for its passphrase twice */
        if (tuf_public_key_parse(data, size, &public, NULL) == 0 && ring_has(k, public))
                r = 0;
        else
                r = tuf_secret_key_parse(data, size, /* passphrase= */ NULL, &key, &why);
        if (r == -ENOKEY)
                r = open_sealed(data, size, path, passphrase_files, &key);
        else if (r == TUF_NOT_FOUND && public_is_fine)
                r = 0;
        else if (r > 0)
                r = refused(path, &why);
        else if (r < 0)
                log_error_errno(r, "Cannot load the key '%s': %m", path);
        memory_wipe(data, size);
        if (r < 0 || !key)
                return r;

        if (k->n >= KEY_RING_MAX)
                return log_error_errno(-E2BIG, "More than %u keys were named.", KEY_RING_MAX);
        k->keys[k->n++] = TAKE_PTR(key);
        return 0;
}

int key_ring_load(KeyRing *k, char *const *files, char *const *passphrase_files) {
        STRV_FOREACH(file, files) {
                int r = load_one(k, *file, passphrase_files, /* public_is_fine= */ false);
                if (r < 0)
                        return r;
        }
        return 0;
}

int key_ring_load_secret_ones(KeyRing *k, char *const *files, char *const *passphrase_files) {
        STRV_FOREACH(file, files) {
                int r = load_one(k, *file, passphrase_files, /* public_is_fine= */ true);
                if (r < 0)
                        return r;
        }
        return 0;
}

int key_ring_sign(const KeyRing *k, json_t *envelope, const TufMetadata *root, TufRole role) {
        int n = 0;

        for (size_t i = 0; i < k->n; i++) {
                const char *keyid = tuf_secret_key_public(k->keys[i])->keyid;
                bool listed = false;

                for (size_t j = 0; j < root->roles[role].n_keyids && !listed; j++)
                        listed = streq(root->roles[role].keyids[j], keyid);
                if (!listed)
                        continue;
                int r = tuf_envelope_sign(envelope, k->keys[i]);
                if (r < 0)
                        return log_error_errno(r, "Cannot sign: %m");
                n++;
        }
        return n;
}

int public_key_load(const char *path, TufKey **ret) {
        _cleanup_free_ void *data = NULL;
        _cleanup_free_ char *why = NULL;
        size_t size;

        int r = read_key_file(path, &data, &size);
        if (r < 0)
                return r;
        r = tuf_public_key_parse(data, size, ret, &why);
        memory_wipe(data, size);
        if (r > 0)
                return refused(path, &why);
        return r < 0 ? log_error_errno(r, "Cannot load the key '%s': %m", path) : 0;
}
