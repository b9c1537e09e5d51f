/* SPDX-License-Identifier: Apache-2.0 */

/* backup: everything that is nowhere but on the gateway, as one archive: a copy of its database, which it
 * makes and sends, and from its state directory the CA, its own certificate, the admin's token, and the
 * metadata that it has verified. The CA's key never goes over the network: who wants it in the archive must
 * be allowed to read the state directory. */

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "crypto.h"
#include "errno-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "gatewayctl.h"
#include "parse-util.h"
#include "string-util.h"
#include "tar.h"

#define STATE_DIRECTORY "/var/lib/fleet-gateway"
#define FILE_MAX MIB(64)
#define DEPTH_MAX 4U
#define COPY_TIMEOUT (30 * USEC_PER_MINUTE) /* until the first byte */
#define IDLE_TIMEOUT USEC_PER_MINUTE        /* between two */
#define MAGIC "SQLite format 3"

/* In this order: the database is not newer than what comes after it. */
static const struct {
        const char *name;
        bool required;
} state_files[] = {
        { "ca.pem", true },      { "ca.key", true },       { "server.pem", false },
        { "server.key", false }, { "admin.token", false },
};

typedef struct Backup {
        GatewayCtl *c;
        int state_fd; /* -EBADF: of the database alone */
        int out_fd;
        usec_t time;
        uint64_t written;

        /* the transfer */
        HttpRequest *request;
        sd_event_source *timer;
        uint64_t size, received;
        uint8_t magic[sizeof(MAGIC)]; /* the first bytes */
        bool begun, finished, late;
        int error, local_error; /* local: of ours, while writing */
        unsigned status;
        char *message;
} Backup;

static void backup_done(Backup *b) {
        http_request_free(b->request);
        sd_event_source_disable_unref(b->timer);
        (void) fd_close(b->state_fd);
        free(b->message);
}

/* ---- the archive ---- */

static int put(Backup *b, const void *data, size_t size) {
        int r = fd_write_all(b->out_fd, data, size);

        if (r >= 0)
                b->written += size;
        return r;
}

static int put_header(Backup *b, const char *name, unsigned mode, uint64_t size) {
        uint8_t header[TAR_BLOCK];
        int r = tar_header(header, name, mode, size, b->time);

        return r < 0 ? r : put(b, header, sizeof(header));
}

static int put_padding(Backup *b, uint64_t size) {
        static const uint8_t zeros[TAR_BLOCK];

        return put(b, zeros, tar_padding(size));
}

static int put_end(Backup *b) {
        static const uint8_t zeros[2 * TAR_BLOCK];

        return put(b, zeros, sizeof(zeros));
}

static CliExit fail_write(int error) {
        return cli_fail(CLI_ERROR, "Cannot write the backup: %s", strerror(-error));
}

static CliExit put_file(Backup *b, const char *name, bool required) {
        size_t size;
        void *data;
        int r;

        r = file_read_at(b->state_fd, name, FILE_MAX, &data, &size);
        if (r == -ENOENT && !required)
                return CLI_OK;
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read %s/%s: %s", b->c->backup.state_directory, name,
                                strerror(-r));
        r = put_header(b, name, 0600, size);
        if (r >= 0)
                r = put(b, data, size);
        if (r >= 0)
                r = put_padding(b, size);
        secret_free(data, size);
        return r < 0 ? fail_write(r) : CLI_OK;
}

static CliExit put_tree(Backup *b, const char *path, unsigned depth);

