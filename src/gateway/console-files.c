/* SPDX-License-Identifier: Apache-2.0 */
#include "console-files.h"

#include <fcntl.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "http-text.h"
#include "json.h"
#include "log.h"
#include "string-util.h"

#define MANIFEST "console.json"
#define MANIFEST_MAX (256U * 1024U)
#define FORMAT 1U
#define FILES_MAX 64U
#define FILE_SIZE_MAX (4U * 1024U * 1024U)

struct Console {
        ConsoleFile *files;
        size_t n;
};

static const struct {
        const char *suffix, *type;
} types[] = {
        { ".html", "text/html; charset=utf-8" },
        { ".js", "text/javascript; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" },
        { ".svg", "image/svg+xml" },
};

static const struct {
        const char *name, *suffix;
} encodings[_CONSOLE_ENCODING_MAX] = {
        [CONSOLE_IDENTITY] = { NULL, "" },
        [CONSOLE_GZIP] = { "gzip", ".gz" },
        [CONSOLE_BROTLI] = { "br", ".br" },
};

const char *console_encoding_to_string(ConsoleEncoding e) {
        return encodings[e].name;
}

Console *console_free(Console *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n; i++) {
                free(c->files[i].path);
                for (ConsoleEncoding e = 0; e < _CONSOLE_ENCODING_MAX; e++)
                        free(c->files[i].bodies[e].data);
        }
        free(c->files);
        free(c);
        return NULL;
}

static const char *type_of(const char *path) {
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (endswith(path, types[i].suffix))
                        return types[i].type;
        return NULL;
}

/* "NAME" or "DIRECTORY/NAME": no symlink is followed on the way. */
static int read_below(int dir_fd, const char *path, void **ret, size_t *ret_size) {
        const char *slash = strchr(path, '/');
        _cleanup_free_ char *directory = NULL;
        _cleanup_close_ int fd = -EBADF;

        if (!slash)
                return filename_is_plain(path) ? file_read_at(dir_fd, path, FILE_SIZE_MAX, ret, ret_size) :
                                                 -EINVAL;
        directory = strndup(path, (size_t) (slash - path));
        if (!directory)
                return -ENOMEM;
        if (!filename_is_plain(directory) || !filename_is_plain(slash + 1))
                return -EINVAL;
        fd = dir_open_at(dir_fd, directory);
        return fd < 0 ? fd : file_read_at(fd, slash + 1, FILE_SIZE_MAX, ret, ret_size);
}

static int read_body(int dir_fd, const char *path, ConsoleEncoding e, const char *hash, ConsoleBody *ret) {
        _cleanup_free_ char *name = strjoinf("%s%s", path, encodings[e].suffix);
        uint8_t digest[SHA256_SIZE];
        char hex[SHA256_HEX_MAX];
        int r;

        if (!name)
                return -ENOMEM;
        r = read_below(dir_fd, name, &ret->data, &ret->size);
        if (r == -ENOENT)
                return log_warning_errno(-EBADMSG, MANIFEST " names %s, which is not there.", name);
        if (r < 0)
                return log_warning_errno(r, "Failed to read %s of the console: %m", name);
        sha256_bytes(ret->data, ret->size, digest);
        hex_encode(digest, sizeof(digest), hex);
        if (!streq(hex, hash))
                return log_warning_errno(
                                -EBADMSG, "%s of the console is not the one that " MANIFEST " names.", name);
        (void) snprintf(ret->etag, sizeof(ret->etag), "\"%s\"", hex);
        return 0;
}

static int read_file(int dir_fd, json_t *item, ConsoleFile *ret) {
        static const char *const members[_CONSOLE_ENCODING_MAX] = {
                [CONSOLE_IDENTITY] = "sha256",
                [CONSOLE_GZIP] = "gzip_sha256",
                [CONSOLE_BROTLI] = "br_sha256",
        };
        const char *path, *hash;
        int r;

        r = json_get_string(item, "path", &path);
        if (r >= 0)
                r = json_get_bool(item, "immutable", &ret->immutable);
        if (r < 0 || !string_is_safe(path, 256) || !type_of(path))
                return -EBADMSG;
        ret->type = type_of(path);
        ret->path = strdup(path);
        if (!ret->path)
                return -ENOMEM;
        for (ConsoleEncoding e = 0; e < _CONSOLE_ENCODING_MAX; e++) {
                r = json_get_string(item, members[e], &hash);
                if (r == -ENOENT && e != CONSOLE_IDENTITY)
                        continue;
                if (r >= 0)
                        r = hex_is_valid(hash, SHA256_SIZE) ?
                                        read_body(dir_fd, path, e, hash, &ret->bodies[e]) :
                                        -EBADMSG;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_manifest(int dir_fd, json_t **ret) {
        _cleanup_free_ void *data = NULL;
        uint64_t format = 0;
        size_t size;
        int r;

        r = file_read_at(dir_fd, MANIFEST, MANIFEST_MAX, &data, &size);
        if (r >= 0)
                r = json_parse(data, size, MANIFEST_MAX, ret, NULL);
        if (r < 0)
                return r;
        return json_get_u64(*ret, "format", &format) < 0 || format != FORMAT ? -EBADMSG : 0;
}

static int read_files(Console *c, int dir_fd, json_t *manifest) {
        json_t *list = json_object_get(manifest, "files"), *item;
        size_t i;
        int r;

        if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > FILES_MAX)
                return -EBADMSG;
        c->files = new0(ConsoleFile, json_array_size(list));
        if (!c->files)
                return -ENOMEM;
        json_array_foreach(list, i, item) {
                c->n = i + 1;
                r = read_file(dir_fd, item, &c->files[i]);
                if (r < 0)
                        return r;
        }
        return console_find(c, "index.html") ? 0 : -EBADMSG;
}

int console_load(Console **ret, const char *directory) {
        _cleanup_(console_freep) Console *c = new0(Console, 1);
        _cleanup_json_ json_t *manifest = NULL;
        _cleanup_close_ int dir_fd = -EBADF;
        int r;

        if (!c)
                return -ENOMEM;
        dir_fd = dir_open_at(AT_FDCWD, directory);
        r = dir_fd < 0 ? dir_fd : read_manifest(dir_fd, &manifest);
        if (r == -ENOENT)
                return r;
        if (r >= 0)
                r = read_files(c, dir_fd, manifest);
        if (r < 0)
                return log_warning_errno(r, "The console in %s cannot be used: %m", directory);
        *ret = TAKE_PTR(c);
        return 0;
}

const ConsoleFile *console_find(const Console *c, const char *path) {
        for (size_t i = 0; i < c->n; i++)
                if (streq(c->files[i].path, path))
                        return c->files + i;
        return NULL;
}

size_t console_size(const Console *c) {
        return c->n;
}

ConsoleEncoding console_choose(const ConsoleFile *f, const char *accept_encoding) {
        ConsoleEncoding best = CONSOLE_IDENTITY;

        for (ConsoleEncoding e = CONSOLE_IDENTITY + 1; e < _CONSOLE_ENCODING_MAX; e++)
                if (f->bodies[e].data && f->bodies[e].size < f->bodies[best].size &&
                    http_accepts_encoding(accept_encoding, encodings[e].name))
                        best = e;
        return best;
}
