/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-bus.h"

#include <ctype.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "bus-polkit.h"
#include "bus-util.h"
#include "log.h"
#include "messages.h"
#include "names.h"
#include "string-util.h"
#include "updater-install.h"
#include "updater-links.h"
#include "updater-policy.h"
#include "updater-request.h"
#include "updater-status.h"
#include "version.h"

#define ERROR_PREFIX "org.fleetagent.Error."
#define ACTION_ROLLBACK "org.fleetagent.updater1.rollback"
#define ACTION_PIN "org.fleetagent.updater1.pin"
#define TRANSACTION_PATH_PREFIX FLEET_UPDATER_BUS_PATH "/transaction/"
#define QUESTIONS_MAX 8U
#define DIGESTS_MAX 32U

/* A call that waits for polkit. */
typedef struct Question {
        BusObject *object;
        PolkitCheck *check; /* NULL: this place is free */
} Question;

/* Hashing versions for anybody who asks must not become a way to keep root busy. */
typedef struct KnownDigest {
        struct stat st;
        char digest[SHA256_HEX_MAX];
} KnownDigest;

struct BusObject {
        Updater *updater;
        sd_bus *bus;
        sd_bus_slot *slot;
        BusChanges *changes;
        Status status;
        Install *install;
        Question questions[QUESTIONS_MAX];
        KnownDigest digests[DIGESTS_MAX];
        size_t n_digests;
        void (*on_use)(void *userdata);
        void *userdata;
};

char *verdict_error_name(UpdateVerdict v) {
        const char *s = update_verdict_to_string(v);
        char camel[64];
        size_t n = 0;
        bool upper = true;

        for (; s && *s && n + 1 < sizeof(camel); s++) {
                if (*s == '-') {
                        upper = true;
                        continue;
                }
                camel[n++] = upper ? (char) toupper((unsigned char) *s) : *s;
                upper = false;
        }
        camel[n] = '\0';
        return strjoinf(ERROR_PREFIX "%s", camel);
}

static int
reply_refused(sd_bus_message *m, const char *version, UpdateVerdict verdict, const char *message) {
        _cleanup_free_ char *name = verdict_error_name(verdict);
        if (!name)
                return -ENOMEM;

        log_event(LOG_WARNING, FLEET_MESSAGE_UPDATE_REFUSED_STR, "MESSAGE=Refused version %s: %s", version,
                  message, "FLEET_VERSION=%s", version, "FLEET_VERDICT=%s",
                  update_verdict_to_string(verdict), NULL);
        return sd_bus_reply_method_errorf(m, name, "%s", message);
}

static int reply_failed(sd_bus_message *m, int error, const char *what) {
        log_error_errno(error, "%s: %m", what);
        return sd_bus_reply_method_errorf(m, ERROR_PREFIX "Internal", "%s: %s", what, strerror(-error));
}

