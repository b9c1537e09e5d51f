/* SPDX-License-Identifier: Apache-2.0 */

#include "cli.h"

#include <fcntl.h>
#include <unistd.h>

#include "cli-table.h"
#include "fd-util.h"
#include "string-util.h"
#include "tests.h"

enum { OPTION_NAME, OPTION_FORCE, OPTION_FAR = 64, OPTION_LAST = 127 };

typedef struct Seen {
        const char *verb, *name;
        unsigned n_arguments, n_far;
        bool force;
        CliExit answer;
} Seen;

static CliExit seen_run(Seen *s, const char *verb, char *const *arguments) {
        s->verb = verb;
        s->n_arguments = (unsigned) strv_length(arguments);
        return s->answer;
}
static CliExit run_list(char *const *a, void *userdata) {
        return seen_run(userdata, "things list", a);
}
static CliExit run_show(char *const *a, void *userdata) {
        return seen_run(userdata, "things show", a);
}
static CliExit run_go(char *const *a, void *userdata) {
        return seen_run(userdata, "go", a);
}

static int on_option(unsigned id, const char *value, void *userdata, const char **reterr_why) {
        Seen *s = userdata;

        if (id == OPTION_FORCE)
                s->force = true;
        else if (id == OPTION_FAR)
                s->n_far++;
        else if (streq(value, "bad")) {
                *reterr_why = "bad is bad";
                return -EINVAL;
        } else
                s->name = value;
        return 0;
}

static const CliVerb verbs[] = {
        { "things list", NULL, 0, 0, 0, run_list, "List" },
        { "things show", "ID", 1, 1, 0, run_show, "Show" },
        { "go", "[A] [B]", 0, 2, CLI_BIT(OPTION_FORCE), run_go, "Go", CLI_MORE(OPTION_FAR) | CLI_MORE(OPTION_LAST) },
        { 0 },
};
static const CliOption options[] = {
        { OPTION_NAME, 'n', "name", "NAME", "A name" },
        { OPTION_FORCE, 0, "force", NULL, "Force" },
        { OPTION_FAR, 'f', "far", NULL, "Far" },
        { OPTION_LAST, 0, "last", "TEXT", "Last" },
        { 0 },
};
static const CliProgram program = {
        .name = "test-cli",
        .summary = "A test.",
        .verbs = verbs,
        .options = options,
        .common = CLI_BIT(OPTION_NAME),
        .on_option = on_option,
};

static CliExit run_alone(void *userdata) {
        Seen *s = userdata;
        s->verb = "alone";
        return s->answer;
}

static const CliProgram without_verbs = {
        .name = "test-cli",
        .summary = "A test.",
        .options = options,
        .on_option = on_option,
        .run = run_alone,
};
static const CliProgram *tested = &program;

/* Standard output and error of what ran last. */
static char *out, *err;

static char *slurp(int fd) {
        void *p;
        size_t n;

        assert_se(lseek(fd, 0, SEEK_SET) == 0);
        assert_ok(fd_read_all(fd, MIB(1), &p, &n));
        close(fd);
        return p;
}

static int redirect(int fd, int *ret_old) {
        int temporary = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        assert_se(temporary >= 0);
        *ret_old = dup(fd);
        assert_se(*ret_old >= 0 && dup2(temporary, fd) == fd);
        return temporary;
}

static void restore(int fd, int old) {
        assert_se(dup2(old, fd) == fd);
        close(old);
}

#define CAPTURE(code)                                                                                       \
        do {                                                                                                \
                int _o_, _e_;                                                                               \
                fflush(stdout);                                                                             \
                int _fo_ = redirect(1, &_o_), _fe_ = redirect(2, &_e_);                                     \
                code;                                                                                       \
                fflush(stdout);                                                                             \
                fflush(stderr);                                                                             \
                restore(1, _o_);                                                                            \
                restore(2, _e_);                                                                            \
                free(out);                                                                                  \
                free(err);                                                                                  \
                out = slurp(_fo_);                                                                          \
                err = slurp(_fe_);                                                                          \
        } while (false)

static int run(Seen *s, const char *line) {
        char *argv[16] = { (char *) "test-cli" };
        _cleanup_strv_free_ char **words = NULL;
        int argc = 1, code = -1;

        *s = (Seen){ .answer = s->answer };
        assert_ok(strv_split(line, " ", &words));
        STRV_FOREACH(w, words)
                argv[argc++] = *w;
        CAPTURE(code = cli_main(tested, argc, argv, s));
        if (s->name)
                s->name = streq(s->name, "x") ? "x" : "other"; /* argv goes away */
        return code;
}

