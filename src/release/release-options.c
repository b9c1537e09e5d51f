/* SPDX-License-Identifier: Apache-2.0 */

#include "release-options.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "alloc-util.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"

#define EXPIRES_MAX (3650 * USEC_PER_DAY)

static const char *const verb_table[_VERB_MAX] = {
        [VERB_KEY] = "key",
        [VERB_INIT] = "init",
        [VERB_ROTATE] = "rotate",
        [VERB_ADD] = "add",
        [VERB_RENEW] = "renew",
        [VERB_SIGN] = "sign",
        [VERB_REVIEW] = "review",
        [VERB_PUBLISH] = "publish",
        [VERB_TIMESTAMP] = "timestamp",
        [VERB_VERIFY] = "verify",
        [VERB_LIST] = "list",
};

const char *verb_to_string(Verb v) {
        return (int) v >= 0 && v < _VERB_MAX ? verb_table[v] : NULL;
}

static Verb verb_from_string(const char *s) {
        for (int i = 0; i < _VERB_MAX; i++)
                if (streq(verb_table[i], s))
                        return (Verb) i;
        return _VERB_INVALID;
}

typedef enum OptionKind {
        OPTION_FLAG, /* bool */
        OPTION_TEXT, /* const char* */
        OPTION_LIST, /* char** */
        OPTION_NUMBER, /* uint64_t, 1 to UINT32_MAX */
        OPTION_SPAN, /* usec_t */
} OptionKind;

#define V(verb) (1U << VERB_##verb)
#define ALL UINT32_MAX
#define ROLES (V(INIT) | V(ROTATE))
#define SIGNING (V(INIT) | V(SIGN) | V(PUBLISH) | V(TIMESTAMP))

static const struct OptionRow {
        const char *name;
        OptionKind kind;
        size_t offset;
        uint32_t verbs;
} option_table[] = {
        { "repo", OPTION_TEXT, offsetof(Options, repo), ALL },
        { "help", OPTION_FLAG, offsetof(Options, help), ALL },
        { "yes", OPTION_FLAG, offsetof(Options, yes), ALL },
        { "key", OPTION_LIST, offsetof(Options, keys), SIGNING },
        { "passphrase-file", OPTION_LIST, offsetof(Options, passphrase_files), SIGNING | V(KEY) },
        { "unprotected", OPTION_FLAG, offsetof(Options, unprotected), V(KEY) },
        { "root-key", OPTION_LIST, offsetof(Options, role_keys[TUF_ROLE_ROOT]), ROLES },
        { "targets-key", OPTION_LIST, offsetof(Options, role_keys[TUF_ROLE_TARGETS]), ROLES },
        { "snapshot-key", OPTION_LIST, offsetof(Options, role_keys[TUF_ROLE_SNAPSHOT]), ROLES },
        { "timestamp-key", OPTION_LIST, offsetof(Options, role_keys[TUF_ROLE_TIMESTAMP]), ROLES },
        { "root-threshold", OPTION_NUMBER, offsetof(Options, thresholds[TUF_ROLE_ROOT]), ROLES },
        { "targets-threshold", OPTION_NUMBER, offsetof(Options, thresholds[TUF_ROLE_TARGETS]), ROLES },
        { "snapshot-threshold", OPTION_NUMBER, offsetof(Options, thresholds[TUF_ROLE_SNAPSHOT]), ROLES },
        { "timestamp-threshold", OPTION_NUMBER, offsetof(Options, thresholds[TUF_ROLE_TIMESTAMP]), ROLES },
        { "root-expires", OPTION_SPAN, offsetof(Options, role_expires[TUF_ROLE_ROOT]), ROLES },
        { "targets-expires", OPTION_SPAN, offsetof(Options, role_expires[TUF_ROLE_TARGETS]),
          V(INIT) | V(ADD) | V(RENEW) },
        { "snapshot-expires", OPTION_SPAN, offsetof(Options, role_expires[TUF_ROLE_SNAPSHOT]), V(PUBLISH) },
        { "timestamp-expires", OPTION_SPAN, offsetof(Options, role_expires[TUF_ROLE_TIMESTAMP]),
          V(PUBLISH) | V(TIMESTAMP) },
        { "expires", OPTION_SPAN, offsetof(Options, expires), V(ROTATE) | V(ADD) | V(RENEW) | V(TIMESTAMP) },
        { "version", OPTION_TEXT, offsetof(Options, version), V(ADD) },
        { "arch", OPTION_TEXT, offsetof(Options, arch), V(ADD) },
        { "os", OPTION_TEXT, offsetof(Options, os), V(ADD) },
        { "product", OPTION_TEXT, offsetof(Options, product), V(ADD) },
        { "requires", OPTION_TEXT, offsetof(Options, requires), V(ADD) },
        { "floor", OPTION_TEXT, offsetof(Options, floor), V(ADD) },
        { "requires-packaging", OPTION_NUMBER, offsetof(Options, requires_packaging), V(ADD) },
        { "severity", OPTION_TEXT, offsetof(Options, severity), V(ADD) },
        { "root", OPTION_TEXT, offsetof(Options, root), V(VERIFY) },
};

