/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-install.h"

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "messages.h"
#include "string-util.h"
#include "updater-agent.h"
#include "updater-apply.h"
#include "updater-denylist.h"
#include "updater-mend.h"
#include "updater-policy.h"
#include "updater-self-test.h"
#include "updater-stage.h"
#include "updater-transaction.h"
#include "updater-verify.h"
#include "version.h"

#define LOCK_PATIENCE USEC_PER_SEC                         /* for one who only looks, such as a rollback with nothing to do */
#define SHOWN_MAX 200U

struct Install {
        Updater *updater;
        sd_bus *bus;
        int lock;
        Transaction *transaction;
        SignedRelease *release;
        Stage *stage;
        SelfTest *self_test;
        sd_event_source *copy_source;
        install_on_finish_t on_finish;
        void *userdata;
};

/* For functions with these two outputs. */
#define refuse(verdict, ...)                                    \
        ({                                                      \
                *reterr_verdict = (verdict);                    \
                *reterr_message = strjoinf(__VA_ARGS__);        \
                *reterr_message ? 1 : -ENOMEM;                  \
        })

/* The lock, and a state in which a transaction may begin. *ret_current: what runs. */
static int begin(
                Updater *u, int *ret_lock, char **ret_current, UpdateVerdict *reterr_verdict, char **reterr_message) {

        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_links_ Links links = {};
        _cleanup_close_ int lock = -EBADF;
        char boot_id[TRANSACTION_ID_MAX];
        Situation s;
        int r;

        r = updater_root_lock(u->root, LOCK_PATIENCE, &lock);
        if (r == -EBUSY)
                return refuse(UPDATE_VERDICT_BUSY, "Another update is in progress.");
        if (r < 0)
                return r;
        r = updater_mend(u, UPDATER_SERVE); /* ends of what was cut off */
        if (r < 0)
                return r;
        r = updater_look(u, UPDATER_SERVE, &links, &t, boot_id, &s);
        if (r < 0)
                return r;
        if (links_differ(&links) || t || s.record_damaged)
                return refuse(UPDATE_VERDICT_BUSY, "Another update is open; it ends by itself.");
        if (!links.current || !s.good_usable)
                return refuse(UPDATE_VERDICT_INTERNAL, "The links in %s are broken; start fleet-agent-recover.service.",
                              u->root->bin_path);
        *ret_lock = TAKE_FD(lock);
        *ret_current = TAKE_PTR(links.current);
        return 0;
}

static int denied_for(Updater *u, const char *digest, bool retry, usec_t *ret) {
        _cleanup_(denylist_freep) Denylist *d = NULL;
        usec_t realtime = now(CLOCK_REALTIME);

        int r = denylist_load(u->root, &d);
        if (r < 0)
                return r;
        if (retry) {
                r = denylist_lift(d, digest, realtime);
                if (r > 0) {
                        log_notice("An operator's retry lifts the refusal of this build.");
                        r = denylist_save(u->root, d);
                        if (r < 0)
                                return r;
                }
        }
        *ret = denylist_remaining(d, digest, realtime);
        return 0;
}

static int check(
                Updater *u, const SignedRelease *release, const char *current, bool retry,
                UpdateVerdict *reterr_verdict, char **reterr_message) {

        _cleanup_free_ char *floor = NULL, *pin = NULL, *message = NULL;
        MachineFacts m = { .current = current, .disk_reserve = u->conf.disk_reserve };
        int r;

        r = floor_load(u->root, &floor);
        if (r < 0)
                return log_error_errno(r, "Cannot read the floor: %m");
        r = pin_load(u->root, &pin);
        m.pin_unreadable = r < 0;
        r = package_generation_load(u->root, &m.packaging);
        if (r < 0)
                log_debug_errno(r, "The package does not tell its generation, taking 0: %m");
        r = denied_for(u, release->digest, retry, &m.denied_usec);
        if (r < 0)
                return r;
        r = fs_free_bytes(u->root->bin_fd, &m.disk_free);
        if (r < 0)
                return r;
        m.floor = floor;
        m.pin = pin;

        UpdateVerdict v = release_check(release, &m, &message);
        return v == UPDATE_VERDICT_NONE ? 0 : refuse(v, "%s", strempty(message));
}