static int reply_transaction(sd_bus_message *m, const char *id) {
        _cleanup_free_ char *path = strjoinf(TRANSACTION_PATH_PREFIX "%s", id);
        return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

static void used(BusObject *o) {
        o->on_use(o->userdata);
}

/* --- properties
 * ---------------------------------------------------------------------------------------------- */

static void on_property_changed(const char *property, void *userdata) {
        BusObject *o = userdata;
        (void) bus_changes_add(o->changes, property);
}

void bus_object_refresh(BusObject *o) {
        _cleanup_status_ Status next = {};

        int r = status_read(o->updater->root, &next);
        if (r < 0) {
                log_warning_errno(r, "Failed to read the updater's state: %m");
                return;
        }
        status_compare(&o->status, &next, on_property_changed, o);
        status_done(&o->status);
        o->status = next;
        next = (Status){};
}

bool bus_object_is_busy(const BusObject *o) {
        for (size_t i = 0; i < QUESTIONS_MAX; i++)
                if (o->questions[i].check)
                        return true;
        return o->install || o->status.open;
}

static int
get_text(sd_bus *bus,
         const char *path,
         const char *interface,
         const char *property,
         sd_bus_message *reply,
         void *userdata,
         sd_bus_error *reterr_error) {

        BusObject *o = userdata;
        const Status *s = &o->status;
        const char *v = streq(property, "State")           ? s->state :
                        streq(property, "Transaction")     ? s->transaction :
                        streq(property, "CurrentVersion")  ? s->current :
                        streq(property, "PreviousVersion") ? s->previous :
                        streq(property, "PendingVersion")  ? s->pending :
                        streq(property, "Floor")           ? s->floor :
                        streq(property, "PinnedVersion")   ? s->pinned :
                                                             fleet_version;
        used(o);
        return sd_bus_message_append(reply, "s", strempty(v));
}

static int
get_number(sd_bus *bus,
           const char *path,
           const char *interface,
           const char *property,
           sd_bus_message *reply,
           void *userdata,
           sd_bus_error *reterr_error) {

        BusObject *o = userdata;

        used(o);
        if (streq(property, "Packaging"))
                return sd_bus_message_append(reply, "u", o->status.packaging);
        return sd_bus_message_append(
                        reply, "t",
                        streq(property, "Deadline") ? o->status.deadline_usec : o->status.root_version);
}

/* --- Install
 * --------------------------------------------------------------------------------------------------- */

typedef enum Sender {
        SENDER_OTHER,
        SENDER_ROOT,
        SENDER_AGENT,
} Sender;

static int sender_get(sd_bus_message *m) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;

        int r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);
        if (r < 0)
                return r;
        r = sd_bus_creds_get_euid(creds, &uid);
        if (r < 0)
                return r;
        if (uid == 0)
                return SENDER_ROOT;
        const struct passwd *p = getpwnam(FLEET_AGENT_USER);
        return p && p->pw_uid == uid ? SENDER_AGENT : SENDER_OTHER;
}

static void on_install_finished(Install *i, void *userdata) {
        BusObject *o = userdata;

        o->install = install_free(o->install);
        bus_object_refresh(o);
        used(o);
}

static int method_install(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        _cleanup_(tuf_bytes_freep) TufBytes *metadata = NULL;
        _cleanup_free_ char *message = NULL;
        InstallRequest q = {};
        BusObject *o = userdata;
        UpdateVerdict verdict;
        const char *why;
        int r;

        used(o);
        r = sender_get(m); /* the bus policy lets nobody else through; for a machine whose policy was changed */
        if (r <= SENDER_OTHER)
                return sd_bus_reply_method_errorf(
                                m, SD_BUS_ERROR_ACCESS_DENIED,
                                "Only user " FLEET_AGENT_USER " may install.");
        r = install_request_read(m, &q, &metadata, &why);
        if (r < 0)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "%s", why);
        if (o->install)
                return reply_refused(m, q.version, UPDATE_VERDICT_BUSY, "Another update is in progress.");

        r = install_start(&o->install, o->updater, o->bus, &q, on_install_finished, o, &verdict, &message);
        bus_object_refresh(o); /* also after a refusal: the trusted root may have moved */
        if (r < 0)
                return reply_failed(m, r, "The update could not be begun");
        if (r > 0)
                return reply_refused(m, q.version, verdict, message);
        log_info("Staging version %s.", q.version);
        return reply_transaction(m, install_transaction(o->install));
}

/* --- what needs a person's permission --- */

static int refuse_access(sd_bus_message *m) {
        return sd_bus_reply_method_errorf(
                        m, SD_BUS_ERROR_ACCESS_DENIED, "Not allowed. Ask an administrator of this machine.");
}

static int roll_back(BusObject *o, sd_bus_message *m, bool remote) {
        _cleanup_free_ char *message = NULL;
        char id[TRANSACTION_ID_MAX];
        UpdateVerdict verdict;
        RollbackRequest q;
        const char *why;

        int r = sd_bus_message_rewind(m, true);
        if (r < 0)
                return r;
        r = rollback_request_read(m, &q, &why);
        if (r < 0)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "%s", why);
        /* the agent speaks for the gateway only, and the gateway has said why */
        if (remote && isempty(q.instruction))
                return refuse_access(m);
        q.remote = remote;

        r = rollback_start(o->updater, &q, id, &verdict, &message);
        bus_object_refresh(o);
        if (r < 0)
                return reply_failed(m, r, "Going back could not be begun");
        if (r > 0)
                return reply_refused(m, isempty(q.version) ? "previous" : q.version, verdict, message);
        return reply_transaction(m, id);
}

static int do_rollback(BusObject *o, sd_bus_message *m) {
        return roll_back(o, m, /* remote= */ false);
}

