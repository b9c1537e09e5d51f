/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the command lines have in common: verbs and options as tables (help and checks come from them), exit
 * codes, messages, styles. Standard output carries data only; messages, questions and progress go to
 * standard error. Nothing is paged; colour and questions only on a terminal. Text from outside is escaped
 * before it is printed: the functions here do that themselves. Single-threaded. */

#include <stdio.h>

#include "macro.h"
#include "time-util.h"

/* Documented and frozen: scripts depend on them. */
typedef enum CliExit {
        CLI_OK = 0,
        CLI_ERROR = 1,
        CLI_USAGE = 2, /* wrong command line, or the answer to a question was no */
        CLI_NOT_FOUND = 3,
        CLI_AUTH = 4,     /* not allowed, or no valid credentials */
        CLI_CONFLICT = 5, /* the state of things does not allow it */
        CLI_TIMEOUT = 6,  /* the wait ended before the matter did */
        CLI_FAILED = 7,   /* the update failed, went back, or was paused by itself; the audit log is broken */
} CliExit;

typedef struct CliVerb {
        const char *name;      /* one word, or several: "agent list" */
        const char *arguments; /* for help: "[VERSION]"; NULL: none */
        unsigned min_arguments, max_arguments;
        uint64_t options; /* bits of CliOption.id besides CliProgram.common */
        CliExit (*run)(char *const *arguments, void *userdata); /* NULL-terminated, without the verb */
        const char *help;                                       /* one line */
        uint64_t more; /* CLI_MORE() of those with an id of 64 and above */
} CliVerb;

typedef struct CliOption {
        unsigned id; /* 0..63: a bit of CliVerb.options; 64..127: one of CliVerb.more */
        char letter; /* 0: none */
        const char *name;
        const char *value; /* for help: "URL"; NULL: takes none */
        const char *help;
} CliOption;

typedef struct CliProgram {
        const char *name;
        const char *summary;      /* one sentence */
        const CliVerb *verbs;     /* ended by { 0 }; NULL: there are none, and run is what it does */
        const CliOption *options; /* ended by { 0 } */
        uint64_t common;          /* options that every verb takes */
        const char *footer;       /* more for help, or NULL */
        /* 0, or a negative errno with a sentence in *reterr_why (static) */
        int (*on_option)(unsigned id, const char *value, void *userdata, const char **reterr_why);
        CliExit (*run)(void *userdata); /* of a program without verbs; all options go with it */
} CliProgram;

#define CLI_BIT(id) (UINT64_C(1) << (id))
#define CLI_MORE(id) (UINT64_C(1) << ((id) - 64))

/* Parses, runs the verb (or the program), flushes standard output (a full disk is an error), and returns the exit status.
 * --help (-h) and --version (alone, if the program has an option of this name) are understood everywhere. */
int cli_main(const CliProgram *program, int argc, char *argv[], void *userdata);

/* "name: sentence" on standard error; returns the code, so that it can be returned in one line. */
CliExit cli_fail(CliExit code, const char *format, ...) _printf_(2, 3);
void cli_note(const char *format, ...) _printf_(1, 2);  /* a line on standard error */
void cli_print(const char *format, ...) _printf_(1, 2); /* a line on standard output, escaped */

/* Asks on the terminal. 1: yes, 0: no (also on end of input), -ENOTTY when there is nobody to ask. */
int cli_confirm(const char *format, ...) _printf_(1, 2);

/* --json= */
typedef enum CliJson {
        CLI_JSON_OFF,
        CLI_JSON_SHORT, /* one object a line */
        CLI_JSON_PRETTY,
        _CLI_JSON_INVALID = -EINVAL,
} CliJson;
CliJson cli_json_from_string(const char *s);

typedef enum CliStyle {
        CLI_PLAIN,
        CLI_BOLD,
        CLI_DIM,
        CLI_GOOD,
        CLI_BUSY,
        CLI_BAD,
        _CLI_STYLE_MAX,
} CliStyle;

/* Escape sequences for this stream, or "": NO_COLOR, CLICOLOR_FORCE, SYSTEMD_COLORS, TERM=dumb, not a
 * terminal. */
const char *cli_on(CliStyle s, FILE *f);
const char *cli_off(CliStyle s, FILE *f);

/* For people. "2026-11-24 12:34:56 UTC (3min ago)"; "n/a" for 0. */
#define CLI_TIME_MAX 128
const char *cli_format_time(usec_t realtime, usec_t now_realtime, char buf[static CLI_TIME_MAX]);
#define CLI_BYTES_MAX 32
const char *cli_format_bytes(uint64_t n, char buf[static CLI_BYTES_MAX]); /* "12.3M" */