static CliExit put_entry(Backup *b, const char *path, unsigned depth) {
        struct stat st;

        if (fstatat(b->state_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? CLI_OK :
                                         cli_fail(CLI_ERROR, "Cannot look at %s: %s", path, strerror(errno));
        if (S_ISDIR(st.st_mode))
                return put_tree(b, path, depth + 1);
        return S_ISREG(st.st_mode) ? put_file(b, path, /* required= */ false) : CLI_OK;
}

static CliExit put_tree(Backup *b, const char *path, unsigned depth) {
        _cleanup_free_ char *directory = strjoinf("%s/", path);
        _cleanup_strv_free_ char **names = NULL;
        CliExit code = CLI_OK;
        int r;

        r = depth > DEPTH_MAX ? -ELOOP : directory ? dir_list_at(b->state_fd, path, &names) : -ENOMEM;
        if (r == -ENOENT)
                return CLI_OK;
        if (r >= 0)
                r = put_header(b, directory, 0700, 0);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot archive %s/%s: %s", b->c->backup.state_directory, path,
                                strerror(-r));
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *inner = strjoinf("%s/%s", path, *name);

                if (!inner)
                        return cli_fail(CLI_ERROR, "Out of memory.");
                if (code == CLI_OK && filename_is_plain(*name))
                        code = put_entry(b, inner, depth);
        }
        return code;
}

/* trust/ is what of the repository was verified, so that nobody can hand the restored gateway something
 * older. */
static CliExit put_state(Backup *b) {
        CliExit code = CLI_OK;

        for (size_t i = 0; i < ELEMENTSOF(state_files) && code == CLI_OK; i++)
                code = put_file(b, state_files[i].name, state_files[i].required);
        return code == CLI_OK ? put_tree(b, "trust", 0) : code;
}

/* ---- the database ---- */

static int on_late(sd_event_source *source, uint64_t usec, void *userdata) {
        ((Backup *) userdata)->late = true;
        return 0;
}

/* How much will come is said beforehand: the archive's header needs it, and a part is known for what it is.
 */
static int begin(Backup *b, HttpRequest *request) {
        const char *length = http_request_header(request, "Content-Length");
        int r = length ? parse_u64(length, &b->size) : -EBADMSG;

        b->begun = true;
        return r < 0 ? -EBADMSG : put_header(b, "gateway.db", 0600, b->size);
}

static int on_data(HttpRequest *request, const void *data, size_t size, void *userdata) {
        Backup *b = userdata;
        int r = b->begun ? 0 : begin(b, request);

        if (r >= 0 && b->received < sizeof(b->magic))
                memcpy(b->magic + b->received, data, MIN(size, (size_t) (sizeof(b->magic) - b->received)));
        b->received += size;
        if (r >= 0)
                r = put(b, data, size);
        if (r >= 0)
                r = event_timer_arm(b->c->event, &b->timer, IDLE_TIMEOUT, on_late, b, "idle");
        if (r < 0)
                b->local_error = r;
        return r;
}

static void
on_finish(HttpRequest *request, int error, unsigned status, const char *message, void *userdata) {
        Backup *b = userdata;

        b->finished = true;
        b->error = error;
        b->status = status;
        b->message = strdup(message);
}

static int request_copy(Backup *b) {
        _cleanup_strv_free_ char **headers = NULL;
        _cleanup_free_ char *url = NULL;
        int r;

        r = api_url(b->c, "/api/v1/backup", &url);
        if (r >= 0)
                r = api_headers(b->c, NULL, &headers);
        if (r < 0)
                return r;
        r = http_request_start(
                        b->c->http,
                        &(HttpOptions){
                                        .url = url,
                                        .headers = headers,
                                        .ca_pem = b->c->ca_pem,
                                        .max_size = UINT64_MAX,
                                        .connect_timeout = 10 * USEC_PER_SEC,
                                        .low_speed_time = USEC_INFINITY, /* the timer counts */
                                        .on_data = on_data,
                                        .on_finish = on_finish,
                                        .userdata = b,
                        },
                        &b->request);
        memory_wipe(headers[0], strlen(headers[0]));
        return r < 0 ? r : event_timer_arm(b->c->event, &b->timer, COPY_TIMEOUT, on_late, b, "idle");
}

