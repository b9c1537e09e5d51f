/* SPDX-License-Identifier: Apache-2.0 */
#include "view-release.h"

#include "tuf-signatures.h"

static json_t *finish(json_t *o, int r) {
        if (r >= 0)
                return o;
        json_decref(o);
        return NULL;
}

/* By this root; whether the signature is good is looked at again, not believed. */
static json_t *view_keys(const TufMetadata *root, TufRole role, const TufMetadata *m) {
        const TufRoleKeys *k = root->roles + role;
        json_t *list = json_array();
        int r = list ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < k->n_keyids; i++) {
                json_t *o = json_object();

                r = o && json_array_append_new(list, o) >= 0 ? 0 : -ENOMEM;
                if (r >= 0)
                        r = json_set_string(o, "keyid", k->keyids[i]);
                if (r >= 0)
                        r = json_set_bool(o, "signed", tuf_signatures_has(root, k->keyids[i], m));
        }
        return finish(list, r);
}

static json_t *view_role(const TufTrustedSet *set, TufRole role) {
        const TufMetadata *root = tuf_trusted_set_get(set, TUF_ROLE_ROOT), *m = tuf_trusted_set_get(set, role);
        json_t *o = json_object(), *keys;
        int r;

        r = o ? json_set_string(o, "role", tuf_role_to_string(role)) : -ENOMEM;
        if (r >= 0)
                r = json_set_u64(o, "version", m->version);
        if (r >= 0)
                r = view_set_time(o, "expires", m->expires_usec);
        if (r >= 0)
                r = json_set_u64(o, "threshold", root->roles[role].threshold);
        if (r >= 0) {
                keys = view_keys(root, role, m);
                r = keys ? json_set_take(o, "keys", keys) : -ENOMEM;
        }
        return finish(o, r);
}

/* From the keys that stay in a safe to the one that is used every day. */
static int add_roles(json_t *o, const TufTrustedSet *set) {
        static const TufRole order[] = { TUF_ROLE_ROOT, TUF_ROLE_TARGETS, TUF_ROLE_SNAPSHOT, TUF_ROLE_TIMESTAMP };
        json_t *list = json_array();
        int r = list ? json_set_take(o, "roles", list) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(order); i++)
                if (tuf_trusted_set_get(set, order[i]) && json_array_append_new(list, view_role(set, order[i])) < 0)
                        r = -ENOMEM;
        return r;
}

json_t *view_metadata(const RegistryMetadata *m, const TufTrustedSet *set) {
        json_t *o = json_object();
        int r;

        r = o ? json_set_u64(o, "root", m->root) : -ENOMEM;
        if (r >= 0)
                r = json_set_u64(o, "timestamp", m->timestamp);
        if (r >= 0)
                r = json_set_u64(o, "snapshot", m->snapshot);
        if (r >= 0)
                r = json_set_u64(o, "targets", m->targets);
        if (r >= 0)
                r = view_set_time(o, "expires", m->expires);
        if (r >= 0 && set)
                r = add_roles(o, set);
        return finish(o, r);
}

int view_release_add_failures(json_t *release, UpdatePhase phase, uint64_t agents) {
        const char *key = phase == UPDATE_PHASE_ROLLED_BACK ? "rolled_back" :
                          phase == UPDATE_PHASE_TIMED_OUT   ? "timed_out" :
                                                              "failed";
        json_t *o = json_object_get(release, "failed_on");
        int r = 0;

        if (!o) {
                o = json_object();
                r = o ? json_set_take(release, "failed_on", o) : -ENOMEM;
                if (r >= 0)
                        r = json_set_u64(o, "failed", 0);
                if (r >= 0)
                        r = json_set_u64(o, "rolled_back", 0);
                if (r >= 0)
                        r = json_set_u64(o, "timed_out", 0);
        }
        return r < 0 ? r : json_set_u64(o, key, agents);
}
