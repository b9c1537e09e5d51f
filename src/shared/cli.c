/* SPDX-License-Identifier: Apache-2.0 */

#include "cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <unistd.h>

#include "alloc-util.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"
#include "version.h"

#define VERB_WORDS_MAX 3U
#define OPTIONS_MAX 128U /* one bit each */
#define OPTION_HELP 1000
#define OPTION_VERSION 1001
#define OPTION_FIRST 2000

static const char *program_name = "cli";

static void _printf_(3, 0) print_escaped(FILE *f, const char *prefix, const char *format, va_list ap) {
        _cleanup_free_ char *text = NULL, *safe = NULL;

        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        safe = text ? string_escape(text) : NULL;
        fprintf(f, "%s%s%s\n", strempty(prefix), prefix ? ": " : "", safe ?: "Out of memory.");
}

CliExit cli_fail(CliExit code, const char *format, ...) {
        va_list ap;

        /* what was printed before stays before it when both go to one file */
        (void) fflush(stdout);
        va_start(ap, format);
        print_escaped(stderr, program_name, format, ap);
        va_end(ap);
        return code;
}

void cli_note(const char *format, ...) {
        va_list ap;

        (void) fflush(stdout);
        va_start(ap, format);
        print_escaped(stderr, NULL, format, ap);
        va_end(ap);
}

void cli_print(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        print_escaped(stdout, NULL, format, ap);
        va_end(ap);
}

