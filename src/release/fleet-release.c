/* SPDX-License-Identifier: Apache-2.0 */

/* fleet-release: makes and signs the repository of releases. Meant for machines that are offline or close to
 * it: the gateway never runs this. */

#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>

#include "crypto.h"
#include "daemon.h"
#include "log.h"
#include "release-options.h"

static int (*const verbs[_VERB_MAX])(const Options *o) = {
        [VERB_KEY] = verb_key,
        [VERB_INIT] = verb_init,
        [VERB_ROTATE] = verb_rotate,
        [VERB_ADD] = verb_add,
        [VERB_RENEW] = verb_renew,
        [VERB_SIGN] = verb_sign,
        [VERB_REVIEW] = verb_review,
        [VERB_PUBLISH] = verb_publish,
        [VERB_TIMESTAMP] = verb_timestamp,
        [VERB_VERIFY] = verb_verify,
        [VERB_LIST] = verb_list,
};

static int help(void) {
        printf("fleet-release [--repo DIRECTORY] VERB ...\n"
               "\n"
               "Make and sign a repository of releases of the agent.\n"
               "\n"
               "  key new FILE [--unprotected] [--passphrase-file FILE]   a key pair: FILE and FILE.pub\n"
               "  key show FILE...                                        the ids of keys\n"
               "  init --key FILE | --ROLE-key FILE...                    a new repository and its first root\n"
               "       [--ROLE-threshold N] [--root-expires SPAN] [--targets-expires SPAN]\n"
               "  add FILE... --version V --arch A [--os linux] [--requires V] [--floor V]\n"
               "       [--requires-packaging N] [--severity WORD] [--expires SPAN]   stage a release\n"
               "  renew targets [--expires SPAN]                          stage the same releases with a later expiry\n"
               "  rotate [--ROLE-key FILE...] [--ROLE-threshold N]        stage the next root\n"
               "  review                                                  what is staged, and who has to sign\n"
               "  sign [root|targets] --key FILE...                       add signatures to what is staged\n"
               "  publish --key FILE...                                   sign snapshot and timestamp; publish what is staged\n"
               "  timestamp --key FILE [--expires SPAN]                   renew the timestamp (for a timer)\n"
               "  list                                                    the published releases\n"
               "  verify [--root FILE]                                    what a new agent would accept\n"
               "\n"
               "ROLE is root, targets, snapshot or timestamp; SPAN is like 7d or 12h. Protected keys ask for their\n"
               "passphrase, or take it from --passphrase-file FILE. On a terminal you are asked before anything is\n"
               "signed, unless you say --yes.\n"
               "\n"
               "See fleet-release(1).\n");
        return 0;
}

static int run(int argc, char *argv[]) {
        _cleanup_(options_done) Options o = {};

        int r = options_parse(argc, argv, &o);
        if (r != 0)
                return r;
        if (o.help)
                return help();
        return verbs[o.verb](&o);
}

int main(int argc, char *argv[]) {
        (void) setlocale(LC_CTYPE, "");
        log_setup("fleet-release");
        umask(0022);
        (void) setvbuf(stdout, NULL, _IOLBF, 0); /* in order with what goes to standard error */

        if (crypto_init() < 0) {
                log_error("The cryptographic library does not work on this machine.");
                return EXIT_FAILURE;
        }
        if (daemon_protect_memory() < 0)
                log_warning("Cannot protect this process against core dumps, ignoring.");

        int r = run(argc, argv);
        return r < 0 ? EXIT_FAILURE : r;
}
