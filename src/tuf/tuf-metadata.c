/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-metadata.h"

#include <stdio.h>

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"
#include "tuf-canonical.h"
#include "tuf-metadata-internal.h"

static const struct {
        const char *name;
        size_t size_max;
} role_table[_TUF_ROLE_MAX] = {
        [TUF_ROLE_ROOT] = { "root", TUF_ROOT_SIZE_MAX },
        [TUF_ROLE_TIMESTAMP] = { "timestamp", TUF_TIMESTAMP_SIZE_MAX },
        [TUF_ROLE_SNAPSHOT] = { "snapshot", TUF_SNAPSHOT_SIZE_MAX },
        [TUF_ROLE_TARGETS] = { "targets", TUF_TARGETS_SIZE_MAX },
};

const char *tuf_role_to_string(TufRole role) {
        return (int) role >= 0 && role < _TUF_ROLE_MAX ? role_table[role].name : NULL;
}

TufRole tuf_role_from_string(const char *s) {
        for (int i = 0; s && i < _TUF_ROLE_MAX; i++)
                if (streq(role_table[i].name, s))
                        return (TufRole) i;
        return _TUF_ROLE_INVALID;
}

size_t tuf_role_size_max(TufRole role) {
        return (int) role >= 0 && role < _TUF_ROLE_MAX ? role_table[role].size_max : 0;
}

const char *tuf_file_name(TufRole role, uint64_t version, char buf[static TUF_FILE_NAME_MAX]) {
        if (role == TUF_ROLE_TIMESTAMP)
                snprintf(buf, TUF_FILE_NAME_MAX, "timestamp.json");
        else
                snprintf(buf, TUF_FILE_NAME_MAX, "%" PRIu64 ".%s.json", version,
                         strna(tuf_role_to_string(role)));
        return buf;
}

int tuf_read_u64(json_t *object, const char *key, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t v;

        int r = json_get_u64(object, key, &v);
        if (r < 0)
                return r;
        if (v < min || v > max)
                return -EBADMSG;
        *ret = v;
        return 0;
}

int tuf_read_hashes(
                json_t *hashes,
                bool *ret_has_sha256,
                uint8_t sha256[static SHA256_SIZE],
                bool *ret_has_sha512,
                uint8_t sha512[static 64]) {

        bool has_sha256 = false, has_sha512 = false;
        const char *name;
        json_t *v;

        if (!json_is_object(hashes))
                return -EBADMSG;
        json_object_foreach(hashes, name, v) {
                const char *hex = json_string_value(v);
                if (!hex)
                        return -EBADMSG;
                if (streq(name, "sha256")) {
                        if (hex_decode(hex, sha256, SHA256_SIZE) < 0)
                                return -EBADMSG;
                        has_sha256 = true;
                } else if (streq(name, "sha512")) {
                        if (hex_decode(hex, sha512, 64) < 0)
                                return -EBADMSG;
                        has_sha512 = true;
                }
        }
        if (!has_sha256 && !has_sha512)
                return -EBADMSG;
        *ret_has_sha256 = has_sha256;
        *ret_has_sha512 = has_sha512;
        return 0;
}

static int read_signatures(TufMetadata *m, json_t *signatures, char **reterr_message) {
        if (!json_is_array(signatures))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"signatures\" is no array");
        if (json_array_size(signatures) > TUF_KEYS_MAX)
                return tuf_refuse(TUF_MALFORMED, reterr_message, "more than %u signatures", TUF_KEYS_MAX);

        m->signatures = new0(TufSignature, json_array_size(signatures));
        if (!m->signatures)
                return -ENOMEM;

        for (size_t i = 0; i < json_array_size(signatures); i++) {
                json_t *item = json_array_get(signatures, i);
                const char *keyid, *sig;

                if (json_get_string(item, "keyid", &keyid) < 0 || json_get_string(item, "sig", &sig) < 0)
                        return tuf_refuse(
                                        TUF_MALFORMED, reterr_message,
                                        "a signature needs keyid and sig as text");
                if (!hex_is_valid(keyid, SHA256_SIZE))
                        continue; /* no key of ours can have such an id: as good as an unknown one */
                for (size_t k = 0; k < m->n_signatures; k++)
                        if (streq(m->signatures[k].keyid, keyid))
                                return tuf_refuse(
                                                TUF_MALFORMED, reterr_message, "two signatures of key %s",
                                                keyid);

                TufSignature *s = m->signatures + m->n_signatures;
                memcpy(s->keyid, keyid, TUF_KEYID_MAX);
                s->sig = strdup(sig);
                if (!s->sig)
                        return -ENOMEM;
                m->n_signatures++;
        }
        return 0;
}

/* Major version 1, as "1.0" or "1.0.31". */
static bool spec_version_is_supported(const char *s) {
        unsigned dots = 0;

        if (!startswith(s, "1."))
                return false;
        for (size_t i = 1; s[i]; i++)
                if (s[i] == '.') {
                        if (s[i + 1] < '0' || s[i + 1] > '9')
                                return false;
                        dots++;
                } else if (s[i] < '0' || s[i] > '9')
                        return false;
        return dots <= 2;
}