int cli_confirm(const char *format, ...) {
        _cleanup_free_ char *text = NULL, *safe = NULL, *line = NULL;
        size_t allocated = 0;
        va_list ap;
        int r;

        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return -ENOTTY;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        safe = string_escape(text);
        if (!safe)
                return -ENOMEM;

        fprintf(stderr, "%s [y/N] ", safe);
        (void) fflush(stderr);
        if (getline(&line, &allocated, stdin) < 0) {
                fputc('\n', stderr);
                return 0;
        }
        string_strip(line);
        return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

CliJson cli_json_from_string(const char *s) {
        return streq(s, "off")    ? CLI_JSON_OFF :
               streq(s, "short")  ? CLI_JSON_SHORT :
               streq(s, "pretty") ? CLI_JSON_PRETTY :
                                    _CLI_JSON_INVALID;
}

static bool colors_wanted(FILE *f) {
        const char *e;

        if (!isempty(getenv("NO_COLOR")))
                return false;
        e = getenv("SYSTEMD_COLORS");
        if (!isempty(e))
                return parse_boolean(e) != 0;
        e = getenv("CLICOLOR_FORCE");
        if (!isempty(e) && !streq(e, "0"))
                return true;
        return isatty(fileno(f)) && !streq(strempty(getenv("TERM")), "dumb");
}

const char *cli_on(CliStyle s, FILE *f) {
        static const char *const sequences[_CLI_STYLE_MAX] = {
                [CLI_PLAIN] = "",        [CLI_BOLD] = "\x1b[1m",  [CLI_DIM] = "\x1b[2m",
                [CLI_GOOD] = "\x1b[32m", [CLI_BUSY] = "\x1b[33m", [CLI_BAD] = "\x1b[1;31m",
        };

        return s != CLI_PLAIN && colors_wanted(f) ? sequences[s] : "";
}

const char *cli_off(CliStyle s, FILE *f) {
        return s != CLI_PLAIN && colors_wanted(f) ? "\x1b[0m" : "";
}

const char *cli_format_time(usec_t realtime, usec_t now_realtime, char buf[static CLI_TIME_MAX]) {
        char when[RFC3339_MAX], span[TIMESPAN_MAX];
        usec_t distance;

        if (realtime == 0 || realtime == USEC_INFINITY)
                return strcpy(buf, "n/a");
        rfc3339_format(realtime, when);
        /* whole seconds are enough for people */
        distance = realtime > now_realtime ? realtime - now_realtime : now_realtime - realtime;
        distance -= distance % USEC_PER_SEC;
        if (distance < USEC_PER_SEC) {
                snprintf(buf, CLI_TIME_MAX, "%.10s %.8s UTC (now)", when, strlen(when) >= 19 ? when + 11 : "");
                return buf;
        }
        timespan_format(distance, span);
        snprintf(buf, CLI_TIME_MAX, "%.10s %.8s UTC (%s%s%s)", when, strlen(when) >= 19 ? when + 11 : "",
                 realtime > now_realtime ? "in " : "", span, realtime > now_realtime ? "" : " ago");
        return buf;
}

const char *cli_format_bytes(uint64_t n, char buf[static CLI_BYTES_MAX]) {
        static const char units[] = "BKMGTPE";
        unsigned u = 0;
        uint64_t tenths = 0;

        while (n >= 1024 && u < ELEMENTSOF(units) - 2) {
                tenths = (n % 1024) * 10 / 1024;
                n /= 1024;
                u++;
        }
        if (u == 0)
                snprintf(buf, CLI_BYTES_MAX, "%" PRIu64 "B", n);
        else
                snprintf(buf, CLI_BYTES_MAX, "%" PRIu64 ".%" PRIu64 "%c", n, tenths, units[u]);
        return buf;
}

static const CliOption *option_by_name(const CliProgram *p, const char *name) {
        for (const CliOption *o = p->options; o->name; o++)
                if (streq(o->name, name))
                        return o;
        return NULL;
}

/* ---- help ----------------------------------------------------------------------------------------------
 */

static void print_option(const CliOption *o) {
        _cleanup_free_ char *left = NULL;

        left = strjoinf("%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ?: ' ', o->letter ? "," : " ",
                        o->name, o->value ? "=" : "", strempty(o->value));
        printf("  %-28s  %s\n", strempty(left), o->help);
}

static void print_verb(const CliVerb *v) {
        _cleanup_free_ char *left = NULL;

        left = strjoinf("%s%s%s", v->name, v->arguments ? " " : "", strempty(v->arguments));
        printf("  %-28s  %s\n", strempty(left), v->help);
}

static void print_help(const CliProgram *p) {
        printf("%s [OPTIONS]%s\n\n%s\n", p->name, p->verbs ? " COMMAND" : "", p->summary);
        if (p->verbs)
                printf("\nCommands:\n");
        for (const CliVerb *v = p->verbs; v && v->name; v++)
                print_verb(v);
        printf("\nOptions:\n");
        for (const CliOption *o = p->options; o->name; o++)
                print_option(o);
        print_option(&(CliOption){ .letter = 'h', .name = "help", .help = "This text" });
        if (!option_by_name(p, "version"))
                print_option(&(CliOption){ .name = "version", .help = "The version of this program" });
        if (p->verbs)
                printf("\nExit status: 0 done, 1 error, 2 wrong command line or declined, 3 not found, 4 not allowed,\n"
                       "5 conflict, 6 timeout, 7 an update failed, went back, or was stopped by itself.\n");
        if (p->footer)
                printf("\n%s", p->footer);
}

static bool verb_accepts(const CliProgram *p, const CliVerb *v, const CliOption *o) {
        return o->id < 64 ? (v->options | p->common) & CLI_BIT(o->id) : v->more & CLI_MORE(o->id);
}

static void print_verb_help(const CliProgram *p, const CliVerb *v) {
        printf("%s %s%s%s\n\n%s.\n\nOptions:\n", p->name, v->name, v->arguments ? " " : "",
               strempty(v->arguments), v->help);
        for (const CliOption *o = p->options; o->name; o++)
                if (verb_accepts(p, v, o))
                        print_option(o);
}

/* ---- parsing -------------------------------------------------------------------------------------------
 */

typedef struct Given {
        const CliOption *option;
        const char *value;
} Given;

typedef struct CommandLine {
        Given *given; /* room for argc */
        size_t n_given;
        bool help, version;
        char **words; /* points into argv */
} CommandLine;

static const CliOption *option_by_id(const CliProgram *p, unsigned id) {
        for (const CliOption *o = p->options; o->name; o++)
                if (o->id == id)
                        return o;
        return NULL;
}

static const CliOption *option_by_letter(const CliProgram *p, int letter) {
        for (const CliOption *o = p->options; o->name; o++)
                if (o->letter && o->letter == letter)
                        return o;
        return NULL;
}

/* getopt's tables from ours. */
static void build_getopt(const CliProgram *p, struct option longs[], char shorts[]) {
        size_t n = 0, k = 0;

        shorts[k++] = 'h';
        longs[n++] = (struct option){ "help", no_argument, NULL, OPTION_HELP };
        if (!option_by_name(p, "version"))
                longs[n++] = (struct option){ "version", no_argument, NULL, OPTION_VERSION };
        for (const CliOption *o = p->options; o->name && n < OPTIONS_MAX + 1; o++) {
                longs[n++] = (struct option){
                        o->name,
                        o->value ? required_argument : no_argument,
                        NULL,
                        OPTION_FIRST + (int) o->id,
                };
                if (o->letter) {
                        shorts[k++] = o->letter;
                        if (o->value)
                                shorts[k++] = ':';
                }
        }
        longs[n] = (struct option){ 0 };
        shorts[k] = '\0';
}

static int parse_options(const CliProgram *p, int argc, char *argv[], CommandLine *ret) {
        struct option longs[OPTIONS_MAX + 3];
        char shorts[2 * OPTIONS_MAX + 4];
        const CliOption *o;
        int c;

        build_getopt(p, longs, shorts);
        optind = 0;
        argv[0] = (char *) p->name;          /* what getopt calls us, wherever we are */
        while ((c = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
                if (c == 'h' || c == OPTION_HELP) {
                        ret->help = true;
                        continue;
                }
                if (c == OPTION_VERSION) {
                        ret->version = true;
                        continue;
                }
                o = c >= OPTION_FIRST ? option_by_id(p, (unsigned) (c - OPTION_FIRST)) :
                                        option_by_letter(p, c);
                if (!o) {                    /* getopt has said what is wrong */
                        cli_note("\"%s --help\" lists the options.", p->name);
                        return -EINVAL;
                }
                ret->given[ret->n_given++] = (Given){ o, optarg };
        }
        ret->words = argv + optind;
        return 0;
}

/* How many leading words are the verb's name; 0 if they are not. */
static size_t verb_match(const CliVerb *v, char *const *words) {
        const char *s = v->name;
        size_t n = 0;

        for (; *s; n++) {
                size_t length = strcspn(s, " ");

                if (!words[n] || strlen(words[n]) != length || memcmp(words[n], s, length) != 0)
                        return 0;
                s += length;
                s += strspn(s, " ");
        }
        return n;
}

static const CliVerb *verb_find(const CliProgram *p, char *const *words, size_t *ret_words) {
        for (const CliVerb *v = p->verbs; v->name; v++) {
                size_t n = verb_match(v, words);

                if (n > 0) {
                        *ret_words = n;
                        return v;
                }
        }
        return NULL;
}

static CliExit fail_unknown_verb(const CliProgram *p, char *const *words) {
        _cleanup_free_ char *group = NULL;

        if (!words[0])
                return cli_fail(CLI_USAGE, "A command is missing. \"%s --help\" lists them.", p->name);

        /* "agent" or "agent lost": say what there is after "agent" */
        for (const CliVerb *v = p->verbs; v->name; v++) {
                const char *rest = startswith(v->name, words[0]);

                if (!rest || *rest != ' ')
                        continue;
                char *longer = strjoinf("%s%s%s", strempty(group), group ? ", " : "", rest + 1);
                free(group);
                group = longer;
        }
        if (group)
                return cli_fail(CLI_USAGE, "\"%s\" wants one of: %s.", words[0], group);
        return cli_fail(CLI_USAGE, "There is no command \"%s\". \"%s --help\" lists them.", words[0],
                        p->name);
}

static CliExit
check_verb(const CliProgram *p, const CliVerb *v, char *const *arguments, const CommandLine *line) {
        size_t n = strv_length(arguments);

        if (n < v->min_arguments || n > v->max_arguments)
                return cli_fail(CLI_USAGE, "\"%s\" wants %s %s, not %zu. Usage: %s %s%s%s", v->name,
                                v->max_arguments == 0 ? "no" :
                                v->min_arguments == v->max_arguments ?
                                                        (v->max_arguments == 1 ? "one" : "more") :
                                                        "other",
                                v->max_arguments == 1 ? "argument" : "arguments", n, p->name, v->name,
                                v->arguments ? " " : "", strempty(v->arguments));

        for (size_t i = 0; i < line->n_given; i++)
                if (!verb_accepts(p, v, line->given[i].option))
                        return cli_fail(CLI_USAGE, "--%s does not go with \"%s\".",
                                        line->given[i].option->name, v->name);
        return CLI_OK;
}

static CliExit give_options(const CliProgram *p, const CommandLine *line, void *userdata) {
        for (size_t i = 0; i < line->n_given; i++) {
                const Given *g = line->given + i;
                const char *why = "not understood";

                if (p->on_option(g->option->id, g->value, userdata, &why) < 0)
                        return cli_fail(CLI_USAGE, "--%s%s%s: %s.", g->option->name, g->value ? "=" : "",
                                        strempty(g->value), why);
        }
        return CLI_OK;
}

static CliExit run_without_verbs(const CliProgram *p, const CommandLine *line, void *userdata) {
        CliExit code;

        if (line->help) {
                print_help(p);
                return CLI_OK;
        }
        if (line->words[0])
                return cli_fail(CLI_USAGE, "%s takes options alone, not \"%s\". \"%s --help\" lists them.",
                                p->name, line->words[0], p->name);
        code = give_options(p, line, userdata);
        return code == CLI_OK ? p->run(userdata) : code;
}

static CliExit run_command_line(const CliProgram *p, int argc, char *argv[], void *userdata) {
        _cleanup_free_ Given *given = new0(Given, (size_t) argc);
        CommandLine line = { .given = given };
        const CliVerb *v;
        size_t n_words = 0;
        CliExit code;

        if (!given)
                return cli_fail(CLI_ERROR, "Out of memory.");
        /* alone it is always this question, also where a verb has an option of the same name */
        if (argc == 2 && streq(argv[1], "--version"))
                line.version = true;
        else if (parse_options(p, argc, argv, &line) < 0)
                return CLI_USAGE;
        if (line.version) {
                printf("%s %s\n", p->name, fleet_version);
                return CLI_OK;
        }

        if (!p->verbs)
                return run_without_verbs(p, &line, userdata);
        v = verb_find(p, line.words, &n_words);
        if (line.help) {
                if (v)
                        print_verb_help(p, v);
                else
                        print_help(p);
                return CLI_OK;
        }
        if (!v)
                return fail_unknown_verb(p, line.words);
        code = check_verb(p, v, line.words + n_words, &line);
        if (code != CLI_OK)
                return code;

        code = give_options(p, &line, userdata);
        if (code != CLI_OK)
                return code;
        return v->run(line.words + n_words, userdata);
}

int cli_main(const CliProgram *p, int argc, char *argv[], void *userdata) {
        CliExit code;

        program_name = p->name;
        log_setup(p->name);
        code = run_command_line(p, argc, argv, userdata);
        if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK)
                code = cli_fail(CLI_ERROR, "Could not write to standard output: %s", strerror(errno));
        return (int) code;
}