static const SignedFile *signed_file(const SignedRelease *r, const char *path, const char **ret_name) {
        if (streq(path, r->agent.path)) {
                *ret_name = "agent";
                return &r->agent;
        }
        *ret_name = "updater";
        return streq(path, r->updater.path) ? &r->updater : NULL;
}

/* Escaped, and no longer than fits into a message; not cut within a character. */
static char *shown(const char *s) {
        char *e = string_escape(s);
        if (e && strlen(e) > SHOWN_MAX) {
                size_t n = SHOWN_MAX;

                while (n > 0 && ((uint8_t) e[n] & 0xc0) == 0x80)
                        n--;
                e[n] = 0;
        }
        return e;
}

static int add_targets(
                Install *i, const InstallRequest *q, UpdateVerdict *reterr_verdict, char **reterr_message) {

        for (size_t k = 0; k < q->n_targets; k++) {
                const char *name, *path = q->targets[k].path;
                const SignedFile *f = signed_file(i->release, path, &name);
                if (!f) {
                        _cleanup_free_ char *text = shown(path);
                        return refuse(UPDATE_VERDICT_NOT_FOR_US, "Target '%s' is not part of version %s for this machine.",
                                      strna(text), q->version);
                }

                int r = stage_add(i->stage, name, q->targets[k].fd, f->length, f->sha256);
                if (IN_SET(r, -EBADF, -EISDIR, -ENOTSUP))
                        return refuse(UPDATE_VERDICT_VERIFICATION_FAILED, "The descriptor for '%s' is not a regular file.", path);
                if (r == -EFBIG)
                        return refuse(UPDATE_VERDICT_VERIFICATION_FAILED, "'%s' does not have the length that was signed.", path);
                if (r == -EEXIST)
                        return refuse(UPDATE_VERDICT_VERIFICATION_FAILED, "'%s' was handed over twice.", path);
                if (r < 0)
                        return r;
        }
        if (q->n_targets < INSTALL_TARGETS_MAX)
                return refuse(UPDATE_VERDICT_VERIFICATION_FAILED, "Version %s consists of agent and updater; both are needed.",
                              q->version);
        return 0;
}

static void install_fail(Install *i, UpdateVerdict verdict, const char *message) {
        /* before the record is closed, so that a full disk has room for the result */
        i->stage = stage_free(i->stage);
        (void) transaction_close_failed(i->updater, i->transaction, verdict, message);
        i->on_finish(i, i->userdata);
}

static void install_fail_errno(Install *i, int error, const char *what) {
        UpdateVerdict v = errno_is_disk_space(error) ? UPDATE_VERDICT_DISK_FULL : UPDATE_VERDICT_INTERNAL;
        char message[512];

        snprintf(message, sizeof(message), "%s: %s", what, strerror(-error));
        install_fail(i, v, message);
}

static void install_launch(Install *i) {
        Transaction *t = i->transaction;
        Updater *u = i->updater;
        int r;

        r = stage_publish(i->stage);
        if (r < 0)
                return install_fail_errno(i, r, "The new version could not be put in place");
        log_event(LOG_NOTICE, FLEET_MESSAGE_STAGED_STR, "MESSAGE=Version %s is in place and has passed its self-test.",
                  t->to, "FLEET_VERSION=%s", t->to, "FLEET_TRANSACTION=%s", t->id, NULL);

        t->staged = true;
        t->deadline_usec = usec_add(now(CLOCK_BOOTTIME), u->conf.confirm_timeout_usec);
        r = transaction_save(u->root, t);
        if (r < 0)
                return install_fail_errno(i, r, "The transaction's record could not be written");
        r = apply_launch(u, t->deadline_usec);
        if (r < 0)
                return install_fail_errno(i, r, "PID 1 did not start the trial");
        i->on_finish(i, i->userdata);
}

