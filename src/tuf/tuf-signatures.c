/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-signatures.h"

#include "string-util.h"

static const char *find_signature(const TufMetadata *m, const char *keyid) {
        for (size_t i = 0; i < m->n_signatures; i++)
                if (streq(m->signatures[i].keyid, keyid))
                        return m->signatures[i].sig;
        return NULL;
}

bool tuf_signatures_has(const TufMetadata *root, const char *keyid, const TufMetadata *m) {
        const TufKey *key = tuf_metadata_key(root, keyid);
        const char *sig = find_signature(m, keyid);

        return key && sig && tuf_key_verify(key, sig, m->canonical, m->canonical_size);
}

size_t tuf_signatures_count(const TufMetadata *root, TufRole role, const TufMetadata *m) {
        const TufRoleKeys *k = root->roles + role;
        const TufKey *good[TUF_KEYS_MAX];
        size_t n_good = 0;

        for (size_t i = 0; i < k->n_keyids && n_good < TUF_KEYS_MAX; i++) {
                const TufKey *key = tuf_metadata_key(root, k->keyids[i]);
                bool counted = false;

                if (!tuf_signatures_has(root, k->keyids[i], m))
                        continue;
                /* an additional member makes a second correct keyid of the same key */
                for (size_t n = 0; n < n_good && !counted; n++)
                        counted = tuf_key_same_material(good[n], key);
                if (!counted)
                        good[n_good++] = key;
        }
        return n_good;
}

int tuf_signatures_verify(
                const TufMetadata *root, TufRole role, const TufMetadata *m, char **reterr_message) {
        size_t n = tuf_signatures_count(root, role, m);

        if (n >= root->roles[role].threshold)
                return 0;
        return tuf_refuse(
                        TUF_BAD_SIGNATURE, reterr_message,
                        "%zu good signature%s by keys of role %s of root version %" PRIu64 ", %" PRIu64
                        " needed",
                        n, n == 1 ? "" : "s", tuf_role_to_string(role), root->version,
                        root->roles[role].threshold);
}