static int do_pin(BusObject *o, sd_bus_message *m) {
        const char *version;

        int r = sd_bus_message_rewind(m, true);
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &version);
        if (r < 0)
                return r;
        if (!version_is_valid(version))
                return sd_bus_reply_method_errorf(
                                m, SD_BUS_ERROR_INVALID_ARGS, "Not a version such as 1.2.0.");
        r = pin_set(o->updater->root, version);
        bus_object_refresh(o);
        if (r < 0)
                return reply_failed(m, r, "The pin could not be written");
        log_notice("This machine is now held at version %s.", version);
        return sd_bus_reply_method_return(m, NULL);
}

static int do_unpin(BusObject *o, sd_bus_message *m) {
        int r = pin_clear(o->updater->root);
        bus_object_refresh(o);
        if (r < 0)
                return reply_failed(m, r, "The pin could not be removed");
        log_notice("This machine is not held at a version any more.");
        return sd_bus_reply_method_return(m, NULL);
}

static const struct {
        const char *member, *action;
        int (*perform)(BusObject *o, sd_bus_message *m);
} privileged[] = {
        { "Rollback", ACTION_ROLLBACK, do_rollback },
        { "Pin", ACTION_PIN, do_pin },
        { "Unpin", ACTION_PIN, do_unpin },
};

static int perform(BusObject *o, sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m);

        for (size_t i = 0; i < ELEMENTSOF(privileged); i++)
                if (streq_ptr(member, privileged[i].member))
                        return privileged[i].perform(o, m);
        return -ENOSYS;
}

static void on_answer(PolkitCheck *c, sd_bus_message *call, int result, void *userdata) {
        Question *q = userdata;
        BusObject *o = q->object;

        used(o);
        int r = result > 0 ? perform(o, call) : refuse_access(call);
        if (r < 0)
                (void) sd_bus_reply_method_errno(call, r, NULL);
        q->check = polkit_check_free(q->check);
}

static int method_privileged(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        const char *member = sd_bus_message_get_member(m), *action = NULL;
        BusObject *o = userdata;
        Question *q = NULL;

        used(o);
        /* in the gateway's name: what that may do says updater.conf, and not polkit */
        if (streq(member, "Rollback") && sender_get(m) == SENDER_AGENT)
                return roll_back(o, m, /* remote= */ true);
        for (size_t i = 0; i < ELEMENTSOF(privileged); i++)
                if (streq(member, privileged[i].member))
                        action = privileged[i].action;
        for (size_t i = 0; i < QUESTIONS_MAX && !q; i++)
                if (!o->questions[i].check)
                        q = o->questions + i;
        if (!q || !action)
                return sd_bus_reply_method_errorf(
                                m, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "Too many calls wait for an answer of polkit.");

        q->object = o;
        int r = polkit_check_start(m, action, on_answer, q, &q->check);
        if (r < 0)
                return refuse_access(m);
        return r > 0 ? perform(o, m) : 1;
}

/* --- reading
 * ------------------------------------------------------------------------------------------------------- */