static void on_self_test(SelfTest *t, int result, void *userdata) {
        Install *i = userdata;

        i->self_test = self_test_free(i->self_test);
        if (result > 0)
                install_launch(i);
        else if (result == 0)
                install_fail(i, UPDATE_VERDICT_SELF_TEST_FAILED,
                             "The new binaries did not pass their self-test here; the journal of fleet-agent-self-test.service says why.");
        else
                install_fail(i, UPDATE_VERDICT_INTERNAL,
                             "The self-test could not be run on this machine; the journal of fleet-agent-self-test.service says why.");
}

static int on_copy(sd_event_source *source, void *userdata) {
        Install *i = userdata;

        int r = stage_step(i->stage);
        if (r > 0)
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT); /* the loop may do other things first */
        if (r == -EBADMSG) {
                _cleanup_free_ char *message = strjoinf("%s.", strna(stage_problem(i->stage)));
                install_fail(i, UPDATE_VERDICT_VERIFICATION_FAILED, message);
                return 0;
        }
        if (r < 0) {
                install_fail_errno(i, r, "The new version could not be copied");
                return 0;
        }
        r = self_test_start(
                        &i->self_test, i->updater, i->bus,
                        &(SelfTestUnit) { .directory = stage_path(i->stage), .version = i->transaction->to },
                        on_self_test, i);
        if (r < 0)
                install_fail_errno(i, r, "The self-test could not be started");
        return 0;
}

static int install_prepare(
                Install *i, const InstallRequest *q, UpdateVerdict *reterr_verdict, char **reterr_message) {

        _cleanup_free_ char *current = NULL;
        Updater *u = i->updater;
        int r;

        r = begin(u, &i->lock, &current, reterr_verdict, reterr_message);
        if (r != 0)
                return r;
        r = release_verify(u->root, q->metadata, q->version, &i->release, reterr_verdict, reterr_message);
        if (r != 0)
                return r;
        r = check(u, i->release, current, q->retry, reterr_verdict, reterr_message);
        if (r != 0)
                return r;
        r = transaction_new(&i->transaction, u->root, TRANSACTION_INSTALL, current, q->version, q->instruction);
        if (r < 0)
                return r;
        memcpy(i->transaction->digest, i->release->digest, sizeof(i->transaction->digest));
        if (i->release->floor) {
                i->transaction->floor = strdup(i->release->floor);
                if (!i->transaction->floor)
                        return -ENOMEM;
        }
        r = stage_new(&i->stage, u->root, q->version);
        if (r < 0)
                return r;
        return add_targets(i, q, reterr_verdict, reterr_message);
}