/* What came is judged before anything is made of it. */
static CliExit check_copy(Backup *b) {
        const void *body = NULL;
        size_t size = 0;

        if (b->c->signal)
                return cli_fail(CLI_ERROR, "Interrupted.");
        if (b->local_error < 0 && b->local_error != -EBADMSG)
                return fail_write(b->local_error);
        if (b->late)
                return cli_fail(CLI_ERROR,
                                "The backup came to a standstill after %" PRIu64
                                " bytes; nothing is kept of it.",
                                b->received);
        if (b->error == 0 && b->status != 200)
                body = http_request_body(b->request, &size);
        if (b->local_error == 0 && (b->error < 0 || b->status != 200))
                return api_fail(b->c, b->error, b->status, strempty(b->message), body, size);
        if (b->local_error < 0 || !b->begun || b->received != b->size ||
            memcmp(b->magic, MAGIC, sizeof(MAGIC)) != 0)
                return cli_fail(CLI_ERROR,
                                "What the gateway at %s sent is no database. Is that fleet-agent's gateway?",
                                b->c->gateway);
        return CLI_OK;
}

static CliExit put_database(Backup *b) {
        CliExit code;
        int r;

        r = request_copy(b);
        while (r >= 0 && !b->finished && !b->late && !b->c->signal)
                r = sd_event_run(b->c->event, UINT64_MAX);
        if (r < 0)
                return cli_fail(CLI_ERROR, "The request to %s cannot be made: %s", b->c->gateway,
                                strerror(-r));
        code = check_copy(b);
        if (code != CLI_OK)
                return code;
        r = put_padding(b, b->size);
        return r < 0 ? fail_write(r) : CLI_OK;
}

/* ---- the state directory ---- */

/* Of this gateway, and readable: found out before the gateway makes a copy in vain. */
static CliExit open_state(Backup *b) {
        const char *path = b->c->backup.state_directory;
        _cleanup_free_ void *here = NULL;
        _cleanup_free_ char *there = NULL;
        size_t n;
        CliExit code;
        int r;

        b->state_fd = dir_open_at(AT_FDCWD, path);
        r = b->state_fd < 0 ? b->state_fd : file_read_at(b->state_fd, "ca.pem", FILE_MAX, &here, &n);
        if (r >= 0 && faccessat(b->state_fd, "ca.key", R_OK, 0) < 0)
                r = negative_errno();
        if (r < 0)
                return cli_fail(r == -ENOENT ? CLI_NOT_FOUND : CLI_ERROR,
                                "Cannot read the CA and its key in %s: %s. A whole backup is made on the gateway's own "
                                "machine, as root; anywhere else --database-only leaves out what only its state directory "
                                "has.",
                                path, strerror(-r));
        code = api_get_text(b->c, "/ca.pem", NULL, &there, &n);
        if (code == CLI_OK && !streq(string_strip(here), string_strip(there)))
                code = cli_fail(CLI_CONFLICT,
                                "%s belongs to another gateway than that at %s: their CAs differ. --state-directory= names "
                                "the right one; on another machine say --database-only.",
                                path, b->c->gateway);
        return code;
}

/* ---- the file ---- */