static void test_verbs(void) {
        Seen s = { 0 };

        assert_se(run(&s, "things list") == CLI_OK);
        assert_streq(s.verb, "things list");
        assert_se(run(&s, "things show 1 --name=x") == CLI_OK);
        assert_streq(s.verb, "things show");
        assert_streq(s.name, "x");
        assert_se(s.n_arguments == 1);
        assert_se(run(&s, "-n x things show --force") == CLI_USAGE && !s.verb); /* argument missing */
        assert_se(run(&s, "things show 1 --force") == CLI_USAGE && !s.verb);
        assert_se(strstr(err, "--force does not go with \"things show\""));
        assert_se(run(&s, "go a b --force") == CLI_OK && s.force && s.n_arguments == 2);
        assert_se(run(&s, "go -- --force") == CLI_OK && !s.force && s.n_arguments == 1);
        assert_se(run(&s, "-f go --far --last=x -f") == CLI_OK && s.n_far == 3 && streq(s.name, "x") && !s.force);
        assert_se(run(&s, "things show 1 --far") == CLI_USAGE && !s.verb);
        assert_se(strstr(err, "--far does not go with \"things show\""));

        assert_se(run(&s, "things") == CLI_USAGE);
        assert_se(strstr(err, "wants one of: list, show"));
        assert_se(run(&s, "things lost") == CLI_USAGE);
        assert_se(run(&s, "thing list") == CLI_USAGE);
        assert_se(strstr(err, "no command \"thing\""));
        assert_se(run(&s, "") == CLI_USAGE);
        assert_se(run(&s, "go a b c") == CLI_USAGE && !s.verb);
        assert_se(run(&s, "go --nonsense") == CLI_USAGE && !s.verb);
        assert_se(run(&s, "go --name=bad") == CLI_USAGE && !s.verb);
        assert_se(strstr(err, "--name=bad: bad is bad."));
        assert_streq(out, "");

        s.answer = CLI_CONFLICT;
        assert_se(run(&s, "go") == CLI_CONFLICT);
}

static void test_help(void) {
        Seen s = { 0 };

        assert_se(run(&s, "--help") == CLI_OK && !s.verb);
        assert_se(strstr(out, "things show ID") && strstr(out, "-n, --name=NAME") &&
                  strstr(out, "Exit status"));
        assert_streq(err, "");
        assert_se(run(&s, "go -h") == CLI_OK && !s.verb);
        assert_se(strstr(out, "--force") && strstr(out, "--last=TEXT"));
        assert_se(run(&s, "things list -h") == CLI_OK);
        assert_se(!strstr(out, "--force") && !strstr(out, "--far") && strstr(out, "--name"));
        assert_se(run(&s, "--version") == CLI_OK && startswith(out, "test-cli "));
}

static void test_without_verbs(void) {
        Seen s = { .answer = CLI_CONFLICT };

        tested = &without_verbs;
        assert_se(run(&s, "--name=x --force") == CLI_CONFLICT);
        assert_streq(s.verb, "alone");
        assert_se(s.force && streq(s.name, "x"));
        assert_se(run(&s, "go") == CLI_USAGE && !s.verb && strstr(err, "options alone"));
        assert_se(run(&s, "--name=bad") == CLI_USAGE && !s.verb && strstr(err, "--name=bad: bad is bad."));
        assert_se(run(&s, "--nonsense") == CLI_USAGE && !s.verb);
        assert_se(run(&s, "--help") == CLI_OK && !s.verb);
        assert_se(startswith(out, "test-cli [OPTIONS]\n") && strstr(out, "--force"));
        assert_se(!strstr(out, "COMMAND") && !strstr(out, "Commands") && !strstr(out, "Exit status"));
        assert_se(run(&s, "--version") == CLI_OK && startswith(out, "test-cli "));
        tested = &program;
}

static void test_messages(void) {
        CliExit code = CLI_OK;
        int asked = 0;

        CAPTURE(code = cli_fail(CLI_AUTH, "evil \x1b[31m%s", "text\n"));
        assert_se(code == CLI_AUTH);
        assert_streq(err, "test-cli: evil \\x1b[31mtext\\x0a\n");
        CAPTURE(cli_print("a\tb"));
        assert_streq(out, "a\\x09b\n");
        CAPTURE(asked = cli_confirm("Really?"));
        assert_error(asked, ENOTTY);
        assert_streq(err, "");
}

