/* SPDX-License-Identifier: Apache-2.0 */

#include "updater.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-event.h>

#include "alloc-util.h"
#include "crypto.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "tuf-metadata.h"
#include "updater-adopt.h"
#include "updater-apply.h"
#include "updater-rollback.h"
#include "updater-serve.h"
#include "version.h"

int updater_new(Updater **ret, const char *prefix) {
        _cleanup_(updater_freep) Updater *u = new0(Updater, 1);
        if (!u)
                return log_oom();

        int r = updater_root_open(&u->root, prefix);
        if (r < 0)
                return r;
        r = updater_conf_load(u->root->conf_path, &u->conf);
        if (r < 0)
                return log_error_errno(r, "Failed to load %s: %m", u->root->conf_path);
        *ret = TAKE_PTR(u);
        return 0;
}

Updater *updater_free(Updater *u) {
        if (!u)
                return NULL;
        units_free(u->units);
        updater_root_free(u->root);
        free(u);
        return NULL;
}

/* What can be found out of this binary on this machine without touching anything. */
static int self_test(Updater *u) {
        _cleanup_(sd_event_unrefp) sd_event *e = NULL;
        const char *wanted = getenv(FLEET_SELF_TEST_VERSION);
        _cleanup_free_ char *why = NULL;

        if (!version_is_valid(fleet_version))
                return log_error_errno(-EINVAL, "'%s', which was built in, is not a version.", fleet_version);
        if (wanted && !streq(wanted, fleet_version))
                return log_error_errno(
                                -EINVAL, "This is version %s, but it was signed as %s.", fleet_version, wanted);
        int r = sd_event_new(&e);
        if (r < 0)
                return log_error_errno(r, "Cannot make an event loop: %m");
        if (fleet_trusted_root_size > 0) {
                _cleanup_(tuf_metadata_freep) TufMetadata *root = NULL;

                r = tuf_metadata_parse(TUF_ROLE_ROOT, fleet_trusted_root, fleet_trusted_root_size, &root, &why);
                if (r != 0)
                        return log_error_errno(
                                        r < 0 ? r : -EBADMSG, "The trusted root that was built in cannot be used: %s", strna(why));
        }
        printf("fleet-agent updater %s: ok%s\n", fleet_version,
               fleet_trusted_root_size > 0 ? "" : " (without a trusted root: takes no updates)");
        return 0;
}

static const struct {
        const char *name;
        int (*run)(Updater *u);
        bool with_machine;                                 /* opens directories, configuration and PID 1 */
        const char *help;
} verbs[] = {
        { "serve", updater_serve, true, "Answer on the bus as org.fleetagent.Updater1 until idle" },
        { "apply", updater_apply, true, "Try the staged version, then commit or go back" },
        { "settle", updater_settle, true, "Clean up after apply, however it ended" },
        { "rollback", updater_rollback, true, "Go back from an open trial, or help a failed agent up" },
        { "recover", updater_recover, true, "At boot: go back from an update that was cut off" },
        { "adopt", updater_adopt, true, "Take over the packaged version" },
        { "--self-test", self_test, false, "Check this binary and exit" },
};

static int help(void) {
        printf("updater VERB\n\n"
               "Switches the version of the fleet agent on this machine. Run by systemd units and by the package;\n"
               "people use fleet-agentctl.\n\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                printf("  %-12s  %s\n", verbs[i].name, verbs[i].help);
        printf("  %-12s  %s\n  %-12s  %s\n\nSee fleet-agent-updater.service(8).\n", "--version", "Print the version",
               "--help", "Print this");
        return EXIT_SUCCESS;
}

static int run_on_machine(int (*run)(Updater *u)) {
        _cleanup_(updater_freep) Updater *u = NULL;

        int r = updater_new(&u, "");
        if (r < 0)
                return r;
        if (!getenv("FLEET_LOG_LEVEL"))
                log_set_max_level(u->conf.log_level);
        r = units_open(&u->units);
        if (r < 0)
                log_notice_errno(r, "Cannot reach PID 1, going on without: %m");
        return run(u);
}

int updater_run(int argc, char *argv[]) {
        log_setup("fleet-agent-updater");
        (void) umask(0022);

        if (argc == 2 && streq(argv[1], "--help"))
                return help();
        if (argc == 2 && streq(argv[1], "--version")) {
                printf("%s\n", fleet_version);
                return EXIT_SUCCESS;
        }
        for (size_t i = 0; argc == 2 && i < ELEMENTSOF(verbs); i++) {
                if (!streq(argv[1], verbs[i].name))
                        continue;
                int r = crypto_init();
                if (r < 0)
                        return log_error_errno(r, "Failed to initialise cryptography: %m"), EXIT_FAILURE;
                r = verbs[i].with_machine ? run_on_machine(verbs[i].run) : verbs[i].run(NULL);
                return r == -EBUSY ? EX_TEMPFAIL : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        log_error("Expected exactly one verb. See \"updater --help\".");
        return 2;
}
