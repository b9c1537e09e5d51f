/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"
#include "tuf-metadata-internal.h"

static int read_keys(TufMetadata *m, json_t *keys, char **reterr_message) {
        const char *keyid;
        json_t *object;

        if (!json_is_object(keys))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"keys\" is no object");
        if (json_object_size(keys) > TUF_KEYS_MAX)
                return tuf_refuse(TUF_MALFORMED, reterr_message, "more than %u keys", TUF_KEYS_MAX);

        m->keys = new0(TufKey *, json_object_size(keys));
        if (!m->keys)
                return -ENOMEM;

        json_object_foreach(keys, keyid, object) {
                int r = tuf_key_parse(object, m->keys + m->n_keys, reterr_message);
                if (r != 0)
                        return r;
                m->n_keys++;
                if (!streq(m->keys[m->n_keys - 1]->keyid, keyid))
                        return tuf_refuse(
                                        TUF_MALFORMED, reterr_message,
                                        "key %s does not have the id under which it stands",
                                        m->keys[m->n_keys - 1]->keyid);
        }
        return 0;
}

static int read_role(TufMetadata *m, TufRole role, json_t *object, char **reterr_message) {
        const char *name = tuf_role_to_string(role);
        TufRoleKeys *k = m->roles + role;
        json_t *keyids = json_object_get(object, "keyids");

        if (!json_is_object(object) || !json_is_array(keyids))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "role %s needs keyids and threshold", name);
        if (json_array_size(keyids) > TUF_KEYS_MAX)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "role %s has more than %u keyids", name,
                                TUF_KEYS_MAX);
        if (tuf_read_u64(object, "threshold", 1, TUF_VERSION_MAX, &k->threshold) < 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "threshold of role %s is no integer above 0",
                                name);

        k->keyids = calloc(json_array_size(keyids) ?: 1, sizeof(k->keyids[0]));
        if (!k->keyids)
                return -ENOMEM;

        for (size_t i = 0; i < json_array_size(keyids); i++) {
                const char *keyid = json_string_value(json_array_get(keyids, i));

                if (!keyid || !hex_is_valid(keyid, SHA256_SIZE))
                        return tuf_refuse(
                                        TUF_MALFORMED, reterr_message,
                                        "role %s has a keyid that is no SHA-256", name);
                for (size_t n = 0; n < k->n_keyids; n++)
                        if (streq(k->keyids[n], keyid))
                                return tuf_refuse(
                                                TUF_MALFORMED, reterr_message, "role %s names key %s twice",
                                                name, keyid);
                memcpy(k->keyids[k->n_keyids++], keyid, TUF_KEYID_MAX);
        }
        return 0;
}

int tuf_metadata_read_root(TufMetadata *m, json_t *signed_, char **reterr_message) {
        json_t *roles = json_object_get(signed_, "roles");
        bool consistent;
        int r;

        if (json_get_bool(signed_, "consistent_snapshot", &consistent) < 0 || !consistent)
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"consistent_snapshot\" is not true");

        r = read_keys(m, json_object_get(signed_, "keys"), reterr_message);
        if (r != 0)
                return r;

        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                r = read_role(m, (TufRole) role, json_object_get(roles, tuf_role_to_string((TufRole) role)),
                              reterr_message);
                if (r != 0)
                        return r;
        }
        return 0;
}