int install_start(
                Install **ret, Updater *u, sd_bus *bus, const InstallRequest *q, install_on_finish_t on_finish,
                void *userdata, UpdateVerdict *reterr_verdict, char **reterr_message) {

        _cleanup_(install_freep) Install *i = new0(Install, 1);
        int r;
        if (!i)
                return -ENOMEM;

        *i = (Install) { .updater = u, .bus = bus, .lock = -EBADF, .on_finish = on_finish, .userdata = userdata };
        r = install_prepare(i, q, reterr_verdict, reterr_message);
        if (r < 0 && errno_is_disk_space(r))
                return refuse(UPDATE_VERDICT_DISK_FULL, "The disk is full.");
        if (r != 0)
                return r;

        r = sd_event_add_defer(sd_bus_get_event(bus), &i->copy_source, on_copy, i);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(i->copy_source, "install-copy");
        r = sd_event_source_set_priority(i->copy_source, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;

        /* from here on it is a transaction: should this process die, the record tells that it did not succeed */
        r = transaction_save(u->root, i->transaction);
        if (r < 0)
                return errno_is_disk_space(r) ? refuse(UPDATE_VERDICT_DISK_FULL, "The disk is full.") : r;
        *ret = TAKE_PTR(i);
        return 0;
}

Install *install_free(Install *i) {
        if (!i)
                return NULL;
        sd_event_source_disable_unref(i->copy_source);
        self_test_free(i->self_test);
        stage_free(i->stage);
        signed_release_free(i->release);
        transaction_free(i->transaction);
        (void) fd_close(i->lock);
        free(i);
        return NULL;
}

const char *install_transaction(const Install *i) {
        return i->transaction->id;
}

static int rollback_check(
                Updater *u, const char *version, const char *current, UpdateVerdict *reterr_verdict,
                char **reterr_message) {

        _cleanup_free_ char *floor = NULL, *pin = NULL;
        int r;

        if (streq(version, current))
                return refuse(UPDATE_VERDICT_DOWNGRADE, "Version %s runs already.", version);
        if (!version_is_usable(u->root->bin_fd, version))
                return refuse(UPDATE_VERDICT_NOT_FOUND, "Version %s is not on this machine any more. \"fleet-agentctl versions\" lists those that are.",
                              version);
        r = floor_load(u->root, &floor);
        if (r < 0)
                return log_error_errno(r, "Cannot read the floor: %m");
        if (!floor_allows(floor, version))
                return refuse(UPDATE_VERDICT_BELOW_FLOOR, "Version %s is older than %s, below which nothing may run here.",
                              version, floor);
        r = pin_load(u->root, &pin);
        if (r < 0 || (pin && !streq(pin, version)))
                return refuse(UPDATE_VERDICT_PINNED, "This machine's owner holds it at version %s. Unpin it first.", strna(pin));
        return 0;
}

/* Which version? A gateway in foreign hands shall not choose from all that lies here. */
static int rollback_target(
                Updater *u, const RollbackRequest *q, char **ret, UpdateVerdict *reterr_verdict,
                char **reterr_message) {

        _cleanup_free_ char *previous = NULL;
        int r;

        if (q->remote && !u->conf.remote_rollback)
                return refuse(UPDATE_VERDICT_PINNED,
                              "This machine's owner lets nobody send it back from afar "
                              "(RemoteRollback= in updater.conf).");
        if (q->remote || isempty(q->version)) {
                r = previous_load(u->root, &previous);
                if (r < 0)
                        return r;
                if (!previous)
                        return refuse(UPDATE_VERDICT_NOT_FOUND, "There is no previous version to go back to.");
        }
        if (q->remote && !isempty(q->version) && !streq(q->version, previous))
                return refuse(UPDATE_VERDICT_NOT_FOUND,
                              "Version %s is not the one that ran here before, which is %s.", q->version,
                              previous);
        *ret = previous ? TAKE_PTR(previous) : strdup(q->version);
        return *ret ? 0 : -ENOMEM;
}

int rollback_start(
                Updater *u, const RollbackRequest *q, char ret[static TRANSACTION_ID_MAX],
                UpdateVerdict *reterr_verdict, char **reterr_message) {

        _cleanup_free_ char *current = NULL, *version = NULL;
        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_close_ int lock = -EBADF;
        int r;

        r = begin(u, &lock, &current, reterr_verdict, reterr_message);
        if (r == 0)
                r = rollback_target(u, q, &version, reterr_verdict, reterr_message);
        if (r == 0)
                r = rollback_check(u, version, current, reterr_verdict, reterr_message);
        if (r != 0)
                return r;

        r = transaction_new(&t, u->root, TRANSACTION_ROLLBACK, current, version, q->instruction);
        if (r < 0)
                return r;
        /* somebody who goes back because the gateway cannot be reached must not be brought forward again for that */
        t->need_connection = agent_is_connected();
        t->staged = true;
        t->deadline_usec = usec_add(now(CLOCK_BOOTTIME), u->conf.confirm_timeout_usec);
        r = transaction_save(u->root, t);
        if (r < 0)
                return r;
        r = apply_launch(u, t->deadline_usec);
        if (r < 0) {
                (void) transaction_close_failed(u, t, UPDATE_VERDICT_INTERNAL, "PID 1 did not start the trial.");
                return r;
        }
        memcpy(ret, t->id, sizeof(t->id));
        return 0;
}
