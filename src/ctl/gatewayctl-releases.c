/* SPDX-License-Identifier: Apache-2.0 */

/* release list, release import. The gateway verifies what is sent; nothing is verified here. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "cli-table.h"
#include "fd-util.h"
#include "fs-util.h"
#include "gatewayctl.h"
#include "string-util.h"

#define DEPTH_MAX 8U
#define FILES_MAX 100000U
#define METADATA_MAX_DEFAULT MIB(16)
#define TARGET_MAX_DEFAULT GIB(1)

static char *join_names(json_t *list, const char *separator) {
        _cleanup_strv_free_ char **items = NULL;
        json_t *v;
        size_t i;

        json_array_foreach(list, i, v)
                if (strv_extend(&items, strempty(json_string_value(v))) < 0)
                        return NULL;
        return items ? strv_join(items, separator) : strdup("");
}

/* "x86_64, aarch64": each once. */
static char *release_archs(json_t *release) {
        _cleanup_strv_free_ char **archs = NULL;
        json_t *a;
        size_t i;

        json_array_foreach(json_object_get(release, "artifacts"), i, a) {
                const char *arch = json_text(a, "arch");
                if (!strv_contains(archs, arch) && strv_extend(&archs, arch) < 0)
                        return NULL;
        }
        return archs ? strv_join(archs, ",") : strdup("");
}

static uint64_t release_size(json_t *release) {
        uint64_t sum = 0, n;
        json_t *a;
        size_t i;

        json_array_foreach(json_object_get(release, "artifacts"), i, a)
                if (json_get_u64(a, "length", &n) >= 0 && __builtin_add_overflow(sum, n, &sum))
                        return UINT64_MAX;
        return sum;
}

static int print_releases(const GatewayCtl *c, json_t *releases) {
        static const char *const columns[] = { "VERSION",  "PRODUCT",  "ARCH", "FLOOR",
                                               "REQUIRES", "IMPORTED", NULL };
        static const char *const wide[] = { "VERSION",  "PRODUCT",  "ARCH", "FLOOR", "REQUIRES",
                                            "IMPORTED", "SEVERITY", "SIZE", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        char size[CLI_BYTES_MAX];
        json_t *release;
        size_t i;
        int r;

        r = cli_table_new(&t, c->output == OUTPUT_WIDE ? wide : columns);
        if (r < 0)
                return r;
        json_array_foreach(releases, i, release) {
                _cleanup_free_ char *archs = release_archs(release);

                cli_table_add(t, CLI_BOLD, json_text(release, "version"));
                cli_table_add(t, CLI_PLAIN, json_text(release, "product"));
                cli_table_add(t, CLI_PLAIN, archs);
                cli_table_add(t, CLI_PLAIN, json_text(release, "floor"));
                cli_table_add(t, CLI_PLAIN, json_text(release, "requires"));
                cli_table_add(t, CLI_PLAIN, json_text(release, "imported"));
                if (c->output == OUTPUT_WIDE) {
                        cli_table_add(t, CLI_PLAIN, json_text(release, "severity"));
                        cli_table_add(t, CLI_PLAIN, cli_format_bytes(release_size(release), size));
                }
        }
        return cli_table_print(t, !c->no_legend);
}

CliExit gatewayctl_release_list(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *answer = NULL;
        json_t *releases, *release;
        CliExit code;
        size_t i;
        int r;

        code = api_call(c, "GET", "/api/v1/releases", NULL, &answer);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON)
                return print_json(c, answer);
        releases = json_object_get(answer, "releases");
        if (c->output == OUTPUT_NAME) {
                json_array_foreach(releases, i, release)
                        cli_print("%s", json_text(release, "version"));
                return CLI_OK;
        }
        r = print_releases(c, releases);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the releases: %s", strerror(-r)) : CLI_OK;
}

/* ---- import --------------------------------------------------------------------------------------------
 */

typedef struct Import {
        GatewayCtl *c;
        int dir_fd; /* of the repository */
        char *id;   /* the gateway's */
        uint64_t metadata_max, target_max;
        char **files; /* below the repository: "metadata/1.root.json" */
        unsigned sent, skipped;
} Import;

static void import_done(Import *x) {
        (void) fd_close(x->dir_fd);
        strv_free(x->files);
        free(x->id);
}

/* Collects regular files below path. What is neither a plain name nor a file or directory is not part of a
 * repository, and is said rather than sent. */
