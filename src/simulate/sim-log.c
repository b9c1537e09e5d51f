/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "alloc-util.h"
#include "cli.h"
#include "errno-util.h"
#include "fd-util.h"
#include "string-util.h"
#include "version.h"

#define LINE_MAX_BYTES 1024U

struct SimLog {
        int fd;
        bool failed; /* said once */
};

int sim_log_new(SimLog **ret, const char *path) {
        *ret = NULL;
        if (!path)
                return 0;
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
        if (fd < 0)
                return negative_errno();
        SimLog *l = new0(SimLog, 1);
        if (!l) {
                fd_close(fd);
                return -ENOMEM;
        }
        l->fd = fd;
        *ret = l;
        return 0;
}

SimLog *sim_log_free(SimLog *l) {
        if (l) {
                fd_close(l->fd);
                free(l);
        }
        return NULL;
}

/* Everything that is put in is ours, or was checked to be of harmless characters. */
static void log_line(SimLog *l, const SimMachine *m, const char *event, const char *format, ...)
                _printf_(4, 5);
static void log_line(SimLog *l, const SimMachine *m, const char *event, const char *format, ...) {
        char line[LINE_MAX_BYTES];
        va_list ap;

        if (!l)
                return;
        int n =
                        snprintf(line, sizeof(line),
                                 "{\"event\":\"%s\",\"time\":" USEC_FMT ",\"boottime\":" USEC_FMT
                                 ",\"number\":%" PRIu32 ",\"agent\":\"%s\"",
                                 event, now(CLOCK_REALTIME), now(CLOCK_BOOTTIME), m->number, m->id);
        va_start(ap, format);
        n += vsnprintf(line + n, sizeof(line) - (size_t) n, format, ap);
        va_end(ap);
        if ((size_t) n + 2 > sizeof(line))
                return;
        memcpy(line + n, "}\n", 2);
        int r = fd_write_all(l->fd, line, (size_t) n + 2);
        if (r < 0 && !l->failed) {
                l->failed = true;
                cli_note("Cannot write to the log, going on without: %s.", strerror(-r));
        }
}

static const char *checked_version(const char *version) {
        return version_is_valid(version) ? version : "";
}

static const char *checked_id(const char *id) {
        return update_id_is_valid(id) ? id : "";
}

void sim_log_instruction(SimLog *l, const SimMachine *m, const Instruction *i, const char *what) {
        log_line(l, m, "instruction", ",\"id\":\"%s\",\"version\":\"%s\",\"decision\":\"%s\"",
                 checked_id(i->id), checked_version(i->version), what);
}

void sim_log_status(SimLog *l, const SimMachine *m, const UpdateRecord *u, bool progress) {
        if (progress)
                return;
        log_line(l, m, "status",
                 ",\"id\":\"%s\",\"version\":\"%s\",\"phase\":\"%s\",\"verdict\":\"%s\","
                 "\"failed_phase\":\"%s\",\"sequence\":%" PRIu64,
                 checked_id(u->instruction), checked_version(u->to), update_phase_to_string(u->phase),
                 u->verdict == UPDATE_VERDICT_NONE ? "" : update_verdict_to_string(u->verdict),
                 strempty(update_phase_to_string(u->failed_phase)), u->sequence);
}

void sim_log_acknowledged(SimLog *l, const SimMachine *m, const char *instruction) {
        log_line(l, m, "acknowledged", ",\"id\":\"%s\"", checked_id(instruction));
}

void sim_log_machine(
                SimLog *l,
                const SimMachine *m,
                const char *event,
                const char *version,
                const char *instruction) {
        log_line(l, m, event, ",\"id\":\"%s\",\"version\":\"%s\"", checked_id(instruction),
                 checked_version(version));
}

void sim_log_session(SimLog *l, const SimMachine *m, bool begun) {
        log_line(l, m, "session", ",\"state\":\"%s\"", begun ? "begun" : "ended");
}