static void test_table(void) {
        static const char *const columns[] = { "ID", "STATE", "NOTE", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL, *f = NULL;
        int r = 0;

        assert_ok(cli_table_new(&t, columns));
        cli_table_add(t, CLI_PLAIN, "größe");
        cli_table_add(t, CLI_GOOD, "online");
        cli_table_add(t, CLI_PLAIN, NULL);
        cli_table_addf(t, CLI_PLAIN, "%u", 17U);
        cli_table_add(t, CLI_BAD, "x");
        cli_table_add(t, CLI_PLAIN, "\x1b]0;title\a");
        CAPTURE(r = cli_table_print(t, true));
        assert_ok(r);
        assert_streq(out, "ID     STATE   NOTE\ngröße  online  -\n17     x       \\x1b]0;title\\x07\n");
        CAPTURE(r = cli_table_print(t, false));
        assert_streq(out, "größe  online  -\n17     x       \\x1b]0;title\\x07\n");
        CAPTURE(r = cli_table_print_to(t, false, stderr));
        assert_streq(err, "größe  online  -\n17     x       \\x1b]0;title\\x07\n");
        assert_streq(out, "");
        cli_table_add(t, CLI_PLAIN, "half a row");
        assert_error(cli_table_print(t, true), EINVAL);

        assert_ok(cli_table_new_fields(&f));
        cli_table_field(f, "Version", CLI_PLAIN, "1.0.0");
        cli_table_field(f, "Nothing", CLI_PLAIN, "");
        cli_table_field(f, "Id", CLI_GOOD, "abc");
        assert_se(setenv("CLICOLOR_FORCE", "1", 1) == 0);
        CAPTURE(r = cli_table_print(f, true));
        assert_streq(out, "Version: 1.0.0\n     Id: \x1b[32mabc\x1b[0m\n");
        assert_se(setenv("NO_COLOR", "1", 1) == 0);
        CAPTURE(r = cli_table_print(f, true));
        assert_streq(out, "Version: 1.0.0\n     Id: abc\n");
        assert_se(unsetenv("NO_COLOR") == 0 && unsetenv("CLICOLOR_FORCE") == 0);
        CAPTURE(r = cli_table_print(f, true));
        assert_se(!strchr(out, '\x1b'));
}

static void test_json(void) {
        _cleanup_json_ json_t *v = NULL;
        int r = 0;

        assert_se(cli_json_from_string("short") == CLI_JSON_SHORT &&
                  cli_json_from_string("pretty") == CLI_JSON_PRETTY);
        assert_se(cli_json_from_string("off") == CLI_JSON_OFF &&
                  cli_json_from_string("Short") == _CLI_JSON_INVALID);

        v = json_pack("{s:s}", "a", "\x1b[m \x7f \xc2\x9b ä");
        assert_se(v);
        CAPTURE(r = cli_json_print(v, CLI_JSON_SHORT));
        assert_ok(r);
        assert_streq(out, "{\"a\":\"\\u001B[m \\u007F \\u009B ä\"}\n");
        CAPTURE(r = cli_json_print(v, CLI_JSON_PRETTY));
        assert_streq(out, "{\n  \"a\": \"\\u001B[m \\u007F \\u009B ä\"\n}\n");
}

static void test_formats(void) {
        char buf[CLI_TIME_MAX], b[CLI_BYTES_MAX];
        usec_t t = 1795523696 * USEC_PER_SEC; /* 2026-11-24 12:34:56 */

        assert_streq(cli_format_time(t, t + 192 * USEC_PER_SEC, buf),
                     "2026-11-24 12:34:56 UTC (3min 12s ago)");
        assert_streq(cli_format_time(t, t - 60 * USEC_PER_SEC, buf), "2026-11-24 12:34:56 UTC (in 1min)");
        assert_streq(cli_format_time(t, t + 999999, buf), "2026-11-24 12:34:56 UTC (now)");
        assert_streq(cli_format_time(0, t, buf), "n/a");
        assert_streq(cli_format_bytes(1023, b), "1023B");
        assert_streq(cli_format_bytes(1024, b), "1.0K");
        assert_streq(cli_format_bytes(12 * 1024 * 1024 + 512 * 1024, b), "12.5M");
        assert_se(cli_format_bytes(UINT64_MAX, b));
}

int main(void) {
        assert_se(unsetenv("NO_COLOR") == 0 && unsetenv("CLICOLOR_FORCE") == 0 &&
                  unsetenv("SYSTEMD_COLORS") == 0);
        test_verbs();
        test_help();
        test_without_verbs();
        test_messages();
        test_table();
        test_json();
        test_formats();
        free(out);
        free(err);
        return 0;
}