static CliExit check_file(const GatewayCtl *c, const char *path) {
        struct stat st;

        if (streq(path, "-"))
                return isatty(STDOUT_FILENO) ?
                                       cli_fail(CLI_USAGE, "An archive is not written to a terminal.") :
                                       CLI_OK;
        if (lstat(path, &st) < 0)
                return errno == ENOENT ? CLI_OK :
                                         cli_fail(CLI_ERROR, "Cannot look at %s: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode))
                return cli_fail(CLI_USAGE,
                                "%s is there, and no regular file. \"backup -\" writes to standard output.",
                                path);
        if (!c->backup.force)
                return cli_fail(CLI_CONFLICT, "%s is there already; say --force to replace it.", path);
        return CLI_OK;
}

/* Appears whole or not at all, and replaces nothing that has come meanwhile. */
static CliExit settle_file(const Backup *b, const char *temporary, const char *path) {
        _cleanup_free_ char *copy = strdup(path);
        int r;

        if (!copy)
                return cli_fail(CLI_ERROR, "Out of memory.");
        r = RET_NERRNO(fsync(b->out_fd));
        if (r >= 0)
                r = RET_NERRNO(
                                renameat2(AT_FDCWD, temporary, AT_FDCWD, path,
                                          b->c->backup.force ? 0 : RENAME_NOREPLACE));
        if (r == -EINVAL && !b->c->backup.force) /* a file system without that */
                r = access(path, F_OK) == 0 ? -EEXIST : RET_NERRNO(rename(temporary, path));
        if (r >= 0)
                r = dir_fsync_at(AT_FDCWD, dirname(copy));
        return r < 0 ? cli_fail(r == -EEXIST ? CLI_CONFLICT : CLI_ERROR, "Cannot put the backup at %s: %s",
                                path, strerror(-r)) :
                       CLI_OK;
}

static CliExit write_archive(Backup *b) {
        CliExit code;
        int r;

        code = put_database(b);
        if (code == CLI_OK && b->state_fd >= 0)
                code = put_state(b);
        if (code != CLI_OK)
                return code;
        r = put_end(b);
        return r < 0 ? fail_write(r) : CLI_OK;
}

static CliExit write_file(Backup *b, const char *path) {
        _cleanup_free_ char *copy = strdup(path), *base = strdup(path), *temporary = NULL;
        _cleanup_close_ int opened = -EBADF;
        CliExit code;

        if (copy && base)
                temporary = strjoinf("%s/.%s.XXXXXX", dirname(copy), basename(base));
        if (!temporary)
                return cli_fail(CLI_ERROR, "Out of memory.");
        b->out_fd = opened = mkostemp(temporary, O_CLOEXEC); /* 0600 */
        if (opened < 0)
                return cli_fail(CLI_ERROR, "Cannot make a file beside %s: %s", path, strerror(errno));
        code = write_archive(b);
        if (code == CLI_OK)
                code = settle_file(b, temporary, path);
        if (code != CLI_OK)
                (void) unlink(temporary);
        return code;
}

static CliExit report(const Backup *b, const char *path) {
        _cleanup_json_ json_t *v = NULL;
        bool whole = b->state_fd >= 0, is_stdout = streq(path, "-");
        char size[CLI_BYTES_MAX];

        if (is_stdout || b->c->output != OUTPUT_JSON)
                cli_note("Backed up %s%s%s, %s", cli_format_bytes(b->written, size), is_stdout ? "" : " to ",
                         is_stdout ? "" : path,
                         whole ? "with the CA's key: who reads it can pass for the gateway." :
                                 "without the CA and its key, which are needed besides to restore it.");
        if (is_stdout || b->c->output != OUTPUT_JSON)
                return CLI_OK;
        v = json_pack("{s:s, s:I, s:I, s:b}", "file", path, "bytes", (json_int_t) b->written,
                      "database_bytes", (json_int_t) b->size, "keys", whole);
        return v ? print_json(b->c, v) : cli_fail(CLI_ERROR, "Out of memory.");
}

static CliExit backup_run(Backup *b, const char *path) {
        CliExit code;

        code = check_file(b->c, path);
        if (code == CLI_OK)
                code = api_open(b->c);
        if (code == CLI_OK && !b->c->backup.database_only)
                code = open_state(b);
        if (code == CLI_OK && api_catch_signals(b->c) < 0)
                code = cli_fail(CLI_ERROR, "Cannot watch for signals.");
        if (code != CLI_OK)
                return code;
        b->out_fd = STDOUT_FILENO;
        code = streq(path, "-") ? write_archive(b) : write_file(b, path);
        return code == CLI_OK ? report(b, path) : code;
}

CliExit gatewayctl_backup(char *const *arguments, void *userdata) {
        Backup b = { .c = userdata, .state_fd = -EBADF, .out_fd = -EBADF, .time = now(CLOCK_REALTIME) };
        CliExit code;

        if (!b.c->backup.state_directory)
                b.c->backup.state_directory = STATE_DIRECTORY;
        code = backup_run(&b, arguments[0]);
        backup_done(&b);
        return code;
}