static CliExit collect(Import *x, const char *path, unsigned depth) {
        _cleanup_strv_free_ char **names = NULL;
        int r;

        if (depth > DEPTH_MAX)
                return cli_fail(CLI_ERROR, "%s: more than %u directories deep; is this a repository?", path,
                                DEPTH_MAX);
        r = dir_list_at(x->dir_fd, path, &names);
        if (r < 0)
                return cli_fail(CLI_ERROR,
                                "Cannot read the directory \"%s\" of the repository: %s. "
                                "\"fleet-release publish\" makes metadata/ and targets/.",
                                path, strerror(-r));
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *full = strjoinf("%s/%s", path, *name);
                struct stat st;
                CliExit code;

                if (!full || fstatat(x->dir_fd, full, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return cli_fail(CLI_ERROR, "Cannot look at \"%s/%s\".", path, *name);
                if (!filename_is_plain(*name) || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
                        cli_note("Leaving out \"%s\": not part of a repository.", full);
                        continue;
                }
                if (S_ISDIR(st.st_mode)) {
                        code = collect(x, full, depth + 1);
                        if (code != CLI_OK)
                                return code;
                } else if (strv_length(x->files) >= FILES_MAX || strv_consume(&x->files, TAKE_PTR(full)) < 0)
                        return cli_fail(CLI_ERROR, "There are too many files in \"%s\".", path);
        }
        return CLI_OK;
}

static CliExit send_file(Import *x, const char *file) {
        bool is_target = startswith(file, "targets/");
        _cleanup_free_ char *path = NULL;
        _cleanup_free_ void *data = NULL;
        char text[CLI_BYTES_MAX];
        CliExit code;
        size_t size;
        int r;

        if (is_target) { /* the name holds the hash: what is there need not be sent */
                _cleanup_free_ char *served = strjoinf("/tuf/%s", file);
                bool exists;

                code = served ? api_exists(x->c, served, &exists) : cli_fail(CLI_ERROR, "Out of memory.");
                if (code != CLI_OK)
                        return code;
                if (exists) {
                        x->skipped++;
                        return CLI_OK;
                }
        }
        r = file_read_at(x->dir_fd, file, is_target ? x->target_max : x->metadata_max, &data, &size);
        if (r == -EFBIG)
                return cli_fail(CLI_ERROR, "%s is larger than the gateway takes (%s).", file,
                                cli_format_bytes(is_target ? x->target_max : x->metadata_max, text));
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read %s: %s", file, strerror(-r));

        path = strjoinf("/api/v1/imports/%s/files/%s", x->id, file);
        if (!path)
                return cli_fail(CLI_ERROR, "Out of memory.");
        if (is_target && isatty(STDERR_FILENO))
                cli_note("Sending %s (%s)", file, cli_format_bytes(size, text));
        code = api_put(x->c, path, data, size);
        x->sent += code == CLI_OK;
        return code;
}

static CliExit import_begin(Import *x) {
        _cleanup_json_ json_t *answer = NULL;
        const char *id;
        CliExit code;

        code = api_call(x->c, "POST", "/api/v1/imports", NULL, &answer);
        if (code != CLI_OK)
                return code;
        id = json_text(answer, "id");
        if (!filename_is_plain(id))
                return cli_fail(CLI_ERROR, "The gateway's answer names no import.");
        x->id = strdup(id);
        if (!x->id)
                return cli_fail(CLI_ERROR, "Out of memory.");
        if (json_get_u64(answer, "max_metadata_bytes", &x->metadata_max) < 0)
                x->metadata_max = METADATA_MAX_DEFAULT;
        if (json_get_u64(answer, "max_target_bytes", &x->target_max) < 0)
                x->target_max = TARGET_MAX_DEFAULT;
        return CLI_OK;
}

static CliExit import_send(Import *x) {
        STRV_FOREACH(file, x->files) {
                CliExit code = send_file(x, *file);

                if (code != CLI_OK)
                        return code;
        }
        return CLI_OK;
}

static CliExit import_commit(Import *x) {
        _cleanup_free_ char *path = NULL, *names = NULL;
        _cleanup_json_ json_t *answer = NULL;
        json_t *imported, *v;
        CliExit code;
        size_t i;

        path = strjoinf("/api/v1/imports/%s/commit", x->id);
        code = path ? api_call(x->c, "POST", path, NULL, &answer) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code != CLI_OK)
                return code;
        cli_note("%u files sent, %u were there already.", x->sent, x->skipped);
        if (x->c->output == OUTPUT_JSON)
                return print_json(x->c, answer);

        imported = json_object_get(answer, "imported");
        if (x->c->output == OUTPUT_NAME) {
                json_array_foreach(imported, i, v)
                        cli_print("%s", strempty(json_string_value(v)));
                return CLI_OK;
        }
        names = join_names(imported, ", ");
        if (isempty(names))
                cli_print("Nothing new: the gateway knows these releases. The metadata is renewed.");
        else
                cli_print("Imported %s.", names);
        return CLI_OK;
}

CliExit gatewayctl_release_import(char *const *arguments, void *userdata) {
        _cleanup_(import_done) Import x = { .c = userdata, .dir_fd = -EBADF };
        CliExit code;

        x.dir_fd = open(arguments[0], O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (x.dir_fd < 0)
                return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_ERROR,
                                "Cannot open the repository \"%s\": %s", arguments[0], strerror(errno));
        code = collect(&x, "targets", 0);
        if (code == CLI_OK)
                code = collect(&x, "metadata", 0);
        if (code == CLI_OK)
                code = import_begin(&x);
        if (code != CLI_OK)
                return code;

        code = import_send(&x);
        if (code == CLI_OK)
                return import_commit(&x);

        /* what was begun is not left lying about; that it fails as well says nothing new */
        _cleanup_free_ char *path = strjoinf("/api/v1/imports/%s", x.id);
        if (path && code != CLI_AUTH)
                (void) api_call(x.c, "DELETE", path, NULL, NULL);
        return code;
}