static int version_digest(BusObject *o, const char *version, char ret[static SHA256_HEX_MAX]) {
        _cleanup_free_ char *path = strjoinf("v%s/agent", version);
        struct stat st;

        ret[0] = '\0';
        if (!path)
                return -ENOMEM;
        if (fstatat(o->updater->root->bin_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        for (size_t i = 0; i < o->n_digests; i++) {
                const KnownDigest *k = o->digests + i;
                if (k->st.st_ino == st.st_ino && k->st.st_size == st.st_size &&
                    k->st.st_mtim.tv_sec == st.st_mtim.tv_sec &&
                    k->st.st_mtim.tv_nsec == st.st_mtim.tv_nsec) {
                        memcpy(ret, k->digest, SHA256_HEX_MAX);
                        return 0;
                }
        }
        if (version_file_digest(o->updater->root->bin_fd, version, "agent", ret) < 0)
                return 0;
        KnownDigest *k = o->digests + o->n_digests++ % DIGESTS_MAX;
        o->n_digests = MIN(o->n_digests, DIGESTS_MAX);
        k->st = st;
        memcpy(k->digest, ret, SHA256_HEX_MAX);
        return 0;
}

static int
append_version(BusObject *o,
               sd_bus_message *reply,
               const char *version,
               const Links *links,
               const char *packaged) {
        const struct {
                const char *name;
                bool applies;
        } flags[] = {
                { "current", streq_ptr(links->current, version) },
                { "good", streq_ptr(links->good, version) },
                { "packaged", streq_ptr(packaged, version) },
                { "previous", streq_ptr(o->status.previous, version) },
        };
        char digest[SHA256_HEX_MAX], text[64] = "";

        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (flags[i].applies) {
                        if (*text)
                                strcat(text, ",");
                        strcat(text, flags[i].name);
                }
        int r = version_digest(o, version, digest);
        return r < 0 ? r : sd_bus_message_append(reply, "(sss)", version, text, digest);
}

static int method_list_versions(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_strv_free_ char **versions = NULL;
        _cleanup_free_ char *packaged = NULL;
        _cleanup_links_ Links links = {};
        BusObject *o = userdata;
        int r;

        used(o);
        r = versions_list(o->updater->root->bin_fd, &versions);
        if (r < 0)
                return r;
        r = links_read(o->updater->root->bin_fd, &links);
        if (r < 0)
                return r;
        (void) package_version_load(o->updater->root, &packaged);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(sss)");
        if (r < 0)
                return r;
        STRV_FOREACH(v, versions) {
                r = append_version(o, reply, *v, &links, packaged);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static int method_get_last_result(sd_bus_message *m, void *userdata, sd_bus_error *reterr_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(state_file_freep) StateFile *s = NULL;
        const char *key, *value;
        BusObject *o = userdata;
        int r;

        used(o);
        r = result_load(o->updater->root, &s);
        if (r < 0 && r != -ENOENT)
                log_warning_errno(r, "The last result cannot be read: %m");
        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "{ss}");
        if (r < 0)
                return r;
        for (size_t i = 0; s && state_file_item(s, i, &key, &value); i++) {
                if (!utf8_is_valid(value, strlen(value)))
                        continue;
                r = sd_bus_message_append(reply, "{ss}", key, value);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

/* Who may call what is decided by the bus policy and by polkit, so everything is open to unprivileged
 * callers here. */
static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS(
                        "Install",
                        SD_BUS_ARGS("s", version, "a(say)", metadata, "a(sh)", targets, "a{sv}", options),
                        SD_BUS_RESULT("o", transaction),
                        method_install,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "Rollback",
                        SD_BUS_ARGS("s", version, "a{sv}", options),
                        SD_BUS_RESULT("o", transaction),
                        method_privileged,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "Pin",
                        SD_BUS_ARGS("s", version),
                        SD_BUS_NO_RESULT,
                        method_privileged,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "Unpin",
                        SD_BUS_NO_ARGS,
                        SD_BUS_NO_RESULT,
                        method_privileged,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "ListVersions",
                        SD_BUS_NO_ARGS,
                        SD_BUS_RESULT("a(sss)", versions),
                        method_list_versions,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                        "GetLastResult",
                        SD_BUS_NO_ARGS,
                        SD_BUS_RESULT("a{ss}", result),
                        method_get_last_result,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Transaction", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("CurrentVersion", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("PreviousVersion", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("PendingVersion", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Deadline", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("RootVersion", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Floor", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("PinnedVersion", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Packaging", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

int bus_object_new(
                BusObject **ret, Updater *u, sd_bus *bus, void (*on_use)(void *userdata), void *userdata) {
        _cleanup_(bus_object_freep) BusObject *o = new0(BusObject, 1);
        int r;
        if (!o)
                return -ENOMEM;

        *o = (BusObject){ .updater = u, .bus = bus, .on_use = on_use, .userdata = userdata };
        r = bus_changes_new(&o->changes, bus, FLEET_UPDATER_BUS_PATH, FLEET_UPDATER_BUS_INTERFACE);
        if (r < 0)
                return r;
        r = status_read(u->root, &o->status);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(
                        bus, &o->slot, FLEET_UPDATER_BUS_PATH, FLEET_UPDATER_BUS_INTERFACE, vtable, o);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

BusObject *bus_object_free(BusObject *o) {
        if (!o)
                return NULL;
        for (size_t i = 0; i < QUESTIONS_MAX; i++)
                polkit_check_free(o->questions[i].check);
        install_free(o->install);
        sd_bus_slot_unref(o->slot);
        bus_changes_free(o->changes);
        status_done(&o->status);
        free(o);
        return NULL;
}
