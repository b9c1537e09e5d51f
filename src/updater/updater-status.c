/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-status.h"

#include <string.h>

#include "string-util.h"
#include "updater-links.h"
#include "updater-policy.h"
#include "updater-record.h"
#include "updater-verify.h"

void status_done(Status *s) {
        free(s->state);
        free(s->transaction);
        free(s->current);
        free(s->previous);
        free(s->pending);
        free(s->floor);
        free(s->pinned);
        *s = (Status) {};
}

/* Takes the string; NULL becomes empty. */
static int take(char **to, char *from) {
        *to = from ?: strdup("");
        return *to ? 0 : -ENOMEM;
}

static int take_copy(char **to, const char *from) {
        *to = strdup(strempty(from));
        return *to ? 0 : -ENOMEM;
}

int status_read(UpdaterRoot *root, Status *ret) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        char *floor = NULL, *pin = NULL, *previous = NULL;
        _cleanup_status_ Status s = {};
        _cleanup_links_ Links links = {};
        int r;

        r = links_read(root->bin_fd, &links);
        if (r < 0)
                return r;
        r = transaction_load(root, &t);
        if (r == -ENOMEM)
                return r;
        s.open = t || links_differ(&links);

        (void) floor_load(root, &floor);
        (void) pin_load(root, &pin);
        (void) previous_load(root, &previous);
        if (take(&s.floor, floor) < 0 || take(&s.pinned, pin) < 0 || take(&s.previous, previous) < 0 ||
            take(&s.current, TAKE_PTR(links.current)) < 0 || take_copy(&s.transaction, t ? t->id : NULL) < 0 ||
            take_copy(&s.pending, t ? t->to : NULL) < 0 ||
            take_copy(&s.state, t ? update_phase_to_string(t->phase) : s.open ? "rolling-back" : "idle") < 0)
                return -ENOMEM;
        s.deadline_usec = t ? t->deadline_usec : 0;
        s.root_version = trusted_root_version(root);
        (void) package_generation_load(root, &s.packaging);

        *ret = s;
        s = (Status) {};
        return 0;
}

void status_compare(
                const Status *a, const Status *b, void (*on_change)(const char *property, void *userdata),
                void *userdata) {

        if (!streq_ptr(a->state, b->state))
                on_change("State", userdata);
        if (!streq_ptr(a->transaction, b->transaction))
                on_change("Transaction", userdata);
        if (!streq_ptr(a->current, b->current))
                on_change("CurrentVersion", userdata);
        if (!streq_ptr(a->previous, b->previous))
                on_change("PreviousVersion", userdata);
        if (!streq_ptr(a->pending, b->pending))
                on_change("PendingVersion", userdata);
        if (!streq_ptr(a->floor, b->floor))
                on_change("Floor", userdata);
        if (!streq_ptr(a->pinned, b->pinned))
                on_change("PinnedVersion", userdata);
        if (a->deadline_usec != b->deadline_usec)
                on_change("Deadline", userdata);
        if (a->root_version != b->root_version)
                on_change("RootVersion", userdata);
        if (a->packaging != b->packaging)
                on_change("Packaging", userdata);
}