void options_done(Options *o) {
        strv_free(o->arguments);
        strv_free(o->keys);
        strv_free(o->passphrase_files);
        for (int role = 0; role < _TUF_ROLE_MAX; role++)
                strv_free(o->role_keys[role]);
}

static int set_option(Options *o, const struct OptionRow *row, const char *value) {
        void *target = (char *) o + row->offset;
        usec_t span;

        switch (row->kind) {
        case OPTION_FLAG:
                *(bool *) target = true;
                return 0;
        case OPTION_TEXT:
                *(const char **) target = value;
                return 0;
        case OPTION_LIST:
                return strv_extend(target, value);
        case OPTION_NUMBER:
                if (parse_u64(value, target) < 0 || *(uint64_t *) target < 1 ||
                    *(uint64_t *) target > UINT32_MAX) {
                        log_error("--%s: '%s' is no number above 0.", row->name, value);
                        return RELEASE_EXIT_USAGE;
                }
                return 0;
        case OPTION_SPAN:
                if (parse_sec(value, &span) < 0 || span < USEC_PER_SEC || span > EXPIRES_MAX) {
                        log_error("--%s: '%s' is no time span from 1s to 3650d, such as 7d or 12h.",
                                  row->name, value);
                        return RELEASE_EXIT_USAGE;
                }
                *(usec_t *) target = span;
                return 0;
        default:
                return -EINVAL;
        }
}

static int parse_rows(int argc, char *argv[], Options *o, uint64_t *ret_seen) {
        struct option long_options[ELEMENTSOF(option_table) + 1] = {};
        uint64_t seen = 0;
        int c, row;

        for (size_t i = 0; i < ELEMENTSOF(option_table); i++)
                long_options[i] = (struct option) {
                        .name = option_table[i].name,
                        .has_arg = option_table[i].kind == OPTION_FLAG ? no_argument : required_argument,
                };

        while ((c = getopt_long(argc, argv, "hy", long_options, &row)) >= 0) {
                if (c == 'h')
                        o->help = true;
                else if (c == 'y')
                        o->yes = true;
                else if (c == 0) {
                        int r = set_option(o, option_table + row, optarg);
                        if (r != 0)
                                return r;
                        seen |= UINT64_C(1) << row;
                } else
                        return RELEASE_EXIT_USAGE; /* getopt said why */
        }
        *ret_seen = seen;
        return 0;
}

int options_parse(int argc, char *argv[], Options *o) {
        uint64_t seen;
        int r;

        *o = (Options) { .repo = ".", .verb = _VERB_INVALID, .os = "linux", .product = "agent" };
        r = parse_rows(argc, argv, o, &seen);
        if (r != 0 || o->help)
                return r;

        if (optind >= argc) {
                log_error("What is to be done? fleet-release --help lists the verbs.");
                return RELEASE_EXIT_USAGE;
        }
        o->verb = verb_from_string(argv[optind]);
        if (o->verb < 0) {
                log_error("There is no verb '%s'; fleet-release --help lists them.", argv[optind]);
                return RELEASE_EXIT_USAGE;
        }
        for (size_t i = 0; i < ELEMENTSOF(option_table); i++)
                if ((seen & UINT64_C(1) << i) && !(option_table[i].verbs & 1U << o->verb)) {
                        log_error("--%s is no option of '%s'.", option_table[i].name,
                                  verb_to_string(o->verb));
                        return RELEASE_EXIT_USAGE;
                }
        for (int i = optind + 1; i < argc; i++) {
                r = strv_extend(&o->arguments, argv[i]);
                if (r < 0)
                        return log_oom();
        }
        return 0;
}

usec_t options_expiry(const Options *o, TufRole role) {
        static const usec_t defaults[_TUF_ROLE_MAX] = {
                [TUF_ROLE_ROOT] = 365 * USEC_PER_DAY,
                [TUF_ROLE_TIMESTAMP] = 7 * USEC_PER_DAY,
                [TUF_ROLE_SNAPSHOT] = 90 * USEC_PER_DAY,
                [TUF_ROLE_TARGETS] = 180 * USEC_PER_DAY,
        };
        usec_t span = o->role_expires[role] ?: o->expires ?: defaults[role];

        return (now(CLOCK_REALTIME) + span + USEC_PER_SEC - 1) / USEC_PER_SEC * USEC_PER_SEC;
}

bool options_confirm(const Options *o, const char *question) {
        char answer[16];

        if (o->yes || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
                return true;
        printf("%s [y/N] ", question);
        fflush(stdout);
        if (!fgets(answer, sizeof(answer), stdin))
                return false;
        string_strip(answer);
        return streq(answer, "y") || streq(answer, "Y") || streq(answer, "yes");
}
