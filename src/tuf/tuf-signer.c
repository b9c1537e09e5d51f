/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-signer.h"

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"
#include "tuf-canonical.h"

#define SPEC_VERSION "1.0.34"

/* An envelope without signatures; body: what the role has besides the header, taken. */
static int build_envelope(TufRole role, uint64_t version, usec_t expires_usec, json_t *body, json_t **ret) {
        char expires[RFC3339_MAX];
        _cleanup_json_ json_t *signed_ = body;

        if (!body)
                return -ENOMEM;
        if (version < 1 || version > TUF_VERSION_MAX)
                return -ERANGE;
        int r = json_set_string(signed_, "_type", tuf_role_to_string(role));
        if (r >= 0)
                r = json_set_string(signed_, "spec_version", SPEC_VERSION);
        if (r >= 0)
                r = json_set_u64(signed_, "version", version);
        if (r >= 0)
                r = json_set_string(signed_, "expires", rfc3339_format(expires_usec, expires));
        if (r < 0)
                return r;

        json_t *envelope = json_pack("{s:[], s:O}", "signatures", "signed", signed_);
        if (!envelope)
                return -ENOMEM;
        *ret = envelope;
        return 0;
}

static int add_role_keys(json_t *keys, json_t *keyids, const TufKey *const *list, size_t n) {
        for (size_t i = 0; i < n; i++) {
                if (json_object_set(keys, list[i]->keyid, list[i]->object) < 0 ||
                    json_array_append_new(keyids, json_string(list[i]->keyid)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int tuf_build_root(const TufRootSpec *spec, json_t **ret) {
        _cleanup_json_ json_t *keys = json_object(), *roles = json_object();

        if (!keys || !roles)
                return -ENOMEM;
        for (int role = 0; role < _TUF_ROLE_MAX; role++) {
                if (spec->roles[role].threshold < 1 ||
                    spec->roles[role].threshold > spec->roles[role].n_keys)
                        return -EINVAL;
                json_t *o =
                                json_pack("{s:[], s:I}", "keyids", "threshold",
                                          (json_int_t) spec->roles[role].threshold);
                int r = json_set_take(roles, tuf_role_to_string((TufRole) role), o);
                if (r >= 0)
                        r =
                                        add_role_keys(keys, json_object_get(o, "keyids"),
                                                      spec->roles[role].keys, spec->roles[role].n_keys);
                if (r < 0)
                        return r;
        }
        return build_envelope(
                        TUF_ROLE_ROOT, spec->version, spec->expires_usec,
                        json_pack("{s:b, s:O, s:O}", "consistent_snapshot", 1, "keys", keys, "roles", roles),
                        ret);
}

/* timestamp and snapshot: one file each */
static int
build_files(TufRole role,
            uint64_t version,
            usec_t expires_usec,
            const char *name,
            uint64_t file_version,
            const void *data,
            size_t size,
            json_t **ret) {
        uint8_t hash[SHA256_SIZE];
        char hex[SHA256_HEX_MAX];

        if (file_version > TUF_VERSION_MAX)
                return -ERANGE;
        sha256_bytes(data, size, hash);
        hex_encode(hash, sizeof(hash), hex);
        return build_envelope(
                        role, version, expires_usec,
                        json_pack("{s:{s:{s:I, s:I, s:{s:s}}}}", "meta", name, "version",
                                  (json_int_t) file_version, "length", (json_int_t) size, "hashes", "sha256",
                                  hex),
                        ret);
}

int tuf_build_timestamp(
                uint64_t version,
                usec_t expires_usec,
                uint64_t snapshot_version,
                const void *snapshot,
                size_t size,
                json_t **ret) {
        return build_files(
                        TUF_ROLE_TIMESTAMP, version, expires_usec, "snapshot.json", snapshot_version,
                        snapshot, size, ret);
}

int tuf_build_snapshot(
                uint64_t version,
                usec_t expires_usec,
                uint64_t targets_version,
                const void *targets,
                size_t size,
                json_t **ret) {
        return build_files(
                        TUF_ROLE_SNAPSHOT, version, expires_usec, "targets.json", targets_version, targets,
                        size, ret);
}

int tuf_build_targets(uint64_t version, usec_t expires_usec, json_t **ret) {
        return build_envelope(TUF_ROLE_TARGETS, version, expires_usec, json_pack("{s:{}}", "targets"), ret);
}

int tuf_build_targets_set(
                json_t *envelope,
                const char *path,
                uint64_t length,
                const uint8_t sha256[static SHA256_SIZE],
                json_t *custom) {
        json_t *targets = json_object_get(json_object_get(envelope, "signed"), "targets");
        char hex[SHA256_HEX_MAX];

        if (!json_is_object(targets) || !tuf_target_path_is_valid(path) || length > TUF_TARGET_LENGTH_MAX)
                return -EINVAL;
        hex_encode(sha256, SHA256_SIZE, hex);
        json_t *target = json_pack("{s:I, s:{s:s}}", "length", (json_int_t) length, "hashes", "sha256", hex);
        if (!target)
                return -ENOMEM;
        if (custom && json_object_set(target, "custom", custom) < 0) {
                json_decref(target);
                return -ENOMEM;
        }
        int r = json_set_take(targets, path, target);
        return r < 0 ? r : tuf_envelope_unsign(envelope);
}

int tuf_envelope_sign(json_t *envelope, const TufSecretKey *key) {
        json_t *signatures = json_object_get(envelope, "signatures"),
               *signed_ = json_object_get(envelope, "signed");
        const char *keyid = tuf_secret_key_public(key)->keyid, *other;
        _cleanup_free_ char *canonical = NULL, *hex = NULL;
        size_t size;
        int r;

        if (!json_is_array(signatures) || !json_is_object(signed_))
                return -EBADMSG;
        r = tuf_canonical_encode(signed_, &canonical, &size);
        if (r < 0)
                return r;
        r = tuf_secret_key_sign(key, canonical, size, &hex);
        if (r < 0)
                return r;

        for (size_t i = json_array_size(signatures); i-- > 0;)
                if (json_get_string(json_array_get(signatures, i), "keyid", &other) >= 0 &&
                    streq(other, keyid))
                        (void) json_array_remove(signatures, i);
        if (json_array_append_new(signatures, json_pack("{s:s, s:s}", "keyid", keyid, "sig", hex)) < 0)
                return -ENOMEM;
        return 0;
}

int tuf_envelope_unsign(json_t *envelope) {
        json_t *signatures = json_object_get(envelope, "signatures");
        return json_is_array(signatures) && json_array_clear(signatures) >= 0 ? 0 : -EBADMSG;
}

int tuf_envelope_format(json_t *envelope, char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = json_format(envelope, /* pretty= */ true);
        if (!text)
                return -ENOMEM;
        char *line = strjoinf("%s\n", text);
        if (!line)
                return -ENOMEM;
        *ret = line;
        *ret_size = strlen(line);
        return 0;
}