/* What all roles have in common. */
static int read_header(TufMetadata *m, json_t *signed_, char **reterr_message) {
        const char *type, *spec_version, *expires;

        if (json_get_string(signed_, "_type", &type) < 0 || !streq(type, tuf_role_to_string(m->role)))
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "\"_type\" is not \"%s\"",
                                tuf_role_to_string(m->role));
        if (json_get_string(signed_, "spec_version", &spec_version) < 0 ||
            !spec_version_is_supported(spec_version))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"spec_version\" is not 1.x");
        if (tuf_read_u64(signed_, "version", 1, TUF_VERSION_MAX, &m->version) < 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "\"version\" is no integer from 1 to 2^63-1");
        if (json_get_string(signed_, "expires", &expires) < 0 ||
            rfc3339_parse(expires, &m->expires_usec) < 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "\"expires\" is no time such as 2030-01-31T00:00:00Z");
        return 0;
}

static int read_signed(TufMetadata *m, json_t *signed_, char **reterr_message) {
        int r;

        if (!json_is_object(signed_))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"signed\" is no object");
        r = tuf_canonical_encode(signed_, &m->canonical, &m->canonical_size);
        if (r == -EBADMSG)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "\"signed\" holds a number that is no integer");
        if (r < 0)
                return r;
        r = read_header(m, signed_, reterr_message);
        if (r != 0)
                return r;

        switch (m->role) {
        case TUF_ROLE_ROOT:
                return tuf_metadata_read_root(m, signed_, reterr_message);
        case TUF_ROLE_TIMESTAMP:
        case TUF_ROLE_SNAPSHOT:
                return tuf_metadata_read_files(m, signed_, reterr_message);
        case TUF_ROLE_TARGETS:
                return tuf_metadata_read_targets(m, signed_, reterr_message);
        default:
                return -EINVAL;
        }
}

int tuf_metadata_parse(
                TufRole role, const void *data, size_t size, TufMetadata **ret, char **reterr_message) {
        _cleanup_(tuf_metadata_freep) TufMetadata *m = NULL;
        _cleanup_json_ json_t *envelope = NULL;
        _cleanup_free_ char *why = NULL;
        int r;

        if ((int) role < 0 || role >= _TUF_ROLE_MAX)
                return -EINVAL;
        if (size > tuf_role_size_max(role))
                return tuf_refuse(
                                TUF_TOO_LARGE, reterr_message,
                                "%s metadata of %zu bytes is above the limit of %zu",
                                tuf_role_to_string(role), size, tuf_role_size_max(role));

        r = json_parse(data, size, tuf_role_size_max(role), &envelope, &why);
        if (r == -EBADMSG) {
                /* the parser may quote the input, which nobody has authenticated */
                _cleanup_free_ char *safe = string_escape(strempty(why));
                return tuf_refuse(TUF_MALFORMED, reterr_message, "not valid JSON: %s", strna(safe));
        }
        if (r < 0)
                return r;
        if (!json_is_object(envelope))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "not a JSON object");

        m = new0(TufMetadata, 1);
        if (!m)
                return -ENOMEM;
        m->role = role;
        m->raw = memdup_suffix0(data, size);
        if (!m->raw)
                return -ENOMEM;
        m->raw_size = size;

        r = read_signatures(m, json_object_get(envelope, "signatures"), reterr_message);
        if (r != 0)
                return r;
        r = read_signed(m, json_object_get(envelope, "signed"), reterr_message);
        if (r != 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

TufMetadata *tuf_metadata_free(TufMetadata *m) {
        if (!m)
                return NULL;

        for (size_t i = 0; i < m->n_signatures; i++)
                free(m->signatures[i].sig);
        free(m->signatures);
        for (size_t i = 0; i < m->n_keys; i++)
                tuf_key_free(m->keys[i]);
        free(m->keys);
        for (int role = 0; role < _TUF_ROLE_MAX; role++)
                free(m->roles[role].keyids);
        for (size_t i = 0; i < m->n_files; i++)
                free(m->files[i].name);
        free(m->files);
        for (size_t i = 0; i < m->n_targets; i++) {
                free(m->targets[i].path);
                json_decref(m->targets[i].custom);
        }
        free(m->targets);
        free(m->canonical);
        free(m->raw);
        free(m);
        return NULL;
}

const TufKey *tuf_metadata_key(const TufMetadata *root, const char *keyid) {
        for (size_t i = 0; i < root->n_keys; i++)
                if (streq(root->keys[i]->keyid, keyid))
                        return root->keys[i];
        return NULL;
}

const TufFileInfo *tuf_metadata_file(const TufMetadata *m, const char *name) {
        for (size_t i = 0; i < m->n_files; i++)
                if (streq(m->files[i].name, name))
                        return m->files + i;
        return NULL;
}

const TufTarget *tuf_metadata_target(const TufMetadata *targets, const char *path) {
        for (size_t i = 0; i < targets->n_targets; i++)
                if (streq(targets->targets[i].path, path))
                        return targets->targets + i;
        return NULL;
}
