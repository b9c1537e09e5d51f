/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>

#include "alloc-util.h"
#include "hex.h"
#include "string-util.h"
#include "tuf-metadata-internal.h"

#define PATH_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~-"
#define COMPONENT_MAX 180U /* with the hash before it the name still fits into any file system */

bool tuf_target_path_is_valid(const char *path) {
        if (strnlen(path, TUF_TARGET_PATH_MAX + 1) > TUF_TARGET_PATH_MAX)
                return false;

        for (;;) {
                size_t n = strspn(path, PATH_CHARS);
                if (n == 0 || n > COMPONENT_MAX || path[0] == '.')
                        return false; /* empty, absolute, "..", hidden */
                path += n;
                if (*path == '\0')
                        return true;
                if (*path++ != '/')
                        return false;
        }
}

int tuf_target_file_path(const TufTarget *t, char **ret) {
        char hex[SHA256_HEX_MAX];
        const char *slash = strrchr(t->path, '/'), *name = slash ? slash + 1 : t->path;

        hex_encode(t->sha256, SHA256_SIZE, hex);
        char *path = strjoinf("%.*s%s.%s", (int) (name - t->path), t->path, hex, name);
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}

static int read_target(TufTarget *t, json_t *object, char **reterr_message) {
        bool has_sha256 = false;

        if (!json_is_object(object) ||
            tuf_read_u64(object, "length", 0, TUF_TARGET_LENGTH_MAX, &t->length) < 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "the length of %s is no integer below 4 GiB",
                                t->path);
        if (tuf_read_hashes(json_object_get(object, "hashes"), &has_sha256, t->sha256, &t->has_sha512,
                            t->sha512) < 0 ||
            !has_sha256)
                return tuf_refuse(TUF_MALFORMED, reterr_message, "%s has no valid sha256", t->path);

        json_t *custom = json_object_get(object, "custom");
        if (custom && !json_is_object(custom))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"custom\" of %s is no object", t->path);
        t->custom = custom ? json_incref(custom) : NULL;
        return 0;
}

static int compare_targets(const void *a, const void *b) {
        return strcmp(((const TufTarget *) a)->path, ((const TufTarget *) b)->path);
}

int tuf_metadata_read_targets(TufMetadata *m, json_t *signed_, char **reterr_message) {
        json_t *targets = json_object_get(signed_, "targets"),
               *delegations = json_object_get(signed_, "delegations"), *object;
        const char *path;

        if (!json_is_object(targets))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"targets\" is no object");
        if (json_object_size(targets) > TUF_TARGETS_ENTRIES_MAX)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "more than %u targets",
                                TUF_TARGETS_ENTRIES_MAX);
        /* nothing of ours is looked up in a delegated role; a repository may have them for others */
        if (delegations && !json_is_object(delegations))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"delegations\" is no object");

        m->targets = new0(TufTarget, json_object_size(targets));
        if (!m->targets)
                return -ENOMEM;

        json_object_foreach(targets, path, object) {
                if (!tuf_target_path_is_valid(path)) {
                        _cleanup_free_ char *safe = string_escape(path);
                        return tuf_refuse(
                                        TUF_MALFORMED, reterr_message, "target path '%.200s' is not allowed",
                                        strna(safe));
                }

                TufTarget *t = m->targets + m->n_targets;
                t->path = strdup(path);
                if (!t->path)
                        return -ENOMEM;
                m->n_targets++;
                int r = read_target(t, object, reterr_message);
                if (r != 0)
                        return r;
        }
        qsort(m->targets, m->n_targets, sizeof(m->targets[0]), compare_targets);
        return 0;
}
