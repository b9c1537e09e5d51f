/* SPDX-License-Identifier: Apache-2.0 */

#include "bus-polkit.h"

#include "alloc-util.h"
#include "bus-util.h"
#include "log.h"
#include "time-util.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define ANSWER_TIMEOUT (2 * USEC_PER_MINUTE)
#define FLAG_ALLOW_INTERACTION 1U

struct PolkitCheck {
        sd_bus_message *call;
        sd_bus_slot *slot;
        polkit_on_answer_t on_answer;
        void *userdata;
};

/* 1 root, 0 somebody else. Not from the message: the kernel's word, passed on by the bus. */
static int sender_is_root(sd_bus_message *call) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;

        int r = sd_bus_query_sender_creds(call, SD_BUS_CREDS_EUID, &creds);
        if (r < 0)
                return r;
        r = sd_bus_creds_get_euid(creds, &uid);
        return r < 0 ? r : uid == 0;
}

static int read_answer(sd_bus_message *reply) {
        int authorized;

        const sd_bus_error *e = sd_bus_message_get_error(reply);
        if (e) {
                log_debug("polkit gave no answer, refusing: %s", bus_error_text(e, 0));
                return -EACCES;
        }
        int r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "b", &authorized);
        return r < 0 ? r : authorized > 0;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *reterr_error) {
        PolkitCheck *c = userdata;

        int result = read_answer(reply);
        c->slot = sd_bus_slot_unref(c->slot);
        c->on_answer(c, c->call, result, c->userdata); /* may free c */
        return 0;
}

int polkit_check_start(
                sd_bus_message *call, const char *action, polkit_on_answer_t on_answer, void *userdata,
                PolkitCheck **ret) {

        _cleanup_(sd_bus_message_unrefp) sd_bus_message *question = NULL;
        _cleanup_(polkit_check_freep) PolkitCheck *c = NULL;
        sd_bus *bus = sd_bus_message_get_bus(call);
        int r;

        r = sender_is_root(call);
        if (r != 0)
                return r;

        const char *sender = sd_bus_message_get_sender(call);
        if (!sender)
                return -EACCES;

        c = new0(PolkitCheck, 1);
        if (!c)
                return -ENOMEM;
        *c = (PolkitCheck) { .call = sd_bus_message_ref(call), .on_answer = on_answer, .userdata = userdata };

        r = sd_bus_message_new_method_call(
                        bus, &question, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r < 0)
                return r;
        r = sd_bus_message_append(
                        question, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s", sender, action, 0,
                        sd_bus_message_get_allow_interactive_authorization(call) > 0 ? FLAG_ALLOW_INTERACTION : 0U,
                        "");
        if (r < 0)
                return r;
        r = sd_bus_call_async(bus, &c->slot, question, on_reply, c, ANSWER_TIMEOUT);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

PolkitCheck *polkit_check_free(PolkitCheck *c) {
        if (!c)
                return NULL;
        sd_bus_slot_unref(c->slot);
        sd_bus_message_unref(c->call);
        free(c);
        return NULL;
}
